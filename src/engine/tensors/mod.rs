//! The tensors of a model's files, whatever model it is, read in pieces.
//!
//! [`open`] checks what headers say (`weights` has the rules); numbers are read at their place when they are asked for, so that
//! the memory taken is that of the rows, and a model of any size can be walked through file by file. Nothing is judged here: NaN
//! and infinities are handed on, and a tensor in a format that is not read is an error only when it is asked for.

mod config;
mod decode;
mod writer;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::EngineError;
use super::weights::gguf::open_prefix;
use super::weights::safetensors::{no_weights, read_limited};
use super::weights::{Entry, Weights, written};
use crate::lm::{TensorError, TensorInfo, TensorSource};
use decode::Format;
pub use writer::{SafetensorsWriter, Stored, WriteError, write_safetensors};

/// The most that is read as a `config.json`.
const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// Numbers decoded at a time: whole blocks of every format.
const PIECE: usize = 1 << 17;
/// Bytes handed over at a time.
const RAW_PIECE: usize = 1 << 20;

/// Opens a model's tensors: a folder with `model.safetensors`, with shards (`model.safetensors.index.json`, or without one), or
/// with one GGUF model; or a safetensors or GGUF file. Of a GGUF model in parts (`-00001-of-00003.gguf`), any part names the whole.
///
/// # Errors
/// [`EngineError`]: nothing there, or headers that are damaged or lie.
pub fn open(path: &Path) -> Result<Box<dyn TensorSource>, EngineError> {
    let unreadable = |source| EngineError::Read { path: path.to_owned(), source };
    let files = if path.metadata().map_err(unreadable)?.is_dir() {
        open_folder(path)?
    } else if &open_prefix(path)? == b"GGUF" {
        open_gguf(path)?
    } else {
        let weights = Weights::from_files(&[path.to_owned()])?;
        TensorFiles::new(weights, config_in(path.parent().unwrap_or_else(|| Path::new(".")))?)
    };
    Ok(Box::new(files))
}

/// Tensors in the bytes of a safetensors file and of its `config.json`.
///
/// # Errors
/// [`EngineError`]: headers that are damaged or lie.
pub fn from_bytes<'a>(
    config: &[u8],
    safetensors: &'a [u8],
) -> Result<Box<dyn TensorSource + 'a>, EngineError> {
    let config = serde_json::from_slice(config).map_err(EngineError::ConfigSyntax)?;
    Ok(Box::new(TensorFiles::new(Weights::from_bytes(safetensors)?, Some(config))))
}

fn open_folder(dir: &Path) -> Result<TensorFiles<'static>, EngineError> {
    let known = ["model.safetensors", "model.safetensors.index.json"];
    if known.iter().any(|name| dir.join(name).is_file()) {
        return Ok(TensorFiles::new(Weights::from_dir(dir)?, config_in(dir)?));
    }
    let shards = files(dir, "safetensors")?;
    if !shards.is_empty() {
        return Ok(TensorFiles::new(Weights::from_files(&shards)?, config_in(dir)?));
    }
    let models = files(dir, "gguf")?;
    match &models[..] {
        [] => Err(no_weights(dir)),
        [first, rest @ ..] if rest.iter().all(|path| parts(first).contains(path)) => {
            open_gguf(first)
        }
        _ => Err(EngineError::SeveralModels { dir: dir.to_owned(), count: models.len() }),
    }
}

fn open_gguf(path: &Path) -> Result<TensorFiles<'static>, EngineError> {
    let parts = parts(path);
    let (weights, gguf) = match &parts[..] {
        [first, rest @ ..] => Weights::of_gguf_parts(first, rest)?,
        [] => Weights::of_gguf_parts(path, &[])?,
    };
    let config = config::of_gguf(&gguf, &weights.tensors);
    Ok(TensorFiles::new(weights, Some(config)))
}

/// All parts of the model that a GGUF file is a part of, by its name; none if it is whole.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = || {
        let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (name, number) = rest.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
        let count = is_number(number).then(|| count.parse::<u32>().ok()).flatten();
        let count = count.filter(|count| (1..=9_999).contains(count))?;
        let part = |number| path.with_file_name(format!("{name}-{number:05}-of-{count:05}.gguf"));
        Some((1..=count).map(part).collect())
    };
    named().unwrap_or_default()
}

/// Files of a folder with this ending, in order of their names.
fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>, EngineError> {
    let unreadable = |source| EngineError::Read { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|found| found == ending) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn config_in(dir: &Path) -> Result<Option<Value>, EngineError> {
    let path = dir.join("config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_limited(&path, MAX_CONFIG_BYTES)?;
    serde_json::from_slice(&bytes).map(Some).map_err(EngineError::ConfigSyntax)
}

/// Tensors in files.
struct TensorFiles<'a> {
    weights: Weights<'a>,
    infos: Vec<TensorInfo>,
    config: Option<Value>,
}

impl<'a> TensorFiles<'a> {
    fn new(weights: Weights<'a>, config: Option<Value>) -> Self {
        let info = |(name, entry): (&String, &Entry)| TensorInfo {
            name: name.clone(),
            shape: entry.shape.clone(),
            dtype: match &entry.format {
                Ok(format) => written(*format),
                Err(name) => name.clone(),
            },
        };
        let infos = weights.tensors.iter().map(info).collect();
        Self { weights, infos, config }
    }

    fn entry(&self, name: &str) -> Result<&Entry, TensorError> {
        self.weights.tensors.get(name).ok_or_else(|| TensorError::Unknown(name.to_owned()))
    }

    fn fill(
        &self,
        name: &str,
        entry: &Entry,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), TensorError> {
        let failed = |source| TensorError::Read { name: name.to_owned(), source };
        let source = self.weights.sources.get(entry.source);
        let source = source.ok_or_else(|| TensorError::Unknown(name.to_owned()))?;
        source.fill(entry.start + offset, out).map_err(failed)
    }

    /// Appends the numbers of whole blocks.
    fn blocks(
        &self,
        name: &str,
        entry: &Entry,
        format: Format,
        blocks: Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), TensorError> {
        let (values, bytes) = format.block();
        let step = PIECE / values;
        let mut buffer = vec![0; step.min(blocks.len()) * bytes];
        for first in blocks.clone().step_by(step) {
            let piece = &mut buffer[..step.min(blocks.end - first) * bytes];
            self.fill(name, entry, (first * bytes) as u64, piece)?;
            format.decode(piece, out);
        }
        Ok(())
    }
}

impl TensorSource for TensorFiles<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn config(&self) -> Option<&Value> {
        self.config.as_ref()
    }

    fn read(&self, name: &str, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), TensorError> {
        out.clear();
        let entry = self.entry(name)?;
        let info = self.info(name).ok_or_else(|| TensorError::Unknown(name.to_owned()))?;
        if rows.end > info.rows() || rows.start > rows.end {
            let (name, rows, wanted) = (name.to_owned(), info.rows(), rows.end);
            return Err(TensorError::BeyondEnd { name, rows, wanted });
        }
        let format = Format::of(entry).ok_or_else(|| TensorError::Dtype {
            name: name.to_owned(),
            dtype: info.dtype.clone(),
        })?;
        // The header's check made the product of all axes fit.
        let (first, end) = (rows.start * info.columns(), rows.end * info.columns());
        let (values, _) = format.block();
        let blocks = first / values..end.div_ceil(values);
        let room = blocks.len() * values;
        let full = |_| TensorError::Memory { name: name.to_owned(), bytes: 4 * room };
        out.try_reserve_exact(room).map_err(full)?;
        self.blocks(name, entry, format, blocks.clone(), out)?;
        out.truncate(end - blocks.start * values);
        out.drain(..first - blocks.start * values);
        Ok(())
    }

    fn raw(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), TensorError> {
        let entry = self.entry(name)?;
        let mut buffer = vec![0; RAW_PIECE.min(entry.len)];
        for first in (0..entry.len).step_by(RAW_PIECE) {
            let piece = &mut buffer[..RAW_PIECE.min(entry.len - first)];
            self.fill(name, entry, first as u64, piece)?;
            sink(piece);
        }
        Ok(())
    }
}
