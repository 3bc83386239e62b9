//! vLLM 0.33.0: the JSON or YAML of `--watermark-config`, alone or in the YAML of `--config`.

use crate::watermark::Repeats;

use super::value::{Fields, Value};
use super::{ImportError, Imported, Note, Tool, VocabularySize, finish, table};

const TOOL: Tool = Tool::Vllm;

pub(super) fn read(value: Value) -> Result<Imported, ImportError> {
    let mut fields = Fields::of(TOOL, value, &["watermark-config", "watermark_config"])?;
    let key = key(&mut fields)?;
    let algorithm = fields.word("algorithm", &["gumbel", "dual_key_gumbel"])?.unwrap_or("gumbel");
    let width = fields.count("context_width", 1..=64)?.unwrap_or(4);
    let alpha = fields.within("alpha", 0.0..=1.0)?;
    fields.word("prf", &["philox"])?;
    let mut table = table("vllm-gumbel");
    table.insert("context_width".to_owned(), width.into());
    match (algorithm, alpha) {
        ("gumbel", Some(_)) => {
            let why = "only dual_key_gumbel has a second key to mix in";
            let (one, other) = ("alpha", "algorithm gumbel");
            return Err(ImportError::Contradiction { one, other, why });
        }
        ("gumbel", None) => {}
        (_, alpha) => {
            table.insert("alpha".to_owned(), alpha.unwrap_or(0.1).into());
        }
    }
    if let Some(history) = history(&mut fields)? {
        table.insert("max_history".to_owned(), history.into());
    }
    let repeats = repeats(&mut fields)?;
    let mut notes = Vec::new();
    if fields.flag("allow_target_only_watermarking")? == Some(true) {
        notes.push(Note::NotKept("allow_target_only_watermarking"));
    }
    fields.finish()?;
    finish(table, repeats, vec![key].into(), VocabularySize::Logits, notes)
}

/// A number, or one in quotes: other languages lose digits of large numbers.
fn key(fields: &mut Fields) -> Result<u64, ImportError> {
    let Some(value) = fields.take("key") else { return Err(fields.missing("key")) };
    let number = match &value {
        Value::Text(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => digits.parse().ok(),
        other => other.integer().and_then(|number| u64::try_from(number).ok()),
    };
    number.ok_or_else(|| fields.wrong("key", "an integer from 0 to 2^64 - 1"))
}

/// For how many positions contexts are remembered; `None`: to the end.
fn history(fields: &mut Fields) -> Result<Option<i64>, ImportError> {
    let names = ["deduplicate_contexts_max_history", "max_history"];
    let [long, short] = names;
    if fields.first(&[long]).is_some() && fields.first(&[short]).is_some() {
        let why = "they are two names of one field";
        return Err(ImportError::Contradiction { one: long, other: short, why });
    }
    let name = fields.first(&names).unwrap_or(long);
    match fields.take(name) {
        None => Ok(Some(8192)),
        Some(Value::Null) => Ok(None),
        Some(value) => match value.integer() {
            Some(positions @ 1..=0xFFFF_FFFF) => Ok(Some(positions as i64)),
            _ => Err(fields.wrong(long, "a whole number from 1 to 2^32 - 1, or null")),
        },
    }
}

fn repeats(fields: &mut Fields) -> Result<Repeats, ImportError> {
    Ok(match fields.word("deduplicate_contexts", &["none", "single_turn", "all"])? {
        Some("none") => Repeats::ScoreOnce,
        Some("all") => Repeats::AllTurns,
        _ => Repeats::SingleTurn,
    })
}
