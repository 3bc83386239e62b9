//! # What a mark can and cannot prove
//!
//! **It can show** that a text was, with a stated error, not written independently of the key: by a model that marks with
//! it, or by somebody who copied or imitated such text.
//!
//! **It cannot show**
//!
//! - that a person wrote a text. No verdict says so: an unmarked text may come from any model that does not carry this mark.
//! - who asked for a text, or who passed it on.
//! - that the whole text is marked. One paragraph of marked text in a longer one may be enough for a verdict.
//!
//! **Removing a mark.** Rewriting in other words, translating, or a rewrite by another model removes it in proportion to what
//! is changed. Light edits do not: see `what_is_written_is_found_and_what_is_not_is_not` in the tests for thirty percent of
//! words deleted. Short texts, code, quotations and other text in which the model has no choice carry little of it.
//!
//! **Forging a mark.** Whoever has the key can mark any text. Whoever can ask a marking model or a detector often enough can
//! learn something of its lists, the more the narrower the context (h = 1 and `unigram` most of all), and imitate them.
//! A detector open to the public should therefore show verdicts, not scores. A detection of text of which much is at stake
//! should rest on more than the mark.
//!
//! **Keys.** 256 bits, kept in files that only their owner can read (looser ones are refused), wiped from memory after use,
//! never in arguments, logs, profiles or reports. A key that leaks can be retired; text marked before stays detectable.
//!
//! **Paraphrase of claims.** "detected, log10 p −21" means: by a key fixed before it, text without the mark looks this marked
//! once in 10²¹. It does not mean "human with probability 10⁻²¹".
