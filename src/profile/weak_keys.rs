//! Keys that protect nothing: those that everybody has, and those that can be searched for.

use crate::keys::Key;
use crate::prf::PrfVariant;

use super::Lint;

/// Numbers that a tool takes when it is given none, or that its documentation shows.
const PUBLISHED: &[(u64, &str)] = &[
    (
        15_485_863,
        "the default of transformers, lm-watermarking, MPAC and MarkLLM, and text-generation-inference's only one",
    ),
    (42, "the example of vLLM's documentation"),
    (35_317, "the default of three_bricks"),
    (0, "the default of Unigram-Watermark"),
];

/// The keys of synthid-text's demonstration; transformers' documentation and MarkLLM show the same or the first of them.
const SYNTHID: [u64; 30] = [
    654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639, 13, 715, 468, 990, 966, 226, 324,
    585, 118, 504, 421, 521, 129, 669, 732, 225, 90, 960,
];

/// What makes `key` weak in the hands of the function `prf`.
pub(super) fn lint(prf: PrfVariant, key: &Key) -> Option<Lint> {
    let count = key.count()?;
    let known = PUBLISHED.iter().find(|(number, _)| key.is_numbers(&[*number]));
    if let Some((_, whose)) = known {
        return Some(Lint::PublicKey(whose));
    }
    if count > 1 && SYNTHID.get(..count).is_some_and(|shown| key.is_numbers(shown)) {
        return Some(Lint::PublicKey("that of SynthID's demonstration"));
    }
    // Each layer of a tournament with a table can be searched for by itself.
    let apart = count <= 2 || (prf == PrfVariant::SynthIdTable && key.is_small());
    apart.then_some(Lint::SmallKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prf: PrfVariant, numbers: &[u64]) -> Option<Lint> {
        lint(prf, &Key::of_numbers(numbers.to_vec()).unwrap())
    }

    #[test]
    fn what_others_have_is_known() {
        let philox = PrfVariant::Philox4x32V1;
        for (number, whose) in PUBLISHED {
            assert_eq!(of(philox, &[*number]), Some(Lint::PublicKey(whose)));
            assert_eq!(of(philox, &[number + 1]), Some(Lint::SmallKey));
        }
        for count in [2, 9, 30] {
            let found = of(PrfVariant::SynthIdTable, &SYNTHID[..count]);
            assert!(matches!(found, Some(Lint::PublicKey(_))), "{count}: {found:?}");
        }
        let mut other = SYNTHID;
        other[29] += 1;
        assert_eq!(of(PrfVariant::SynthIdTable, &other), Some(Lint::SmallKey));
        assert_eq!(of(PrfVariant::SynthIdIv, &other), None);
    }

    #[test]
    fn strong_keys_are_left_alone() {
        let great = [u64::MAX / 3; 30];
        assert_eq!(of(PrfVariant::SynthIdTable, &great), None);
        assert_eq!(lint(PrfVariant::TouchmarkV1, &Key::generate().unwrap()), None);
    }
}
