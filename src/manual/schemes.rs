//! # Schemes
//!
//! Symbols: V vocabulary size, γ green fraction, δ bias, h context width, m depth, N leaves, α mixing probability, τ
//! temperature.
//!
//! | scheme | what it does to the choice | evidence of a token | null of one token | changes the model's distribution |
//! |---|---|---|---|---|
//! | `kgw` | adds δ to the logits of green tokens | 1 if green | Bernoulli(⌊γ·2³²⌋/2³²) | yes |
//! | `unigram` | the same, one list for every position | 1 if green, each distinct token once | the same | yes |
//! | `sweet` | the same, where the model's entropy exceeds a threshold | the same, at those positions | the same | yes |
//! | `gumbel` | picks argmin −ln(u)/p | −ln(1 − word/2³²) | at most Exp(1) | no |
//! | `gumbel` with α | the same, key B with probability α | (1−α)·s_A + α·s_B | at most that sum of exponentials | no |
//! | `synthid` | m rounds of tournaments between N candidates | number, or weighted sum, of won bits | Binomial(m, ½), or weighted fair bits | no for N = 2 |
//!
//! "No" is meant on average over keys, up to steps of 2⁻³²: for one key and context the choice of `gumbel` is fixed, so the
//! same prompt and context continue in the same way. Two keys (α) or `synthid` vary more.
//!
//! ## Seeds
//!
//! A position's seed is made of ids of the same answer that stand before it; the first h tokens are unmarked.
//!
//! - `left` reads all h ids. An edit of one token spoils the h positions after it.
//! - `min` looks at h ids and reads the one of smallest keyed hash: an edit of another one spoils nothing.
//! - `self` reads one id and the candidate itself. Each candidate has a seed of its own, so marking tests the 40 highest
//!   candidates only.
//!
//! Wider contexts hide the lists better from someone who tries to learn them, and make repeats rarer; narrower ones survive
//! edits better. See [`defaults`](super::defaults).
//!
//! ## Where a scheme acts
//!
//! `kgw`, `unigram` and `sweet` act on the model's logits before temperature (as in the paper), or with
//! `stage = "after-truncation"` after temperature, top-k, top-p and min-p (as transformers does). `gumbel` and `synthid`
//! act after truncation: they choose among what is left. Where one candidate is left, as in greedy decoding, they cannot
//! mark; the answer's row says how often (`no_choice`).
//!
//! ## Repeats
//!
//! A draw that was seen before gives no new evidence. With `repeats = "score-once"` everything is marked and the scorer
//! counts each (seed, token) once; with `"single-turn"` a repeated seed is left unmarked and the scorer counts the first
//! occurrence of each seed. `single-turn` keeps a distortion-free scheme distortion-free within an answer, and is what new profiles
//! of `gumbel` and `synthid` have; those of the others have `score-once`. `all-turns` does the same as `single-turn` and takes the
//! prompt for a part of the answer. A profile keeps the rule it was made with.
