//! From what was typed to objects: stores, profiles, detectors.

use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use subtle::ConstantTimeEq;
use touchmark::detect::{Detector, expected_evidence};
#[cfg(any(feature = "engine", feature = "serve"))]
use touchmark::keys::TenantName;
use touchmark::keys::{Key, KeyId, is_slug};
use touchmark::profile::{Profile, ProfileError, TokenizerPin};
use touchmark::schemes::Spec;
use touchmark::stats::Family;
use touchmark::store::{KeyInfo, Store, StoreError};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Tokenize, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

use crate::args::Global;
use crate::models::{self, TokenizerSource};
use crate::output;

/// The profile that is used when none is named.
pub const DEFAULT_PROFILE: &str = "default";

pub fn store(global: &Global) -> anyhow::Result<Store> {
    Ok(match &global.home {
        Some(home) => Store::at(home),
        None => Store::of_user()?,
    })
}

/// What a new profile is made of.
pub struct NewProfile {
    pub id: String,
    pub scheme: Spec,
    pub repeats: Repeats,
    pub key: NewKey,
}

/// The key of a new profile.
pub enum NewKey {
    /// Made for it.
    Fresh,
    /// One of the keyring.
    Kept(String),
    /// Of another engine, to be kept under this name or a random one.
    Given(Key, Option<KeyId>),
}

/// Makes a profile, and its key where none is named, and keeps both and the tokenizer.
pub fn new_profile(
    store: &Store,
    new: NewProfile,
    tokenizer: &TokenizerSource,
) -> anyhow::Result<Profile> {
    let now = now();
    touchmark::watermark::check(&new.scheme, new.repeats, new.scheme.prf())?;
    match store.profile(&new.id) {
        Err(StoreError::NoProfile { .. }) => {}
        found => {
            found?;
            bail!("profile \"{}\" exists already; choose another name", new.id);
        }
    }
    // All that can be refused is refused before anything is written.
    if !is_slug(&new.id) {
        return Err(ProfileError::Id { got: new.id }.into());
    }
    HfTokenizer::from_bytes(&tokenizer.file)?;
    let pin = TokenizerPin {
        hash: TokenizerHash::of(&tokenizer.file),
        vocab_size: tokenizer.vocab_size,
        name: tokenizer.name.clone(),
    };
    pin.check()?;
    let reference = expected_evidence(&new.scheme, tokenizer.entropy)?;
    let key = keep_key(store, new.key, &new.scheme, now)?;
    store.add_tokenizer(&tokenizer.file)?;
    let profile = Profile {
        schema: Profile::SCHEMA,
        id: new.id,
        key_id: key.id,
        prf: new.scheme.prf(),
        repeats: new.repeats,
        created: now,
        valid_from: None,
        retired: None,
        scheme: new.scheme,
        tokenizer: pin,
        reference: Some(reference),
    };
    store.add_profile(&profile)?;
    Ok(profile)
}

/// The public part of a profile's key, which is kept if it is new.
fn keep_key(store: &Store, key: NewKey, scheme: &Spec, now: Timestamp) -> anyhow::Result<KeyInfo> {
    let kept = match key {
        NewKey::Fresh => return Ok(store.add_key(None, &fresh_key(scheme)?, now)?),
        NewKey::Kept(id) => store.key_info(&id.parse()?)?,
        NewKey::Given(key, id) => {
            // The same key may go with several tokenizers.
            let same = match &id {
                Some(id) => store.key(id).is_ok_and(|kept| bool::from(kept.ct_eq(&key))),
                None => false,
            };
            match id {
                Some(id) if same => store.key_info(&id)?,
                id => store.add_key(id, &key, now)?,
            }
        }
    };
    if kept.retired.is_some() {
        bail!("key \"{}\" is retired; choose another", kept.id);
    }
    if kept.numbers != scheme.key_numbers() {
        bail!(
            "key \"{}\" has not the form that this scheme wants; leave --key out to make one",
            kept.id
        );
    }
    Ok(kept)
}

/// A key of the form that a scheme wants.
pub fn fresh_key(scheme: &Spec) -> anyhow::Result<Key> {
    Ok(match scheme.key_numbers() {
        None => Key::generate()?,
        Some(count) => Key::generate_numbers(count)?,
    })
}

/// The default profile; the first use makes it, with a key, and says where.
pub fn default_profile(
    global: &Global,
    store: &Store,
    first: impl FnOnce() -> anyhow::Result<TokenizerSource>,
) -> anyhow::Result<Profile> {
    match store.profile(DEFAULT_PROFILE) {
        Err(StoreError::NoProfile { .. }) => {}
        found => return Ok(found?),
    }
    let scheme = Spec::usual("kgw").context("internal fault: no default scheme")?;
    let new = NewProfile {
        id: DEFAULT_PROFILE.to_owned(),
        scheme,
        repeats: Repeats::default(),
        key: NewKey::Fresh,
    };
    let profile = match new_profile(store, new, &first()?) {
        Ok(profile) => profile,
        // Another process was first.
        Err(error) => return store.profile(DEFAULT_PROFILE).map_err(|_| error),
    };
    let home = store.home().display();
    output::note(
        global.quiet,
        &format!(
            "First use: made key {} and profile \"{DEFAULT_PROFILE}\" in {home}",
            profile.key_id
        ),
    );
    Ok(profile)
}

/// The tokenizer of the default profile where nothing else names one.
#[cfg(bundled_models)]
pub fn first_tokenizer() -> anyhow::Result<TokenizerSource> {
    Ok(crate::commands::bundled::tokenizer_source())
}

#[cfg(not(bundled_models))]
pub fn first_tokenizer() -> anyhow::Result<TokenizerSource> {
    bail!(
        "there is no default profile and this build has no bundled model; make one with `touchmark profile new default --tokenizer PATH`"
    )
}

/// A profile by name, or from a file.
pub fn profile(store: &Store, name: &str) -> anyhow::Result<Profile> {
    if name.contains('/') || name.ends_with(".toml") {
        return Ok(Store::read_profile(Path::new(name))?);
    }
    Ok(store.profile(name)?)
}

/// The tokenizer a profile pins: the one given by name and revision, or the one kept under its hash, or the bundled one.
pub fn profile_tokenizer(
    global: &Global,
    store: &Store,
    profile: &Profile,
    given: Option<(&Path, Option<&str>)>,
) -> anyhow::Result<HfTokenizer> {
    let tokenizer = match given {
        Some((name, revision)) => {
            HfTokenizer::from_bytes(&models::tokenizer_file(global, name, revision)?)?
        }
        None => HfTokenizer::from_bytes(&kept_tokenizer(store, profile)?)?,
    };
    check_tokenizer(profile, &tokenizer)?;
    Ok(tokenizer)
}

/// The file of the tokenizer that a profile pins.
pub fn kept_tokenizer(store: &Store, profile: &Profile) -> anyhow::Result<Vec<u8>> {
    let TokenizerPin { hash, name, .. } = &profile.tokenizer;
    if let Some(file) = store.tokenizer(*hash)? {
        return Ok(file);
    }
    #[cfg(bundled_models)]
    if *hash == TokenizerHash::of(crate::commands::bundled::TOKENIZER) {
        return Ok(crate::commands::bundled::TOKENIZER.to_vec());
    }
    bail!(
        "profile \"{}\" needs the tokenizer of {name} (BLAKE3 {hash}), which is not kept here; give it with --tokenizer",
        profile.id
    )
}

/// Refuses a tokenizer that is not the one a profile pins: ids would mean other words, and every mark would be missed.
pub fn check_tokenizer(profile: &Profile, tokenizer: &dyn Tokenize) -> anyhow::Result<()> {
    let TokenizerPin { hash, name, .. } = &profile.tokenizer;
    if tokenizer.hash() != *hash {
        bail!(
            "profile \"{}\" is bound to the tokenizer of {name} (BLAKE3 {hash}), not to this one ({}); \
             with another tokenizer every mark would be missed. Use that tokenizer, or make a profile with \
             `touchmark profile new NAME --tokenizer PATH`",
            profile.id,
            tokenizer.hash()
        );
    }
    Ok(())
}

/// A profile's key.
pub fn key(store: &Store, profile: &Profile) -> anyhow::Result<Key> {
    match store.key(&profile.key_id) {
        Err(error @ StoreError::NoKey { .. }) => Err(error).with_context(|| {
            let Profile { id, key_id, .. } = profile;
            format!(
                "profile \"{id}\" cannot be used without its key; bring that back with `touchmark key import FILE --id \
                 {key_id}`, or name other profiles"
            )
        }),
        found => Ok(found?),
    }
}

/// A profile's watermark, with its key or that of one of its tenants.
#[cfg(any(feature = "engine", feature = "serve"))]
pub fn watermark(
    store: &Store,
    profile: &Profile,
    tenant: Option<&TenantName>,
    tokenizer: &dyn Tokenize,
) -> anyhow::Result<Watermark> {
    let key = key(store, profile)?;
    match tenant {
        Some(tenant) => keyed(&key.tenant(tenant)?, profile, tokenizer),
        None => keyed(&key, profile, tokenizer),
    }
}

/// A profile's watermark with any key.
pub fn keyed(key: &Key, profile: &Profile, tokenizer: &dyn Tokenize) -> anyhow::Result<Watermark> {
    let vocabulary = Vocabulary {
        tokenizer: profile.tokenizer.hash,
        size: profile.tokenizer.vocab_size,
        special: tokenizer.special_ids().to_vec(),
    };
    Ok(Watermark::new(key, profile.prf, &profile.scheme, &vocabulary, profile.repeats)?)
}

/// A detector for one profile out of a family that are all looked for in the same documents.
pub fn detector(
    key: &Key,
    profile: &Profile,
    tokenizer: &dyn Tokenize,
    fpr: f64,
    family: Family,
) -> anyhow::Result<Detector> {
    let watermark = keyed(key, profile, tokenizer)?;
    Ok(Detector::new(watermark, fpr, family, profile.reference.clone())?)
}

pub fn now() -> Timestamp {
    let now = Timestamp::now();
    // Whole seconds read better, and nothing here needs more.
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
