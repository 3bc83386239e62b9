//! Python's operators, as the filters that `dialect.rs` writes for them.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::budget::{charge, charge_items, checked, kept};
use super::python::{str, type_error, type_name};

/// Adds the operators to an environment.
pub fn install(environment: &mut Environment) {
    environment.add_filter("operator_add", add);
    environment.add_filter("operator_concat", concat);
    environment.add_filter("operator_multiply", multiply);
    environment.add_filter("operator_modulo", modulo);
    environment.add_filter("operator_slice", slice);
    environment.add_filter("operator_item", item);
    environment.add_filter("operator_compare", compare);
    environment.add_filter("operator_iterable", iterable);
    environment.add_filter("operator_nested", checked);
    environment.add_filter("operator_keep", kept);
}

fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    let (left, right) = (type_name(left), type_name(right));
    type_error(format!("{operator} does not take {left} and {right}"))
}

/// An integer, as which Python takes a boolean too.
fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// The items of a list or a tuple.
fn items(value: &Value) -> Option<Vec<Value>> {
    let items = (value.kind() == ValueKind::Seq).then(|| value.try_iter().ok())?;
    items.map(Iterator::collect)
}

/// A sequence of the same type as `like`.
fn sequence(like: &Value, items: Vec<Value>) -> Value {
    if like.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) }
}

fn add(state: &mut State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (left.as_str(), right.as_str())
        && (left.is_safe() || right.is_safe())
    {
        // A text marked safe escapes what it is joined with, even where nothing else is escaped.
        let safe = |value: &Value, text: &str| {
            if value.is_safe() { text.to_owned() } else { escaped(text) }
        };
        let (a, b) = (safe(left, a), safe(right, b));
        charge(state, a.len() + b.len())?;
        return Ok(Value::from_safe_string(a + &b));
    }
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        charge(state, left.len() + right.len())?;
        return Ok(Value::from([left, right].concat()));
    }
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        return a.checked_add(b).map(Value::from).ok_or_else(|| unsupported("+", left, right));
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Ok(Value::from(left + right));
    }
    match (items(left), items(right)) {
        (Some(mut all), Some(more)) if left.is_tuple() == right.is_tuple() => {
            all.extend(more);
            charge_items(state, all.len())?;
            Ok(sequence(left, all))
        }
        _ => Err(unsupported("+", left, right)),
    }
}

/// `markupsafe.escape`
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            _ => out.push(c),
        }
    }
    out
}

fn concat(state: &mut State, first: &Value, rest: Rest<Value>) -> Result<Value, Error> {
    let mut text = str(first)?;
    for value in rest.iter() {
        text += &str(value)?;
    }
    charge(state, text.len())?;
    Ok(Value::from(text))
}

fn multiply(state: &mut State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        return a.checked_mul(b).map(Value::from).ok_or_else(|| unsupported("*", left, right));
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Ok(Value::from(left * right));
    }
    let (repeated, count) = match (integer(left), integer(right)) {
        (None, Some(count)) => (left, count),
        (Some(count), None) => (right, count),
        _ => return Err(unsupported("*", left, right)),
    };
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if let Some(text) = repeated.as_str() {
        charge(state, text.len().saturating_mul(count))?;
        return Ok(Value::from(text.repeat(count)));
    }
    let items = items(repeated).ok_or_else(|| unsupported("*", left, right))?;
    charge_items(state, items.len().saturating_mul(count))?;
    let copies = std::iter::repeat_n(items, count).flatten();
    Ok(sequence(repeated, copies.collect()))
}

/// The remainder, or a text formatted in the manner of `printf`.
fn modulo(state: &mut State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(text) = left.as_str() {
        let arguments = if right.is_tuple() { items(right) } else { None };
        let arguments = arguments.unwrap_or_else(|| vec![right.clone()]);
        return printf(state, text, &arguments);
    }
    if let (Some(a), Some(b)) = (integer(left), integer(right)) {
        // The remainder takes the sign of the divisor.
        let remainder = a.checked_rem(b).ok_or_else(|| type_error("modulo by zero"))?;
        let differs = remainder != 0 && (remainder < 0) != (b < 0);
        return Ok(Value::from(if differs { remainder + b } else { remainder }));
    }
    match (number(left), number(right)) {
        (Some(_), Some(0.0)) => Err(type_error("modulo by zero")),
        (Some(a), Some(b)) => Ok(Value::from(a - b * (a / b).floor())),
        _ => Err(unsupported("%", left, right)),
    }
}

/// `text % arguments`, and the filter `format`.
pub fn printf(state: &mut State, text: &str, arguments: &[Value]) -> Result<Value, Error> {
    formatted(state, FormatStyle::Printf, text, arguments)
}

/// Formats; `%s` and `{}` write what `str` does.
pub fn formatted(
    state: &mut State,
    style: FormatStyle,
    text: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    // A width such as %1000000000d would make a text of that length.
    let wide = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 4);
    if wide || text.contains('*') {
        return Err(type_error(
            "a format has a width of more than 9999 or one that is given apart",
        ));
    }
    charge(state, text.len())?;
    let text = format(style, text, arguments)?;
    charge(state, text.len())?;
    Ok(Value::from(text))
}

/// `value[start:stop:step]`
fn slice(
    state: &mut State,
    value: &Value,
    start: &Value,
    stop: &Value,
    step: &Value,
) -> Result<Value, Error> {
    let bound = |value: &Value| match integer(value) {
        Some(bound) => Ok(Some(bound)),
        None if value.is_none() => Ok(None),
        None => Err(type_error("the bounds of a slice must be integers")),
    };
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return Err(type_error("the step of a slice cannot be zero"));
    }
    if let Some(text) = value.as_str() {
        charge(state, text.len())?;
        let chars: Vec<char> = text.chars().collect();
        let picked = indices(chars.len(), start, stop, step).map(|index| chars[index]);
        return Ok(Value::from(picked.collect::<String>()));
    }
    let items = items(value).ok_or_else(|| {
        type_error(format!("a value of type {} cannot be sliced", type_name(value)))
    })?;
    charge_items(state, items.len())?;
    let picked = indices(items.len(), start, stop, step).map(|index| items[index].clone());
    Ok(sequence(value, picked.collect()))
}

/// The indices of a slice (`slice.indices` of Python).
fn indices(
    length: usize,
    start: Option<i128>,
    stop: Option<i128>,
    step: i128,
) -> impl Iterator<Item = usize> {
    let length = length as i128;
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let resolve = |bound: Option<i128>, default: i128| match bound {
        None => default,
        Some(bound) if bound < 0 => bound.saturating_add(length).max(lowest),
        Some(bound) => bound.min(highest),
    };
    let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (start, stop) = (resolve(start, first), resolve(stop, last));
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let index = next.filter(|&index| if step > 0 { index < stop } else { index > stop })?;
        next = index.checked_add(step);
        usize::try_from(index).ok()
    })
}

/// `value[key]`: an item, else an attribute of that name, else undefined.
fn item(state: &mut State, value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(type_error("an undefined value has no items"));
    }
    if let Some(text) = value.as_str() {
        charge(state, text.len())?;
        let Some(index) = integer(key) else { return Ok(Value::UNDEFINED) };
        let count = text.chars().count() as i128;
        let index = if index < 0 { index + count } else { index };
        let found = usize::try_from(index).ok().and_then(|index| text.chars().nth(index));
        return Ok(found.map_or(Value::UNDEFINED, |c| Value::from(c.to_string())));
    }
    if value.kind() == ValueKind::Map {
        return map_item(value, key);
    }
    if value.as_object().is_none() || value.kind() == ValueKind::Iterable {
        return Ok(Value::UNDEFINED);
    }
    value.get_item(key)
}

/// A dictionary has methods where it has no key: `schema['items']` is defined whatever the schema.
fn map_item(map: &Value, key: &Value) -> Result<Value, Error> {
    let found = map.get_item(key)?;
    let method = ["copy", "fromkeys", "get", "items", "keys", "values"];
    match key.as_str() {
        Some(name) if found.is_undefined() && method.contains(&name) => {
            let (map, name) = (map.clone(), name.to_owned());
            Ok(Value::from_function(
                move |state: &mut State, arguments: Rest<Value>| -> Result<Value, Error> {
                    map.call_method(state, &name, &arguments)
                },
            ))
        }
        _ => Ok(found),
    }
}

/// What a loop runs over: Python has no empty loop over `None`.
fn iterable(state: &mut State, value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        charge(state, text.len())?;
        return Ok(text.chars().map(|c| Value::from(c.to_string())).collect());
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            Ok(value.clone())
        }
        _ => Err(type_error(format!("a loop cannot run over {}", type_name(value)))),
    }
}

/// `< <= > >= in` and `not in`.
fn compare(state: &mut State, left: &Value, sign: &str, right: &Value) -> Result<bool, Error> {
    if let Some(negated) = sign.strip_suffix("in") {
        return Ok(contains(state, left, right)? == negated.is_empty());
    }
    let alike = match (number(left), number(right)) {
        (Some(_), Some(_)) => true,
        (None, None) => {
            left.as_str().is_some() == right.as_str().is_some()
                && (left.as_str().is_some() || left.kind() == ValueKind::Seq)
                && type_name(left) == type_name(right)
        }
        _ => false,
    };
    if !alike {
        return Err(unsupported(sign, left, right));
    }
    Ok(match sign {
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

fn contains(state: &mut State, item: &Value, container: &Value) -> Result<bool, Error> {
    if let Some(text) = container.as_str() {
        charge(state, text.len())?;
        let part = item.as_str().ok_or_else(|| unsupported("in", item, container))?;
        return Ok(text.contains(part));
    }
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::Map => {
            Ok(container.as_object().is_some_and(|object| object.get_value(item).is_some()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            charge_items(state, container.len().unwrap_or(0))?;
            Ok(container.try_iter()?.any(|other| other == *item))
        }
        _ => Err(unsupported("in", item, container)),
    }
}
