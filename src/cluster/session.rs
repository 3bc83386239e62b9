//! Queries, here or on a cluster.

use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::catalog::{DynamicFileCatalog, UrlTableFactory};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use super::files::{Files, Table};
use super::function::functions;
use super::opened::{Detectors, Opened};
use super::output::{self, RowFormat, Written};
use super::{ClusterError, paths, pins};

/// A query and how its rows are wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// One statement.
    pub sql: String,
    /// Names for files. Files can also be named in the query, as `FROM 'path'`.
    pub tables: Vec<Table>,
    /// How rows are written.
    pub format: RowFormat,
    /// Threads to compute with here; tasks that a cluster's query is cut into.
    pub partitions: usize,
}

/// Rows that are examined together. Texts are work enough to pay for small batches, and these spread over all cores.
const BATCH_ROWS: usize = 64;

/// Runs a query in this process.
///
/// # Errors
/// The query, a table or a profile is refused, or rows cannot be written.
pub fn run_here(
    query: &Query,
    detectors: Arc<dyn Detectors>,
    out: &mut (dyn Write + Send),
) -> Result<Written, ClusterError> {
    // One reader a file, and its rows dealt out: a file may be a single row group, which cannot be cut.
    let config = SessionConfig::new()
        .with_target_partitions(query.partitions)
        .with_batch_size(BATCH_ROWS)
        .with_repartition_file_scans(false)
        .with_information_schema(true);
    let opened = Arc::new(Opened::new(detectors, None));
    runtime(query.partitions)?.block_on(async {
        let (files, state) = with_files(config);
        let context = SessionContext::new_with_state(state);
        functions(Some(&opened)).into_iter().for_each(|function| context.register_udf(function));
        register(&context, &files, &query.tables).await?;
        let rows = context.sql(&query.sql).await?.execute_stream().await?;
        output::write(rows, query.format, out).await
    })
}

/// Runs a query on the cluster of a scheduler, `HOST:PORT`. Profiles are pinned to this machine's; no key is sent.
///
/// # Errors
/// As [`run_here`]; or there is no scheduler, or an executor refuses a profile or fails.
pub fn submit(
    scheduler: &str,
    query: &Query,
    detectors: &dyn Detectors,
    out: &mut (dyn Write + Send),
) -> Result<Written, ClusterError> {
    answers(scheduler)?;
    // Small pieces of files are tasks of their own: reading is cheap beside examining.
    let config = SessionConfig::new_with_ballista()
        .with_target_partitions(query.partitions)
        .with_repartition_file_min_size(1 << 20);
    runtime(2)?.block_on(async {
        let (files, state) = with_files(config);
        let url = format!("df://{scheduler}");
        let context = SessionContext::remote_with_state(&url, state).await?;
        // After the context: making it drops functions that were there before.
        functions(None).into_iter().for_each(|function| context.register_udf(function));
        register(&context, &files, &query.tables).await?;
        let state = context.state();
        let dialect = state.config_options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(&query.sql, &dialect)?;
        for (number, path) in paths::renamed(&mut statement).into_iter().enumerate() {
            context.register_table(paths::name(number), files.table(Path::new(&path)).await?)?;
        }
        let plan = state.statement_to_plan(statement).await?;
        let rows = DataFrame::new(state, pins::pin(plan, detectors)?).execute_stream().await?;
        output::write(rows, query.format, out).await
    })
}

/// A state whose queries can name files, and what reads these.
fn with_files(config: SessionConfig) -> (Arc<Files>, SessionState) {
    let plain = SessionStateBuilder::new().with_default_features().with_config(config).build();
    let files = Arc::new(Files::new(plain.clone()));
    let catalogs = DynamicFileCatalog::new(
        Arc::clone(plain.catalog_list()),
        Arc::clone(&files) as Arc<dyn UrlTableFactory>,
    );
    let state =
        SessionStateBuilder::new_from_existing(plain).with_catalog_list(Arc::new(catalogs)).build();
    (files, state)
}

async fn register(
    context: &SessionContext,
    files: &Files,
    tables: &[Table],
) -> Result<(), ClusterError> {
    for table in tables {
        let provider = files.table(&table.path).await?;
        context.register_table(table.name.as_str(), provider)?;
    }
    Ok(())
}

pub(super) fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, ClusterError> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads.max(1)).enable_all().build().map_err(ClusterError::Start)
}

/// Refuses a scheduler that is not there, in words: a query would only say that some connection failed.
fn answers(scheduler: &str) -> Result<(), ClusterError> {
    let wrong = |source| ClusterError::Address { given: scheduler.to_owned(), source };
    let mut addresses = scheduler.to_socket_addrs().map_err(|error| wrong(Some(error)))?;
    let address = addresses.next().ok_or_else(|| wrong(None))?;
    let connected = TcpStream::connect_timeout(&address, Duration::from_secs(5));
    connected
        .map(drop)
        .map_err(|source| ClusterError::NoScheduler { scheduler: scheduler.to_owned(), source })
}
