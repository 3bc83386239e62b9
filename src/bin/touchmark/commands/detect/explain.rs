//! A document with the tokens that speak for the mark.

use std::ops::Range;

use touchmark::detect::{Detection, Detector, Shown};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, Tokenize};

use crate::output::Highlight;

/// The document as it was read, with what its tokens say. Where only ids were given, their texts one by one.
pub fn shown(
    text: Option<&str>,
    encoding: &Encoding,
    tokenizer: &HfTokenizer,
    detector: &Detector,
    found: &Detection,
) -> anyhow::Result<Shown> {
    let steps = detector.steps();
    if let Some(text) = text {
        return Ok(Shown::new(text.to_owned(), &encoding.bytes, &found.evidence, steps));
    }
    let (mut text, mut bytes) = (String::new(), Vec::with_capacity(encoding.ids.len()));
    for id in &encoding.ids {
        let start = text.len();
        text.push_str(&tokenizer.decode(&[*id])?);
        bytes.push(start..text.len());
    }
    Ok(Shown::new(text, &bytes, &found.evidence, steps))
}

/// A text, tokens that speak for the mark highlighted and marked passages underlined.
pub fn highlighted(shown: &Shown, passages: &[Range<usize>]) -> String {
    let highlight = Highlight::for_stdout();
    let (mut out, mut end, mut before) = (String::new(), 0, false);
    for piece in &shown.pieces {
        let part = |range| shown.text.get(range).unwrap_or_default();
        let (gap, token) = (part(end..piece.bytes.start), part(piece.bytes.clone()));
        let inside = passages.iter().any(|passage| passage.contains(&piece.tokens.start));
        let (space, visible) = token.split_at(token.len() - token.trim_start().len());
        out.push_str(gap);
        out.push_str(highlight.boundary(before, before && inside));
        out.push_str(&highlight.token(space, false, before && inside && !space.is_empty()));
        out.push_str(highlight.boundary(before && inside, inside));
        if !visible.is_empty() {
            out.push_str(&highlight.token(visible, shown.level(piece) > 0, inside));
        }
        (end, before) = (piece.bytes.end, inside);
    }
    out.push_str(highlight.boundary(before, false));
    out.push_str(shown.text.get(end..).unwrap_or_default());
    out
}

/// How many tokens speak for the mark.
#[cfg(bundled_models)]
pub fn speaking(detector: &Detector, found: &Detection) -> usize {
    let notable = detector.watermark().null().notable();
    found.evidence.values.iter().filter(|value| **value > notable).count()
}
