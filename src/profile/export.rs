//! Profiles in the form of other engines, key included: what [`import`](super::import) reads, written.

use std::fmt::Write;

use toml::Table;
use zeroize::Zeroizing;

use super::import::{Note, SynthIdHash, Tool};
use crate::keys::Key;
use crate::schemes::Spec;
use crate::watermark::Repeats;

/// A configuration of another engine. It holds the key.
pub struct Exported {
    /// What to put into the tool's file.
    pub text: Zeroizing<String>,
    /// What its user should know.
    pub notes: Vec<Note>,
}

/// Writes a scheme and its key as a tool has them. What is no part of the mark (a temperature, what a server does by
/// default) is left to the tool.
///
/// ```
/// use touchmark::profile::{export, import::{Options, Tool, read}};
///
/// let found = read(Tool::Vllm, r#"{"key": 18446744073709551615}"#, Options::default())?;
/// let written = export::write(Tool::Vllm, &found.spec, found.repeats, &found.key)?;
/// assert!(written.text.contains("18446744073709551615"));
/// assert_eq!(read(Tool::Vllm, &written.text, Options::default())?.spec, found.spec);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ExportError`] when the tool cannot make this mark.
pub fn write(
    tool: Tool,
    spec: &Spec,
    repeats: Repeats,
    key: &Key,
) -> Result<Exported, ExportError> {
    let scheme = spec.name();
    let wanted = schemes(tool);
    if !wanted.contains(&scheme) {
        return Err(ExportError::Scheme { tool, scheme, wanted });
    }
    let numbers = key.numbers().filter(|numbers| Some(numbers.len()) == spec.key_numbers());
    let numbers = numbers.ok_or(ExportError::Key { tool })?;
    let rule = match scheme {
        "synthid-text" | "sglang-gumbel" => Some(Repeats::SingleTurn),
        "vllm-gumbel" => None,
        _ => Some(Repeats::ScoreOnce),
    };
    if rule.is_some_and(|rule| rule != repeats) {
        return Err(ExportError::Repeats { tool });
    }
    let from = Parameters { tool, table: Table::try_from(spec)? };
    let mut notes = Vec::new();
    let text = match (tool, scheme) {
        (Tool::Transformers, "transformers-kgw") => lists(&from, numbers)?,
        (Tool::Transformers, _) => transformers_synthid(&from, numbers)?,
        (Tool::SynthId, _) => synthid(&from, numbers)?,
        (Tool::Vllm, _) => vllm(&from, repeats, numbers)?,
        (Tool::SgLang, _) => sglang(&from, numbers)?,
        (Tool::LmWatermarking, _) => lm_watermarking(&from, numbers)?,
        (Tool::MarkLlm, _) => markllm(&from, scheme, numbers)?,
        (Tool::Tgi, _) => tgi(&from, numbers)?,
        (Tool::LlamaCpp, _) => {
            notes.push(Note::Unreleased);
            llama_cpp(&from, numbers)?
        }
    };
    Ok(Exported { text, notes })
}

/// The schemes that a tool makes.
fn schemes(tool: Tool) -> &'static [&'static str] {
    match tool {
        Tool::Transformers => &["transformers-kgw", "synthid-text"],
        Tool::Vllm => &["vllm-gumbel"],
        Tool::SgLang => &["sglang-gumbel"],
        Tool::SynthId | Tool::LlamaCpp => &["synthid-text"],
        Tool::LmWatermarking | Tool::Tgi => &["lm-watermarking"],
        Tool::MarkLlm => &["markllm-kgw", "markllm-exp", "unigram-watermark", "dip"],
    }
}

fn lists(from: &Parameters, key: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    let mut json = Json::new();
    json.real("bias", from.real("bias")?);
    json.whole("context_width", from.whole("context_width")?);
    json.real("greenlist_ratio", from.real("greenlist_ratio")?);
    json.plain("hashing_key", key[0]);
    json.word("seeding_scheme", from.word("seeding_scheme")?);
    Ok(json.finish())
}

fn transformers_synthid(from: &Parameters, keys: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    if from.word("hash")? != SynthIdHash::Table.name() {
        return Err(from.refuse("hash", "\"table\""));
    }
    if from.whole("num_leaves")? != 2 {
        return Err(from.refuse("num_leaves", "2"));
    }
    let mut json = Json::new();
    tournament(&mut json, from, keys)?;
    Ok(json.finish())
}

fn synthid(from: &Parameters, keys: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    let mut json = Json::new();
    tournament(&mut json, from, keys)?;
    json.whole("num_leaves", from.whole("num_leaves")?);
    Ok(json.finish())
}

fn tournament(json: &mut Json, from: &Parameters, keys: &[u64]) -> Result<(), ExportError> {
    json.whole("ngram_len", from.whole("ngram_len")?);
    json.name("keys");
    json.text.push('[');
    for (at, &key) in keys.iter().enumerate() {
        json.text.push_str(if at == 0 { "" } else { ", " });
        json.push(key as i64);
    }
    json.text.push(']');
    json.whole("context_history_size", from.whole("context_history_size")?);
    if from.word("hash")? == SynthIdHash::Table.name() {
        for (field, usual) in SAMPLING_TABLE {
            json.whole(field, from.whole_or(field, usual)?);
        }
    }
    json.plain("skip_first_ngram_calls", from.flag("skip_first_ngram_calls")?);
    Ok(())
}

fn vllm(
    from: &Parameters,
    repeats: Repeats,
    key: &[u64],
) -> Result<Zeroizing<String>, ExportError> {
    let mut json = Json::new();
    json.plain("key", key[0]);
    match from.table.get("alpha") {
        None => json.word("algorithm", "gumbel"),
        Some(_) => {
            json.word("algorithm", "dual_key_gumbel");
            json.real("alpha", from.real("alpha")?);
        }
    }
    json.whole("context_width", from.whole("context_width")?);
    json.word("prf", "philox");
    let rule = match repeats {
        Repeats::ScoreOnce => "none",
        Repeats::SingleTurn => "single_turn",
        Repeats::AllTurns => "all",
    };
    json.word("deduplicate_contexts", rule);
    match from.table.get("max_history") {
        None => json.plain("deduplicate_contexts_max_history", "null"),
        Some(_) => json.whole("deduplicate_contexts_max_history", from.whole("max_history")?),
    }
    Ok(json.finish())
}

fn sglang(from: &Parameters, keys: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    let mut json = Json::new();
    for (name, key) in ["key", "key_b"].into_iter().zip(keys) {
        json.name(name);
        json.push(format_args!("\"{key:016x}\""));
    }
    json.whole("context_window", from.whole("context_window")?);
    if from.table.contains_key("mixing_probability") {
        json.real("mixing_probability", from.real("mixing_probability")?);
    }
    json.real("max_probability", from.real("max_probability")?);
    Ok(json.finish())
}

fn lm_watermarking(from: &Parameters, key: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    let mut json = Json::new();
    let salt = if from.flag("self_salt")? { "True" } else { "False" };
    let (prf, width) = (from.word("prf_type")?, from.whole("context_width")?);
    json.name("seeding_scheme");
    json.push(format_args!("\"ff-{prf}-{width}-{salt}-{}\"", key[0]));
    json.real("gamma", from.real("gamma")?);
    json.real("delta", from.real("delta")?);
    json.plain("select_green_tokens", from.flag("select_green_tokens")?);
    Ok(json.finish())
}

/// As in MarkLLM's folder `config`, thresholds at its own values.
fn markllm(from: &Parameters, scheme: &str, key: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    if key[0] > i64::MAX as u64 {
        return Err(from.refuse("the key", "below 2^63"));
    }
    let mut json = Json::new();
    match scheme {
        "markllm-kgw" => {
            json.word("algorithm_name", "KGW");
            json.real("gamma", from.real("gamma")?);
            json.real("delta", from.real("delta")?);
            json.plain("hash_key", key[0]);
            json.whole("prefix_length", from.whole("prefix_length")?);
            json.real("z_threshold", 4.0);
            json.word("f_scheme", from.word("f_scheme")?);
            json.word("window_scheme", from.word("window_scheme")?);
        }
        "markllm-exp" => {
            json.word("algorithm_name", "EXP");
            json.whole("prefix_length", from.whole("prefix_length")?);
            json.plain("hash_key", key[0]);
            json.real("threshold", 1e-4);
            json.whole("sequence_length", 200);
            json.whole("top_k", 0);
        }
        "unigram-watermark" => {
            json.word("algorithm_name", "Unigram");
            json.real("gamma", from.real("fraction")?);
            json.real("delta", from.real("strength")?);
            json.plain("hash_key", key[0]);
            json.real("z_threshold", 4.0);
        }
        _ => {
            json.word("algorithm_name", "DIP");
            json.plain("key", key[0]);
            json.real("gamma", from.real("gamma")?);
            json.real("alpha", from.real("alpha")?);
            json.real("z_threshold", 1.513);
            json.whole("prefix_length", from.whole("prefix_length")?);
            json.whole("ignore_history_generation", 0);
            json.whole("ignore_history_detection", 0);
        }
    }
    Ok(json.finish())
}

fn tgi(from: &Parameters, key: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    if from.word("prf_type")? != "additive_prf" {
        return Err(from.refuse("prf_type", "\"additive_prf\""));
    }
    if from.whole("context_width")? != 1 {
        return Err(from.refuse("context_width", "1"));
    }
    if from.flag("self_salt")? {
        return Err(from.refuse("self_salt", "false"));
    }
    if !from.flag("select_green_tokens")? {
        return Err(from.refuse("select_green_tokens", "true"));
    }
    if key[0] != super::import::DEFAULT_KEY {
        return Err(from.refuse("the key", "the one in TGI's source"));
    }
    let mut text = Zeroizing::new(String::new());
    let (gamma, delta) = (shortest(from.real("gamma")?), shortest(from.real("delta")?));
    let _ = writeln!(text, "WATERMARK_GAMMA={gamma}\nWATERMARK_DELTA={delta}");
    Ok(text)
}

fn llama_cpp(from: &Parameters, keys: &[u64]) -> Result<Zeroizing<String>, ExportError> {
    for (field, usual) in SAMPLING_TABLE {
        if from.whole_or(field, usual)? != usual {
            return Err(from.refuse(field, "transformers' default"));
        }
    }
    if from.flag("skip_first_ngram_calls")? {
        return Err(from.refuse("skip_first_ngram_calls", "false"));
    }
    if from.whole("context_history_size")? != 1024 || from.whole("num_leaves")? != 2 {
        return Err(from.refuse("context_history_size and num_leaves", "1024 and 2"));
    }
    let mut json = Json::new();
    json.text.clear();
    for (at, &key) in keys.iter().enumerate() {
        json.text.push_str(if at == 0 { "" } else { "," });
        json.push(key as i64);
    }
    json.text.push('\n');
    Ok(json.text)
}

/// The table of random bits where a profile does not name it.
const SAMPLING_TABLE: [(&str, i64); 2] =
    [("sampling_table_size", 1 << 16), ("sampling_table_seed", 0)];

/// A scheme's parameters by name.
struct Parameters {
    tool: Tool,
    table: Table,
}

impl Parameters {
    fn refuse(&self, field: &'static str, wanted: &'static str) -> ExportError {
        ExportError::Parameter { tool: self.tool, field, wanted }
    }

    fn real(&self, field: &'static str) -> Result<f64, ExportError> {
        let value = self.table.get(field);
        value.and_then(toml::Value::as_float).ok_or_else(|| self.refuse(field, "a number"))
    }

    fn whole(&self, field: &'static str) -> Result<i64, ExportError> {
        let value = self.table.get(field);
        value.and_then(toml::Value::as_integer).ok_or_else(|| self.refuse(field, "a whole number"))
    }

    fn whole_or(&self, field: &'static str, usual: i64) -> Result<i64, ExportError> {
        if self.table.contains_key(field) { self.whole(field) } else { Ok(usual) }
    }

    fn word(&self, field: &'static str) -> Result<&str, ExportError> {
        let value = self.table.get(field);
        value.and_then(toml::Value::as_str).ok_or_else(|| self.refuse(field, "a name"))
    }

    fn flag(&self, field: &'static str) -> Result<bool, ExportError> {
        let value = self.table.get(field);
        value.and_then(toml::Value::as_bool).ok_or_else(|| self.refuse(field, "true or false"))
    }
}

/// A real number with the fewest digits that give it back; a 32-bit one keeps its own.
fn shortest(value: f64) -> String {
    let single = value as f32;
    if f64::from(single) == value { format!("{single:?}") } else { format!("{value:?}") }
}

/// An object of JSON in one buffer, which is wiped and never grows.
struct Json {
    text: Zeroizing<String>,
}

impl Json {
    /// Room for the longest configuration: every number of a key has at most 20 digits and a separator.
    const ROOM: usize = 1024 + 24 * Key::MOST_NUMBERS;

    fn new() -> Self {
        let mut text = Zeroizing::new(String::with_capacity(Self::ROOM));
        text.push('{');
        Self { text }
    }

    fn push(&mut self, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}");
    }

    fn name(&mut self, name: &str) {
        let comma = if self.text.len() > 1 { "," } else { "" };
        self.push(format_args!("{comma}\n  \"{name}\": "));
    }

    fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        self.push(value);
    }

    fn whole(&mut self, name: &str, value: i64) {
        self.plain(name, value);
    }

    fn real(&mut self, name: &str, value: f64) {
        self.plain(name, shortest(value));
    }

    fn word(&mut self, name: &str, value: &str) {
        self.plain(name, format_args!("\"{value}\""));
    }

    fn finish(mut self) -> Zeroizing<String> {
        self.text.push_str("\n}\n");
        self.text
    }
}

/// Why a profile has no form for a tool. Never carries key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Another mark.
    #[error("{tool} does not make marks of scheme \"{scheme}\"; it makes {}", wanted.join(" and "))]
    Scheme {
        /// The tool.
        tool: Tool,
        /// The profile's scheme.
        scheme: &'static str,
        /// What it makes.
        wanted: &'static [&'static str],
    },
    /// A parameter that the tool cannot be told.
    #[error("{tool} cannot make this mark: {field} must be {wanted} there")]
    Parameter {
        /// The tool.
        tool: Tool,
        /// The parameter.
        field: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Another rule for repeats.
    #[error("{tool} cannot make this mark: it has another rule for repeated contexts")]
    Repeats {
        /// The tool.
        tool: Tool,
    },
    /// A key of another form.
    #[error("the key is not one of {tool}: it has another form or another count of numbers")]
    Key {
        /// The tool.
        tool: Tool,
    },
    /// A parameter without a form.
    #[error("a parameter cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
}
