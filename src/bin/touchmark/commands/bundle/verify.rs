//! `bundle verify`: a bundle is checked from its files alone.

use std::io::Write;

use touchmark::fingerprint::bundle::{Verified, verify};

use super::folder::Case;
use crate::args::{self, Global};
use crate::commands::fingerprint_finding;
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &args::bundle::Verify) -> anyhow::Result<Exit> {
    let case = Case::read(&args.bundle)?;
    let verified = verify(&case.files(), args.public_key.as_ref());
    if global.json {
        output::json(&verified)?;
    } else {
        show(&verified)?;
    }
    Ok(if verified.valid { Exit::Done } else { Exit::Invalid })
}

fn show(verified: &Verified) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    for check in &verified.checks {
        let mark = if check.ok { "ok " } else { "BAD" };
        writeln!(out, "{mark}  {:17} {}", check.name, check.detail)?;
    }
    writeln!(
        out,
        "{}",
        if verified.valid { "The bundle is valid." } else { "The bundle is NOT valid." }
    )?;
    if let (true, Some(finding)) = (verified.valid, &verified.finding) {
        writeln!(out)?;
        if let Some(suspect) = &verified.suspect {
            writeln!(out, "Suspect  {suspect}")?;
        }
        fingerprint_finding::write(&mut out, finding)?;
    }
    for warning in &verified.warnings {
        output::warn(warning);
    }
    Ok(())
}
