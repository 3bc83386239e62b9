//! # Formats
//!
//! What is written here does not change under its name: text marked today stays detectable.
//!
//! ## PRF `touchmark-v1`
//!
//! All integers little-endian. `‖` is concatenation.
//!
//! ```text
//! binding = BLAKE3( parameters ‖ tokenizer hash (32 bytes) ‖ u32 V )
//! subkey  = BLAKE3-derive_key( "touchmark 2026-11 prf v1", key (32 bytes) ‖ u8 length of name ‖ scheme name ‖ binding )
//! ```
//!
//! `parameters` is the UTF-8 text of [`Spec::canonical`](crate::schemes::Spec::canonical): `name=value` and a newline for
//! each, values in decimal, reals as the integer of their IEEE 754 bits, γ as ⌊γ·2³²⌋, enumerations as their index.
//! The tokenizer hash is BLAKE3 of the tokenizer file. What only shapes the marking (δ, the stage) is not in it.
//!
//! ```text
//! fixed:  seed = BLAKE3-keyed( subkey, u32 0 )
//! left:   seed = BLAKE3-keyed( subkey, u32 h ‖ the h ids before the token, oldest first, u32 each )
//! min:    seed = smallest over those ids of BLAKE3-keyed( subkey, u32 1 ‖ u32 id )
//! self:   seed = smallest over those ids of BLAKE3-keyed( subkey, u32 2 ‖ u32 id ‖ u32 candidate )
//! ```
//!
//! "Smallest" compares the first eight bytes as an integer; the oldest wins ties. h is 1 to 15, so that every message is one
//! BLAKE3 block. A position with fewer than h output ids before it has no seed.
//!
//! ```text
//! word(token, stream) = 32-bit word number `token` of the ChaCha8 keystream with key = seed, 64-bit counter from 0,
//!                       64-bit nonce = stream
//! ```
//!
//! Streams: 0 is the (first) key; tournament layer l is bit l mod 32 of stream ⌊l/32⌋; 64 is the second key of dual-key
//! schemes; 128 is for messages. Vectors, made by another implementation: `tests/it/golden/prf.json` and `prf.py`.
//!
//! ## Tenants' keys
//!
//! ```text
//! subkey       = BLAKE3-derive_key( "touchmark 2026-11 tenant keys v1", key (32 bytes) )
//! tenant's key = BLAKE3-keyed( subkey, name )
//! ```
//!
//! The name is 1 to 128 visible ASCII characters, as bytes. Keys of other engines have no tenants. Rows name such a key
//! `<key id>/<name>`. Vectors, made by another implementation: `tests/it/golden/tenants.json` and `tenants.py`.
//!
//! ## PRFs of other engines
//!
//! `philox4x32-10-v1`, `sglang-murmur3-v1`, `synthid-table`, `synthid-iv`, `transformers-kgw-torch-cpu`,
//! `lm-watermarking-torch-cpu`, `markllm-kgw-torch-cpu`, `textseal-v1`, `numpy-shuffle-v1`, `mpac-v1`, `dip-v1`,
//! `key-sequence-v1`, `markllm-exp-torch-cpu`, `three-bricks-torch-cpu` and `vllm-sbw-pr56859` are described where they are written, in `src/prf/`; each is held to vectors that the other engine's
//! own code made. What they are worth is on the page on [`engines`](crate::manual::engines).
//!
//! ## Profile
//!
//! TOML; see [`Profile`](crate::profile::Profile) for an example. Unknown fields are refused.
//!
//! ## Key file
//!
//! TOML, mode 0600 in a folder of mode 0700: `schema`, `id`, `created`, `retired`, `commitment`, `salt`, `secret` (the last
//! two 64 hexadecimal digits; `secret` of another engine's key is a list of its 64-bit numbers as decimal texts, negative
//! ones in two's complement). commitment = BLAKE3-derive_key("touchmark 2026-11 key commitment v1", salt ‖ key), a
//! key of numbers being u32 count ‖ the numbers as u64, little-endian; so a published commitment is opened by showing salt and key.
//! An exported key that is imported elsewhere keeps both.
//!
//! ## Rows
//!
//! `detect --format jsonl` writes a [`Row`](crate::detect::Row) for each document and profile. Other forms, attribute
//! files and the folder of `--resume` are on the page on [large runs](crate::manual::runs). `generate` writes `id`,
//! `prompt` or `messages`, `text`, `ids`, `profile` (null without a mark), `marked`, `skipped` (by reason), `finish_reason`
//! and `seed`; an answer is a function of its request, the profile, the key and the seed.
//!
//! ## Calibration
//!
//! JSON; see [`Calibrated`](crate::detect::Calibrated). Rates are computed again when it is read. Its name in rows is the first 12
//! hexadecimal digits of the file's BLAKE3. `documents.blake3` is BLAKE3 of the ascending list of the documents' BLAKE3 hashes
//! (of the text in UTF-8, or of ids as u32 little-endian), 32 bytes each.
//!
//! ## Sketch
//!
//! One or more, one after the other: a line of JSON (`format` "touchmark sketch 1", `mark`, `limit`, `documents`, `tokens`, `small`:
//! how many documents have a p-value, and how many p ≤ 10⁻ᵏ for k = 1 to 20, `entries`), then little-endian the smallest hash that was
//! left out as u64 (all ones for none), and the entries, hash as u64 and evidence as f32, ascending by hash. A mark is
//! `profile/key` and 16 hexadecimal digits that bind profile, key, tokenizer and way of reading.
//!
//! ## Policy file
//!
//! TOML; see [`PolicyFile`](crate::serve::policy::PolicyFile) and the page on [serving](crate::manual::serving). An API key is `tmk-` and 64
//! hexadecimal digits, or whatever else a client sends; the file has BLAKE3-derive_key("touchmark 2026-11 api key v1", its bytes).
//!
//! ## Request log
//!
//! `serve --request-log FILE` appends a line of JSON for each answered request: a
//! [`RequestLine`](crate::serve::RequestLine), of which `prompts` are keyed hashes whose key ends with the process.
//!
//! ## Receipts
//!
//! On their own [page](crate::manual::receipts).
