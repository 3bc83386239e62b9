//! # Engines
//!
//! Marks of other engines that are read and made here, bit for bit, and what their own statistics get wrong.
//!
//! ## vLLM
//!
//! `vllm-gumbel` with the function `philox4x32-10-v1` is what vLLM 0.33.0 writes with `--watermark-config`, algorithms
//! `gumbel` and `dual_key_gumbel`. Contexts are of output tokens alone, padded with −1, so a text that is a whole answer is
//! scored from its first token on. The p-value of `dual_key_gumbel` is a gamma law of equal mean and variance there: with
//! α = 0.1 and 20 tokens, texts that it calls one in a million are 1.5 in a million.
//!
//! ## Their p-values and ours
//!
//! One worked number for each statistic: what the tool says of a text, and the exact tail, which is what `detect` says. A
//! test computes every number of this table again (`tests/it/peers/p_values.rs`).
//!
#![doc = include_str!("peer_p_values.md")]
//!
//! Right are vLLM's `gumbel`, SGLang's `combined`, three_bricks' `maryland` and `openai` with `--scoring_method v2`, and
//! MarkLLM's threshold for DiP, which is a valid bound. The faults of the others are of four kinds:
//!
//! - *Normal tails for counts*: lm-watermarking, MarkLLM KGW, three_bricks' `…z` detectors, and transformers, whose formula is no
//!   normal tail either. Unigram-Watermark's `dynamic_threshold` is off by so little that 100,000 texts do not show it.
//! - *Repeats counted*: transformers, MarkLLM KGW and EXP, Unigram-Watermark's `detect`, three_bricks and TextSeal unless told
//!   otherwise. A repeated pair of context and token is the same coin shown twice.
//! - *The best of several looks, unpaid*: lm-watermarking's windows, SGLang's three answers read together, TextSeal's two scores,
//!   MPAC's decoded message.
//! - *One gamma law for a sum of unlike ones*: vLLM's two keys, TextSeal's weights. Small near the middle, it grows with the
//!   evidence.
//!
//! ### On unmarked texts
//!
//! 100,000 texts a cell, each read with a fresh key: share with p ≤ 0.001 (nominal 0.1 %), by kind of text. "×" marks what
//! exceeds its nominal rate at 10⁻², 10⁻³, 10⁻⁴ or 10⁻⁵ by more than chance allows; the whole experiment would blame any valid
//! p-value with a probability of at most 0.001. Exact intervals, all levels and 2,000,000 short texts for the moment-matched laws
//! are in `experiments/peer_p_values`.
//!
#![doc = include_str!("peer_rates.md")]
