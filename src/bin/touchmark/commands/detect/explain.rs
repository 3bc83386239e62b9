//! A document with the tokens that speak for the mark.

use std::collections::HashSet;

use touchmark::detect::{Detection, Detector};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, Tokenize};

use crate::output::Highlight;

/// The document, tokens that speak for the mark highlighted.
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
    let speaking = speaking(detector, found);
    let tokens = encoding.ids.iter().enumerate();
    tokens
        .map(|(at, id)| Ok(highlight.token(&tokenizer.decode(&[*id])?, speaking.contains(&at))))
        .collect()
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

/// A text, tokens that speak for the mark highlighted.
pub fn highlighted(
    text: &str,
    encoding: &Encoding,
    detector: &Detector,
    found: &Detection,
) -> String {
    let highlight = Highlight::for_stdout();
    let speaking = speaking(detector, found);
    let (mut shown, mut end) = (String::new(), 0);
    for (position, bytes) in encoding.bytes.iter().enumerate() {
        // Tokens that share a character's bytes overlap; each byte is shown once.
        let (start, stop) = (bytes.start.max(end), bytes.end.max(end));
        if let (Some(gap), Some(token)) = (text.get(end..start), text.get(start..stop)) {
            shown.push_str(gap);
            let visible = token.trim_start();
            shown.push_str(&token[..token.len() - visible.len()]);
            if !visible.is_empty() {
                shown.push_str(&highlight.token(visible, speaking.contains(&position)));
            }
            end = stop;
        }
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    shown
}
