//! Reads ids with a mark of another tool's configuration and prints how fast, as JSON: what `measure.py` compares with the
//! tool's own detector, which also is called with ids that are in memory.
//!
//! `peers_read TOOL CONFIGURATION V HASH FILE`: V the width of the logits, HASH `table`, `iv` or `-`, FILE lines of JSON with `ids`.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Instant;

use serde::Deserialize;
use touchmark::detect::Detector;
use touchmark::profile::import::{DrawnOn, Options, SynthIdHash, Tool, read};
use touchmark::stats::Family;
use touchmark::tokens::{TokenId, TokenizerHash};
use touchmark::watermark::{Text, Vocabulary, Watermark};

/// Passes over the file; the fastest is told. All but the first meet contexts whose lists are kept, as the tool does, which has read
/// the beginnings of the same texts before.
const PASSES: usize = 5;

#[derive(Deserialize)]
struct Row {
    ids: Vec<TokenId>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tool, configuration, size, hash, file] = arguments.as_slice() else {
        return Err("TOOL CONFIGURATION V HASH FILE are expected".into());
    };
    let tool: Tool = tool.parse()?;
    let hash = match hash.as_str() {
        "table" => Some(SynthIdHash::Table),
        "iv" => Some(SynthIdHash::Iv),
        _ => None,
    };
    let options = Options { hash, device: Some(DrawnOn::Cpu), ..Options::default() };
    let found = read(tool, &std::fs::read_to_string(configuration)?, options)?;
    let vocabulary = Vocabulary {
        tokenizer: TokenizerHash([0; 32]),
        size: size.parse()?,
        special: vec![0, 1, 2, 3],
    };
    let rows: Vec<Row> = std::fs::read_to_string(file)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let tokens: usize = rows.iter().map(|row| row.ids.len()).sum();
    let prf = found.spec.prf();
    let mark = Watermark::new(&found.key, prf, &found.spec, &vocabulary, found.repeats)?;
    let detector = Detector::new(mark, 1e-6, Family::one(), None)?;
    let starts = detector.watermark().starts();
    let mut seconds = Vec::new();
    for _ in 0..PASSES {
        let began = Instant::now();
        for Row { ids } in &rows {
            let texts: Vec<Text<'_>> =
                starts.iter().map(|&start| Text { ids, start, entropies: &[] }).collect();
            black_box(detector.best_of(&texts, starts.len() as u64)?);
        }
        seconds.push(began.elapsed().as_secs_f64());
    }
    let least = seconds.into_iter().fold(f64::INFINITY, f64::min);
    println!("{}", serde_json::json!({"tokens_per_second": tokens as f64 / least}));
    Ok(())
}
