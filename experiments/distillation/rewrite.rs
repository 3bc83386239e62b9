//! Rows that another model went over.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use touchmark::engine::Decoder;
use touchmark::lm::{Chunk, LanguageModel, SeqId, Want};
use touchmark::sampling::Noise;
use touchmark::tokens::TokenId;

use super::{Flags, lines};

const BATCH: usize = 32;
/// Tokens with a meaning of their own, which are never drawn.
const SPECIAL: usize = 4;

/// Goes over the rows of `--from`: from left to right each token stays, or is, with probability `--share`, drawn anew by `--by`
/// from what that model expects after what now stands left of it.
pub fn write(path: &Path, flags: &Flags) {
    if path.exists() {
        return println!("{} exists", path.display());
    }
    touchmark::engine::set_threads(flags.number("threads", 1));
    let from = PathBuf::from(flags.needed("from"));
    let by = PathBuf::from(flags.needed("by"));
    let share = flags.number("share", 0.5);
    let mut model = Decoder::from_dir(&by).unwrap();
    let mut text = String::new();
    let rows = lines(&from);
    for (number, rows) in rows.chunks(BATCH).enumerate() {
        let first = (number * BATCH) as u64;
        for (row, ids) in rows.iter().zip(anew(&mut model, rows, share, first)) {
            text += &format!("{}\n", json!({ "prompt_ids": row["prompt_ids"], "ids": ids }));
        }
    }
    let mut settings: Value =
        serde_json::from_slice(&std::fs::read(from.with_extension("json")).unwrap()).unwrap();
    let name = by.file_name().unwrap().to_string_lossy();
    settings["rewritten"] = json!({ "by": name, "share": share });
    std::fs::write(path.with_extension("json"), format!("{settings:#}\n")).unwrap();
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// All rows advance together, one token a step.
fn anew(model: &mut Decoder, rows: &[Value], share: f64, first: u64) -> Vec<Vec<TokenId>> {
    let ids = |row: &Value, field: &str| {
        serde_json::from_value::<Vec<TokenId>>(row[field].clone()).unwrap()
    };
    let before: Vec<_> = rows.iter().map(|row| ids(row, "ids")).collect();
    let mut noise: Vec<_> = (first..).take(rows.len()).map(|row| Noise::new(1, row)).collect();
    let open: Vec<SeqId> = rows.iter().map(|_| model.open().unwrap()).collect();
    let mut next: Vec<_> = rows.iter().map(|row| ids(row, "prompt_ids")).collect();
    let mut after = vec![Vec::new(); rows.len()];
    let length = before.iter().map(Vec::len).max().unwrap();
    for at in 0..length {
        let going: Vec<usize> = (0..rows.len()).filter(|&row| at < before[row].len()).collect();
        let chunk = |&row: &usize| Chunk { seq: open[row], ids: &next[row], want: Want::Last };
        let work: Vec<Chunk<'_>> = going.iter().map(chunk).collect();
        let mut chosen = vec![0; rows.len()];
        let mut choose = |number: usize, _: usize, logits: &[f32]| {
            let row = going[number];
            let noise = &mut noise[row];
            let stays = noise.uniform() >= share;
            chosen[row] = if stays { before[row][at] } else { drawn(logits, noise.uniform()) };
        };
        model.step(&work, &mut choose).unwrap();
        for row in going {
            after[row].push(chosen[row]);
            next[row] = vec![chosen[row]];
        }
    }
    open.into_iter().for_each(|seq| model.close(seq));
    after
}

/// A token at temperature 1.
fn drawn(logits: &[f32], uniform: f64) -> TokenId {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: &f32| f64::from((logit - most).exp());
    let mut left = uniform * logits[SPECIAL..].iter().map(weight).sum::<f64>();
    let mut last = SPECIAL;
    for (token, logit) in logits.iter().enumerate().skip(SPECIAL) {
        last = token;
        left -= weight(logit);
        if left < 0.0 {
            break;
        }
    }
    last as TokenId
}
