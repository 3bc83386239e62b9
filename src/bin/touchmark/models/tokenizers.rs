//! Tokenizers by the models they belong to.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::detect::DEFAULT_ENTROPY;
use touchmark::gguf::Gguf;
use touchmark::tokenizer::GgufTokenizer;

use super::{Files, Place, Reach, is_gguf, locate};
use crate::args::Global;

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
    let (place, file) = match tokenizer_place(global, name, revision)? {
        #[cfg(bundled_models)]
        Ok(Place { files: Files::Bundled, .. }) => {
            return Ok(crate::commands::bundled::tokenizer_source());
        }
        Ok(place) => {
            let file = own(&place.files)?;
            (place, file)
        }
        Err(path) => (folder_of(&path), read(&path)?),
    };
    let vocab_size = vocab_size.map_or_else(|| vocab_size_of(&place.files), Ok)?;
    Ok(TokenizerSource { file, vocab_size, name: place.name, entropy: DEFAULT_ENTROPY })
}

/// A tokenizer's file, its name, and V, or why it is not known, if it was named by the model that it belongs to.
pub fn tokenizer_and_width(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
) -> anyhow::Result<(Vec<u8>, String, Option<anyhow::Result<u32>>)> {
    match tokenizer_place(global, name, revision)? {
        Err(path) => Ok((read(&path)?, folder_of(&path).name, None)),
        #[cfg(bundled_models)]
        Ok(Place { files: Files::Bundled, .. }) => {
            let source = crate::commands::bundled::tokenizer_source();
            Ok((source.file, source.name, Some(Ok(source.vocab_size))))
        }
        Ok(place) => {
            let width = vocab_size_of(&place.files);
            Ok((own(&place.files)?, place.name, Some(width)))
        }
    }
}

/// V of a model, and the file of its tokenizer if it has one.
pub fn width_and_tokenizer(
    global: &Global,
    model: &Path,
) -> anyhow::Result<(u32, Option<Vec<u8>>)> {
    let place = locate(global, Some(model), None, Reach::Describe)?;
    Ok((vocab_size_of(&place.files)?, own(&place.files).ok()))
}

/// The bytes of a tokenizer's file, by its path or by the model it belongs to.
pub fn tokenizer_file(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
) -> anyhow::Result<Vec<u8>> {
    match tokenizer_place(global, name, revision)? {
        Ok(place) => own(&place.files),
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

/// The folder that a tokenizer's file lies in, as a model.
fn folder_of(file: &Path) -> Place {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    Place::local(Files::Folder(folder.unwrap_or_else(|| Path::new(".")).to_owned()))
}

/// V of a model, from its headers.
fn vocab_size_of(files: &Files) -> anyhow::Result<u32> {
    match files {
        #[cfg(bundled_models)]
        Files::Bundled => Ok(crate::commands::bundled::tokenizer_source().vocab_size),
        #[cfg(not(bundled_models))]
        Files::Bundled => bail!("{}", super::NO_BUNDLED),
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
    // Of a model that also sees or hears, the part that writes.
    let size = value["text_config"].get("vocab_size").unwrap_or_else(|| &value["vocab_size"]);
    let size = size.as_u64().and_then(|size| u32::try_from(size).ok());
    size.with_context(|| {
        format!("{} has no vocab_size; give it with --vocab-size", config.display())
    })
}

/// The bytes of a model's own tokenizer.
fn own(files: &Files) -> anyhow::Result<Vec<u8>> {
    match files {
        #[cfg(bundled_models)]
        Files::Bundled => Ok(crate::commands::bundled::TOKENIZER.to_vec()),
        #[cfg(not(bundled_models))]
        Files::Bundled => bail!("{}", super::NO_BUNDLED),
        Files::Folder(folder) => of_folder(folder),
        Files::Gguf(path) => Ok(gguf_tokenizer(path)?.file),
    }
}

pub(super) fn of_folder(folder: &Path) -> anyhow::Result<Vec<u8>> {
    read(&folder.join("tokenizer.json"))
        .context("the model has no tokenizer that can be read; give its file with --tokenizer")
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(super) fn gguf_header(path: &Path) -> anyhow::Result<Gguf> {
    let context = || format!("cannot use {}", path.display());
    let file = File::open(path).with_context(context)?;
    Gguf::read(&mut BufReader::new(file)).with_context(context)
}

pub(super) fn gguf_tokenizer(path: &Path) -> anyhow::Result<GgufTokenizer> {
    GgufTokenizer::new(&gguf_header(path)?).with_context(|| {
        format!(
            "the tokenizer in {} cannot be used; give the model's tokenizer.json with --tokenizer",
            path.display()
        )
    })
}
