//! Jinja2's lexer: a template as text and tags, white space trimmed as jinja2 trims it.
//!
//! Follows jinja2 3.1 with `trim_blocks` and `lstrip_blocks` (`jinja2/lexer.py`).

use super::python::{is_space, trim_end};

/// A part of a template, with the line it starts on.
#[derive(Debug, PartialEq)]
pub struct Part {
    pub line: usize,
    pub kind: Kind,
}

#[derive(Debug, PartialEq)]
pub enum Kind {
    /// Text outside tags.
    Text(String),
    /// `{{ … }}`
    Print(Vec<Token>),
    /// `{% … %}`
    Block(Vec<Token>),
}

/// A token inside a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub line: usize,
    pub word: Word,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    Name(String),
    /// A string, its escapes resolved.
    Text(String),
    Number(String),
    Sign(&'static str),
}

/// What is wrong with a template, and where.
#[derive(Debug, PartialEq)]
pub struct Fault {
    pub line: usize,
    pub reason: String,
}

impl Fault {
    pub fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// Longest first, so that a prefix does not win.
const SIGNS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",",
];

/// Splits a template.
pub fn lex(source: &str) -> Result<Vec<Part>, Fault> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // jinja2 drops one newline at the end of a template.
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, position: 0, line: 1, after_newline: true, parts: Vec::new() };
    while lexer.position < source.len() {
        lexer.step()?;
    }
    Ok(lexer.parts)
}

struct Lexer<'a> {
    source: &'a str,
    position: usize,
    line: usize,
    /// What was consumed last ended in a newline, or nothing was consumed.
    after_newline: bool,
    parts: Vec<Part>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.position..]
    }

    /// Consumes `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.position += length;
        self.line += taken.matches('\n').count();
        if !taken.is_empty() {
            self.after_newline = taken.ends_with('\n');
        }
        taken
    }

    fn push(&mut self, line: usize, kind: Kind) {
        self.parts.push(Part { line, kind });
    }

    /// Text up to the next tag, and the tag.
    fn step(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let start = rest
            .match_indices('{')
            .map(|(at, _)| at)
            .find(|&at| rest[at + 1..].starts_with(['{', '%', '#']));
        let Some(at) = start else {
            let line = self.line;
            let text = self.take(rest.len()).to_owned();
            self.push(line, Kind::Text(text));
            return Ok(());
        };
        let (line, line_start) = (self.line, self.after_newline);
        let text = self.take(at);
        let opening = self.take(2);
        let sign = self.rest().chars().next().filter(|sign| ['-', '+'].contains(sign));
        self.take(sign.map_or(0, char::len_utf8));
        let text = left_trimmed(text, sign, opening != "{{", line_start);
        if !text.is_empty() {
            self.push(line, Kind::Text(text.to_owned()));
        }
        match opening {
            "{#" => self.comment(),
            "{{" => {
                let line = self.line;
                let tokens = self.tokens("}}")?;
                self.push(line, Kind::Print(tokens));
                Ok(())
            }
            _ => self.block(),
        }
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let end = self
            .rest()
            .find("#}")
            .ok_or_else(|| Fault::new(self.line, "a comment {# has no end #}"))?;
        let text = self.take(end);
        let sign = text.chars().next_back().filter(|sign| ['-', '+'].contains(sign));
        self.take(2);
        self.right_trim(sign, true);
        Ok(())
    }

    fn block(&mut self) -> Result<(), Fault> {
        let line = self.line;
        if let Some(length) = raw_tag(self.rest(), "raw") {
            return self.raw(length);
        }
        let tokens = self.tokens("%}")?;
        self.push(line, Kind::Block(tokens));
        Ok(())
    }

    /// `{% raw %}` to `{% endraw %}`; `length` is that of the rest of the first tag.
    fn raw(&mut self, length: usize) -> Result<(), Fault> {
        let tag = self.take(length);
        // No newline is trimmed after the opening tag.
        self.right_trim(tag.ends_with("-%}").then_some('-'), false);
        let (line, line_start, rest) = (self.line, self.after_newline, self.rest());
        let found = rest.match_indices("{%").find_map(|(at, _)| {
            let inside = &rest[at + 2..];
            let sign = inside.chars().next().filter(|sign| ['-', '+'].contains(sign));
            let skipped = sign.map_or(0, char::len_utf8);
            let length = raw_tag(&inside[skipped..], "endraw")?;
            Some((at, sign, skipped + length))
        });
        let Some((at, sign, length)) = found else {
            return Err(Fault::new(line, "{% raw %} has no {% endraw %}"));
        };
        let text = self.take(at);
        let text = left_trimmed(text, sign, true, line_start).to_owned();
        self.push(line, Kind::Text(text));
        let tag = self.take(2 + length);
        let sign = tag[..tag.len() - 2].chars().next_back();
        self.right_trim(sign.filter(|sign| ['-', '+'].contains(sign)), true);
        Ok(())
    }

    /// Drops white space after a tag: all of it after `-`, else one newline after a block.
    fn right_trim(&mut self, sign: Option<char>, block: bool) {
        let rest = self.rest();
        let length = match sign {
            Some('-') => rest.len() - rest.trim_start_matches(is_space).len(),
            None if block && rest.starts_with('\n') => 1,
            _ => 0,
        };
        self.take(length);
    }

    /// The tokens of a tag, through its end.
    fn tokens(&mut self, end: &str) -> Result<Vec<Token>, Fault> {
        let mut tokens = Vec::new();
        let mut open: Vec<char> = Vec::new();
        loop {
            let spaces = self.rest().len() - self.rest().trim_start_matches(is_space).len();
            self.take(spaces);
            if open.is_empty() && self.ends(end) {
                return Ok(tokens);
            }
            let line = self.line;
            let word = self.word()?;
            if let Word::Sign(sign) = word {
                balance(&mut open, sign, line)?;
            }
            tokens.push(Token { line, word });
        }
    }

    /// Consumes the end of a tag if it is here, with the white space it trims.
    fn ends(&mut self, end: &str) -> bool {
        let rest = self.rest();
        let sign = rest.chars().next().filter(|sign| ['-', '+'].contains(sign));
        // `+}}` does not exist: the plus is an operator there.
        let sign = sign.filter(|&sign| sign == '-' || end == "%}");
        let skipped = sign.map_or(0, char::len_utf8);
        if !rest[skipped..].starts_with(end) {
            return false;
        }
        self.take(skipped + end.len());
        self.right_trim(sign, end == "%}");
        true
    }

    fn word(&mut self) -> Result<Word, Fault> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(Fault::new(self.line, "a tag has no end"));
        };
        if first == '_' || first.is_alphabetic() {
            let other = |c: char| c != '_' && !c.is_alphanumeric();
            let length = rest.find(other).unwrap_or(rest.len());
            return Ok(Word::Name(self.take(length).to_owned()));
        }
        if first.is_ascii_digit() {
            return Ok(Word::Number(self.take(number(rest)).replace('_', "")));
        }
        if first == '"' || first == '\'' {
            return self.string(first);
        }
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
        let sign = sign
            .ok_or_else(|| Fault::new(self.line, format!("a tag has the character {first:?}")))?;
        self.take(sign.len());
        Ok(Word::Sign(sign))
    }

    fn string(&mut self, quote: char) -> Result<Word, Fault> {
        let rest = &self.rest()[1..];
        let mut escaped = false;
        let end = rest.find(|c: char| {
            let closes = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let line = self.line;
        let end = end.ok_or_else(|| Fault::new(line, "a string has no end"))?;
        let text = unescaped(&rest[..end]).map_err(|reason| Fault::new(line, reason))?;
        self.take(end + 2);
        Ok(Word::Text(text))
    }
}

/// The text before a tag: all white space goes before `-`, blanks on the tag's line before a block.
fn left_trimmed(text: &str, sign: Option<char>, block: bool, line_start: bool) -> &str {
    match sign {
        Some('-') => trim_end(text),
        None if block => {
            let last = text.rfind('\n').map_or(0, |at| at + 1);
            let blank = !text[last..].is_empty() && text[last..].chars().all(is_space);
            if blank && (last > 0 || line_start) { &text[..last] } else { text }
        }
        _ => text,
    }
}

/// The length of the rest of a tag that is only `name`.
fn raw_tag(inside: &str, name: &str) -> Option<usize> {
    let rest = inside.trim_start_matches(is_space).strip_prefix(name)?;
    let rest = rest.trim_start_matches(is_space);
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(inside.len() - rest.len())
}

fn balance(open: &mut Vec<char>, sign: &str, line: usize) -> Result<(), Fault> {
    let closing = match sign {
        "(" => ')',
        "[" => ']',
        "{" => '}',
        ")" | "]" | "}" => {
            let expected = open.pop();
            if expected.is_none_or(|expected| !sign.starts_with(expected)) {
                return Err(Fault::new(line, format!("{sign:?} closes nothing")));
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    open.push(closing);
    Ok(())
}

/// The length of a number at the head of `rest`.
fn number(rest: &str) -> usize {
    let digits = |from: usize| {
        let other = |c: char| !c.is_ascii_digit() && c != '_';
        rest[from..].find(other).map_or(rest.len(), |at| from + at)
    };
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)] {
        if let Some(tail) = rest.strip_prefix(prefix)
            && tail.starts_with(|c: char| c.is_digit(radix))
        {
            let other = |c: char| !c.is_digit(radix) && c != '_';
            return 2 + tail.find(other).unwrap_or(tail.len());
        }
    }
    let mut end = digits(0);
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        end = digits(end + 1);
    }
    let exponent = rest[end..].strip_prefix(['e', 'E']);
    if let Some(tail) = exponent {
        let sign = usize::from(tail.starts_with(['+', '-']));
        if tail[sign..].starts_with(|c: char| c.is_ascii_digit()) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

/// Python's escapes; an unknown one stays as written.
fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else {
            return Err("a string ends in a backslash".into());
        };
        rest = &rest[kind.len_utf8()..];
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code = rest.get(..digits).and_then(|code| u32::from_str_radix(code, 16).ok());
            let c = code.and_then(char::from_u32);
            out.push(c.ok_or_else(|| format!("a string has a bad escape \\{kind}"))?);
            rest = &rest[digits..];
        } else if ('0'..='7').contains(&kind) {
            let more = rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let code = format!("{kind}{}", &rest[..more]);
            out.extend(u32::from_str_radix(&code, 8).ok().and_then(char::from_u32));
            rest = &rest[more..];
        } else {
            escape(kind, &mut out);
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn escape(kind: char, out: &mut String) {
    let meant = match kind {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '\'' | '"' => kind,
        // A backslash before a newline joins the lines.
        '\n' => return,
        _ => {
            out.push('\\');
            kind
        }
    };
    out.push(meant);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> String {
        let parts = lex(source).unwrap();
        let texts = parts.iter().map(|part| match &part.kind {
            Kind::Text(text) => text.clone(),
            Kind::Print(_) => "P".to_owned(),
            Kind::Block(_) => "B".to_owned(),
        });
        texts.collect()
    }

    /// What jinja2 3.1.6 yields for `{{ x }}` as P and a block as B, with trim_blocks and lstrip_blocks.
    #[test]
    fn white_space_goes_as_in_jinja2() {
        for (source, expected) in [
            ("a\n  {% if x %}\nb\n", "a\nBb"),
            ("a\n  {{ x }}\nb", "a\n  P\nb"),
            ("a {%- if x -%}  \n b", "aBb"),
            ("  {%+ if x +%}\n b", "  B\n b"),
            ("a  {# c #}\n  {# d #}\nb", "a  b"),
            ("a {#- c -#}  b", "ab"),
            ("x {% if x %}", "x B"),
            ("{% raw %}\n {{ x }} {% endraw %}\ny", "\n {{ x }} y"),
            ("{{ {'a': {'b': 1}}}}", "P"),
            ("a\r\nb\r{% if x %}\r\nc", "a\nb\nBc"),
            ("{{ '%}' }}{% if '}}' %}", "PB"),
        ] {
            assert_eq!(texts(source), expected, "{source:?}");
        }
    }

    #[test]
    fn faults_have_their_line() {
        for (source, line) in [
            ("a\n{{ x", 2),
            ("\n\n{# x", 3),
            ("{% raw %}\n", 1),
            ("\n{{ 'x }}", 2),
            ("{{ ) }}", 1),
            ("{{ ? }}", 1),
            ("{{ '\\xZZ' }}", 1),
        ] {
            assert_eq!(lex(source).unwrap_err().line, line, "{source:?}");
        }
    }

    #[test]
    fn escapes_are_pythons() {
        for (written, meant) in
            [(r"a\nb", "a\nb"), (r"\d\'", r"\d'"), (r"\u00e9\x41\101", "éAA"), ("\\\nx", "x")]
        {
            assert_eq!(unescaped(written).unwrap(), meant);
        }
    }
}
