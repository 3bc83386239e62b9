//! transformers: `WatermarkingConfig` (green lists) and `SynthIDTextWatermarkingConfig`.
//!
//! Which of the two it is follows from the fields, since the file does not say. Absent fields have transformers' defaults,
//! except keys.

use crate::watermark::Repeats;

use super::synthid::{Table, spec};
use super::value::{Fields, Value};
use super::{
    ImportError, Imported, Note, Options, SEED, SynthIdHash, Tool, VocabularySize, finish, modulo,
    table,
};

const TOOL: Tool = Tool::Transformers;
const LISTS: &[&str] =
    &["hashing_key", "greenlist_ratio", "bias", "seeding_scheme", "context_width"];
const TOURNAMENT: &[&str] = &[
    "keys",
    "ngram_len",
    "context_history_size",
    "sampling_table_seed",
    "sampling_table_size",
    "skip_first_ngram_calls",
    "debug_mode",
];
/// Its `hashing_key` unless another is given.
pub(in super::super) const DEFAULT_KEY: u64 = 15_485_863;

pub(super) fn read(value: Value, options: Options) -> Result<Imported, ImportError> {
    let fields = Fields::of(TOOL, value, &["watermarking_config"])?;
    match (fields.first(LISTS), fields.first(TOURNAMENT)) {
        (None, None) => Err(ImportError::NoMark),
        (Some(one), Some(other)) => {
            let why =
                "the one is of a WatermarkingConfig, the other of a SynthIDTextWatermarkingConfig";
            Err(ImportError::Contradiction { one, other, why })
        }
        (Some(_), None) => lists(fields, options),
        (None, Some(_)) => tournament(fields, options),
    }
}

fn lists(mut fields: Fields, options: Options) -> Result<Imported, ImportError> {
    let scheme = fields.word("seeding_scheme", &["lefthash", "selfhash"])?.unwrap_or("lefthash");
    let width = fields.count("context_width", 1..=64)?.unwrap_or(1);
    let ratio = fields.between("greenlist_ratio", 0.0, 1.0)?.unwrap_or(0.25);
    let bias = fields.within("bias", 1e-6..=100.0)?.unwrap_or(2.0);
    let key = hashing_key(&mut fields, scheme == "lefthash")?;
    fields.finish()?;

    let mut notes = Vec::from_iter(options.drawn(TOOL)?);
    if scheme == "lefthash" && width > 1 {
        notes.push(Note::WidthWithoutEffect);
    }
    let mut table = table("transformers-kgw");
    table.insert("greenlist_ratio".to_owned(), ratio.into());
    table.insert("bias".to_owned(), bias.into());
    table.insert("seeding_scheme".to_owned(), scheme.into());
    table.insert("context_width".to_owned(), width.into());
    let key = vec![key].into();
    finish(table, Repeats::ScoreOnce, key, VocabularySize::Logits, notes)
}

/// The key as a number from 0 to 2⁶⁴−1.
///
/// transformers seeds lefthash modulo 2⁶⁴−1, where −k is 2⁶⁴−1−k. selfhash multiplies in 64 bits, where it is 2⁶⁴−k, and
/// torch 2.15 seeds its table with that too, although the documentation of `manual_seed` gives the first formula.
fn hashing_key(fields: &mut Fields, lefthash: bool) -> Result<u64, ImportError> {
    let Some(value) = fields.take("hashing_key") else { return Err(fields.missing("hashing_key")) };
    let key = if lefthash { modulo(&value) } else { wrapped(&value) };
    key.ok_or_else(|| fields.wrong("hashing_key", SEED))
}

/// A 64-bit number, negative ones in two's complement.
fn wrapped(value: &Value) -> Option<u64> {
    let value = value.integer()?;
    u64::try_from(value).ok().or_else(|| i64::try_from(value).ok().map(i64::cast_unsigned))
}

fn tournament(mut fields: Fields, options: Options) -> Result<Imported, ImportError> {
    let mut notes = Vec::from_iter(options.drawn(TOOL)?);
    let table = Table {
        size: fields.count("sampling_table_size", 1..=1 << 24)?.unwrap_or(1 << 16),
        seed: fields.count("sampling_table_seed", 0..=i64::MAX)?.unwrap_or(0),
    };
    let history = fields.count("context_history_size", 1..=1 << 20)?.unwrap_or(1024);
    if fields.flag("debug_mode")? == Some(true) {
        notes.push(Note::NotKept("debug_mode"));
    }
    let (table, keys) = spec(&mut fields, SynthIdHash::Table, Some(table), history, 2)?;
    fields.finish()?;
    finish(table, Repeats::SingleTurn, keys, VocabularySize::Logits, notes)
}
