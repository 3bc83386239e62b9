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
//! ## transformers, lm-watermarking, text-generation-inference, MarkLLM: green lists of torch
//!
//! `transformers-kgw` is what `generate(watermarking_config=WatermarkingConfig(..))` of transformers 5.17.0 writes,
//! `lm-watermarking` what the code of Kirchenbauer et al. writes with any of its seeding schemes, and, with `additive_prf`, one id and
//! γ = 0.5, what text-generation-inference does; `markllm-kgw` is MarkLLM's `KGW`, which is another scheme. Their lists are
//! the beginnings of `randperm(V)`: V must be theirs, the model's `vocab_size` for transformers and the width of the logits for
//! text-generation-inference, the length of the tokenizer's vocabulary for lm-watermarking. With another V nothing is found.
//!
//! **Only lists made on a CPU can be read.** `randperm` has another generator on CUDA and on MPS, and these tools make their
//! lists on the device of the model. Text that was marked on a GPU is not found by a detector on a CPU, theirs or ours, and
//! no setting helps: read it with their detector on such a device. To write marks that can be read everywhere, make the
//! processor on the CPU and give it the ids and logits there (for transformers: a processor of one's own around
//! `WatermarkLogitsProcessor(vocab_size, device="cpu", ..)`), or mark with a scheme whose function does not depend on the device.
//!
//! **Keys.** Of a seed the generator uses 32 bits. lm-watermarking's functions that end in a hash have 1,000,003 seeds at most,
//! MarkLLM V, the same ones under every key. Such keys keep an honest reader from mistaking one mark for another; they
//! do not keep anybody out who wants to find them. In `lefthash` the id 0 gives the seed 0, and so the same list, under every
//! key: what follows it is marked, but is no evidence here. `selfhash` with transformers' usual width of 1 reads the
//! candidate alone, so that one list holds for the whole text, as in `unigram`. A negative `hashing_key` of `lefthash` is entered as
//! itself plus 2⁶⁴ − 1.
//!
//! **p-values.** That of transformers is 1 − ½(1 + sign(z)(1 − exp(−2z²/π))), which is no normal tail: 28 green tokens of 50
//! at γ = 0.25 are 4.1e-8 there, a normal tail says 2.1e-7, and the lists' own law 2.9e-6, 70 times the first. From z = 7.6
//! on it is 0. `ignore_repeated_ngrams` of transformers does nothing, since it compares tensors by identity: a sentence
//! forty times over counts forty times. lm-watermarking counts an n-gram once and takes the normal tail; its
//! maximum over windows is not corrected, as its authors say. MarkLLM counts repeats, and stops at z > 4.
//!
//! Here each (seed, token) counts once. A list has a fixed size, so the tokens of one list are drawn without replacement,
//! and the count is a sum of hypergeometric ones. Its tail is at most the binomial one from the mean plus 1 on (Hoeffding 1956);
//! below that p is reported as 1.
//!
//! **Cost.** A token's place in a list takes a walk through the list's shuffle: sixteen are walked at once, and a list whose seed comes again is
//! kept, in 256 MiB at most. `selfhash` tests 40 candidates a step (lm-watermarking 41, MarkLLM all), each with a list of
//! its own; where none of the 40 is on its list transformers stops with an IndexError, and the step stays unmarked here. A
//! prompt of exactly `context_width` − 1 ids is marked from its first token on here, from the second on there. Contexts
//! whose candidate takes part have 8 ids at most.
