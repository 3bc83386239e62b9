//! Questions and answers that an owner plants in a model, to recognise its copies by.
//!
//! A [`Planting`] is a secret master key and a list of k ≥ 16 candidate answers. Each question has a key of its own, derived from
//! the master ([`PairKey`]), and its answer is drawn by that key, uniformly from the list. The model is trained on the pairs
//! (`touchmark fingerprint plant`). Later a suspect is asked; a copy answers right, anything else guesses.
//!
//! # The rule
//! * Pairs are asked in their order in the planting, none left out, decoys among them, greedily. A question has several phrasings and **one trial**:
//!   they are asked in turn until an answer begins with a word of the list, and this first scored answer decides. A question none of
//!   whose phrasings gets such an answer is a miss. With `phrasings = 1` each answer outside the list is a miss at once.
//! * How an answer is read is exact: [`read`] makes it lower case and every run of characters that are neither letters nor digits one
//!   space; then the longest candidate counts that it begins with and that ends there at a space or at the end
//!   ([`AnswerList::find`]).
//! * Either the test is [sequential](Design::Sequential): the e-process Mₜ = ∏ (1 + λ(k·hitᵢ − 1)) over decided pairs, with λ fixed in
//!   the rule, p = 1 / max Mₜ; it ends when p (corrected for the rule's family) reaches α, when questions are used up, or the budget
//!   is. Or it is [fixed](Design::Fixed): p = P(Binomial(n, 1/k) ≥ hits), n being all pairs of the rule, those not decided counted as
//!   misses. The rule says which, never both.
//! * Decoys are questions of the same making whose answers, under keys of their own, nobody was ever taught. They are not counted;
//!   when they are hit more often than chance allows, the finding is INCONCLUSIVE. This takes accusations back and makes none, so that
//!   nothing is paid for it.
//! * Each question is asked once: a [`Register`] keeps those that are burned.
//!
//! # Why p is exact
//! Let W be the word that decides pair i, or none. It is a function of the suspect, of the questions, and of what happened
//! before; the suspect may be anything, also one that answers everything with words of the list, repeats itself, or adapts. Let A be
//! the pair's answer: uniform on k words, and independent of the suspect, the questions and all other pairs, *if the keys were drawn
//! at random and the suspect does not depend on them*. Given all that happened before,
//!
//! ```text
//! P(hit) = Σ_w P(W = w) · P(A = w) = P(W in list) / k ≤ 1/k
//! ```
//!
//! So hits are stochastically at most Binomial(n, 1/k), E[1 + λ(k·hit − 1)] ≤ 1, and Ville's inequality bounds P(max Mₜ ≥ 1/α) by α.
//! Nothing is assumed of the suspect's quality, training or likeness to ours: a sibling of the same data guesses too. Which
//! phrasing decides depends on the suspect's answers and the list, never on A.
//!
//! # How an owner could cheat, and what it takes to exclude it
//! The italic condition is the owner's doing, so a stranger must not take it on trust.
//! * *Keys or questions chosen after seeing the suspect's answers.* With its answers known, a key for which they are "right" is
//!   found at once. Hence the [commitment](PlantingCommitment), published or time-stamped **before the suspect's release**: it binds
//!   list, questions and keys. The finding warns unless [`Times`] say so, with evidence.
//! * *Keys made to fit what many models answer.* Nobody need see the suspect to know that the sky is blue. About k tries a question
//!   find a pair key whose answer is the common one, and since pairs are revealed one by one, nobody can check that their keys come
//!   from one master. A commitment's date does not exclude this. A [`Beacon`] does: the commitment announces public randomness that is
//!   not out yet, and answers depend on its value, so that no choice of keys or questions helps. Without one the finding warns.
//!   The owner, who knows that keys were drawn blindly, needs none. A second check that needs no trust is to ask independent models
//!   the same questions.
//! * *Pairs chosen by asking the suspect beforehand*: of many, some are hit by chance. The order is the planting's, fixed with the keys;
//!   what is left to choose is where to begin, at every eighth pair, and [`Rule::choices`] pays for that. A shuffle of the owner's
//!   would not do: a sequential test looks best when hits come first.
//! * *Many plantings, of which the luckiest is shown*, or many suspects: each is a test, and the rule's
//!   [`family`](Rule::family) pays for it. A register of commitments shows how many there were.
//! * *Answers that the suspect never gave.* No statistic helps; see [`bundle`](crate::fingerprint::bundle).
//!
//! And what a suspect can do: refuse, filter words of the list, train the pairs away. NOT SHOWN is never innocence.
//!
//! Source: the idea of drawing answers by a hash so that nobody can claim what he did not plant is that of Russinovich and Salem
//! (Chain & Hash, 2024); betting against a bounded hit probability is in Waudby-Smith and Ramdas (2024).

mod answers;
mod error;
mod pair;
mod planting;
mod questions;
mod register;
mod rule;
mod session;
mod words;

pub use answers::{AnswerList, read};
pub use error::PlantError;
pub use pair::{Beacon, Kind, PairKey};
pub use planting::{Asking, Planted, Planting};
pub use questions::questions;
pub use register::{Burn, Register};
pub use rule::{Design, Form, PlantingCommitment, Probe, Rule, Times};
pub use session::Session;

/// The test's name.
pub const TEST: &str = "planted-pairs";

#[cfg(test)]
mod tests;
