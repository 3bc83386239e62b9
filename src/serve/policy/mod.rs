//! Who may ask for what, and which answers carry a mark.
//!
//! A [`Policies`] is built from a [`PolicyFile`] by the program, which knows keys and profiles. It is replaced as a whole when it
//! is loaded again; a request keeps the one it began with.

mod account;
mod api_key;
mod decision;
mod exempt;
mod file;
mod self_test;

pub use account::{Account, Limits, LowEvidence, Marker, OnUnmarkable, Roles};
pub use api_key::{ApiKey, ApiKeyError, ApiKeyHash};
pub use decision::{Decision, Refusal, Unmarked, Wish};
pub use exempt::{Exemption, Exemptions, Occasion};
pub use file::{AccountEntry, Defaults, PolicyFile, PolicyFileError};
pub use self_test::{KnownAnswerError, known_answer};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// When answers are marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatermarkMode {
    /// Never.
    Off,
    /// When the client asks for it.
    OptIn,
    /// Unless the client asks for none.
    #[default]
    Default,
    /// Always: what cannot be marked is not answered.
    Required,
}

impl WatermarkMode {
    /// As files and flags name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OptIn => "opt-in",
            Self::Default => "default",
            Self::Required => "required",
        }
    }
}

/// All accounts.
#[derive(Debug)]
pub struct Policies {
    /// Who has an API key.
    pub accounts: Vec<(ApiKeyHash, Arc<Account>)>,
    /// Who has none; nobody, where keys are asked for.
    pub anonymous: Option<Arc<Account>>,
    /// Whether texts may be asked about without an API key.
    pub public_detection: bool,
    /// What is never marked.
    pub exemptions: Exemptions,
}

impl Policies {
    /// Nobody may do anything.
    pub fn nobody() -> Self {
        Self {
            accounts: Vec::new(),
            anonymous: None,
            public_detection: false,
            exemptions: Exemptions::default(),
        }
    }

    /// The account of an API key. Every known key is compared, in constant time.
    pub fn account(&self, key: &ApiKey) -> Option<&Arc<Account>> {
        let hash = key.hash();
        let mut found = None;
        for (known, account) in &self.accounts {
            if known.matches(&hash) {
                found = Some(account);
            }
        }
        found
    }

    /// Every account, the anonymous one included.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.iter().map(|(_, account)| account).chain(&self.anonymous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_finds_its_account_and_no_other() {
        let keys: Vec<ApiKey> = (0..3).map(|_| ApiKey::generate().unwrap()).collect();
        let account = |name: &str| Arc::new(Account::named(name));
        let accounts =
            keys.iter().zip(["a", "b", "c"]).map(|(key, name)| (key.hash(), account(name)));
        let policies = Policies {
            accounts: accounts.collect(),
            anonymous: None,
            public_detection: false,
            exemptions: Exemptions::default(),
        };
        for (key, name) in keys.iter().zip(["a", "b", "c"]) {
            assert_eq!(policies.account(key).unwrap().name, name);
        }
        assert!(policies.account(&ApiKey::generate().unwrap()).is_none());
    }
}
