//! From what tokens say to a message, its probability, and the evidence that there is one.

use super::code::{Check, Code};
use super::trellis::Trellis;
use super::walsh::Metrics;

/// Collects what the tokens of one text say.
///
/// How strong the mark is, is not known; a few strengths are tried, equally likely beforehand.
pub struct Decoder {
    code: Code,
    /// One for each strength.
    metrics: Vec<Metrics>,
    ln_ratio: Vec<f64>,
}

impl Decoder {
    /// A decoder for marks of one of `strengths` strengths.
    pub fn new(code: Code, strengths: usize) -> Self {
        let metrics = (0..strengths.max(1)).map(|_| Metrics::new(code)).collect();
        Self { code, metrics, ln_ratio: vec![0.0; code.symbols() as usize] }
    }

    /// Adds a token with the word of its unturned draw. `ln_ratio(strength, word)` is ln of how much likelier a marked
    /// token has this word than an unmarked one; the mean of the ratio over all words must not exceed one.
    pub fn add(&mut self, check: &Check, word: u32, ln_ratio: &dyn Fn(usize, u32) -> f64) {
        for (strength, metrics) in self.metrics.iter_mut().enumerate() {
            for (symbol, value) in (0..).zip(&mut self.ln_ratio) {
                *value = ln_ratio(strength, word.wrapping_add(self.code.turn(symbol)));
            }
            metrics.add(check, &mut self.ln_ratio);
        }
    }

    /// Sums over the messages.
    pub fn finish(self) -> Posterior {
        let code = self.code;
        let trellis = |metrics: Metrics| Trellis::new(code, metrics.finish());
        let trellises: Vec<Trellis> = self.metrics.into_iter().map(trellis).collect();
        let (closed, ln_rest) = closed(&code, &trellises);
        let ln_closed = ln_sum(closed.iter().map(|part| part.ln));
        let ln_total = ln_sum([ln_closed, ln_rest].into_iter());
        Posterior { code, trellises, closed, ln_closed, ln_total }
    }
}

/// What a text says of all messages.
pub struct Posterior {
    code: Code,
    trellises: Vec<Trellis>,
    /// The likeliest parts of the sum over strengths and start states, greatest first.
    closed: Vec<Part>,
    /// ln of their sum, and of the whole sum, which is in part a guess.
    ln_closed: f64,
    ln_total: f64,
}

/// The sum over the messages of one start state at one strength.
#[derive(Clone, Copy)]
struct Part {
    strength: usize,
    start: u32,
    ln: f64,
}

impl Posterior {
    /// ln E, where E is the mean over messages and strengths of the text's likelihood ratio against the null.
    ///
    /// Given the text, and over keys, the mean of every message's ratio is at most one, so the mean of E is: 1/E bounds a
    /// p-value, whatever the message. Start states that are left out make E smaller, never larger.
    pub fn ln_e(&self) -> f64 {
        let messages = f64::from(self.code.bits()) * std::f64::consts::LN_2;
        self.ln_closed - messages - (self.trellises.len() as f64).ln()
    }

    /// The likeliest message, and how probable it and each bit are if there is one at all.
    pub fn decode(&self) -> Decoded {
        let candidates = self.candidates();
        let Candidate { message, posterior } =
            candidates.first().copied().unwrap_or(Candidate { message: 0, posterior: 0.0 });
        Decoded { bits: self.code.bits(), message, posterior, ones: self.ones(), candidates }
    }

    /// The likeliest messages, best first.
    fn candidates(&self) -> Vec<Candidate> {
        let parts = self.closed.iter().take(MOST_SEARCHED);
        let paths = parts.flat_map(|part| self.trellises[part.strength].best(part.start));
        let mut messages: Vec<u64> =
            paths.filter(|path| path.ln > f64::NEG_INFINITY).map(|path| path.message).collect();
        messages.sort_unstable();
        messages.dedup();
        let posterior = |message| {
            let ln = ln_sum(self.trellises.iter().map(|trellis| trellis.of_message(message)));
            Candidate { message, posterior: share(ln, self.ln_total) }
        };
        let mut candidates: Vec<Candidate> = messages.into_iter().map(posterior).collect();
        candidates.sort_by(|a, b| b.posterior.total_cmp(&a.posterior));
        candidates.truncate(MOST_CANDIDATES);
        candidates
    }

    /// The probability of a one, for each bit from the lowest. Messages that are not looked at count as undecided.
    fn ones(&self) -> Vec<f64> {
        let (mut ones, mut mass) = (vec![0.0; self.code.bits() as usize], 0.0);
        for part in self.closed.iter().take((PRODUCTS / (2 * cost(&self.code))) as usize) {
            if mass > NEARLY_ALL {
                break;
            }
            let share = share(part.ln, self.ln_total);
            mass += share;
            let shares = self.trellises[part.strength].shares(part.start);
            ones.iter_mut().zip(shares).for_each(|(one, bit)| *one += share * bit);
        }
        let rest = (1.0 - mass).max(0.0);
        ones.iter().map(|one| (one + 0.5 * rest).clamp(0.0, 1.0)).collect()
    }
}

/// A message read from a text. Probabilities are those given that the text carries a message of this mark, all messages
/// being equally likely beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// k, its length.
    pub bits: u32,
    /// The likeliest message.
    pub message: u64,
    /// Its probability.
    pub posterior: f64,
    /// The probability that a bit is one, for each bit from the lowest; rounded towards one half by what is very unlikely.
    pub ones: Vec<f64>,
    /// The likeliest messages, best first.
    pub candidates: Vec<Candidate>,
}

/// A message that the text may carry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The message.
    pub message: u64,
    /// Its probability.
    pub posterior: f64,
}

/// The exact sums of the likeliest start states, greatest first, and about ln of the sum of the others.
fn closed(code: &Code, trellises: &[Trellis]) -> (Vec<Part>, f64) {
    let mut parts: Vec<Part> = Vec::new();
    for (strength, trellis) in trellises.iter().enumerate() {
        let guesses = (0..).zip(trellis.guesses());
        parts.extend(guesses.map(|(start, ln)| Part { strength, start, ln }));
    }
    let greatest_first = |a: &Part, b: &Part| b.ln.total_cmp(&a.ln);
    // NaN, of 0 · ∞ in a guess, must not come first.
    parts.iter_mut().filter(|part| part.ln.is_nan()).for_each(|part| part.ln = f64::NEG_INFINITY);
    parts.sort_by(greatest_first);
    let count = worth_summing(code, &parts);
    let ln_rest = ln_sum(parts[count..].iter().map(|part| part.ln));
    parts.truncate(count);
    parts.sort_by_key(|part| part.strength);
    for same in parts.chunk_by_mut(|a, b| a.strength == b.strength) {
        for lanes in same.chunks_mut(Trellis::LANES) {
            let starts: Vec<u32> = lanes.iter().map(|part| part.start).collect();
            let sums = trellises[lanes[0].strength].sums(&starts);
            lanes.iter_mut().zip(sums).for_each(|(part, ln)| part.ln = ln);
        }
    }
    parts.sort_by(greatest_first);
    (parts, ln_rest)
}

/// How many parts, sorted by guesses, are to be summed: those that hold nearly all, as far as time allows; a few where the
/// whole is nothing to speak of, as of nearly all texts without the mark.
fn worth_summing(code: &Code, parts: &[Part]) -> usize {
    let ln_total = ln_sum(parts.iter().map(|part| part.ln));
    if ln_total < f64::from(code.bits()) * std::f64::consts::LN_2 {
        return Trellis::LANES.min(parts.len());
    }
    let affordable = ((PRODUCTS / cost(code)) as usize).min(parts.len());
    let mut rest = 1.0;
    let nearly_all = |part: &Part| {
        rest -= share(part.ln, ln_total);
        rest < LEAST_REST
    };
    parts.iter().position(nearly_all).map_or(affordable, |last| affordable.min(last + 1))
}

/// Products of the exact sum of one start state.
fn cost(code: &Code) -> u32 {
    code.bits() << (code.memory() + 1)
}

/// e^(ln − ln_total), at most one, which rounding may exceed; zero of nothing.
fn share(ln: f64, ln_total: f64) -> f64 {
    if ln == f64::NEG_INFINITY { 0.0 } else { (ln - ln_total).exp().clamp(0.0, 1.0) }
}

/// ln Σ eˣ; −∞ of nothing.
fn ln_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let greatest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::NEG_INFINITY {
        return greatest;
    }
    greatest + values.map(|value| (value - greatest).exp()).sum::<f64>().ln()
}

/// Products spent on exact sums at most: some fifty milliseconds.
const PRODUCTS: u32 = 1 << 26;
/// The share that need not be summed.
const LEAST_REST: f64 = 1e-6;
/// Parts that are searched for the likeliest messages.
const MOST_SEARCHED: usize = 8;
/// Messages that are named.
const MOST_CANDIDATES: usize = 8;
/// The share of messages that the probabilities of bits are averaged over.
const NEARLY_ALL: f64 = 0.999;
