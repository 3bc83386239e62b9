//! The row that `detect` writes for each document and profile.

use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

use super::{Detection, Detector, Passage, Verdict};
use crate::profile::{Lint, Profile};
use crate::schemes::Message;

/// One document × one profile. Numbers that may underflow are logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Version of this form.
    pub schema: u32,
    /// The document.
    pub id: String,
    /// Where it was read.
    pub source: String,
    /// Where in the source it begins, in bytes.
    pub offset: u64,
    /// Profile id.
    pub profile: String,
    /// Scheme name.
    pub scheme: String,
    /// PRF variant.
    pub prf: String,
    /// Public name of the key.
    pub key_id: String,
    /// What is said.
    pub verdict: Verdict,
    /// log₁₀ of the p-value of the look at the document that speaks most for this profile: at the whole, or at its best window.
    pub log10_p: f64,
    /// The same, corrected within the document for all that was looked at: a p-value of the document.
    pub log10_p_corrected: f64,
    /// Mean evidence of the scored tokens.
    pub score: f64,
    /// Tokens in the document.
    pub tokens_total: usize,
    /// Tokens that count.
    pub tokens_scored: usize,
    /// Tokens left out because they repeat a draw or its words.
    pub repeated: usize,
    /// What `log10_p_corrected` is compared with.
    pub threshold_log10_p: f64,
    /// About how many more tokens would do, where the verdict is `insufficient_evidence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_tokens: Option<u64>,
    /// How the text was read: with which beginning, and whether normalised.
    pub reading: String,
    /// Where ids were given: how many of them their own text does not encode to again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids_lost_in_text: Option<usize>,
    /// P(marked | text) under the user's prior and weights, of a Bayesian detector; never a p-value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<f64>,
    /// p-value by comparison with decoy keys, of the text as a whole, corrected for profiles and keys; where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoy_p: Option<f64>,
    /// The calibration that was given for this profile and key: the first 12 hexadecimal digits of its file's BLAKE3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// Whether that calibration shows the key's rate at a nominal 1 % to be 2 % at most, and nothing against the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<bool>,
    /// Whether the profile's seeds read at most one token, or none: documents then share the fortunes of their frequent words.
    pub narrow_seeds: bool,
    /// Marked passages.
    pub segments: Vec<Segment>,
    /// The message, of a mark that carries one and was detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadRow>,
    /// What the p-value is averaged over.
    pub null: String,
    /// The family of tests that it was corrected for, in words.
    pub family: String,
    /// What a reader must know.
    pub warnings: Vec<String>,
    /// Version of the program.
    pub detector_version: String,
}

/// The message of a detected mark. Probabilities are those given that there is one, all being equally likely beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadRow {
    /// The likeliest message: `0x` and as many hexadecimal digits as its bits need.
    pub message: String,
    /// The same in binary digits.
    pub bits: String,
    /// Its probability.
    pub posterior: f64,
    /// The probability of a one for each of its bits, in the order of `bits`; empty for marks whose digits are no bits.
    pub ones: Vec<f64>,
    /// The next likeliest messages and their probabilities, best first.
    pub next: Vec<(String, f64)>,
    /// log₁₀ of the p-value of this message alone, which is valid only if it was fixed before the text. For one of m suspected
    /// messages add log₁₀ m; for one read from the text, log₁₀ 2^k. The row's own `log10_p` holds for any message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log10_p_if_known: Option<f64>,
}

impl PayloadRow {
    fn of(found: &Detection) -> Option<Self> {
        if found.verdict != Verdict::Detected {
            return None;
        }
        let Message { bits, posterior, ones, next, .. } =
            found.evidence.judgement.as_ref()?.message.as_ref()?;
        Some(Self {
            message: hexadecimal(bits),
            bits: bits.clone(),
            posterior: *posterior,
            ones: ones.clone(),
            next: next.iter().map(|(bits, posterior)| (hexadecimal(bits), *posterior)).collect(),
            log10_p_if_known: found.message_p.map(|p| finite(p.log10())),
        })
    }
}

/// At most 64 binary digits.
fn hexadecimal(bits: &str) -> String {
    let number = u64::from_str_radix(bits, 2).unwrap_or_default();
    format!("{number:#0width$x}", width = 2 + bits.len().div_ceil(4))
}

/// A marked passage: half-open ranges of tokens and bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// First token.
    pub start: usize,
    /// Token after the last.
    pub end: usize,
    /// First byte in the document; none where ids were read.
    pub byte_start: Option<usize>,
    /// Byte after the last.
    pub byte_end: Option<usize>,
    /// log₁₀ of its p-value, corrected as the row's is, for all windows.
    pub log10_p: f64,
    /// The earliest and the latest of the first tokens that are almost as likely.
    pub start_between: (usize, usize),
    /// The earliest and the latest of the ends that are almost as likely.
    pub end_between: (usize, usize),
}

impl Segment {
    fn of(passage: &Passage) -> Self {
        let ends = |range: &RangeInclusive<usize>| (*range.start(), *range.end());
        Self {
            start: passage.tokens.start,
            end: passage.tokens.end,
            byte_start: None,
            byte_end: None,
            log10_p: finite(passage.corrected.log10()),
            start_between: ends(&passage.start),
            end_between: ends(&passage.end),
        }
    }
}

impl Row {
    /// The only version so far.
    pub const SCHEMA: u32 = 1;

    /// What a p-value is averaged over, in words.
    pub const NULL: &str = "the text is independent of the key; p is exact or an upper bound, averaged over keys; \
                            assumes the key was fixed before the text; not shown";

    /// The row of a detection.
    pub fn new(
        id: String,
        source: String,
        offset: u64,
        profile: &Profile,
        detector: &Detector,
        found: &Detection,
    ) -> Self {
        Self {
            verdict: found.verdict,
            log10_p: finite(found.p.log10()),
            log10_p_corrected: finite(found.corrected.log10()),
            score: found.score,
            tokens_total: found.evidence.total,
            tokens_scored: found.evidence.scored(),
            repeated: found.evidence.repeated + found.evidence.aliased,
            threshold_log10_p: detector.threshold_log10_p(),
            more_tokens: found.more_tokens,
            segments: found.passages.iter().map(Segment::of).collect(),
            payload: PayloadRow::of(found),
            family: found.family.words(),
            ..Self::error(id, source, offset, profile, Vec::new())
        }
    }

    /// Gives segments their bytes: `bytes` are the ranges of the tokens in the text that was read, `original` turns a position
    /// in it into one in the document.
    pub fn locate(&mut self, bytes: &[Range<usize>], original: impl Fn(usize) -> usize) {
        for segment in &mut self.segments {
            let Some(tokens) = bytes.get(segment.start..segment.end) else { continue };
            segment.byte_start = tokens.first().map(|first| original(first.start));
            segment.byte_end = tokens.last().map(|last| original(last.end));
        }
    }

    /// The row of a document that could not be examined.
    pub fn error(
        id: String,
        source: String,
        offset: u64,
        profile: &Profile,
        warnings: Vec<String>,
    ) -> Self {
        Self {
            schema: Self::SCHEMA,
            id,
            source,
            offset,
            profile: profile.id.clone(),
            scheme: profile.scheme.name().to_owned(),
            prf: profile.prf.name().to_owned(),
            key_id: profile.key_id.to_string(),
            verdict: Verdict::Error,
            log10_p: 0.0,
            log10_p_corrected: 0.0,
            score: 0.0,
            tokens_total: 0,
            tokens_scored: 0,
            repeated: 0,
            threshold_log10_p: 0.0,
            more_tokens: None,
            reading: String::new(),
            ids_lost_in_text: None,
            posterior: None,
            decoy_p: None,
            calibration: None,
            calibrated: None,
            narrow_seeds: profile.lint().iter().any(Lint::is_of_narrow_seeds),
            segments: Vec::new(),
            payload: None,
            null: Self::NULL.to_owned(),
            family: String::new(),
            warnings,
            detector_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// JSON has no infinity.
fn finite(log10_p: f64) -> f64 {
    log10_p.max(f64::MIN)
}
