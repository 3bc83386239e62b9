//! Whether an answer is marked, and with what.

use std::sync::Arc;

use super::{Account, Exemptions, Marker, Occasion, OnUnmarkable, WatermarkMode};
use crate::sampling::Sampling;
use crate::schemes::Stage;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// A mark, or none; nothing said: as the policy has it.
    pub marked: Option<bool>,
    /// One of the account's profiles.
    pub profile: Option<String>,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The answer carries this mark.
    Mark(Arc<Marker>),
    /// It carries none.
    Leave(Unmarked),
}

/// Why an answer carries no mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmarked {
    /// The policy marks nothing.
    Off,
    /// Nobody asked for a mark.
    NotRequested,
    /// The client asked for none.
    OptedOut,
    /// An exemption holds.
    Exempt(String),
    /// There is no choice to put a mark into: greedy decoding.
    Greedy,
    /// It would be too short.
    Short,
}

impl Unmarked {
    /// As answers and receipts have it.
    pub fn reason(&self) -> String {
        match self {
            Self::Off => "policy_off".to_owned(),
            Self::NotRequested => "not_requested".to_owned(),
            Self::OptedOut => "opted_out".to_owned(),
            Self::Exempt(reason) => format!("exempt: {reason}"),
            Self::Greedy => "greedy".to_owned(),
            Self::Short => "short".to_owned(),
        }
    }

    /// As metrics count it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Off | Self::NotRequested => "not_requested",
            Self::OptedOut => "opted_out",
            Self::Exempt(_) => "exempt",
            Self::Greedy | Self::Short => "unmarkable",
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A mark was asked for where there is none.
    #[error(
        "answers to this API key are not marked; leave out `watermark`, or ask the operator for another policy"
    )]
    NoMark,
    /// No mark was asked for where one is required.
    #[error("answers to this API key are always marked; leave out `watermarking: false`")]
    Required,
    /// A profile that the account may not use.
    #[error("there is no profile \"{asked}\" for this API key; it may use: {}", known.join(", "))]
    Profile {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Greedy decoding where the mark needs a choice.
    #[error(
        "at temperature 0 the profile \"{profile}\" has no choice to put its mark into, and unmarked answers are not given under this \
         API key; ask for a temperature above 0"
    )]
    Greedy {
        /// The profile.
        profile: String,
    },
    /// An answer too short to be found.
    #[error(
        "an answer of at most {max_tokens} tokens is too short to carry a mark that could be found, and unmarked answers are not \
         given under this API key; ask for {needed} tokens or more"
    )]
    Short {
        /// What was asked for.
        max_tokens: usize,
        /// What would do.
        needed: usize,
    },
}

impl Refusal {
    /// The request's field that is at fault.
    pub fn param(&self) -> &'static str {
        match self {
            Self::NoMark | Self::Required => "watermark",
            Self::Profile { .. } => "watermark.profile",
            Self::Greedy { .. } => "temperature",
            Self::Short { .. } => "max_tokens",
        }
    }

    /// A code that programs can read.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoMark => "watermark_not_available",
            Self::Required => "watermark_required",
            Self::Profile { .. } => "watermark_profile_not_found",
            Self::Greedy { .. } | Self::Short { .. } => "unmarkable",
        }
    }
}

impl Account {
    /// Decides about one request.
    ///
    /// # Errors
    /// [`Refusal`]: the policy forbids what was asked for, or the answer could not be marked and must be.
    pub fn decide(
        &self,
        wish: &Wish,
        exemptions: &Exemptions,
        occasion: &Occasion<'_>,
        sampling: &Sampling,
        max_tokens: usize,
    ) -> Result<Decision, Refusal> {
        let asked = wish.marked.or_else(|| wish.profile.as_ref().map(|_| true));
        let wanted = match (self.mode, asked) {
            (WatermarkMode::Off, Some(true)) => return Err(Refusal::NoMark),
            (WatermarkMode::Off, _) => Err(Unmarked::Off),
            (WatermarkMode::OptIn, None) => Err(Unmarked::NotRequested),
            (WatermarkMode::OptIn | WatermarkMode::Default, Some(false)) => Err(Unmarked::OptedOut),
            (WatermarkMode::Required, Some(false)) => return Err(Refusal::Required),
            _ => Ok(()),
        };
        if let Err(unmarked) = wanted {
            return Ok(Decision::Leave(unmarked));
        }
        let marker = self.marker(wish.profile.as_deref())?;
        if let Some(reason) = exemptions.reason(occasion) {
            return Ok(Decision::Leave(Unmarked::Exempt(reason.to_owned())));
        }
        match self.fault(marker, sampling, max_tokens) {
            None => Ok(Decision::Mark(Arc::clone(marker))),
            Some((_, refusal)) if self.must_refuse(asked) => Err(refusal),
            Some((unmarked, _)) => Ok(Decision::Leave(unmarked)),
        }
    }

    /// Under `required` nothing unmarked is given, whatever else the policy says.
    fn must_refuse(&self, asked: Option<bool>) -> bool {
        let said = self.on_unmarkable.map(|what| what == OnUnmarkable::Reject);
        self.mode == WatermarkMode::Required || said.unwrap_or_else(|| asked == Some(true))
    }

    fn marker(&self, profile: Option<&str>) -> Result<&Arc<Marker>, Refusal> {
        let found = match profile {
            None => self.markers.first(),
            Some(name) => self.markers.iter().find(|marker| marker.profile.id == name),
        };
        found.ok_or_else(|| Refusal::Profile {
            asked: profile.unwrap_or_default().to_owned(),
            known: self.markers.iter().map(|marker| marker.profile.id.clone()).collect(),
        })
    }

    /// Why an answer cannot be marked.
    fn fault(
        &self,
        marker: &Marker,
        sampling: &Sampling,
        max_tokens: usize,
    ) -> Option<(Unmarked, Refusal)> {
        let scheme = marker.profile.scheme.scheme();
        if sampling.is_greedy() && scheme.stage() == Stage::AfterTruncation {
            let profile = marker.profile.id.clone();
            return Some((Unmarked::Greedy, Refusal::Greedy { profile }));
        }
        let needed =
            self.minimum_length.max(scheme.seeding().width() + self.held_back(marker).max(1));
        let short = max_tokens < needed;
        short.then_some((Unmarked::Short, Refusal::Short { max_tokens, needed }))
    }
}
