//! Words that a model takes for alike.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};
use touchmark::attack::Thesaurus;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};

use super::{tensors, tokenizer_file};
use crate::args::Global;

/// Words that are looked at: the first ones of a tokenizer are the most frequent.
const WORDS: usize = 8_000;
/// Neighbours of each.
const NEAREST: usize = 5;
/// What tables of embeddings are called in files of models.
const TABLES: [&str; 6] =
    ["embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings", "token_embd"];

/// For each word that is one token its neighbours in the model's table of embeddings.
pub fn neighbours(global: &Global, name: &Path) -> anyhow::Result<Thesaurus> {
    let shown = name.display();
    let tokenizer = HfTokenizer::from_bytes(&tokenizer_file(global, name, None)?)?;
    let (_, source) = tensors(global, name)?;
    let is_table = |name: &str| name.split('.').any(|part| TABLES.contains(&part));
    let table = source.tensors().iter().find(|it| it.shape.len() == 2 && is_table(&it.name));
    let table =
        table.with_context(|| format!("{shown} has no table of embeddings by a known name"))?;
    let (mut words, mut vectors) = (Vec::new(), Vec::new());
    let (mut seen, mut row) = (BTreeSet::new(), Vec::new());
    for id in 0..table.rows() {
        let Some(word) = word(&tokenizer, id as TokenId) else { continue };
        if seen.insert(word.to_lowercase()) {
            source.read(&table.name, id..id + 1, &mut row)?;
            vectors.extend_from_slice(&row);
            words.push(word);
        }
        if words.len() == WORDS {
            break;
        }
    }
    ensure!(words.len() > NEAREST, "{shown} has no tokens that are words");
    Ok(Thesaurus::of_neighbours(&words, &vectors, NEAREST))
}

/// The word of three letters or more that this token is.
fn word(tokenizer: &HfTokenizer, id: TokenId) -> Option<String> {
    let text = tokenizer.decode(&[id]).ok()?;
    let word = text.trim();
    let letters = word.chars().count() >= 3 && word.chars().all(char::is_alphabetic);
    // Within a text, a word is written with the blank before it; some tokenizers put one before every text.
    let is_it = |text: &str| tokenizer.encode(text).is_ok_and(|encoded| encoded.ids == [id]);
    (letters && (is_it(&format!(" {word}")) || is_it(word))).then(|| word.to_owned())
}
