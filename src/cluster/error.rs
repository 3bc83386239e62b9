//! What goes wrong.

use std::path::PathBuf;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::corpus::DocumentError;

/// What keeps a query, a scheduler or an executor from working.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The query cannot be planned or run.
    #[error("{}", words(.0))]
    Query(DataFusionError),
    /// A profile cannot be used.
    #[error("profile \"{profile}\" cannot be used here: {reason}")]
    Profile {
        /// As it was named.
        profile: String,
        /// Why.
        reason: String,
    },
    /// A pinned profile is not written as one.
    #[error(
        "\"{got}\" is no pinned profile: write ID@PROFILE-KEY-TOKENIZER-SETTINGS, 16 hexadecimal digits each, as \
         `touchmark cluster executor --profile ID` prints it"
    )]
    Pin {
        /// What was given.
        got: String,
    },
    /// Files of a table cannot be found.
    #[error(transparent)]
    Files(#[from] DocumentError),
    /// There is no file for a table.
    #[error("{} holds no files", path.display())]
    NoFiles {
        /// A folder or pattern.
        path: PathBuf,
    },
    /// A file's name does not say what it holds.
    #[error(
        "{} is no table: its name must end in .parquet, .arrow, .csv, .tsv, .jsonl or .ndjson, the last four also with .gz or .zst",
        path.display()
    )]
    NoTable {
        /// The file.
        path: PathBuf,
    },
    /// One table of files in different forms.
    #[error(
        "{} and {} differ in form or packing; make two tables of them and join these with UNION ALL",
        first.display(), other.display()
    )]
    Mixed {
        /// A file.
        first: PathBuf,
        /// A file in another form.
        other: PathBuf,
    },
    /// An address is none.
    #[error("\"{given}\" is no address of this machine; write HOST:PORT, such as 127.0.0.1:50050")]
    Address {
        /// What was given.
        given: String,
        /// Why, where the system says it.
        #[source]
        source: Option<std::io::Error>,
    },
    /// Another program has the port.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The scheduler does not answer.
    #[error(
        "no scheduler answers at {scheduler}; start one with `touchmark cluster scheduler --bind {scheduler}`"
    )]
    NoScheduler {
        /// Where.
        scheduler: String,
        /// Why.
        source: std::io::Error,
    },
    /// Ballista's own fault.
    #[error("{0}")]
    Ballista(ballista_core::error::BallistaError),
    /// A file of a table cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no threads, or no word of signals.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
    /// Rows cannot be written.
    #[error("cannot write rows")]
    Write(#[source] std::io::Error),
    /// Rows cannot be written in this form.
    #[error(
        "rows with lists or structs do not fit into CSV; name fields of them, such as touchmark_detect(text, 'default')['log10_p'], or write jsonl or parquet"
    )]
    Nested,
}

impl From<DataFusionError> for ClusterError {
    fn from(error: DataFusionError) -> Self {
        Self::Query(error)
    }
}

impl From<ballista_core::error::BallistaError> for ClusterError {
    fn from(error: ballista_core::error::BallistaError) -> Self {
        Self::Ballista(error)
    }
}

/// DataFusion's message without its wrapping.
fn words(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(why) | ParserError::TokenizerError(why) => {
                format!("this is no SQL: {why}")
            }
            ParserError::RecursionLimitExceeded => "the SQL is nested too deeply".to_owned(),
        },
        DataFusionError::Execution(why) => reason(why),
        DataFusionError::External(error) => reason(&error.to_string()),
        root => {
            let text = root.strip_backtrace();
            let text = text.strip_prefix("Error during planning: ").unwrap_or(&text);
            reason(text)
        }
    }
}

/// Ends of what a refusing executor says.
pub(super) const REFUSAL: [&str; 2] = ["[touchmark: ", " :touchmark]"];

/// What an executor of ours said, where Ballista wrapped it; else the text as it is.
fn reason(text: &str) -> String {
    let inside = |text: &str| {
        let (_, rest) = text.split_once(REFUSAL[0])?;
        let (said, _) = rest.split_once(REFUSAL[1])?;
        Some(unquoted(said))
    };
    inside(text).unwrap_or_else(|| text.to_owned())
}

/// Without the backslashes of every time that the text was quoted.
fn unquoted(text: &str) -> String {
    let next = text.replace("\\\\", "\\").replace("\\\"", "\"");
    if next == text { next } else { unquoted(&next) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_executor_says_is_unwrapped() {
        let quoted = format!("{:?}", format!("{:?}", "[touchmark: no key of \"x\" :touchmark]"));
        let wrapped = format!("Job a failed: DataFusionError(Execution({quoted}))");
        let shown = ClusterError::from(DataFusionError::Execution(wrapped)).to_string();
        assert_eq!(shown, "no key of \"x\"");
        let other = DataFusionError::Execution("disk full".to_owned());
        assert_eq!(ClusterError::from(other.context("while planning")).to_string(), "disk full");
    }
}
