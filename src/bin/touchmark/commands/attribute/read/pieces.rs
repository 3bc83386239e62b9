//! The texts that models read, in pieces.

use std::path::PathBuf;

use anyhow::bail;
use touchmark::attribution::{AttributionError, Chosen, Text, Weighed};
use touchmark::corpus::Content;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, Tokenize};

use super::super::marked::Marked;
use crate::args::{Inputs, StdinFormat, attribute::Run};
use crate::commands::detect::documents;

/// Least share of the mark's boundaries that the suspect has too.
const COVERAGE: f64 = 0.5;

/// The texts in pieces: one of each text in turn, so that many texts take part, up to the number of tokens. `models` is the
/// tokenizer of the models, where it is not the mark's.
pub fn pieces(
    args: &Run,
    mark: &Marked,
    models: Option<&HfTokenizer>,
) -> anyhow::Result<Vec<Text>> {
    let documents = texts(&args.texts, mark)?;
    let size = args.piece as usize;
    let longest = documents.iter().map(|document| document.1.ids.len()).max().unwrap_or(0);
    let (mut pieces, mut left) = (Vec::new(), args.max_tokens as usize);
    'all: for start in (0..longest).step_by(size) {
        for document in documents.iter().filter(|it| it.1.ids.len() > start + mark.reach) {
            let end = document.1.ids.len().min(start + size.min(left));
            if end <= start + mark.reach {
                break 'all;
            }
            pieces.push(piece(document, start, end, models)?);
            left -= end - start;
        }
    }
    if pieces.is_empty() {
        bail!("the texts have no {} tokens in a row; give longer ones", mark.reach + 1);
    }
    covered(&pieces)?;
    Ok(pieces)
}

/// A document and its tokens.
type Read = (String, Encoding);

fn texts(paths: &[PathBuf], mark: &Marked) -> anyhow::Result<Vec<Read>> {
    let mut texts = Vec::new();
    for document in documents(&inputs(paths))? {
        let Content::Text(text) = document?.content else {
            bail!("models read texts; give the texts as text, not as token ids");
        };
        let encoding = mark.tokenizer.encode(&text)?;
        texts.push((text, encoding));
    }
    Ok(texts)
}

/// Files as `detect` reads them.
fn inputs(paths: &[PathBuf]) -> Inputs {
    Inputs {
        paths: paths.to_vec(),
        files_from: None,
        stdin_format: StdinFormat::default(),
        text_field: "text".to_owned(),
        id_field: "id".to_owned(),
        tokens_field: None,
        prompt_field: None,
        max_document: 64 << 20,
    }
}

fn piece(
    (text, encoding): &Read,
    start: usize,
    end: usize,
    models: Option<&HfTokenizer>,
) -> anyhow::Result<Text> {
    let ids = encoding.ids[start..end].to_vec();
    let Some(models) = models else { return Ok(Text::own(ids)) };
    let ranges = &encoding.bytes[start..end];
    let from = text.floor_char_boundary(ranges.first().map_or(0, |range| range.start));
    let to = text.ceil_char_boundary(ranges.last().map_or(from, |range| range.end));
    let shifted = ranges.iter().map(|range| range.start - from..range.end - from).collect();
    Ok(Text::cut(&text[from..to], &Encoding { ids, bytes: shifted }, models)?)
}

fn covered(pieces: &[Text]) -> Result<(), AttributionError> {
    let share = coverage(pieces);
    if share < COVERAGE {
        let (percent, least) = (100.0 * share, 100.0 * COVERAGE);
        return Err(AttributionError::Coverage { percent, least });
    }
    Ok(())
}

/// The share of the mark's boundaries that both tokenizers have.
pub fn coverage(pieces: &[Text]) -> f64 {
    let add = |sum: (u64, u64), one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1);
    let (both, all) = pieces.iter().map(Text::coverage).fold((0, 0), add);
    both as f64 / all.max(1) as f64
}

/// What the texts themselves say of the mark: the smallest p over the keys, corrected.
pub fn texts_p(mark: &Marked, pieces: &[Text]) -> anyhow::Result<f64> {
    let mut own = Chosen::new(mark.reach, false);
    for ids in pieces.iter().map(Text::marks_ids) {
        for position in mark.reach..ids.len() {
            own.note(&ids[..position], ids[position]);
        }
    }
    let transcript = own.transcript();
    let mut least = 0.0_f64;
    for (_, watermark) in &mark.keys {
        least = least.min(Weighed::new(&transcript, watermark)?.p()?.log10());
    }
    Ok((least + (mark.keys.len() as f64).log10()).clamp(-1e15, 0.0))
}
