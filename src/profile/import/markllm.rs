//! MarkLLM: the files of its folder `config`, of the algorithms `KGW`, `EXP`, `Unigram` and `DIP`.
//!
//! What a file leaves out has the value that MarkLLM's own file gives it, except keys. Thresholds, lengths and what a detector
//! skips are no part of a mark.

use toml::Table;

use crate::watermark::Repeats;

use super::value::{Fields, Value};
use super::{ImportError, Imported, Note, Options, Tool, VocabularySize, finish, table};

const TOOL: Tool = Tool::MarkLlm;
const ALGORITHMS: &[&str] = &["KGW", "EXP", "Unigram", "DIP"];
/// What an algorithm has beside its mark.
const BESIDE: &[&str] = &[
    "z_threshold",
    "threshold",
    "sequence_length",
    "ignore_history_generation",
    "ignore_history_detection",
];

pub(super) fn read(value: Value, options: Options) -> Result<Imported, ImportError> {
    let mut fields = Fields::of(TOOL, value, &[])?;
    let algorithm = fields.word("algorithm_name", ALGORITHMS)?;
    let algorithm = algorithm.ok_or_else(|| fields.missing("algorithm_name"))?;
    BESIDE.iter().for_each(|name| drop(fields.take(name)));
    let mut notes = Vec::new();
    if matches!(algorithm, "KGW" | "DIP") {
        notes.extend(options.drawn(TOOL)?);
    }
    let (table, key) = match algorithm {
        "KGW" => (kgw(&mut fields)?, "hash_key"),
        "EXP" => {
            if fields.take("top_k").is_some() {
                notes.push(Note::NotKept("top_k"));
            }
            (exp(&mut fields)?, "hash_key")
        }
        "Unigram" => (unigram(&mut fields)?, "hash_key"),
        _ => (dip(&mut fields)?, "key"),
    };
    let key = number(&mut fields, key)?;
    fields.finish()?;
    finish(table, Repeats::ScoreOnce, vec![key].into(), VocabularySize::Logits, notes)
}

fn kgw(fields: &mut Fields) -> Result<Table, ImportError> {
    let function = fields.word("f_scheme", &["time", "additive", "skip", "min"])?;
    let window = fields.word("window_scheme", &["left", "self"])?;
    let mut table = table("markllm-kgw");
    table.insert("gamma".to_owned(), share(fields)?.into());
    table.insert("delta".to_owned(), bias(fields)?.into());
    table.insert("prefix_length".to_owned(), width(fields, 1)?.into());
    table.insert("f_scheme".to_owned(), function.unwrap_or("time").into());
    table.insert("window_scheme".to_owned(), window.unwrap_or("left").into());
    Ok(table)
}

fn exp(fields: &mut Fields) -> Result<Table, ImportError> {
    let mut table = table("markllm-exp");
    table.insert("prefix_length".to_owned(), width(fields, 4)?.into());
    Ok(table)
}

fn unigram(fields: &mut Fields) -> Result<Table, ImportError> {
    let mut table = table("unigram-watermark");
    table.insert("fraction".to_owned(), share(fields)?.into());
    table.insert("strength".to_owned(), bias(fields)?.into());
    Ok(table)
}

fn dip(fields: &mut Fields) -> Result<Table, ImportError> {
    let alpha = fields.within("alpha", 1e-6..=0.5)?.unwrap_or(0.45);
    let mut table = table("dip");
    table.insert("gamma".to_owned(), share(fields)?.into());
    table.insert("alpha".to_owned(), alpha.into());
    table.insert("prefix_length".to_owned(), width(fields, 5)?.into());
    Ok(table)
}

fn share(fields: &mut Fields) -> Result<f64, ImportError> {
    Ok(fields.between("gamma", 0.0, 1.0)?.unwrap_or(0.5))
}

fn bias(fields: &mut Fields) -> Result<f64, ImportError> {
    Ok(fields.within("delta", 1e-6..=100.0)?.unwrap_or(2.0))
}

fn width(fields: &mut Fields, usual: i64) -> Result<i64, ImportError> {
    Ok(fields.count("prefix_length", 1..=64)?.unwrap_or(usual))
}

fn number(fields: &mut Fields, name: &'static str) -> Result<u64, ImportError> {
    let Some(value) = fields.take(name) else { return Err(fields.missing(name)) };
    let key = value.integer().and_then(|key| u64::try_from(key).ok());
    let key = key.filter(|&key| i64::try_from(key).is_ok());
    key.ok_or_else(|| fields.wrong(name, "an integer from 0 to 2^63 - 1"))
}
