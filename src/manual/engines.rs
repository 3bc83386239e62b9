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
