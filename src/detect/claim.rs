//! One p-value for a whole corpus: "these documents contain our text".

use std::collections::HashSet;
use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use super::tail::Law;
use super::{DetectError, Detector};
use crate::stats::{Family, LogP, SmallCounts};
use crate::watermark::{Text, Watermark};

/// A sample of a corpus's distinct (seed, token) pairs with their evidence, each counted once however often it occurs.
///
/// Every pair has a hash of 64 bits, and those with the `limit` smallest hashes are kept: all pairs of a corpus that has no more,
/// else a sample without replacement. The sample depends on the set of pairs alone, so that the sketches of parts of a corpus,
/// merged in any order, are the sketch of the whole.
///
/// The p-value stays valid. The hash reads what the PRF reads, never what it gives; so under the null the evidence of the pairs kept
/// is that of any pairs fixed beforehand. Two pairs that share a hash count as one, which only drops evidence. Numbers are rounded
/// down to 32 bits, which only lowers it.
///
/// Memory: 32 bytes for each of `limit` pairs at most, whatever the size of the corpus; in a file 12.
#[derive(Clone, Debug)]
pub struct Sketch {
    mark: String,
    limit: usize,
    documents: u64,
    tokens: u64,
    /// The documents' own p-values, as far as they were told.
    small: SmallCounts,
    /// The first `settled` ones are ascending and distinct by hash.
    entries: Vec<Entry>,
    settled: usize,
    /// The smallest hash that was left out; from here on there is no place.
    below: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    hash: u64,
    evidence: f32,
}

/// The first line of a sketch's file. Then, little-endian: the smallest hash that was left out as u64 (all
/// ones for none), and the entries, hash as u64 and evidence as f32, ascending by hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    mark: String,
    limit: usize,
    documents: u64,
    tokens: u64,
    small: SmallCounts,
    entries: usize,
}

/// What a corpus says about a mark.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The p-value of the whole corpus.
    pub p: LogP,
    /// After correction for the family it belongs to.
    pub corrected: LogP,
    /// That family.
    pub family: Family,
    /// Pairs that counted.
    pub pairs: u64,
    /// Whether they are a sample.
    pub sampled: bool,
    /// Documents read.
    pub documents: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Mean evidence of the pairs, in the null's unit.
    pub score: f64,
}

const FORMAT: &str = "touchmark sketch 1";

impl Sketch {
    /// A usual limit: 16,777,216 pairs, half a gigabyte at most.
    pub const LIMIT: usize = 1 << 24;

    /// An empty one. `mark` names profile and key: only sketches of the same can be merged.
    ///
    /// # Errors
    /// [`ClaimError::OfText`] for schemes that judge texts as wholes, [`ClaimError::Limit`] for one that is 0.
    pub fn new(
        watermark: &Watermark,
        mark: impl Into<String>,
        limit: usize,
    ) -> Result<Self, ClaimError> {
        if watermark.spec().scheme().sequence().is_some() {
            return Err(ClaimError::OfText);
        }
        if limit == 0 {
            return Err(ClaimError::Limit);
        }
        Ok(Self::empty(mark.into(), limit))
    }

    fn empty(mark: String, limit: usize) -> Self {
        Self {
            mark,
            limit,
            documents: 0,
            tokens: 0,
            small: SmallCounts::default(),
            entries: Vec::new(),
            settled: 0,
            below: None,
        }
    }

    /// What names profile and key.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Takes a document that is read in one way.
    ///
    /// # Errors
    /// As [`Pairs::of`].
    pub fn add(&mut self, watermark: &Watermark, text: &Text<'_>) -> Result<(), ClaimError> {
        self.take(&Pairs::of(watermark, std::slice::from_ref(text))?, None);
        Ok(())
    }

    /// Takes the pairs of a document, and where it is known the p-value of the document alone, corrected for all that it was chosen
    /// from. The order of documents does not matter.
    pub fn take(&mut self, pairs: &Pairs, p: Option<LogP>) {
        pairs.entries.iter().for_each(|&entry| self.push(entry));
        self.documents += 1;
        self.tokens += pairs.tokens;
        p.into_iter().for_each(|p| self.small.note(p));
    }

    /// How small the documents' own p-values are.
    pub fn documents_alone(&self) -> &SmallCounts {
        &self.small
    }

    /// Evidence of the pairs that count: how many, their mean, and their sample variance.
    pub fn moments(&mut self) -> (u64, f64, f64) {
        self.settle();
        let count = self.entries.len() as f64;
        let values = || self.entries.iter().map(|entry| f64::from(entry.evidence));
        let mean = values().sum::<f64>() / count.max(1.0);
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>();
        (self.entries.len() as u64, mean, variance / (count - 1.0).max(1.0))
    }

    fn push(&mut self, entry: Entry) {
        if self.below.is_some_and(|below| entry.hash >= below) {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() >= 2 * self.limit.max(MANY) {
            self.settle();
        }
    }

    /// Sorts, leaves out repeats, keeps the smallest.
    fn settle(&mut self) {
        if self.settled == self.entries.len() {
            return;
        }
        // By evidence too: should two pairs share a hash, the smaller evidence stays, in whatever order they came.
        self.entries
            .sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then(a.evidence.total_cmp(&b.evidence)));
        self.entries.dedup_by_key(|entry| entry.hash);
        if let Some(first_out) = self.entries.get(self.limit) {
            let first_out = first_out.hash;
            self.below = Some(self.below.map_or(first_out, |below| below.min(first_out)));
            self.entries.truncate(self.limit);
        }
        self.settled = self.entries.len();
    }

    /// Joins the sketch of other documents; the order of merging does not matter. A document that is in both counts twice in
    /// `documents`, and once in the evidence.
    ///
    /// # Errors
    /// [`ClaimError::Other`] for the sketch of another mark or with another limit.
    pub fn merge(&mut self, other: &Self) -> Result<(), ClaimError> {
        if (&self.mark, self.limit) != (&other.mark, other.limit) {
            let [ours, theirs] =
                [&*self, other].map(|it| format!("{}, limit {}", it.mark, it.limit));
            return Err(ClaimError::Other { ours, theirs });
        }
        // A sketch that left something out has `limit` entries below that, so nothing from there on is among the smallest of both.
        if let Some(below) = other.below {
            self.below = Some(self.below.map_or(below, |ours| ours.min(below)));
        }
        other.entries.iter().for_each(|&entry| self.push(entry));
        self.settle();
        self.documents = self.documents.saturating_add(other.documents);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.small.merge(&other.small);
        Ok(())
    }

    /// The p-value of the corpus for the detector's mark, corrected for its family.
    ///
    /// # Errors
    /// [`DetectError::Stats`] never happens for the evidence of a scheme; it is passed on rather than hidden.
    pub fn claim(&mut self, detector: &Detector) -> Result<Claim, DetectError> {
        self.settle();
        let law = Law::new(detector.watermark().null().clone())?;
        let pairs = self.entries.len() as u64;
        // In the order of the hashes, so that the sum is the same to the last bit however the corpus was divided.
        let sum: f64 = self.entries.iter().map(|entry| f64::from(entry.evidence)).sum();
        let p = law.tail(sum, pairs)?;
        let family = detector.family().clone();
        let mean = if pairs == 0 { 0.0 } else { sum / pairs as f64 };
        Ok(Claim {
            p,
            corrected: family.correct(p),
            family,
            pairs,
            sampled: self.below.is_some(),
            documents: self.documents,
            tokens: self.tokens,
            score: mean / law.null().unit(),
        })
    }

    /// Writes the sketch: a line of JSON, then 12 bytes an entry.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, mut out: impl Write) -> io::Result<()> {
        self.settle();
        let header = Header {
            format: FORMAT.to_owned(),
            mark: self.mark.clone(),
            limit: self.limit,
            documents: self.documents,
            tokens: self.tokens,
            small: self.small.clone(),
            entries: self.entries.len(),
        };
        serde_json::to_writer(&mut out, &header)?;
        out.write_all(b"\n")?;
        out.write_all(&self.below.unwrap_or(u64::MAX).to_le_bytes())?;
        for entry in &self.entries {
            out.write_all(&entry.hash.to_le_bytes())?;
            out.write_all(&entry.evidence.to_le_bytes())?;
        }
        out.flush()
    }

    /// Reads what [`write`](Self::write) wrote, and nothing after it.
    ///
    /// # Errors
    /// [`ClaimError::Read`], or [`ClaimError::Form`] for what is no whole sketch.
    pub fn read(mut from: impl BufRead) -> Result<Self, ClaimError> {
        let sketch = Self::read_one(&mut from)?;
        if !from.fill_buf()?.is_empty() {
            return Err(ClaimError::Form { what: "something follows its entries" });
        }
        Ok(sketch)
    }

    /// Reads sketches that were written one after the other.
    ///
    /// # Errors
    /// As [`read`](Self::read); none at all is no whole sketch.
    pub fn read_all(mut from: impl BufRead) -> Result<Vec<Self>, ClaimError> {
        let mut sketches = vec![Self::read_one(&mut from)?];
        while !from.fill_buf()?.is_empty() {
            sketches.push(Self::read_one(&mut from)?);
        }
        Ok(sketches)
    }

    fn read_one(mut from: impl BufRead) -> Result<Self, ClaimError> {
        let mut line = Vec::new();
        from.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut line)?;
        let header: Header = serde_json::from_slice(&line)
            .map_err(|_| ClaimError::Form { what: "its first line is no header" })?;
        if header.format != FORMAT {
            return Err(ClaimError::Form { what: "it is of another version" });
        }
        if header.limit == 0 || header.entries > header.limit {
            return Err(ClaimError::Form { what: "it has more entries than its limit" });
        }
        if !header.small.are_consistent() || header.small.tests() > header.documents {
            return Err(ClaimError::Form { what: "its documents are miscounted" });
        }
        let mut sketch = Self::empty(header.mark, header.limit);
        (sketch.documents, sketch.tokens) = (header.documents, header.tokens);
        sketch.small = header.small;
        let below = u64::from_le_bytes(bytes(&mut from)?);
        for _ in 0..header.entries {
            let hash = u64::from_le_bytes(bytes(&mut from)?);
            let evidence = f32::from_le_bytes(bytes(&mut from)?);
            let ascends = sketch.entries.last().is_none_or(|last| last.hash < hash);
            if !ascends || !evidence.is_finite() || hash >= below {
                return Err(ClaimError::Form { what: "its entries are damaged" });
            }
            sketch.entries.push(Entry { hash, evidence });
        }
        sketch.settled = sketch.entries.len();
        sketch.below = (below != u64::MAX).then_some(below);
        Ok(sketch)
    }
}

/// The distinct pairs of a document, found apart from the sketch that takes them, so that many threads can look for them.
#[derive(Clone, Debug)]
pub struct Pairs {
    entries: Vec<Entry>,
    tokens: u64,
}

impl Pairs {
    /// Those of all readings of a document together: which readings there are must not depend on the key. `tokens` counts those of
    /// the first one.
    ///
    /// # Errors
    /// [`ClaimError::Recurring`] for functions with so few words that pairs of a corpus share them.
    pub fn of(watermark: &Watermark, readings: &[Text<'_>]) -> Result<Self, ClaimError> {
        let (mut entries, mut recurs) = (Vec::new(), false);
        for text in readings {
            watermark.each_pair(text, |pair| {
                recurs |= pair.recurs;
                let hash = hash(pair.seed.0, pair.token);
                entries.push(Entry { hash, evidence: rounded_down(pair.evidence) });
            });
        }
        if recurs {
            return Err(ClaimError::Recurring);
        }
        let tokens = readings.first().map_or(0, |text| text.ids.len() as u64);
        Ok(Self { entries, tokens })
    }

    /// Sum and number of the pairs that `seen` does not hold yet; from then on it does.
    pub fn new_evidence(&self, seen: &mut HashSet<u64>) -> (f64, u64) {
        let new = self.entries.iter().filter(|entry| seen.insert(entry.hash));
        new.fold((0.0, 0), |(sum, count), entry| (sum + f64::from(entry.evidence), count + 1))
    }
}

/// Sorting pays from here on.
const MANY: usize = 1 << 12;

const LONGEST_HEADER: u64 = 1 << 16;

fn bytes<const N: usize>(from: &mut impl Read) -> Result<[u8; N], ClaimError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ClaimError::Form { what: "it ends too early" },
        _ => ClaimError::Read(error),
    })?;
    Ok(bytes)
}

/// Mixes seed id and token (the finaliser of SplitMix64, twice); the greatest value is never one.
fn hash(seed: u64, token: u32) -> u64 {
    let mix = |mut x: u64| {
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    };
    let token = u64::from(token).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mix(mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)).wrapping_add(token)).min(u64::MAX - 1)
}

fn rounded_down(evidence: f64) -> f32 {
    let near = evidence as f32;
    if f64::from(near) > evidence { near.next_down() } else { near }
}

/// Why there is no claim for a corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// No evidence of single tokens.
    #[error(
        "this scheme judges texts as wholes, and has no evidence of single tokens to add up over a corpus; use --finish over its rows"
    )]
    OfText,
    /// Words that recur.
    #[error(
        "this function has so few words that the pairs of a corpus share them; use --finish over its rows"
    )]
    Recurring,
    /// No room.
    #[error("a sketch of no pairs says nothing; a usual limit is {}", Sketch::LIMIT)]
    Limit,
    /// Sketches of two marks, or of two sizes.
    #[error("sketches of different marks or limits cannot be merged: \"{ours}\" and \"{theirs}\"")]
    Other {
        /// The one.
        ours: String,
        /// The other.
        theirs: String,
    },
    /// Cannot be read.
    #[error("cannot read the sketch: {0}")]
    Read(#[from] io::Error),
    /// Not a sketch.
    #[error("not a whole sketch: {what}; write it again")]
    Form {
        /// What is wrong.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;
    use crate::prf::PrfVariant;
    use crate::schemes::Spec;
    use crate::tokens::{TokenId, TokenizerHash};
    use crate::watermark::{Repeats, Vocabulary};

    const SPEC: &str = r#"{"scheme":"kgw","gamma":0.25,"delta":2.0,"context_width":2}"#;

    fn detector(number: u64) -> Detector {
        let spec: Spec = serde_json::from_str(SPEC).unwrap();
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let vocabulary =
            Vocabulary { tokenizer: TokenizerHash([3; 32]), size: 4096, special: Vec::new() };
        let mark = Watermark::new(
            &Key::take(&mut bytes),
            PrfVariant::TouchmarkV1,
            &spec,
            &vocabulary,
            Repeats::ScoreOnce,
        );
        Detector::new(mark.unwrap(), 1e-6, Family::one(), None).unwrap()
    }

    /// Tokens of an unmarked text, few of which are frequent.
    fn text(number: u64, tokens: u64) -> Vec<TokenId> {
        let word =
            |i: u64| hash(number.wrapping_mul(1 << 20) + i, 5) % 64 * (hash(number + i, 9) % 8);
        (0..tokens).map(|i| word(i) as TokenId).collect()
    }

    /// A text of which nearly every token is green.
    fn marked(number: u64, tokens: usize, detector: &Detector) -> Vec<TokenId> {
        let mut ids = vec![1, 2];
        for step in 0.. {
            if ids.len() == tokens {
                break;
            }
            ids.push((hash(number, step) % 4096) as TokenId);
            let green = detector.watermark().score(&ids[ids.len() - 3..]).sum();
            if green < 1.0 {
                ids.pop();
            }
        }
        ids
    }

    fn sketch(detector: &Detector, limit: usize, texts: &[Vec<TokenId>]) -> Sketch {
        let mut sketch = Sketch::new(detector.watermark(), "m", limit).unwrap();
        texts.iter().for_each(|ids| sketch.add(detector.watermark(), &Text::of(ids)).unwrap());
        sketch
    }

    fn written(sketch: &mut Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn of_one_text_it_is_the_text_s_own_p_value() {
        let detector = detector(1);
        let ids = [text(1, 300), text(1, 300)].concat();
        let own = detector.detect(&Text::of(&ids)).unwrap();
        let claim = sketch(&detector, 1 << 16, &[ids.clone(), ids]).claim(&detector).unwrap();
        assert_eq!((claim.p, claim.pairs), (own.p, own.evidence.scored() as u64));
        assert_eq!((claim.documents, claim.tokens, claim.sampled), (2, 1200, false));
    }

    #[test]
    fn parts_merged_in_any_order_are_the_whole() {
        let detector = detector(2);
        let texts: Vec<_> = (0..12).map(|i| text(i % 9, 50 + 40 * i)).collect();
        for limit in [1, 50, 700, 1 << 16] {
            let whole = written(&mut sketch(&detector, limit, &texts));
            for (cut, swap) in [(1, false), (5, true), (11, false)] {
                let (first, second) = texts.split_at(cut);
                let [mut a, mut b] = [first, second].map(|part| sketch(&detector, limit, part));
                if swap {
                    std::mem::swap(&mut a, &mut b);
                }
                let b = Sketch::read(written(&mut b).as_slice()).unwrap();
                a.merge(&b).unwrap();
                assert_eq!(written(&mut a), whole, "limit {limit}, cut {cut}");
            }
        }
    }

    #[test]
    fn a_few_marked_documents_show_in_the_whole_and_in_a_sample() {
        let detector = detector(3);
        let mut texts: Vec<_> = (0..100).map(|i| text(i, 200)).collect();
        texts.extend((0..8).map(|i| marked(i, 200, &detector)));
        for (limit, least) in [(1 << 20, -30.0), (8_000, -8.0)] {
            let claim = sketch(&detector, limit, &texts).claim(&detector).unwrap();
            assert!(claim.p.log10() < least, "{claim:?}");
            assert_eq!(claim.sampled, limit == 8_000);
        }
    }

    /// 400 keys on one corpus with boilerplate in every document, read whole and as a sample: no more than 5 % + 4 deviations
    /// of p ≤ 0.05, which adding up the documents' evidence would exceed several times over.
    #[test]
    fn boilerplate_counts_once() {
        let texts: Vec<_> = (0..20).map(|i| [text(77, 30), text(i, 30)].concat()).collect();
        let (mut whole, mut sample, mut naive) = (0, 0, 0);
        for number in 0..400 {
            let detector = detector(1000 + number);
            let p = |limit| sketch(&detector, limit, &texts).claim(&detector).unwrap().p.p();
            whole += usize::from(p(1 << 16) <= 0.05);
            sample += usize::from(p(200) <= 0.05);
            let (mut sum, mut scored) = (0.0, 0);
            for ids in &texts {
                let evidence = detector.watermark().score(ids);
                (sum, scored) = (sum + evidence.sum(), scored + evidence.scored() as u64);
            }
            let law = Law::new(detector.watermark().null().clone()).unwrap();
            naive += usize::from(law.tail(sum, scored).unwrap().p() <= 0.05);
        }
        assert!(whole <= 37 && sample <= 37, "{whole} and {sample}");
        assert!(naive > 60, "{naive}");
    }

    #[test]
    fn evidence_is_never_rounded_up() {
        for evidence in [0.0, 1.0, 0.1, 1.0 / 3.0, 16_777_217.0, 1e-50] {
            let rounded = f64::from(rounded_down(evidence));
            assert!(rounded <= evidence && evidence - rounded <= evidence * 1e-6 + 1e-44);
        }
    }

    #[test]
    fn what_is_no_whole_sketch_is_refused() {
        let detector = detector(4);
        let bytes = written(&mut sketch(&detector, 64, &[text(1, 90)]));
        assert!(Sketch::read(bytes.as_slice()).is_ok());
        let refused = |bytes: &[u8]| matches!(Sketch::read(bytes), Err(ClaimError::Form { .. }));
        assert!(refused(&bytes[..bytes.len() - 1]) && refused(b"{}\n") && refused(b""));
        assert!(refused(&[&bytes[..], b"x"].concat()));
        let mut damaged = bytes.clone();
        let at = bytes.len() - 12;
        damaged[at..at + 8].fill(0);
        assert!(refused(&damaged));
        let two = [&bytes[..], &bytes[..]].concat();
        assert_eq!(Sketch::read_all(two.as_slice()).unwrap().len(), 2);
        let torn = matches!(Sketch::read_all(&two[..two.len() - 1]), Err(ClaimError::Form { .. }));
        assert!(torn && Sketch::read_all(&b""[..]).is_err());
        let miscounted = String::from_utf8_lossy(&bytes[..200]).contains("\"tests\":0");
        assert!(miscounted, "the header says how many documents have a p-value");
        let at = bytes.windows(9).position(|part| part == b"\"tests\":0").unwrap();
        let mut more = bytes;
        more[at + 8] = b'9';
        assert!(refused(&more));
        let mut one = sketch(&detector, 64, &[]);
        assert!(matches!(one.merge(&sketch(&detector, 65, &[])), Err(ClaimError::Other { .. })));
        assert!(matches!(Sketch::new(detector.watermark(), "m", 0), Err(ClaimError::Limit)));
    }
}
