//! A document with the tokens that speak for the mark.

use std::collections::HashSet;

use touchmark::detect::{Detection, Detector};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, Tokenize};

use crate::output::Highlight;

/// The document, tokens that speak for the mark highlighted and marked passages underlined.
pub fn explain(
    text: Option<&str>,
    encoding: &Encoding,
    tokenizer: &HfTokenizer,
    detector: &Detector,
    found: &Detection,
) -> anyhow::Result<String> {
    if let Some(text) = text {
        return Ok(highlighted(text, encoding, detector, found));
    }
    let highlight = Highlight::for_stdout();
    let (speaking, mut shown, mut before) = (speaking(detector, found), String::new(), false);
    for (at, id) in encoding.ids.iter().enumerate() {
        let inside = is_inside(found, at);
        shown.push_str(highlight.boundary(before, inside));
        let token = tokenizer.decode(&[*id])?;
        shown.push_str(&highlight.token(&token, speaking.contains(&at), inside));
        before = inside;
    }
    shown.push_str(highlight.boundary(before, false));
    Ok(shown)
}

/// Whether a token lies in a marked passage.
fn is_inside(found: &Detection, token: usize) -> bool {
    found.passages.iter().any(|passage| passage.tokens.contains(&token))
}

/// Positions whose evidence is notable.
pub fn speaking(detector: &Detector, found: &Detection) -> HashSet<usize> {
    let notable = detector.watermark().null().notable();
    let evidence = found.evidence.positions.iter().zip(&found.evidence.values);
    evidence
        .filter(|(_, value)| **value > notable)
        .map(|(&position, _)| position as usize)
        .collect()
}

/// A text, tokens that speak for the mark highlighted and marked passages underlined.
pub fn highlighted(
    text: &str,
    encoding: &Encoding,
    detector: &Detector,
    found: &Detection,
) -> String {
    let highlight = Highlight::for_stdout();
    let speaking = speaking(detector, found);
    let (mut shown, mut end, mut before) = (String::new(), 0, false);
    for (position, bytes) in encoding.bytes.iter().enumerate() {
        // Tokens that share a character's bytes overlap; each byte is shown once.
        let (start, stop) = (bytes.start.max(end), bytes.end.max(end));
        if let (Some(gap), Some(token)) = (text.get(end..start), text.get(start..stop)) {
            let inside = is_inside(found, position);
            shown.push_str(gap);
            let visible = token.trim_start();
            let (space, visible) = token.split_at(token.len() - visible.len());
            shown.push_str(highlight.boundary(before, before && inside));
            let spanned = before && inside && !space.is_empty();
            shown.push_str(&highlight.token(space, false, spanned));
            shown.push_str(highlight.boundary(before && inside, inside));
            if !visible.is_empty() {
                shown.push_str(&highlight.token(visible, speaking.contains(&position), inside));
            }
            (end, before) = (stop, inside);
        }
    }
    shown.push_str(highlight.boundary(before, false));
    shown.push_str(text.get(end..).unwrap_or_default());
    shown
}
