//! SGLang 0.5.23: the JSON of `--watermark-config`, at most 4,096 bytes as there.

use zeroize::Zeroizing;

use crate::watermark::Repeats;

use super::value::{Fields, Value};
use super::{ImportError, Imported, Note, Tool, VocabularySize, finish, read_value, table};

const TOOL: Tool = Tool::SgLang;
/// Longest configuration that SGLang reads.
const MOST_BYTES: usize = 4096;

pub(super) fn read(text: &str) -> Result<Imported, ImportError> {
    if text.len() > MOST_BYTES {
        return Err(ImportError::Size { got: text.len(), most: MOST_BYTES });
    }
    let fields = Fields::of(TOOL, read_value(text)?, &["watermark-config", "watermark_config"])?;
    // There, null is as good as absent.
    let mut fields = fields.without_nulls();
    let mut keys = Zeroizing::new(Vec::with_capacity(2));
    let Some(key) = key(&mut fields, "key")? else { return Err(fields.missing("key")) };
    keys.push(key);
    keys.extend(self::key(&mut fields, "key_b")?);

    let mut table = table("sglang-gumbel");
    let window = fields.count("context_window", 1..=64)?.unwrap_or(4);
    table.insert("context_window".to_owned(), window.into());
    let mixing = fields.between("mixing_probability", 0.0, 1.0)?;
    match (mixing, keys.len()) {
        (Some(_), 1) => {
            let why = "there is no second key to mix in";
            let (one, other) = ("mixing_probability", "the absence of key_b");
            return Err(ImportError::Contradiction { one, other, why });
        }
        (mixing, 2) => {
            table.insert("mixing_probability".to_owned(), mixing.unwrap_or(0.5).into());
        }
        _ => {}
    }
    let most = fields.within("max_probability", 1e-6..=1.0)?.unwrap_or(1.0);
    table.insert("max_probability".to_owned(), most.into());
    let mut notes = Vec::new();
    for name in ["default_enabled", "enforce_all"] {
        if fields.flag(name)?.is_some() {
            notes.push(Note::NotKept(name));
        }
    }
    fields.finish()?;
    finish(table, Repeats::SingleTurn, keys, VocabularySize::Logits, notes)
}

/// 1 to 16 hexadecimal digits in quotes, with or without `0x`.
fn key(fields: &mut Fields, field: &'static str) -> Result<Option<u64>, ImportError> {
    let Some(value) = fields.take(field) else { return Ok(None) };
    let wanted = "1 to 16 hexadecimal digits in quotes";
    let Value::Text(text) = value else { return Err(fields.wrong(field, wanted)) };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
    let sound = (1..=16).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(key) if sound => Ok(Some(key)),
        _ => Err(fields.wrong(field, wanted)),
    }
}
