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
//! ## Unigram-Watermark
//!
//! `unigram-watermark` with the function `numpy-shuffle-v1` is the mark of XuandongZhao/Unigram-Watermark and of MarkLLM's
//! `Unigram`: one green list for a key. Its key is the integer of `--wm_key`; only 32 bits of its hash matter. The list has
//! exactly ⌊fraction·V⌋ tokens, and a text's distinct tokens are drawn from V without replacement: p is the hypergeometric
//! tail. The tool's `detect` counts a word as often as it occurs: a text of one green token, a hundred times, has z = 10
//! (p = 8e-24), where a list of half the vocabulary has that token one time in two. Its `unidetect` counts distinct tokens,
//! with a normal law: 20 green of 20 is z = 4.47 and p = 3.9e-6, where the hypergeometric tail at V = 50,257 is 9.5e-7.
//!
//! A key that meets frequent words well makes false alarms on all texts of a language; the rate is right on average over keys
//! only. See the page on statistics.
