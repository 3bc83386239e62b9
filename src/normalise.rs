//! Undoes common damage to texts, so that they encode to the tokens they were written with.
//!
//! A mark lives in tokens, and a text that passed through a web page, a word processor or a mail is other bytes: `“` for
//! `"`, `&amp;` for `&`, lines cut at 72 columns. [`normalise`] turns such a text back to what a model most likely wrote.
//! It may be wrong, so a detector looks at the text both as it is and normalised, and pays for two looks. Whether the two
//! differ depends on the text alone, never on a key, so a text that needs no repair pays nothing.
//!
//! # Version 1
//!
//! In this order:
//! 1. Line ends are `\n`. Character references of HTML (`&amp;` `&lt;` `&gt;` `&quot;` `&apos;` `&nbsp;`, and by number) are
//!    their characters, once.
//! 2. Unicode's composed form (NFC); the ligatures ﬀ ﬁ ﬂ ﬃ ﬄ are letters.
//! 3. Zero-width space, word joiner, byte order mark and soft hyphen are dropped. Spaces of other widths are spaces.
//! 4. `‘ ’ ‚ ‛` are `'`, `“ ” „ ‟` are `"`, `‐ ‑` are `-`, `…` is `...`. A bullet `•` that begins a line is `-`.
//! 5. Spaces at the ends of lines are dropped, several within a line are one, more than one empty line is one.
//! 6. The lines of a paragraph are joined if it was wrapped: it has no line that begins as a list, a heading, a quotation
//!    or indented code does, its longest line has 40 to 120 characters, and no line had room for the next line's first word.
//!
//! What formatting dropped altogether (`**`, `#`) cannot be brought back.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The version of the rules, for reports.
pub const VERSION: &str = "v1";

/// The text without the damage; `None` if it has none.
///
/// ```
/// use touchmark::normalise::normalise;
///
/// assert_eq!(normalise("“It’s 5&nbsp;o’clock”").as_deref(), Some("\"It's 5 o'clock\""));
/// assert_eq!(normalise("plain"), None);
/// ```
pub fn normalise(text: &str) -> Option<String> {
    traced(text).map(|normalised| normalised.text)
}

/// The same, and which byte of the damaged text each byte comes from.
///
/// ```
/// use touchmark::normalise::traced;
///
/// let damaged = "It’s 5&nbsp;o’clock";
/// let normalised = traced(damaged).unwrap();
/// assert_eq!(normalised.text, "It's 5 o'clock");
/// assert_eq!(&damaged[normalised.origin(7)..], "o’clock");
/// ```
pub fn traced(text: &str) -> Option<Normalised<'_>> {
    let lines = unix_lines(text);
    let characters = unescaped(&lines.text);
    let composed = composed(&characters.text);
    let mut repaired = Stage::default();
    for character in composed.text.chars() {
        repaired.replace(character.len_utf8(), |out| plain(character, out));
    }
    let spaced = spaced(&repaired.text);
    // A blank for a line end moves nothing.
    let joined = spaced.text.split("\n\n").map(unwrapped).collect::<Vec<_>>().join("\n\n");
    let stages = [spaced.steps, repaired.steps, composed.steps, characters.steps, lines.steps];
    (joined != text).then_some(Normalised { text: joined, damaged: text, stages })
}

/// A repaired text.
#[derive(Clone, Debug)]
pub struct Normalised<'a> {
    /// The text.
    pub text: String,
    damaged: &'a str,
    /// Where each stage moved text to, the last stage first.
    stages: [Steps; 5],
}

impl Normalised<'_> {
    /// The byte of the damaged text that a byte of the text comes from, or its end comes from the end; the first byte of a
    /// character always.
    pub fn origin(&self, byte: usize) -> usize {
        let origin = self.stages.iter().fold(byte, |byte, stage| stage.origin(byte));
        let mut origin = origin.min(self.damaged.len());
        while !self.damaged.is_char_boundary(origin) {
            origin -= 1;
        }
        origin
    }
}

/// Pairs of a position in a new text and the one in the old text that it comes from, wherever the distance changes.
#[derive(Clone, Debug, Default)]
struct Steps(Vec<(usize, usize)>);

impl Steps {
    fn origin(&self, new: usize) -> usize {
        let next = self.0.partition_point(|&(at, _)| at <= new);
        let (at, old) = next.checked_sub(1).and_then(|last| self.0.get(last)).unwrap_or(&(0, 0));
        let origin = old + (new - at);
        self.0.get(next).map_or(origin, |&(_, next)| origin.min(next))
    }
}

/// A text being rewritten.
#[derive(Default)]
struct Stage {
    text: String,
    /// How much of the old text has been read.
    read: usize,
    steps: Steps,
}

impl Stage {
    /// Takes text over as it is.
    fn keep(&mut self, text: &str) {
        self.text.push_str(text);
        self.read += text.len();
    }

    /// Reads `length` bytes of the old text, for which `write` writes others.
    fn replace(&mut self, length: usize, write: impl FnOnce(&mut String)) {
        let before = self.text.len();
        write(&mut self.text);
        self.read += length;
        if self.text.len() - before != length {
            self.steps.0.push((self.text.len(), self.read));
        }
    }
}

/// Line ends of Unix.
fn unix_lines(text: &str) -> Stage {
    let mut out = Stage::default();
    let mut rest = text;
    while let Some(at) = rest.find('\r') {
        out.keep(&rest[..at]);
        let length = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        out.replace(length, |out| out.push('\n'));
        rest = &rest[at + length..];
    }
    out.keep(rest);
    out
}

/// Replaces character references.
fn unescaped(text: &str) -> Stage {
    let mut out = Stage::default();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.keep(&rest[..at]);
        rest = &rest[at..];
        let length = match reference(rest) {
            Some((character, length)) => {
                out.replace(length, |out| out.push(character));
                length
            }
            None => {
                out.keep("&");
                1
            }
        };
        rest = &rest[length..];
    }
    out.keep(rest);
    out
}

/// NFC. An ASCII character never joins what stands before it, so what lies between two is composed alone.
fn composed(text: &str) -> Stage {
    let mut out = Stage::default();
    if is_nfc(text) {
        out.keep(text);
        return out;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let next = rest.bytes().skip(1).position(|byte| byte.is_ascii());
        let (run, after) = rest.split_at(next.map_or(rest.len(), |next| next + 1));
        out.replace(run.len(), |out| out.extend(run.nfc()));
        rest = after;
    }
    out
}

/// The reference that a text begins with, and its length.
fn reference(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(LONGEST_REFERENCE).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let value = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(value).filter(|c| !c.is_control() || *c == '\n' || *c == '\t')?
        }
    };
    Some((character, end + 1))
}

const LONGEST_REFERENCE: usize = 10;

/// Adds what a character most likely was.
fn plain(character: char, out: &mut String) {
    match character {
        '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}' => {}
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => out.push(' '),
        '\u{2018}'..='\u{201B}' => out.push('\''),
        '\u{201C}'..='\u{201F}' => out.push('"'),
        '\u{2010}' | '\u{2011}' => out.push('-'),
        '…' => out.push_str("..."),
        'ﬀ' => out.push_str("ff"),
        'ﬁ' => out.push_str("fi"),
        'ﬂ' => out.push_str("fl"),
        'ﬃ' => out.push_str("ffi"),
        'ﬄ' => out.push_str("ffl"),
        '•' if out.rsplit('\n').next().is_none_or(|line| line.trim().is_empty()) => out.push('-'),
        other => out.push(other),
    }
}

/// Single spaces within lines, none at their ends, at most one empty line.
fn spaced(text: &str) -> Stage {
    let mut out = Stage::default();
    let mut empty = 0;
    for (number, line) in text.split('\n').enumerate() {
        let body = line.trim_end_matches([' ', '\t']);
        empty = if body.is_empty() { empty + 1 } else { 0 };
        if empty > 1 {
            out.replace(1 + line.len(), |_| {});
            continue;
        }
        if number > 0 {
            out.keep("\n");
        }
        let indent = body.len() - body.trim_start_matches([' ', '\t']).len();
        out.keep(&body[..indent]);
        let mut after_space = false;
        for character in body[indent..].chars() {
            let dropped = after_space && character == ' ';
            let write = |out: &mut String| {
                if !dropped {
                    out.push(character)
                }
            };
            out.replace(character.len_utf8(), write);
            after_space = character == ' ';
        }
        out.replace(line.len() - body.len(), |_| {});
    }
    // The end of the text is not the end of a line: a space there is the first half of the next word.
    let tail = text.len() - text.trim_end_matches(' ').len();
    if tail > 0 && !text.trim_end_matches(' ').ends_with('\n') {
        out.replace(0, |out| out.push(' '));
    }
    out
}

/// Joins the lines of a paragraph that was wrapped.
fn unwrapped(paragraph: &str) -> String {
    let lines: Vec<&str> = paragraph.split('\n').collect();
    let length = |line: &str| line.chars().count();
    let longest = lines.iter().map(|line| length(line)).max().unwrap_or(0);
    let cut = |pair: &[&str]| {
        let next = pair[1].split(' ').next().unwrap_or_default();
        length(pair[0]) + 1 + length(next) > longest
    };
    let wrapped = lines.len() > 1
        && (40..=120).contains(&longest)
        && lines.iter().all(|line| is_prose(line))
        && lines.windows(2).all(cut);
    if wrapped { lines.join(" ") } else { paragraph.to_owned() }
}

/// Whether a line may continue the line before.
fn is_prose(line: &str) -> bool {
    let first = line.chars().next();
    let marker = line.split(' ').next().unwrap_or_default();
    let numbered = marker.len() > 1
        && marker.ends_with(['.', ')'])
        && marker[..marker.len() - 1].bytes().all(|byte| byte.is_ascii_digit());
    let special = ["-", "*", "+", "|", "```"].iter().any(|mark| marker.starts_with(mark));
    first.is_some_and(|first| !matches!(first, ' ' | '\t' | '#' | '>')) && !numbered && !special
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn damage_is_undone() {
        for (damaged, plain) in [
            ("a\r\nb\rc", "a\nb\nc"),
            ("R&amp;D &lt;b&gt; &#8217;tis &#x41;", "R&D <b> 'tis A"),
            ("AT&T &nosuch; &#0; &", "AT&T &nosuch; &#0; &"),
            ("&amp;lt;", "&lt;"),
            ("so\u{AD}ft\u{200B} non\u{A0}break\u{202F}ing", "soft non break ing"),
            ("“Don’t”… e\u{301} ﬁn‑de‑siècle", "\"Don't\"... é fin-de-siècle"),
            ("list:\n• one\n  • two", "list:\n- one\n  - two"),
            ("5 • 6", "5 • 6"),
            ("two  spaces \nline", "two spaces\nline"),
            ("a\n\n\n\nb", "a\n\nb"),
            ("ends in a space  ", "ends in a space "),
            ("    code  kept", "    code kept"),
        ] {
            assert_eq!(normalise(damaged).as_deref().unwrap_or(damaged), plain);
        }
    }

    fn wrap(text: &str, width: usize) -> String {
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last_mut().unwrap();
            if line.is_empty() {
                line.push_str(word);
            } else if line.chars().count() + 1 + word.chars().count() <= width {
                line.push(' ');
                line.push_str(word);
            } else {
                lines.push(word.to_owned());
            }
        }
        lines.join("\n")
    }

    #[test]
    fn wrapped_prose_is_joined_and_lists_are_not() {
        let prose = "The lease begins on the first day of the month and ends when either party gives notice in \
                     writing, or when the house is sold, whichever comes first; nothing else ends it.";
        for width in [50, 60, 72, 80] {
            let wrapped = wrap(prose, width);
            assert_eq!(normalise(&wrapped).as_deref(), Some(prose), "{width}");
            let two = format!("{wrapped}\n\n{wrapped}");
            assert_eq!(normalise(&two), Some(format!("{prose}\n\n{prose}")));
        }
        for kept in [
            "- a list of things that are long enough to be wrapped\n- and another one of them here too",
            "A heading\n\nRoses are red,\nviolets are blue,\nsugar is sweet.",
            "1. first of several steps that should stay apart here\n2. second of several steps to stay apart",
            "short\nlines",
        ] {
            assert_eq!(normalise(kept), None, "{kept}");
        }
    }

    #[test]
    fn origins_are_the_same_words() {
        let damaged = "\u{FEFF}“One”\r\n\r\n\r\n two\u{A0}\u{A0}three &amp; fo\u{AD}ur… cafe\u{301} ﬁve  \r\nsix";
        let normalised = traced(damaged).unwrap();
        assert_eq!(normalised.text, "\"One\"\n\n two three & four... café five\nsix");
        for (word, origin) in [
            ("One", "One"),
            ("two", "two"),
            ("three", "three"),
            ("& ", "&amp;"),
            ("four", "fo\u{AD}ur"),
            ("ur", "ur"),
            ("... ", "…"),
            (".. ", "…"),
            ("café", "cafe\u{301}"),
            ("five", "ﬁve"),
            ("six", "six"),
        ] {
            let byte = normalised.text.find(word).unwrap();
            assert!(damaged[normalised.origin(byte)..].starts_with(origin), "{word}");
        }
        assert_eq!(normalised.origin(normalised.text.len()), damaged.len());
    }

    proptest! {
        #[test]
        fn origins_never_go_back(text in "(\\PC|[a-z“” \u{A0}\u{AD}\u{301}\r\n•…&-]|&amp;|\r\n){0,80}") {
            if let Some(normalised) = traced(&text) {
                let origins = (0..=normalised.text.len()).map(|byte| normalised.origin(byte));
                let origins: Vec<usize> = origins.collect();
                prop_assert!(origins.is_sorted());
                prop_assert!(origins.iter().all(|&byte| text.is_char_boundary(byte)));
            }
        }

        #[test]
        fn runs_compose_as_the_whole(text in "([a-z]|\\PC|[\u{300}-\u{330}\u{958}\u{1100}-\u{11FF}]){0,40}") {
            prop_assert_eq!(composed(&text).text, text.nfc().collect::<String>());
        }

        /// What has been repaired needs no repair, but for references within references.
        #[test]
        fn once_is_enough(text in "[a-z“”’ \u{A0}\u{AD}\r\n•…-]{0,200}") {
            let once = normalise(&text).unwrap_or(text);
            prop_assert_eq!(normalise(&once), None);
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            normalise(&text);
        }
    }
}
