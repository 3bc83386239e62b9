//! Files that a command of this program wrote, read by another.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What kind of file it is.
pub struct Form {
    /// The command that writes it.
    pub written_by: &'static str,
    /// The one schema that is known.
    pub schema: u32,
    /// What to do about another.
    pub otherwise: &'static str,
}

/// Read before the rest, which another version may write in another form.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// A result, of the one form that is known.
pub fn read<T: DeserializeOwned>(path: &Path, form: &Form) -> anyhow::Result<T> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let no_result = || format!("{shown} is no result of `{}`", form.written_by);
    let Version { schema } = serde_json::from_slice(&bytes).with_context(no_result)?;
    if schema != form.schema {
        bail!(
            "{shown} has schema {schema}, and this version knows schema {} only; {}",
            form.schema,
            form.otherwise
        );
    }
    serde_json::from_slice(&bytes).with_context(no_result)
}
