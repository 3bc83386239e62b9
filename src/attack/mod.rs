//! Attacks on a mark: edits of a text, each with a strength, a seed and a budget of similarity.
//!
//! What a mark is worth is what is left of it when somebody edits the text. An [`Attack`] is one way of editing, `strength` the share of
//! words, letters or sentences that it edits: exactly round(strength · n) of the n there are, drawn without replacement. Edits of one
//! seed are nested, but for `copy-paste` and `shuffle`: those of a smaller strength are among those of a greater one, so that a curve over
//! strengths is of one attack that grows. The same seed gives the same text on every machine. Strength 0 changes nothing.
//!
//! | attack | unit | what it does to each | stands for |
//! |---|---|---|---|
//! | `delete` | words | leaves it out | tightening |
//! | `insert` | words | puts a word of the other text before it | padding |
//! | `substitute` | words | puts a word of the other text in its place | careless spinning |
//! | `swap` | words | changes places with the next | light reordering |
//! | `synonyms` | words that have any | puts one in its place | careful spinning |
//! | `typos` | words of four letters or more | a letter lost, doubled, transposed or next on the keyboard | haste |
//! | `homoglyphs` | letters that have any | puts a letter that looks the same in its place | evasion |
//! | `invisible` | words | hides U+200B in it | evasion |
//! | `case` | words | turns upper and lower case about | evasion |
//! | `whitespace` | gaps between words | two blanks, a tab or a new line | copying from a page |
//! | `truncate` | words | keeps a run of the others | excerpts |
//! | `copy-paste` | words of the result | puts the text in `segments` pieces into the other text | passages among human text |
//! | `mix` | sentences | puts the other text's in its place | two models, or two keys, in one text |
//! | `shuffle` | sentences | changes their order | rearranging |
//! | `reorder` | sentences | moves each of its words up to three places | translation there and back |
//!
//! Three more take a model: [`paraphrase`] has one that follows instructions say passages in other words; a [`Rewriter`] draws a share of
//! the tokens anew, and with what was [`Learned`] of a mark from texts that carry it, it writes text that would be found, or would not.
//!
//! ```
//! use touchmark::attack::{Attack, Materials};
//!
//! let text = "The tide was out, and the boats lay on their sides in the mud.";
//! let materials = Materials { other: "Nobody had seen the lamp since Tuesday.", ..Materials::default() };
//! let edited = Attack::Substitute.apply(text, 0.25, &materials, 7)?;
//! assert_eq!(edited.split(' ').zip(text.split(' ')).filter(|(a, b)| a != b).count(), 4);
//! # Ok::<(), touchmark::attack::AttackError>(())
//! ```

mod budget;
mod learned;
mod letters;
mod paraphrase;
mod rewrite;
mod sentences;
mod similarity;
mod thesaurus;
mod units;
mod words;

use serde::{Deserialize, Serialize};

pub use budget::{Attacked, Budget};
pub use learned::Learned;
pub use paraphrase::paraphrase;
pub use rewrite::{Rewriter, Rewritten};
pub use similarity::chrf;
pub use thesaurus::{Thesaurus, ThesaurusError};

use units::Chosen;

/// A way of editing a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Leaves words out.
    Delete,
    /// Puts words of the other text between.
    Insert,
    /// Puts words of the other text in place of words.
    Substitute,
    /// Neighbouring words change places.
    Swap,
    /// Puts words of like meaning in place of words.
    Synonyms,
    /// Mistypes words.
    Typos,
    /// Puts letters that look the same in place of letters.
    Homoglyphs,
    /// Hides U+200B in words.
    Invisible,
    /// Turns upper and lower case about.
    Case,
    /// Puts other blanks in place of blanks.
    Whitespace,
    /// Keeps a run of words.
    Truncate,
    /// Puts the text, in pieces, into the other text.
    CopyPaste,
    /// Puts sentences of the other text in place of sentences.
    Mix,
    /// Changes the order of sentences.
    Shuffle,
    /// Moves the words of sentences by up to three places.
    Reorder,
}

/// What attacks take from.
#[derive(Clone, Copy, Debug)]
pub struct Materials<'a> {
    /// Another text: words to put in, or what a text is pasted into.
    pub other: &'a str,
    /// Words of like meaning.
    pub thesaurus: &'a Thesaurus,
    /// Pieces in which a text is pasted into the other.
    pub segments: usize,
}

impl Default for Materials<'_> {
    fn default() -> Self {
        Self { other: "", thesaurus: Thesaurus::bundled(), segments: 1 }
    }
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Delete,
        Self::Insert,
        Self::Substitute,
        Self::Swap,
        Self::Synonyms,
        Self::Typos,
        Self::Homoglyphs,
        Self::Invisible,
        Self::Case,
        Self::Whitespace,
        Self::Truncate,
        Self::CopyPaste,
        Self::Mix,
        Self::Shuffle,
        Self::Reorder,
    ];

    /// Its name, as in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Insert => "insert",
            Self::Substitute => "substitute",
            Self::Swap => "swap",
            Self::Synonyms => "synonyms",
            Self::Typos => "typos",
            Self::Homoglyphs => "homoglyphs",
            Self::Invisible => "invisible",
            Self::Case => "case",
            Self::Whitespace => "whitespace",
            Self::Truncate => "truncate",
            Self::CopyPaste => "copy-paste",
            Self::Mix => "mix",
            Self::Shuffle => "shuffle",
            Self::Reorder => "reorder",
        }
    }

    /// Whether it takes from another text.
    pub fn needs_other(self) -> bool {
        matches!(self, Self::Insert | Self::Substitute | Self::CopyPaste | Self::Mix)
    }

    /// Refuses what no text can be edited with.
    ///
    /// # Errors
    /// [`AttackError`] for a share outside its range, no other text where one is needed, or no segments.
    pub fn check(self, budget: Budget, materials: &Materials<'_>) -> Result<(), AttackError> {
        budget.check()?;
        if self.needs_other() && materials.other.split_whitespace().next().is_none() {
            return Err(AttackError::NoOther { attack: self.name() });
        }
        if materials.segments == 0 {
            return Err(AttackError::NoSegments);
        }
        Ok(())
    }

    /// The text as edited with this strength, 0 to 1, and seed.
    ///
    /// # Errors
    /// [`AttackError`] for a strength outside its range, no other text where one is needed, or one that is too short for what is to be
    /// pasted into it.
    pub fn apply(
        self,
        text: &str,
        strength: f64,
        materials: &Materials<'_>,
        seed: u64,
    ) -> Result<String, AttackError> {
        self.check(Budget { strength, similarity: 0.0 }, materials)?;
        let mut chosen = Chosen::new(strength, seed);
        Ok(match self {
            Self::Delete => words::delete(text, &mut chosen),
            Self::Insert => words::insert(text, materials.other, &mut chosen),
            Self::Substitute => words::substitute(text, materials.other, &mut chosen),
            Self::Swap => words::swap(text, &mut chosen),
            Self::Synonyms => words::synonyms(text, materials.thesaurus, &mut chosen),
            Self::Typos => letters::typos(text, &mut chosen),
            Self::Homoglyphs => letters::homoglyphs(text, &mut chosen),
            Self::Invisible => letters::invisible(text, &mut chosen),
            Self::Case => letters::case(text, &mut chosen),
            Self::Whitespace => letters::whitespace(text, &mut chosen),
            Self::Truncate => words::truncate(text, &mut chosen),
            Self::CopyPaste => words::copy_paste(text, materials, &mut chosen)?,
            Self::Mix => sentences::mix(text, materials.other, &mut chosen),
            Self::Shuffle => sentences::shuffle(text, &mut chosen),
            Self::Reorder => sentences::reorder(text, &mut chosen),
        })
    }
}

/// Why a text cannot be edited.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// A strength outside its range.
    #[error("a strength of {got}: it is a share, from 0 to 1")]
    Strength {
        /// What was given.
        got: f64,
    },
    /// An attack that takes from another text got none.
    #[error("{attack} takes words from another text, and there is none: give one")]
    NoOther {
        /// The attack.
        attack: &'static str,
    },
    /// No segments at all.
    #[error("a text is pasted in one segment or more, not in 0")]
    NoSegments,
    /// The other text is too short to be pasted into.
    #[error(
        "to be {percent:.0} % of the result the other text needs {needed} words and has {have}: give a longer one"
    )]
    OtherTooShort {
        /// Share of the result.
        percent: f64,
        /// Words needed.
        needed: usize,
        /// Words there are.
        have: usize,
    },
    /// A similarity outside its range.
    #[error("a similarity of {got}: it is from 0 to 1")]
    Similarity {
        /// What was given.
        got: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The tide was out, and the big boats lay quickly on their sides. Nobody had seen the keeper since Tuesday! \
                        \"Where is he?\" asked the old captain, who began to worry.\n\nIt was a large house; small rooms, long stairs.";
    const OTHER: &str = "Bread was dear that winter. People walked far for little. Some sold what they had, and others waited. In March \
                         the roads were open again. Carts came from the south, loaded with grain and salt, and the price fell. Nobody \
                         spoke of it afterwards, though everybody had been there. It was a hard year and many years later old people \
                         would still save every crust that was left on the table.";

    fn materials() -> Materials<'static> {
        Materials { other: OTHER, ..Materials::default() }
    }

    #[test]
    fn names_are_those_of_plans() {
        for attack in Attack::ALL {
            assert_eq!(serde_json::to_value(attack).unwrap(), attack.name());
        }
    }

    #[test]
    fn nothing_is_changed_by_no_strength_and_something_by_all() {
        for attack in Attack::ALL {
            let apply = |strength, seed| attack.apply(TEXT, strength, &materials(), seed).unwrap();
            assert_eq!(apply(0.0, 3), TEXT, "{attack:?}");
            let strength = if attack == Attack::CopyPaste { 0.5 } else { 1.0 };
            assert_ne!(apply(strength, 3), TEXT, "{attack:?}");
            assert_eq!(apply(0.4, 3), apply(0.4, 3), "{attack:?}");
            assert!((4..20).any(|seed| apply(0.5, seed) != apply(0.5, 3)), "{attack:?}");
        }
    }

    #[test]
    fn every_text_can_be_edited() {
        for attack in Attack::ALL {
            for text in ["", " ", "a", "a b", "é", "…!?", "\n\n", "ab. cd.", "日本語の文章。"]
            {
                for strength in [0.0, 0.3, 0.9] {
                    attack.apply(text, strength, &materials(), 1).unwrap();
                }
            }
        }
    }

    #[test]
    fn more_strength_is_less_alike() {
        for attack in Attack::ALL {
            let alike = |strength| {
                let mean =
                    |seed| chrf(TEXT, &attack.apply(TEXT, strength, &materials(), seed).unwrap());
                (0..20).map(mean).sum::<f64>() / 20.0
            };
            let [little, much] = [0.1, 0.6].map(alike);
            // Blanks are not looked at.
            let same = attack == Attack::Whitespace;
            assert!(if same { little == 1.0 } else { little > much }, "{attack:?} {little} {much}");
        }
    }

    #[test]
    fn bad_input_is_refused() {
        for strength in [-0.1, 1.1, f64::NAN] {
            let error = Attack::Delete.apply(TEXT, strength, &materials(), 0).unwrap_err();
            assert!(matches!(error, AttackError::Strength { .. }));
        }
        let error = Attack::Insert.apply(TEXT, 0.5, &Materials::default(), 0).unwrap_err();
        assert_eq!(error, AttackError::NoOther { attack: "insert" });
        let error = Attack::CopyPaste.apply(TEXT, 0.99, &materials(), 0).unwrap_err();
        assert!(matches!(error, AttackError::OtherTooShort { .. }), "{error}");
        let none = Materials { segments: 0, ..materials() };
        assert_eq!(Attack::CopyPaste.apply(TEXT, 0.1, &none, 0), Err(AttackError::NoSegments));
    }
}
