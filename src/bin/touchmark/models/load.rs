//! From a model's files to a model that writes.

use std::path::Path;

use anyhow::Context;
use touchmark::engine::{Device, Dtype, Source};
use touchmark::generate::Ends;
use touchmark::lm::LanguageModel;
use touchmark::tokenizer::{ChatError, ChatTemplate, HfTokenizer, Message, RenderOptions};
use touchmark::tokens::TokenId;

use super::text::{check_fits, text, tokenizer};
use super::{Files, Place, TokenizerSource};
use crate::args::Global;
use crate::output;

/// A model ready to write.
pub struct Model {
    pub lm: Box<dyn LanguageModel>,
    pub tokenizer: HfTokenizer,
    pub tokenizer_source: TokenizerSource,
    /// Tokens that a text begins with, unless it is a chat.
    pub begin: Vec<TokenId>,
    pub ends: Ends,
    pub chat: Templates,
}

/// How a model reads conversations.
pub struct Templates {
    template: Result<ChatTemplate, ChatError>,
    folds_system: bool,
}

impl Templates {
    /// Whether it reads any.
    pub fn exist(&self) -> bool {
        self.template.is_ok()
    }

    /// Renders a conversation with the model's template.
    pub fn render(&self, messages: &[Message]) -> anyhow::Result<String> {
        let template = self.template.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let folded = if self.folds_system {
            touchmark::tokenizer::fold_system(messages)
        } else {
            messages.to_vec()
        };
        let folded: Vec<_> = folded.into_iter().map(serde_json::Value::from).collect();
        Ok(template.render(&folded, &RenderOptions::default())?)
    }
}

/// How a model shall be loaded.
#[derive(Clone, Copy, Default)]
pub struct Loading<'a> {
    /// The tokenizer's file to use instead of the model's own.
    pub tokenizer: Option<&'a Path>,
    pub device: Device,
    pub dtype: Dtype,
    /// Conversations are wanted: of the bundled models, the one that was trained on them.
    pub chat: bool,
}

/// Loads weights and tokenizer.
pub fn load(global: &Global, place: &Place, loading: Loading<'_>) -> anyhow::Result<Model> {
    if let Some(threads) = global.threads {
        touchmark::engine::set_threads(threads);
    }
    // The small part first: a fault in it is told without waiting for the weights.
    let text = text(&place.files, loading.tokenizer, loading.chat)?;
    let (tokenizer, begin) = tokenizer(&text)?;
    let source = source(&place.files, loading.chat)?;
    let lm = touchmark::engine::load(&source, loading.device, loading.dtype)
        .with_context(|| format!("cannot load the model in {}", place.display()))?;
    check_fits(&tokenizer, lm.vocab_size())?;
    let (vocab_size, window) = (lm.vocab_size(), lm.max_positions());
    output::detail(
        global.verbose,
        &format!("Model {}: {vocab_size} tokens, window of {window}", place.name),
    );
    let tokenizer_source = tokenizer_source(place, text.tokenizer, vocab_size)?;
    let ends = Ends { end: text.ends, never: Vec::new() };
    let chat = Templates { template: text.chat, folds_system: text.folds_system };
    Ok(Model { lm, tokenizer, tokenizer_source, begin, ends, chat })
}

fn tokenizer_source(
    place: &Place,
    file: Vec<u8>,
    vocab_size: usize,
) -> anyhow::Result<TokenizerSource> {
    #[cfg(bundled_models)]
    if matches!(place.files, Files::Bundled) {
        return Ok(TokenizerSource { file, ..crate::commands::bundled::tokenizer_source() });
    }
    let vocab_size = u32::try_from(vocab_size).context("internal fault: more tokens than ids")?;
    let entropy = touchmark::detect::DEFAULT_ENTROPY;
    Ok(TokenizerSource { file, vocab_size, name: place.name.clone(), entropy })
}

/// What tells a model's weights from others: BLAKE3 of the one file that holds them, or of the names and hashes of several; of the bundled
/// ones, those that were trained on conversations where `chat` says so.
pub fn weights_hash(files: &Files, chat: bool) -> anyhow::Result<String> {
    let paths = match files {
        Files::Bundled => return bundled_hash(chat),
        Files::Gguf(path) => vec![path.clone()],
        Files::Folder(folder) => {
            let entries = std::fs::read_dir(folder)
                .with_context(|| format!("cannot read {}", folder.display()))?;
            let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.retain(|path| path.extension().is_some_and(|ending| ending == "safetensors"));
            paths.sort();
            paths
        }
    };
    if let [path] = &paths[..] {
        return Ok(file_hash(path)?.to_hex().to_string());
    }
    let mut all = blake3::Hasher::new();
    for path in &paths {
        all.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        all.update(&[0]);
        all.update(file_hash(path)?.as_bytes());
    }
    Ok(all.finalize().to_hex().to_string())
}

/// BLAKE3 of a file.
pub fn file_hash(path: &Path) -> anyhow::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path);
    file.and_then(|file| hasher.update_reader(file).map(|_| ()))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hasher.finalize())
}

#[cfg(bundled_models)]
fn bundled_hash(chat: bool) -> anyhow::Result<String> {
    use crate::commands::bundled::{CHAT_WEIGHTS, WEIGHTS};

    Ok(blake3::hash(if chat { CHAT_WEIGHTS } else { WEIGHTS }).to_hex().to_string())
}

#[cfg(not(bundled_models))]
fn bundled_hash(_: bool) -> anyhow::Result<String> {
    anyhow::bail!("{}", super::NO_BUNDLED)
}

/// What the engine loads.
pub fn source(files: &Files, chat: bool) -> anyhow::Result<Source<'_>> {
    Ok(match files {
        Files::Bundled => return bundled(chat),
        Files::Folder(folder) => Source::Dir(folder),
        Files::Gguf(path) => Source::Gguf(path),
    })
}

#[cfg(bundled_models)]
pub(super) fn bundled(chat: bool) -> anyhow::Result<Source<'static>> {
    use crate::commands::bundled;

    let safetensors = if chat { bundled::CHAT_WEIGHTS } else { bundled::WEIGHTS };
    Ok(Source::Bytes { config: bundled::CONFIG, safetensors })
}

#[cfg(not(bundled_models))]
pub(super) fn bundled(_: bool) -> anyhow::Result<Source<'static>> {
    anyhow::bail!("{}", super::NO_BUNDLED)
}
