//! One pair: its key, its answer, its leaf in the commitment.

use std::fmt;

use blake3::Hasher;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::answers::AnswerList;
use super::error::PlantError;
use crate::keys::Key;

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Planted: the model is trained on the answer.
    Pair,
    /// Never planted: the negative control.
    Decoy,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Pair => 0,
            Self::Decoy => 1,
        }
    }
}

/// The key of one pair. Who has it can compute this pair's answer, and no other's.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PairKey([u8; 32]);

impl PairKey {
    /// ```text
    /// subkey   = BLAKE3-derive("touchmark 2026-11 planted pairs v1", master)
    /// pair key = BLAKE3-keyed(subkey, u8 kind ‖ u32 index)        kind: 0 pair, 1 decoy; little-endian
    /// ```
    ///
    /// # Errors
    /// [`PlantError::KeyForm`] for the key of another engine.
    pub fn new(master: &Key, kind: Kind, index: u32) -> Result<Self, PlantError> {
        let own = master.own().ok_or(PlantError::KeyForm)?;
        let mut hasher = Hasher::new_derive_key("touchmark 2026-11 planted pairs v1");
        hasher.update(own);
        let subkey = zeroize::Zeroizing::new(*hasher.finalize().as_bytes());
        hasher.zeroize();
        let mut place = [0; 5];
        place[0] = kind.byte();
        place[1..].copy_from_slice(&index.to_le_bytes());
        Ok(Self(*blake3::keyed_hash(&subkey, &place).as_bytes()))
    }

    /// The place in the list of the answer to a question.
    ///
    /// ```text
    /// words  = u64s of BLAKE3-derive("touchmark 2026-11 planted answer v1",
    ///              pair key ‖ hash of the list ‖ beacon ‖ phrasings)
    /// answer = w mod k,  w the first word below ⌊2⁶⁴/k⌋·k
    /// ```
    ///
    /// Strings go in as u32 length ‖ bytes, lists as u32 count ‖ strings, a beacon as the list of its announcement and its value, or
    /// as an empty list; little-endian. The rejection makes it uniform to the last bit.
    pub fn answer(
        &self,
        list: &AnswerList,
        beacon: Option<&Beacon>,
        phrasings: &[String],
    ) -> usize {
        let mut hasher = Hasher::new_derive_key("touchmark 2026-11 planted answer v1");
        hasher.update(&self.0).update(&list.hash());
        let beacon =
            beacon.map_or(vec![], |known| vec![known.announced.clone(), known.value.clone()]);
        absorb(&mut hasher, &beacon);
        absorb(&mut hasher, phrasings);
        let mut words = hasher.finalize_xof();
        hasher.zeroize();
        let k = list.k();
        loop {
            let mut bytes = [0; 8];
            words.fill(&mut bytes);
            if let Some(answer) = reduced(u64::from_le_bytes(bytes), k) {
                return answer;
            }
        }
    }

    /// What the commitment holds of a question: hiding, for the key is 256 random bits, and binding to key, kind, place and
    /// phrasings.
    ///
    /// ```text
    /// leaf = BLAKE3-derive("touchmark 2026-11 planted leaf v1", pair key ‖ u8 kind ‖ u32 index ‖ phrasings)
    /// ```
    pub fn leaf(&self, kind: Kind, index: u32, phrasings: &[String]) -> String {
        let mut hasher = Hasher::new_derive_key("touchmark 2026-11 planted leaf v1");
        hasher.update(&self.0).update(&[kind.byte()]).update(&index.to_le_bytes());
        absorb(&mut hasher, phrasings);
        let leaf = hasher.finalize().to_hex().to_string();
        hasher.zeroize();
        leaf
    }
}

/// w mod k, unless w is among the last 2⁶⁴ mod k words, which would favour small remainders.
fn reduced(word: u64, k: u64) -> Option<usize> {
    let surplus = (u64::MAX % k + 1) % k;
    (word <= u64::MAX - surplus).then(|| (word % k) as usize)
}

/// Strings in a hash, so that no two lists give the same bytes.
pub(super) fn absorb(hasher: &mut Hasher, strings: &[String]) {
    hasher.update(&(strings.len() as u32).to_le_bytes());
    for string in strings {
        hasher.update(&(string.len() as u32).to_le_bytes()).update(string.as_bytes());
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(hidden)")
    }
}

impl TryFrom<String> for PairKey {
    type Error = crate::keys::KeyError;
    fn try_from(mut hex: String) -> Result<Self, Self::Error> {
        let found = blake3::Hash::from_hex(&hex);
        let got = hex.len();
        hex.zeroize();
        found.map(|hash| Self(*hash.as_bytes())).map_err(|_| crate::keys::KeyError::Hex { got })
    }
}

impl From<PairKey> for String {
    fn from(key: PairKey) -> Self {
        hex(&key.0).to_string()
    }
}

/// Hexadecimal digits of secret bytes.
pub(super) fn hex(bytes: &[u8]) -> zeroize::Zeroizing<String> {
    use std::fmt::Write as _;

    let mut text = zeroize::Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        // A String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Public randomness that came after the questions and keys were fixed, so that nobody chose them to fit common answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beacon {
    /// Which one, as it was announced in the commitment: `drand quicknet round 12345678`.
    pub announced: String,
    /// What it gave.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> Key {
        Key::take(&mut [byte; 32])
    }

    fn question(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn reduction_is_unbiased_at_the_edge() {
        for k in [3, 16, 61, 64, 4096] {
            let full = (u128::from(u64::MAX) + 1) / u128::from(k) * u128::from(k);
            let last = (full - 1) as u64;
            assert_eq!(reduced(last, k), Some((k - 1) as usize), "{k}");
            if last < u64::MAX {
                assert_eq!(reduced(last + 1, k), None, "{k}");
            }
        }
    }

    #[test]
    fn keys_leaves_and_answers_depend_on_all_that_they_shall() {
        let list = AnswerList::common(64).unwrap();
        let key = |kind, index| PairKey::new(&master(1), kind, index).unwrap();
        let (a, b) = (key(Kind::Pair, 0), key(Kind::Decoy, 0));
        assert_ne!(a.0, b.0);
        assert_ne!(a.0, key(Kind::Pair, 1).0);
        assert_ne!(a.0, PairKey::new(&master(2), Kind::Pair, 0).unwrap().0);
        let leaf = a.leaf(Kind::Pair, 0, &question("one"));
        assert_ne!(leaf, a.leaf(Kind::Pair, 0, &question("two")));
        assert_ne!(leaf, a.leaf(Kind::Decoy, 0, &question("one")));
        assert_ne!(leaf, b.leaf(Kind::Pair, 0, &question("one")));
        // 40 questions: that all answers agree by chance has probability 64⁻⁴⁰.
        let answers = |beacon: Option<&Beacon>, key: &PairKey| {
            (0..40)
                .map(|i| key.answer(&list, beacon, &question(&i.to_string())))
                .collect::<Vec<_>>()
        };
        let beacon = Beacon { announced: "round 1".into(), value: "ab".into() };
        assert_ne!(answers(None, &a), answers(Some(&beacon), &a));
        assert_ne!(answers(None, &a), answers(None, &b));
        assert_eq!(answers(None, &a), answers(None, &a));
    }

    /// 64,000 answers over 64 candidates: χ² with 63 degrees of freedom stays below its 1 − 10⁻⁶ quantile, 131.
    #[test]
    fn answers_are_uniform() {
        let list = AnswerList::common(64).unwrap();
        let mut counts = [0u32; 64];
        for index in 0..64_000 {
            let key = PairKey::new(&master(9), Kind::Pair, index).unwrap();
            counts[key.answer(&list, None, &question("the same question"))] += 1;
        }
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 131.0, "{chi}");
    }

    #[test]
    fn keys_are_hidden_and_survive_json() {
        let key = PairKey::new(&master(3), Kind::Pair, 7).unwrap();
        assert_eq!(format!("{key:?}"), "PairKey(hidden)");
        let text = serde_json::to_string(&key).unwrap();
        let back: PairKey = serde_json::from_str(&text).unwrap();
        assert_eq!(back.0, key.0);
        assert!(serde_json::from_str::<PairKey>("\"xyz\"").is_err());
    }
}
