//! Literals of JSON and of Python: `{"a": true}` and `{'a': True, 'b': None}`. Data alone, no code.
//!
//! Both are read by one reader, because Python's notation holds JSON's, and because a JSON library would turn digits into
//! floating-point numbers and leave copies of a key behind.

use super::ImportError;
use super::value::{MOST_DEPTH, Secret, Value, insert, is_number};

const FORMAT: &str = "JSON or a Python literal";

/// Reads one value that is the whole of `text`.
pub(super) fn read(text: &str) -> Result<Value, ImportError> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("something follows its end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Steps over one character, if it is this one.
    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Steps over white space and Python's comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let body = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.at += rest.len() - body.len();
            if !body.starts_with('#') {
                return;
            }
            self.at += body.find('\n').unwrap_or(body.len());
        }
    }

    fn fault(&self, why: &'static str) -> ImportError {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        ImportError::Syntax { format: FORMAT, line, column, why }
    }

    fn value(&mut self, depth: usize) -> Result<Value, ImportError> {
        if depth > MOST_DEPTH {
            return Err(ImportError::Depth { most: MOST_DEPTH });
        }
        self.skip();
        match self.peek() {
            Some('{') => self.map(depth),
            Some('[') => self.list('[', ']', depth),
            Some('(') => self.list('(', ')', depth),
            Some('"' | '\'') => Ok(Value::Text(self.string()?)),
            _ => self.word(),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, ImportError> {
        self.eat('{');
        let mut map = Vec::new();
        loop {
            self.skip();
            if self.eat('}') {
                return Ok(Value::Map(map));
            }
            if !matches!(self.peek(), Some('"' | '\'')) {
                return Err(self.fault("a name in quotes is expected"));
            }
            let name = self.string()?;
            self.skip();
            if !self.eat(':') {
                return Err(self.fault("a colon is expected"));
            }
            let value = self.value(depth + 1)?;
            insert(&mut map, name, value)?;
            self.skip();
            if !self.eat(',') && self.peek() != Some('}') {
                return Err(self.fault("a comma or a closing brace is expected"));
            }
        }
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Result<Value, ImportError> {
        self.eat(open);
        let (mut list, mut comma) = (Vec::new(), false);
        loop {
            self.skip();
            if self.eat(close) {
                // In Python, (1) is a number and (1,) a list.
                if open == '(' && list.len() == 1 && !comma {
                    return list.pop().ok_or_else(|| self.fault("a value is expected"));
                }
                return Ok(Value::List(list));
            }
            list.push(self.value(depth + 1)?);
            self.skip();
            comma = self.eat(',');
            if !comma && self.peek() != Some(close) {
                return Err(self.fault("a comma or a closing bracket is expected"));
            }
        }
    }

    /// A number or one of the few words of the two notations.
    fn word(&mut self) -> Result<Value, ImportError> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())];
        let value = match word {
            "null" | "None" => Value::Null,
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            number if is_number(number) => Value::Number(Secret::new(number.to_owned())),
            _ => {
                let why = "a value is expected: a number, text in quotes, true, false, null, a list or a dict";
                return Err(self.fault(why));
            }
        };
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Secret, ImportError> {
        let Some(quote) = self.peek() else { return Err(self.fault("text is expected")) };
        self.eat(quote);
        // Room for all of it: a buffer that grows leaves copies behind.
        let length = self.rest().len().min(self.length(quote));
        let mut text = Secret::new(String::with_capacity(length));
        loop {
            match self.peek() {
                None | Some('\n') => return Err(self.fault("text has no closing quote")),
                Some(c) if c == quote => {
                    self.eat(quote);
                    return Ok(text);
                }
                Some('\\') => {
                    self.eat('\\');
                    text.push(self.escape()?);
                }
                Some(c) => {
                    self.eat(c);
                    text.push(c);
                }
            }
        }
    }

    /// Bytes up to the closing quote; an escape is never shorter than what it stands for.
    fn length(&self, quote: char) -> usize {
        let mut escaped = false;
        let end = self.rest().find(|c| {
            let closes = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        end.unwrap_or(0)
    }

    fn escape(&mut self) -> Result<char, ImportError> {
        let Some(c) = self.peek() else { return Err(self.fault("text has no closing quote")) };
        self.eat(c);
        Ok(match c {
            '"' | '\'' | '\\' | '/' => c,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => return self.unicode(),
            'x' => {
                let code = self.hexadecimal(2)?;
                return char::from_u32(code).ok_or_else(|| self.fault("no such character"));
            }
            _ => return Err(self.fault("this escape is not known")),
        })
    }

    /// Four hexadecimal digits, or eight of them for characters beyond 16 bits.
    fn unicode(&mut self) -> Result<char, ImportError> {
        let first = self.hexadecimal(4)?;
        let code = if (0xD800..0xDC00).contains(&first) {
            if !(self.eat('\\') && self.eat('u')) {
                return Err(self.fault("half of a character"));
            }
            let second = self.hexadecimal(4)?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.fault("half of a character"));
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.fault("half of a character"))
    }

    fn hexadecimal(&mut self, count: usize) -> Result<u32, ImportError> {
        let mut code = 0;
        for _ in 0..count {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            let Some(digit) = digit else {
                return Err(self.fault("hexadecimal digits are expected"));
            };
            self.at += 1;
            code = code * 16 + digit;
        }
        Ok(code)
    }
}
