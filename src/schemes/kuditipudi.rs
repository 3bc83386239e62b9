//! `kuditipudi`: a text walks through a secret sequence of numbers; the reader looks for the walk.
//!
//! Kuditipudi et al., "Robust Distortion-free Watermarks for Language Models", TMLR 2024 (arXiv 2307.15593);
//! jthickstun/watermark. With row j of the sequence (see [`PeerPrf::KeySequence`]) a token is
//!
//! ```text
//! gumbel      argmax_v ξ_jv^(1/p_v)
//! transform   the first token, in the order π, at which the cumulative probability reaches ξ_j
//! ```
//!
//! Reading aligns blocks of k tokens with k successive rows, cyclically, and takes the best alignment:
//!
//! ```text
//! S = max_{i,j} Σ_{t<k} s(x_{i+t}, row j+t),    s = −ln(1 − ξ)  or  s = −|place/V − ξ|
//! ```
//!
//! or, with a gap cost, the negative of the Levenshtein cost of block and rows (their costs being −s). The tool's statistic is
//! −S. There is no law of S in general: p is the rank of S among `draws` statistics of the same text with fresh numbers,
//! (1 + #{S' ≥ S}) / (1 + draws). A whole sequence of numbers is no function of contexts, so repeated tokens are no repeats.
//!
//! For `gumbel` without gaps and blocks no longer than the sequence, a block's terms are independent and at most Exp(1), so
//! n·(m − k + 1) gamma tails bound p as well; p is then twice the smaller of both, and can be smaller than 1/(1 + draws).
//!
//! Time: draws · m · n steps without gaps, draws · m · n · k² with them. 200 tokens, 256 rows and 199 draws take about half a
//! second without gaps; with gaps and k = 50 they are 2·10¹⁰ steps, several minutes. Space of `gumbel`: 4·n·V bytes.
//!
//! Marking begins at row `offset`, as the tool's `random_offset=False` does; the tool's default begins each text at a random
//! row, which reading allows for.

use serde::{Deserialize, Serialize};

use super::sequence::{Judgement, Noted, Sequence, TextLaw};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{HERE, PLACE, PeerPrf, Rows};
use crate::tokens::TokenId;

/// Parameters of `kuditipudi`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kuditipudi {
    /// What the numbers do.
    pub method: Method,
    /// n, rows of the sequence, 1 to 65,536.
    pub n: u32,
    /// k, tokens of a block. Absent: the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    /// What an insertion or deletion costs. Absent: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<f64>,
    /// Statistics under the null that S is compared with, 1 to 100,000.
    pub draws: u32,
    /// The row of an answer's first token, when marking.
    pub offset: u32,
}

/// What the numbers do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Exponential minimum sampling (EXP), with torch's numbers.
    #[default]
    Gumbel,
    /// The same with the demo's numbers.
    Demo,
    /// Inverse transform sampling (ITS).
    Transform,
}

impl Default for Kuditipudi {
    fn default() -> Self {
        Self { method: Method::Gumbel, n: 256, k: None, gap: None, draws: 199, offset: 0 }
    }
}

impl Kuditipudi {
    /// The others cannot give a p of 1e-6 with fewer draws than that.
    pub(super) fn examples() -> Vec<Self> {
        let base = Self { n: 64, k: Some(60), draws: 29, ..Self::default() };
        vec![base.clone(), Self { method: Method::Demo, n: 50, k: Some(40), offset: 17, ..base }]
    }

    fn rows(&self) -> Rows {
        match self.method {
            Method::Gumbel => Rows::Exponential,
            Method::Demo => Rows::Demo,
            Method::Transform => Rows::Transform,
        }
    }

    /// Words of a token: its place and one for each row, or those alone.
    fn stride(&self) -> usize {
        self.n as usize + usize::from(self.method == Method::Transform)
    }

    /// s(token, row j) for all rows.
    fn scores(&self, words: &[u32], vocab_size: u32) -> Vec<f64> {
        match (self.method, words.split_first()) {
            (Method::Transform, Some((&place, rows))) => {
                let place = f64::from(place) / f64::from(vocab_size);
                rows.iter().map(|&row| -(place - f64::from(row) / TWO_POW_32).abs()).collect()
            }
            _ => words.iter().map(|&row| -(-f64::from(row) / TWO_POW_32).ln_1p()).collect(),
        }
    }

    /// The best alignment of a text, given each token's kind and each kind's scores.
    fn best(&self, kinds: &[usize], scores: &[Vec<f64>]) -> Alignment {
        let (n, k) = (self.n as usize, self.block(kinds.len()));
        let mut best = Alignment { score: f64::NEG_INFINITY, first: 0, row: 0 };
        let mut try_one = |first: usize, row: usize, score: f64| {
            if score > best.score {
                best = Alignment { score, first, row };
            }
        };
        for row in 0..n {
            if let Some(gap) = self.gap {
                for first in 0..=kinds.len() - k {
                    let score = |t: usize, s: usize| scores[kinds[first + t]][(row + s) % n];
                    try_one(first, row, edit_score(k, gap, score));
                }
                continue;
            }
            // Blocks on one diagonal differ by the terms at their ends.
            let term = |at: usize| scores[kinds[at]][(row + at) % n];
            let mut sum: f64 = (0..k).map(term).sum();
            for first in 0..=kinds.len() - k {
                try_one(first, (row + first) % n, sum);
                if first + k < kinds.len() {
                    sum += term(first + k) - term(first);
                }
            }
        }
        best
    }

    fn block(&self, tokens: usize) -> usize {
        self.k.map_or(tokens, |k| (k as usize).min(tokens))
    }

    /// Scores of as many kinds of token with fresh numbers, of the form that the key's have.
    fn fresh(&self, kinds: usize, vocab_size: u32, noise: &mut Noise) -> Vec<Vec<f64>> {
        let unit = if self.method == Method::Demo { TWO_POW_32 } else { TWO_POW_24 };
        let scale = (TWO_POW_32 / unit) as u32;
        let n = self.n as usize;
        let mut row = || (noise.uniform() * unit) as u32 * scale;
        if self.method != Method::Transform {
            return (0..kinds)
                .map(|_| self.scores(&(0..n).map(|_| row()).collect::<Vec<_>>(), vocab_size))
                .collect();
        }
        let rows: Vec<u32> = (0..n).map(|_| row()).collect();
        let places = distinct(kinds, vocab_size, noise);
        places
            .into_iter()
            .map(|place| self.scores(&[&[place], &rows[..]].concat(), vocab_size))
            .collect()
    }
}

/// Where a text fits best, and how well.
struct Alignment {
    score: f64,
    first: usize,
    row: usize,
}

/// The negative of the least cost of turning k tokens into k rows: a gap costs `gap`, a pair −score.
fn edit_score(k: usize, gap: f64, score: impl Fn(usize, usize) -> f64) -> f64 {
    let mut costs: Vec<f64> = (0..=k).map(|s| s as f64 * gap).collect();
    for t in 0..k {
        let mut diagonal = costs[0];
        costs[0] = (t + 1) as f64 * gap;
        for s in 0..k {
            let pair = diagonal - score(t, s);
            diagonal = costs[s + 1];
            costs[s + 1] = pair.min(diagonal + gap).min(costs[s] + gap);
        }
    }
    -costs[k]
}

/// So many different places among V, at random (Floyd's method would need a set: these are few beside V, or nearly all).
fn distinct(count: usize, vocab_size: u32, noise: &mut Noise) -> Vec<u32> {
    let mut seen = std::collections::HashSet::with_capacity(count);
    let mut places = Vec::with_capacity(count);
    while places.len() < count {
        let place = (noise.uniform() * f64::from(vocab_size)) as u32;
        if seen.insert(place) || seen.len() >= vocab_size as usize {
            places.push(place);
        }
    }
    places
}

impl Scheme for Kuditipudi {
    fn check(&self) -> Result<(), SpecError> {
        let range = |name, got: u32, max: u32| {
            let inside = (1..=max).contains(&got);
            let (got, max) = (got as usize, max as usize);
            if inside { Ok(()) } else { Err(SpecError::Count { name, got, max }) }
        };
        range("n", self.n, 65_536)?;
        range("k", self.k.unwrap_or(1), u32::MAX)?;
        range("draws", self.draws, 100_000)?;
        match self.gap {
            Some(got) if !(got.is_finite() && got >= 0.0) => Err(SpecError::Gap { got }),
            _ => Ok(()),
        }
    }

    fn seeding(&self) -> Seeding {
        Seeding::Fixed
    }

    fn peer(&self) -> Option<PeerPrf> {
        let (rows, length, offset) = (self.rows(), self.n, self.offset);
        Some(PeerPrf::KeySequence { rows, length, offset })
    }

    fn stage(&self) -> Stage {
        Stage::AfterTruncation
    }

    fn streams(&self) -> &[u32] {
        &[HERE]
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        let stream = if self.method == Method::Transform { PLACE } else { HERE };
        candidates.read_words(|ids, out| draw.words(ids, stream, out));
        let first = candidates.id(0);
        let (probabilities, words) = candidates.probabilities_and_words();
        let entry = match self.method {
            Method::Transform => {
                let target = f64::from(draw.word(first, HERE)) / TWO_POW_32;
                inverse_transform(probabilities, words, target)
            }
            Method::Gumbel | Method::Demo => exponential_race(probabilities, words),
        };
        Pick::Token(candidates.id(entry))
    }

    /// Nothing: see [`Sequence`].
    fn evidence(&self, _: &Draw<'_>, _: TokenId) -> f64 {
        0.0
    }

    fn sequence(&self) -> Option<&dyn Sequence> {
        Some(self)
    }

    fn null(&self, _: u32) -> Null {
        Null::OfText
    }

    fn distortion_free(&self) -> bool {
        true
    }
}

/// argmax ξ^(1/p), the first on ties.
fn exponential_race(probabilities: &[f32], words: &[u32]) -> usize {
    let (mut best, mut least) = (0, f64::INFINITY);
    for (entry, (&p, &word)) in probabilities.iter().zip(words).enumerate() {
        let time = -(f64::from(word) / TWO_POW_32).ln() / f64::from(p);
        if time < least {
            (best, least) = (entry, time);
        }
    }
    best
}

/// The first entry, by place, at which the cumulative probability reaches `target`.
fn inverse_transform(probabilities: &[f32], places: &[u32], target: f64) -> usize {
    let mut order: Vec<usize> = (0..places.len()).filter(|&at| probabilities[at] > 0.0).collect();
    order.sort_unstable_by_key(|&entry| places[entry]);
    let total: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    let (mut mass, mut last) = (0.0, 0);
    for entry in order {
        mass += f64::from(probabilities[entry]);
        last = entry;
        if mass >= target * total {
            break;
        }
    }
    last
}

impl Sequence for Kuditipudi {
    fn note(&self, draw: &Draw<'_>, token: TokenId, words: &mut Vec<u32>) -> bool {
        if self.method == Method::Transform {
            words.push(draw.word(token, PLACE));
        }
        words.extend((0..self.n).map(|row| draw.word(token, row)));
        true
    }

    fn judge(&self, noted: &Noted, vocab_size: u32) -> Judgement {
        let m = noted.tokens.len();
        if m == 0 {
            return Judgement::default();
        }
        let (mut kinds, mut scores) = (Vec::with_capacity(m), Vec::new());
        let mut known = std::collections::HashMap::new();
        for (token, words) in noted.tokens.iter().zip(noted.words.chunks_exact(self.stride())) {
            kinds.push(*known.entry(token).or_insert_with(|| {
                scores.push(self.scores(words, vocab_size));
                scores.len() - 1
            }));
        }
        let found = self.best(&kinds, &scores);
        let at_least = (0..self.draws)
            .filter(|&draw| {
                let mut noise = Noise::new(NULL_SEED, u64::from(draw));
                let fresh = self.fresh(scores.len(), vocab_size, &mut noise);
                self.best(&kinds, &fresh).score >= found.score
            })
            .count();
        let (n, k) = (self.n as usize, self.block(m));
        let bounded = self.method != Method::Transform && self.gap.is_none() && k <= n;
        let alignments = if bounded { (n * (m - k + 1)) as u64 } else { 0 };
        let mut values = vec![0.0; m];
        for (t, value) in values[found.first..found.first + k].iter_mut().enumerate() {
            *value = match self.gap {
                // What each pair has is not kept: all of the block have the same part.
                Some(_) => found.score / k as f64,
                None => scores[kinds[found.first + t]][(found.row + t) % n],
            };
        }
        let (at_least, draws) = (at_least as u64, u64::from(self.draws));
        let law = TextLaw::Alignments { at_least, draws, alignments, terms: k as u64 };
        Judgement { values, law, message: None }
    }

    fn repeats_count(&self) -> bool {
        true
    }
}

/// Null draws are the same for every text: a p-value can be computed again.
const NULL_SEED: u64 = 0x6B75_6469_7469_7075;
const TWO_POW_24: f64 = 16_777_216.0;
const TWO_POW_32: f64 = 4_294_967_296.0;
