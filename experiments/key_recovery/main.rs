//! How fast can keys of other tools be searched for, given one text that was marked with them? See `question.md`.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::profile::import::{DrawnOn, Options, Tool, read};
use touchmark::schemes::Spec;
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

type Failure = Box<dyn std::error::Error>;

/// A tool, its texts, its configuration, its key, how many of the key's bits its function reads, and how many keys to try.
const MARKS: [(Tool, &str, &str, u64, u32, u64); 3] = [
    (
        Tool::Vllm,
        "vllm_gumbel",
        "vllm_gumbel.watermark_config.json",
        0x1234_5678_9ABC_DEF0,
        64,
        400_000,
    ),
    (
        Tool::SgLang,
        "sglang_gumbel",
        "sglang_gumbel.watermark_config.json",
        0x0123_4567_89AB_CDEF,
        64,
        400_000,
    ),
    (
        Tool::Transformers,
        "hf_kgw_lefthash",
        "hf_kgw_lefthash/watermarking_config.json",
        15_485_863,
        32,
        40_000,
    ),
];
/// A key goes on to more tokens where log₁₀ p of the first ones is at most this.
const STAGES: [(usize, f64); 3] = [(16, -2.0), (48, -4.0), (usize::MAX, -14.0)];
/// The searched keys before the right one: a share of all that the search does not know.
const BEFORE: f64 = 0.618;
const V: u32 = 8_192;

#[derive(Deserialize)]
struct Row {
    ids: Vec<TokenId>,
}

/// One mark without its key.
struct Mark {
    spec: Spec,
    repeats: Repeats,
    vocabulary: Vocabulary,
    law: Law,
}

impl Mark {
    /// Whether the text is as marked under a key as each stage asks.
    fn fits(&self, key: u64, ids: &[TokenId]) -> Result<bool, Failure> {
        let key = Key::of_numbers(vec![key])?;
        let mark =
            Watermark::new(&key, self.spec.prf(), &self.spec, &self.vocabulary, self.repeats)?;
        for (tokens, most) in STAGES {
            let evidence = mark.score(&ids[..tokens.min(ids.len())]);
            if self.law.tail(evidence.sum(), evidence.scored() as u64)?.log10() > most {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn main() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rows = Vec::new();
    for mark in MARKS {
        let row = search(&root.join("tests/it/golden/peers/texts"), mark)?;
        println!("{row}");
        rows.push(row);
    }
    let folder: PathBuf = root.join("experiments/key_recovery");
    let results = json!({"touchmark": env!("CARGO_PKG_VERSION"), "rows": rows});
    std::fs::write(folder.join("results.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    Ok(())
}

fn search(
    texts: &Path,
    (tool, name, configuration, right, bits, keys): (Tool, &str, &str, u64, u32, u64),
) -> Result<Value, Failure> {
    let configuration = std::fs::read_to_string(texts.join("configs").join(configuration))?;
    let options = Options { device: Some(DrawnOn::Cpu), ..Options::default() };
    let found = read(tool, &configuration, options)?;
    let vocabulary =
        Vocabulary { tokenizer: TokenizerHash([0; 32]), size: V, special: vec![0, 1, 2, 3] };
    let law = Law::new(
        Watermark::new(&found.key, found.spec.prf(), &found.spec, &vocabulary, found.repeats)?
            .null()
            .clone(),
    )?;
    let mark = Mark { spec: found.spec, repeats: found.repeats, vocabulary, law };
    let text = std::fs::read_to_string(texts.join(format!("{name}.jsonl")))?;
    let ids = text.lines().next().map(serde_json::from_str::<Row>).ok_or("no text")??.ids;
    let first = right - (BEFORE * keys as f64) as u64;
    let began = Instant::now();
    let mut fitting = Vec::new();
    for key in first..first + keys {
        if mark.fits(key, &ids)? {
            fitting.push(key);
        }
    }
    let per_second = keys as f64 / began.elapsed().as_secs_f64();
    let seconds = 2_f64.powi(bits as i32) / per_second;
    Ok(json!({
        "mark": name, "tokens": ids.len(), "keys": keys, "found": fitting == [right], "fitting": fitting.len(), "bits_read": bits,
        "keys_per_second": per_second, "core_hours_for_all": seconds / 3600.0,
    }))
}
