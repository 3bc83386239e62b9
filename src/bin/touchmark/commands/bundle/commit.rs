//! `bundle commit`: a test is fixed before its first query.

use std::io::Write;

use anyhow::Context;
use serde::Serialize;
use touchmark::fingerprint::bundle::{Commitment, Leaves};
use touchmark::provenance::PublicKey;
use touchmark::store::Store;

use super::folder::{self, COMMITMENT, SECRET_LEAVES};
use super::source;
use crate::args::{self, Global};
use crate::assemble;
use crate::output::{self, Exit};
use crate::whole_file;

/// What is said of a commitment.
#[derive(Serialize)]
struct Committed {
    bundle: String,
    test: String,
    hypothesis: String,
    probes: usize,
    root: String,
    time: jiff::Timestamp,
    public_key: PublicKey,
}

pub fn run(global: &Global, args: &args::bundle::Commit) -> anyhow::Result<Exit> {
    folder::check_free(&args.output)?;
    let mut plan = source::plan(args)?;
    if let Some(hypothesis) = &args.hypothesis {
        plan.hypothesis.clone_from(hypothesis);
    }
    plan.start().context("this plan cannot be asked")?;
    let key = assemble::store(global)?.signing_key()?;
    let leaves = Leaves::of(&plan)?;
    let commitment = Commitment::new(&leaves, assemble::now());
    let folder = &args.output;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The secret first: a commitment that nobody can open is worth nothing.
    Store::write_secret(&folder.join(SECRET_LEAVES), leaves.to_text().as_bytes())?;
    whole_file::write(&folder.join(COMMITMENT), &commitment.to_file(&key)?)?;
    source::used(args, &plan, commitment.root)?;
    let committed = Committed {
        bundle: folder.display().to_string(),
        test: plan.test,
        hypothesis: plan.hypothesis,
        probes: plan.probes.len(),
        root: commitment.root.to_string(),
        time: commitment.time,
        public_key: key.public(),
    };
    show(global, &committed)
}

fn show(global: &Global, committed: &Committed) -> anyhow::Result<Exit> {
    if global.json {
        output::json(committed)?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    writeln!(
        out,
        "Committed to {} with {} probes in {}",
        committed.test, committed.probes, committed.bundle
    )?;
    writeln!(out, "Claim       {}", committed.hypothesis)?;
    writeln!(out, "Root        {}", committed.root)?;
    writeln!(out, "Signed by   {}", committed.public_key)?;
    output::note(
        global.quiet,
        "Publish the root, or have commitment.json time-stamped (openssl ts -query -data commitment.json -sha256 -cert) and keep the \
         token beside it as commitment.tsr: only this shows to others that the test was fixed by now.",
    );
    Ok(Exit::Done)
}
