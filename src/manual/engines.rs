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
//! `repeats = "single-turn"` is vLLM's `deduplicate_contexts: single_turn`, `"all-turns"` its `all` (contexts of the prompt
//! count as used and the first `context_width` tokens are unmarked), `"score-once"` the nearest to `none`. `max_history` is
//! its `deduplicate_contexts_max_history`. The choice between two keys is a random number there and here, and neither
//! detector can see it. Tokens that vLLM's GPU kernels pick where two candidates tie within the rounding of 32-bit floats may
//! differ; the detector does not care.
//!
//! ## SGLang
//!
//! `sglang-gumbel` with the function `sglang-murmur3-v1` is what SGLang 0.5.23 writes with `--enable-watermark`. Contexts
//! reach into the prompt and are shorter at its beginning, so a text with its prompt is scored from its first token on, and
//! one without from the token after the first whole context on; SGLang does the same. `mixing_probability` is given where
//! there is a `key_b`: the key is then two numbers. The coin between them depends on the context, so nothing is lost to it.
//! `repeats = "single-turn"` is SGLang's rule: only marked contexts are remembered, by their 32-bit hash, and after 4,096 of
//! them nothing more is marked.
//!
//! SGLang's p-values are right one by one (evidence there is above Exp(1) by half a step of 2⁻³²). It reports five of them
//! with two keys and corrects none: of unmarked texts 1.99 % have a p of 1 % or less for one of the two keys over all
//! positions. Only `combined` is computed here. Two differences remain. SGLang stops after 4,096 distinct contexts; all are
//! scored here. SGLang takes contexts for repeated by their ids, here by the hash that decides their words, which differs for
//! two contexts in 2³². Its sampler applies top-p to the mass of the whole vocabulary, ours to what top-k left, so with both
//! set the same logits may be truncated otherwise; that changes what may be picked, not what is read.
//!
//! ## TextSeal
//!
//! `textseal` with the function `textseal-v1` is TextSeal 0.0.5 with `watermark_type` `gumbelmax` or `greenlist`. Its words
//! have 8,191 levels, so a token's score is at most 9.01. Its SynthID tournaments are not read: round l takes token + l for
//! the token there, so neighbouring ids share most of their bits and a text's evidence is not that of independent tokens.
//!
//! TextSeal drops repeats only if its caller hands over a set to remember them in. Without one, a text of 100 tokens with
//! p = 0.05 has p = 0.011 when it is written out twice. The p-value of `greenlist` is a mid-p: a single green token with
//! γ = 0.5 gives 0.25, which half of all unmarked texts of one token have.
