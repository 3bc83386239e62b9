//! `bundle reveal`: what was asked is opened.

use anyhow::Context;
use touchmark::fingerprint::bundle::{Commitment, Leaves, replay, start};

use super::folder::{self, Case, LEAVES};
use crate::args::{self, Global};
use crate::output::{self, Exit};
use crate::whole_file;

pub fn run(global: &Global, args: &args::bundle::Reveal) -> anyhow::Result<Exit> {
    let case = Case::read(&args.bundle)?;
    let leaves = Leaves::parse(&folder::secret_leaves(&args.bundle)?)?;
    let asked = asked(&case, &leaves)?;
    // Leaf 0 is the head, so probe i is leaf i + 1.
    let shown =
        |leaf: usize| args.all || leaf.checked_sub(1).is_some_and(|probe| asked.contains(&probe));
    let open = (1..leaves.count()).filter(|&leaf| shown(leaf)).count();
    let redacted = leaves.redacted(shown)?.to_text();
    whole_file::write(&args.bundle.join(LEAVES), redacted.as_bytes())?;
    let closed = leaves.count() - 1 - open;
    output::note(
        global.quiet,
        &format!(
            "{open} probes can be read in {LEAVES} now, {closed} stay secret; what can be read is used up."
        ),
    );
    Ok(Exit::Done)
}

/// Places of the probes that the transcript asks.
fn asked(case: &Case, leaves: &Leaves) -> anyhow::Result<Vec<usize>> {
    let (commitment, _) = Commitment::from_file(&case.commitment, None)?;
    let head = leaves.head()?;
    let probes = leaves.probes()?;
    let session = start(&head.test, &head.rule, probes.iter().map(Option::as_ref))?;
    let text = std::str::from_utf8(&case.transcript).context("the transcript is not text")?;
    Ok(replay(session, &case.commitment, commitment.time, text)?.probes)
}
