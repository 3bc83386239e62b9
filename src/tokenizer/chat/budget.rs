//! Bounds what a template may spend: a template comes with a model, from anywhere.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::python::{bounded, type_error};

/// Steps of the interpreter for one rendering. A long conversation with tools takes some ten thousand.
pub const STEPS: u64 = 5_000_000;

/// Bytes of text that one rendering may make or look through, counting what it throws away again.
const WORK: u64 = 1 << 29;

/// What an item of a list counts for, in bytes: about its size.
const ITEM: usize = 24;

/// What is left of [`WORK`].
struct Budget(u64);

/// Takes `work` off what the rendering may still do.
pub fn charge(state: &mut State, work: usize) -> Result<(), Error> {
    let budget = state.get_or_insert_extension_with(|| Budget(WORK));
    budget.0 = budget.0.checked_sub(work as u64).ok_or_else(|| {
        Error::new(ErrorKind::OutOfFuel, "it makes more text than any prompt can hold")
    })?;
    Ok(())
}

/// [`charge`] for the items of a list.
pub fn charge_items(state: &mut State, count: usize) -> Result<(), Error> {
    charge(state, count.saturating_mul(ITEM))
}

/// Charges a value for its size, and refuses one that is nested too deeply: dropping or comparing such a value would
/// overflow the stack.
pub fn checked(state: &mut State, value: Value) -> Result<Value, Error> {
    charge(state, size(&value))?;
    visit(state, &value, 0, false)?;
    Ok(value)
}

/// As [`checked`], for a value that a namespace will hold. Namespaces, loops and macros are refused there: through them
/// a value could hold itself.
pub fn kept(state: &mut State, value: Value) -> Result<Value, Error> {
    visit(state, &value, 0, true)?;
    Ok(value)
}

fn size(value: &Value) -> usize {
    value.as_str().map_or(ITEM, str::len)
}

fn visit(state: &mut State, value: &Value, depth: usize, plain: bool) -> Result<(), Error> {
    bounded(depth)?;
    let kind = value.kind();
    if !matches!(kind, ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return match kind {
            ValueKind::Plain if plain => Err(unkept()),
            _ => Ok(()),
        };
    }
    if plain && is_machinery(value) {
        return Err(unkept());
    }
    charge_items(state, 1 + value.len().unwrap_or(0))?;
    for item in value.try_iter()? {
        if kind == ValueKind::Map {
            visit(state, &value.get_item(&item)?, depth + 1, plain)?;
        } else {
            visit(state, &item, depth + 1, plain)?;
        }
    }
    Ok(())
}

/// The interpreter's own objects, which look like dictionaries.
pub fn is_machinery(value: &Value) -> bool {
    let own =
        |name: &str| ["Namespace", "Loop", "Macro", "Module"].iter().any(|own| name.ends_with(own));
    value.as_object().is_some_and(|object| own(object.type_name()))
}

fn unkept() -> Error {
    type_error("a namespace holds texts, numbers, lists and dictionaries only")
}
