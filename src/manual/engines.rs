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
//! ## Importing
//!
//! `touchmark profile import --for TOOL FILE --tokenizer PATH` makes a profile of a tool's own configuration and keeps its
//! key in the keyring; `touchmark profile export ID --for TOOL -o FILE` writes it back. JSON, YAML and Python dicts are read
//! as data: no code, no tags, no aliases, at most 1 MiB. Keys of 64 bits survive to the last bit, negative ones in two's
//! complement, or modulo 2⁶⁴−1 where the tool seeds so. What a tool does not know is an error and not passed over, because
//! a parameter that is misread is a mark that is missed. No message shows a value of the file.
//!
//! | `--for` | what is read | scheme |
//! |---|---|---|
//! | `transformers` | `watermarking_config.json`, or the `generation_config.json` that holds it | `transformers-kgw`, `synthid-text` |
//! | `vllm` | `--watermark-config`, alone or in the YAML of `--config` | `vllm-gumbel` |
//! | `sglang` | `--watermark-config`, at most 4,096 bytes | `sglang-gumbel` |
//! | `synthid` | arguments of `SynthIDLogitsProcessor`; `--hash table` is the package, `iv` the repository since June 2025 | `synthid-text` |
//! | `lm-watermarking` | arguments of `WatermarkDetector`, or of the older one with `hash_key` | `lm-watermarking` |
//! | `tgi` | `WATERMARK_GAMMA`, `WATERMARK_DELTA` as lines of an environment or JSON | `lm-watermarking` |
//! | `llama-cpp` | the list of `--synthid-keys`, a proposal (pull request 28350): `--hash` and `--ngram-len` must be given | `synthid-text` |
//!
//! Three things are in no configuration and must be right all the same:
//!
//! - The tokenizer, to which the profile is bound.
//! - V. Lists and permutations are drawn over the width of the model's logits, which is often more than the tokenizer has
//!   ids (151,936 against 151,643 for Qwen 2.5): give the model with `--model`, or `--vocab-size`. lm-watermarking alone
//!   takes the size of the tokenizer.
//! - The device. transformers, TGI, lm-watermarking and synthid-text 0.2.1 draw their lists or tables with torch on the device of
//!   the model, and torch's CUDA generator is another one: such text cannot be read here. vLLM, SGLang and synthid-text's
//!   `iv` do not depend on the device.
//!
//! A configuration says nothing of sampling: temperature and truncation shape how strong a mark is, and detection does
//! not need them. `touchmark profile export ID --bundle DIR` writes the profile and its tokenizer, never the key, for who
//! shall detect with a key that they have.
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
//!
//! ## MPAC
//!
//! `mpac` with the function `mpac-v1` is the multi-bit mark of bangawayoo/mb-lm-watermarking, with the lists of
//! lm-watermarking that a CPU's generator gives. Lists made on a GPU cannot be reproduced here: write and read with
//! `device="cpu"`. Its key is the `hash_key` of the seeding scheme.
//!
//! The tool's z counts the tokens of the decoded message's colours and compares them with γ, though the decoding chose the
//! colours: with 32 bits and 200 tokens, 93 in 100 unmarked texts pass its threshold z = 4, which it states as p = 3.2e-5.
//! Here p is the exact tail of the sum of the largest counts, so it holds for whatever message is decoded.
//!
//! Two more defects. With `lefthash` and the default `use_position_prf` the processor chooses digits by two ids and the
//! detector by one: of 207 right colours in a vector of ours, it sees 158. Messages of fewer than 16 digits stop the detector
//! with an `IndexError`. Both are read here as they were written. After token 0 `lefthash` has one list for all keys; such
//! tokens do not count.
//!
//! The posterior of a digit takes the bias for what it does to flat distributions; where the model is sure of its next token,
//! less can be known than it says.
//!
//! ## DiPmark and the unbiased watermark
//!
//! `dip` with the function `dip-v1` is MarkLLM's `DIP` with permutations of a CPU's generator (`device="cpu"`); α = ½ is the
//! γ-reweight. Its key is the integer `key` of MarkLLM's configuration. The commits after 876ccb9 make no key bytes: `DIP`
//! stops with an error, and `Unbiased` draws a new key at each start, so that no other process can read its texts. The
//! δ-reweight and MarkLLM's likelihood ratio need the model's distribution of each token and are not read here.
//!
//! MarkLLM's z is (G − (1−γ)n)/√n, without √(γ(1−γ)): at γ = ½ it is half of what it is called, and its threshold 1.513 is
//! a z of 3.03. 136 green of 150 is z = 9.96 and not the 4.98 that it prints; the exact tail is 1.4e-26.
//!
//! ## Kuditipudi
//!
//! `kuditipudi` with the function `key-sequence-v1` reads the sequences of jthickstun/watermark: `gumbel`, `transform` and the
//! demo's numbers, with or without gaps. Its key is the seed, of which 32 bits count. Its statistic is the least cost, so
//! small is strong there; the sum shown here is its negative. p is (1 + #{as strong}) / (1 + draws), draws being fresh numbers
//! for the same tokens, and twice the smaller of that and a bound where one is known.
//!
//! The tool's `permutation_test` and `fast_permutation_test` leave out both ones: with its 100 runs an unmarked text has p = 0
//! once in 101 times. Its demos have them; the one in JavaScript takes the median over blocks where the others take the
//! smallest cost, and reads what they write with less power. Marking here begins at a fixed row, so two answers begin with the
//! same numbers; the tool's default is a random one for each.
