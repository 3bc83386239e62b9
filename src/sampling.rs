//! From a row of logits to a token: candidates, warpers and the sampler, on plain slices.
//!
//! Order of one step, the same as in transformers and vLLM: penalties, marks on raw logits, temperature, top-k,
//! top-p, min-p, marks after truncation, choice. The sampler's own generator has nothing to do with watermark keys.
//!
//! Called by `generate` and, for the part a mark edits, by `schemes`. Never knows what a mark is.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::tokens::TokenId;

/// How the next token is chosen from the model's logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// τ ≥ 0; logits are divided by it. 0 is greedy: the highest logit, the lowest id on ties.
    pub temperature: f32,
    /// Keep the k highest logits; 0 keeps all.
    pub top_k: usize,
    /// Keep the most probable tokens until their mass reaches this, in (0, 1]; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this times as probable as the most probable one, in [0, 1); 0 keeps all.
    pub min_p: f32,
    /// Logits of ids already in the text are divided by this if positive and multiplied if negative (Keskar et al. 2019,
    /// section 4.1); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Subtracted from a logit for every time that its token was chosen in this answer, in [−2, 2]; 0 changes nothing
    /// (OpenAI's parameter: logit − count · frequency − (count > 0) · presence).
    pub frequency_penalty: f32,
    /// Subtracted once from the logits of tokens that were chosen in this answer, in [−2, 2]; 0 changes nothing.
    pub presence_penalty: f32,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// Whether the choice is the highest logit.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0 || self.top_k == 1
    }

    /// Refuses values outside their ranges.
    ///
    /// # Errors
    /// [`SamplingError`] naming the value.
    pub fn check(&self) -> Result<(), SamplingError> {
        let range = |name, got: f32, ok: bool, expected| {
            if ok { Ok(()) } else { Err(SamplingError { name, got, expected }) }
        };
        let Self { temperature, top_p, min_p, repetition_penalty, .. } = *self;
        range(
            "temperature",
            temperature,
            temperature >= 0.0 && temperature.is_finite(),
            "a number, 0 or more",
        )?;
        range("top_p", top_p, top_p > 0.0 && top_p <= 1.0, "above 0 and at most 1")?;
        range("min_p", min_p, (0.0..1.0).contains(&min_p), "at least 0 and below 1")?;
        let penalty = repetition_penalty > 0.0 && repetition_penalty.is_finite();
        range("repetition_penalty", repetition_penalty, penalty, "a number above 0")?;
        let subtracted = [
            ("frequency_penalty", self.frequency_penalty),
            ("presence_penalty", self.presence_penalty),
        ];
        subtracted.into_iter().try_for_each(|(name, got)| {
            range(name, got, (-2.0..=2.0).contains(&got), "at least -2 and at most 2")
        })
    }

    /// Whether what was written before changes the logits.
    fn penalises(&self) -> bool {
        let Self { repetition_penalty, frequency_penalty, presence_penalty, .. } = *self;
        repetition_penalty != 1.0 || frequency_penalty != 0.0 || presence_penalty != 0.0
    }
}

/// A sampling parameter outside its range.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{name} is {got}, but must be {expected}")]
pub struct SamplingError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub got: f32,
    /// What it may be.
    pub expected: &'static str,
}

/// The tokens that may come next and their logits, in buffers that are reused from step to step.
///
/// While every token of the vocabulary is still there, entry `i` is token `i`; after truncation the entries name their
/// tokens. [`probabilities`](Self::probabilities) turns logits into probabilities once; the choice is then made by them.
#[derive(Debug, Default)]
pub struct Candidates {
    logits: Vec<f32>,
    /// Empty while dense.
    ids: Vec<TokenId>,
    probabilities: Vec<f32>,
    words: Vec<u32>,
    /// Entries to keep, or the highest ones.
    order: Vec<u32>,
    spare_logits: Vec<f32>,
    spare_ids: Vec<TokenId>,
}

impl Candidates {
    /// Starts a step: copies a row of logits, the only copy made of it.
    pub fn load(&mut self, logits: &[f32]) {
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        self.ids.clear();
        self.probabilities.clear();
    }

    /// Starts a step from some tokens of a row, ascending, and their logits.
    pub fn load_some(&mut self, tokens: &[TokenId], logits: &[f32]) {
        self.load(logits);
        self.ids.extend_from_slice(tokens);
    }

    /// Rules tokens out.
    pub fn forbid(&mut self, tokens: &[TokenId]) {
        for &id in tokens {
            let entry = if self.ids.is_empty() {
                Some(id as usize)
            } else {
                self.ids.iter().position(|&i| i == id)
            };
            if let Some(logit) = entry.and_then(|entry| self.logits.get_mut(entry)) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.logits.len()
    }

    /// Whether no token is left.
    pub fn is_empty(&self) -> bool {
        self.logits.is_empty()
    }

    /// Whether every token of the vocabulary is still a candidate, entry `i` being token `i`.
    pub fn is_dense(&self) -> bool {
        self.ids.is_empty()
    }

    /// The token of an entry.
    pub fn id(&self, entry: usize) -> TokenId {
        if self.is_dense() { entry as TokenId } else { self.ids[entry] }
    }

    /// Logits, one for each entry.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Logits to edit, one for each entry.
    pub fn logits_mut(&mut self) -> &mut [f32] {
        self.probabilities.clear();
        &mut self.logits
    }

    /// Reads 32 bits for each entry's token into a buffer. `fill` gives them: for all tokens from 0 on when its first
    /// argument is `None`, else for the named tokens.
    pub fn read_words(&mut self, fill: impl FnOnce(Option<&[TokenId]>, &mut [u32])) {
        self.words.resize(self.logits.len(), 0);
        fill(if self.ids.is_empty() { None } else { Some(&self.ids) }, &mut self.words);
    }

    /// Logits to edit, beside the words read last.
    pub fn logits_and_words(&mut self) -> (&mut [f32], &[u32]) {
        self.probabilities.clear();
        (&mut self.logits, &self.words)
    }

    /// Probabilities to edit, beside the words read last.
    pub fn probabilities_and_words(&mut self) -> (&mut [f32], &[u32]) {
        self.probabilities();
        (&mut self.probabilities, &self.words)
    }

    /// Probabilities, one for each entry, summing to 1 up to rounding. What is written here decides the choice.
    pub fn probabilities(&mut self) -> &mut [f32] {
        if self.probabilities.len() != self.logits.len() {
            let highest = self.logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            self.probabilities.clear();
            self.probabilities.extend(self.logits.iter().map(|logit| (logit - highest).exp()));
            let scale = 1.0 / sum(&self.probabilities) as f32;
            self.probabilities.iter_mut().for_each(|p| *p *= scale);
        }
        &mut self.probabilities
    }

    /// Entries of the `count` highest logits, highest first, the lower entry on ties.
    pub fn highest(&mut self, count: usize) -> &[u32] {
        let count = count.min(self.logits.len());
        let logits = &self.logits;
        let before =
            |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
        self.order.clear();
        self.order.extend(0..logits.len() as u32);
        if count > 0 && count < logits.len() {
            self.order.select_nth_unstable_by(count - 1, before);
        }
        self.order.truncate(count);
        self.order.sort_unstable_by(before);
        &self.order
    }

    fn argmax(&self) -> usize {
        let mut best = 0;
        for (entry, logit) in self.logits.iter().enumerate() {
            if *logit > self.logits[best] {
                best = entry;
            }
        }
        best
    }

    /// Keeps the entries that `order` names, in its order.
    fn keep_order(&mut self) {
        self.spare_ids.clear();
        self.spare_logits.clear();
        for &entry in &self.order {
            let id = if self.ids.is_empty() { entry } else { self.ids[entry as usize] };
            self.spare_ids.push(id);
            self.spare_logits.push(self.logits[entry as usize]);
        }
        std::mem::swap(&mut self.ids, &mut self.spare_ids);
        std::mem::swap(&mut self.logits, &mut self.spare_logits);
        self.probabilities.clear();
    }
}

/// Entropy in nats of softmax(logits): ln Σ e^l − Σ p·l.
pub fn entropy(logits: &[f32]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut total, mut weighted) = (0.0_f64, 0.0_f64);
    for logit in logits {
        let shifted = logit - highest;
        let weight = f64::from(shifted.exp());
        if weight > 0.0 {
            total += weight;
            weighted += weight * f64::from(shifted);
        }
    }
    total.ln() - weighted / total
}

/// Random bits of the choice itself; one for each sequence, never shared with a mark.
#[derive(Debug)]
pub struct Noise(ChaCha12Rng);

impl Noise {
    /// The generator of sequence `stream` under `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha12Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One sequence's sampler.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    noise: Noise,
}

impl Sampler {
    /// A sampler for sequence `stream` (several continuations under one seed differ by it).
    ///
    /// # Errors
    /// [`SamplingError`] for a parameter outside its range.
    pub fn new(sampling: Sampling, stream: u64) -> Result<Self, SamplingError> {
        sampling.check()?;
        Ok(Self { sampling, noise: Noise::new(sampling.seed, stream) })
    }

    /// How many of the highest logits decide the choice when nothing else changes them; `None` for all.
    pub fn decisive(&self) -> Option<usize> {
        let decisive = if self.sampling.is_greedy() { 1 } else { self.sampling.top_k };
        (decisive > 0 && !self.sampling.penalises()).then_some(decisive)
    }

    /// The parameters.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The generator, for a mark that needs a private coin.
    pub fn noise(&mut self) -> &mut Noise {
        &mut self.noise
    }

    /// Applies the repetition penalty for the ids of prompt and output, each once, then the frequency and presence
    /// penalties for those of the output. The candidates must be dense.
    pub fn penalise(&self, prompt: &[TokenId], output: &[TokenId], candidates: &mut Candidates) {
        if !self.sampling.penalises() {
            return;
        }
        let Sampling { repetition_penalty, frequency_penalty, presence_penalty, .. } =
            self.sampling;
        let logits = candidates.logits_mut();
        if repetition_penalty != 1.0 {
            let mut ids = [prompt, output].concat();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                if let Some(logit) = logits.get_mut(id as usize) {
                    let raised = *logit > 0.0;
                    *logit = if raised {
                        *logit / repetition_penalty
                    } else {
                        *logit * repetition_penalty
                    };
                }
            }
        }
        let mut chosen = output.to_vec();
        chosen.sort_unstable();
        for same in chosen.chunk_by(|a, b| a == b) {
            if let Some(logit) = logits.get_mut(same[0] as usize) {
                *logit -= same.len() as f32 * frequency_penalty + presence_penalty;
            }
        }
    }

    /// Temperature, top-k, top-p and min-p, in this order; leaves at least one candidate.
    pub fn truncate(&self, candidates: &mut Candidates) {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        if self.sampling.is_greedy() {
            candidates.order.clear();
            candidates.order.push(candidates.argmax() as u32);
            return candidates.keep_order();
        }
        if temperature != 1.0 {
            let scale = 1.0 / temperature;
            candidates.logits_mut().iter_mut().for_each(|logit| *logit *= scale);
        }
        // Some of a row are not in order yet, even when they are no more than k.
        if top_k > 0 && (top_k < candidates.len() || !candidates.is_dense()) {
            candidates.highest(top_k);
            candidates.keep_order();
        }
        if top_p < 1.0 {
            keep_top_p(candidates, top_p);
        }
        if min_p > 0.0 {
            keep_min_p(candidates, min_p);
        }
    }

    /// Chooses a token: the only candidate, or one drawn by the candidates' probabilities.
    pub fn choose(&mut self, candidates: &mut Candidates) -> TokenId {
        if candidates.len() == 1 {
            return candidates.id(0);
        }
        let target = {
            let probabilities = candidates.probabilities();
            self.noise.uniform() * sum(probabilities)
        };
        let mut mass = 0.0;
        let mut last = 0;
        for (entry, p) in candidates.probabilities.iter().enumerate() {
            if *p > 0.0 {
                mass += f64::from(*p);
                last = entry;
                if mass > target {
                    break;
                }
            }
        }
        candidates.id(last)
    }
}

/// Keeps the shortest run of most probable tokens whose mass reaches `top_p`, most probable first, the lower entry on ties.
///
/// Tokens of probability p have at most p·count of mass at and below them, so those with p·count < 1 − top_p lie beyond the
/// run and need not be sorted.
fn keep_top_p(candidates: &mut Candidates, top_p: f32) {
    candidates.probabilities();
    let Candidates { probabilities, order, .. } = candidates;
    // The margin keeps rounding from dropping a token that belongs.
    let floor = 0.999 * (1.0 - top_p) / probabilities.len() as f32;
    order.clear();
    order.extend(
        (0..)
            .zip(probabilities.iter())
            .filter(|(_, p)| **p >= floor)
            .map(|(entry, _): (u32, _)| entry),
    );
    let p = |entry: u32| probabilities[entry as usize];
    order.sort_unstable_by(|&a, &b| p(b).total_cmp(&p(a)).then(a.cmp(&b)));
    let mut mass = 0.0;
    let last = order.iter().position(|&entry| {
        mass += f64::from(p(entry));
        mass >= f64::from(top_p)
    });
    order.truncate(last.map_or(order.len(), |last| last + 1));
    candidates.keep_order();
}

/// Keeps tokens whose probability is at least `min_p` times the greatest: logit ≥ greatest + ln min_p.
fn keep_min_p(candidates: &mut Candidates, min_p: f32) {
    let floor = candidates.logits[candidates.argmax()] + min_p.ln();
    let Candidates { logits, order, .. } = candidates;
    order.clear();
    order.extend(
        (0..)
            .zip(logits.iter())
            .filter(|(_, logit)| **logit >= floor)
            .map(|(entry, _): (u32, _)| entry),
    );
    candidates.keep_order();
}

fn sum(values: &[f32]) -> f64 {
    // Eight partial sums let the compiler use vector registers; the order is fixed, so the result is reproducible.
    let mut partial = [0.0_f64; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&v| f64::from(v)).sum();
    for chunk in chunks {
        for (total, value) in partial.iter_mut().zip(chunk) {
            *total += f64::from(*value);
        }
    }
    partial.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(logits: &[f32], sampling: Sampling) -> Vec<TokenId> {
        let mut candidates = Candidates::default();
        candidates.load(logits);
        Sampler::new(sampling, 0).unwrap().truncate(&mut candidates);
        (0..candidates.len()).map(|entry| candidates.id(entry)).collect()
    }

    fn by_probability(logits: &[f32]) -> Vec<(TokenId, f64)> {
        let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
        let mut tokens: Vec<(TokenId, f64)> =
            (0..).zip(logits).map(|(id, &l)| (id, f64::from(l).exp() / total)).collect();
        tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        tokens
    }

    proptest! {
        /// Truncation is its definition: the k highest, the shortest run of that mass, those of that relative probability.
        #[test]
        fn truncation_is_its_definition(logits in prop::collection::vec(-20.0_f32..20.0, 2..300), k in 2_usize..40, p in 0.05_f32..0.999) {
            let sorted = by_probability(&logits);
            let top_k: Vec<TokenId> = sorted.iter().take(k).map(|(id, _)| *id).collect();
            let got = kept(&logits, Sampling { top_k: k, ..Sampling::default() });
            if k < logits.len() {
                prop_assert_eq!(&got, &top_k);
            }
            let got = kept(&logits, Sampling { top_p: p, ..Sampling::default() });
            let mass = |tokens: &[TokenId]| sorted.iter().filter(|(id, _)| tokens.contains(id)).map(|(_, p)| p).sum::<f64>();
            prop_assert_eq!(&got, &sorted.iter().take(got.len()).map(|(id, _)| *id).collect::<Vec<_>>());
            prop_assert!(mass(&got) >= f64::from(p) - 1e-5 && mass(&got[..got.len() - 1]) < f64::from(p) + 1e-5);
            let got = kept(&logits, Sampling { min_p: p, ..Sampling::default() });
            let enough = sorted.iter().filter(|(_, q)| *q >= f64::from(p) * sorted[0].1);
            prop_assert!(got.len().abs_diff(enough.count()) <= usize::from(got.len() > 1));
        }

        /// The penalties are their definition, in the order repetition, then OpenAI's.
        #[test]
        fn penalties_are_their_definition(
            logits in prop::collection::vec(-9.0_f32..9.0, 12),
            prompt in prop::collection::vec(0_u32..12, 0..8),
            output in prop::collection::vec(0_u32..12, 0..30),
            (frequency, presence, repetition) in (-2.0_f32..=2.0, -2.0_f32..=2.0, prop::sample::select(vec![0.8_f32, 1.0, 1.7])),
        ) {
            let sampling = Sampling { frequency_penalty: frequency, presence_penalty: presence, repetition_penalty: repetition, ..Sampling::default() };
            let sampler = Sampler::new(sampling, 0).unwrap();
            prop_assert_eq!(Sampler::new(Sampling { top_k: 3, ..sampling }, 0).unwrap().decisive(), None);
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            sampler.penalise(&prompt, &output, &mut candidates);
            for (id, (got, &logit)) in (0..).zip(candidates.logits().iter().zip(&logits)) {
                let count = output.iter().filter(|&&chosen| chosen == id).count() as f32;
                let repeated = count > 0.0 || prompt.contains(&id);
                let factor = if logit > 0.0 { 1.0 / repetition } else { repetition };
                let wanted = if repeated { logit * factor } else { logit };
                let wanted = wanted - count * frequency - if count > 0.0 { presence } else { 0.0 };
                prop_assert!((got - wanted).abs() < 1e-4, "{id}: {got}, not {wanted}");
            }
        }

        /// The choice never leaves the support, greedy or not.
        #[test]
        fn choices_stay_in_the_support(mut logits in prop::collection::vec(-5.0_f32..5.0, 2..50), seed in any::<u64>(), out in 0_usize..50) {
            let out = out % logits.len();
            logits[out] = f32::NEG_INFINITY;
            for temperature in [0.0, 0.3, 1.0, 5.0] {
                let mut sampler = Sampler::new(Sampling { temperature, seed, ..Sampling::default() }, 1).unwrap();
                let mut candidates = Candidates::default();
                candidates.load(&logits);
                sampler.truncate(&mut candidates);
                prop_assert_ne!(sampler.choose(&mut candidates) as usize, out);
            }
        }
    }

    /// 200,000 choices against the softmax: χ² with 4 degrees of freedom exceeds 47.5 with probability 1.2e-9.
    #[test]
    fn choices_follow_the_softmax() {
        let logits = [0.3_f32, -1.0, 2.0, 0.0, 1.1];
        let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
        let mut sampler = Sampler::new(Sampling { seed: 3, ..Sampling::default() }, 0).unwrap();
        let mut candidates = Candidates::default();
        let mut counts = [0.0; 5];
        for _ in 0..200_000 {
            candidates.load(&logits);
            counts[sampler.choose(&mut candidates) as usize] += 1.0;
        }
        let expected = logits.map(|l| 200_000.0 * f64::from(l).exp() / total);
        let chi2: f64 = counts
            .iter()
            .zip(expected)
            .map(|(got, want): (&f64, f64)| (got - want).powi(2) / want)
            .sum();
        assert!(chi2 < 47.5, "{chi2}");
    }

    #[test]
    fn entropy_and_penalty() {
        assert!((entropy(&[0.0; 8]) - 8.0_f64.ln()).abs() < 1e-6);
        assert!(entropy(&[0.0, f32::NEG_INFINITY]).abs() < 1e-12);
        let sampler =
            Sampler::new(Sampling { repetition_penalty: 2.0, ..Sampling::default() }, 0).unwrap();
        let mut candidates = Candidates::default();
        candidates.load(&[4.0, -4.0, 1.0]);
        sampler.penalise(&[0, 1], &[1], &mut candidates);
        assert_eq!(candidates.logits(), [2.0, -8.0, 1.0]);
    }

    #[test]
    fn parameters_are_checked() {
        let bad = [
            Sampling { temperature: f32::NAN, ..Sampling::default() },
            Sampling { temperature: -0.1, ..Sampling::default() },
            Sampling { top_p: 0.0, ..Sampling::default() },
            Sampling { top_p: 1.1, ..Sampling::default() },
            Sampling { min_p: 1.0, ..Sampling::default() },
            Sampling { repetition_penalty: 0.0, ..Sampling::default() },
            Sampling { frequency_penalty: 2.1, ..Sampling::default() },
            Sampling { frequency_penalty: f32::NAN, ..Sampling::default() },
            Sampling { presence_penalty: -2.1, ..Sampling::default() },
        ];
        assert!(bad.iter().all(|sampling| sampling.check().is_err()));
        assert!(Sampling::default().check().is_ok());
    }
}
