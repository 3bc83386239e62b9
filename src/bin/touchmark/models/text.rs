//! What a model's files say about text: tokenizer, chat template, how texts begin and answers end.

use std::path::Path;

use anyhow::bail;
use touchmark::tokenizer::{ChatError, ChatTemplate, HfTokenizer};
use touchmark::tokens::{TokenId, Tokenize};

use super::Files;
use super::tokenizers::{gguf_header, gguf_tokenizer, of_folder, read};

/// What a model's files say about text.
pub struct Text {
    /// The bytes of its `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// Tokens that a text begins with, unless it is a chat.
    pub begin: Vec<TokenId>,
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

/// The tokenizer of a text, and what texts begin with by the tokenizer's own rule or the model's.
pub fn tokenizer(text: &Text) -> anyhow::Result<(HfTokenizer, Vec<TokenId>)> {
    let tokenizer = HfTokenizer::from_bytes(&text.tokenizer)?;
    let begin = match &text.begin[..] {
        [] => tokenizer.opening()?,
        begin => begin.to_vec(),
    };
    Ok((tokenizer, begin))
}

fn folder_text(folder: &Path, given: Option<&Path>) -> anyhow::Result<Text> {
    let tokenizer = match given {
        Some(_) => Vec::new(),
        None => of_folder(folder)?,
    };
    let config = std::fs::read_to_string(folder.join("tokenizer_config.json"))
        .unwrap_or_else(|_| "{}".to_owned());
    let template = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
    let additional = additional_templates(&folder.join("additional_chat_templates"));
    let chat = ChatTemplate::from_files(&config, template.as_deref(), &additional);
    let (begin, ends) = (Vec::new(), end_ids(folder));
    Ok(Text { tokenizer, begin, ends, chat, folds_system: false })
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

fn gguf_text(path: &Path) -> anyhow::Result<Text> {
    let found = gguf_tokenizer(path)?;
    let token = |token: &Option<touchmark::tokenizer::SpecialToken>| {
        token.as_ref().map_or_else(String::new, |token| token.text.clone())
    };
    let chat = match found.chat_template {
        Some(template) => ChatTemplate::new(template, &token(&found.bos), &token(&found.eos)),
        None => Err(ChatError::None),
    };
    let begin = found.bos.filter(|_| found.add_bos).map(|bos| bos.id).into_iter().collect();
    Ok(Text { tokenizer: found.file, begin, ends: found.end_ids, chat, folds_system: false })
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
        begin: Vec::new(),
        ends: tokenizer.special_ids().to_vec(),
        chat,
        folds_system: true,
    })
}

#[cfg(not(bundled_models))]
fn bundled_text(_: bool) -> anyhow::Result<Text> {
    anyhow::bail!("{}", super::NO_BUNDLED)
}

/// Refuses a tokenizer with words that the model has no logits for. Special tokens may lie beyond: some models list
/// those of a larger relative.
pub fn check_fits(tokenizer: &HfTokenizer, vocab_size: usize) -> anyhow::Result<()> {
    let special = tokenizer.special_ids();
    let mut beyond = vocab_size..tokenizer.vocab_size();
    if beyond.all(|id| special.contains(&(id as TokenId))) {
        return Ok(());
    }
    bail!(
        "the tokenizer has {} tokens, the model only {vocab_size}; they do not belong together. Give the model's own \
         tokenizer with --tokenizer",
        tokenizer.vocab_size()
    )
}
