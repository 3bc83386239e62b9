//! # Many keys
//!
//! Which of 10,000 keys marked this text?
//!
//! ## Tenants
//!
//! A 256-bit key has as many tenants as there are names: customers, accounts, deployments. A tenant's key follows from the key
//! and the name ([`Key::tenant`](crate::keys::Key::tenant)), so that none of them is kept, and who learns one of them learns
//! neither another nor the key itself. The profile stays the same.
//!
//! ```text
//! touchmark generate --profile house --tenant acme -p "…"        marks with the key of the tenant "acme"
//! touchmark identify text.txt --profile house --tenants names    says whose mark it is: a name a line
//! touchmark detect corpus/ --profile house --tenants names       the same for every document
//! ```
//!
//! With `--keys` the tenants of each of those keys are tried. The profile's own key is not a tenant: look for it without
//! `--tenants`. Messages ([`payloads`](super::payloads)) are the other way to name an account: one key, and a number that is read
//! from the text rather than tried. Keys of their own are better where a tenant shall hold its key, where accounts shall not be
//! able to forge each other's marks, and for short texts; messages where there are millions of accounts.
//!
//! ## What is said
//!
//! p-values are corrected for every key, of every profile, whether a row tells of it or not. With more than 64 keys rows tell of the 5
//! that a document speaks most for, and of all that are detected; `--top N` asks for another number, and `family` says how many there
//! were. The best of all keys is always among them, so that `detect --finish` comes to the same q-values.
//!
//! ## Screening
//!
//! Of more than 256 keys, and in texts of more than 512 tokens, every key reads the first 512 tokens only. The 64 keys that these
//! speak most for (of each reading of the text) read on to its end, and through its windows.
//!
//! *Why p stays valid.* Let p_k be what key k would have if every key read the whole text. Without screening the smallest p_k,
//! times K keys, is a p-value. With it a key that is read on has that same p_k, corrected by the same K, and keys that are not have
//! none; so the smallest is never smaller than it was. Nothing is assumed of how the choice is made, and it may well
//! depend on the same evidence. Correcting for the 64 alone would be wrong: they were chosen for their evidence.
//!
//! *What it loses.* A mark that begins later. A text that is marked from its beginning and detected at all has a key far
//! above the others by then: among 10,000 keys the 64th best has p ≈ 0.006 on the beginning, where a mark that will be detected, with
//! 10⁻⁶ for all keys together, needs 10⁻¹⁰ on the whole. But where only a later passage is marked, the beginning says nothing, and
//! the right key reads on by luck, 64 times in K. Rows say so in `family`: "only keys that the first 512 tokens speak most for were read
//! to the end: a mark that begins later may be missed". `--screen off` lets every key read everything; `--screen N` screens on the
//! first N tokens. Marks that judge whole texts (`mpac`, `kuditipudi`, any mark with a message) are not screened.
//!
#![doc = include_str!("many_keys.md")]
//!
//! ## Speed
//!
//! Which positions of a text count does not depend on the key where the seed reads the whole context (`left`, and the one seed of
//! `unigram`): it is found once for all keys, and then sixteen keys are computed at a time, the same context in every lane.
//! The whole program (`detect` with 10,000 tenants, texts of 800 tokens, windows, `--screen off`) read 33 million tokens × keys
//! a second of one core's time with `kgw`, 35 with `synthid`, 20 with `gumbel`, whose evidence takes a logarithm; AVX-512, the machine being
//! busy. `cargo bench --bench identify` measures the search alone. Other seeds and other engines' functions read a text key by key, sixteen positions at
//! a time.
