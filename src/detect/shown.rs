//! A text with what each of its tokens says, for people to look at.

use std::ops::Range;

use super::Detector;
use crate::schemes::Null;
use crate::stats::LogP;
use crate::watermark::Evidence;

/// A text as it was read, or excerpts of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The text.
    pub text: String,
    /// Its tokens in order. Where one does not begin at the token that the one before ends at, text was left out.
    pub pieces: Vec<Piece>,
    /// Tokens of the whole text.
    pub total: usize,
    /// From which evidence on a token speaks for the mark: [`Detector::steps`].
    pub steps: [f64; 3],
}

/// A token, or several that share the bytes of one character.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Which tokens of the text.
    pub tokens: Range<usize>,
    /// Which bytes of [`Shown::text`]; not empty, on characters' boundaries, and after those of the piece before.
    pub bytes: Range<usize>,
    /// The evidence, the largest where there are several tokens; none where no token counts.
    pub evidence: Option<f64>,
}

impl Shown {
    /// A text and its tokens' bytes, with the evidence found in it.
    pub fn new(text: String, bytes: &[Range<usize>], evidence: &Evidence, steps: [f64; 3]) -> Self {
        let mut values = evidence.positions.iter().zip(&evidence.values).peekable();
        let mut pieces: Vec<Piece> = Vec::with_capacity(bytes.len());
        // Tokens whose bytes end within a character wait for the one that ends it.
        let (mut first, mut from, mut waiting, mut end) = (0, None, None, 0);
        for (token, range) in bytes.iter().enumerate() {
            let value = values.next_if(|(at, _)| **at as usize == token).map(|(_, &value)| value);
            let most = larger(waiting, value);
            let (start, stop) = (from.unwrap_or(range.start).max(end), range.end.max(end));
            let tokens = first..token + 1;
            match (text.get(start..stop), pieces.last_mut()) {
                // Each byte is shown once.
                (Some(""), Some(last)) => {
                    last.tokens.end = tokens.end;
                    last.evidence = larger(last.evidence, most);
                }
                (Some(""), None) | (None, _) => {
                    (from, waiting) = (Some(start), most);
                    continue;
                }
                (Some(_), _) => {
                    pieces.push(Piece { tokens, bytes: start..stop, evidence: most });
                }
            }
            (first, from, waiting, end) = (token + 1, None, None, stop);
        }
        if let Some(last) = pieces.last_mut() {
            last.tokens.end = bytes.len();
        }
        Self { text, pieces, total: bytes.len(), steps }
    }

    /// How much a piece speaks for the mark, from 0 to 3: by the first step on, unmarked text says as much in about a quarter
    /// of its tokens or fewer, by the others in one of 20 and one of 100.
    pub fn level(&self, piece: &Piece) -> usize {
        let reached = |value: f64| self.steps.iter().filter(|&&step| value >= step).count();
        piece.evidence.map_or(0, reached)
    }

    /// At most about `most` tokens: all, or the passages with what stands around them, or the beginning where there are none. Of
    /// passages that are too long the middle is left out.
    #[must_use]
    pub fn excerpt(self, passages: &[Range<usize>], most: usize) -> Self {
        let tokens = |piece: &Piece| piece.tokens.len();
        if self.pieces.iter().map(tokens).sum::<usize>() <= most {
            return self;
        }
        let start = [Range { start: 0, end: most }];
        let around = passages.iter().take(most.div_ceil(4 * AROUND).max(1));
        let wanted: Vec<Range<usize>> = if passages.is_empty() {
            start.into()
        } else {
            let share = most / around.len();
            around.flat_map(|passage| ends_of(passage, share)).collect()
        };
        let keep = |piece: &Piece| wanted.iter().any(|range| overlap(range, &piece.tokens));
        let (mut text, mut pieces, mut before) = (String::new(), Vec::new(), None);
        for piece in self.pieces.iter().filter(|&piece| keep(piece)) {
            let adjoins =
                before.is_some_and(|before: &Piece| before.tokens.end == piece.tokens.start);
            if let Some(before) = before.filter(|_| adjoins) {
                text.push_str(
                    self.text.get(before.bytes.end..piece.bytes.start).unwrap_or_default(),
                );
            }
            let at = text.len();
            text.push_str(self.text.get(piece.bytes.clone()).unwrap_or_default());
            pieces.push(Piece { bytes: at..text.len(), ..piece.clone() });
            before = Some(piece);
        }
        Self { text, pieces, ..self }
    }
}

/// Tokens shown before and after a passage.
const AROUND: usize = 40;

/// A passage with its surroundings, or the ends of one that is longer than `share`.
fn ends_of(passage: &Range<usize>, share: usize) -> Vec<Range<usize>> {
    let whole = passage.start.saturating_sub(AROUND)..passage.end + AROUND;
    if whole.len() <= share {
        return vec![whole];
    }
    let half = (share / 2).max(1);
    vec![whole.start..whole.start + half, whole.end - half..whole.end]
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (one, other) => one.or(other),
    }
}

impl Detector {
    /// From which evidence on a token speaks for the mark: what unmarked text exceeds in about a quarter of its tokens or fewer,
    /// in one of 20 at most, in one of 100 at most. Infinite where no token says so much. For display only.
    pub fn steps(&self) -> [f64; 3] {
        let rarer = |p: f64| {
            LogP::from_p(p).map_or(f64::INFINITY, |threshold| self.law.critical(1, threshold))
        };
        [self.law.null().notable().next_up(), rarer(0.05), rarer(0.01)]
    }

    /// log₁₀ of the corrected p-value to expect of `scored` tokens whose mean evidence is the reference's, all read in one way;
    /// none without a reference, or where tokens have no law of their own.
    pub fn expected_log10_p(&self, scored: u64) -> Option<f64> {
        let reference = self.reference.as_ref()?;
        if matches!(self.law.null(), Null::OfText) {
            return None;
        }
        let messages = f64::from(self.watermark.payload_bits().unwrap_or(0)).exp2();
        let looks =
            if self.windows.grid(scored as usize, scored as usize).is_some() { 2.0 } else { 1.0 };
        let p = self.law.tail(reference.mean * scored as f64, scored).ok()?;
        Some(p.times(self.family.size() * looks * messages).log10())
    }

    /// Where the strength that [`expected_log10_p`](Self::expected_log10_p) supposes comes from, in words.
    pub fn reference_source(&self) -> Option<&str> {
        self.reference.as_ref().map(|reference| reference.source.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, bytes: &[Range<usize>], values: &[(u32, f64)]) -> Shown {
        let (positions, values) = values.iter().copied().unzip();
        let evidence = Evidence { positions, values, total: bytes.len(), ..Evidence::default() };
        Shown::new(text.to_owned(), bytes, &evidence, [0.5, 2.0, f64::INFINITY])
    }

    fn told(shown: &Shown) -> Vec<(&str, Range<usize>, usize)> {
        let of = |piece: &Piece| {
            (&shown.text[piece.bytes.clone()], piece.tokens.clone(), shown.level(piece))
        };
        shown.pieces.iter().map(of).collect()
    }

    #[test]
    fn tokens_of_one_character_are_one_piece() {
        // Byte tokens that tell their own bytes, and those that tell the whole character's.
        let own = [0..1, 1..2, 2..4, 4..5];
        let whole = [0..1, 1..4, 1..4, 4..5];
        for bytes in [own, whole] {
            let shown = shown("a€b", &bytes, &[(1, 3.0), (2, 0.0), (3, 1.0)]);
            assert_eq!(told(&shown), [("a", 0..1, 0), ("€", 1..3, 2), ("b", 3..4, 1)]);
        }
    }

    #[test]
    fn excerpts_keep_passages_and_what_stands_between_tokens() {
        let text = "a ".repeat(1_000);
        let bytes: Vec<Range<usize>> = (0..1_000).map(|at| 2 * at..2 * at + 1).collect();
        let shown = shown(&text, &bytes, &[(500, 1.0)]);
        assert_eq!(shown.clone().excerpt(&[], 1_000), shown);
        let start = shown.clone().excerpt(&[], 10);
        assert_eq!(start.text, "a a a a a a a a a a");
        let passage = shown.clone().excerpt(std::slice::from_ref(&(500..510)), 200);
        assert_eq!(passage.pieces.len(), 10 + 2 * AROUND);
        assert_eq!(passage.pieces[0].tokens, 460..461);
        assert_eq!((passage.total, passage.level(&passage.pieces[40])), (1_000, 1));
        let long = shown.excerpt(std::slice::from_ref(&(100..900)), 200);
        let tokens: Vec<usize> = long.pieces.iter().map(|piece| piece.tokens.start).collect();
        assert!(tokens.iter().copied().eq((60..160).chain(840..940)), "{tokens:?}");
        assert_eq!(long.text.matches("a ").count(), 198);
    }
}
