//! text-generation-inference: `WATERMARK_GAMMA` and `WATERMARK_DELTA`, as `NAME=value` lines or JSON.
//!
//! Its mark is lm-watermarking's `simple_1` with a key that is part of its source.

use crate::watermark::Repeats;

use super::lm_watermarking::{Seeding, spec};
use super::transformers::DEFAULT_KEY;
use super::value::{Fields, Secret, Value, insert, is_number};
use super::{ImportError, Imported, Options, Tool, VocabularySize, finish, read_value};

const TOOL: Tool = Tool::Tgi;

pub(super) fn read(text: &str, options: Options) -> Result<Imported, ImportError> {
    let value = match environment(text)? {
        Some(value) => value,
        None => read_value(text)?,
    };
    let mut fields = Fields::of(TOOL, value, &[])?;
    let (gamma, delta) = ("WATERMARK_GAMMA", "WATERMARK_DELTA");
    if fields.first(&[gamma, delta]).is_none() {
        return Err(fields.missing(gamma));
    }
    let gamma = fields.between(gamma, 0.0, 1.0)?.unwrap_or(0.5);
    let delta = fields.within(delta, 1e-6..=100.0)?.unwrap_or(2.0);
    fields.finish()?;
    let notes = Vec::from_iter(options.drawn(TOOL)?);
    let table =
        spec(&Seeding { prf: "additive_prf", width: 1, self_salt: false }, gamma, delta, true);
    finish(table, Repeats::ScoreOnce, vec![DEFAULT_KEY].into(), VocabularySize::Logits, notes)
}

/// Lines of `NAME=value`, as in a file for `docker run --env-file`; other names of the environment are passed over.
fn environment(text: &str) -> Result<Option<Value>, ImportError> {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut map = Vec::new();
    for line in lines {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { return Ok(None) };
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Ok(None);
        }
        let value = unquoted(value.trim());
        if name.starts_with("WATERMARK_") {
            let text = Secret::new(value.to_owned());
            let value = if is_number(value) { Value::Number(text) } else { Value::Text(text) };
            insert(&mut map, Secret::new(name.to_owned()), value)?;
        }
    }
    Ok(Some(Value::Map(map)))
}

/// The text between two quotes of a kind, or all of it.
fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}
