//! Models by name: the bundled one, a folder, a GGUF file, or a model of a hub.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::detect::DEFAULT_ENTROPY;
use touchmark::gguf::Gguf;
#[cfg(feature = "hub")]
use touchmark::hub::Snapshot;
use touchmark::tokenizer::{ChatError, ChatTemplate, GgufTokenizer, HfTokenizer};
use touchmark::tokens::{TokenId, Tokenize};

use crate::args::Global;

#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "engine")]
mod load;

#[cfg(feature = "hub")]
pub use hub::settings as hub_settings;
#[cfg(feature = "engine")]
pub use load::{Loading, Model, load, source};

/// What may be read of a model that a hub has.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "only a hub has more than one way"))]
pub enum Reach {
    /// All that is needed to run it; what is missing is fetched.
    Fetch,
    /// Its tokenizer and configuration; what is missing is fetched.
    Describe,
    /// What the cache holds.
    Cache,
}

/// A model's files.
pub struct Place {
    pub files: Files,
    /// What people call it: the id on the hub, or the name of the folder or file.
    pub name: String,
    #[cfg(feature = "hub")]
    pub snapshot: Option<Snapshot>,
}

/// Where a model's files are.
pub enum Files {
    /// In this program.
    Bundled,
    Folder(PathBuf),
    Gguf(PathBuf),
}

impl Files {
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Bundled => None,
            Self::Folder(path) | Self::Gguf(path) => Some(path),
        }
    }
}

impl Place {
    fn local(files: Files) -> Self {
        let named = files.path().and_then(|path| path.canonicalize().ok());
        let name = match (&files, &named) {
            (Files::Bundled, _) => Some("scribe-16m".as_ref()),
            (Files::Folder(_), Some(path)) => path.file_name(),
            (Files::Gguf(_), Some(path)) => path.file_stem(),
            (_, None) => None,
        };
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self {
            files,
            name,
            #[cfg(feature = "hub")]
            snapshot: None,
        }
    }

    /// Where the model is, for messages.
    pub fn display(&self) -> String {
        match self.files.path() {
            Some(path) => path.display().to_string(),
            None => "this program".to_owned(),
        }
    }
}

/// Finds the model of a name: nothing or `bundled`, an existing folder or GGUF file, or an id on a hub.
pub fn locate(
    global: &Global,
    name: Option<&Path>,
    revision: Option<&str>,
    reach: Reach,
) -> anyhow::Result<Place> {
    let files = match name {
        None => Files::Bundled,
        Some(name) if name == Path::new("bundled") => Files::Bundled,
        Some(path) if path.is_dir() => Files::Folder(path.to_owned()),
        Some(path) if path.is_file() && is_gguf(path) => Files::Gguf(path.to_owned()),
        Some(path) if path.is_file() => bail!(
            "{} is neither a folder nor a .gguf file; a model is a folder with config.json, tokenizer.json and \
             safetensors, a GGUF file, or the id of a model on a hub",
            path.display()
        ),
        Some(id) => return on_hub(global, id, revision, reach),
    };
    if revision.is_some() {
        bail!(
            "--revision is for models of a hub, but {} is {}; leave it out",
            name.unwrap_or_else(|| Path::new("the model")).display(),
            if matches!(files, Files::Bundled) { "in this program" } else { "on this disk" }
        );
    }
    Ok(Place::local(files))
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// A name that no folder or file has.
fn on_hub(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
    reach: Reach,
) -> anyhow::Result<Place> {
    let given = name.display();
    // The hub has some models without an organisation, but such a name is rather a mistyped folder.
    let id = name.to_str().filter(|name| name.contains('/'));
    let id = id.filter(|name| name.contains(':') || !is_gguf(Path::new(name)));
    let Some(id) = id else {
        bail!(
            "\"{given}\" is no folder or .gguf file here, and no id of a model on a hub (org/name or \
             org/name:file.gguf); check the path, or give the id. A folder needs config.json, tokenizer.json and \
             safetensors"
        );
    };
    #[cfg(feature = "hub")]
    return hub::place(global, id, revision, reach);
    #[cfg(not(feature = "hub"))]
    {
        let _ = (global, revision, reach);
        bail!(
            "{id} is no folder or .gguf file here, and this build cannot fetch models: build it with \
             --features hub, or give the folder of a model"
        )
    }
}

/// What a model's files say about text.
pub struct Text {
    /// The bytes of its `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// Tokens that end an answer.
    pub ends: Vec<TokenId>,
    pub chat: Result<ChatTemplate, ChatError>,
    /// System texts go into the first user turn.
    pub folds_system: bool,
}

/// What a model's files say about text; `given` is the tokenizer's file to use instead of the model's own.
pub fn text(files: &Files, given: Option<&Path>, chat: bool) -> anyhow::Result<Text> {
    let mut text = match files {
        Files::Bundled => bundled_text(chat)?,
        Files::Folder(folder) => folder_text(folder, given)?,
        Files::Gguf(path) if given.is_none() => gguf_text(path)?,
        Files::Gguf(path) => beside(path, given.unwrap_or(path))?,
    };
    if let Some(path) = given {
        text.tokenizer = read(path)?;
    }
    Ok(text)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn folder_text(folder: &Path, given: Option<&Path>) -> anyhow::Result<Text> {
    let tokenizer = match given {
        Some(_) => Vec::new(),
        None => read(&folder.join("tokenizer.json"))?,
    };
    let config = std::fs::read_to_string(folder.join("tokenizer_config.json"))
        .unwrap_or_else(|_| "{}".to_owned());
    let template = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
    let additional = additional_templates(&folder.join("additional_chat_templates"));
    let chat = ChatTemplate::from_files(&config, template.as_deref(), &additional);
    Ok(Text { tokenizer, ends: end_ids(folder), chat, folds_system: false })
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

fn gguf_header(path: &Path) -> anyhow::Result<Gguf> {
    let context = || format!("cannot use {}", path.display());
    let file = File::open(path).with_context(context)?;
    Gguf::read(&mut BufReader::new(file)).with_context(context)
}

fn gguf_text(path: &Path) -> anyhow::Result<Text> {
    let found = GgufTokenizer::new(&gguf_header(path)?).with_context(|| {
        format!(
            "the tokenizer in {} cannot be used; give the model's tokenizer.json with --tokenizer",
            path.display()
        )
    })?;
    let token = |token: &Option<touchmark::tokenizer::SpecialToken>| {
        token.as_ref().map_or_else(String::new, |token| token.text.clone())
    };
    let chat = match found.chat_template {
        Some(template) => ChatTemplate::new(template, &token(&found.bos), &token(&found.eos)),
        None => Err(ChatError::None),
    };
    Ok(Text { tokenizer: found.file, ends: found.end_ids, chat, folds_system: false })
}

/// The text side of a GGUF file whose own is not wanted: the files beside the tokenizer's, and the file's end token.
fn beside(path: &Path, tokenizer: &Path) -> anyhow::Result<Text> {
    let folder = tokenizer.parent().unwrap_or_else(|| Path::new(""));
    let mut text = folder_text(folder, Some(tokenizer))?;
    if text.ends.is_empty() {
        text.ends.extend(gguf_header(path)?.get::<u32>("tokenizer.ggml.eos_token_id")?);
    }
    Ok(text)
}

#[cfg(bundled_models)]
fn bundled_text(chat: bool) -> anyhow::Result<Text> {
    use crate::commands::bundled;

    let tokenizer = HfTokenizer::from_bytes(bundled::TOKENIZER)?;
    let chat = if chat {
        ChatTemplate::from_config(bundled::TOKENIZER_CONFIG, None)
    } else {
        Err(ChatError::None)
    };
    Ok(Text {
        tokenizer: bundled::TOKENIZER.to_vec(),
        ends: tokenizer.special_ids().to_vec(),
        chat,
        folds_system: true,
    })
}

#[cfg(not(bundled_models))]
fn bundled_text(_: bool) -> anyhow::Result<Text> {
    bail!("{NO_BUNDLED}")
}

#[cfg(not(bundled_models))]
pub const NO_BUNDLED: &str =
    "this build has no bundled model (build from the repository for one); name a model";

/// A tokenizer's file and the width of the logits of the model it belongs to.
#[derive(Clone)]
pub struct TokenizerSource {
    pub file: Vec<u8>,
    pub vocab_size: u32,
    pub name: String,
    /// Mean entropy of the model's next token, in nats.
    pub entropy: f64,
}

/// The tokenizer of a model, or a tokenizer's file; V is the model's unless it is given.
pub fn tokenizer_source(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
    vocab_size: Option<u32>,
) -> anyhow::Result<TokenizerSource> {
    let place = match tokenizer_place(global, name, revision)? {
        Ok(place) => place,
        Err(file) => {
            let file_bytes = read(&file)?;
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            let place = Place::local(Files::Folder(folder.unwrap_or(Path::new(".")).to_owned()));
            let vocab_size = vocab_size.map_or_else(|| vocab_size_of(&place.files), Ok)?;
            return Ok(TokenizerSource {
                file: file_bytes,
                vocab_size,
                name: place.name,
                entropy: DEFAULT_ENTROPY,
            });
        }
    };
    #[cfg(bundled_models)]
    if matches!(place.files, Files::Bundled) {
        return Ok(crate::commands::bundled::tokenizer_source());
    }
    let vocab_size = vocab_size.map_or_else(|| vocab_size_of(&place.files), Ok)?;
    let file = text(&place.files, None, false)?.tokenizer;
    Ok(TokenizerSource { file, vocab_size, name: place.name, entropy: DEFAULT_ENTROPY })
}

/// The bytes of a tokenizer's file, by its path or by the model it belongs to.
pub fn tokenizer_file(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
) -> anyhow::Result<Vec<u8>> {
    match tokenizer_place(global, name, revision)? {
        Ok(place) => Ok(text(&place.files, None, false)?.tokenizer),
        Err(file) => read(&file),
    }
}

/// The model that a tokenizer belongs to, or the path of the tokenizer's own file.
fn tokenizer_place(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
) -> anyhow::Result<Result<Place, PathBuf>> {
    if !name.is_file() || is_gguf(name) {
        return locate(global, Some(name), revision, Reach::Describe).map(Ok);
    }
    if revision.is_some() {
        bail!("--revision is for models of a hub, but {} is a file; leave it out", name.display());
    }
    Ok(Err(name.to_owned()))
}

/// V of a model, from its headers.
fn vocab_size_of(files: &Files) -> anyhow::Result<u32> {
    match files {
        Files::Bundled => bail!("internal fault: the bundled model's width is known"),
        Files::Folder(folder) => configured_vocab_size(folder),
        Files::Gguf(path) => {
            let gguf = gguf_header(path)?;
            let embedding = gguf.tensors.get("token_embd.weight");
            let size = embedding.and_then(|tensor| u32::try_from(*tensor.shape.first()?).ok());
            size.with_context(|| {
                format!("{} has no embedding; give its width with --vocab-size", path.display())
            })
        }
    }
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

/// Refuses a tokenizer with words that the model has no logits for. Special tokens may lie beyond: some models list
/// those of a larger relative.
pub fn check_fits(tokenizer: &HfTokenizer, vocab_size: usize) -> anyhow::Result<()> {
    let special = tokenizer.special_ids();
    let ids = vocab_size..tokenizer.vocab_size();
    if ids.clone().all(|id| special.contains(&(id as TokenId))) {
        return Ok(());
    }
    bail!(
        "the tokenizer has {} tokens, the model only {vocab_size}; they do not belong together. Give the model's own \
         tokenizer with --tokenizer",
        tokenizer.vocab_size()
    )
}
