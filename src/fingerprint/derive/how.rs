//! The ways, and how they are written.

use std::fmt;
use std::str::FromStr;

use super::layers::DropLayers;
use super::merge::Merge;
use super::noise::Noise;
use super::prune::Prune;
use super::quantise::Quantise;
use super::random::Seed;
use super::rotate::Rotate;
use super::round::{Half, Round};
use super::symmetry::Symmetry;
use super::vocabulary::Extend;
use super::{Change, DeriveError, Open};
use crate::lm::TensorSource;

/// The ways, in words.
pub(super) const WAYS: &str = "int8, int4[=GROUP], prune=SHARE, prune=N:M, noise=SD, merge=WEIGHT:MODEL, slerp=WEIGHT:MODEL, permute, \
     permute-heads, rescale, signs, rotate, drop=LAYER,…, extend=TOKENS, bf16, f16";
/// Weights that share a scale when nothing else is said.
const GROUP: usize = 128;

/// One way of making a copy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum How {
    /// Linear layers on a symmetric grid of 255 levels, one scale a row.
    Int8,
    /// Linear layers on a symmetric grid of 15 levels, rounded to nearest, one scale for this many weights of a row.
    Int4 {
        /// Weights that share a scale.
        group: usize,
    },
    /// Weights of linear layers set to zero.
    Prune(Pattern),
    /// Normal noise on every matrix, its sd relative to the matrix's.
    Noise {
        /// Above 0.
        relative: f64,
    },
    /// (1 − weight) · this + weight · other, or on the great circle between the two.
    Merge {
        /// Name of the other model.
        with: String,
        /// Of the other model, in (0, 1).
        weight: f64,
        /// On the great circle, tensor by tensor.
        spherical: bool,
    },
    /// Hidden units of feed-forward layers in another order.
    Permute,
    /// Key-value heads in another order, and query heads within each.
    PermuteHeads,
    /// Hidden units, channels of values and inputs of linear layers scaled up here and down there, by factors from ¼ to 4.
    Rescale,
    /// The same with signs, and signs of the residual stream.
    Signs,
    /// The residual stream turned by a random orthogonal matrix.
    Rotate,
    /// Without these layers.
    Drop {
        /// From 0.
        layers: Vec<usize>,
    },
    /// With so many more tokens, their embeddings near the mean.
    Extend {
        /// How many.
        tokens: usize,
    },
    /// All numbers rounded.
    Round(Half),
}

/// Which weights are set to zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// The smallest of a matrix, this share of them.
    Share(f64),
    /// All but the `keep` largest of each `of` in a row.
    Of {
        /// How many are kept.
        keep: usize,
        /// Of how many.
        of: usize,
    },
}

impl FromStr for How {
    type Err = DeriveError;

    fn from_str(given: &str) -> Result<Self, DeriveError> {
        let wrong =
            |reason: &str| DeriveError::Way { given: given.to_owned(), reason: reason.to_owned() };
        let (name, value) = match given.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (given, None),
        };
        parse(name, value).ok_or_else(|| wrong("unknown name, or a value out of range"))
    }
}

fn parse(name: &str, value: Option<&str>) -> Option<How> {
    let number = |low: f64, high: f64| {
        let number = value?.parse::<f64>().ok()?;
        (number > low && number < high).then_some(number)
    };
    let count = |most: usize| value?.parse().ok().filter(|count| (1..=most).contains(count));
    Some(match (name, value) {
        ("int8", None) => How::Int8,
        ("int4", None) => How::Int4 { group: GROUP },
        ("int4", Some(_)) => How::Int4 { group: count(1 << 20)? },
        ("prune", Some(value)) => How::Prune(match value.split_once(':') {
            Some((keep, of)) => pattern(keep.parse().ok()?, of.parse().ok()?)?,
            None => Pattern::Share(number(0.0, 1.0)?),
        }),
        ("noise", Some(_)) => How::Noise { relative: number(0.0, 1e6)? },
        ("merge" | "slerp", Some(value)) => {
            let (weight, with) = value.split_once(':')?;
            let weight =
                weight.parse().ok().filter(|&weight: &f64| weight > 0.0 && weight < 1.0)?;
            let spherical = name == "slerp";
            How::Merge {
                with: Some(with).filter(|with| !with.is_empty())?.to_owned(),
                weight,
                spherical,
            }
        }
        ("permute", None) => How::Permute,
        ("permute-heads", None) => How::PermuteHeads,
        ("rescale", None) => How::Rescale,
        ("signs", None) => How::Signs,
        ("rotate", None) => How::Rotate,
        ("drop", Some(value)) => {
            let layers = value.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>();
            How::Drop { layers: layers.ok()? }
        }
        ("extend", Some(_)) => How::Extend { tokens: count(1 << 24)? },
        ("bf16", None) => How::Round(Half::Bf16),
        ("f16", None) => How::Round(Half::F16),
        _ => return None,
    })
}

fn pattern(keep: usize, of: usize) -> Option<Pattern> {
    (keep < of && of <= 1024).then_some(Pattern::Of { keep, of })
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int8 => f.write_str("int8"),
            Self::Int4 { group } => write!(f, "int4={group}"),
            Self::Prune(Pattern::Share(share)) => write!(f, "prune={share}"),
            Self::Prune(Pattern::Of { keep, of }) => write!(f, "prune={keep}:{of}"),
            Self::Noise { relative } => write!(f, "noise={relative}"),
            Self::Merge { with, weight, spherical } => {
                write!(f, "{}={weight}:{with}", if *spherical { "slerp" } else { "merge" })
            }
            Self::Permute => f.write_str("permute"),
            Self::PermuteHeads => f.write_str("permute-heads"),
            Self::Rescale => f.write_str("rescale"),
            Self::Signs => f.write_str("signs"),
            Self::Rotate => f.write_str("rotate"),
            Self::Drop { layers } => {
                let layers: Vec<_> = layers.iter().map(usize::to_string).collect();
                write!(f, "drop={}", layers.join(","))
            }
            Self::Extend { tokens } => write!(f, "extend={tokens}"),
            Self::Round(Half::Bf16) => f.write_str("bf16"),
            Self::Round(Half::F16) => f.write_str("f16"),
        }
    }
}

impl How {
    /// The way, made ready for a model.
    pub(super) fn change<'a>(
        &self,
        source: &dyn TensorSource,
        seed: Seed,
        open: Open<'a, '_>,
    ) -> Result<Box<dyn Change + 'a>, DeriveError> {
        Ok(match self {
            Self::Int8 => Box::new(Quantise { levels: 127.0, group: None }),
            Self::Int4 { group } => Box::new(Quantise { levels: 7.0, group: Some(*group) }),
            Self::Prune(pattern) => Box::new(Prune(*pattern)),
            Self::Noise { relative } => Box::new(Noise { relative: *relative, seed }),
            Self::Merge { with, weight, spherical } => {
                let other = open(with)
                    .map_err(|source| DeriveError::Open { name: with.clone(), source })?;
                Box::new(Merge::new(source, other, *weight, *spherical)?)
            }
            Self::Permute | Self::PermuteHeads | Self::Rescale | Self::Signs => {
                Box::new(Symmetry::new(self, source, seed)?)
            }
            Self::Rotate => Box::new(Rotate::new(source, seed)?),
            Self::Drop { layers } => Box::new(DropLayers::new(source, layers)?),
            Self::Extend { tokens } => Box::new(Extend::new(source, *tokens, seed)?),
            Self::Round(half) => Box::new(Round(*half)),
        })
    }
}
