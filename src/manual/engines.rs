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
//! ## SynthID-Text: transformers and Google's repository
//!
//! `synthid-text` is what transformers 5.17.0 writes with `SynthIDTextWatermarkingConfig`, and synthid-text 0.2.1 with its
//! `SynthIDLogitsProcessor`. Parameters have the tools' names; the key is their list `keys`, up to 64 numbers in their order;
//! `repeats = "single-turn"` is their rule for repeated contexts, with `context_history_size` as the memory.
//!
//! **Two hashes, one version.** `hash = "table"` (`synthid-table`) is transformers and the published package. `hash = "iv"`
//! (`synthid-iv`) is the repository since June 2025: it calls itself 0.2.1 too, was never published as a package, and shares
//! no bit with the other. A text of the one is nothing to the other, so ask which of them wrote it.
//!
//! **What is read.** Contexts are the `ngram_len` − 1 tokens before; the prompt takes no part. Generation begins with a context of
//! zeros, the tools' detectors with the first full n-gram. So does this one for a text that may begin anywhere; of a text that
//! is known to be a whole answer it reads the first `ngram_len` − 1 tokens as well. With `skip_first_ngram_calls` these carry
//! no mark.
//!
//! **No p-value in the tools.** They give a mean score Σ g / (m·n), a weighted mean, or a posterior. A mean score of 0.52 with 30
//! layers is p = 0.06 over 50 tokens, 0.001 over 200 and 2·10⁻¹² over 1,000, so no threshold on it has a false-alarm rate. Both
//! means are tested to be the tools' own to 1e-6. The tools count a context again when it has left their memory; p counts it once.
//!
//! **Sixteen bits.** With the usual table of 65,536 only the low 16 bits of a token, a key and a hash matter: ids 65,536 apart have the
//! same bits, and so have the layers of two numbers of the key that are, which then count as one layer of double weight. By chance
//! 1,000 tokens hold 7.6 pairs of n-grams that read the same bits under every key. Of 50,000 tokens, counted as the tools
//! count, the mean score has 1.76 times the binomial variance: what looks like 1e-6 is 2e-4. Here n-grams that read the same
//! entries count once. A detector that says more than yes or no gives such a key away soon.
//!
//! **Bits that are not independent.** Two n-grams' hashes differ by what no key changes, and each difference has its own small
//! correlation (root mean square 0.004 for the table, 0.030 for `iv`, greatest seen 0.09), over keys. Of ordinary text this
//! comes to nothing: variance 1.00 ± 0.04 of binomial. Text *marked* with one key has n-grams that were chosen for it, and looks a
//! little marked under every other key of the same function. Variance of a layer's sum over 3,000 random numbers, relative to
//! binomial, 16 texts of about 192 scored tokens of each kind:
//!
//! | text | read as `iv` | read as table |
//! |---|---|---|
//! | human | 1.00 (at most 1.07) | 1.00 (1.04) |
//! | unmarked, by a model | 1.03 (1.21) | 1.00 (1.04) |
//! | marked, table, 30 keys | 0.99 (1.09) | 1.05 (1.11) |
//! | marked, `iv`, 30 keys | 1.72 (2.80) | 1.01 (1.05) |
//!
//! It grows with length. With a binomial law 13 % of keys call a 200-token text of another `iv` key marked at a level of 5 %. So
//! p here is of a law with 1 + 3.5·√2·ρ + 12·ρ²·n times the variance: 3.4 times for `iv` at n = 200, 1.06 for the table.
//! The price is length: in `iv` texts very weak marks are not found however long they are. Over layers of one key the same
//! correlations are at work; for the 30 usual keys they make the variance of a token's sum 1.065 times binomial (`iv`).
//!
//! **Posterior.** `detect --bayesian WEIGHTS.json` adds what transformers' `BayesianDetectorModel` says, given its state dictionary as
//! nested lists (`prior`, `likelihood_model_watermarked.beta`, `likelihood_model_watermarked.delta`). Tokens from the first
//! special one on are left out. It is a posterior under a prior and training texts of the user's choosing, for the one key that
//! it was trained with. It bounds no rate of false alarms and decides nothing here.
//!
//! **Files.** transformers 5.17.0 cannot read its own `generation_config.json` back: it takes every `watermarking_config` for
//! one of the green-list kind and stops with a TypeError.
//!
//! **CUDA.** transformers makes its table with `torch.Generator(device=device)` on the device where the model runs. CUDA's generator is
//! Philox, not the CPU's MT19937: under the same seed its table is another one, and marks made with it are not read here. They were
//! not reproduced: which thread draws which bit depends on how the kernel is launched, and there was no table from a GPU to check
//! against. synthid-text 0.2.1 seeds a generator of the device in the same way; `iv` has no table and is the same everywhere.
