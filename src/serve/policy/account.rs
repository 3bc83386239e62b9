//! One account: what it may do and how its answers are marked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::WatermarkMode;
use crate::keys::TenantName;
use crate::profile::Profile;
use crate::watermark::Watermark;

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its public name, as receipts have it.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
    /// When its answers are marked.
    pub mode: WatermarkMode,
    /// With what, the usual one first. Empty only under [`WatermarkMode::Off`].
    pub markers: Vec<Arc<Marker>>,
    /// What becomes of answers that cannot be marked; none: refused where the client asked for the mark, else given.
    pub on_unmarkable: Option<OnUnmarkable>,
    /// Answers that may have at most so many tokens are not marked: none could be found in them.
    pub minimum_length: usize,
    /// What becomes of answers that have less evidence than [`Marker::enough`] asks for.
    pub on_low_evidence: LowEvidence,
    /// What it may use.
    pub limits: Limits,
}

/// What an account may use. None: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens of prompts and answers in a minute.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of prompts and answers in a day.
    pub tokens_per_day: Option<u64>,
    /// Most answers to a request.
    pub max_n: Option<usize>,
    /// Most alternatives that log-probabilities are told of; 0: log-probabilities are refused.
    pub max_top_logprobs: Option<usize>,
    /// Decimal places that log-probabilities are rounded to.
    pub logprob_decimals: Option<u32>,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    /// Ask for answers.
    pub generate: bool,
    /// See how sure the detector is, and why.
    pub analyst: bool,
    /// Load policies again.
    pub admin: bool,
    /// Read `/metrics`.
    pub metrics: bool,
}

impl Roles {
    /// All of them.
    pub const ALL: Self = Self { generate: true, analyst: true, admin: true, metrics: true };
}

/// What becomes of an answer that cannot be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnmarkable {
    /// It is refused.
    Reject,
    /// It is given, and says that it is not marked.
    Pass,
}

/// What becomes of a marked answer with too little evidence to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowEvidence {
    /// It is held back, and an error is given instead.
    Reject,
    /// It is given.
    #[default]
    Pass,
}

/// A mark that an account's answers carry.
#[derive(Debug)]
pub struct Marker {
    /// The profile.
    pub profile: Profile,
    /// Profile and key, or the tenant's.
    pub watermark: Arc<Watermark>,
    /// The tenant whose key it is.
    pub tenant: Option<TenantName>,
    /// The message, of a mark that carries one.
    pub message: Option<u64>,
    /// Marked tokens from which on the expected evidence is enough; 1 where nothing more is asked for.
    pub enough: usize,
}

impl Marker {
    /// The public name of the key: `id`, or `id/tenant`.
    pub fn key_id(&self) -> String {
        match &self.tenant {
            Some(tenant) => format!("{}/{tenant}", self.profile.key_id),
            None => self.profile.key_id.to_string(),
        }
    }
}

impl Account {
    /// An account that may do nothing, whose answers are not marked.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            roles: Roles::default(),
            mode: WatermarkMode::Off,
            markers: Vec::new(),
            on_unmarkable: None,
            minimum_length: 0,
            on_low_evidence: LowEvidence::default(),
            limits: Limits::default(),
        }
    }

    /// Marked tokens before which nothing of an answer is given out: it would leave unmarked, or with too little evidence.
    pub fn held_back(&self, marker: &Marker) -> usize {
        match (self.mode, self.on_low_evidence) {
            (_, LowEvidence::Reject) => marker.enough.max(1),
            (WatermarkMode::Required, LowEvidence::Pass) => 1,
            _ => 0,
        }
    }
}
