//! The body of an answer: what is said of a text, and to whom.

use std::ops::Range;

use serde::Serialize;
use utoipa::ToSchema;

use super::examine::Finding;
use crate::detect::{Row, Segment, Shown, Verdict};

/// What is said of a text. The public gets the verdict and what follows from the text's length; `score` and `p_value` are null then,
/// and what else speaks of evidence is left out.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Answer {
    /// The name that came with the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether a mark was found. False is no proof that there is none, and never that a person wrote the text.
    pub is_watermarked: bool,
    /// `detected`, `not_detected` (a mark would probably have been found), or `insufficient_evidence`.
    #[schema(value_type = String, example = "detected")]
    pub verdict: Verdict,
    /// Tokens that count: of the mark that is told of, or for the public the most of any mark, rounded down to tens.
    pub num_scored_tokens: u64,
    /// Tokens of the text, or of the earlier one whose verdict this is; null where the text was not read.
    pub num_tokens: Option<u64>,
    /// Where the evidence is insufficient: about how many tokens a text should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed_tokens: Option<u64>,
    /// Why the text was not examined, or what the verdict is about if not this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Mean evidence of the tokens that count. For analysts.
    pub score: Option<f64>,
    /// 10^log10_p_corrected, at least 1e-300. For analysts.
    pub p_value: Option<f64>,
    /// log₁₀ of the p-value of the look that speaks most for the mark. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log10_p: Option<f64>,
    /// The same, corrected for all that was looked at in this text. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log10_p_corrected: Option<f64>,
    /// What the corrected one is compared with. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_log10_p: Option<f64>,
    /// The mark that is told of: the profile's name. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The public name of its key, which may be that of a tenant. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Marked passages. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub segments: Option<Vec<Segment>>,
    /// The tests that the p-value is corrected for, in words. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// What a reader must know. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
    /// The row of each profile and key, as `touchmark detect` writes it. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub rows: Option<Vec<Row>>,
    /// The text with its tokens' evidence, where that was asked for. For analysts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<TokenEvidence>,
}

/// Why a text was not examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has fewer tokens that count than a verdict for the public needs.
    TooShort,
    /// It is the same as a text that was asked about before, but for a few words; the verdict is that text's.
    SameAsEarlier,
    /// It is too like a text that was asked about before to be examined anew, and not enough to share its verdict.
    LikeEarlier,
}

/// A text as it was read, in pieces whose texts make up the whole.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TokenEvidence {
    /// Tokens of the text.
    pub tokens: usize,
    /// From which evidence on a token has level 1, 2 and 3; null where no token says so much.
    pub steps: Vec<Option<f64>>,
    /// Tokens, and what stands between them.
    pub pieces: Vec<TextPiece>,
}

/// A token, several that share a character, or what stands between tokens.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TextPiece {
    /// Its text.
    pub text: String,
    /// The number of its first token, from 0; null between tokens.
    pub token: Option<usize>,
    /// How many tokens it is.
    pub tokens: usize,
    /// How much it speaks for the mark, from 0 to 3: unmarked text reaches 1 in about a quarter of its tokens or fewer, 2 in one
    /// of 20, 3 in one of 100.
    pub level: usize,
    /// Its evidence; null where no token of it counts.
    pub evidence: Option<f64>,
}

/// What the public may know of a text, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PublicVerdict {
    verdict: Verdict,
    scored: u64,
    tokens: Option<u64>,
    needed: Option<u64>,
    reason: Option<Reason>,
}

impl PublicVerdict {
    /// Of a text whose wording alone decided.
    pub fn like_earlier() -> Self {
        Self {
            verdict: Verdict::InsufficientEvidence,
            scored: 0,
            tokens: None,
            needed: None,
            reason: Some(Reason::LikeEarlier),
        }
    }

    /// Of a text that was examined, for a public that needs so many tokens.
    pub fn of(found: &Finding, min_tokens: usize) -> Self {
        let rows = &found.rows;
        let scored = rows.iter().map(|row| row.tokens_scored as u64).max().unwrap_or(0);
        let (least, tokens) = (min_tokens as u64, found.tokens as u64);
        let is_short = found.tokens < min_tokens || scored < least;
        let verdict = if is_short { Verdict::InsufficientEvidence } else { together(rows) };
        let needed = (verdict == Verdict::InsufficientEvidence)
            .then(|| enough(rows).map_or(least, |enough| enough.max(least)));
        let reason = is_short.then_some(Reason::TooShort);
        Self { verdict, scored: scored / 10 * 10, tokens: Some(tokens), needed, reason }
    }

    /// Whether it rests on the text's mark.
    pub fn is_of_mark(self) -> bool {
        self.reason.is_none()
    }

    /// The same of a text with the same wording.
    pub fn of_same(self) -> Self {
        Self { reason: Some(Reason::SameAsEarlier), ..self }
    }
}

impl Answer {
    /// What the public is told.
    pub(super) fn public(id: Option<String>, said: PublicVerdict) -> Self {
        Self {
            id,
            is_watermarked: said.verdict == Verdict::Detected,
            verdict: said.verdict,
            num_scored_tokens: said.scored,
            num_tokens: said.tokens,
            needed_tokens: said.needed,
            reason: said.reason,
            score: None,
            p_value: None,
            log10_p: None,
            log10_p_corrected: None,
            threshold_log10_p: None,
            profile: None,
            key_id: None,
            segments: None,
            family: None,
            warnings: None,
            rows: None,
            evidence: None,
        }
    }

    /// What analysts are told.
    pub(super) fn whole(id: Option<String>, found: Finding) -> Self {
        let Finding { tokens, rows, shown } = found;
        let verdict = together(&rows);
        let needed = (verdict == Verdict::InsufficientEvidence).then(|| enough(&rows)).flatten();
        let said =
            PublicVerdict { verdict, scored: 0, tokens: Some(tokens as u64), needed, reason: None };
        let answer = Self::public(id, said);
        let best = (0..rows.len()).min_by(|&a, &b| rank(&rows[a]).cmp_to(rank(&rows[b])));
        let Some((at, row)) = best.and_then(|at| Some((at, rows.get(at)?))) else {
            return Self { rows: Some(rows), ..answer };
        };
        Self {
            num_scored_tokens: row.tokens_scored as u64,
            score: Some(row.score),
            p_value: Some(10f64.powf(row.log10_p_corrected.max(-300.0))),
            log10_p: Some(row.log10_p),
            log10_p_corrected: Some(row.log10_p_corrected),
            threshold_log10_p: Some(row.threshold_log10_p),
            profile: Some(row.profile.clone()),
            key_id: Some(row.key_id.clone()),
            segments: Some(row.segments.clone()),
            family: Some(row.family.clone()),
            warnings: Some(warnings(&rows)),
            evidence: shown.get(at).map(TokenEvidence::of),
            rows: Some(rows),
            ..answer
        }
    }
}

impl TokenEvidence {
    fn of(shown: &Shown) -> Self {
        let mut pieces = Vec::with_capacity(shown.pieces.len());
        let part = |range: Range<usize>| shown.text.get(range).unwrap_or_default().to_owned();
        let between = |range| TextPiece {
            text: part(range),
            token: None,
            tokens: 0,
            level: 0,
            evidence: None,
        };
        let mut end = 0;
        for piece in &shown.pieces {
            if piece.bytes.start > end {
                pieces.push(between(end..piece.bytes.start));
            }
            pieces.push(TextPiece {
                text: part(piece.bytes.clone()),
                token: Some(piece.tokens.start),
                tokens: piece.tokens.len(),
                level: shown.level(piece),
                evidence: piece.evidence,
            });
            end = piece.bytes.end;
        }
        if end < shown.text.len() {
            pieces.push(between(end..shown.text.len()));
        }
        let steps = shown.steps.iter().map(|step| step.is_finite().then_some(*step)).collect();
        Self { tokens: shown.total, steps, pieces }
    }
}

/// Detected where any mark is; not detected only where the text is long enough for every mark.
fn together(rows: &[Row]) -> Verdict {
    if rows.iter().any(|row| row.verdict == Verdict::Detected) {
        Verdict::Detected
    } else if !rows.is_empty() && rows.iter().all(|row| row.verdict == Verdict::NotDetected) {
        Verdict::NotDetected
    } else {
        Verdict::InsufficientEvidence
    }
}

/// Tokens that count with which the first of the marks would be found half the time.
fn enough(rows: &[Row]) -> Option<u64> {
    let enough = |row: &Row| Some(row.tokens_scored as u64 + row.more_tokens?);
    rows.iter().filter_map(enough).min()
}

/// Each warning once, in order.
fn warnings(rows: &[Row]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for warning in rows.iter().flat_map(|row| &row.warnings) {
        if !all.contains(warning) {
            all.push(warning.clone());
        }
    }
    all
}

/// Detected ones first, then by evidence.
struct Rank(bool, f64, f64);

fn rank(row: &Row) -> Rank {
    Rank(row.verdict != Verdict::Detected, row.log10_p_corrected, row.log10_p)
}

impl Rank {
    fn cmp_to(&self, other: Self) -> std::cmp::Ordering {
        let class = self.0.cmp(&other.0);
        class.then(self.1.total_cmp(&other.1)).then(self.2.total_cmp(&other.2))
    }
}
