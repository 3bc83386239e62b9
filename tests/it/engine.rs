//! The engine against transformers' numbers, against itself, and against broken files.

// Helpers fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used, clippy::print_stdout)]

mod broken;
mod derived;
mod device;
mod families;
mod gguf;
mod parity;
mod same_bits;
mod tensors;
mod tiny;

use std::path::Path;

use touchmark::engine::Decoder;
use touchmark::lm::{Chunk, LanguageModel, SeqId, Want};
use touchmark::tokens::TokenId;

/// The bundled base model.
fn scribe() -> Decoder {
    Decoder::from_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m")).unwrap()
}

/// Appends `ids` to `seq` and returns the wanted rows.
fn append(model: &mut dyn LanguageModel, seq: SeqId, ids: &[TokenId], want: Want) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    let mut sink = |_: usize, _: usize, row: &[f32]| rows.push(row.to_vec());
    model.step(&[Chunk { seq, ids, want }], &mut sink).unwrap();
    rows
}

/// Logits after `ids`, as one prefill of a new sequence.
fn last_row(model: &mut Decoder, ids: &[TokenId]) -> Vec<f32> {
    let seq = model.open().unwrap();
    let row = append(model, seq, ids, Want::Last).remove(0);
    model.close(seq);
    row
}

/// Index of the greatest value; the lowest index on ties.
fn argmax(row: &[f32]) -> TokenId {
    let best = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    best.0 as TokenId
}
