//! Messages in marks: the code that spreads a message over tokens, and its decoder.
//!
//! Every token that counts looks at a few neighbouring bits of the message through a check of its own, which the key and the
//! context choose ([`Check`]), and so carries one symbol of an endless code: a circular (tail-biting) convolutional code
//! whose taps differ from token to token. The symbol turns the words of the token's draw; nothing else about a scheme
//! changes. [`Decoder`] sums over all messages at once, so the evidence that *some* message is there, and how probable
//! each is, come without a search. Why this code and what it costs: the manual's page on payloads.
//!
//! Called by `schemes`. Knows nothing of keys, tokens or laws: checks, words and likelihoods come in, messages come out.

mod code;
mod decode;
mod trellis;
mod walsh;

pub use code::{Check, Code, CodeError};
pub use decode::{Candidate, Decoded, Decoder, Posterior};
