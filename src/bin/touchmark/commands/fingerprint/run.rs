//! Asking a suspect what a bundle has committed to.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::fingerprint::bundle::{
    Commitment, Ending, Event, Head, Leaves, Outcome, Replayed, replay, start,
};
use touchmark::lm::{Completer, Completion};
use touchmark::provenance::SecretKey;

use crate::assemble;
use crate::commands::bundle::folder::{self, COMMITMENT, OUTCOME, TRANSCRIPT};
use crate::interrupt;
use crate::output;
use crate::whole_file;

/// How much may be spent in one run.
#[derive(Clone, Copy)]
pub struct Budget {
    pub requests: u64,
    pub tokens: u64,
}

/// A bundle whose test is under way.
pub struct Running {
    pub head: Head,
    pub replayed: Replayed,
    commitment: Commitment,
    commitment_file: Vec<u8>,
    transcript: File,
}

impl Running {
    /// Opens a bundle to go on with it: only with the key that it is signed with, and only before its outcome.
    pub fn open(path: &Path, key: &SecretKey) -> anyhow::Result<Self> {
        if path.join(OUTCOME).exists() {
            bail!("the test in {} has ended; its outcome is signed", path.display());
        }
        let commitment_file = folder::optional(&path.join(COMMITMENT))?.with_context(|| {
            format!("{} is not a bundle: make one with touchmark bundle commit", path.display())
        })?;
        let (commitment, _) = Commitment::from_file(&commitment_file, Some(&key.public()))
            .context("this bundle cannot be gone on with")?;
        let leaves = Leaves::parse(&folder::secret_leaves(path)?)?;
        if !commitment.is_whole() || !commitment.differing(&leaves).is_empty() {
            bail!(
                "the secret leaves of {} are not the ones that were committed to",
                path.display()
            );
        }
        let head = leaves.head()?;
        let probes = leaves.probes()?;
        let session = start(&head.test, &head.rule, probes.iter().map(Option::as_ref))?;
        let (transcript, text) = transcript(&path.join(TRANSCRIPT))?;
        let replayed = replay(session, &commitment_file, commitment.time, &text)
            .with_context(|| format!("the transcript in {} is not whole", path.display()))?;
        Ok(Self { head, replayed, commitment, commitment_file, transcript })
    }

    /// What a local suspect's sampling begins with: another number for each bundle, and for each run of it.
    pub fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.commitment.root.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ self.replayed.asked
    }

    /// Asks until the rule ends the test or the budget is used up. None when the suspect gives no more answers.
    pub fn ask(
        &mut self,
        suspect: &mut dyn Completer,
        budget: Budget,
        mut each: impl FnMut(&Replayed),
    ) -> anyhow::Result<Option<Ending>> {
        self.introduce(suspect)?;
        let (mut requests, mut tokens) = (0, 0);
        loop {
            let Some(step) = self.replayed.session.next()? else { return Ok(Some(Ending::Rule)) };
            if requests >= budget.requests || tokens >= budget.tokens {
                return Ok(Some(Ending::Early));
            }
            let (probe, request) = (step.probe, step.request);
            match suspect.complete(&request) {
                Ok(answer) => {
                    requests += 1;
                    tokens += spent(&answer);
                    self.note(Event::Asked { probe, request, answer: answer.clone() })?;
                    self.replayed.session.observe(&answer)?;
                    self.replayed.asked += 1;
                    each(&self.replayed);
                }
                Err(error) => {
                    let message = output::causes(&error.into());
                    self.note(Event::Failed { probe, message: message.clone() })?;
                    output::warn(&message);
                    return Ok(None);
                }
            }
        }
    }

    /// Names the suspect in the transcript, with what it says of itself before anything is paid for.
    fn introduce(&mut self, suspect: &mut dyn Completer) -> anyhow::Result<()> {
        // Which model is behind an address is told by this.
        let about = suspect.about().context("the suspect cannot be reached")?;
        let name = suspect.name();
        match &self.replayed.suspect {
            Some(first) if *first == name => return Ok(()),
            Some(first) => bail!(
                "this bundle has asked {first}; {name} is another suspect, which needs a bundle of its own"
            ),
            None => {}
        }
        self.note(Event::Suspect { name: name.clone(), about })?;
        self.replayed.suspect = Some(name);
        Ok(())
    }

    fn note(&mut self, event: Event) -> anyhow::Result<()> {
        let line = self.replayed.transcript.push(event, assemble::now())? + "\n";
        interrupt::whole(|| {
            self.transcript.write_all(line.as_bytes())?;
            self.transcript.sync_data()
        })
        .context("the transcript cannot be written")
    }

    /// Signs what came out.
    pub fn finish(&self, path: &Path, ending: Ending, key: &SecretKey) -> anyhow::Result<Outcome> {
        let outcome = Outcome::new(
            &self.commitment,
            &self.commitment_file,
            &self.replayed,
            ending,
            assemble::now(),
        );
        whole_file::write(&path.join(OUTCOME), &outcome.to_file(key)?)?;
        Ok(outcome)
    }
}

/// The transcript, to be written at its end, and what is in it. A last line without an end, of a run that was cut, is taken away:
/// it was never told to anybody.
fn transcript(path: &Path) -> anyhow::Result<(File, String)> {
    let failed = || format!("cannot read or write {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path).with_context(failed)?;
    if file.try_lock().is_err() {
        bail!("another run is asking from this bundle");
    }
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(failed)?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text.truncate(whole);
    file.set_len(whole as u64).with_context(failed)?;
    file.seek(SeekFrom::End(0)).with_context(failed)?;
    Ok((file, text))
}

/// Tokens that an answer is paid with; where nothing is said, one for every four characters of it.
fn spent(answer: &Completion) -> u64 {
    let written = answer.completion_tokens.unwrap_or(answer.text.len() as u64 / 4 + 1);
    answer.prompt_tokens.unwrap_or(0) + written
}
