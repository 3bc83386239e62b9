//! What is refused in the rules and probes of more than one test.

use crate::fingerprint::ProbeError;

/// A level, or a part that is bet, must lie between 0 and 1.
pub(super) fn fraction(what: &str, value: f64) -> Result<(), ProbeError> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(ProbeError::invalid(what, value, "it must be above 0 and below 1"))
}

/// The number of permutations, or of what else is drawn.
pub(super) fn draws(what: &str, count: u32) -> Result<(), ProbeError> {
    if (1..=1_000_000).contains(&count) {
        return Ok(());
    }
    Err(ProbeError::invalid(what, count, "1 to 1,000,000 are possible"))
}

/// What a rule must have at least one of.
pub(super) fn any(what: &str, count: usize) -> Result<(), ProbeError> {
    if count > 0 {
        return Ok(());
    }
    Err(ProbeError::invalid(format!("number of {what}"), count, "at least one is needed"))
}

/// What a probe must have as many of as the rule.
pub(super) fn as_many(
    what: &str,
    probe: usize,
    got: usize,
    wanted: usize,
) -> Result<(), ProbeError> {
    if got == wanted {
        return Ok(());
    }
    let what = format!("{what} of probe {probe}");
    Err(ProbeError::invalid(what, got, format!("{wanted} are expected")))
}

/// Looks through the probes that are known.
pub(super) fn each<P>(
    probes: &[Option<P>],
    check: impl Fn(usize, &P) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    let mut known = probes.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_ref()?)));
    known.try_for_each(|(at, probe)| check(at, probe))
}
