//! Whether a model is a copy of another, by the weights of both.
//!
//! What a transformer computes does not change when the hidden units of a layer are put in another order, nor, in a gated layer, when
//! a unit's ways up and down both change their sign; nor does its training. So the order and the signs that an independent model
//! ended with are pure chance, whatever else the two models have in common: architecture, data, tokenizer, what they learnt. That
//! chance is the null law of the tests here, and it is exact.
//!
//! | test | statistic | null law |
//! |---|---|---|
//! | `row-argmax` | X, units whose nearest unit in the suspect has their own label | [`fixed_points_sf_ge`](crate::stats::fixed_points_sf_ge): at most Lᵏ/k! over L layers |
//! | `diagonal` | Σ C_ii, likeness of units of one label | random cyclic shifts, one a layer; p = (1+b)/(N+1) |
//! | `matched-signs` | matched by gates alone, pairs whose ways up and down agree | Binomial(n, ½) |
//! | `value-argmax` | as the first, for channels of values within heads | the same over pairs of heads |
//! | `stream-argmax` | as the first, for dimensions of the residual stream by their embedding columns | at most 1/k! |
//!
//! # Why they hold
//!
//! *Order.* Let the suspect be initialised by a law that does not distinguish units, independently of the reference, and trained by a
//! rule that treats units alike (gradient descent, Adam, Muon, weight decay). Then, given the reference and the suspect up to the
//! order of a layer's units, all orders are equally likely, independently in each layer. C_ij is a function of unit i of the reference
//! and unit j of the suspect alone, so `row-argmax` counts the fixed points of a map that knows nothing of the order; *any* such map
//! gives the same bound, exact argmax or approximate, of whatever features. L counts layers, not tensors: gate, up and down of a unit
//! share their order, and are one row. Cyclic shifts are a group of permutations, so the observed sum is exchangeable with the sums
//! under random shifts. Axes with a meaning are not used: tokens of one vocabulary, dimensions of a head that rotary positions tell apart.
//!
//! *Signs.* down(act(gate x) · up x) is the same for (up, down) and (−up, −down), the initialisation is symmetric and training keeps
//! the symmetry; so given all gates and all ways up and down but for their signs, signs are fair coins. Matching looks at gates only.
//!
//! *What may be chosen freely*: the frame, from embeddings ([`frame`](self)); which layers meet, from attention; which units are
//! sampled, from a seed. None of these knows the order or the signs that are tested. What is chosen after looking is paid for: every
//! verdict is corrected for ten looks, made or not.
//!
//! # What they do not see
//!
//! Whoever draws uniformly random members of all these symmetries for a copy makes them true of it: order and signs of hidden units
//! and of channels of values, and a turn of the residual stream. One of them left out leaves a test: orders alone leave the signs, signs
//! alone the order, and turns are told by the embeddings of a shared vocabulary. All at once leave `embedding-alignment`, a description
//! that a [`Panel`] of independent pairs turns into a model-based p-value. NOT SHOWN never means innocent. Models from one
//! initialisation are RELATED here, and the report says so.

mod alignment;
mod cka;
mod comparison;
mod error;
pub mod forensics;
mod frame;
mod hashes;
mod layers;
mod looks;
mod matrix;
mod memory;
mod panel;
mod product;
mod reader;
mod roles;
mod simhash;
mod similarity;
mod sketches;
#[cfg(test)]
mod tests;
mod units;
mod values;

pub use comparison::{Comparison, Coverage};
pub use error::WeightsError;
pub use hashes::Digest;
pub use memory::Memory;
pub use panel::{Panel, PanelPair};
pub use roles::{Layer, Part, Roles};
pub use simhash::{BITS as SIMHASH_BITS, SimHash};
pub use sketches::{Sketch, SketchComparison, SketchPair, Sketches};

use crate::lm::TensorSource;

use alignment::Described;
use frame::{Embeddings, Frame, WIDEST};
use looks::{Judge, Tally, stream_argmax, value_argmax};
use matrix::Matrix;
use reader::Reader;
use similarity::Similarity;
use units::{Features, Units};
use values::Channels;

/// Most units of a layer that are compared in the aligned frame.
const ALIGNED_UNITS: usize = 1024;
/// Most units of a layer that are compared unless told otherwise.
const UNITS: usize = 8192;

/// How two models are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Names for the report, reference then suspect.
    pub names: [String; 2],
    /// Most hidden units of a layer that are compared, a sample by [`seed`](Self::seed) of those there are. Ways down are read only
    /// where all units are.
    pub units: usize,
    /// What samples and draws are made from.
    pub seed: u64,
    /// False-alarm rate of the verdict.
    pub alpha: f64,
    /// Most draws of the test of the diagonal: its p is at least 1/(draws + 1).
    pub draws: u64,
    /// Threads.
    pub threads: usize,
    /// Independent pairs to judge the embedding alignment by.
    pub panel: Option<Panel>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            names: ["reference".to_owned(), "suspect".to_owned()],
            units: UNITS,
            seed: 0,
            alpha: 1e-6,
            draws: 9_999_999,
            threads: 1,
            panel: None,
        }
    }
}

/// Compares the weights of two models, layer by layer; at most two layers, one of each, are in memory. `progress` is told pairs of
/// layers that are done, and how many there are.
///
/// # Errors
/// [`WeightsError`]: tensors that cannot be read or hold NaN, shapes that fit no role, settings that make no sense.
pub fn compare(
    reference: &dyn TensorSource,
    suspect: &dyn TensorSource,
    settings: &Settings,
    progress: &dyn Fn(usize, usize),
) -> Result<Comparison, WeightsError> {
    settings.check()?;
    let (reference, suspect) =
        (Reader::new("reference", reference)?, Reader::new("suspect", suspect)?);
    let pairs = layers::align(&reference, &suspect)?;
    Comparing { reference, suspect, pairs, settings, progress }.run()
}

impl Settings {
    fn check(&self) -> Result<(), WeightsError> {
        let wrong = |what, got: String, wanted| Err(WeightsError::Option { what, got, wanted });
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return wrong(
                "the false-alarm rate",
                self.alpha.to_string(),
                "it lies between 0 and 1",
            );
        }
        if self.units < 2 {
            return wrong("the number of units", self.units.to_string(), "it is at least 2");
        }
        if self.threads == 0 {
            return wrong("the number of threads", "0".to_owned(), "it is at least 1");
        }
        Ok(())
    }
}

struct Comparing<'a> {
    reference: Reader<'a>,
    suspect: Reader<'a>,
    pairs: Vec<(usize, usize)>,
    settings: &'a Settings,
    progress: &'a dyn Fn(usize, usize),
}

impl Comparing<'_> {
    fn run(&self) -> Result<Comparison, WeightsError> {
        let settings = self.settings;
        let judge = Judge::new(settings.alpha, settings.draws, settings.seed);
        let [reference, suspect] = &settings.names;
        let mut out = Comparison::new(reference, suspect, settings.alpha, judge.family.words());
        self.cover(&mut out);
        let widths = out.coverage.width;
        let embeddings = Embeddings::read(&self.reference, &self.suspect, settings.seed)?;
        if widths.0 == widths.1 {
            let tally = self.tally(&Frame::Stored, settings.units)?;
            out.coverage.units = tally.units;
            out.coverage.sampled = tally.sampled;
            out.findings = tally.findings(&judge, "")?;
            out.findings.push(value_argmax(self.channels(&Frame::Stored)?, &judge, ""));
        }
        let dimensions = embeddings.as_ref().map(|both| self.dimensions(both));
        out.findings.push(stream_argmax(dimensions, &judge));
        let frame = embeddings.as_ref().and_then(|both| both.align(settings.threads));
        out.coverage.tokens_shared = embeddings.map(|both| both.shared);
        self.look_aligned(&mut out, frame.as_ref(), &judge)?;
        self.describe(&mut out, frame, &judge)?;
        Ok(out.decided())
    }

    /// What will be compared, and warnings on what will not.
    fn cover(&self, out: &mut Comparison) {
        let (a, b) = (&self.reference.roles, &self.suspect.roles);
        out.coverage.layers_reference = a.layers.len();
        out.coverage.layers_suspect = b.layers.len();
        out.coverage.layers = self.pairs.clone();
        out.coverage.width = (a.width(), b.width());
        if a.layers.len() != b.layers.len() {
            out.warnings.push(format!(
                "The reference has {} layers, the suspect {}: those whose attention is most alike in scale stand against each other, in \
                 order.",
                a.layers.len(),
                b.layers.len()
            ));
        }
        for (model, roles) in [("reference", a), ("suspect", b)] {
            if roles.others.iter().any(|name| name.contains("expert") || name.contains("_exps")) {
                out.warnings.push(format!(
                    "The {model} is a mixture of experts; its experts are not compared."
                ));
            }
        }
    }

    /// The stored frame shows nothing where the residual stream was turned; then embeddings may tell how.
    fn look_aligned(
        &self,
        out: &mut Comparison,
        frame: Option<&Frame>,
        judge: &Judge,
    ) -> Result<(), WeightsError> {
        if out.related() {
            return Ok(());
        }
        let Some(frame) = frame else {
            out.warnings.push(format!(
                "The residual streams could not be aligned, which takes embeddings with many shared tokens and at most {WIDEST} dimensions: \
                 a turned copy would not be seen."
            ));
            return Ok(());
        };
        let tally = self.tally(frame, self.settings.units.min(ALIGNED_UNITS))?;
        out.coverage.aligned = true;
        if out.coverage.units == 0 {
            out.coverage.units = tally.units;
            out.coverage.sampled = tally.sampled;
        }
        let stream = out.findings.pop();
        out.findings.extend(tally.findings(judge, "-aligned")?);
        out.findings.push(value_argmax(self.channels(frame)?, judge, "-aligned"));
        out.findings.extend(stream);
        Ok(())
    }

    fn tally(&self, frame: &Frame, limit: usize) -> Result<Tally, WeightsError> {
        let mut tally = Tally::default();
        for (done, &(a, b)) in self.pairs.iter().enumerate() {
            (self.progress)(done, self.pairs.len());
            self.add_layer(&mut tally, (a, b), frame, limit)?;
        }
        (self.progress)(self.pairs.len(), self.pairs.len());
        Ok(tally)
    }

    fn add_layer(
        &self,
        tally: &mut Tally,
        (a, b): (usize, usize),
        frame: &Frame,
        limit: usize,
    ) -> Result<(), WeightsError> {
        let threads = self.settings.threads;
        let (ours, theirs) = (&self.reference.roles.layers[a], &self.suspect.roles.layers[b]);
        let (Some(one), Some(other)) = (&ours.up, &theirs.up) else { return Ok(()) };
        let sizes = [one.outputs.len(), other.outputs.len()];
        let units = Units::choose(sizes, Some(limit), self.settings.seed, a);
        let stored = &Frame::Stored;
        let read = |reader, layer, labels: &[usize], frame| {
            Features::read(reader, layer, labels, units.sampled, frame, threads)
        };
        let (Some(mut ours), Some(mut theirs)) = (
            read(&self.reference, ours, &units.reference, stored)?,
            read(&self.suspect, theirs, &units.suspect, frame)?,
        ) else {
            return Ok(());
        };
        if ours.meet(&mut theirs) {
            let gated = !ours.signed.is_empty();
            tally.sampled |= units.sampled;
            tally.add(Similarity::of(&ours, &theirs, units.common, threads), gated);
        }
        Ok(())
    }

    fn channels(&self, frame: &Frame) -> Result<Channels, WeightsError> {
        let mut channels = Channels::default();
        for &layers in &self.pairs {
            let readers = [&self.reference, &self.suspect];
            channels.add(readers, layers, frame, self.settings.threads)?;
        }
        Ok(channels)
    }

    /// Dimensions of the residual stream against each other, by their columns of the embeddings; signs do not count.
    fn dimensions(&self, both: &Embeddings) -> Similarity {
        let columns = |embedding: &Matrix| {
            let mut centred = embedding.clone();
            centred.centre_columns();
            let mut columns = centred.transposed();
            columns.normalise_rows();
            Features { matching: Vec::new(), signed: vec![columns] }
        };
        let (a, b) = (columns(&both.reference), columns(&both.suspect));
        let common = both.reference.columns().min(both.suspect.columns());
        Similarity::of(&a, &b, common, self.settings.threads)
    }

    fn describe(
        &self,
        out: &mut Comparison,
        frame: Option<Frame>,
        judge: &Judge,
    ) -> Result<(), WeightsError> {
        let (seed, threads) = (self.settings.seed, self.settings.threads);
        let described = Described {
            reference: &self.reference,
            suspect: &self.suspect,
            pairs: &self.pairs,
            seed,
            threads,
        };
        if let Some(frame) = frame {
            let panel = self.settings.panel.as_ref();
            out.findings.push(described.embedding_alignment(&frame, panel, judge)?);
        }
        out.findings.push(described.units()?);
        Ok(())
    }
}
