//! Bundles of a toy test: whether a suspect repeats what it is asked.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::fingerprint::{Basis, Finding, Null, ProbeError, Probing, Step};
use crate::lm::{Completion, Prompt, Request};
use crate::provenance::{Digest, SecretKey};
use crate::stats::{Family, binomial_sf_ge};

pub const TEST: &str = "echo";

/// Ends at `enough` answers.
pub struct Echo {
    enough: usize,
    probes: Vec<Option<String>>,
    hits: Vec<bool>,
}

impl Echo {
    pub fn new(enough: usize, probes: Vec<Option<String>>) -> Self {
        Self { enough, probes, hits: Vec::new() }
    }
}

impl Probing for Echo {
    fn next(&self) -> Result<Option<Step>, ProbeError> {
        let probe = self.hits.len();
        if probe >= self.enough {
            return Ok(None);
        }
        match self.probes.get(probe) {
            None => Ok(None),
            Some(None) => Err(ProbeError::Hidden { probe }),
            Some(Some(text)) => {
                let prompt = Prompt::Text(text.clone());
                let (seed, top_logprobs) = (None, None);
                let request = Request {
                    prompt,
                    max_tokens: 9,
                    temperature: 0.0,
                    top_p: 1.0,
                    seed,
                    top_logprobs,
                };
                Ok(Some(Step { probe, request }))
            }
        }
    }

    fn observe(&mut self, answer: &Completion) -> Result<(), ProbeError> {
        let asked = self.probes[self.hits.len()].as_deref();
        self.hits.push(asked == Some(answer.text.as_str()));
        Ok(())
    }

    fn finding(&self) -> Finding {
        let (hits, n) = (self.hits.iter().filter(|hit| **hit).count(), self.hits.len());
        let p = binomial_sf_ge(hits as u64, n as u64, 0.5).unwrap();
        let finding = Finding::new(TEST, Null::Population, "it tosses a coin");
        finding.with("hits", hits).judged(p, Basis::Exact, &Family::one(), 0.01)
    }
}

/// The files of a bundle.
#[derive(Clone)]
struct Case {
    commitment: Vec<u8>,
    leaves: Vec<u8>,
    transcript: Vec<u8>,
    outcome: Vec<u8>,
}

impl Case {
    fn files(&self) -> Files<'_> {
        Files {
            commitment: &self.commitment,
            leaves: &self.leaves,
            transcript: &self.transcript,
            outcome: Some(&self.outcome),
            token: None,
        }
    }

    fn verify(&self) -> Verified {
        verify(&self.files(), Some(&key().public()))
    }

    /// The name of the check that fails.
    fn fault(&self) -> (&'static str, String) {
        let verified = self.verify();
        assert!(!verified.valid);
        let last = verified.checks.last().unwrap();
        assert!(!last.ok && verified.checks.iter().filter(|check| !check.ok).count() == 1);
        (last.name, last.detail.clone())
    }
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn plan() -> Plan {
    let probes: Vec<String> = (0..12).map(|at| format!("say {at}")).collect();
    Plan::new(TEST, "it is ours", &8, &probes).unwrap()
}

/// A suspect that repeats all but the third question; the fourth fails at first.
fn case() -> Case {
    let plan = plan();
    let leaves = Leaves::of(&plan).unwrap();
    let commitment = Commitment::new(&leaves, at(0));
    let file = commitment.to_file(&key()).unwrap();
    let mut transcript = Transcript::new(&file);
    let mut lines = String::new();
    let mut push = |event, second| {
        lines += &transcript.push(event, at(second)).unwrap();
        lines.push('\n');
    };
    push(Event::Suspect { name: "local".to_owned(), about: vec![] }, 1);
    push(Event::Failed { probe: 0, message: "busy".to_owned() }, 1);
    let mut session = plan.start().unwrap();
    while let Some(Step { probe, request }) = session.next().unwrap() {
        let Prompt::Text(text) = &request.prompt else { panic!() };
        let text = if probe == 2 { "no".to_owned() } else { text.clone() };
        let answer = Completion { text, ..Completion::default() };
        session.observe(&answer).unwrap();
        push(Event::Asked { probe, request, answer }, 2 + probe as i64);
    }
    let (entries, link) = transcript.end();
    let outcome = Outcome {
        schema: 1,
        commitment: commitment.root,
        commitment_file: chain::file_digest(&file),
        entries,
        link,
        ending: Ending::Rule,
        finding: session.finding(),
        time: at(60),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Case {
        commitment: file,
        leaves: leaves.to_text().into_bytes(),
        transcript: lines.into_bytes(),
        outcome: outcome.to_file(&key()).unwrap(),
    }
}

#[test]
fn a_whole_bundle_is_valid_and_its_finding_is_computed_again() {
    let verified = case().verify();
    assert!(verified.valid, "{:?}", verified.checks);
    let finding = verified.finding.unwrap();
    assert_eq!((finding.n, finding.statistics.get("hits")), (0, Some(&json!(7))));
    assert_eq!(verified.suspect.as_deref(), Some("local"));
    assert_eq!(verified.committed, Some(at(0)));
}

#[test]
fn leaves_that_were_not_asked_may_stay_hidden() {
    let whole = case();
    let leaves = Leaves::parse(std::str::from_utf8(&whole.leaves).unwrap()).unwrap();
    let shown = leaves.redacted(|leaf| leaf <= 8).unwrap();
    assert_eq!(leaves.plan().unwrap(), plan());
    assert!(matches!(shown.plan(), Err(LeafError::ProbeHidden { probe: 8 })));
    let text = shown.to_text();
    assert!(text.contains("say 7") && !text.contains("say 8") && text.contains("it is ours"));
    assert_eq!(shown.digests(), leaves.digests());
    let redacted = Case { leaves: text.into_bytes(), ..whole.clone() };
    assert!(redacted.verify().valid);
    // One that was asked may not.
    let leaves = leaves.redacted(|leaf| leaf < 8).unwrap().to_text().into_bytes();
    let (name, detail) = Case { leaves, ..whole }.fault();
    assert_eq!((name, detail.contains("probe 7 is due, and hidden")), ("transcript", true));
}

#[test]
fn no_byte_can_be_changed_unseen() {
    let whole = case();
    let mut wrong = 0;
    let files: [fn(&mut Case) -> &mut Vec<u8>; 4] = [
        |case| &mut case.commitment,
        |case| &mut case.leaves,
        |case| &mut case.transcript,
        |case| &mut case.outcome,
    ];
    for file in files {
        let length = file(&mut whole.clone()).len();
        for position in 0..length {
            for change in [1, b' ' ^ b'\n'] {
                let mut case = whole.clone();
                file(&mut case)[position] ^= change;
                assert!(!case.verify().valid, "byte {position} of {length}");
                wrong += 1;
            }
        }
        let mut case = whole.clone();
        file(&mut case).push(b'\n');
        assert!(!case.verify().valid);
        file(&mut case).truncate(length - 1);
        assert!(!case.verify().valid);
        file(&mut case).clear();
        assert!(!case.verify().valid);
    }
    assert!(wrong > 10_000);
}

#[test]
fn what_is_wrong_is_named() {
    let whole = case();
    // Another key.
    let other = SecretKey::from_bytes(&[8; 32]);
    assert!(!verify(&whole.files(), Some(&other.public())).valid);
    // A transcript in another order.
    let text = String::from_utf8(whole.transcript.clone()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(4, 5);
    let transcript = (lines.join("\n") + "\n").into_bytes();
    let (name, detail) = Case { transcript, ..whole.clone() }.fault();
    assert_eq!((name, detail.contains("entry 6 stands")), ("transcript", true), "{detail}");
    // An entry left out at the end.
    lines.swap(4, 5);
    let transcript = (lines[..9].join("\n") + "\n").into_bytes();
    let (name, detail) = Case { transcript, ..whole.clone() }.fault();
    assert_eq!((name, detail.contains("10 entries; the transcript has 9")), ("outcome", true));
    // A probe swapped after the commitment.
    let mut probes = plan().probes;
    probes[4] = Value::from("say something else");
    let swapped = Leaves::of(&Plan { probes, ..plan() }).unwrap();
    let swapped: Vec<String> = swapped.to_text().lines().map(str::to_owned).collect();
    let own = String::from_utf8(whole.leaves.clone()).unwrap();
    let mut leaves: Vec<&str> = own.lines().collect();
    leaves[5] = &swapped[5];
    let leaves = (leaves.join("\n") + "\n").into_bytes();
    let (name, detail) = Case { leaves, ..whole }.fault();
    assert_eq!((name, detail.ends_with("committed to: probe 4")), ("leaves", true), "{detail}");
}

#[test]
fn the_signer_cannot_ask_otherwise_than_committed() {
    let whole = case();
    let valid = |probe: usize, text: &str| {
        let mut transcript = Transcript::new(&whole.commitment);
        let mut step = plan().start().unwrap().next().unwrap().unwrap();
        step.request.prompt = Prompt::Text(text.to_owned());
        let answer = Completion { text: text.to_owned(), ..Completion::default() };
        let asked = Event::Asked { probe, request: step.request, answer };
        let lines = transcript.push(asked, at(3)).unwrap() + "\n";
        verify(&Files { transcript: lines.as_bytes(), outcome: None, ..whole.files() }, None).valid
    };
    assert!(valid(0, "say 0"));
    assert!(!valid(1, "say 1"));
    assert!(!valid(0, "say 1"));
}

#[test]
fn a_finding_must_follow() {
    let whole = case();
    let mut outcome = Outcome::from_file(&whole.outcome, &key().public()).unwrap();
    outcome.finding.log10_p = Some(-9.0);
    let file = outcome.to_file(&key()).unwrap();
    let (name, detail) = Case { outcome: file, ..whole.clone() }.fault();
    assert_eq!((name, detail.contains("log10_p ")), ("outcome", true), "{detail}");
    outcome.finding.log10_p = whole.verify().finding.unwrap().log10_p;
    outcome.ending = Ending::Early;
    let file = outcome.to_file(&key()).unwrap();
    assert!(Case { outcome: file, ..whole.clone() }.fault().1.contains("its rule had ended"));
    outcome.ending = Ending::Rule;
    outcome.commitment_file = Digest([0; 32]);
    let file = outcome.to_file(&key()).unwrap();
    assert!(Case { outcome: file, ..whole }.fault().1.contains("another commitment"));
}

#[test]
fn a_token_must_name_the_commitment() {
    use sha2::Digest as _;
    let whole = case();
    let mut token = b"\x30\x82 some structure ".to_vec();
    token.extend(sha2::Sha256::digest(&whole.commitment));
    let files = Files { token: Some(&token), ..whole.files() };
    assert!(verify(&files, None).valid);
    token[20] ^= 1;
    let files = Files { token: Some(&token), ..whole.files() };
    assert!(!verify(&files, None).valid);
}

#[test]
fn packing_loses_nothing() {
    let whole = case();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let files = [("outcome.json", &whole.outcome), ("leaves.jsonl", &whole.leaves)];
    let packed = Packed {
        touchmark_bundle: 1,
        files: files.map(|(name, file)| (name.to_owned(), text(file))).into(),
        token: None,
    };
    let file = packed.to_file().unwrap();
    assert!(Packed::is_one(&file));
    assert_eq!(Packed::from_file(&file).unwrap(), packed);
    for position in 0..file.len() {
        let mut changed = file.clone();
        changed[position] ^= 1;
        assert!(
            Packed::from_file(&changed).is_err_and(|_| true)
                || Packed::from_file(&changed).unwrap() != packed
        );
    }
}
