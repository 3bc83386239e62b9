//! Was a model trained on marked text?
//!
//! Text with a mark leaves a trace in whoever is trained on it: after a context the student expects the tokens that the teacher was
//! made to prefer there, a little more than it would. The trace is small at each context and adds up over many.
//!
//! | the suspect | what is weighed | module |
//! |---|---|---|
//! | its weights are at hand | what it expects while reading, minus what a known base does | [`Readers`] |
//! | it can only be asked, or only its text is at hand | what it says | [`Speech`] |
//!
//! Both give a [`Transcript`]: contexts, tokens and weights, made without the key. Weighed under a key ([`Weighed`]) it gives
//!
//! ```text
//! S = Σ_w Σ_v q_w(v) · evidence(w, v)
//! ```
//!
//! whose law over a random key is known, since the key is independent of all that q was made from: the p-value is exact, or a proven
//! bound. Summing q over all positions with one context first is what makes it so: one context has one list, however often it comes.
//! [`Decoys`] are other keys on the same transcript, and controls the same test where there is nothing to find; a [`Rule`] puts them together.
//!
//! After Sander et al., "Watermarking Makes Language Models Radioactive", NeurIPS 2024 (arXiv 2402.14904), whose reading mode takes the
//! likeliest token alone; the difference to a base, the sum by context and the laws of weighted sums are this project's.

mod concentration;
mod decoys;
mod error;
mod looks;
mod pilot;
mod reading;
mod result;
mod shared;
mod speech;
mod transcript;
mod weighed;

pub use concentration::Concentration;
pub use decoys::{DecoyKind, Decoys, Drawing, Way};
pub use error::AttributionError;
pub use looks::Looks;
pub use pilot::{Pilot, SHARE_EXPONENTS};
pub use reading::{Expected, Read, Readers};
pub use result::{
    Account, Attribution, Control, Judged, Mark, Measured, Rule, Setting, Statistic, Verdict,
};
pub use shared::{Shared, Surfaces, Text};
pub use speech::{Heard, Speech};
pub use transcript::{Chosen, Gatherer, Slot, Transcript};
pub use weighed::Weighed;
