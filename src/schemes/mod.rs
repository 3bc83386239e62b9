//! Watermark schemes: what a token's bits mean, for marking and for scoring.
//!
//! A scheme is one file: its parameters, and one `impl Scheme` in which `embed` (edits candidates or picks the token)
//! and `evidence` (scores one token) stand side by side over one private helper. It is handed a [`Draw`] and never
//! seeds, hashes, or computes a p-value: it states the [`Null`] law of its evidence, and `stats` does the rest.
//!
//! To add one: write its file, and add one line to the list in this file. Parsing, profiles, the command line, reports
//! and `tests/it/conformance.rs` follow from that line.
//!
//! Symbols: V vocabulary size, γ green fraction, δ bias, h context width, m depth, α mixing probability.

mod dip;
mod gumbel;
mod kgw;
mod kuditipudi;
mod lm_watermarking;
mod markllm_exp;
mod markllm_kgw;
mod mpac;
mod payload;
mod sequence;
mod sglang;
mod sweet;
mod synthid;
mod synthid_text;
mod textseal;
mod three_bricks;
mod transformers_kgw;
mod unigram;
mod unigram_watermark;
mod vllm;
mod vllm_sbw;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::payload::CodeError;
pub use crate::prf::{Draw, Seeding};
use crate::prf::{Layers, PeerPrf, PrfError, PrfVariant};
pub use crate::sampling::{Candidates, Noise};
use crate::tokens::TokenId;

pub use dip::Dip;
pub use gumbel::Gumbel;
pub use kgw::{Kgw, KgwSeeding};
pub use kuditipudi::{Kuditipudi, Method};
pub use lm_watermarking::LmWatermarking;
pub use markllm_exp::MarkLlmExp;
pub use markllm_kgw::{MarkLlmKgw, WindowScheme};
pub use mpac::{Mpac, MpacSeeds};
pub use payload::{Payload, Turnable, Turned};
pub use sequence::{Digit, Judgement, Message, Noted, Sequence, TextLaw};
pub use sglang::SglangGumbel;
pub use sweet::Sweet;
pub use synthid::{SynthId, Weighting};
pub use synthid_text::{SynthIdHash, SynthIdText};
pub use textseal::{TextSeal, TextSealMethod};
pub use three_bricks::{ThreeBricks, ThreeBricksMethod};
pub use transformers_kgw::{SeedingScheme, TransformersKgw};
pub use unigram::Unigram;
pub use unigram_watermark::UnigramWatermark;
pub use vllm::VllmGumbel;
pub use vllm_sbw::VllmSbw;

/// Makes [`Spec`] from the list of schemes: the only place that names them all.
macro_rules! schemes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A scheme and its parameters; never a key. In files: a table with `scheme = "<name>"` and the parameters.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "scheme")]
        #[non_exhaustive]
        pub enum Spec {
            $($(#[$doc])* #[serde(rename = $name)] $variant($variant),)+
        }

        impl Spec {
            /// Names of all schemes.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The scheme's name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            /// The scheme behind the parameters.
            pub fn scheme(&self) -> &dyn Scheme {
                match self { $(Self::$variant(scheme) => scheme,)+ }
            }

            /// The scheme called `name` with its usual parameters.
            pub fn usual(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant($variant::default())),)+ _ => None }
            }

            /// Parameter sets that together exercise every branch of every scheme.
            pub fn examples() -> Vec<Self> {
                let mut all = Vec::new();
                $(all.extend($variant::examples().into_iter().map(Self::$variant));)+
                all
            }
        }
    };
}
schemes! {
    /// Green lists from the context: Kirchenbauer et al. 2023.
    Kgw = "kgw",
    /// One green list for every position: Zhao et al. 2023.
    Unigram = "unigram",
    /// Exponential minimum sampling: Aaronson 2022.
    Gumbel = "gumbel",
    /// Tournament sampling: Dathathri et al. 2024.
    SynthId = "synthid",
    /// Green lists where the model is uncertain: Lee et al. 2023.
    Sweet = "sweet",
    /// vLLM's exponential minimum sampling, with one key or two.
    VllmGumbel = "vllm-gumbel",
    /// SGLang's exponential minimum sampling, with one key or two.
    SglangGumbel = "sglang-gumbel",
    /// Tournament sampling as transformers and Google's SynthID-Text do it.
    SynthIdText = "synthid-text",
    /// The one green list of the Unigram paper's own code.
    UnigramWatermark = "unigram-watermark",
    /// A message in the colours of tokens: Yoo et al. 2024.
    Mpac = "mpac",
    /// Reweighting by an order of the vocabulary: Wu et al. 2024, Hu et al. 2024.
    Dip = "dip",
    /// A walk through a secret sequence of numbers: Kuditipudi et al. 2024.
    Kuditipudi = "kuditipudi",
    /// transformers' green lists, of torch's CPU generator.
    TransformersKgw = "transformers-kgw",
    /// Green lists of the code of Kirchenbauer et al. and of text-generation-inference.
    LmWatermarking = "lm-watermarking",
    /// MarkLLM's green lists.
    MarkLlmKgw = "markllm-kgw",
    /// TextSeal's exponential minimum sampling and green lists.
    TextSeal = "textseal",
    /// MarkLLM's exponential minimum sampling.
    MarkLlmExp = "markllm-exp",
    /// Exponential minimum sampling and green lists of three_bricks.
    ThreeBricks = "three-bricks",
    /// Green lists of vLLM's pull request 56859, which no release has.
    VllmSbw = "vllm-sbw",
}

/// One way of marking, as parameters. Implementations hold no key and no state.
pub trait Scheme: fmt::Debug + Send + Sync {
    /// Refuses parameters outside their ranges.
    ///
    /// # Errors
    /// [`SpecError`] naming the parameter and its value.
    fn check(&self) -> Result<(), SpecError>;

    /// What a position's seed is made of.
    fn seeding(&self) -> Seeding;

    /// Everything that gives the draw its meaning, as names and exact values; what only shapes the marking (a bias, a
    /// stage) stays out. Two profiles that differ here never share words.
    ///
    /// Of a scheme of another engine nothing: its [`peer`](Self::peer) says all that its draws depend on.
    fn canonical(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// The function of another engine that gives the draws; `None` is our own.
    fn peer(&self) -> Option<PeerPrf> {
        None
    }

    /// Whether repeated draws are left unmarked unless something else is said: by engines that do so, and by schemes that leave the
    /// choice to the draw alone, which would choose the same after the same words and fall into loops.
    fn skips_repeats(&self) -> bool {
        false
    }

    /// How long marking remembers which draws were used, where it leaves repeats unmarked.
    fn memory(&self) -> Memory {
        Memory::Answer
    }

    /// Where in a step [`embed`](Self::embed) acts.
    fn stage(&self) -> Stage;

    /// The most by which [`embed`](Self::embed) raises a logit, of a scheme that edits raw ones.
    fn greatest_rise(&self) -> f32 {
        f32::INFINITY
    }

    /// Streams of the draw that [`evidence`](Self::evidence) reads.
    fn streams(&self) -> &[u32];

    /// Whether a step stays unmarked, its draw unused, because the model is too certain; scoring does not know of it.
    fn declines(&self, _candidates: &mut Candidates) -> bool {
        false
    }

    /// Marks one step: edits `candidates` in place, or picks the token. `noise` is the sampler's own generator.
    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, noise: &mut Noise) -> Pick;

    /// What one token contributes; larger speaks more for the mark.
    fn evidence(&self, draw: &Draw<'_>, token: TokenId) -> f64;

    /// The scheme as one that judges whole texts, if it is one; its tokens have no evidence of their own.
    fn sequence(&self) -> Option<&dyn Sequence> {
        None
    }

    /// The law of one token's evidence when the text is independent of the key, in a vocabulary of V tokens.
    fn null(&self, vocab_size: u32) -> Null;

    /// The same under a key whose layers are known: [`Prf::layers`](crate::prf::Prf::layers).
    fn null_under(&self, _layers: Option<&Layers>, vocab_size: u32) -> Null {
        self.null(vocab_size)
    }

    /// Whether, averaged over keys, the marked choice has exactly the model's distribution (up to 2⁻³²).
    fn distortion_free(&self) -> bool;

    /// How the mark carries a message; `None`: it carries none, or one that the profile fixes. With one,
    /// [`embed`](Self::embed) and [`evidence`](Self::evidence) are those of message 0.
    fn payload(&self) -> Option<Box<dyn Payload + '_>> {
        None
    }

    /// Only positions where the model's entropy exceeds this, in nats, are marked and scored. `None`: all are.
    fn entropy_floor(&self) -> Option<f64> {
        None
    }
}

/// Where in a decoding step a scheme acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// On the model's logits, before temperature and truncation.
    #[default]
    RawLogits,
    /// After temperature, top-k, top-p and min-p.
    AfterTruncation,
}

/// How long marking remembers the draws of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// To its end.
    Answer,
    /// For so many positions, marked or not.
    Positions(usize),
    /// To its end, those of marked positions alone; after so many of them nothing more is marked.
    Marked(usize),
}

/// What the sampler does after a scheme has acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Go on with the candidates as they are now.
    Sample,
    /// This token.
    Token(TokenId),
}

/// The law of one token's evidence under the null hypothesis: text independent of the key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Null {
    /// Number of successes in `trials` independent ones of probability `p`.
    Binomial {
        /// Bits a token carries.
        trials: u32,
        /// Probability of each, exactly.
        p: f64,
    },
    /// 1 for each of `marked` tokens among `population`, the counted tokens being distinct.
    Hypergeometric {
        /// V.
        population: u32,
        /// How many tokens give 1.
        marked: u32,
    },
    /// None: the law is of a text, see [`Judgement::law`].
    OfText,
    /// 1 with probability p, as lists of a fixed size say of tokens: the sum over distinct (list, token) pairs is one of
    /// hypergeometric counts, and its tail at most the binomial one from its mean plus 1 on (Hoeffding 1956).
    Lists {
        /// Share of the vocabulary on a list, exactly.
        p: f64,
    },
    /// Stochastically at most Exp(1): tails of the sum are upper bounds.
    Exponential,
    /// At most (1−α)·E + α·E′ with independent E, E′ ~ Exp(1).
    TwoExponentials {
        /// α in (0, 1).
        alpha: f64,
    },
    /// Σ w·b over independent fair bits b.
    WeightedBits {
        /// One weight for each bit.
        weights: Vec<u64>,
    },
    /// `law` moved to another mean and made wider: sums of bits that are not quite fair and not quite independent. A sum
    /// above its mean counts as one of `law` that many of its own, narrower, deviations above the mean.
    Widened {
        /// The law, on whole numbers.
        law: Box<Self>,
        /// Mean of one token's evidence.
        mean: f64,
        /// Variance of a short sum in units of that of `law`, 1 or more.
        variance: f64,
        /// What each further token adds to `variance`, 0 or more.
        growth: f64,
    },
}

impl Null {
    /// Greatest or natural unit of one token's evidence: a score per token is divided by it.
    pub fn unit(&self) -> f64 {
        match self {
            Self::Binomial { trials, .. } => f64::from(*trials),
            Self::Exponential
            | Self::TwoExponentials { .. }
            | Self::Hypergeometric { .. }
            | Self::Lists { .. }
            | Self::OfText => 1.0,
            Self::WeightedBits { weights } => weights.iter().sum::<u64>() as f64,
            Self::Widened { law, .. } => law.unit(),
        }
    }

    /// Mean of one token's evidence, or of the law that bounds it.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Binomial { trials, p } => f64::from(*trials) * p,
            Self::Exponential | Self::TwoExponentials { .. } => 1.0,
            Self::Hypergeometric { population, marked } => {
                f64::from(*marked) / f64::from((*population).max(1))
            }
            Self::Lists { p } => *p,
            Self::OfText => 0.0,
            Self::WeightedBits { .. } => 0.5 * self.unit(),
            Self::Widened { mean, .. } => *mean,
        }
    }

    /// Variance of one token's evidence, or of the law that bounds it.
    pub fn variance(&self) -> f64 {
        match self {
            Self::Binomial { trials, p } => f64::from(*trials) * p * (1.0 - p),
            Self::Hypergeometric { .. } => self.mean() * (1.0 - self.mean()),
            Self::OfText => 0.0,
            Self::Lists { p } => p * (1.0 - p),
            Self::Exponential => 1.0,
            Self::TwoExponentials { alpha } => alpha * alpha + (1.0 - alpha) * (1.0 - alpha),
            Self::WeightedBits { weights } => {
                0.25 * weights.iter().map(|&weight| (weight * weight) as f64).sum::<f64>()
            }
            Self::Widened { law, variance, .. } => law.variance() * variance,
        }
    }

    /// What a token's evidence exceeds about a quarter of the time or less when there is no mark. For display only.
    pub fn notable(&self) -> f64 {
        let quartile = |mean: f64, variance: f64| mean + 0.674 * variance.sqrt();
        match self {
            Self::Binomial { trials: 1, .. }
            | Self::Hypergeometric { .. }
            | Self::Lists { .. }
            | Self::OfText => 0.5,
            Self::Binomial { trials, p } => {
                let mean = f64::from(*trials) * p;
                quartile(mean, mean * (1.0 - p))
            }
            Self::Exponential => 4.0_f64.ln(),
            Self::TwoExponentials { alpha } => {
                quartile(1.0, alpha * alpha + (1.0 - alpha) * (1.0 - alpha))
            }
            Self::WeightedBits { weights } => {
                let squares: f64 = weights.iter().map(|&w| (w * w) as f64).sum();
                quartile(0.5 * self.unit(), 0.25 * squares)
            }
            Self::Widened { law, mean, .. } => law.notable() + mean - law.mean(),
        }
    }
}

/// A parameter outside its range.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// γ leaves no green or no red token.
    #[error("gamma is {got}, but must lie between 0 and 1 (a usual value is 0.25)")]
    Gamma {
        /// The value.
        got: f64,
    },
    /// δ is not a positive number.
    #[error("delta is {got}, but must be a number above 0 and at most 100 (a usual value is 2)")]
    Delta {
        /// The value.
        got: f32,
    },
    /// The context is too narrow or too wide.
    #[error("context_width is {got}, but must be 1 to {max}")]
    Width {
        /// The value.
        got: usize,
        /// The widest.
        max: usize,
    },
    /// A number of something that is 0 or too great.
    #[error("{name} is {got}, but must be 1 to {max}")]
    Count {
        /// The parameter.
        name: &'static str,
        /// The value.
        got: usize,
        /// The greatest.
        max: usize,
    },
    /// A probability outside its range.
    #[error("{name} is {got}, but must be above 0 and {most} 1")]
    Probability {
        /// The parameter.
        name: &'static str,
        /// The value.
        got: f64,
        /// "below" or "at most".
        most: &'static str,
    },
    /// A share of the vocabulary that leaves no or every token.
    #[error("{name} is {got}, but must lie between 0 and 1 (a usual value is 0.25)")]
    Ratio {
        /// The parameter.
        name: &'static str,
        /// The value.
        got: f64,
    },
    /// A bias that is no positive number.
    #[error("{name} is {got}, but must be a number above 0 and at most 100 (a usual value is 2)")]
    Bias {
        /// The parameter.
        name: &'static str,
        /// The value.
        got: f32,
    },
    /// Fewer ids than the function reads.
    #[error("context_width is {got}, but this prf_type reads {least} ids or more")]
    Narrow {
        /// The value.
        got: usize,
        /// The narrowest.
        least: usize,
    },
    /// α is not a probability between 0 and 1.
    #[error("alpha is {got}, but must lie between 0 and 1")]
    Alpha {
        /// The value.
        got: f64,
    },
    /// The tournament has no layer or too many.
    #[error("depth is {got}, but must be 1 to {max}")]
    Depth {
        /// The value.
        got: u32,
        /// Most layers.
        max: u32,
    },
    /// N-grams without a context, or too long.
    #[error("ngram_len is {got}, but must be 2 to {max}: the token and at least one before it")]
    NgramLen {
        /// The value.
        got: usize,
        /// The longest.
        max: usize,
    },
    /// A table of no bits or too many.
    #[error("sampling_table_size is {got}, but must be 1 to {max}")]
    TableSize {
        /// The value.
        got: u32,
        /// The largest.
        max: u32,
    },
    /// Parameters of the table of a function that has none.
    #[error(
        "hash = \"iv\" has no table; leave out sampling_table_size and sampling_table_seed, or say hash = \"table\""
    )]
    NoTable,
    /// A tournament match needs at least two candidates.
    #[error("leaves is {got}, but must be 2 to 1000")]
    Leaves {
        /// The value.
        got: u32,
    },
    /// The entropy threshold is negative or not a number.
    #[error("entropy_threshold is {got}, but must be a number of nats, 0 or more")]
    EntropyThreshold {
        /// The value.
        got: f64,
    },
    /// More numbers than a key has.
    #[error("this scheme wants a key of {got} numbers, but a key has 1 to 256")]
    KeyLength {
        /// How many it wants.
        got: usize,
    },
    /// α is no share that is moved.
    #[error("alpha is {got}, but must be above 0 and at most 0.5 (a usual value is 0.45)")]
    Reweight {
        /// The value.
        got: f64,
    },
    /// A cost that is none.
    #[error("gap is {got}, but must be a number, 0 or more; leave it out for blocks without gaps")]
    Gap {
        /// The value.
        got: f64,
    },
    /// No message has that length.
    #[error("message_length is {got}, but must be 1 to {max} bits")]
    MessageLength {
        /// The value.
        got: u32,
        /// The longest.
        max: u32,
    },
    /// More digits than colours, or fewer than two.
    #[error("base is {got}, but must be 2 to {max}, the number of colours that gamma leaves")]
    Base {
        /// The value.
        got: u32,
        /// Number of colours.
        max: u32,
    },
    /// Not a message of the stated length.
    #[error("message must be {needed} binary digits, as many as message_length says")]
    Message {
        /// How many.
        needed: u32,
    },
    /// A message of a length that there is no code for.
    #[error(transparent)]
    Payload(#[from] CodeError),
    /// A parameter that leaves no room for a message.
    #[error("payload_bits cannot go with {with}; leave one of them out")]
    NoRoom {
        /// The parameter.
        with: &'static str,
    },
    /// The profile has no `payload_bits`.
    #[error("this mark carries no message; make a profile with payload_bits to mark with one")]
    CarriesNoMessage,
    /// The message does not fit.
    #[error(
        "the message has more than {bits} bits; use one below 2^{bits}, or a profile with more payload_bits"
    )]
    LongMessage {
        /// k.
        bits: u32,
    },
    /// A number of positions that is none.
    #[error("{name} is 0, but must be 1 or more; leave it out to remember the whole answer")]
    Memory {
        /// The parameter.
        name: &'static str,
    },
    /// The profile names another function than the scheme's.
    #[error("prf = \"{got}\" does not go with scheme \"{scheme}\", whose function is \"{needed}\"")]
    Variant {
        /// The scheme.
        scheme: &'static str,
        /// Its function.
        needed: &'static str,
        /// What the profile says.
        got: &'static str,
    },
    /// The function cannot be made.
    #[error(transparent)]
    Prf(#[from] PrfError),
    /// There is no one seed for a position's context, so "a repeated seed" has no use.
    #[error(
        "repeats = \"single-turn\" or \"all-turns\" needs seeds made of the context alone; use \"score-once\" with unigram and with seeding = \"self\""
    )]
    SingleTurnNeedsContext,
}

/// Checks a context width.
fn check_width(got: usize) -> Result<(), SpecError> {
    let max = Seeding::MAX_WIDTH;
    if (1..=max).contains(&got) { Ok(()) } else { Err(SpecError::Width { got, max }) }
}

impl Spec {
    /// The function that gives the draws.
    pub fn prf(&self) -> PrfVariant {
        self.scheme().peer().map_or(PrfVariant::TouchmarkV1, |peer| peer.variant())
    }

    /// How many 64-bit numbers the key has; `None`: it is one of our own.
    pub fn key_numbers(&self) -> Option<usize> {
        self.scheme().peer().map(|peer| peer.key_numbers())
    }

    /// The canonical parameters as text, one `name=value` line each, values in decimal: part of the PRF's key
    /// derivation and so of a published format.
    pub fn canonical(&self) -> String {
        self.scheme().canonical().iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }
}
