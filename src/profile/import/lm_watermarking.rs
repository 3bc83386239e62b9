//! The repository of Kirchenbauer et al. (lm-watermarking): arguments of `WatermarkDetector`, as JSON or a Python dict.
//!
//! The key stands in `seeding_scheme` (`ff-<prf>-<width>-<self salt>-<key>`), or with the older processor in `hash_key`;
//! the short names have a fixed one. The two processors have different defaults of gamma, so it must be given.

use crate::watermark::Repeats;

use super::transformers::DEFAULT_KEY;
use super::value::{Fields, Value, one_of};
use super::{
    ImportError, Imported, Note, Options, SEED, Tool, VocabularySize, finish, modulo, table,
};

const TOOL: Tool = Tool::LmWatermarking;

/// Names of the functions that make a seed of the context.
const PRFS: &[&str] = &[
    "multiplicative_prf",
    "additive_prf",
    "minfunc_prf",
    "simple_skip_prf",
    "skipgram_prf",
    "anchored_skipgram_prf",
    "minhash_prf",
    "anchored_minhash_prf",
    "minskipgram_prf",
    "noncomm_prf",
    "position_prf",
];

/// What a seeding scheme says.
pub(super) struct Seeding {
    pub(super) prf: &'static str,
    pub(super) width: i64,
    pub(super) self_salt: bool,
}

pub(super) fn read(value: Value, options: Options) -> Result<Imported, ImportError> {
    let mut fields = Fields::of(TOOL, value, &[])?;
    let (seeding, key) = seeding(&mut fields)?;
    let Some(gamma) = fields.between("gamma", 0.0, 1.0)? else {
        return Err(fields.missing("gamma"));
    };
    let delta = fields.within("delta", 1e-6..=100.0)?.unwrap_or(2.0);
    let select = fields.flag("select_green_tokens")?.unwrap_or(true);
    let vocabulary = vocabulary(&mut fields)?;
    let mut notes = Vec::from_iter(options.drawn(TOOL)?);
    notes.extend(of_detection(&mut fields)?);
    fields.finish()?;
    let table = spec(&seeding, gamma, delta, select);
    finish(table, Repeats::ScoreOnce, vec![key].into(), vocabulary, notes)
}

/// The table of the scheme.
pub(super) fn spec(seeding: &Seeding, gamma: f64, delta: f64, select: bool) -> toml::Table {
    let mut table = table("lm-watermarking");
    table.insert("prf_type".to_owned(), seeding.prf.into());
    table.insert("context_width".to_owned(), seeding.width.into());
    table.insert("self_salt".to_owned(), seeding.self_salt.into());
    table.insert("gamma".to_owned(), gamma.into());
    table.insert("delta".to_owned(), delta.into());
    table.insert("select_green_tokens".to_owned(), select.into());
    table
}

fn seeding(fields: &mut Fields) -> Result<(Seeding, u64), ImportError> {
    let Some(value) = fields.take("seeding_scheme") else {
        return Err(fields.missing("seeding_scheme"));
    };
    let found = match &value {
        Value::Text(name) => named(name),
        _ => None,
    };
    let Some((seeding, inside)) = found else {
        let wanted = format!(
            "simple_1, lefthash, selfhash, algorithm-3, minhash, skipgram, or ff-PRF-WIDTH-True|False[-KEY] with PRF {}",
            one_of(PRFS)
        );
        return Err(fields.wrong("seeding_scheme", wanted));
    };
    if fields.first(&["hash_key"]).is_none() {
        return Ok((seeding, inside.unwrap_or(DEFAULT_KEY)));
    }
    // Only the older processor takes it, and knows no other scheme.
    if inside.is_some() || seeding.prf != "additive_prf" || seeding.width != 1 {
        let why = "only the processor with simple_1 takes hash_key; elsewhere the key is the last part of seeding_scheme";
        let (one, other) = ("hash_key", "seeding_scheme");
        return Err(ImportError::Contradiction { one, other, why });
    }
    let key = fields.take("hash_key").and_then(|value| modulo(&value));
    key.map(|key| (seeding, key)).ok_or_else(|| fields.wrong("hash_key", SEED))
}

/// A scheme by its name, with the key if the name holds one.
fn named(name: &str) -> Option<(Seeding, Option<u64>)> {
    let fixed = |prf, width, self_salt| Some((Seeding { prf, width, self_salt }, None));
    match name {
        "simple_1" | "lefthash" => fixed("additive_prf", 1, false),
        "algorithm-3" | "selfhash" => fixed("anchored_minhash_prf", 4, true),
        "minhash" => fixed("minhash_prf", 4, false),
        "skipgram" => fixed("skipgram_prf", 5, false),
        free => free_form(free),
    }
}

fn free_form(name: &str) -> Option<(Seeding, Option<u64>)> {
    let mut parts = name.strip_prefix("ff-")?.splitn(4, '-');
    let prf = parts.next()?;
    let prf = PRFS.iter().copied().find(|known| *known == prf)?;
    let width = parts.next()?.parse().ok().filter(|width| (1..=64).contains(width))?;
    let self_salt = match parts.next()? {
        "True" => true,
        "False" => false,
        _ => return None,
    };
    let key = match parts.next() {
        None => None,
        // The tool takes a minus sign for another part, and then the default key.
        Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    Some((Seeding { prf, width, self_salt }, key))
}

/// V: the tool is given all ids of the vocabulary.
fn vocabulary(fields: &mut Fields) -> Result<VocabularySize, ImportError> {
    if let Some(size) = fields.count("vocab_size", 2..=i64::from(u32::MAX))? {
        return Ok(VocabularySize::Given(size as u32));
    }
    match fields.take("vocab") {
        None => Ok(VocabularySize::Tokenizer),
        Some(Value::List(ids)) if ids.len() >= 2 => Ok(VocabularySize::Given(ids.len() as u32)),
        Some(_) => Err(fields.wrong("vocab", "the list of all ids, or absent")),
    }
}

/// What only the tool's own detector uses.
fn of_detection(fields: &mut Fields) -> Result<Vec<Note>, ImportError> {
    let mut notes = Vec::new();
    if fields.within("z_threshold", -1e6..=1e6)?.is_some() {
        notes.push(Note::NotKept("z_threshold"));
    }
    for name in ["ignore_repeated_ngrams", "ignore_repeated_bigrams", "store_spike_ents"] {
        if fields.flag(name)?.is_some() {
            notes.push(Note::NotKept(name));
        }
    }
    match fields.take("normalizers") {
        None => {}
        Some(Value::List(list)) if list.is_empty() => {}
        Some(Value::List(list)) if list.iter().all(|value| matches!(value, Value::Text(_))) => {
            notes.push(Note::NotKept("normalizers"));
        }
        Some(_) => return Err(fields.wrong("normalizers", "a list of names")),
    }
    Ok(notes)
}
