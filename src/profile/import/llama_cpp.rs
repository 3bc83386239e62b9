//! llama.cpp: the list for `--synthid-keys`, as pull request 28350 proposes it. Nothing of it is released.
//!
//! What the request says: the sampler follows transformers' SynthID, and its argument is a list of keys. It does not say
//! the length of the n-grams, nor the hash, so both must be given here.

use crate::watermark::Repeats;

use super::synthid::{Table, spec};
use super::value::{Fields, Secret, Value, is_number};
use super::{ImportError, Imported, Note, Options, SynthIdHash, Tool, VocabularySize, finish};

const TOOL: Tool = Tool::LlamaCpp;

pub(super) fn read(text: &str, options: Options) -> Result<Imported, ImportError> {
    let Some(hash) = options.hash else {
        let why = "the proposal does not say which of SynthID's two hashes it has (transformers' is table)";
        return Err(ImportError::NeedsOption { tool: TOOL, option: "--hash table|iv", why });
    };
    let Some(ngram_len) = options.ngram_len else {
        let why = "the list of keys does not say the length of the n-grams (transformers' usual one is 5)";
        return Err(ImportError::NeedsOption { tool: TOOL, option: "--ngram-len N", why });
    };
    let map = vec![
        (Secret::new("keys".to_owned()), Value::List(list(text))),
        (Secret::new("ngram_len".to_owned()), Value::Number(ngram_len.to_string().into())),
    ];
    let mut fields = Fields::of(TOOL, Value::Map(map), &[])?;
    let drawn = (hash == SynthIdHash::Table).then_some(Table { size: 1 << 16, seed: 0 });
    let (table, keys) = spec(&mut fields, hash, drawn, 1024, 2)?;
    let notes = vec![Note::Unreleased];
    finish(table, Repeats::SingleTurn, keys, VocabularySize::Logits, notes)
}

/// Numbers between commas, with or without the argument's name before them.
fn list(text: &str) -> Vec<Value> {
    let text = text.trim();
    let text = text.strip_prefix("--synthid-keys").unwrap_or(text);
    let text = text.trim_start_matches(['=', ' ', '\t']).trim_matches(['"', '\'']);
    let value = |part: &str| {
        let part = Secret::new(part.trim().to_owned());
        if is_number(&part) { Value::Number(part) } else { Value::Text(part) }
    };
    text.split(',').map(value).collect()
}
