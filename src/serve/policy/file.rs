//! The file of API keys and policies: TOML.
//!
//! ```toml
//! public_detection = true         # questions about texts are answered without an API key
//!
//! [defaults]                      # for every account that says nothing else
//! watermark = "default"           # off | opt-in | default | required
//! profiles = ["default"]
//!
//! [detection]                     # for those who may not see evidence
//! texts_a_day = 100
//!
//! [[exempt]]
//! reason = "code is not prose"
//! system_contains = "programming assistant"
//!
//! [[account]]
//! name = "acme"
//! key = "…"                       # hash of its API key, made by `touchmark api-key new`
//! watermark = "required"
//! tenant = "acme"
//! ```

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::account::Limits;
use super::{ApiKeyHash, Exemption, LowEvidence, OnUnmarkable, Roles, WatermarkMode};
use crate::keys::TenantName;
use crate::serve::detection::DetectionSettings;

/// The whole file. Unknown fields are refused: a misspelt policy must not be no policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFile {
    /// For every account that says nothing else.
    pub defaults: Defaults,
    /// Whether questions about texts are answered without an API key.
    pub public_detection: bool,
    /// Profiles to look for besides those that are marked with, such as those of before; `all` for all.
    pub detect_profiles: Vec<String>,
    /// What the public may ask, and how.
    pub detection: DetectionSettings,
    /// What is never marked.
    pub exempt: Vec<Exemption>,
    /// Who has an API key.
    pub account: Vec<AccountEntry>,
}

/// What an account's entry may say, and what holds where it does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// When answers are marked.
    pub watermark: Option<WatermarkMode>,
    /// With what, the usual one first.
    pub profiles: Option<Vec<String>>,
    /// What becomes of answers that cannot be marked.
    pub on_unmarkable: Option<OnUnmarkable>,
    /// Answers that may have at most so many tokens are not marked.
    pub minimum_length: Option<usize>,
    /// −log₁₀ of the p-value to expect of an answer, at the reference strength of its profile.
    pub min_expected_evidence: Option<f64>,
    /// What becomes of answers that have less.
    pub on_low_evidence: Option<LowEvidence>,
    /// What it may do.
    pub roles: Option<Roles>,
    /// What it may use.
    pub limits: Option<Limits>,
}

/// Who has an API key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEntry {
    /// Its public name: receipts have it.
    pub name: String,
    /// Hash of the API key.
    pub key: ApiKeyHash,
    /// The tenant whose key marks its answers, so that a text names the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// The message that its answers carry: decimal, or `0x` and hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub policy: Defaults,
}

impl PolicyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PolicyFileError`].
    pub fn parse(text: &str) -> Result<Self, PolicyFileError> {
        let file: Self = toml::from_str(text)?;
        file.check()?;
        Ok(file)
    }

    /// Refuses what contradicts itself, or cannot stand in a receipt.
    fn check(&self) -> Result<(), PolicyFileError> {
        if let Some(number) =
            self.exempt.iter().position(|it| !can_stand(&it.reason) || !it.has_condition())
        {
            return Err(PolicyFileError::Exemption { number: number + 1 });
        }
        let (mut names, mut keys) = (HashSet::new(), HashSet::new());
        for account in &self.account {
            if !can_stand(&account.name) {
                return Err(PolicyFileError::Name { name: account.name.clone() });
            }
            if !names.insert(&account.name) {
                return Err(PolicyFileError::Twice { name: account.name.clone() });
            }
            if !keys.insert(account.key.to_string()) {
                return Err(PolicyFileError::SharedKey { name: account.name.clone() });
            }
        }
        Ok(())
    }
}

/// Whether a text can stand in a receipt as a name or a reason.
fn can_stand(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Why a policy file cannot be used. Never carries an API key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// Not TOML of this form.
    #[error("not a policy file: {}", .0.message())]
    Form(#[from] toml::de::Error),
    /// An account without a usable name.
    #[error(
        "\"{name}\" cannot name an account: use 1 to 128 characters without control characters"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two accounts of one name.
    #[error("account \"{name}\" is there twice; names tell receipts apart")]
    Twice {
        /// The name.
        name: String,
    },
    /// Two accounts of one API key.
    #[error("account \"{name}\" has the API key of another; make one with `touchmark api-key new`")]
    SharedKey {
        /// The second.
        name: String,
    },
    /// An exemption that does not say why or when.
    #[error(
        "exemption {number} needs a `reason` of 128 characters at most, and one of `route`, `accounts`, `system_contains`"
    )]
    Exemption {
        /// Which one, from 1.
        number: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::policy::ApiKey;

    fn account(name: &str, more: &str) -> String {
        let hash = ApiKey::sent(name).hash();
        format!("[[account]]\nname = \"{name}\"\nkey = \"{hash}\"\n{more}\n")
    }

    #[test]
    fn files_read_back() {
        let text = format!(
            "public_detection = true\n[defaults]\nwatermark = \"opt-in\"\n[detection]\ntexts_a_day = 3\n[[exempt]]\nreason = \"code\"\nroute = \"/v1/x\"\n{}",
            account(
                "acme",
                "watermark = \"required\"\ntenant = \"acme\"\nroles = { analyst = true }\nlimits = { max_n = 2 }"
            )
        );
        let file = PolicyFile::parse(&text).unwrap();
        assert_eq!(file.defaults.watermark, Some(WatermarkMode::OptIn));
        let acme = &file.account[0];
        assert_eq!(acme.policy.watermark, Some(WatermarkMode::Required));
        assert!(acme.policy.roles.unwrap().analyst && !acme.policy.roles.unwrap().generate);
        assert_eq!(acme.policy.limits.unwrap().max_n, Some(2));
        assert_eq!(PolicyFile::parse(&toml::to_string(&file).unwrap()).unwrap(), file);
    }

    #[test]
    fn what_is_misspelt_or_contradicts_itself_is_refused() {
        for bad in [
            "[default]\n".to_owned(),
            "[defaults]\nwatermarking = \"required\"\n".to_owned(),
            "[defaults]\nwatermark = \"mandatory\"\n".to_owned(),
            "[detection]\ntexts = 3\n".to_owned(),
            "[[exempt]]\nreason = \"all\"\n".to_owned(),
            "[[exempt]]\nroute = \"/v1/x\"\n".to_owned(),
            account("a", "watermarks = \"off\""),
            account("a", "limits = { requests = 3 }"),
            account("a", "roles = { root = true }"),
            account("", ""),
            account("a\\u0007", ""),
            account("a", "") + &account("a", ""),
            account("a", "") + &account("a", "").replace("name = \"a\"", "name = \"b\""),
            "[[account]]\nname = \"a\"\nkey = \"tmk-secret\"\n".to_owned(),
        ] {
            let refused = PolicyFile::parse(&bad);
            assert!(refused.is_err(), "{bad}");
            assert!(!refused.unwrap_err().to_string().contains("tmk-secret"));
        }
    }
}
