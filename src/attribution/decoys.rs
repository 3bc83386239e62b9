//! Keys that nobody marked with, on the same transcript.

use std::num::NonZero;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::keys::{Key, KeyError};
use crate::sampling::Noise;
use crate::schemes::{Null, Spec};
use crate::stats::{LogP, permutation_p};
use crate::watermark::{Repeats, Vocabulary, Watermark};

use super::error::AttributionError;
use super::transcript::Transcript;
use super::weighed::{Tail, Weighed, visit};

/// A way of marking that is wanted under other keys.
#[derive(Clone, Debug)]
pub struct Way {
    /// Scheme and parameters.
    pub spec: Spec,
    /// The tokens it is bound to.
    pub vocabulary: Vocabulary,
    /// Its rule for repeats.
    pub repeats: Repeats,
}

impl Way {
    /// The mark of a key.
    ///
    /// # Errors
    /// [`AttributionError::Mark`].
    pub fn under(&self, key: &Key) -> Result<Watermark, AttributionError> {
        let Self { spec, vocabulary, repeats } = self;
        Ok(Watermark::new(key, spec.prf(), spec, vocabulary, *repeats)?)
    }

    /// Key `number` under `seed`, which everybody can draw again.
    ///
    /// # Errors
    /// Those of [`Key`].
    pub fn key(&self, seed: u64, number: u64) -> Result<Key, KeyError> {
        crate::detect::seeded_key(seed, number, self.spec.key_numbers())
    }
}

/// What other keys make of a transcript.
///
/// ```text
/// p = (1 + #{i : zᵢ ≥ z}) / (N + 1)
/// ```
///
/// The key and the decoys are exchangeable where key and transcript are independent, whatever the law. A transcript that copies marked
/// text depends on the key and on no decoy: of that the decoys see nothing, and only controls do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoys {
    /// How they were drawn.
    pub kind: DecoyKind,
    /// N.
    pub count: u64,
    /// How many reach the key's own z.
    pub at_least: u64,
    /// log₁₀ of the p-value.
    pub log10_p: f64,
    /// Seed that they were drawn with.
    pub seed: u64,
    /// z of each.
    pub z: Vec<f32>,
}

/// How decoys are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecoyKind {
    /// Keys of the mark's form, through the mark's own function.
    Keys,
    /// Lists and numbers of the mark's law, from ChaCha12: the mark's own function would have taken more than two minutes.
    StandIns,
}

/// How decoys are to be had.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// N, 999 or more.
    pub count: u64,
    /// Fixed before the suspect is read.
    pub seed: u64,
    /// How long drawing keys may take.
    pub patience: Duration,
    /// Threads.
    pub threads: NonZero<usize>,
}

impl Default for Drawing {
    fn default() -> Self {
        Self {
            count: 999,
            seed: 1,
            patience: Duration::from_secs(120),
            threads: NonZero::<usize>::MIN,
        }
    }
}

impl Decoys {
    /// Weighs the transcript under decoys, of which `own` is what the mark's key makes.
    ///
    /// # Errors
    /// [`AttributionError`].
    pub fn draw(
        transcript: &Transcript,
        way: &Way,
        own: &Weighed,
        drawing: Drawing,
    ) -> Result<Self, AttributionError> {
        const TRIED: u64 = 2;
        let began = Instant::now();
        let mut z = Vec::with_capacity(drawing.count as usize);
        for number in 0..drawing.count.min(TRIED) {
            z.push(of_key(transcript, way, own, drawing.seed, number)?);
        }
        let each = began.elapsed() / TRIED as u32;
        let rest = drawing.count.saturating_sub(TRIED);
        let share = rest.div_ceil(drawing.threads.get() as u64);
        let kind = if each.saturating_mul(share as u32) > drawing.patience {
            DecoyKind::StandIns
        } else {
            DecoyKind::Keys
        };
        let job = |number: u64| match kind {
            DecoyKind::Keys => of_key(transcript, way, own, drawing.seed, number),
            DecoyKind::StandIns => Ok(of_law(own, drawing.seed, number)),
        };
        let first = if kind == DecoyKind::Keys { z.len() as u64 } else { 0 };
        z.truncate(first as usize);
        z.extend(in_threads(first, drawing.count, drawing.threads, &job)?);
        Self::of(kind, drawing.seed, own, z)
    }

    fn of(
        kind: DecoyKind,
        seed: u64,
        own: &Weighed,
        z: Vec<f32>,
    ) -> Result<Self, AttributionError> {
        let (count, reached) = (z.len() as u64, own.z() as f32);
        // A little below counts as reached: rounding must not speak for the mark.
        let at_least = z.iter().filter(|&&z| z >= reached - 1e-4).count() as u64;
        let log10_p = permutation_p(at_least, count)?.log10();
        Ok(Self { kind, count, at_least, log10_p, seed, z })
    }

    /// The p-value.
    ///
    /// # Errors
    /// [`AttributionError::Stats`] of a number that is no logarithm of a probability.
    pub fn p(&self) -> Result<LogP, AttributionError> {
        Ok(LogP::new(self.log10_p)?)
    }
}

fn in_threads(
    first: u64,
    end: u64,
    threads: NonZero<usize>,
    job: &(impl Fn(u64) -> Result<f32, AttributionError> + Sync),
) -> Result<Vec<f32>, AttributionError> {
    let threads = threads.get() as u64;
    let numbers = |thread: u64| (first + thread..end).step_by(threads as usize);
    let run = |thread| numbers(thread).map(job).collect::<Result<Vec<f32>, _>>();
    let parts: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (1..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        let mut parts = vec![run(0)];
        parts.extend(
            workers.into_iter().map(|worker| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
        );
        parts.into_iter().collect::<Result<_, _>>()
    })?;
    // In order of their numbers, however many threads there were.
    let count = end.saturating_sub(first);
    Ok((0..count).map(|at| parts[(at % threads) as usize][(at / threads) as usize]).collect())
}

fn of_key(
    transcript: &Transcript,
    way: &Way,
    own: &Weighed,
    seed: u64,
    number: u64,
) -> Result<f32, AttributionError> {
    let mark = way.under(&way.key(seed, number)?)?;
    if let Tail::Cyclic(_) = own.law() {
        return Ok(own.z_of(sum(transcript, &mark)) as f32);
    }
    // Where a context is not a seed, what counts depends on the key.
    if mark.keys_choose_seeds() || own.seeds != transcript.contexts() {
        return Ok(Weighed::new(transcript, &mark)?.z() as f32);
    }
    Ok(own.z_of(sum(transcript, &mark)) as f32)
}

fn sum(transcript: &Transcript, mark: &Watermark) -> f64 {
    let mut sum = 0.0;
    visit(transcript, mark, |cell, _, weight| sum += f64::from(weight) * cell.evidence);
    sum
}

/// A sum drawn from the law of the mark's own.
fn of_law(own: &Weighed, seed: u64, number: u64) -> f32 {
    let mut noise = Noise::new(seed ^ STAND_INS, number);
    let sum = match own.law() {
        Tail::Counted(law, count) => (0..*count).map(|_| of_null(law.null(), &mut noise)).sum(),
        Tail::Signed(law) => law.draw(&mut || noise.uniform()),
        Tail::Listed(law) => law.draw(&mut || noise.uniform()),
        Tail::Cyclic(law) => {
            let size = law.shifts() as f64;
            let shifts = (0..law.layers()).map(|_| (noise.uniform() * size) as usize);
            law.at(shifts)
        }
    };
    own.z_of(sum) as f32
}

/// Evidence of one token.
fn of_null(null: &Null, noise: &mut Noise) -> f64 {
    let mut exponential = || -(-noise.uniform()).ln_1p();
    match null {
        Null::Exponential => exponential(),
        Null::TwoExponentials { alpha } => (1.0 - alpha) * exponential() + alpha * exponential(),
        Null::Binomial { trials, p } => {
            (0..*trials).map(|_| f64::from(u8::from(noise.uniform() < *p))).sum()
        }
        Null::WeightedBits { weights } => weights
            .iter()
            .map(|&weight| if noise.uniform() < 0.5 { weight as f64 } else { 0.0 })
            .sum(),
        // Lists: tokens of one list are nearly independent, and less alike than if they were.
        null => f64::from(u8::from(noise.uniform() < null.mean())),
    }
}

/// Keeps stand-ins apart from keys drawn with the same seed.
const STAND_INS: u64 = 0x7374_616e_642d_696e;
