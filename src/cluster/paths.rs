//! Files that a query names after FROM, under names that travel.
//!
//! A plan that is sent writes columns as text, `table.column`, and a path has dots of its own.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, visit_relations_mut};

use super::files::is_path;

/// Renames the paths in a query; they come back in order, each with its new name from [`name`].
pub(super) fn renamed(statement: &mut Statement) -> Vec<String> {
    let mut paths = Vec::new();
    rename(statement, &mut paths);
    paths
}

/// The table's name of the `number`-th path.
pub(super) fn name(number: usize) -> String {
    format!("touchmark_file_{}", number + 1)
}

fn rename(statement: &mut Statement, paths: &mut Vec<String>) {
    match statement {
        Statement::Statement(statement) => {
            let _all: ControlFlow<()> = visit_relations_mut(statement.as_mut(), |relation| {
                if let Some(path) = path(relation) {
                    let known = paths.iter().position(|known| *known == path);
                    let number = known.unwrap_or(paths.len());
                    if known.is_none() {
                        paths.push(path);
                    }
                    *relation = ObjectName::from(vec![Ident::new(name(number))]);
                }
                ControlFlow::Continue(())
            });
        }
        Statement::Explain(explain) => rename(&mut explain.statement, paths),
        _ => {}
    }
}

/// A name of one part that is a path.
fn path(relation: &ObjectName) -> Option<String> {
    let [part] = &relation.0[..] else { return None };
    part.as_ident().map(|ident| ident.value.clone()).filter(|name| is_path(name))
}
