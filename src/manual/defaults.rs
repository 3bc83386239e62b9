//! # Defaults
//!
//! The default profile is `kgw`, left, γ = 0.25, δ = 2, h = 2, `repeats = "score-once"`, at a false-alarm rate of 10⁻⁶ a
//! document. It marks greedy decoding too, needs nothing but the text to be read, and its lists change with every pair of
//! words.
//!
//! - **h = 2**: power is the same for h = 1, 2 and 4 (below), but at h = 1 one key's false-alarm rate strays far from
//!   the nominal one ([`statistics`](super::statistics)); at h = 4 it hardly does. At h = 4 an edited token spoils four positions, at h = 2 two.
//! - **γ = 0.25, δ = 2**: the values of the reference implementation; a stronger bias finds shorter texts and changes the
//!   model more.
//! - **`gumbel` and `synthid`** find much shorter texts here and do not change the distribution, but carry nothing where the
//!   model has no choice, and `gumbel` fixes the answer to a prompt. Their default h is 4.
//!   They leave contexts alone that came before in the answer (`repeats = "single-turn"`): of 200 texts of 400 tokens 1.1 % of
//!   the runs of four tokens were repetitions with `gumbel`, as without a mark (1.3 %), and 18.9 % with `score-once`; another model's
//!   loss does not tell them from unmarked ones; and at temperature 0.7 and top-p 0.95, where this model falls into loops by itself,
//!   median log10 p was −55.7 instead of −24.4 (`experiments/harness/repeats.toml`).
//! - **10⁻⁶**: accusations rest on these verdicts; at 1 %, the default elsewhere, a hundred essays give one false accusation.
//!
//! ## Power
//!
//! Texts by the bundled model at temperature 1.0, read from the text alone (`experiments/power`, 500 texts a row, a fresh key
//! for each). The bundled model is uncertain (3.3 nats a token): a large model's texts carry less per token.
//!
#![doc = include_str!("power.md")]
