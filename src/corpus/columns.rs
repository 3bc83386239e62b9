//! Where in a table the fields are.

use super::{DocumentError, Fields};

/// How many names an error shows.
const SHOWN: usize = 20;

/// The columns that are read, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub id: Option<usize>,
    pub text: Option<usize>,
    pub tokens: Option<usize>,
    pub prompt: Option<usize>,
}

impl Columns {
    /// The columns of these names; of names that are there twice, the first.
    ///
    /// # Errors
    ///
    /// One is missing that is not the id's.
    pub fn find<'n>(
        fields: &Fields,
        source: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<Self, DocumentError> {
        let column = |field: &String| names.clone().position(|name| name == field);
        let needed = |field: &String| {
            column(field).map(Some).ok_or_else(|| DocumentError::Column {
                source_name: source.to_owned(),
                field: field.clone(),
                columns: names.clone().take(SHOWN).map(str::to_owned).collect(),
            })
        };
        let optional = |field: &Option<String>| field.as_ref().map_or(Ok(None), needed);
        let tokens = optional(&fields.tokens)?;
        let text = if tokens.is_none() { needed(&fields.text)? } else { None };
        Ok(Self { id: column(&fields.id), text, tokens, prompt: optional(&fields.prompt)? })
    }

    /// Whether a column is read.
    pub fn wants(&self, column: usize) -> bool {
        [self.id, self.text, self.tokens, self.prompt].contains(&Some(column))
    }
}
