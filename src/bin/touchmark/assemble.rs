//! From what was typed to objects: stores, models, tokenizers, detectors.

use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use touchmark::detect::{DEFAULT_ENTROPY, Detector, expected_evidence};
use touchmark::profile::{Profile, TokenizerPin};
use touchmark::schemes::Spec;
use touchmark::stats::Family;
use touchmark::store::{Store, StoreError};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

use crate::args::Global;
use crate::output;

/// The profile that is used when none is named.
pub const DEFAULT_PROFILE: &str = "default";

pub fn store(global: &Global) -> anyhow::Result<Store> {
    Ok(match &global.home {
        Some(home) => Store::at(home),
        None => Store::of_user()?,
    })
}

/// A tokenizer's file and the width of the logits of the model it belongs to.
#[derive(Clone)]
pub struct TokenizerSource {
    pub file: Vec<u8>,
    pub vocab_size: u32,
    pub name: String,
    /// Mean entropy of the model's next token, in nats.
    pub entropy: f64,
}

/// The tokenizer of a model folder, or a tokenizer file with V given.
pub fn tokenizer_source(path: &Path, vocab_size: Option<u32>) -> anyhow::Result<TokenizerSource> {
    let (folder, file_path) = if path.is_dir() {
        (path, path.join("tokenizer.json"))
    } else {
        (path.parent().unwrap_or_else(|| Path::new(".")), path.to_owned())
    };
    let file = std::fs::read(&file_path)
        .with_context(|| format!("cannot read {}", file_path.display()))?;
    let vocab_size = match vocab_size {
        Some(vocab_size) => vocab_size,
        None => configured_vocab_size(folder)?,
    };
    let named = folder.canonicalize().ok();
    let name = named
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(TokenizerSource { file, vocab_size, name, entropy: DEFAULT_ENTROPY })
}

fn configured_vocab_size(folder: &Path) -> anyhow::Result<u32> {
    let config = folder.join("config.json");
    let text = std::fs::read_to_string(&config).with_context(|| {
        format!(
            "cannot read {}; give the width of the model's logits with --vocab-size",
            config.display()
        )
    })?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", config.display()))?;
    let size = value["vocab_size"].as_u64().and_then(|size| u32::try_from(size).ok());
    size.with_context(|| {
        format!("{} has no vocab_size; give it with --vocab-size", config.display())
    })
}

/// What a new profile is made of.
pub struct NewProfile {
    pub id: String,
    pub scheme: Spec,
    pub repeats: Repeats,
    pub key: Option<String>,
}

/// Makes a profile, and its key where none is named, and keeps both and the tokenizer.
pub fn new_profile(
    store: &Store,
    new: NewProfile,
    tokenizer: &TokenizerSource,
) -> anyhow::Result<Profile> {
    let now = now();
    touchmark::watermark::check(&new.scheme, new.repeats)?;
    match store.profile(&new.id) {
        Err(StoreError::NoProfile { .. }) => {}
        found => {
            found?;
            bail!("profile \"{}\" exists already; choose another name", new.id);
        }
    }
    HfTokenizer::from_bytes(&tokenizer.file)?;
    let key = match &new.key {
        Some(id) => store.key_info(&id.parse()?)?,
        None => store.new_key(None, now)?,
    };
    if key.retired.is_some() {
        bail!("key \"{}\" is retired; choose another", key.id);
    }
    let reference = expected_evidence(&new.scheme, tokenizer.entropy)?;
    let hash = store.add_tokenizer(&tokenizer.file)?;
    let profile = Profile {
        schema: Profile::SCHEMA,
        id: new.id,
        key_id: key.id,
        prf: Default::default(),
        repeats: new.repeats,
        created: now,
        valid_from: None,
        retired: None,
        scheme: new.scheme,
        tokenizer: TokenizerPin {
            hash,
            vocab_size: tokenizer.vocab_size,
            name: tokenizer.name.clone(),
        },
        reference: Some(reference),
    };
    store.add_profile(&profile)?;
    Ok(profile)
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
        key: None,
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

/// A profile by name, or from a file.
pub fn profile(store: &Store, name: &str) -> anyhow::Result<Profile> {
    if name.contains('/') || name.ends_with(".toml") {
        return Ok(Store::read_profile(Path::new(name))?);
    }
    Ok(store.profile(name)?)
}

/// The tokenizer a profile pins: the one given, or the one kept under its hash, or the bundled one.
pub fn profile_tokenizer(
    store: &Store,
    profile: &Profile,
    given: Option<&Path>,
) -> anyhow::Result<HfTokenizer> {
    let tokenizer = match given {
        Some(path) => HfTokenizer::from_path(path)?,
        None => HfTokenizer::from_bytes(&kept_tokenizer(store, profile)?)?,
    };
    check_tokenizer(profile, &tokenizer)?;
    Ok(tokenizer)
}

fn kept_tokenizer(store: &Store, profile: &Profile) -> anyhow::Result<Vec<u8>> {
    let TokenizerPin { hash, name, .. } = &profile.tokenizer;
    if let Some(file) = store.tokenizer(*hash)? {
        return Ok(file);
    }
    #[cfg(bundled_models)]
    if *hash == touchmark::tokens::TokenizerHash::of(crate::commands::bundled::TOKENIZER) {
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

/// A profile's watermark, with its key.
pub fn watermark(
    store: &Store,
    profile: &Profile,
    tokenizer: &dyn Tokenize,
) -> anyhow::Result<Watermark> {
    let key = store.key(&profile.key_id)?;
    let vocabulary = Vocabulary {
        tokenizer: profile.tokenizer.hash,
        size: profile.tokenizer.vocab_size,
        special: tokenizer.special_ids().to_vec(),
    };
    Ok(Watermark::new(&key, profile.prf, &profile.scheme, &vocabulary, profile.repeats)?)
}

/// A detector for one profile out of `profiles` that are all looked for in the same documents.
pub fn detector(
    store: &Store,
    profile: &Profile,
    tokenizer: &dyn Tokenize,
    fpr: f64,
    profiles: usize,
) -> anyhow::Result<Detector> {
    let family = Family::one().times("profiles", profiles as u64);
    Ok(Detector::new(
        watermark(store, profile, tokenizer)?,
        fpr,
        family,
        profile.reference.clone(),
    )?)
}

pub fn now() -> Timestamp {
    let now = Timestamp::now();
    // Whole seconds read better, and nothing here needs more.
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(feature = "engine")]
pub use models::{Model, model};

#[cfg(feature = "engine")]
mod models {
    use std::path::Path;

    use anyhow::{Context, bail};
    use touchmark::engine::Decoder;
    use touchmark::generate::Ends;
    use touchmark::lm::LanguageModel;
    use touchmark::tokenizer::{ChatTemplate, HfTokenizer, Message, RenderOptions};
    use touchmark::tokens::TokenId;

    use super::TokenizerSource;
    use crate::args::Global;
    use crate::output;

    /// A model ready to write.
    pub struct Model {
        pub lm: Box<dyn LanguageModel>,
        pub tokenizer: HfTokenizer,
        pub tokenizer_source: TokenizerSource,
        pub ends: Ends,
        chat: Result<ChatTemplate, touchmark::tokenizer::ChatError>,
        folds_system: bool,
    }

    impl Model {
        /// Renders a conversation with the model's template.
        pub fn render(&self, messages: &[Message]) -> anyhow::Result<String> {
            let template = self.chat.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
            let folded = if self.folds_system {
                touchmark::tokenizer::fold_system(messages)
            } else {
                messages.to_vec()
            };
            let folded: Vec<_> = folded.into_iter().map(serde_json::Value::from).collect();
            Ok(template.render(&folded, &RenderOptions::default())?)
        }
    }

    /// The model in a folder, or a bundled one (the chat one for conversations).
    pub fn model(global: &Global, folder: Option<&Path>, chat: bool) -> anyhow::Result<Model> {
        if let Some(threads) = global.threads {
            touchmark::engine::set_threads(threads);
        }
        let model = match folder {
            Some(folder) => from_folder(folder),
            None => bundled(chat),
        }?;
        let (name, lm) = (&model.tokenizer_source.name, &model.lm);
        let (vocab_size, window) = (lm.vocab_size(), lm.max_positions());
        output::detail(
            global.verbose,
            &format!("Model {name}: {vocab_size} tokens, window of {window}"),
        );
        Ok(model)
    }

    /// The named templates that newer models keep in a folder; most have none.
    fn additional_templates(folder: &Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let read = |entry: std::fs::DirEntry| {
            let name = entry.file_name().to_str()?.strip_suffix(".jinja")?.to_owned();
            Some((name, std::fs::read_to_string(entry.path()).ok()?))
        };
        entries.filter_map(read).collect()
    }

    fn from_folder(folder: &Path) -> anyhow::Result<Model> {
        if !folder.is_dir() {
            bail!(
                "{} is not a folder; a model is a folder with config.json, tokenizer.json and safetensors",
                folder.display()
            );
        }
        let lm = Decoder::from_dir(folder)
            .with_context(|| format!("cannot load the model in {}", folder.display()))?;
        let tokenizer_source = super::tokenizer_source(folder, None)?;
        let tokenizer = HfTokenizer::from_bytes(&tokenizer_source.file)?;
        let config = std::fs::read_to_string(folder.join("tokenizer_config.json"))
            .unwrap_or_else(|_| "{}".to_owned());
        let template = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
        let ends = Ends { end: end_ids(folder), never: Vec::new() };
        let additional = additional_templates(&folder.join("additional_chat_templates"));
        let chat = ChatTemplate::from_files(&config, template.as_deref(), &additional);
        Ok(Model { lm: Box::new(lm), tokenizer, tokenizer_source, ends, chat, folds_system: false })
    }

    /// `eos_token_id` of generation_config.json, or of config.json: a number or a list.
    fn end_ids(folder: &Path) -> Vec<TokenId> {
        let read = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            let value: serde_json::Value = serde_json::from_str(&text).ok()?;
            let ids = &value["eos_token_id"];
            let list = ids.as_array().cloned().unwrap_or_else(|| vec![ids.clone()]);
            let ids: Vec<TokenId> =
                list.iter().filter_map(|id| TokenId::try_from(id.as_u64()?).ok()).collect();
            (!ids.is_empty()).then_some(ids)
        };
        read("generation_config.json").or_else(|| read("config.json")).unwrap_or_default()
    }

    #[cfg(bundled_models)]
    fn bundled(chat: bool) -> anyhow::Result<Model> {
        use touchmark::tokens::Tokenize;

        use crate::commands::bundled;

        let weights = if chat { bundled::CHAT_WEIGHTS } else { bundled::WEIGHTS };
        let lm = Decoder::from_bytes(bundled::CONFIG, weights)
            .context("the bundled model is damaged")?;
        let tokenizer_source = bundled::tokenizer_source();
        let tokenizer = HfTokenizer::from_bytes(bundled::TOKENIZER)?;
        let ends = Ends { end: tokenizer.special_ids().to_vec(), never: Vec::new() };
        let template = if chat {
            ChatTemplate::from_config(bundled::TOKENIZER_CONFIG, None)
        } else {
            Err(touchmark::tokenizer::ChatError::None)
        };
        Ok(Model {
            lm: Box::new(lm),
            tokenizer,
            tokenizer_source,
            ends,
            chat: template,
            folds_system: true,
        })
    }

    #[cfg(not(bundled_models))]
    fn bundled(_: bool) -> anyhow::Result<Model> {
        bail!(
            "this build has no bundled model (build from the repository for one); give a model folder"
        )
    }
}
