//! Foreign text in HTML: nothing in it may become markup, and nothing in it may hide.

use std::fmt::{Display, Formatter, Result, Write};

/// Text between tags. Characters that cannot be seen, or that turn the direction of what follows, are written out by their
/// numbers.
pub(super) struct Text<'a>(pub &'a str);

/// The same within a quoted attribute.
pub(super) struct Attribute<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.chars().try_for_each(|c| match c {
            c if is_hidden(c) => write!(f, "<span class=\"hidden\">U+{:04X}</span>", u32::from(c)),
            c => plain(f, c),
        })
    }
}

impl Display for Attribute<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_char('↵'),
            '\t' => f.write_char('⇥'),
            c if is_hidden(c) => write!(f, "[U+{:04X}]", u32::from(c)),
            c => plain(f, c),
        })
    }
}

fn plain(f: &mut Formatter<'_>, c: char) -> Result {
    match c {
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '&' => f.write_str("&amp;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        c => f.write_char(c),
    }
}

/// Control characters but line feeds and tabs, marks of direction, blanks without width, tags, and code points that are no
/// characters. Joiners stay: scripts and emoji need them.
fn is_hidden(c: char) -> bool {
    let number = u32::from(c);
    let control = c.is_control() && !matches!(c, '\n' | '\t');
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    let unassigned = number & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&number);
    control || invisible || unassigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup_and_nothing_hides() {
        let hostile = "</script><b a='1' c=\"2\">&amp;\u{202e}\r\0\n\t\u{fffe}é👩\u{200d}🚀";
        assert_eq!(
            Text(hostile).to_string(),
            "&lt;/script&gt;&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;<span class=\"hidden\">U+202E</span>\
             <span class=\"hidden\">U+000D</span><span class=\"hidden\">U+0000</span>\n\t\
             <span class=\"hidden\">U+FFFE</span>é👩\u{200d}🚀"
        );
        let attribute = Attribute(hostile).to_string();
        assert!(!attribute.contains(['<', '>', '"', '\'', '\n', '\u{202e}']), "{attribute}");
        assert!(attribute.contains("[U+202E][U+000D][U+0000]↵⇥"), "{attribute}");
    }
}
