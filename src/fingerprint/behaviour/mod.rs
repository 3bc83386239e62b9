//! Tests of what a model answers, with what the reference answered beforehand.
//!
//! | test | module | null | asks for |
//! |---|---|---|---|
//! | one-token answers, sequential | [`exchange`] | sampling | one token, often stops early |
//! | ranks of one-token answers | [`rank`] | sampling | one token, a fixed number of queries |
//! | distance of whole answers | [`distance`] | sampling | some tokens, a fixed number of queries |
//! | drift of log-probabilities | [`drift`] | sampling | log-probabilities of one token |
//! | agreement of greedy answers | [`lineage`] | population | some tokens, greedily |
//!
//! All that the reference contributes is in the probes: whoever has rule, probes and answers can compute the finding again
//! without the reference.

mod answer;
mod asking;
mod chance;
mod checks;
pub mod distance;
pub mod drift;
pub mod enrolment;
pub mod exchange;
pub mod lineage;
mod permuted;
pub mod protocol;
pub mod rank;

use crate::stats::LogP;

use super::{Finding, Verdict};
pub use answer::symbol;
pub use chance::Chance;
use protocol::Counted;

/// Puts the protocol between a finding and CHANGED: it stands only where the suspect is known to be asked as the reference was.
/// `first` says whether the enrolled protocol was rejected.
fn gated(mut finding: Finding, first: bool, counted: Counted, assumed: bool) -> Finding {
    if counted == Counted::Otherwise {
        finding = finding.warn(
            "The suspect counts the tokens of prompts otherwise, and not by a constant: it reads them with another tokenizer.",
        );
    }
    let fault = match counted {
        Counted::Offset(by) => Some(format!(
            "Protocol: the suspect counts {by:+} tokens in every prompt, as a system prompt or a template of its own does; answers \
             under different protocols cannot be compared."
        )),
        Counted::Unknown if !assumed && finding.verdict == Verdict::Changed => Some(
            "Protocol: the suspect does not count the tokens of prompts, so that a system prompt or a template of its own cannot \
             be ruled out; if the protocol is known to be the enrolled one, plan the test with that assumption."
                .to_owned(),
        ),
        _ if first && finding.verdict == Verdict::NotShown => Some(
            "Protocol: the answers are not those of the enrolled protocol, but may be those of the same model under another member \
             of the null."
                .to_owned(),
        ),
        _ => None,
    };
    match fault {
        Some(fault) => {
            finding.verdict = Verdict::Inconclusive;
            finding.warn(fault)
        }
        None => finding,
    }
}

/// A p-value with its logarithm rounded up at the ninth place, where machines' arithmetic may differ.
fn rounded(p: LogP) -> LogP {
    LogP::new(((p.log10() * 1e9).ceil() / 1e9).min(0.0)).unwrap_or(LogP::ONE)
}
