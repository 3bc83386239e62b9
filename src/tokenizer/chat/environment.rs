//! The environment that transformers gives a chat template.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;

use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Object, Rest, Serde};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};
use serde_json::Map;

use super::budget::{STEPS, charge, checked};
use super::python::{str, type_error};
use super::{filters, methods, operators};

/// A name that no template can write, so that none can put another time in its place.
const NOW: &str = "time of rendering";

/// An environment without templates.
pub fn new() -> Environment<'static> {
    let mut environment = Environment::new();
    // The lexer has trimmed white space already.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_debug(false);
    environment.set_fuel(Some(STEPS));
    environment.set_formatter(|out, state, value| {
        let text = str(value)?;
        charge(state, text.len())?;
        out.write_str(&text).map_err(Error::from)
    });
    environment.set_unknown_method_callback(methods::call);
    environment.add_function("raise_exception", |message: &Value| -> Result<Value, Error> {
        let message = str(message)?;
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
    });
    environment.add_function("strftime_now", strftime_now);
    let dict = Value::from_function(minijinja::functions::dict);
    environment.add_function("dict", move |state: &mut State, args: Rest<Value>, named: Kwargs| {
        let made = dict.call(state, &methods::joined(args, named))?;
        checked(state, made)
    });
    environment.add_function("range", |state: &mut State, start, stop, step| {
        let range = minijinja::functions::range(start, stop, step)?;
        checked(state, range.try_iter()?.collect())
    });
    operators::install(&mut environment);
    filters::install(&mut environment);
    environment
}

/// Renders a template.
pub fn render(
    environment: &Environment,
    name: &str,
    variables: Map<String, serde_json::Value>,
    now: Option<DateTime>,
) -> Result<String, Error> {
    let now = now.unwrap_or_else(|| jiff::Zoned::now().datetime());
    let variables = variables.iter().map(|(name, value)| (name.clone(), Value::from(Serde(value))));
    let clock = (NOW.to_owned(), Value::from_object(Clock(now)));
    let context: BTreeMap<String, Value> = variables.chain([clock]).collect();
    environment.get_template(name)?.render(Value::from(context))
}

/// The message of a template's `raise_exception`.
pub fn raised(error: &Error) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(raised) = error.downcast_ref::<Raised>() {
            return Some(raised.0.clone());
        }
        source = error.source();
    }
    None
}

/// What a template raised.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

#[derive(Debug)]
struct Clock(DateTime);

impl Object for Clock {}

/// `datetime.now().strftime(format)`
fn strftime_now(state: &State, format: &str) -> Result<String, Error> {
    let clock = state.lookup(NOW);
    let clock = clock.as_ref().and_then(|clock| clock.downcast_object_ref::<Clock>());
    let clock = clock.ok_or_else(|| type_error("there is no time here"))?;
    // An unknown directive stays as written, as in Python.
    BrokenDownTime::from(clock.0)
        .to_string_with_config(&Config::new().lenient(true), format)
        .map_err(|error| type_error(error.to_string()))
}
