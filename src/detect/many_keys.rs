//! Which of many keys marked a text.
//!
//! Every key is a test, and all of them are paid for whether they were read to the end or not. Of very many keys only those are
//! read to the end that the beginning of the text speaks most for. That choice cannot make a p-value too small: the p-value of
//! a key that was read is the one it would have without the choice, corrected for all keys, and the smallest over some of the
//! keys is never below the smallest over all. It can miss a mark that the beginning does not show.

use std::cmp::Ordering;

use super::{DetectError, Detection, Detector, Look};
use crate::stats::LogP;
use crate::watermark::{Counted, Text, Watermark};

/// Which keys are read to the end of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// Of more than 256 keys and texts of more than 512 tokens, those that the first 512 speak most for.
    #[default]
    Auto,
    /// All.
    Off,
    /// Of any number of keys above 64, those that so many first tokens speak most for.
    First(u32),
}

impl Screen {
    /// How many keys are read to the end, for each reading of the text.
    pub const KEPT: usize = 64;
    const MANY: usize = 256;
    const TOKENS: usize = 512;

    /// How many tokens of a text say which keys are kept; none where all are.
    fn tokens(self, keys: usize, longest: usize) -> Option<usize> {
        let (many, tokens) = match self {
            Self::Off => return None,
            Self::Auto => (Self::MANY, Self::TOKENS),
            Self::First(tokens) => (Self::KEPT, tokens as usize),
        };
        (keys > many && longest > tokens).then_some(tokens)
    }
}

/// One way of marking under many keys.
#[derive(Debug)]
pub struct ManyKeys {
    detectors: Vec<Detector>,
    screen: Screen,
}

/// The keys that a text speaks most for.
#[derive(Debug)]
pub struct Candidates {
    /// Indices of detectors with what they found: in the order of the detectors where none is left out, else best first.
    pub best: Vec<(usize, Detection)>,
    /// How many keys there were.
    pub keys: usize,
    /// How many tokens of each reading said which keys were read to the end; none where all were.
    pub screened: Option<usize>,
}

impl Candidates {
    /// What a row must say of the keys it does not name, if there are any.
    pub fn words(&self) -> Option<String> {
        let shown = self.best.len();
        let best = (shown < self.keys)
            .then(|| format!("the {shown} best of {} keys are shown", self.keys));
        let screened = self.screened.map(|tokens| {
            format!(
                "only keys that the first {tokens} tokens speak most for were read to the end: a mark that begins later may be \
                 missed"
            )
        });
        let both: Vec<String> = best.into_iter().chain(screened).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }
}

impl ManyKeys {
    /// Detectors of one mark that differ by their key; each has the family of all of them.
    /// Marks that judge whole texts (`mpac`, `kuditipudi`, any mark with a message) are never screened.
    pub fn new(detectors: Vec<Detector>, screen: Screen) -> Self {
        let judges = |it: &Detector| it.watermark.spec().scheme().sequence().is_some();
        let screen = if detectors.iter().any(judges) { Screen::Off } else { screen };
        Self { detectors, screen }
    }

    /// The detectors, one a key.
    pub fn detectors(&self) -> &[Detector] {
        &self.detectors
    }

    /// Examines several readings of a document as [`Detector::best_of`] does, for every key. The `top` keys that it speaks most
    /// for are told of, and all that are detected.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn best_of(
        &self,
        texts: &[Text<'_>],
        readings: u64,
        top: usize,
    ) -> Result<Candidates, DetectError> {
        let readings = readings.max(texts.len() as u64);
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let screened = self.screen.tokens(self.detectors.len(), longest);
        let keys = match screened {
            Some(tokens) => self.promising(texts, tokens),
            None => (0..self.detectors.len()).collect(),
        };
        let counted = self.counted(texts);
        let mut kept = Kept { top, readings, looks: Vec::new() };
        for keys in keys.chunks(BLOCK) {
            self.best_looks(&counted, keys)?.into_iter().for_each(|found| kept.add(self, found));
        }
        if top < self.detectors.len() {
            kept.looks.sort_by(Found::rank);
        }
        let tell = |Found { key, reading, look, .. }| {
            Ok((key, self.detectors[key].detection(reading, look, readings)?))
        };
        let best = kept.looks.into_iter().map(tell).collect::<Result<_, DetectError>>()?;
        Ok(Candidates { best, keys: self.detectors.len(), screened })
    }

    /// Every reading, its positions found for all keys.
    fn counted<'a>(&'a self, texts: &[Text<'a>]) -> Vec<Counted<'a>> {
        let Some(first) = self.detectors.first() else { return Vec::new() };
        texts.iter().map(|text| first.watermark.count(text)).collect()
    }

    /// The keys that the first tokens of some reading speak most for, ascending.
    fn promising(&self, texts: &[Text<'_>], tokens: usize) -> Vec<usize> {
        let mut keys = Vec::new();
        for text in texts {
            let ids = &text.ids[..text.ids.len().min(tokens)];
            let mut ranked = self.ranked(&Text { ids, ..*text });
            if ranked.len() > Screen::KEPT {
                let better =
                    |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
                ranked.select_nth_unstable_by(Screen::KEPT, better);
                ranked.truncate(Screen::KEPT);
            }
            keys.extend(ranked.into_iter().map(|(key, _)| key));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Each key with its evidence above the mean. Of one number of scored tokens more evidence is a smaller p-value.
    fn ranked(&self, text: &Text<'_>) -> Vec<(usize, f64)> {
        let mut all = Vec::with_capacity(self.detectors.len());
        for counted in self.counted(std::slice::from_ref(text)) {
            for block in self.detectors.chunks(BLOCK) {
                let marks: Vec<&Watermark> = block.iter().map(|it| &it.watermark).collect();
                for (detector, evidence) in block.iter().zip(counted.score(&marks)) {
                    let mean = detector.law.null().mean() * evidence.scored() as f64;
                    all.push((all.len(), evidence.sum() - mean));
                }
            }
        }
        all
    }

    /// For each of some keys the reading that speaks most for it.
    fn best_looks(
        &self,
        counted: &[Counted<'_>],
        keys: &[usize],
    ) -> Result<Vec<Found>, DetectError> {
        let marks: Vec<&Watermark> =
            keys.iter().map(|&key| &self.detectors[key].watermark).collect();
        let mut best: Vec<Found> = keys.iter().map(|&key| Found::nothing(key)).collect();
        for (reading, counted) in counted.iter().enumerate() {
            for (best, evidence) in best.iter_mut().zip(counted.score(&marks)) {
                let look = self.detectors[best.key].look(evidence)?;
                if reading == 0 || look.p_document() < best.look.p_document() {
                    (best.reading, best.look) = (reading, look);
                }
            }
        }
        Ok(best)
    }
}

/// What one key made of a document.
#[derive(Debug)]
struct Found {
    key: usize,
    reading: usize,
    look: Look,
    corrected: LogP,
}

impl Found {
    fn nothing(key: usize) -> Self {
        Self { key, reading: 0, look: Look::nothing(), corrected: LogP::ONE }
    }

    /// Best first; p-values that were clipped at 1 are told apart by what they were.
    fn rank(&self, other: &Self) -> Ordering {
        let by = |it: &Self| (it.corrected, it.look.p(), it.key);
        by(self).cmp(&by(other))
    }
}

/// The best so far, and all that are detected.
struct Kept {
    top: usize,
    readings: u64,
    looks: Vec<Found>,
}

impl Kept {
    fn add(&mut self, keys: &ManyKeys, found: Found) {
        let detector = &keys.detectors[found.key];
        let corrected = detector.corrected(&found.look, self.readings);
        self.looks.push(Found { corrected, ..found });
        let all = self.looks.iter().enumerate();
        let worst = all.max_by(|(_, a), (_, b)| a.rank(b)).map(|(at, worst)| (at, worst.corrected));
        if let Some((at, corrected)) = worst
            && self.looks.len() > self.top
            && corrected.log10() > detector.threshold_log10_p()
        {
            self.looks.remove(at);
        }
    }
}

/// Keys that are scored together: a few times the lanes there are.
const BLOCK: usize = 64;
