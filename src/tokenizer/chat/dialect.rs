//! A jinja2 template rewritten for minijinja.
//!
//! The grammar is jinja2's (`jinja2/parser.py`); what minijinja reads differently is spelled in a way that both read
//! alike. White space is already trimmed by the lexer, so texts become printed strings. Operators that Python defines
//! otherwise (`+ ~ * %`, slices, subscripts) become the filters of `operators.rs`, which also lets them be charged for
//! the text they make.

use super::lexer::{Fault, Kind, Part, Token, Word, lex};

/// Nested more deeply than this, an expression is refused.
const MAX_DEPTH: usize = 40;

/// Keys that a dictionary answers with a method when it holds no such key.
const DICT_METHODS: [&str; 11] = [
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];

/// The same template for minijinja, tags on the lines they had.
pub fn rewritten(source: &str) -> Result<String, Fault> {
    let mut out = Output { text: String::new(), line: 1 };
    for Part { line, kind } in lex(source)? {
        match kind {
            Kind::Text(text) => out.tag(line, ["{{", "}}"], &literal(&text)),
            Kind::Print(tokens) => out.tag(line, ["{{", "}}"], &Parser::new(tokens, line).print()?),
            Kind::Block(mut tokens) if is_print(&tokens) => {
                let parser = Parser::new(tokens.split_off(1), line);
                out.tag(line, ["{{", "}}"], &parser.print()?);
            }
            Kind::Block(tokens) => {
                let statement = Parser::new(tokens, line).statement()?;
                out.tag(line, ["{%", "%}"], &statement);
            }
        }
    }
    Ok(out.text)
}

/// `{% print x %}` is `{{ x }}`.
fn is_print(tokens: &[Token]) -> bool {
    matches!(tokens, [Token { word: Word::Name(name), .. }, ..] if name == "print")
}

struct Output {
    text: String,
    line: usize,
}

impl Output {
    fn tag(&mut self, line: usize, [open, close]: [&str; 2], inside: &str) {
        self.text.push_str(open);
        while self.line < line {
            self.text.push('\n');
            self.line += 1;
        }
        self.text.push_str(&format!(" {inside} {close}"));
    }
}

/// A string literal without a newline.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ => out.push(c),
        }
    }
    out.push('\'');
    out
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    line: usize,
    depth: usize,
}

impl Parser {
    fn new(tokens: Vec<Token>, line: usize) -> Self {
        Self { tokens, position: 0, line, depth: 0 }
    }

    fn word(&self) -> Option<&Word> {
        self.tokens.get(self.position).map(|token| &token.word)
    }

    fn fault(&self, reason: impl Into<String>) -> Fault {
        let token = self.tokens.get(self.position).or_else(|| self.tokens.last());
        Fault::new(token.map_or(self.line, |token| token.line), reason)
    }

    fn unexpected(&self) -> Fault {
        self.fault(match self.word() {
            Some(Word::Name(name)) => format!("unexpected {name:?}"),
            Some(Word::Sign(sign)) => format!("unexpected {sign:?}"),
            Some(Word::Number(number)) => format!("unexpected {number}"),
            Some(Word::Text(_)) => "unexpected text".to_owned(),
            None => "the tag ends too early".to_owned(),
        })
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.word(), Some(Word::Sign(found)) if *found == sign)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.word(), Some(Word::Name(found)) if found == name)
    }

    /// Takes a sign if it is next.
    fn sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.position += usize::from(found);
        found
    }

    /// Takes a keyword if it is next.
    fn keyword(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn name(&mut self) -> Result<String, Fault> {
        let Some(Word::Name(name)) = self.word() else {
            return Err(self.unexpected());
        };
        let name = name.clone();
        self.position += 1;
        Ok(name)
    }

    fn end(&self) -> Result<(), Fault> {
        if self.position < self.tokens.len() { Err(self.unexpected()) } else { Ok(()) }
    }

    /// Runs a rule one level deeper.
    fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(format!("an expression is nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let found = rule(self);
        self.depth -= 1;
        found
    }
}

/// Statements.
impl Parser {
    fn statement(mut self) -> Result<String, Fault> {
        let name = self.name()?;
        let rest = match name.as_str() {
            "if" | "elif" => self.tuple(true)?,
            "for" => self.for_loop()?,
            "set" => self.set()?,
            "macro" => {
                let name = self.name()?;
                format!("{name}{}", self.signature()?)
            }
            "call" => {
                let parameters = if self.is_sign("(") { self.signature()? } else { String::new() };
                format!("{parameters} {}", self.expression()?)
            }
            "filter" => {
                let name = self.dotted()?;
                let arguments = self.optional_call()?;
                self.filters(format!("{name}{arguments}"))?
            }
            "with" => self.assignments()?,
            "include" => self.expression()?,
            // Marks what the assistant wrote, for training; here it is only a scope.
            "generation" => return self.closed("with"),
            "endgeneration" => return self.closed("endwith"),
            "else" | "endif" | "endfor" | "endset" | "endmacro" | "endcall" | "endfilter"
            | "endwith" | "break" | "continue" => return self.closed(&name),
            _ => return Err(Fault::new(self.line, format!("unknown tag {name:?}"))),
        };
        self.end()?;
        Ok(format!("{name} {rest}"))
    }

    /// A tag of one word; `{% endmacro name %}` may repeat a name.
    fn closed(mut self, name: &str) -> Result<String, Fault> {
        if name == "endmacro" && self.position < self.tokens.len() {
            self.name()?;
        }
        self.end()?;
        Ok(name.to_owned())
    }

    fn print(mut self) -> Result<String, Fault> {
        let value = self.tuple(true)?;
        self.end()?;
        Ok(value)
    }

    fn for_loop(&mut self) -> Result<String, Fault> {
        let target = self.targets("in")?;
        if !self.keyword("in") {
            return Err(self.unexpected());
        }
        let items = self.tuple(false)?;
        let mut out = format!("{target} in ({items})|operator_iterable");
        if self.keyword("if") {
            out += &format!(" if {}", self.expression()?);
        }
        if self.keyword("recursive") {
            out += " recursive";
        }
        Ok(out)
    }

    /// Names to assign to, up to a keyword.
    fn targets(&mut self, until: &str) -> Result<String, Fault> {
        let mut out = String::new();
        while !self.is_name(until) {
            match self.word() {
                Some(Word::Name(name)) => out += name,
                Some(Word::Sign(sign @ ("," | "(" | ")"))) => out += sign,
                _ => return Err(self.unexpected()),
            }
            self.position += 1;
        }
        Ok(out)
    }

    fn set(&mut self) -> Result<String, Fault> {
        let mut target = String::new();
        let mut attribute = false;
        while let Some(word) = self.word() {
            match word {
                Word::Name(name) => target += name,
                Word::Sign(sign @ ("," | "(" | ")" | ".")) => {
                    attribute |= *sign == ".";
                    target += sign;
                }
                _ => break,
            }
            self.position += 1;
        }
        if self.sign("=") {
            let value = self.tuple(true)?;
            // Namespaces outlive scopes, so what they hold is checked.
            return Ok(if attribute {
                format!("{target} = ({value})|operator_keep")
            } else {
                format!("{target} = {value}")
            });
        }
        self.filters(target)
    }

    /// The parameters of a macro.
    fn signature(&mut self) -> Result<String, Fault> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.sign(")") {
            let name = self.name()?;
            parameters.push(if self.sign("=") {
                format!("{name}={}", self.expression()?)
            } else {
                name
            });
            if !self.is_sign(")") {
                self.expect(",")?;
            }
        }
        Ok(format!("({})", parameters.join(", ")))
    }

    fn assignments(&mut self) -> Result<String, Fault> {
        let mut assignments = Vec::new();
        while self.position < self.tokens.len() {
            let name = self.name()?;
            self.expect("=")?;
            assignments.push(format!("{name} = {}", self.expression()?));
            if self.position < self.tokens.len() {
                self.expect(",")?;
            }
        }
        Ok(assignments.join(", "))
    }
}

/// Expressions, loosest first.
impl Parser {
    /// One expression, or a tuple without parentheses.
    fn tuple(&mut self, conditional: bool) -> Result<String, Fault> {
        let mut items = Vec::new();
        loop {
            items.push(if conditional { self.expression()? } else { self.or()? });
            if !self.sign(",") {
                break;
            }
            if self.word().is_none() || self.is_sign(")") {
                return Ok(nested(&format!("({},)", items.join(", "))));
            }
        }
        match <[String; 1]>::try_from(items) {
            Ok([only]) => Ok(only),
            Err(items) => Ok(nested(&format!("({})", items.join(", ")))),
        }
    }

    fn expression(&mut self) -> Result<String, Fault> {
        self.deeper(|parser| {
            let mut out = parser.or()?;
            while parser.keyword("if") {
                let condition = parser.or()?;
                out = if parser.keyword("else") {
                    format!("({out} if {condition} else {})", parser.expression()?)
                } else {
                    format!("({out} if {condition})")
                };
            }
            Ok(out)
        })
    }

    fn or(&mut self) -> Result<String, Fault> {
        let mut out = self.and()?;
        while self.keyword("or") {
            out += &format!(" or {}", self.and()?);
        }
        Ok(out)
    }

    fn and(&mut self) -> Result<String, Fault> {
        let mut out = self.not()?;
        while self.keyword("and") {
            out += &format!(" and {}", self.not()?);
        }
        Ok(out)
    }

    fn not(&mut self) -> Result<String, Fault> {
        if self.keyword("not") {
            return self.deeper(|parser| Ok(format!("(not {})", parser.not()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<String, Fault> {
        let first = self.sum()?;
        let mut compared: Vec<(&str, String)> = Vec::new();
        loop {
            let operator = match self.word() {
                Some(Word::Sign(sign @ ("==" | "!=" | "<" | "<=" | ">" | ">="))) => *sign,
                Some(Word::Name(name)) if name == "in" => "in",
                Some(Word::Name(name)) if name == "not" => "not in",
                _ => break,
            };
            self.position += 1;
            if operator == "not in" && !self.keyword("in") {
                return Err(self.unexpected());
            }
            compared.push((operator, self.sum()?));
        }
        // Equality is alike in both; other comparisons of unlike types are errors in Python.
        match &compared[..] {
            [(operator, second)] if !["==", "!="].contains(operator) => {
                Ok(format!("({first})|operator_compare('{operator}', {second})"))
            }
            _ => {
                let chained = compared.iter().map(|(operator, next)| format!(" {operator} {next}"));
                Ok(first + &chained.collect::<String>())
            }
        }
    }

    fn sum(&mut self) -> Result<String, Fault> {
        let mut out = Chain::new(self.concatenation()?);
        loop {
            if self.sign("+") {
                out.filter("operator_add", &self.concatenation()?);
            } else if self.sign("-") {
                out.infix("-", &self.concatenation()?);
            } else {
                return Ok(out.text);
            }
        }
    }

    fn concatenation(&mut self) -> Result<String, Fault> {
        let mut items = vec![self.product()?];
        while self.sign("~") {
            items.push(self.product()?);
        }
        match <[String; 1]>::try_from(items) {
            Ok([only]) => Ok(only),
            Err(items) => Ok(format!("({})|operator_concat({})", items[0], items[1..].join(", "))),
        }
    }

    fn product(&mut self) -> Result<String, Fault> {
        let mut out = Chain::new(self.power()?);
        loop {
            if self.sign("*") {
                out.filter("operator_multiply", &self.power()?);
            } else if self.sign("%") {
                out.filter("operator_modulo", &self.power()?);
            } else if self.sign("//") {
                out.infix("//", &self.power()?);
            } else if self.sign("/") {
                out.infix("/", &self.power()?);
            } else {
                return Ok(out.text);
            }
        }
    }

    fn power(&mut self) -> Result<String, Fault> {
        let mut out = self.unary(true)?;
        while self.sign("**") {
            out = format!("({out} ** {})", self.unary(true)?);
        }
        Ok(out)
    }

    fn unary(&mut self, filtered: bool) -> Result<String, Fault> {
        self.deeper(|parser| {
            let node = if parser.sign("-") {
                format!("(-{})", parser.unary(false)?)
            } else if parser.sign("+") {
                parser.unary(false)?
            } else {
                parser.primary()?
            };
            let node = parser.postfix(node)?;
            if filtered { parser.filters(node) } else { Ok(node) }
        })
    }

    fn primary(&mut self) -> Result<String, Fault> {
        let Some(word) = self.word().cloned() else {
            return Err(self.unexpected());
        };
        match word {
            Word::Name(name) => {
                self.position += 1;
                Ok(match name.as_str() {
                    "True" => "true".into(),
                    "False" => "false".into(),
                    "None" => "none".into(),
                    "not" | "and" | "or" | "if" | "else" | "in" | "is" => {
                        self.position -= 1;
                        return Err(self.unexpected());
                    }
                    _ => name,
                })
            }
            Word::Number(number) => {
                self.position += 1;
                Ok(number)
            }
            Word::Text(_) => Ok(self.strings()),
            Word::Sign("(") => self.parenthesis(),
            Word::Sign("[") => self.list(),
            Word::Sign("{") => self.dictionary(),
            Word::Sign(_) => Err(self.unexpected()),
        }
    }

    /// Strings side by side are one.
    fn strings(&mut self) -> String {
        let mut all = String::new();
        while let Some(Word::Text(text)) = self.word() {
            all += text;
            self.position += 1;
        }
        literal(&all)
    }

    fn parenthesis(&mut self) -> Result<String, Fault> {
        self.expect("(")?;
        if self.sign(")") {
            return Ok("()".into());
        }
        let inside = self.tuple(true)?;
        self.expect(")")?;
        Ok(format!("({inside})"))
    }

    fn list(&mut self) -> Result<String, Fault> {
        self.expect("[")?;
        let mut items = Vec::new();
        while !self.sign("]") {
            items.push(self.expression()?);
            if !self.is_sign("]") {
                self.expect(",")?;
            }
        }
        Ok(nested(&format!("[{}]", items.join(", "))))
    }

    fn dictionary(&mut self) -> Result<String, Fault> {
        self.expect("{")?;
        let mut items = Vec::new();
        while !self.sign("}") {
            let key = self.expression()?;
            self.expect(":")?;
            items.push(format!("{key}: {}", self.expression()?));
            if !self.is_sign("}") {
                self.expect(",")?;
            }
        }
        Ok(nested(&format!("{{{}}}", items.join(", "))))
    }

    /// Attributes, subscripts and calls.
    fn postfix(&mut self, mut node: String) -> Result<String, Fault> {
        loop {
            if self.sign(".") {
                node = match self.word().cloned() {
                    Some(Word::Name(name)) => format!("{node}.{name}"),
                    Some(Word::Number(index)) => format!("({node}|operator_item({index}))"),
                    _ => return Err(self.unexpected()),
                };
                self.position += 1;
            } else if self.is_sign("[") {
                node = self.subscript(node)?;
            } else if self.is_sign("(") {
                node += &self.call()?;
            } else {
                return Ok(node);
            }
        }
    }

    fn subscript(&mut self, node: String) -> Result<String, Fault> {
        self.expect("[")?;
        // A plain key is the common case, and reads alike in both.
        if let [Token { word: Word::Text(key), .. }, Token { word: Word::Sign("]"), .. }, ..] =
            &self.tokens[self.position..]
            && !DICT_METHODS.contains(&key.as_str())
        {
            let node = format!("{node}[{}]", literal(key));
            self.position += 2;
            return Ok(node);
        }
        let mut bounds: Vec<Option<String>> = vec![None];
        while !self.sign("]") {
            if self.sign(":") {
                bounds.push(None);
            } else if let Some(bound @ None) = bounds.last_mut() {
                *bound = Some(self.tuple(true)?);
            } else {
                return Err(self.unexpected());
            }
        }
        if let [Some(item)] = &bounds[..] {
            return Ok(format!("({node}|operator_item({item}))"));
        }
        if !(2..=3).contains(&bounds.len()) {
            return Err(self.fault("a subscript is empty or has too many parts"));
        }
        bounds.resize(3, None);
        let bounds: Vec<String> =
            bounds.into_iter().map(|bound| bound.unwrap_or_else(|| "none".into())).collect();
        Ok(format!("({node}|operator_slice({}))", bounds.join(", ")))
    }

    fn call(&mut self) -> Result<String, Fault> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.sign(")") {
            arguments.push(self.argument()?);
            if !self.is_sign(")") {
                self.expect(",")?;
            }
        }
        Ok(format!("({})", arguments.join(", ")))
    }

    fn argument(&mut self) -> Result<String, Fault> {
        for star in ["**", "*"] {
            if self.sign(star) {
                return Ok(format!("{star}{}", self.expression()?));
            }
        }
        if let [Token { word: Word::Name(name), .. }, Token { word: Word::Sign("="), .. }, ..] =
            &self.tokens[self.position..]
        {
            let name = name.clone();
            self.position += 2;
            return Ok(format!("{name}={}", self.expression()?));
        }
        self.expression()
    }

    fn optional_call(&mut self) -> Result<String, Fault> {
        if self.is_sign("(") { self.call() } else { Ok(String::new()) }
    }

    fn dotted(&mut self) -> Result<String, Fault> {
        let mut name = self.name()?;
        while self.sign(".") {
            name += &format!(".{}", self.name()?);
        }
        Ok(name)
    }

    /// Filters, tests and calls after a value.
    fn filters(&mut self, mut node: String) -> Result<String, Fault> {
        loop {
            if self.sign("|") {
                let name = self.dotted()?;
                node += &format!("|{name}{}", self.optional_call()?);
            } else if self.keyword("is") {
                node = self.test(&node)?;
            } else if self.is_sign("(") {
                node = format!("({node}){}", self.call()?);
            } else {
                return Ok(node);
            }
        }
    }

    fn test(&mut self, node: &str) -> Result<String, Fault> {
        let not = if self.keyword("not") { "not " } else { "" };
        let name = self.dotted()?;
        let arguments = match self.word() {
            Some(Word::Sign("(")) => self.call()?,
            Some(Word::Name(name)) if ["else", "or", "and", "is"].contains(&name.as_str()) => {
                String::new()
            }
            // Keywords that may follow a finished test.
            Some(Word::Name(name)) if ["if", "in", "not", "recursive"].contains(&name.as_str()) => {
                String::new()
            }
            Some(Word::Name(_) | Word::Text(_) | Word::Number(_) | Word::Sign("[" | "{")) => {
                let argument = self.deeper(Self::primary)?;
                format!("({})", self.postfix(argument)?)
            }
            _ => String::new(),
        };
        Ok(match name.as_str() {
            "in" => format!("({node}|operator_compare('{not}in', {arguments}))"),
            "none" | "None" => format!("({node} is {not}none)"),
            _ => format!("({node} is {not}{name}{arguments})"),
        })
    }
}

/// Operators that associate to the left, without a parenthesis for each: minijinja bounds how deep they go.
struct Chain {
    text: String,
    filtered: bool,
}

impl Chain {
    fn new(text: String) -> Self {
        Self { text, filtered: false }
    }

    fn filter(&mut self, name: &str, operand: &str) {
        if !self.filtered {
            self.text = format!("({})", self.text);
        }
        self.text += &format!("|{name}({operand})");
        self.filtered = true;
    }

    fn infix(&mut self, operator: &str, operand: &str) {
        self.text = format!("({} {operator} {operand})", self.text);
        self.filtered = false;
    }
}

/// A literal that nests values, checked where it is made.
fn nested(literal: &str) -> String {
    format!("({literal}|operator_nested)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_keep_jinjas_precedence() {
        for (source, expected) in [
            ("{{ a ~ b + 1 }}", "{{ ((a)|operator_concat(b))|operator_add(1) }}"),
            ("{{ 'a' 'b' }}", "{{ 'ab' }}"),
            ("{{ x['k'][1:] }}", "{{ (x['k']|operator_slice(1, none, none)) }}"),
            ("{{ x is not none and y }}", "{{ (x is not none) and y }}"),
            ("{{ -x|abs }}", "{{ (-x)|abs }}"),
            ("{% set ns.a = 1 %}", "{% set ns.a = (1)|operator_keep %}"),
            ("{% generation %}", "{% with %}"),
        ] {
            assert_eq!(rewritten(source).unwrap(), expected);
        }
        assert_eq!(rewritten("a\n\n{{ x }}").unwrap(), "{{ 'a\\n\\n' }}{{\n\n x }}");
    }

    #[test]
    fn what_is_not_jinja_is_refused_with_its_line() {
        let deep = format!("{{{{ {}x }}}}", "(".repeat(5000));
        for (source, line) in [
            ("\n{{ a b }}", 2),
            ("{% if %}", 1),
            ("\n\n{% fro x in y %}", 3),
            ("{{ a[] }}", 1),
            (&deep, 1),
            ("{{ a.", 1),
        ] {
            assert_eq!(rewritten(source).unwrap_err().line, line, "{source:.40}");
        }
    }
}
