//! Whether a model is a copy of another: by its weights, by answers planted in it, by its behaviour.
//!
//! Two nulls, which every [`Finding`] names: *sampling*, "the same model under the same protocol, only sampling noise", whose
//! rejection is CHANGED; and *population*, "an ordinary independent model", whose rejection is RELATED. Absence of evidence is NOT
//! SHOWN, never innocence.
//!
//! | with | module | null |
//! |---|---|---|
//! | the weights of both | [`weights`] | population |
//! | pairs of questions and answers planted beforehand | [`planted`] | population |
//! | answers only | [`behaviour`] | either |
//!
//! What asks a suspect something is a [`Probing`]: a rule and probes that are fixed beforehand. A [`bundle`] commits to them before
//! the first query and lets anybody compute the finding again. [`derive`](mod@derive) makes copies of a model to try all this on.

pub mod behaviour;
pub mod bundle;
pub mod derive;
mod finding;
pub mod lineup;
pub mod planted;
mod probing;
pub mod weights;

pub use finding::{Basis, Finding, Null, Verdict};
pub use probing::{ProbeError, Probing, Step};
