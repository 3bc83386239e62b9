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
