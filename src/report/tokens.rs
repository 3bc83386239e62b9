//! A text whose tokens are coloured by what they say.

use std::fmt::Write;
use std::ops::Range;

use super::escape::{Attribute, Text};
use super::words;
use crate::detect::{Piece, Segment, Shown};

/// The text as HTML.
pub(super) fn coloured(shown: &Shown, segments: &[Segment]) -> String {
    let passages = segments.iter().map(|segment| segment.start..segment.end).collect();
    let mut out = Coloured { shown, passages, html: String::new(), open: None, plain: false };
    let (mut token, mut byte) = (0, 0);
    for piece in &shown.pieces {
        if piece.tokens.start > token {
            out.leave(token);
            out.elide(piece.tokens.start - token);
            byte = piece.bytes.start;
        }
        out.between(byte..piece.bytes.start);
        out.passage(piece);
        out.piece(piece);
        (token, byte) = (piece.tokens.end, piece.bytes.end);
    }
    out.leave(token);
    if token < shown.total {
        out.elide(shown.total - token);
    } else {
        out.between(byte..shown.text.len());
        out.end_of_plain();
    }
    out.html
}

struct Coloured<'a> {
    shown: &'a Shown,
    passages: Vec<Range<usize>>,
    html: String,
    /// The passage that is being written, by its place.
    open: Option<usize>,
    /// Whether tokens that do not count are being written.
    plain: bool,
}

impl Coloured<'_> {
    fn push(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.html.write_fmt(what);
    }

    fn end_of_plain(&mut self) {
        if std::mem::take(&mut self.plain) {
            self.html.push_str("</span>");
        }
    }

    /// A piece's token, its leading blanks apart.
    fn token(&self, piece: &Piece) -> (&str, &str) {
        let token = self.shown.text.get(piece.bytes.clone()).unwrap_or_default();
        let visible = token.trim_start();
        if visible.is_empty() { ("", token) } else { token.split_at(token.len() - visible.len()) }
    }

    /// Writes a piece's leading blanks, and enters or leaves a passage after them.
    fn passage(&mut self, piece: &Piece) {
        let tokens = &piece.tokens;
        let inside = |range: &Range<usize>| range.start < tokens.end && tokens.start < range.end;
        let now = self.passages.iter().position(inside);
        if now != self.open {
            self.leave(tokens.start);
        }
        let blank = Text(self.token(piece).0).to_string();
        self.html.push_str(&blank);
        if now == self.open {
            return;
        }
        if let Some(at) = now {
            let number = at + 1;
            let sign = if self.passages[at].start >= tokens.start { "⟦" } else { "… " };
            self.push(format_args!("<b class=\"edge\">{sign}{number}</b><span class=\"passage\">"));
            self.open = now;
        }
    }

    /// Ends the passage that is being written: at its end, or before a part that is left out.
    fn leave(&mut self, next: usize) {
        self.end_of_plain();
        if let Some(at) = self.open.take() {
            let sign = if self.passages[at].end <= next { "⟧" } else { " …" };
            self.push(format_args!("</span><b class=\"edge\">{}{sign}</b>", at + 1));
        }
    }

    fn elide(&mut self, tokens: usize) {
        let words = words::many(tokens as u64, "token", "tokens");
        self.push(format_args!("<span class=\"left-out\">… {words} left out …</span>"));
    }

    /// What stands between tokens.
    fn between(&mut self, bytes: Range<usize>) {
        let shown = self.shown;
        let text = shown.text.get(bytes).unwrap_or_default();
        self.push(format_args!("{}", Text(text)));
    }

    /// What of a piece can be seen.
    fn piece(&mut self, piece: &Piece) {
        let shown = self.shown;
        let token = shown.text.get(piece.bytes.clone()).unwrap_or_default();
        let visible = Text(self.token(piece).1).to_string();
        let Some(evidence) = piece.evidence else {
            if !std::mem::replace(&mut self.plain, true) {
                self.html.push_str("<span class=\"u\">");
            }
            self.html.push_str(&visible);
            return;
        };
        self.end_of_plain();
        let (level, number) = (shown.level(piece), piece.tokens.start + 1);
        let (token, evidence) = (Attribute(token), (evidence * 100.0).round() / 100.0);
        self.push(format_args!(
            "<span class=\"e{level}\" title=\"token {number} “{token}”: evidence {evidence}\">{visible}</span>"
        ));
    }
}
