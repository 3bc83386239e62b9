//! Touchmark: watermark what a language model writes, and find such marks in any text with exact p-values.
//!
//! A watermark is a keyed pattern in the choice of words. Whoever holds the key can say, from a text alone, how rarely
//! text without the mark would look this marked; nobody else can see it. This crate makes marks ([`generate`]) and reads
//! them ([`detect`]); a key and a scheme together are a [`Watermark`](watermark::Watermark). The [`manual`] has the
//! schemes, the statistics, the formats and what a mark cannot prove.
//!
//! ```
//! use touchmark::{detect::Detector, keys::Key, prf::PrfVariant, sampling::*, schemes::*, stats::Family};
//! use touchmark::{tokens::TokenizerHash, watermark::*};
//!
//! let vocabulary = Vocabulary { tokenizer: TokenizerHash::of(b"a toy"), size: 1000, special: vec![] };
//! let mark = Watermark::new(&Key::generate()?, PrfVariant::TouchmarkV1, &Spec::Gumbel(Gumbel::default()), &vocabulary, Repeats::ScoreOnce)?;
//! let (mut text, mut candidates) = (vec![], Candidates::default());
//! let (mut embedder, mut sampler) = (mark.embedder(&[]), Sampler::new(Sampling::default(), 0)?);
//! for _ in 0..60 {
//!     candidates.load(&[0.0; 1000]); // a toy model: every token equally likely
//!     let marked = embedder.mark(&text, &mut candidates, None, sampler.noise());
//!     text.push(if let Marked::Yes(Pick::Token(token)) = marked { token } else { sampler.choose(&mut candidates) });
//! }
//! let found = Detector::new(mark, 1e-6, Family::one(), None)?.detect(&Text::of(&text))?;
//! assert!(found.p.log10() < -30.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! ```text
//!               key + spec
//!                   │
//!   text ids ─► Watermark ◄── prf: Draw(context)       one source of randomness
//!      │         │      │
//!  generate   embed   evidence ─► detect ─► LogP, Verdict, Row
//!    (lm)
//!  adapters: tokenizer  corpus  engine  hub  store  report  serve  cluster     program: src/bin/touchmark
//! ```
//!
//! | layer | modules | may do |
//! |---|---|---|
//! | 0 | [`tokens`], [`keys`], [`stats`], [`gguf`] | values, laws, a file format |
//! | 1 | [`prf`], [`sampling`], [`lm`] | randomness, choice, traits |
//! | 2 | [`schemes`], [`watermark`], [`profile`] | what a mark is |
//! | 3 | [`mod@generate`], [`detect`], [`provenance`] | making and reading, and what is kept of it |
//! | 4 | [`attribution`], [`fingerprint`], [`attack`], [`mod@bench`] | whether a model was trained on marked text or is a copy; what is left of marks, measured |
//! | 5 | `tokenizer`, `corpus`, `endpoint`, `engine`, `hub`, `store`, `report`, `serve`, `cluster` | files, network, heavy crates; one feature each |
//!
//! A module imports only from layers above its own; `tests/layering.rs` holds the table. Reading order: [`tokens`],
//! [`prf`], [`schemes`] (`kgw`), [`watermark`], [`detect`]; then you know the project.
//!
//! To add a scheme, write one file in `schemes/` and one line in `schemes/mod.rs`.

pub mod gguf;
pub mod keys;
pub mod normalise;
pub mod stats;
pub mod tokens;

pub mod lm;
pub mod payload;
pub mod prf;
pub mod sampling;

pub mod profile;
pub mod schemes;
pub mod watermark;

pub mod attack;
pub mod attribution;
pub mod bench;
pub mod detect;
pub mod fingerprint;
pub mod generate;
pub mod provenance;

#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "corpus")]
pub mod corpus;
#[cfg(feature = "endpoint")]
pub mod endpoint;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "tokenizer")]
pub mod tokenizer;

pub mod manual;
