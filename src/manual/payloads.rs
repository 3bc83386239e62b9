//! # Messages in marks
//!
//! `gumbel` (with one key) and `kgw` (`left` or `min` seeds) take a parameter `payload_bits`, k = 8 to 64. Each answer then
//! carries a message of k bits, `generate --payload`, such as the number of an account or a request. Profiles with another k,
//! or without, share no words.
//!
//! ## How
//!
//! The draw of each position says, by words that depend on key and context alone, which ν + 1 neighbouring bits of the message
//! the position looks at (ν = 10, or k − 1 if that is less; the bits form a circle), and through which taps: elements
//! of GF(q) without zero, q = 16 for `gumbel`, and for `kgw` the smallest power of two with q·γ ≥ 1, at most 16.
//!
//! ```text
//! symbol c = XOR over b = 0 … ν of  m_(i−b) · tap_b           word' = word + c·2³²/q  mod 2³²
//! ```
//!
//! Scheme and sampler go on with the turned words. Uniform words stay uniform, so `gumbel` still does not change the model's
//! distribution, whatever the message. For `kgw` at γ = 1/q a symbol names one of q lists that share out the vocabulary.
//! All tokens together are a circular convolutional code whose taps differ from token to token: no token is wasted where a text
//! is long, every bit is looked at by many tokens, and two messages that differ in one bit differ in every symbol that
//! looks at it. The step's words and taps are written down in [`Code::check`](crate::payload::Code::check), with vectors of
//! another implementation in `tests/it/golden/prf.json`.
//!
//! ## What is read
//!
//! - **Marked at all**: `log10_p`. With Λ(m, s) the likelihood ratio of a text marked with message m at strength s against
//!   one without the mark, E = the mean of Λ over all 2^k messages and a few strengths. Over keys, each Λ has a mean of at most
//!   one when the text is independent of the key, and so has E; so P(E ≥ 1/p) ≤ p (Markov). That p does not depend on
//!   which message is decoded, and no message is searched for. E is summed along the code's trellis; parts that are left out
//!   make it smaller, never larger. Markov's bound is not tight: real rates are well below nominal.
//! - **Which message**: the likeliest, its probability, the next likeliest and theirs, and for every bit the probability of a
//!   one, all *given that the text carries a message of this mark*, every message being equally likely beforehand. They are
//!   as good as the strengths assumed; below, mean probability stands beside the share that was right.
//! - **A message that was known beforehand**: `log10_p_if_known`, the p-value of a mark without messages. Only valid for a
//!   message that was fixed before the text was looked at: for one of m suspected accounts multiply it by m, for the decoded one
//!   by 2^k.
//!
//! Neither says that an account's owner published the text: others can copy it, and whoever holds the key can write any message.
//! A text of two accounts' passages decodes to one of them at best.
//!
//! ## How many tokens
//!
//! Texts by the bundled model at temperature 1.0 (`experiments/payload`, a fresh key and message for each text), read from the
//! text alone. *known*: found at 10⁻⁶ with the message given, which is the power of a mark without messages.
//!
#![doc = include_str!("payloads.md")]
