//! How long it takes.

use std::time::{Duration, Instant};

use crate::tokens::TokenId;
use crate::watermark::{Text, Watermark};

/// Long enough for a clock.
const AT_LEAST: Duration = Duration::from_millis(300);

/// Tokens scored a second on this core: texts over and over, each under its key, what is kept between calls warm.
pub(super) fn scored_per_second(marks: &[Watermark], texts: &[Vec<TokenId>]) -> f64 {
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    // Entropies that let every position count: what is timed is the scoring.
    let entropies = vec![f64::MAX; longest];
    let (began, mut tokens) = (Instant::now(), 0_usize);
    loop {
        for (mark, ids) in marks.iter().zip(texts) {
            std::hint::black_box(mark.score_text(&Text::gated(ids, &entropies[..ids.len()])));
            tokens += ids.len();
            if began.elapsed() >= AT_LEAST {
                return tokens as f64 / began.elapsed().as_secs_f64();
            }
        }
    }
}
