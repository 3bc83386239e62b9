//! Why a test cannot be made.

use crate::keys::KeyError;
use crate::lm::LmError;
use crate::schemes::SpecError;
use crate::stats::StatsError;
use crate::tokens::TokenizeError;

/// Why a test cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttributionError {
    /// The mark's tokens say nothing alone, or too little is known of their law.
    #[error(
        "{scheme} gives single tokens no evidence whose law is known, so training on it cannot be tested; use a scheme whose tokens \
         count one by one, such as kgw, unigram, gumbel or synthid"
    )]
    Untestable {
        /// The scheme.
        scheme: &'static str,
    },
    /// Too little of the text can be read with both tokenizers.
    #[error(
        "only {percent:.0} % of the mark's token boundaries are boundaries of the suspect's tokenizer too, and {least:.0} % are needed; \
         test by what the suspect says instead"
    )]
    Coverage {
        /// Share of the boundaries, in percent.
        percent: f64,
        /// The least.
        least: f64,
    },
    /// Suspect and base do not have the same vocabulary.
    #[error(
        "the suspect has {suspect} logits and the base {base}: their tokens cannot be compared; give the base that the suspect was \
         trained from, or none"
    )]
    Vocabularies {
        /// Of the suspect.
        suspect: usize,
        /// Of the base.
        base: usize,
    },
    /// A number outside its range.
    #[error("{what} is {got}; {wanted}")]
    Invalid {
        /// Which.
        what: &'static str,
        /// Its value.
        got: f64,
        /// What it may be.
        wanted: &'static str,
    },
    /// A model failed.
    #[error(transparent)]
    Model(#[from] LmError),
    /// A key cannot be drawn.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A mark cannot be made of a key.
    #[error(transparent)]
    Mark(#[from] SpecError),
    /// A tokenizer failed.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// A number that is none.
    #[error(transparent)]
    Stats(#[from] StatsError),
}
