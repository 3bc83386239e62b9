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

use unicode_normalization::UnicodeNormalization;

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
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let characters: String = unescaped(&lines).nfc().collect();
    let mut repaired = String::with_capacity(characters.len());
    for character in characters.chars() {
        plain(character, &mut repaired);
    }
    let spaced = spaced(&repaired);
    let joined = spaced.split("\n\n").map(unwrapped).collect::<Vec<_>>().join("\n\n");
    (joined != text).then_some(joined)
}

/// Replaces character references.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((character, len)) => {
                out.push(character);
                rest = &rest[len..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
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
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for (number, line) in text.split('\n').enumerate() {
        let body = line.trim_end_matches([' ', '\t']);
        empty = if body.is_empty() { empty + 1 } else { 0 };
        if empty > 1 {
            continue;
        }
        if number > 0 {
            out.push('\n');
        }
        let indent = body.len() - body.trim_start_matches([' ', '\t']).len();
        out.push_str(&body[..indent]);
        let mut after_space = false;
        for character in body[indent..].chars() {
            if !(after_space && character == ' ') {
                out.push(character);
            }
            after_space = character == ' ';
        }
    }
    // The end of the text is not the end of a line: a space there is the first half of the next word.
    let tail = text.len() - text.trim_end_matches(' ').len();
    if tail > 0 && !text.trim_end_matches(' ').ends_with('\n') {
        out.push(' ');
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

    proptest! {
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
