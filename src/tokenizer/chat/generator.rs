//! What Python's generators and dictionary views are to a template: iterable, but no lists.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

/// The items of a generator, or of a view of a dictionary.
#[derive(Debug)]
pub struct Generator {
    items: Vec<Value>,
    view: bool,
}

impl Generator {
    /// What filters such as `map` yield: it has no length, and is true even when empty.
    pub fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self { items, view: false })
    }

    /// What `dict.items()` and its like yield.
    pub fn view(items: Vec<Value>) -> Value {
        Value::from_object(Self { items, view: true })
    }

    /// Whether `value` is a generator in the strict sense.
    pub fn is(value: &Value) -> bool {
        value.downcast_object_ref::<Self>().is_some_and(|generator| !generator.view)
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.view || !self.items.is_empty()
    }
}
