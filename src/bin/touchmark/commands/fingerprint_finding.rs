//! A finding as people read it.

use std::io::{self, Write};

use touchmark::fingerprint::{Basis, Finding, Null};

use crate::output;

pub fn write(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    writeln!(out, "{}  {}", finding.verdict.words(), finding.test)?;
    if let Some(corrected) = finding.log10_p_corrected {
        writeln!(
            out,
            "  log10 p  {}  (threshold {}; {})",
            output::log10_p(corrected),
            output::log10_p(finding.threshold_log10_p),
            basis(finding.basis)
        )?;
    }
    let null = match finding.null {
        Null::Sampling => "sampling",
        Null::Population => "population",
    };
    writeln!(out, "  null     {null}: {}", finding.null_text)?;
    writeln!(out, "  family   {}", finding.family)?;
    for (name, value) in &finding.statistics {
        if value.is_number() || value.is_string() {
            writeln!(out, "  {:24} {value}", name.replace('_', " "))?;
        }
    }
    for warning in &finding.warnings {
        writeln!(out, "  note: {warning}")?;
    }
    Ok(())
}

/// Where a p-value comes from, in words.
pub fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Exact => "exact, or an upper bound",
        Basis::Panel => "by rank in a panel",
        Basis::ModelBased => "model-based",
        Basis::Descriptive => "a description, not evidence",
    }
}
