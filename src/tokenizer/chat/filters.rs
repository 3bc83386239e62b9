//! Jinja2's filters and tests where minijinja's differ, and the others charged for what they make.

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

use super::budget::{charge, charge_items, checked, is_machinery};
use super::generator::Generator;
use super::methods::{arguments, capitalised, joined, replace, stripped, text};
use super::operators::printf;
use super::python::{Json, is_space, str, type_error, type_name};

/// Adds the filters and tests to an environment.
pub fn install(environment: &mut Environment) {
    charged(environment);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |state: &mut State, value: &Value| {
        let made = Value::from(str(value)?);
        checked(state, made)
    });
    environment.add_filter("trim", |value: &Value, args: Rest<Value>, named: Kwargs| {
        let args = joined(args, named);
        let [chars] = arguments(&args, ["chars"])?;
        let chars = chars.filter(|chars| !chars.is_none());
        let chars = chars.as_ref().map(text).transpose()?;
        Ok::<_, Error>(stripped(&str(value)?, "strip", chars).to_owned())
    });
    environment.add_filter("upper", |value: &Value| Ok::<_, Error>(str(value)?.to_uppercase()));
    environment.add_filter("lower", |value: &Value| Ok::<_, Error>(str(value)?.to_lowercase()));
    environment.add_filter("capitalize", |value: &Value| Ok::<_, Error>(capitalised(&str(value)?)));
    environment.add_filter("title", |value: &Value| Ok::<_, Error>(title(&str(value)?)));
    environment.add_filter("wordcount", |value: &Value| Ok::<_, Error>(wordcount(&str(value)?)));
    environment.add_filter("replace", replaced);
    environment.add_filter("join", join);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("items", items);
    environment.add_filter("list", list);
    environment.add_filter(
        "format",
        |state: &mut State, value: &Value, args: Rest<Value>, named: Kwargs| {
            let args = joined(args, named);
            printf(state, &str(value)?, &args)
        },
    );
    tests(environment);
}

/// Filters whose result is no list in jinja2.
const YIELDING: [&str; 9] =
    ["batch", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "unique"];

/// minijinja's own filters, charged.
fn charged(environment: &mut Environment) {
    let all = [
        ("abs", Value::from_function(filters::abs)),
        ("attr", Value::from_function(filters::attr)),
        ("batch", Value::from_function(filters::batch)),
        ("d", Value::from_function(filters::default)),
        ("default", Value::from_function(filters::default)),
        ("dictsort", Value::from_function(filters::dictsort)),
        ("e", Value::from_function(filters::escape)),
        ("escape", Value::from_function(filters::escape)),
        ("first", Value::from_function(filters::first)),
        ("groupby", Value::from_function(filters::groupby)),
        ("indent", Value::from_function(filters::indent)),
        ("last", Value::from_function(filters::last)),
        ("map", Value::from_function(filters::map)),
        ("max", Value::from_function(filters::max)),
        ("min", Value::from_function(filters::min)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("reverse", Value::from_function(filters::reverse)),
        ("round", Value::from_function(filters::round)),
        ("safe", Value::from_function(filters::safe)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("slice", Value::from_function(filters::slice)),
        ("sort", Value::from_function(filters::sort)),
        ("sum", Value::from_function(filters::sum)),
        ("unique", Value::from_function(filters::unique)),
    ];
    for (name, filter) in all {
        environment.add_filter(name, move |state: &mut State, args: Rest<Value>, named: Kwargs| {
            let args = joined(args, named);
            // What is looked through counts as well as what is made.
            let seen = args.first().map_or(0, |value| value.len().unwrap_or(1));
            charge_items(state, seen)?;
            let made = filter.call(state, &args)?;
            let made = checked(state, made)?;
            let yields = YIELDING.contains(&name) && made.as_str().is_none();
            Ok::<_, Error>(if yields { Generator::value(made.try_iter()?.collect()) } else { made })
        });
    }
    // Python has no such filters, and they would not be charged.
    for name in ["bool", "chain", "lines", "pprint", "split", "zip"] {
        environment.remove_filter(name);
    }
}

/// `json.dumps`, as transformers puts it in the place of jinja2's filter, which escapes HTML.
fn tojson(
    state: &mut State,
    value: &Value,
    args: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let args = joined(args, named);
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sorted] = arguments(&args, names)?;
    let indent = indent.filter(|indent| !indent.is_none());
    let indent = indent.map(|indent| match indent.as_str() {
        Some(indent) => Ok(indent.to_owned()),
        None => usize::try_from(indent).map(|width| " ".repeat(width.min(64))),
    });
    let indent = indent.transpose()?;
    let default = if indent.is_some() { "," } else { ", " };
    let separators = match separators.filter(|separators| !separators.is_none()) {
        None => (default.to_owned(), ": ".to_owned()),
        Some(pair) => {
            (text(&pair.get_item_by_index(0)?)?.into(), text(&pair.get_item_by_index(1)?)?.into())
        }
    };
    let truth = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let json = Json { ensure_ascii: truth(ascii), indent, separators, sort_keys: truth(sorted) };
    let mut out = String::new();
    json.dump(value, &mut out, 0)?;
    charge(state, out.len())?;
    Ok(Value::from(out))
}

/// Jinja2's own notion: a word begins after blanks, dashes and opening brackets.
fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut inside = false;
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = !is_space(c) && !['-', '(', '{', '[', '<'].contains(&c);
    }
    out
}

fn wordcount(s: &str) -> usize {
    s.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|word| !word.is_empty()).count()
}

fn replaced(
    state: &mut State,
    value: &Value,
    args: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let args = joined(args, named);
    let [old, new, count] = arguments(&args, ["old", "new", "count"])?;
    let (Some(old), Some(new)) = (old, new) else {
        return Err(Error::from(ErrorKind::MissingArgument));
    };
    let count = count.filter(|count| !count.is_none()).map(usize::try_from).transpose()?;
    let made = replace(&str(value)?, &str(&old)?, &str(&new)?, count)?;
    charge(state, made.len())?;
    Ok(Value::from(made))
}

fn join(
    state: &mut State,
    value: &Value,
    args: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let args = joined(args, named);
    let [separator, attribute] = arguments(&args, ["d", "attribute"])?;
    let separator = separator.as_ref().map_or(Ok(String::new()), str)?;
    let mut out = String::new();
    for (index, item) in list_items(value)?.into_iter().enumerate() {
        let before = out.len();
        if index > 0 {
            out += &separator;
        }
        out += &match &attribute {
            Some(attribute) => str(&item.get_item(attribute)?)?,
            None => str(&item)?,
        };
        charge(state, out.len() - before)?;
    }
    Ok(Value::from(out))
}

/// What Python iterates over: characters of a text, keys of a dictionary.
fn list_items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.as_str() {
        Some(text) => Ok(text.chars().map(|c| Value::from(c.to_string())).collect()),
        None => Ok(value.try_iter()?.collect()),
    }
}

fn list(state: &mut State, value: &Value) -> Result<Value, Error> {
    let items = list_items(value)?;
    checked(state, Value::from(items))
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    if Generator::is(value) {
        return Err(type_error("a generator has no length; make it a list first"));
    }
    let count = || type_error(format!("a value of type {} has no length", type_name(value)));
    value.len().ok_or_else(count)
}

fn items(state: &mut State, value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(Generator::value(Vec::new()));
    }
    if value.kind() != ValueKind::Map {
        return Err(type_error("items needs a dictionary"));
    }
    let pairs = value.try_iter()?.map(|key| {
        let item = value.get_item(&key)?;
        Ok(Value::from(Tuple::from([key, item])))
    });
    let pairs = pairs.collect::<Result<Vec<_>, Error>>()?;
    checked(state, Generator::value(pairs))
}

/// `int(value)`, and the default (0) where Python would raise.
fn int(value: &Value, args: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let args = joined(args, named);
    let [default, base] = arguments(&args, ["default", "base"])?;
    let base = base.map(u32::try_from).transpose()?.unwrap_or(10);
    if !(2..=36).contains(&base) {
        return Err(type_error("the base of a number must be 2 to 36"));
    }
    let found = match value.as_str() {
        Some(text) => {
            let text = text.trim_matches(is_space);
            let prefix = match base {
                2 => ["0b", "0B"],
                8 => ["0o", "0O"],
                _ => ["0x", "0X"],
            };
            let prefixed = [2, 8, 16].contains(&base);
            let digits = prefix.iter().find_map(|prefix| text.strip_prefix(prefix));
            let digits = digits.filter(|_| prefixed).unwrap_or(text);
            let whole = i128::from_str_radix(digits, base).ok();
            whole.or_else(|| text.parse().ok().and_then(truncated))
        }
        None if value.kind() == ValueKind::Bool => Some(i128::from(value.is_true())),
        None if value.is_integer() => return Ok(value.clone()),
        None => f64::try_from(value.clone()).ok().and_then(truncated),
    };
    Ok(found.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), Value::from))
}

fn truncated(number: f64) -> Option<i128> {
    (number.abs() < 1e38).then_some(number as i128)
}

/// `float(value)`, and the default (0.0) where Python would raise.
fn float(value: &Value, args: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let args = joined(args, named);
    let [default] = arguments(&args, ["default"])?;
    let found = match value.as_str() {
        Some(text) => text.trim_matches(is_space).parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(found.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

fn tests(environment: &mut Environment) {
    use ValueKind::{Bool, Iterable, Map, Number, Seq, String as Text, Undefined};
    environment.add_test("iterable", |value: &Value| {
        matches!(value.kind(), Seq | Map | Iterable | Text | Undefined)
    });
    environment
        .add_test("sequence", |value: &Value| matches!(value.kind(), Seq | Map | Text | Undefined));
    environment.add_test("mapping", |value: &Value| value.kind() == Map && !is_machinery(value));
    environment.add_test("string", |value: &Value| value.kind() == Text);
    environment.add_test("boolean", |value: &Value| value.kind() == Bool);
    environment.add_test("number", |value: &Value| matches!(value.kind(), Number | Bool));
    environment.add_test("integer", |value: &Value| value.is_integer());
    environment.add_test("float", |value: &Value| value.kind() == Number && !value.is_integer());
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
}
