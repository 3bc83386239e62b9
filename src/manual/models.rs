//! Which models run, where they come from, and what their numbers are worth.
//!
//! # Sources
//! A folder in transformers' form (`config.json`, `tokenizer.json`, safetensors in one file or shards), a GGUF file (its
//! tokenizer and chat template are read from the file), or an id on a hub. Pickle files are never opened. What a file
//! claims is held against its size before memory is taken; a tensor that is missing, left over, of another shape, or
//! not a number is an error. A link out of a model's folder is refused, but for the blobs of a hub's cache.
//!
//! The hub client is our own, over a plain HTTP library: of the ready-made ones, the older neither checks hashes nor
//! keeps to time limits, and the newer neither resumes a file nor checks it and takes ten times as long to build. Files
//! that a hub offers only through its chunk store (above 50 GB) cannot be fetched.
//!
//! # Families
//! | `model_type` | GGUF architecture | what is its own |
//! |---|---|---|
//! | `llama` (1, 2, 3.x, SmolLM 1 and 2) | `llama` | rotary scaling: linear, llama3, yarn |
//! | `mistral` | `llama` | a window in every layer |
//! | `qwen2`, `qwen3` | `qwen2`, `qwen3` | biases; normalised heads |
//! | `gemma`, `gemma2`, `gemma3_text` | `gemma`\*, `gemma2`, `gemma3` | soft caps, windows, two rotary embeddings |
//! | `phi3` | `phi3` | fused matrices, partial rotation, LongRoPE up to the length of the first training |
//! | `olmo2`, `olmo3` | `olmo2` | normalisation after each block |
//! | `granite` | `granite` | four multipliers |
//! | `smollm3` | | layers without positions |
//!
//! Each has a tiny random checkpoint in the tests with the logits of transformers: prefill, cached, batches of mixed
//! lengths, f32 and bf16, 64 greedy tokens. \* Read by the rules of `gemma2`; no GGUF file of the first Gemma is among
//! the tests. Everything else is refused by name: dynamic scaling, `mscale`, LongRoPE and YaRN in GGUF files, mixtures of
//! experts, vision.
//!
//! # What the numbers are worth
//! On the CPU weights stay in the format of the file and arithmetic is in f32. Greatest difference of a logit from
//! transformers over all checkpoints: 3.3e-5 in f32, 9.9e-6 with weights rounded to bf16. Quantised weights keep their
//! integers, and the rows they meet are rounded to 16 bits under a scale for 32 inputs: at most 1.2e-3 from the
//! dequantised model in f32, where llama.cpp, with 8 bits, was off by 0.13 to 0.56 on the same files. The bits of a row
//! depend neither on its batch, nor on threads, nor on the vectors of the processor.
//!
//! The form for other devices computes in the weights' format with statistics, probabilities and logits in f32, over
//! candle's kernels: at most 2.3e-5 from transformers in f32 on the CPU. Its bits depend on the shapes of a step. Which
//! tokens a mark favours never depends on a device: draws are integers made on the host.
//!
//! # Tokenizers of GGUF files
//! A GGUF file holds a vocabulary, not the authors' `tokenizer.json`. The tokenizer made from it gives the same ids, but
//! is another file with another hash: a profile made from one form of a model does not fit the other. Make the profile
//! from the form that will write, and give it away with its tokenizer.
