//! A text scored under many keys: what does not depend on the key is found once.

use super::{Evidence, Text, Watermark};
use crate::prf::Prf;

/// A text, and the positions of it that count under every key of one way of marking.
///
/// Where the seed reads the whole context (`left` seeds, and one seed for all), a draw repeats exactly where its context does, so
/// that the positions that count are the same under every key: two contexts with one 64-bit seed id are rarer than 10⁻¹² in
/// texts of a thousand tokens. The values are then computed sixteen keys at a time.
#[derive(Debug)]
pub struct Counted<'a> {
    text: Text<'a>,
    like: &'a Watermark,
    /// Positions, without values; none where they depend on the key.
    positions: Option<Evidence>,
}

impl Watermark {
    /// Finds the positions of a text that count under every key of this way of marking.
    pub fn count<'a>(&'a self, text: &Text<'a>) -> Counted<'a> {
        let shared = self.prf.keys_fit_lanes() && self.spec.scheme().sequence().is_none();
        let positions = shared.then(|| Evidence { values: Vec::new(), ..self.score_text(text) });
        Counted { text: *text, like: self, positions }
    }

    /// Whether marks differ by their keys alone.
    fn differs_by_key(&self, other: &Self) -> bool {
        self.spec == other.spec
            && self.repeats == other.repeats
            && self.vocab_size == other.vocab_size
            && self.special == other.special
    }
}

impl Counted<'_> {
    /// What [`Watermark::score_text`] says of the text, for each of `marks`. Those that differ by more than their key from the one
    /// the text was counted for are scored one by one.
    pub fn score(&self, marks: &[&Watermark]) -> Vec<Evidence> {
        let alike = marks.iter().all(|mark| self.like.differs_by_key(mark));
        let Some(counted) = self.positions.as_ref().filter(|_| alike) else {
            return marks.iter().map(|mark| mark.score_text(&self.text)).collect();
        };
        let values = || Vec::with_capacity(counted.positions.len());
        let empty = || Evidence { values: values(), ..counted.clone() };
        let mut all: Vec<Evidence> = marks.iter().map(|_| empty()).collect();
        let scheme = self.like.spec.scheme();
        let functions: Vec<&Prf> = marks.iter().map(|mark| &mark.prf).collect();
        let (ids, positions) = (self.text.ids, counted.positions.as_slice());
        Prf::walk_keys(&functions, ids, positions, scheme.streams(), |at, key, draw| {
            let token = ids[positions[at] as usize];
            all[key].values.push(scheme.evidence(draw, token));
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Key;
    use crate::schemes::Spec;
    use crate::tokens::TokenizerHash;
    use crate::watermark::{Repeats, Vocabulary, check};

    fn mark(number: u8, spec: &Spec, repeats: Repeats) -> Watermark {
        let vocabulary =
            Vocabulary { tokenizer: TokenizerHash([3; 32]), size: 64, special: vec![0, 7] };
        let key = match spec.key_numbers() {
            None => Key::take(&mut [number; 32]),
            Some(count) => {
                let number = |i| u64::from(number) << 20 | i;
                Key::of_numbers((0..count as u64).map(number).collect()).unwrap()
            }
        };
        Watermark::new(&key, spec.prf(), spec, &vocabulary, repeats).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        /// All schemes of our own and one of another engine, with each rule for repeats: the same evidence to the last bit as key
        /// by key.
        #[test]
        fn many_keys_are_each_key(
            ids in prop::collection::vec(0_u32..24, 0..90),
            nats in prop::collection::vec(0.0_f64..3.0, 80),
            keys in 1_u8..19,
        ) {
            let quick = |spec: &Spec| spec.scheme().peer().is_none() || spec.name() == "vllm-gumbel";
            for spec in Spec::examples().into_iter().filter(quick) {
                for repeats in [Repeats::ScoreOnce, Repeats::SingleTurn, Repeats::AllTurns] {
                    if check(&spec, repeats, spec.prf()).is_err() {
                        continue;
                    }
                    let marks: Vec<Watermark> =
                        (1..=keys).map(|number| mark(number, &spec, repeats)).collect();
                    let marks: Vec<&Watermark> = marks.iter().collect();
                    let text = Text::gated(&ids, &nats);
                    let fast = marks[0].count(&text).score(&marks);
                    for (mark, fast) in marks.iter().zip(&fast) {
                        prop_assert_eq!(fast, &mark.score_text(&text), "{}", spec.name());
                    }
                }
            }
        }
    }

    #[test]
    fn marks_of_other_kinds_are_scored_one_by_one() {
        let specs = ["kgw", "gumbel"].map(|name| Spec::usual(name).unwrap());
        let [a, b] = [&specs[0], &specs[1]].map(|spec| mark(1, spec, Repeats::ScoreOnce));
        let ids: Vec<u32> = (1..40).collect();
        let text = Text::of(&ids);
        let both = a.count(&text).score(&[&a, &b]);
        assert_eq!(both, [a.score_text(&text), b.score_text(&text)]);
    }
}
