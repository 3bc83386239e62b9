//! Checking a bundle from its files alone.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::chain::file_digest;
use super::commitment::Commitment;
use super::leaf::Leaves;
use super::outcome::{Ending, Outcome};
use super::plan;
use super::replay::{Replayed, replay};
use crate::fingerprint::Finding;
use crate::provenance::PublicKey;

/// The files of a bundle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// `commitment.json`.
    pub commitment: &'a [u8],
    /// `leaves.jsonl`, public or secret.
    pub leaves: &'a [u8],
    /// `transcript.jsonl`.
    pub transcript: &'a [u8],
    /// `outcome.json`; none before the test has ended.
    pub outcome: Option<&'a [u8]>,
    /// `commitment.tsr`.
    pub token: Option<&'a [u8]>,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// What checking came to.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Whether all checks hold.
    pub valid: bool,
    /// The checks, in order; those after one that fails are not made.
    pub checks: Vec<Check>,
    /// Who signed.
    pub key: Option<PublicKey>,
    /// When the plan was committed to, by the signer's clock.
    pub committed: Option<Timestamp>,
    /// The suspect.
    pub suspect: Option<String>,
    /// The finding, computed again.
    pub finding: Option<Finding>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// Checks signatures, leaves, transcript and finding. With a key, all must be signed with it.
pub fn verify(files: &Files<'_>, key: Option<&PublicKey>) -> Verified {
    let mut verified = Verified {
        valid: false,
        checks: Vec::new(),
        key: None,
        committed: None,
        suspect: None,
        finding: None,
        warnings: Vec::new(),
    };
    if key.is_none() {
        verified.warnings.push(
            "The signatures are checked with the key that the bundle itself names: give the signer's key, had from elsewhere, \
             to know who signed"
                .to_owned(),
        );
    }
    verified.valid = verified.run(files, key).is_some();
    verified
}

impl Verified {
    fn pass(&mut self, name: &'static str, detail: impl Into<String>) -> Option<()> {
        self.checks.push(Check { name, ok: true, detail: detail.into() });
        Some(())
    }

    fn fail<T>(&mut self, name: &'static str, detail: impl Into<String>) -> Option<T> {
        self.checks.push(Check { name, ok: false, detail: detail.into() });
        None
    }

    /// The value, or a failed check that says why there is none.
    fn value<T, E: std::error::Error>(
        &mut self,
        name: &'static str,
        got: Result<T, E>,
    ) -> Option<T> {
        match got {
            Ok(value) => Some(value),
            Err(error) => self.fail(name, causes(&error)),
        }
    }

    fn run(&mut self, files: &Files<'_>, key: Option<&PublicKey>) -> Option<()> {
        let commitment = self.commitment(files, key)?;
        let leaves = self.leaves(files, &commitment)?;
        let replayed = self.transcript(files, &commitment, &leaves)?;
        self.finding = Some(replayed.session.finding());
        self.token(files)?;
        match files.outcome {
            Some(file) => self.outcome(file, files, &commitment, &replayed),
            None => {
                self.warnings.push("The test has not ended: there is no signed outcome".to_owned());
                Some(())
            }
        }
    }

    fn commitment(&mut self, files: &Files<'_>, key: Option<&PublicKey>) -> Option<Commitment> {
        const NAME: &str = "commitment";
        let read = Commitment::from_file(files.commitment, key);
        let (commitment, signer) = self.value(NAME, read)?;
        if !commitment.is_whole() {
            return self.fail(NAME, "the root is not the one of the leaves that it lists");
        }
        self.key = Some(signer);
        self.committed = Some(commitment.time);
        self.pass(NAME, format!("signed with {signer} at {}", commitment.time))?;
        Some(commitment)
    }

    fn leaves(&mut self, files: &Files<'_>, commitment: &Commitment) -> Option<Leaves> {
        const NAME: &str = "leaves";
        let text = self.value(NAME, std::str::from_utf8(files.leaves))?;
        let leaves = self.value(NAME, Leaves::parse(text))?;
        let differing = commitment.differing(&leaves);
        if !differing.is_empty() {
            let names: Vec<String> = differing
                .iter()
                .take(10)
                .map(
                    |&at| if at == 0 { "the head".to_owned() } else { format!("probe {}", at - 1) },
                )
                .collect();
            let detail = format!("not the ones that were committed to: {}", names.join(", "));
            return self.fail(NAME, detail);
        }
        self.pass(NAME, format!("{} as committed to", leaves.count()))?;
        Some(leaves)
    }

    fn transcript(
        &mut self,
        files: &Files<'_>,
        commitment: &Commitment,
        leaves: &Leaves,
    ) -> Option<Replayed> {
        const NAME: &str = "transcript";
        let head = self.value("rule", leaves.head())?;
        let probes = self.value("rule", leaves.probes())?;
        let begun = plan::start(&head.test, &head.rule, probes.iter().map(Option::as_ref));
        let session = self.value("rule", begun)?;
        self.pass("rule", format!("{}: {}", head.test, head.hypothesis))?;
        let text = self.value(NAME, std::str::from_utf8(files.transcript))?;
        let replayed = replay(session, files.commitment, commitment.time, text);
        let replayed = self.value(NAME, replayed)?;
        self.suspect.clone_from(&replayed.suspect);
        let (entries, _) = replayed.transcript.end();
        let detail = format!("{entries} entries, {} answers, each due when asked", replayed.asked);
        self.pass(NAME, detail)?;
        Some(replayed)
    }

    fn outcome(
        &mut self,
        file: &[u8],
        files: &Files<'_>,
        commitment: &Commitment,
        replayed: &Replayed,
    ) -> Option<()> {
        const NAME: &str = "outcome";
        let key = self.key?;
        let outcome = self.value(NAME, Outcome::from_file(file, &key))?;
        if outcome.commitment != commitment.root
            || outcome.commitment_file != file_digest(files.commitment)
        {
            return self.fail(NAME, "it belongs to another commitment");
        }
        if (outcome.entries, outcome.link) != replayed.transcript.end() {
            let (entries, _) = replayed.transcript.end();
            let detail = format!(
                "it was signed over {} entries; the transcript has {entries}, or another last one",
                outcome.entries
            );
            return self.fail(NAME, detail);
        }
        if outcome.time < replayed.last.unwrap_or(commitment.time) {
            return self.fail(NAME, "it is older than the transcript");
        }
        let due = self.value(NAME, replayed.session.next())?;
        match (outcome.ending, due) {
            (Ending::Rule, Some(step)) => {
                let detail =
                    format!("it says that the rule had ended; probe {} is due", step.probe);
                return self.fail(NAME, detail);
            }
            (Ending::Early, None) => {
                return self.fail(NAME, "it says that the test was broken off; its rule had ended");
            }
            _ => {}
        }
        let again = replayed.session.finding();
        if let Some(field) = difference(&outcome.finding, &again, &outcome.version) {
            return self
                .fail(NAME, format!("the finding's {field} does not follow from the transcript"));
        }
        self.pass(NAME, format!("{}, as computed again", again.verdict.words()))
    }

    /// A token's signature is for tools that know the service's certificate; that it names this commitment is seen here.
    fn token(&mut self, files: &Files<'_>) -> Option<()> {
        const NAME: &str = "time-stamp token";
        let Some(token) = files.token else {
            self.warnings.push(
                "No time-stamp token: the commitment's time is the signer's word, unless its root was published".to_owned(),
            );
            return Some(());
        };
        if !names(token, files.commitment) {
            return self.fail(NAME, "it does not carry the SHA-256 of commitment.json");
        }
        self.warnings.push(
            "The time-stamp token's own signature is not checked here: openssl ts -verify -data commitment.json -in \
             commitment.tsr -CAfile CERTIFICATE"
                .to_owned(),
        );
        self.pass(NAME, "carries the SHA-256 of commitment.json")
    }
}

/// Whether an RFC 3161 token carries the SHA-256 of a file, as its message imprint does.
fn names(token: &[u8], file: &[u8]) -> bool {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(file);
    token.windows(digest.len()).any(|window| window == digest.as_slice())
}

/// The first field in which two findings differ. Words are compared only where the same version wrote them.
fn difference(told: &Finding, again: &Finding, version: &str) -> Option<String> {
    let (told, again) = (serde_json::to_value(told).ok()?, serde_json::to_value(again).ok()?);
    let (Value::Object(told), Value::Object(again)) = (&told, &again) else {
        return Some("form".to_owned());
    };
    let words = ["null_text", "warnings", "family"];
    let counts = |field: &str| version == env!("CARGO_PKG_VERSION") || !words.contains(&field);
    let fields = told.keys().chain(again.keys());
    fields
        .filter(|field| counts(field))
        .find(|field| match (told.get(*field), again.get(*field)) {
            (Some(a), Some(b)) => !alike(a, b),
            _ => true,
        })
        .cloned()
}

/// Equal, but for the last digits of numbers: logarithms differ by some between machines.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a != b => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
            _ => false,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        _ => a == b,
    }
}

/// An error with its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
