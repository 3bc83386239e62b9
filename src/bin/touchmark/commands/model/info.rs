//! `touchmark model info`: what would be loaded, from headers alone.

mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use touchmark::engine::{self, Config, RopeScaling, RopeSpec};
use touchmark::tokenizer::{ChatError, HfTokenizer};
use touchmark::tokens::{TokenId, Tokenize};

use crate::args::{Global, ModelInfo};
use crate::machine::{Memory, size};
use crate::models::{self, Files, Place, Reach, Text};
use crate::output::{self, Exit};

/// What is known of a model. A part that could not be read is absent, and among the problems.
#[derive(Serialize)]
struct Info {
    model: String,
    source: &'static str,
    path: Option<PathBuf>,
    commit: Option<String>,
    shape: Option<Shape>,
    weights: Option<Weights>,
    tokenizer: Option<Tokenizer>,
    chat_template: bool,
    end_tokens: Vec<Token>,
    device: String,
    dtype: String,
    memory: Option<Needed>,
    files: Vec<FileRow>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Shape {
    family: &'static str,
    parameters: u64,
    vocab_size: usize,
    window: usize,
    layers: usize,
    hidden_size: usize,
    intermediate_size: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    tied_embeddings: bool,
    /// What layers see, when not everything before them.
    attention: Vec<Attention>,
    rope: Vec<Rope>,
}

#[derive(PartialEq, Serialize)]
struct Attention {
    window: Option<usize>,
    layers: usize,
}

#[derive(Serialize)]
struct Rope {
    theta: f32,
    dims: usize,
    scaling: &'static str,
    factor: Option<f32>,
}

#[derive(Serialize)]
struct Weights {
    tensors: usize,
    elements: u64,
    bytes: u64,
    formats: BTreeMap<String, Format>,
}

#[derive(Serialize)]
struct Format {
    tensors: usize,
    elements: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Tokenizer {
    blake3: String,
    tokens: usize,
    special: Vec<Token>,
    fits: Option<bool>,
}

#[derive(Serialize)]
struct Token {
    id: TokenId,
    text: Option<String>,
}

/// Bytes.
#[derive(Serialize)]
struct Needed {
    weights: u64,
    cache_per_1000_tokens: u64,
    cache_of_whole_window: u64,
    available: u64,
    fits: bool,
}

#[derive(Serialize)]
struct FileRow {
    name: String,
    bytes: u64,
    sha256: Option<String>,
}

#[derive(Serialize)]
struct Problem {
    part: &'static str,
    problem: String,
}

pub fn run(global: &Global, args: &ModelInfo) -> anyhow::Result<Exit> {
    let revision = args.loading.revision.as_deref();
    let place = models::locate(global, args.model.as_deref(), revision, Reach::Cache)?;
    let info = Info::of(global, args, &place)?;
    if global.json {
        output::json(&info)?;
    } else {
        info.show()?;
    }
    Ok(if info.problems.is_empty() { Exit::Done } else { Exit::Partial })
}

impl Info {
    fn of(global: &Global, args: &ModelInfo, place: &Place) -> anyhow::Result<Self> {
        let mut problems = Vec::new();
        let mut kept = |part, error: anyhow::Error| {
            problems.push(Problem { part, problem: output::causes(&error) });
        };
        let source = models::source(&place.files, false)?;
        let dtype = args.loading.dtype.into();
        let config = source.config().map_err(|error| kept("shape", error.into())).ok();
        let contents = source.contents(dtype).map_err(|error| kept("weights", error.into())).ok();
        // The bundled models share a tokenizer; only the second one has a template.
        let text = models::text(&place.files, args.tokenizer.as_deref(), true);
        let text = text.map_err(|error| kept("tokenizer", error)).ok();
        let parsed = text.as_ref().and_then(|text| {
            let parsed = HfTokenizer::from_bytes(&text.tokenizer);
            parsed.map_err(|error| kept("tokenizer", error.into())).ok()
        });
        if let (Some(parsed), Some(config)) = (&parsed, &config)
            && let Err(error) = models::check_fits(parsed, config.vocab_size)
        {
            kept("tokenizer", error);
        }
        let chat_template = match text.as_ref().map(|text| &text.chat) {
            Some(Ok(_)) => true,
            None | Some(Err(ChatError::None)) => false,
            Some(Err(error)) => {
                kept("chat_template", anyhow::anyhow!("{error}"));
                false
            }
        };
        let files = files(global, args, place)?;
        let mut info = Self {
            model: place.name.clone(),
            source: origin(place),
            path: place.files.path().map(Path::to_owned),
            commit: commit(place),
            tokenizer: parsed.as_ref().map(|parsed| Tokenizer::of(parsed, config.as_ref())),
            chat_template,
            end_tokens: end_tokens(text.as_ref(), parsed.as_ref()),
            device: args.loading.device.resolve()?.to_string(),
            dtype: format!("{dtype:?}").to_lowercase(),
            memory: config
                .as_ref()
                .zip(contents.as_ref())
                .map(|(config, contents)| Needed::of(config, contents.memory, Memory::now())),
            shape: config.as_ref().map(Shape::of),
            weights: contents.map(Weights::from),
            files,
            problems,
            warnings: Vec::new(),
        };
        info.warn();
        Ok(info)
    }

    fn warn(&mut self) {
        if let Some(needed) = &self.memory {
            self.warnings.extend(needed.warning());
        }
        if self.tokenizer.is_some() && self.end_tokens.is_empty() {
            self.warnings.push(
                "no end token is known, so answers end at --max-tokens; generation_config.json would name it"
                    .to_owned(),
            );
        }
    }
}

impl Shape {
    fn of(config: &Config) -> Self {
        let mut attention: Vec<Attention> = Vec::new();
        for layer in &config.layers {
            match attention.iter_mut().find(|known| known.window == layer.window) {
                Some(known) => known.layers += 1,
                None => attention.push(Attention { window: layer.window, layers: 1 }),
            }
        }
        Self {
            family: config.family.model_type(),
            parameters: config.parameters(),
            vocab_size: config.vocab_size,
            window: config.max_positions,
            layers: config.layers.len(),
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            tied_embeddings: config.tied_embeddings,
            attention,
            rope: config.ropes.iter().map(Rope::of).collect(),
        }
    }
}

impl Rope {
    fn of(rope: &RopeSpec) -> Self {
        let (scaling, factor) = match rope.scaling {
            RopeScaling::None => ("none", None),
            RopeScaling::Linear { factor } => ("linear", Some(factor)),
            RopeScaling::Llama3 { factor, .. } => ("llama3", Some(factor)),
            RopeScaling::Yarn { factor, .. } => ("yarn", Some(factor)),
            RopeScaling::Divided { .. } => ("by dimension", None),
        };
        Self { theta: rope.theta, dims: rope.dims, scaling, factor }
    }
}

impl From<engine::Contents> for Weights {
    fn from(contents: engine::Contents) -> Self {
        let format = |(name, found): (String, engine::Format)| {
            let engine::Format { tensors, elements, bytes, .. } = found;
            (name, Format { tensors, elements, bytes })
        };
        Self {
            tensors: contents.tensors,
            elements: contents.elements,
            bytes: contents.bytes,
            formats: contents.formats.into_iter().map(format).collect(),
        }
    }
}

impl Tokenizer {
    fn of(tokenizer: &HfTokenizer, config: Option<&Config>) -> Self {
        let token = |&id: &TokenId| Token { id, text: tokenizer.token(id) };
        Self {
            blake3: tokenizer.hash().to_string(),
            tokens: tokenizer.vocab_size(),
            special: tokenizer.special_ids().iter().map(token).collect(),
            fits: config.map(|config| models::check_fits(tokenizer, config.vocab_size).is_ok()),
        }
    }
}

fn end_tokens(text: Option<&Text>, tokenizer: Option<&HfTokenizer>) -> Vec<Token> {
    let ids = text.map_or(&[][..], |text| &text.ends);
    let text = |id| tokenizer.and_then(|tokenizer| tokenizer.token(id));
    ids.iter().map(|&id| Token { id, text: text(id) }).collect()
}

impl Needed {
    fn of(config: &Config, weights: u64, memory: Memory) -> Self {
        let cache = config.cache_bytes();
        Self {
            weights,
            cache_per_1000_tokens: cache.saturating_mul(1000),
            cache_of_whole_window: cache.saturating_mul(config.max_positions as u64),
            available: memory.available,
            fits: weights.saturating_add(cache.saturating_mul(1000)) <= memory.available,
        }
    }

    fn warning(&self) -> Option<String> {
        let free = size(self.available);
        if !self.fits {
            return Some(format!(
                "does not fit: {free} of memory are available, and weights with a text of 1,000 tokens need {}; \
                 close other programs, or take a smaller model or a GGUF file with fewer bits",
                size(self.weights.saturating_add(self.cache_per_1000_tokens))
            ));
        }
        let left = self.available - self.weights;
        if self.cache_of_whole_window <= left {
            return None;
        }
        let tokens = left / (self.cache_per_1000_tokens / 1000).max(1);
        Some(format!(
            "a whole window does not fit: {free} are available, enough for {tokens} tokens"
        ))
    }
}

#[cfg(feature = "hub")]
fn commit(place: &Place) -> Option<String> {
    place.snapshot.as_ref().map(|snapshot| snapshot.commit().to_owned())
}

#[cfg(not(feature = "hub"))]
fn commit(_: &Place) -> Option<String> {
    None
}

fn origin(place: &Place) -> &'static str {
    #[cfg(feature = "hub")]
    if place.snapshot.is_some() {
        return "hub";
    }
    match place.files {
        Files::Bundled => "bundled",
        Files::Folder(_) => "folder",
        Files::Gguf(_) => "gguf",
    }
}

/// The model's files; of a folder, all that lie in it.
fn files(global: &Global, args: &ModelInfo, place: &Place) -> anyhow::Result<Vec<FileRow>> {
    #[cfg(feature = "hub")]
    if let Some(snapshot) = &place.snapshot {
        let row = |file: &touchmark::hub::SnapshotFile| FileRow {
            name: file.name.clone(),
            bytes: file.size,
            sha256: Some(file.sha256.clone()),
        };
        return Ok(snapshot.files().iter().map(row).collect());
    }
    let mut paths = match &place.files {
        Files::Bundled => Vec::new(),
        Files::Gguf(path) => vec![path.clone()],
        Files::Folder(folder) => std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<Vec<_>>>()?,
    };
    paths.retain(|path| path.is_file());
    paths.sort();
    let row = |path: &PathBuf| {
        Ok(FileRow {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: std::fs::metadata(path)?.len(),
            sha256: hash(global, args, path)?,
        })
    };
    paths.iter().map(row).collect()
}

#[cfg(feature = "hub")]
fn hash(global: &Global, args: &ModelInfo, path: &Path) -> anyhow::Result<Option<String>> {
    if !args.hash {
        return Ok(None);
    }
    let bar = output::bytes(global.no_progress || global.quiet)?;
    bar.set_length(std::fs::metadata(path)?.len());
    let hash = touchmark::hub::sha256_of(path, &mut |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    Ok(Some(hash?))
}

#[cfg(not(feature = "hub"))]
fn hash(_: &Global, _: &ModelInfo, _: &Path) -> anyhow::Result<Option<String>> {
    Ok(None)
}
