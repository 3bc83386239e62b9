//! What planting costs: how much worse a model has become at ordinary text.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::lm::{Chunk, LanguageModel, Want};
use touchmark::tokens::{TokenId, Tokenize};

use crate::models::Model;

/// Positions a window, so that the text's beginning is not all that counts.
const WINDOW: usize = 256;

/// Mean loss on a text.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Tokens that were predicted.
    pub tokens: u64,
    /// Mean of −ln p.
    pub nats_per_token: f64,
    /// e to that.
    pub perplexity: f64,
}

/// The texts of a file: JSON lines with `text`, or the whole file.
pub fn texts(path: &Path) -> anyhow::Result<Vec<String>> {
    let whole =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if path.extension().is_none_or(|ending| ending != "jsonl") {
        return Ok(vec![whole]);
    }
    let text = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).ok()?;
        row["text"].as_str().map(str::to_owned)
    };
    let lines = (1..).zip(whole.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let missing = || format!("{}, line {number}: a row needs `text`", path.display());
            text(line).with_context(missing)
        })
        .collect()
}

/// Windows of tokens from texts, every document its share, up to `most` tokens.
pub fn windows(
    tokenizer: &dyn Tokenize,
    texts: &[String],
    most: usize,
) -> anyhow::Result<Vec<Vec<TokenId>>> {
    let share = (most / texts.len().max(1)).clamp(WINDOW.min(most), most);
    let mut out = Vec::new();
    let mut left = most;
    for text in texts {
        // Eight bytes a token are more than enough of a long document.
        let end = (0..=text.len().min(8 * share)).rev().find(|&at| text.is_char_boundary(at));
        let ids = tokenizer.encode(&text[..end.unwrap_or(0)])?.ids;
        for window in ids[..ids.len().min(share).min(left)].chunks(WINDOW) {
            if window.len() > 1 {
                left -= window.len();
                out.push(window.to_vec());
            }
        }
        if left < 2 {
            break;
        }
    }
    if out.is_empty() {
        bail!("the text is too short to measure anything; give a longer one");
    }
    Ok(out)
}

/// Mean loss over windows, each predicted from its own beginning.
pub fn cost(model: &mut Model, windows: &[Vec<TokenId>]) -> anyhow::Result<Cost> {
    let start = model.begin.first().or_else(|| model.ends.end.first()).copied();
    let (mut sum, mut tokens) = (0.0, 0u64);
    for window in windows {
        let ids: Vec<TokenId> = start.into_iter().chain(window.iter().copied()).collect();
        let fits = ids.len().min(model.lm.max_positions());
        sum += loss(model.lm.as_mut(), &ids[..fits])?;
        tokens += fits.saturating_sub(1) as u64;
    }
    let nats_per_token = sum / tokens as f64;
    Ok(Cost { tokens, nats_per_token, perplexity: nats_per_token.exp() })
}

fn loss(lm: &mut dyn LanguageModel, ids: &[TokenId]) -> anyhow::Result<f64> {
    let seq = lm.open()?;
    let mut sum = 0.0;
    let mut row = |_: usize, at: usize, logits: &[f32]| {
        if let Some(&next) = ids.get(at + 1) {
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = logits.iter().map(|&logit| f64::from(logit - highest).exp()).sum();
            sum += total.ln() - f64::from(logits[next as usize] - highest);
        }
    };
    let done = lm.step(&[Chunk { seq, ids, want: Want::All }], &mut row);
    lm.close(seq);
    done?;
    Ok(sum)
}
