//! Configurations of other engines, as their users have them: what they say of a mark, and its key.
//!
//! One file a tool. Each takes the fields it knows, refuses the rest, and makes the table of a scheme, which the schemes'
//! own parsing and checks then read. Text comes in and values go out: files are the caller's. No error carries a value
//! of the configuration, because any of them may be the key at the wrong place.

mod literal;
mod llama_cpp;
mod lm_watermarking;
mod markllm;
mod sglang;
mod synthid;
mod tgi;
mod transformers;
mod value;
mod vllm;
mod yaml;

use std::fmt;
use std::str::FromStr;

use toml::Table;
use zeroize::Zeroizing;

use crate::keys::{Key, KeyError};
use crate::schemes::{Spec, SpecError};
use crate::watermark::{Repeats, check};

pub(super) use transformers::DEFAULT_KEY;
use value::{Value, one_of};

/// A tool whose configuration can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// transformers: `watermarking_config.json`, or the `generation_config.json` that holds it.
    Transformers,
    /// vLLM: what `--watermark-config` takes.
    Vllm,
    /// SGLang: what `--watermark-config` takes.
    SgLang,
    /// Google's synthid-text: arguments of `SynthIDLogitsProcessor`.
    SynthId,
    /// The repository of Kirchenbauer et al.: arguments of `WatermarkDetector`.
    LmWatermarking,
    /// MarkLLM: a file of its folder `config`.
    MarkLlm,
    /// text-generation-inference: its environment.
    Tgi,
    /// llama.cpp: the list given to `--synthid-keys`.
    LlamaCpp,
}

impl Tool {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Transformers,
        Self::Vllm,
        Self::SgLang,
        Self::SynthId,
        Self::LmWatermarking,
        Self::MarkLlm,
        Self::Tgi,
        Self::LlamaCpp,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformers => "transformers",
            Self::Vllm => "vllm",
            Self::SgLang => "sglang",
            Self::SynthId => "synthid",
            Self::LmWatermarking => "lm-watermarking",
            Self::MarkLlm => "markllm",
            Self::Tgi => "tgi",
            Self::LlamaCpp => "llama-cpp",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tool {
    type Err = ImportError;
    fn from_str(name: &str) -> Result<Self, ImportError> {
        let known = Self::ALL.iter().copied().find(|tool| tool.name() == name);
        known.ok_or_else(|| ImportError::Tool { got: name.to_owned() })
    }
}

/// Which of two hashes Google's synthid-text had: both go by version 0.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynthIdHash {
    /// The published package's, with a table of random bits; transformers has the same.
    Table,
    /// The repository's since June 2025, with a hash of the keys as the initial value.
    Iv,
}

impl SynthIdHash {
    /// Its name in profiles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Iv => "iv",
        }
    }
}

/// Where a tool drew its random lists and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawnOn {
    /// The CPU's generator.
    Cpu,
    /// A GPU's.
    Cuda,
}

/// What a configuration leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The hash of a synthid-text or llama.cpp configuration.
    pub hash: Option<SynthIdHash>,
    /// Length of the n-grams of a llama.cpp configuration, whose list of keys does not say it.
    pub ngram_len: Option<u32>,
    /// The device that generated, if it is known.
    pub device: Option<DrawnOn>,
}

/// What a configuration says.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Scheme and parameters.
    pub spec: Spec,
    /// What counts once.
    pub repeats: Repeats,
    /// The key.
    pub key: Key,
    /// V.
    pub vocabulary: VocabularySize,
    /// What its user should know.
    pub notes: Vec<Note>,
}

/// What a configuration says of V.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularySize {
    /// Nothing: the tool takes the width of the model's logits.
    Logits,
    /// Nothing: the tool takes the size of the tokenizer's vocabulary.
    Tokenizer,
    /// This.
    Given(u32),
}

/// Something to know of an imported configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// Lists of another generator are other lists.
    #[error(
        "{0} draws its lists on the device of the model; what a CUDA generator drew cannot be read here, only what a CPU drew: if the text was written on a GPU, every mark will be missed (say --device cpu if it was not)"
    )]
    Device(Tool),
    /// A field that is no part of the mark.
    #[error("{0} is no part of the mark and is not kept")]
    NotKept(&'static str),
    /// A parameter without effect.
    #[error(
        "with lefthash transformers seeds by the last token alone; context_width only says where its detector begins"
    )]
    WidthWithoutEffect,
    /// Not a released format.
    #[error(
        "llama.cpp's --synthid-keys is a proposal (pull request 28350): the keys are read; the hash and the length of the n-grams are as you gave them, the table and the history as transformers has them. If the release differs, marks will be missed: check with a text that it wrote"
    )]
    Unreleased,
}

/// Greatest size of a configuration in bytes.
pub const MOST_BYTES: usize = 1 << 20;

/// Reads a tool's configuration.
///
/// ```
/// use touchmark::profile::import::{Options, Tool, read};
///
/// let text = r#"{"key": 42, "algorithm": "gumbel", "context_width": 4}"#;
/// let found = read(Tool::Vllm, text, Options::default())?;
/// assert_eq!(found.spec.name(), "vllm-gumbel");
/// let error = read(Tool::Vllm, &text.replace("42", "-42"), Options::default()).unwrap_err();
/// assert!(!error.to_string().contains("42"), "no error shows a key");
/// # Ok::<(), touchmark::profile::import::ImportError>(())
/// ```
///
/// # Errors
/// [`ImportError`] naming the field, never a value.
pub fn read(tool: Tool, text: &str, options: Options) -> Result<Imported, ImportError> {
    if text.len() > MOST_BYTES {
        return Err(ImportError::Size { got: text.len(), most: MOST_BYTES });
    }
    let text = text.trim_start_matches('\u{feff}');
    options.check(tool)?;
    match tool {
        Tool::Transformers => transformers::read(read_value(text)?, options),
        Tool::Vllm => vllm::read(read_value(text)?),
        Tool::SgLang => sglang::read(text),
        Tool::SynthId => synthid::read(read_value(text)?, options),
        Tool::LmWatermarking => lm_watermarking::read(read_value(text)?, options),
        Tool::MarkLlm => markllm::read(read_value(text)?, options),
        Tool::Tgi => tgi::read(text, options),
        Tool::LlamaCpp => llama_cpp::read(text, options),
    }
}

impl Options {
    /// Refuses what the tool has no use for.
    fn check(&self, tool: Tool) -> Result<(), ImportError> {
        let hashed = matches!(tool, Tool::SynthId | Tool::LlamaCpp);
        if self.hash.is_some() && !hashed {
            return Err(ImportError::Option { tool, option: "--hash" });
        }
        if self.ngram_len.is_some() && tool != Tool::LlamaCpp {
            return Err(ImportError::Option { tool, option: "--ngram-len" });
        }
        Ok(())
    }

    /// What is to be said of lists or tables that a tool drew on the model's device.
    fn drawn(&self, tool: Tool) -> Result<Option<Note>, ImportError> {
        match self.device {
            None => Ok(Some(Note::Device(tool))),
            Some(DrawnOn::Cpu) => Ok(None),
            Some(DrawnOn::Cuda) => Err(ImportError::Cuda { tool }),
        }
    }
}

/// JSON or a Python literal where it begins with a brace, otherwise YAML.
fn read_value(text: &str) -> Result<Value, ImportError> {
    let lines = text.lines().map(str::trim_start);
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#'));
    match first {
        Some(line) if line.starts_with('{') => literal::read(text),
        _ => yaml::read(text),
    }
}

/// A scheme's table, its key and the rest, put together and checked.
fn finish(
    table: Table,
    repeats: Repeats,
    mut numbers: Zeroizing<Vec<u64>>,
    vocabulary: VocabularySize,
    notes: Vec<Note>,
) -> Result<Imported, ImportError> {
    let spec: Spec = table.try_into().map_err(ImportError::Scheme)?;
    check(&spec, repeats, spec.prf())?;
    let key = Key::of_numbers(std::mem::take(&mut *numbers))?;
    if spec.key_numbers() != key.count() {
        return Err(ImportError::KeyLength { needed: spec.key_numbers(), got: key.count() });
    }
    Ok(Imported { spec, repeats, key, vocabulary, notes })
}

/// The table of a scheme.
fn table(scheme: &str) -> Table {
    let mut table = Table::new();
    table.insert("scheme".to_owned(), scheme.into());
    table
}

/// A key that seeds with key · number mod 2⁶⁴−1, as Python takes it: there −k is 2⁶⁴−1−k.
fn modulo(value: &Value) -> Option<u64> {
    let value = value.integer()?;
    let negative = || i64::try_from(value).ok().map(|key| u64::MAX - key.unsigned_abs());
    u64::try_from(value).ok().or_else(negative)
}

/// The range of a key that is a seed.
const SEED: &str = "an integer from -2^63 to 2^64 - 1";

/// Why a configuration cannot be read. Carries names of fields, never their values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// No such tool.
    #[error("configurations of \"{got}\" are not known; known are {}", tools())]
    Tool {
        /// What was asked for.
        got: String,
    },
    /// An option that says nothing here.
    #[error("{option} says nothing of a configuration of {tool}; leave it out")]
    Option {
        /// The tool.
        tool: Tool,
        /// The option.
        option: &'static str,
    },
    /// An option that is needed.
    #[error("{option} is needed for {tool}: {why}")]
    NeedsOption {
        /// The tool.
        tool: Tool,
        /// The option.
        option: &'static str,
        /// What it decides.
        why: &'static str,
    },
    /// Longer than any configuration.
    #[error("{got} bytes are too many for a configuration, which has at most {most}")]
    Size {
        /// Its bytes.
        got: usize,
        /// The most.
        most: usize,
    },
    /// Not in the format that it seems to be in.
    #[error("not {format}: line {line}, column {column}: {why}")]
    Syntax {
        /// The format.
        format: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// Nested too deep.
    #[error("values are nested more than {most} deep, which no configuration is")]
    Depth {
        /// The deepest.
        most: usize,
    },
    /// Too many fields.
    #[error("there are more than {most} fields, which no configuration has")]
    Fields {
        /// The most.
        most: usize,
    },
    /// Which of the two is meant?
    #[error("{field} is there twice; leave one of them out")]
    Twice {
        /// The field.
        field: String,
    },
    /// Not names and values.
    #[error(
        "this is no configuration of {tool}: names and values are expected, as that tool takes them"
    )]
    NoFields {
        /// The tool.
        tool: Tool,
    },
    /// A file of transformers without a mark.
    #[error(
        "this file describes no watermark: neither watermarking_config nor one of its fields is in it; give watermarking_config.json, or the generation_config.json of a run that marked"
    )]
    NoMark,
    /// A field that the tool does not have.
    #[error(
        "{tool} has no field {field}; is it a configuration of another tool, or of another version?"
    )]
    Unknown {
        /// The tool.
        tool: Tool,
        /// The field.
        field: String,
    },
    /// A field that must be there.
    #[error("{field} is missing, without which text of {tool} cannot be read; add it to the file")]
    Missing {
        /// The tool.
        tool: Tool,
        /// The field.
        field: &'static str,
    },
    /// A value of the wrong type or outside its range.
    #[error("{field} of {tool} must be {wanted}")]
    Value {
        /// The tool.
        tool: Tool,
        /// The field.
        field: &'static str,
        /// What it may be.
        wanted: String,
    },
    /// Two fields that contradict each other.
    #[error("{one} and {other} contradict each other: {why}")]
    Contradiction {
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Lists of a GPU's generator.
    #[error(
        "lists that {tool} drew on a CUDA generator cannot be read here, because that generator is another one; generate with the model on the CPU, or with an engine whose draws do not depend on the device (vllm, sglang, synthid with --hash iv, or touchmark itself)"
    )]
    Cuda {
        /// The tool.
        tool: Tool,
    },
    /// Another number of keys than the scheme has.
    #[error("the configuration has {} keys, but its scheme has {}", count(*got), count(*needed))]
    KeyLength {
        /// How many the scheme has.
        needed: Option<usize>,
        /// How many there are.
        got: Option<usize>,
    },
    /// Not a scheme of this version.
    #[error("its mark cannot be expressed here: {0}")]
    Scheme(toml::de::Error),
    /// A parameter outside the range that can be read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

fn tools() -> String {
    let names: Vec<&str> = Tool::ALL.iter().map(|tool| tool.name()).collect();
    one_of(&names)
}

fn count(keys: Option<usize>) -> String {
    keys.map_or_else(|| "none".to_owned(), |count| count.to_string())
}
