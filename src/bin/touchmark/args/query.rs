//! Arguments of `sql` and `cluster`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use touchmark::cluster::{RowFormat, Table};
use touchmark::detect::Windows;

use super::{Switch, segments};

#[derive(Args)]
pub struct Sql {
    #[command(flatten)]
    pub query: Query,
    #[command(flatten)]
    pub looking: Looking,
}

/// A query and where its rows go.
#[derive(Args)]
pub struct Query {
    /// One statement. `touchmark_log10_p(text, 'PROFILE')` and `touchmark_detect(text, 'PROFILE')` look for a mark; files
    /// can be named as FROM 'FILE'
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// A name for a file, a folder or a quoted pattern of files: parquet, arrow, csv, tsv, jsonl, the last three also .gz
    /// and .zst
    #[arg(long = "table", value_name = "NAME=PATH", value_parser = table)]
    pub tables: Vec<Table>,
    /// How rows are written [default: table, or by the ending of --output, else jsonl]
    #[arg(long, value_enum)]
    pub format: Option<QueryFormat>,
    /// Write rows to this file, which appears whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How texts are examined. On a cluster, whoever asks and the executors must be told the same.
#[derive(Args, Clone)]
pub struct Looking {
    /// False-alarm rate for each document, which verdicts are given at
    #[arg(long, default_value_t = 1e-6, value_name = "RATE", env = "TOUCHMARK_FPR")]
    pub fpr: f64,
    /// Read texts also with common damage undone (smart quotes, HTML, wrapped lines): `on`, or `off`
    #[arg(long, value_enum, default_value_t, value_name = "on|off")]
    pub normalise: Switch,
    /// Look for marked passages too: `auto` in texts of more than 256 tokens, `off`, or in passages of N tokens or more of
    /// every longer text
    #[arg(long, value_parser = segments, default_value = "auto", value_name = "auto|off|N", env = "TOUCHMARK_SEGMENTS")]
    pub segments: Windows,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QueryFormat {
    /// For people: the first 1000 rows
    Table,
    /// One JSON object a row
    Jsonl,
    /// With a row of names; lists and structs do not fit
    Csv,
    /// Needs --output
    Parquet,
}

impl From<QueryFormat> for RowFormat {
    fn from(format: QueryFormat) -> Self {
        match format {
            QueryFormat::Table => Self::Table,
            QueryFormat::Jsonl => Self::Jsonl,
            QueryFormat::Csv => Self::Csv,
            QueryFormat::Parquet => Self::Parquet,
        }
    }
}

#[derive(Args)]
pub struct Cluster {
    #[command(subcommand)]
    pub action: ClusterAction,
}

#[derive(Subcommand)]
pub enum ClusterAction {
    /// Take queries and deal them out to executors
    Scheduler {
        /// Where to listen. There is no authentication: beyond this machine, only in a network that is trusted
        #[arg(long, default_value = "127.0.0.1:50050", value_name = "HOST:PORT")]
        bind: String,
        /// Give an executor's work to others when it has said nothing for so long, in seconds
        #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..))]
        executor_timeout: u64,
    },
    /// Examine texts for a scheduler, with this machine's keyring
    Executor(ClusterExecutor),
    /// Run a query on a cluster
    Submit {
        /// The scheduler
        #[arg(long, default_value = "127.0.0.1:50050", value_name = "HOST:PORT")]
        scheduler: String,
        /// Tasks that a query is cut into, where its files can be
        #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        tasks: u16,
        #[command(flatten)]
        query: Query,
        #[command(flatten)]
        looking: Looking,
    },
}

#[derive(Args)]
pub struct ClusterExecutor {
    /// The scheduler
    #[arg(long, default_value = "127.0.0.1:50050", value_name = "HOST:PORT")]
    pub scheduler: String,
    /// Where others fetch its results; port 0 takes a free one. There is no authentication: beyond this machine, only in a
    /// network that is trusted
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "HOST:PORT")]
    pub bind: String,
    /// Host under which others reach it [default: what the scheduler sees]
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,
    /// Folder for its results, which hold what queries select
    #[arg(long, value_name = "DIR")]
    pub work_dir: PathBuf,
    /// Profiles to open at the start, so that a missing key is seen then
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub profile: Vec<String>,
    #[command(flatten)]
    pub looking: Looking,
}

fn table(text: &str) -> Result<Table, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok(Table { name: name.to_owned(), path: PathBuf::from(path) })
        }
        _ => Err("write NAME=PATH, such as docs=corpus/*.parquet".to_owned()),
    }
}
