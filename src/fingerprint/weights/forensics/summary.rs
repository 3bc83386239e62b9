//! The plainest reading of the numbers, in words.

use serde::{Deserialize, Serialize};

use super::{Grid, Grouping, Merged, TensorForensics};
use crate::fingerprint::derive::Half;

/// Share of values that must be the reference's, rounded, for a tensor that was only rounded.
const ROUNDED: f64 = 0.9999;
/// Least share of new zeros that is called pruning.
const PRUNED: f64 = 0.02;
/// A cosine below this is called another tensor.
const ALIKE: f64 = 0.3;
/// Least R² of a merge that is called one, and least weight of a part.
const MERGED: (f64, f64) = (0.95, 0.02);

/// What is different in the models' shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shapes {
    /// Layers of the reference.
    pub layers_reference: usize,
    /// Layers of the suspect.
    pub layers_suspect: usize,
    /// Pairs of layers, reference then suspect, from 0.
    pub layers: Vec<(usize, usize)>,
    /// Rows of the embeddings, reference then suspect.
    pub vocabulary: Option<(usize, usize)>,
}

/// How a copy was made, as far as the weights of both show it. A description, without a p-value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forensics {
    /// Version of this form.
    pub schema: u32,
    /// What was seen, with the share of matrices that show it.
    pub readings: Vec<Reading>,
    /// Parts of a merge, where candidates were given.
    pub merged: Option<Merged>,
    /// Tensor by tensor.
    pub tensors: Vec<TensorForensics>,
}

/// One way that some matrices show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The way.
    #[serde(flatten)]
    pub way: Way,
    /// Matrices that show it; 0 for what is no matter of matrices.
    pub tensors: usize,
    /// Matrices that were compared and are changed.
    pub of: usize,
    /// The same in a sentence.
    pub words: String,
}

/// One way of making a copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Way {
    /// Nothing was changed.
    Same,
    /// Layers are missing, by their numbers in the reference.
    LayersDropped {
        /// From 0.
        layers: Vec<usize>,
    },
    /// More tokens.
    VocabularyExtended {
        /// How many.
        tokens: usize,
    },
    /// Fewer tokens.
    VocabularyCut {
        /// How many.
        tokens: usize,
    },
    /// Values rounded to 16 bits.
    Rounded {
        /// The format.
        format: Half,
    },
    /// Weights set to zero.
    Pruned {
        /// Median share.
        share: f64,
        /// Two of each four are zero.
        two_of_four: bool,
        /// Small weights were cut.
        by_size: bool,
    },
    /// Weights on a quantiser's grid.
    Quantised {
        /// Bits of a level.
        bits: u32,
        /// Zero is a level in the middle.
        symmetric: bool,
        /// What shares a scale.
        group: Grouping,
    },
    /// A difference of low rank: an adapter, merged in.
    LowRank {
        /// Greatest rank.
        rank: usize,
        /// Median relative change.
        relative: f64,
    },
    /// A white difference of one size: added noise.
    White {
        /// Median relative change.
        relative: f64,
    },
    /// A sum of known models.
    Merged,
    /// A difference of no special form: further training, or a merge with a model that is not known.
    FineTuned {
        /// Median relative change.
        relative: f64,
    },
    /// Matrices that are not alike.
    Unlike,
}

impl Forensics {
    /// Reads what the tensors show. `merged` is the fit on candidate models, where there are any.
    pub fn new(tensors: Vec<TensorForensics>, shapes: &Shapes, merged: Option<Merged>) -> Self {
        let mut readings = of_shapes(shapes);
        let changed: Vec<&TensorForensics> =
            tensors.iter().filter(|t| t.rows > 1 && t.columns > 1 && t.is_changed()).collect();
        let parts = merged.as_ref().filter(|merged| is_merge(merged));
        if let Some(merged) = parts {
            readings.push(Reading {
                way: Way::Merged,
                tensors: changed.len(),
                of: changed.len(),
                words: merge_words(merged),
            });
        }
        readings.extend(of_matrices(&changed, parts.is_some()));
        if readings.is_empty() {
            let words = if tensors.iter().any(TensorForensics::is_changed) {
                "no matrix is changed, and some vectors are".to_owned()
            } else {
                "nothing is changed: every tensor compared is equal".to_owned()
            };
            readings.push(Reading { way: Way::Same, tensors: 0, of: 0, words });
        }
        Self { schema: 1, readings, merged, tensors }
    }
}

fn of_shapes(shapes: &Shapes) -> Vec<Reading> {
    let mut readings = Vec::new();
    let mut push = |way, words| readings.push(Reading { way, tensors: 0, of: 0, words });
    if shapes.layers_suspect < shapes.layers_reference {
        let met = |layer: &usize| shapes.layers.iter().any(|(reference, _)| reference == layer);
        let layers: Vec<usize> = (0..shapes.layers_reference).filter(|layer| !met(layer)).collect();
        let numbers: Vec<String> = layers.iter().map(usize::to_string).collect();
        let words = format!("layers {} of the reference are missing", numbers.join(", "));
        push(Way::LayersDropped { layers }, words);
    }
    if let Some((reference, suspect)) = shapes.vocabulary {
        if suspect > reference {
            let tokens = suspect - reference;
            let words = format!("the vocabulary is longer by {tokens} tokens");
            push(Way::VocabularyExtended { tokens }, words);
        } else if suspect < reference {
            let tokens = reference - suspect;
            push(
                Way::VocabularyCut { tokens },
                format!("the vocabulary is shorter by {tokens} tokens"),
            );
        }
    }
    readings
}

/// What at least a quarter of the changed matrices show, noise at least half, the most frequent first.
fn of_matrices(changed: &[&TensorForensics], merged: bool) -> Vec<Reading> {
    let mut kinds: Vec<(Kind, Vec<&TensorForensics>)> = Vec::new();
    for tensor in changed {
        for kind in kinds_of(tensor) {
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, tensors)) => tensors.push(tensor),
                None => kinds.push((kind, vec![tensor])),
            }
        }
    }
    kinds.retain(|(kind, tensors)| {
        // What a merge leaves is explained by the merge.
        let explained = merged && matches!(kind, Kind::White | Kind::Dense | Kind::LowRank);
        // Noise is added everywhere, and training leaves many matrices with a difference that looks like it.
        let least = if matches!(kind, Kind::White) { 90 } else { 25 };
        100 * tensors.len() >= least * changed.len() && !explained
    });
    kinds.sort_by_key(|(_, tensors)| std::cmp::Reverse(tensors.len()));
    kinds.into_iter().map(|(kind, tensors)| reading(kind, &tensors, changed.len())).collect()
}

/// What one matrix shows, without its numbers.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rounded(Half),
    Pruned,
    Quantised(u32, bool, Grouping),
    LowRank,
    White,
    Dense,
    Unlike,
}

fn kinds_of(tensor: &TensorForensics) -> Vec<Kind> {
    if tensor.rounded_bf16 >= ROUNDED {
        return vec![Kind::Rounded(Half::Bf16)];
    }
    if tensor.rounded_f16 >= ROUNDED {
        return vec![Kind::Rounded(Half::F16)];
    }
    let mut kinds = Vec::new();
    let grid = tensor.grid.filter(|_| !tensor.reference_on_grid);
    if let Some(Grid { bits, symmetric, group, .. }) = grid {
        kinds.push(Kind::Quantised(bits, symmetric, group));
    }
    // A coarse grid rounds small weights to zero by itself.
    if tensor.new_zeros >= PRUNED && (grid.is_none() || tensor.two_of_four > 0.99) {
        kinds.push(Kind::Pruned);
    }
    if !kinds.is_empty() {
        return kinds;
    }
    vec![if tensor.cosine.is_none_or(|cosine| cosine < ALIKE) {
        Kind::Unlike
    } else if tensor.spectrum.is_some_and(|spectrum| spectrum.low_rank().is_some()) {
        Kind::LowRank
    } else if is_white(tensor) {
        Kind::White
    } else {
        Kind::Dense
    }]
}

/// Normal tails, rows of one size, no singular value that stands out: within what chance leaves. Further training comes near, with rows
/// that learn more than others.
fn is_white(tensor: &TensorForensics) -> bool {
    let (rows, n) = (tensor.rows as f64, (tensor.rows * tensor.columns) as f64);
    let flat = tensor.spectrum.is_some_and(|s| s.white > 0.9 && 20 * s.rank <= s.of);
    let tails = 4.0 * (24.0 / n).sqrt() + 0.02;
    let normal = tensor.kurtosis.is_some_and(|kurtosis| (kurtosis - 3.0).abs() < tails);
    let even = 1.0 + 4.0 / (2.0 * rows).sqrt();
    flat && normal && tensor.row_variation.is_some_and(|variation| variation < even)
}

fn reading(kind: Kind, tensors: &[&TensorForensics], of: usize) -> Reading {
    let relative = median(tensors.iter().filter_map(|tensor| tensor.relative_change));
    let count = tensors.len();
    let (way, what) = match kind {
        Kind::Rounded(format) => {
            let name = if format == Half::Bf16 { "bfloat16" } else { "float16" };
            (Way::Rounded { format }, format!("the reference's values rounded to {name}"))
        }
        Kind::Pruned => pruned(tensors),
        Kind::Quantised(bits, symmetric, group) => {
            let scale = match group {
                Grouping::Tensor => "one scale a matrix".to_owned(),
                Grouping::Row => "one scale a row".to_owned(),
                Grouping::Of(length) => format!("one scale for {length} weights"),
            };
            let kind = if symmetric { "symmetric" } else { "affine" };
            let words = format!("on a {kind} grid of {bits} bits, {scale}");
            (Way::Quantised { bits, symmetric, group }, words)
        }
        Kind::LowRank => {
            let ranks = tensors.iter().filter_map(|tensor| tensor.spectrum.map(|s| s.rank));
            let rank = ranks.max().unwrap_or(0);
            let words = format!(
                "a difference of rank {rank} or less, as an adapter (LoRA) leaves, {} of the weights in size",
                percent(relative)
            );
            (Way::LowRank { rank, relative }, words)
        }
        Kind::White => {
            let words = format!(
                "a white difference of one size, as added noise leaves, {} of the weights in size",
                percent(relative)
            );
            (Way::White { relative }, words)
        }
        Kind::Dense => {
            let words = format!(
                "a difference of no special form, as further training leaves, or a merge with a model that is not known, {} of the weights in size",
                percent(relative)
            );
            (Way::FineTuned { relative }, words)
        }
        Kind::Unlike => (Way::Unlike, "not alike".to_owned()),
    };
    Reading { way, tensors: count, of, words: format!("{count} of {of} changed matrices: {what}") }
}

fn pruned(tensors: &[&TensorForensics]) -> (Way, String) {
    let share = median(tensors.iter().map(|tensor| tensor.new_zeros));
    let two_of_four = tensors.iter().all(|tensor| tensor.two_of_four > 0.99);
    let by_size = median(tensors.iter().filter_map(|tensor| tensor.cut_size)) < 0.6;
    let chosen = if by_size { "small ones" } else { "of all sizes" };
    let pattern = if two_of_four { ", two of each four" } else { "" };
    let words = format!("{} of the weights set to zero, {chosen}{pattern}", percent(share));
    (Way::Pruned { share, two_of_four, by_size }, words)
}

/// At least two models with a weight that counts.
fn is_merge(merged: &Merged) -> bool {
    let counts = |part: &&super::MergeWeights| {
        part.weight.abs() > MERGED.1 && part.weight.abs() > 5.0 * part.standard_error
    };
    merged.r2 > MERGED.0 && merged.weights.iter().filter(counts).count() >= 2
}

fn merge_words(merged: &Merged) -> String {
    let part = |part: &super::MergeWeights| {
        format!("{:.4} (±{:.4}) of {}", part.weight, part.standard_error, part.model)
    };
    let parts: Vec<String> = merged.weights.iter().map(part).collect();
    format!("a merge of {}, R² {:.6}", parts.join(", "), merged.r2)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A share as per cent, with two digits that count.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = if percent > 0.0 { (1.0 - percent.log10().floor()).clamp(0.0, 6.0) } else { 0.0 };
    format!("{percent:.*} %", digits as usize)
}
