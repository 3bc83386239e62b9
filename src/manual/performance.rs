//! # Performance
//!
//! Medians of `cargo bench` on one Xeon core with AVX-512 (two where it says so), scribe-16m in bf16 on the CPU. Compare
//! ratios: machines differ. `experiments/bench_tables.py` writes these tables from criterion's results.
//!
//! Scoring goes from ids to evidence, repeats counted once; one tokenizer core reads about 1.8 million tokens a second, so
//! scoring is a small part of detection from text. A step is sampling and marking given the logits; the row "none" is the
//! same step without a mark. `sweet` also computes the entropy of the distribution, `self` tests 40 candidates.
//!
#![doc = include_str!("performance.md")]
//!
//! ## Decoding beside other engines
//!
//! Greedy decoding without a mark, models of random weights, each engine in turn on one machine (`experiments/decode_peers`). One
//! sequence cannot be decoded faster than memory gives the weights, unless a cache holds them; with eight sequences arithmetic is
//! what is waited for.
//!
#![doc = include_str!("decode_peers.md")]
