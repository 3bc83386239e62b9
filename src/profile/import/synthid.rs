//! Google's synthid-text: arguments of `SynthIDLogitsProcessor`.
//!
//! The package 0.2.1 draws its bits from a table, as transformers does; the repository, since June 2025 and under the same
//! version, hashes the keys to an initial value and has no table. Only the user knows which one wrote a text.

use toml::Table as Toml;
use zeroize::Zeroizing;

use crate::keys::Key;
use crate::watermark::Repeats;

use super::value::{Fields, Value};
use super::{
    ImportError, Imported, Note, Options, SynthIdHash, Tool, VocabularySize, finish, table,
};

const TOOL: Tool = Tool::SynthId;
const TABLE: &[&str] = &["sampling_table_size", "sampling_table_seed"];

/// The table of random bits.
pub(super) struct Table {
    pub(super) size: i64,
    pub(super) seed: i64,
}

pub(super) fn read(value: Value, options: Options) -> Result<Imported, ImportError> {
    let mut fields = Fields::of(TOOL, value, &[])?;
    let Some(hash) = options.hash else {
        let why = "table is the package 0.2.1, iv the repository since June 2025, and a configuration of either may say version 0.2.1";
        return Err(ImportError::NeedsOption { tool: TOOL, option: "--hash table|iv", why });
    };
    let drawn = sampling_table(&mut fields, hash)?;
    let Some(history) = fields.count("context_history_size", 1..=1 << 20)? else {
        return Err(fields.missing("context_history_size"));
    };
    let leaves = fields.count("num_leaves", 2..=1000)?.unwrap_or(2);
    let mut notes = unmarked(&mut fields)?;
    if hash == SynthIdHash::Table {
        notes.extend(options.drawn(TOOL)?);
    }
    let (table, keys) = spec(&mut fields, hash, drawn, history, leaves)?;
    fields.finish()?;
    finish(table, Repeats::SingleTurn, keys, VocabularySize::Logits, notes)
}

fn sampling_table(fields: &mut Fields, hash: SynthIdHash) -> Result<Option<Table>, ImportError> {
    if hash == SynthIdHash::Iv {
        return match fields.first(TABLE) {
            None => Ok(None),
            Some(one) => {
                let why = "this hash has no table; is it the package's (--hash table)?";
                Err(ImportError::Contradiction { one, other: "--hash iv", why })
            }
        };
    }
    let size = fields.count("sampling_table_size", 1..=1 << 24)?;
    let seed = fields.count("sampling_table_seed", 0..=i64::MAX)?;
    match (size, seed) {
        (Some(size), Some(seed)) => Ok(Some(Table { size, seed })),
        (None, None) => {
            let why = "a table has a size and a seed; is it the repository's hash (--hash iv)?";
            let one = "a configuration without sampling_table_size and sampling_table_seed";
            Err(ImportError::Contradiction { one, other: "--hash table", why })
        }
        (None, _) => Err(fields.missing("sampling_table_size")),
        (_, None) => Err(fields.missing("sampling_table_seed")),
    }
}

/// What says how text is sampled, and nothing of the mark.
fn unmarked(fields: &mut Fields) -> Result<Vec<Note>, ImportError> {
    let mut notes = Vec::new();
    if fields.within("temperature", 1e-6..=1e6)?.is_some() {
        notes.push(Note::NotKept("temperature"));
    }
    if fields.count("top_k", 1..=i64::MAX)?.is_some() {
        notes.push(Note::NotKept("top_k"));
    }
    if fields.flag("apply_top_k")?.is_some() {
        notes.push(Note::NotKept("apply_top_k"));
    }
    match fields.take("device") {
        None | Some(Value::Null | Value::Text(_)) => Ok(notes),
        Some(_) => Err(fields.wrong("device", "the name of a device")),
    }
}

/// The table of the scheme, and its keys: one a layer.
pub(super) fn spec(
    fields: &mut Fields,
    hash: SynthIdHash,
    drawn: Option<Table>,
    history: i64,
    leaves: i64,
) -> Result<(Toml, Zeroizing<Vec<u64>>), ImportError> {
    let Some(ngram_len) = fields.count("ngram_len", 2..=65)? else {
        return Err(fields.missing("ngram_len"));
    };
    let Some(value) = fields.take("keys") else { return Err(fields.missing("keys")) };
    let keys = keys(&value).ok_or_else(|| {
        let most = Key::MOST_NUMBERS;
        fields.wrong("keys", format!("a list of 1 to {most} integers from -2^63 to 2^63 - 1"))
    })?;
    let mut table = table("synthid-text");
    table.insert("ngram_len".to_owned(), ngram_len.into());
    table.insert("depth".to_owned(), (keys.len() as i64).into());
    table.insert("hash".to_owned(), hash.name().into());
    if let Some(Table { size, seed }) = drawn {
        table.insert("sampling_table_size".to_owned(), size.into());
        table.insert("sampling_table_seed".to_owned(), seed.into());
    }
    table.insert("context_history_size".to_owned(), history.into());
    let skip = fields.flag("skip_first_ngram_calls")?.unwrap_or(false);
    table.insert("skip_first_ngram_calls".to_owned(), skip.into());
    table.insert("num_leaves".to_owned(), leaves.into());
    Ok((table, keys))
}

/// Signed integers of 64 bits, as the tools' tensors hold them, in two's complement.
fn keys(value: &Value) -> Option<Zeroizing<Vec<u64>>> {
    let Value::List(list) = value else { return None };
    if !(1..=Key::MOST_NUMBERS).contains(&list.len()) {
        return None;
    }
    let mut keys = Zeroizing::new(Vec::with_capacity(list.len()));
    for value in list {
        keys.push(i64::try_from(value.integer()?).ok()? as u64);
    }
    Some(keys)
}
