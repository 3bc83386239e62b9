//! What a profile with a key is, and how it is looked for, so that files of another one are told apart.

use anyhow::Context;
use touchmark::detect::{LookSettings, MarkIdentity, Screen, Windows};
use touchmark::keys::KeyId;
use touchmark::store::{KeyInfo, Store};
use touchmark::tokens::Tokenize;

use super::detect::{Mark, Wanted};
use crate::args::{Inputs, Looks, Marks, Switch};

impl<'a> Wanted<'a> {
    /// For commands that need a row of every profile and key.
    pub fn all_rows(marks: &'a Marks, fpr: f64) -> anyhow::Result<Self> {
        Ok(Self { screen: Screen::Off, top: Some(usize::MAX), ..Self::marks(marks, fpr)? })
    }
}

/// What tells this profile, key and tokenizer from others of the same name.
pub fn identity(store: &Store, mark: &Mark<'_>) -> anyhow::Result<MarkIdentity> {
    let (parent, _) = parent(mark.key);
    identity_under(&store.key_info(&parent.parse::<KeyId>()?)?, mark)
}

/// The key that is kept, which is the key itself or the one that a tenant's is derived from; and the tenant, or nothing.
pub fn parent(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or((key, ""))
}

/// The same, where what is public of the [`parent`] is known already.
pub fn identity_under(parent: &KeyInfo, mark: &Mark<'_>) -> anyhow::Result<MarkIdentity> {
    let profile = mark.profile;
    // A tenant's key follows from its parent, so the parent's commitment binds it too.
    let (_, tenant) = self::parent(mark.key);
    let decides = serde_json::to_string(&(
        &profile.scheme,
        profile.prf,
        profile.repeats,
        profile.tokenizer.vocab_size,
    ));
    let decides = decides.context("internal fault: a profile without a JSON form")?;
    Ok(MarkIdentity {
        profile: profile.id.clone(),
        profile_blake3: blake3::hash(decides.as_bytes()).to_hex().to_string(),
        key_id: mark.key.to_owned(),
        commitment: [parent.commitment.0.as_str(), tenant].join(if tenant.is_empty() {
            ""
        } else {
            "/"
        }),
        tokenizer: mark.tokenizer.hash().to_string(),
    })
}

/// What a p-value depends on besides the mark.
pub fn settings(
    inputs: &Inputs,
    looks: &Looks,
    model: Option<&std::path::PathBuf>,
) -> LookSettings {
    LookSettings {
        normalise: looks.normalise == Switch::On,
        segments: match looks.segments {
            Windows::Off => "off".to_owned(),
            Windows::Auto => "auto".to_owned(),
            Windows::AtLeast(tokens) => tokens.to_string(),
        },
        prompts: inputs.prompt_field.is_some(),
        tokens: inputs.tokens_field.is_some(),
        model: model.map(|model| model.display().to_string()),
    }
}
