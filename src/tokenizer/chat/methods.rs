//! The methods of Python's strings, lists and dictionaries.

use minijinja::formatting::FormatStyle;
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::budget::checked;
use super::generator::Generator;
use super::operators::formatted;
use super::python::{is_space, type_error, type_name};

/// Calls a method that minijinja does not know.
pub fn call(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let result = match value.kind() {
        ValueKind::String => string(state, value.as_str().unwrap_or_default(), name, args),
        ValueKind::Map => dictionary(value, name, args),
        ValueKind::Seq => list(value, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }?;
    checked(state, result)
}

fn dictionary(map: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let pairs = || -> Result<Vec<(Value, Value)>, Error> {
        map.try_iter()?.map(|key| Ok((key.clone(), map.get_item(&key)?))).collect()
    };
    match name {
        "get" => {
            let (key, default): (&Value, Option<Value>) = from_args(args)?;
            let found = map.as_object().and_then(|object| object.get_value(key));
            Ok(found.or(default).unwrap_or_else(|| Value::from(())))
        }
        "items" => {
            none(args)?;
            let pair = |(key, item)| Value::from(Tuple::from([key, item]));
            Ok(Generator::view(pairs()?.into_iter().map(pair).collect()))
        }
        "keys" => {
            none(args)?;
            Ok(Generator::view(map.try_iter()?.collect()))
        }
        "values" => {
            none(args)?;
            Ok(Generator::view(pairs()?.into_iter().map(|(_, item)| item).collect()))
        }
        "copy" => {
            none(args)?;
            // Templates cannot change a dictionary, so that a copy is the same.
            Ok(map.clone())
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn list(list: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "count" => {
            let (what,): (&Value,) = from_args(args)?;
            Ok(Value::from(list.try_iter()?.filter(|item| item == what).count()))
        }
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            let found = list.try_iter()?.position(|item| item == *what);
            found.map(Value::from).ok_or_else(|| type_error("the value is not in the list"))
        }
        "copy" if !list.is_tuple() => {
            none(args)?;
            Ok(list.try_iter()?.collect())
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn none(args: &[Value]) -> Result<(), Error> {
    from_args::<()>(args)
}

/// Arguments given by place or by these names; those left out are `None`.
pub fn arguments<const N: usize>(
    args: &[Value],
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    let (placed, named) = match args.split_last() {
        Some((last, rest)) if last.is_kwargs() => (rest, Some(Kwargs::try_from(last.clone())?)),
        _ => (args, None),
    };
    if placed.len() > N {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut all = std::array::from_fn(|index| placed.get(index).cloned());
    if let Some(named) = named {
        for (slot, name) in all.iter_mut().zip(names) {
            if named.has(name) {
                *slot = Some(named.get(name)?);
            }
        }
        named.assert_all_used()?;
    }
    Ok(all)
}

/// Arguments as a caller passes them on, those given by name in one value at the end.
pub fn joined(placed: Rest<Value>, named: Kwargs) -> Vec<Value> {
    let mut all = placed.0;
    if named.args().next().is_some() {
        all.push(Value::from(named));
    }
    all
}

/// An argument that is a text.
pub fn text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| type_error(format!("expected text, found {}", type_name(value))))
}

fn count(value: Option<&Value>) -> Result<Option<usize>, Error> {
    let Some(value) = value else { return Ok(None) };
    let count = i64::try_from(value.clone())?;
    // A negative count is no bound.
    Ok(usize::try_from(count).ok())
}

fn string(state: &mut State, s: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    if name == "format" {
        return formatted(state, FormatStyle::StrFormat, s, args);
    }
    if let Some(made) = recased(s, name) {
        none(args)?;
        return Ok(Value::from(made));
    }
    if let Some(answer) = asked(s, name) {
        none(args)?;
        return Ok(Value::from(answer));
    }
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = arguments(args, ["chars"])?;
            let chars = chars.filter(|chars| !chars.is_none());
            let chars = chars.as_ref().map(text).transpose()?;
            Ok(Value::from(stripped(s, name, chars)))
        }
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => split(s, name, args),
        "startswith" | "endswith" | "find" | "rfind" | "index" | "rindex" | "count" => {
            search(s, name, args)
        }
        _ => replaced(s, name, args),
    }
}

/// `strip`, `lstrip` and `rstrip`.
pub fn stripped<'a>(s: &'a str, name: &str, chars: Option<&str>) -> &'a str {
    let dropped = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    match name {
        "lstrip" => s.trim_start_matches(dropped),
        "rstrip" => s.trim_end_matches(dropped),
        _ => s.trim_matches(dropped),
    }
}

fn recased(s: &str, name: &str) -> Option<String> {
    Some(match name {
        "upper" => s.to_uppercase(),
        "lower" | "casefold" => s.to_lowercase(),
        "capitalize" => capitalised(s),
        "title" => {
            let mut out = String::with_capacity(s.len());
            let mut inside = false;
            for c in s.chars() {
                if inside {
                    out.extend(c.to_lowercase())
                } else {
                    out.extend(c.to_uppercase())
                }
                inside = c.is_lowercase() || c.is_uppercase();
            }
            out
        }
        "swapcase" => {
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            s.chars().map(swap).collect()
        }
        _ => return None,
    })
}

/// The first letter upper case, the others lower.
pub fn capitalised(s: &str) -> String {
    let mut chars = s.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars.as_str().to_lowercase().chars()).collect()
}

fn asked(s: &str, name: &str) -> Option<bool> {
    let all = |test: fn(char) -> bool| !s.is_empty() && s.chars().all(test);
    let cased = |own: fn(char) -> bool, other: fn(char) -> bool| {
        s.chars().any(own) && !s.chars().any(other)
    };
    Some(match name {
        "isspace" => all(is_space),
        "isdigit" | "isnumeric" | "isdecimal" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isascii" => s.is_ascii(),
        "isupper" => cased(char::is_uppercase, char::is_lowercase),
        "islower" => cased(char::is_lowercase, char::is_uppercase),
        _ => return None,
    })
}

fn split(s: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    if name == "splitlines" {
        let [keep] = arguments(args, ["keepends"])?;
        return Ok(lines(s, keep.is_some_and(|keep| keep.is_true())));
    }
    if name.ends_with("partition") {
        let (separator,): (&str,) = from_args(args)?;
        return partition(s, separator, name);
    }
    let [separator, limit] = arguments(args, ["sep", "maxsplit"])?;
    let limit = count(limit.as_ref())?.unwrap_or(usize::MAX);
    let separator = separator.filter(|separator| !separator.is_none());
    let reversed = name == "rsplit";
    let mut parts: Vec<&str> = match separator.as_ref().map(text).transpose()? {
        Some("") => return Err(type_error("split needs a separator that is not empty")),
        Some(separator) if reversed => s.rsplitn(limit.saturating_add(1), separator).collect(),
        Some(separator) => s.splitn(limit.saturating_add(1), separator).collect(),
        None => words(s, limit, reversed),
    };
    if reversed {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Value::from).collect())
}

/// Parts between runs of white space; what is left after `limit` splits stays whole.
fn words(s: &str, limit: usize, reversed: bool) -> Vec<&str> {
    let (near, far) = if reversed { ("rstrip", "lstrip") } else { ("lstrip", "rstrip") };
    let mut rest = stripped(s, near, None);
    let mut parts = Vec::new();
    while parts.len() < limit && !rest.is_empty() {
        let found = if reversed { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = found else { break };
        let width = rest[at..].chars().next().map_or(0, char::len_utf8);
        let (part, left) =
            if reversed { (&rest[at + width..], &rest[..at]) } else { (&rest[..at], &rest[at..]) };
        parts.push(part);
        rest = stripped(left, near, None);
    }
    if !rest.is_empty() {
        // Only a last part without splits left can end in white space.
        let last = if parts.len() < limit { stripped(rest, far, None) } else { rest };
        parts.push(last);
    }
    parts
}

/// Python ends a line at more characters than Rust does.
fn lines(s: &str, keep: bool) -> Value {
    let is_end = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut out: Vec<Value> = Vec::new();
    let mut rest = s;
    while !rest.is_empty() {
        let end = rest.find(is_end).unwrap_or(rest.len());
        let width = match &rest[end..] {
            tail if tail.starts_with("\r\n") => 2,
            tail => tail.chars().next().map_or(0, char::len_utf8),
        };
        out.push(Value::from(&rest[..end + if keep { width } else { 0 }]));
        rest = &rest[end + width..];
    }
    Value::from(out)
}

fn partition(s: &str, separator: &str, name: &str) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(type_error("partition needs a separator that is not empty"));
    }
    let reversed = name == "rpartition";
    let found = if reversed { s.rsplit_once(separator) } else { s.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if reversed => ["", "", s],
        None => [s, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

fn search(s: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let [what, start, end] = arguments(args, ["sub", "start", "end"])?;
    let what = what.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    let (offset, s) = window(s, start.as_ref(), end.as_ref())?;
    if name == "startswith" || name == "endswith" {
        let holds =
            |what: &str| if name == "startswith" { s.starts_with(what) } else { s.ends_with(what) };
        if what.is_tuple() {
            for choice in what.try_iter()? {
                if holds(text(&choice)?) {
                    return Ok(Value::from(true));
                }
            }
            return Ok(Value::from(false));
        }
        return Ok(Value::from(holds(text(&what)?)));
    }
    let what = text(&what)?;
    if name == "count" {
        return Ok(Value::from(s.matches(what).count()));
    }
    let found = if name.starts_with('r') { s.rfind(what) } else { s.find(what) };
    match found {
        Some(at) => Ok(Value::from(offset + s[..at].chars().count())),
        None if name.ends_with("index") => Err(type_error("the text is not in the other")),
        None => Ok(Value::from(-1)),
    }
}

/// The part of a text that a search looks at, and how many characters come before it.
fn window<'a>(
    s: &'a str,
    start: Option<&Value>,
    end: Option<&Value>,
) -> Result<(usize, &'a str), Error> {
    if start.is_none() && end.is_none() {
        return Ok((0, s));
    }
    let length = s.chars().count();
    let bound = |value: Option<&Value>, default: usize| -> Result<usize, Error> {
        let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(default) };
        let bound = i64::try_from(value.clone())?;
        let size = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if bound < 0 { length.saturating_sub(size) } else { size.min(length) })
    };
    let (start, end) = (bound(start, 0)?, bound(end, length)?);
    let byte = |index: usize| s.char_indices().nth(index).map_or(s.len(), |(at, _)| at);
    Ok((start, &s[byte(start)..byte(end.max(start))]))
}

fn replaced(s: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let made = match name {
        "replace" => {
            let [old, new, limit] = arguments(args, ["old", "new", "count"])?;
            let (Some(old), Some(new)) = (old, new) else {
                return Err(Error::from(ErrorKind::MissingArgument));
            };
            replace(s, text(&old)?, text(&new)?, count(limit.as_ref())?)?
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            s.strip_prefix(prefix).unwrap_or(s).to_owned()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            s.strip_suffix(suffix).unwrap_or(s).to_owned()
        }
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            let parts: Vec<Value> = parts.try_iter()?.collect();
            let parts = parts.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            let length = parts.iter().map(|part| part.len() + s.len()).sum();
            within(length)?;
            parts.join(s)
        }
        "ljust" | "rjust" | "center" | "zfill" => padded(s, name, args)?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    Ok(Value::from(made))
}

/// The longest text a single call may make, checked before it is made.
const LONGEST: usize = 1 << 26;

fn within(length: usize) -> Result<(), Error> {
    if length > LONGEST {
        let message = format!("it makes a text of more than {LONGEST} bytes");
        return Err(Error::new(ErrorKind::OutOfFuel, message));
    }
    Ok(())
}

/// `str.replace`.
pub fn replace(s: &str, old: &str, new: &str, limit: Option<usize>) -> Result<String, Error> {
    let found = s.matches(old).count().min(limit.unwrap_or(usize::MAX));
    within(s.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(s.replacen(old, new, found))
}

fn padded(s: &str, name: &str, args: &[Value]) -> Result<String, Error> {
    let (width, fill): (i64, Option<char>) = from_args(args)?;
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(s.chars().count());
    within(missing)?;
    let fill = |count: usize| String::from(fill.unwrap_or(' ')).repeat(count);
    Ok(match name {
        "ljust" => s.to_owned() + &fill(missing),
        "rjust" => fill(missing) + s,
        "zfill" => {
            let digits = s.trim_start_matches(['-', '+']);
            let sign = &s[..s.len() - digits.len()];
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        _ => {
            // CPython puts the odd blank left where the width is odd.
            let left = missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1);
            format!("{}{s}{}", fill(left), fill(missing - left))
        }
    })
}
