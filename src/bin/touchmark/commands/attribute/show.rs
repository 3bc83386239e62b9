//! A result as people read it.

use std::io::{self, Write};

use touchmark::attribution::{Attribution, DecoyKind, Measured, Verdict};

use crate::output;

pub fn write(out: &mut impl Write, found: &Attribution) -> io::Result<()> {
    let judged = &found.judged;
    writeln!(
        out,
        "{}  {} trained on text marked by profile \"{}\"",
        judged.verdict.words(),
        found.suspect,
        found.mark.profile
    )?;
    let kind = if found.primary.exact { "exact" } else { "an upper bound" };
    writeln!(
        out,
        "  log10 p  {}  (threshold {}; {kind}; {})",
        output::log10_p(judged.log10_p_corrected),
        output::log10_p(judged.threshold_log10_p),
        judged.family
    )?;
    writeln!(out, "  null     {}", found.null)?;
    line(out, "primary", &found.primary)?;
    for measured in &found.beside {
        line(out, "beside", measured)?;
    }
    for control in &found.controls {
        line(out, &format!("control: {}", control.name), &control.measured)?;
    }
    let decoys = &found.decoys;
    let drawn = match decoys.kind {
        DecoyKind::Keys => "other keys",
        DecoyKind::StandIns => "drawn lists",
    };
    writeln!(
        out,
        "  decoys   {} of {} {drawn} reach it (p {:.4})",
        decoys.at_least,
        decoys.count,
        10f64.powf(decoys.log10_p)
    )?;
    for account in found.accounts.iter().filter(|account| account.verdict == Verdict::Shown) {
        writeln!(
            out,
            "  account  {}  log10 p {}",
            account.name,
            output::log10_p(account.log10_p_corrected)
        )?;
    }
    let made = found.suspect_made.as_ref().map_or_else(
        || "the test takes it that this was before the suspect was made".to_owned(),
        |made| format!("the suspect was made {made}, as you say"),
    );
    writeln!(out, "  key      {} committed {}; {made}", found.mark.key_id, found.mark.key_created)?;
    for reason in &judged.reasons {
        writeln!(out, "  why: {reason}")?;
    }
    for warning in &found.warnings {
        writeln!(out, "  note: {warning}")?;
    }
    Ok(())
}

fn line(out: &mut impl Write, name: &str, measured: &Measured) -> io::Result<()> {
    writeln!(
        out,
        "  {name}: {}\n           log10 p {}, z {:.1}, surplus {:.4} [{:.4}, {:.4}], {} pairs of {} seeds",
        measured.statistic.words(),
        output::log10_p(measured.log10_p),
        measured.z,
        measured.effect,
        measured.effect_interval[0],
        measured.effect_interval[1],
        measured.pairs,
        measured.seeds
    )
}
