//! A p-value without a law: the mark's key among keys that nobody marked with.

use super::{DetectError, Detector};
use crate::keys::{Key, KeyError};
use crate::sampling::Noise;
use crate::schemes::{Spec, SpecError};
use crate::stats::{Family, LogP, permutation_p};
use crate::watermark::{Repeats, Text, Vocabulary, Watermark};

/// Detectors for keys drawn after the mark's own, in the same way.
///
/// ```text
/// p = (1 + #{i : Sᵢ ≥ S}) / (N + 1)
/// ```
///
/// S is the evidence under the mark's key, as the smallness of its p-value over all readings; Sᵢ that under decoy i. Where the text
/// is independent of the mark's key, that key and the decoys are exchangeable, so p ≤ α with probability at most α whatever the
/// law of S is (Phipson & Smyth 2010). That asks of the key that it was drawn at random like the decoys, as `key new` does; of the
/// null law, of the text and of its tokenizer nothing. Ties count against us, and p is never below 1/(N + 1): it takes a million
/// decoys to reach 10⁻⁶.
#[derive(Debug)]
pub struct Decoys {
    detectors: Vec<Detector>,
}

impl Decoys {
    /// `count` keys of the form that the scheme wants, from the system's generator.
    ///
    /// # Errors
    /// [`DecoyError`]: none asked for, no randomness, or a scheme that cannot be had with this vocabulary.
    pub fn draw(
        count: usize,
        spec: &Spec,
        vocabulary: &Vocabulary,
        repeats: Repeats,
    ) -> Result<Self, DecoyError> {
        let fresh = || match spec.key_numbers() {
            None => Key::generate(),
            Some(numbers) => Key::generate_numbers(numbers),
        };
        let keys: Vec<Key> = (0..count).map(|_| fresh()).collect::<Result<_, _>>()?;
        Self::of(&keys, spec, vocabulary, repeats)
    }

    /// `count` keys that everybody can draw again from `seed`: ChaCha12 under the seed, a stream for each key.
    ///
    /// Such a p-value can be checked by others. It holds for a seed that was fixed before the mark's key was compared with anything:
    /// who tries seeds until one pleases has chosen among as many p-values.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn seeded(
        count: usize,
        seed: u64,
        spec: &Spec,
        vocabulary: &Vocabulary,
        repeats: Repeats,
    ) -> Result<Self, DecoyError> {
        let keys = (0..count).map(|stream| seeded_key(seed, stream as u64, spec.key_numbers()));
        let keys: Vec<Key> = keys.collect::<Result<_, _>>()?;
        Self::of(&keys, spec, vocabulary, repeats)
    }

    /// Of keys drawn elsewhere.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn of(
        keys: &[Key],
        spec: &Spec,
        vocabulary: &Vocabulary,
        repeats: Repeats,
    ) -> Result<Self, DecoyError> {
        if keys.is_empty() {
            return Err(DecoyError::None);
        }
        let detector = |key: &Key| -> Result<Detector, DecoyError> {
            let mark = Watermark::new(key, spec.prf(), spec, vocabulary, repeats)?;
            Ok(Detector::new(mark, ANY_RATE, Family::one(), None)?)
        };
        Ok(Self { detectors: keys.iter().map(detector).collect::<Result<_, _>>()? })
    }

    /// N.
    pub fn count(&self) -> usize {
        self.detectors.len()
    }

    /// The decoy p-value of a document whose p-value under the mark's own key, over the same readings, is `own`, as
    /// [`Detector::p_of_wholes`] gives it: decoys read no windows.
    ///
    /// # Errors
    /// As [`Detector::p_of_wholes`].
    pub fn p(&self, readings: &[Text<'_>], own: LogP) -> Result<LogP, DetectError> {
        let mut reached = 0;
        for detector in &self.detectors {
            reached += u64::from(detector.p_of_wholes(readings)? <= own);
        }
        Ok(permutation_p(reached, self.detectors.len() as u64)?)
    }
}

/// The key number `stream` under `seed`, of `numbers` 64-bit numbers or one of our own: everybody can draw it again.
///
/// # Errors
/// [`KeyError`] for too many numbers.
pub fn seeded_key(seed: u64, stream: u64, numbers: Option<usize>) -> Result<Key, KeyError> {
    let mut noise = Noise::new(seed, stream);
    let mut half = || (noise.uniform() * 2_f64.powi(32)) as u32;
    match numbers {
        None => {
            let mut bytes = [0; Key::LEN];
            bytes.chunks_exact_mut(4).for_each(|part| part.copy_from_slice(&half().to_le_bytes()));
            Ok(Key::take(&mut bytes))
        }
        Some(count) => {
            let number = |_| u64::from(half()) << 32 | u64::from(half());
            Key::of_numbers((0..count.min(Key::MOST_NUMBERS + 1)).map(number).collect())
        }
    }
}

/// Only p-values are read of the detectors, never verdicts.
const ANY_RATE: f64 = 0.5;

/// Why there are no decoys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecoyError {
    /// None asked for.
    #[error("a p-value by comparison needs at least one decoy key; 999 give p down to 0.001")]
    None,
    /// No randomness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The scheme or its vocabulary.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A detector that cannot be made.
    #[error(transparent)]
    Detect(#[from] DetectError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{TokenId, TokenizerHash};

    fn spec(text: &str) -> Spec {
        serde_json::from_str(text).unwrap()
    }

    fn vocabulary() -> Vocabulary {
        Vocabulary { tokenizer: TokenizerHash([3; 32]), size: 1024, special: Vec::new() }
    }

    fn key(number: u64) -> Key {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Key::take(&mut bytes)
    }

    fn own(spec: &Spec, key: &Key, ids: &[TokenId]) -> LogP {
        let mark = Watermark::new(key, spec.prf(), spec, &vocabulary(), Repeats::ScoreOnce);
        let detector = Detector::new(mark.unwrap(), 0.01, Family::one(), None).unwrap();
        detector.detect(&Text::of(ids)).unwrap().p
    }

    const KGW: &str = r#"{"scheme":"kgw","gamma":0.25,"delta":2.0,"context_width":1}"#;
    const UNIGRAM: &str = r#"{"scheme":"unigram","gamma":0.5,"delta":2.0}"#;

    fn text(number: u32, tokens: u32) -> Vec<TokenId> {
        (0..tokens).map(|i| ((number + 3) * (i * i + 7 * i + 1) + i) % 997).collect()
    }

    #[test]
    fn ties_count_against_us_and_p_is_never_zero() {
        let spec = spec(KGW);
        let ids = text(1, 60);
        let readings = [Text::of(&ids)];
        let keys: Vec<Key> = (0..9).map(key).collect();
        let decoys = Decoys::of(&keys, &spec, &vocabulary(), Repeats::ScoreOnce).unwrap();
        assert_eq!(decoys.count(), 9);
        let p = |own| decoys.p(&readings, own).unwrap().p();
        assert!((p(LogP::ZERO) - 0.1).abs() < 1e-12);
        assert_eq!(p(LogP::ONE), 1.0);
        let best = keys.iter().map(|key| self::own(&spec, key, &ids)).min().unwrap();
        assert!(p(best) >= 0.2 - 1e-12);
        // Nothing to score: all alike.
        assert_eq!(decoys.p(&[Text::of(&[])], LogP::ONE).unwrap(), LogP::ONE);
        let none = Decoys::of(&[], &spec, &vocabulary(), Repeats::ScoreOnce);
        assert!(matches!(none, Err(DecoyError::None)));
    }

    #[test]
    fn keys_are_drawn_fresh_in_the_form_of_the_scheme() {
        let ids = text(2, 200);
        let spread = |text: &str| {
            let spec = spec(text);
            let decoys = Decoys::draw(20, &spec, &vocabulary(), Repeats::ScoreOnce).unwrap();
            let p = |detector: &Detector| detector.detect(&Text::of(&ids)).unwrap().p;
            let mut all: Vec<LogP> = decoys.detectors.iter().map(p).collect();
            all.sort();
            all.dedup();
            all.len()
        };
        assert!(spread(KGW) > 5 && spread(UNIGRAM) > 5);
    }

    #[test]
    fn a_seed_gives_the_same_keys_again() {
        let ids = text(3, 200);
        for spec in [spec(KGW), Spec::usual("transformers-kgw").unwrap()] {
            let p = |seed| {
                let decoys =
                    Decoys::seeded(8, seed, &spec, &vocabulary(), Repeats::ScoreOnce).unwrap();
                let p = |detector: &Detector| detector.detect(&Text::of(&ids)).unwrap().p;
                decoys.detectors.iter().map(p).collect::<Vec<LogP>>()
            };
            assert_eq!(p(5), p(5));
            assert_ne!(p(5), p(6));
            assert!(p(5).windows(2).any(|two| two[0] != two[1]));
        }
    }

    /// One text under 600 own keys: p ≤ 0.05 for no more than 5 % + 4 deviations of them, for exchangeable keys alone. The text
    /// repeats its words, so that one list decides much; decoys need not know.
    #[test]
    fn false_alarms_keep_to_their_rate_over_keys() {
        for text_of in [KGW, UNIGRAM] {
            let spec = spec(text_of);
            let ids: Vec<TokenId> = text(5, 150).iter().map(|id| id % 40).collect();
            let mut alarms = 0;
            for trial in 0..600 {
                let keys: Vec<Key> = (1..=19).map(|i| key(trial * 100 + i)).collect();
                let decoys = Decoys::of(&keys, &spec, &vocabulary(), Repeats::ScoreOnce).unwrap();
                let own = own(&spec, &key(trial * 100), &ids);
                alarms +=
                    usize::from(decoys.p(&[Text::of(&ids)], own).unwrap().p() <= 0.05 + 1e-12);
            }
            assert!(alarms <= 51 && alarms > 0, "{text_of}: {alarms}");
        }
    }
}
