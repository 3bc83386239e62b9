//! Profiles: the public description of one way of marking.
//!
//! A profile says everything a detector must know except the key, which it names: scheme and parameters, PRF variant,
//! rule for repeats, tokenizer and V, validity. It is a TOML file, written when marking begins and read when detecting,
//! so that both cannot disagree. This module parses and checks, and reads and writes what other engines have instead
//! ([`import`], [`export`]); `store` keeps files.

pub mod export;
pub mod import;
mod weak_keys;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::{Key, KeyId, is_slug};
use crate::prf::{PrfVariant, Seeding};
use crate::schemes::{Spec, SpecError};
use crate::tokens::TokenizerHash;
use crate::watermark::{self, Repeats};

/// One way of marking, without the key.
///
/// ```
/// let text = r#"
/// schema = 1
/// id = "house-style"
/// key_id = "k-0123456789ab"
/// prf = "touchmark-v1"
/// repeats = "score-once"
/// created = "2026-11-21T08:00:00Z"
///
/// [scheme]
/// scheme = "kgw"
/// gamma = 0.25
/// delta = 2.0
/// context_width = 2
///
/// [tokenizer]
/// hash = "386e9b0003f3c57b71eafb80d97a7a2968c93622bfd7c36e97c7b76ddf2e6363"
/// vocab_size = 8192
/// name = "scribe-16m"
/// "#;
/// let profile = touchmark::profile::Profile::parse(text)?;
/// assert_eq!(profile.scheme.name(), "kgw");
/// assert!(touchmark::profile::Profile::parse(&text.replace("0.25", "0.0")).is_err());
/// # Ok::<(), touchmark::profile::ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Version of this format.
    pub schema: u32,
    /// Public name.
    pub id: String,
    /// Name of the key in the keyring.
    pub key_id: KeyId,
    /// How (key, context, token) becomes bits.
    pub prf: PrfVariant,
    /// What counts once.
    #[serde(default)]
    pub repeats: Repeats,
    /// When the profile was made.
    pub created: Timestamp,
    /// Texts before this were not marked with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Nothing is marked with it from then on; detection goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Timestamp>,
    /// Scheme and parameters.
    pub scheme: Spec,
    /// The tokenizer and V.
    pub tokenizer: TokenizerPin,
    /// What evidence to expect of marked text; without it, power is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// The tokenizer that a profile is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerPin {
    /// BLAKE3 of the tokenizer file.
    pub hash: TokenizerHash,
    /// V, the width of the model's logits; may exceed the tokenizer's vocabulary.
    pub vocab_size: u32,
    /// What people call it.
    pub name: String,
}

/// Evidence per scored token of marked text, from which the power of a test follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// Where the figures come from, in words.
    pub source: String,
}

impl TokenizerPin {
    /// Greatest V. Vocabularies have a million ids at most today.
    pub const MOST_IDS: u32 = 1 << 24;

    /// Refuses a V that no model has.
    ///
    /// # Errors
    /// [`ProfileError::VocabSize`].
    pub fn check(&self) -> Result<(), ProfileError> {
        if !(2..=Self::MOST_IDS).contains(&self.vocab_size) {
            return Err(ProfileError::VocabSize { got: self.vocab_size });
        }
        Ok(())
    }
}

impl Profile {
    /// The only version so far.
    pub const SCHEMA: u32 = 1;

    /// Reads and checks a profile.
    ///
    /// # Errors
    /// [`ProfileError`]: not TOML of this form, another schema, or a value outside its range.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text)?;
        profile.check()?;
        Ok(profile)
    }

    /// The profile as TOML.
    ///
    /// # Errors
    /// [`ProfileError::Write`] when a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, ProfileError> {
        Ok(toml::to_string(self)?)
    }

    /// Refuses values outside their ranges.
    ///
    /// # Errors
    /// [`ProfileError`] naming the value.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.schema != Self::SCHEMA {
            return Err(ProfileError::Schema { got: self.schema });
        }
        if !is_slug(&self.id) {
            return Err(ProfileError::Id { got: self.id.clone() });
        }
        self.tokenizer.check()?;
        if let Some(Reference { mean, sd, .. }) = self.reference
            && !(mean.is_finite() && sd > 0.0 && sd.is_finite())
        {
            return Err(ProfileError::Reference { mean, sd });
        }
        Ok(watermark::check(&self.scheme, self.repeats, self.prf)?)
    }

    /// What is weak about the profile's key: that everybody has it, or that it can be searched for. Shows nothing of a key
    /// that is not published.
    pub fn lint_key(&self, key: &Key) -> Option<Lint> {
        weak_keys::lint(self.prf, key)
    }

    /// What a careful reader would question. Empty when there is nothing.
    pub fn lint(&self) -> Vec<Lint> {
        let seeding = self.scheme.scheme().seeding();
        let mut lints = Vec::new();
        match seeding {
            Seeding::Fixed => lints.push(Lint::FixedList),
            Seeding::Left { width: 1 } | Seeding::Min { .. } | Seeding::SelfAnchored { .. } => {
                lints.push(Lint::OneTokenSeed);
            }
            Seeding::Left { .. } => {}
        }
        match self.prf {
            PrfVariant::SynthIdTable if self.tokenizer.vocab_size > 1 << 16 => {
                lints.push(Lint::SixteenBits);
            }
            PrfVariant::SynthIdIv => lints.push(Lint::WeakRounds),
            _ => {}
        }
        if self.scheme.scheme().entropy_floor().is_some() {
            lints.push(Lint::NeedsModel);
        }
        if self.retired.is_some() {
            lints.push(Lint::Retired);
        }
        if self.reference.is_none() {
            lints.push(Lint::NoReference);
        }
        lints
    }
}

/// Something to know before relying on a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lint {
    /// One list for all texts.
    #[error(
        "one green list for every text: a key's false-alarm rate on one kind of text may be several times the nominal one; calibrate the key"
    )]
    FixedList,
    /// Seeds of one context token.
    #[error(
        "each seed reads a single token of context: a key's false-alarm rate on one kind of text varies (0.2 to 2 % at a nominal 1 %); calibrate the key, or use a profile whose seeds read two tokens or more"
    )]
    OneTokenSeed,
    /// Tokens that the function does not tell apart.
    #[error(
        "synthid-table with its usual table reads 16 bits of every token id: ids 65,536 apart share their bits, and a few thousand marked tokens give the key away"
    )]
    SixteenBits,
    /// Bits that are correlated.
    #[error(
        "synthid-iv mixes little: text marked with one key looks a little marked under others (variance up to 2.8 times at 192 tokens); p is widened to allow for that, and weak marks need more text"
    )]
    WeakRounds,
    /// Everybody has the key.
    #[error(
        "the key is {0}: anybody can make and remove this mark, and it proves nothing; make another key before marking"
    )]
    PublicKey(&'static str),
    /// The key can be searched for.
    #[error(
        "the key can be searched for: it is made of numbers of at most 64 bits that can be tried one at a time, and many engines use 32 of them; who finds it from marked text can make and remove this mark"
    )]
    SmallKey,
    /// Entropies are needed.
    #[error("detection needs the model that wrote the text (--model), for its entropies")]
    NeedsModel,
    /// No longer in use.
    #[error("retired: nothing new is marked with it")]
    Retired,
    /// Power is unknown.
    #[error("no reference evidence: the verdict insufficient_evidence cannot be given")]
    NoReference,
}

impl Lint {
    /// Whether it is about seeds that read one token or none, so that texts with the same frequent words share fortunes.
    pub fn is_of_narrow_seeds(&self) -> bool {
        matches!(self, Self::FixedList | Self::OneTokenSeed)
    }
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not a profile's TOML.
    #[error("not a profile: {0}")]
    Parse(#[from] toml::de::Error),
    /// Cannot be written.
    #[error("a profile's value has no TOML form: {0}")]
    Write(#[from] toml::ser::Error),
    /// A version this program does not know.
    #[error("profile schema {got} is not known to this version of touchmark; it reads schema {known}", known = Profile::SCHEMA)]
    Schema {
        /// What was read.
        got: u32,
    },
    /// Not a valid name.
    #[error(
        "\"{got}\" cannot name a profile: use 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit"
    )]
    Id {
        /// What was read.
        got: String,
    },
    /// V is too small for a choice, or greater than any model's.
    #[error("vocab_size is {got}, but must be from 2 to {most}: it is the width of the model's logits", most = TokenizerPin::MOST_IDS)]
    VocabSize {
        /// What was read.
        got: u32,
    },
    /// Reference evidence that no text can have.
    #[error(
        "reference evidence needs a finite mean and a standard deviation above 0; got mean {mean} and sd {sd}"
    )]
    Reference {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        sd: f64,
    },
    /// A parameter of the scheme.
    #[error(transparent)]
    Spec(#[from] SpecError),
}
