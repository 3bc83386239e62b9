//! An executor's process.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};

use super::ClusterError;
use super::function::functions;
use super::opened::{Detectors, Opened};
use super::scheduler::resolved;
use super::session::runtime;

/// How an executor runs.
#[derive(Clone, Debug)]
pub struct Executor {
    /// The scheduler, `HOST:PORT`.
    pub scheduler: String,
    /// Where others fetch its results, `HOST:PORT`; port 0 takes a free one.
    pub bind: String,
    /// The host under which others reach it, where that is not what the scheduler sees.
    pub external_host: Option<String>,
    /// Folder for its results; must exist.
    pub work_dir: PathBuf,
    /// Tasks at a time.
    pub threads: usize,
}

/// Works until it is told to end. `starting` is called with the address before the scheduler is asked for work.
///
/// # Errors
/// It cannot listen there, there is no scheduler, or it fails.
pub fn run_executor(
    executor: &Executor,
    detectors: Arc<dyn Detectors>,
    starting: impl FnOnce(SocketAddr),
) -> Result<(), ClusterError> {
    let address = free(resolved(&executor.bind)?)?;
    let scheduler = resolved(&executor.scheduler)?;
    let opened = Arc::new(Opened::new(detectors, Some(address.to_string())));
    let mut registry = BallistaFunctionRegistry::default();
    for function in functions(Some(&opened)) {
        registry.scalar_functions.insert(function.name().to_owned(), Arc::new(function));
    }
    let config = ExecutorProcessConfig {
        bind_host: host(address),
        external_host: executor.external_host.clone(),
        port: address.port(),
        scheduler_host: host(scheduler),
        scheduler_port: scheduler.port(),
        scheduler_connect_timeout_seconds: 30,
        vcores: executor.threads,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(executor.work_dir.to_string_lossy().into_owned()),
        job_data_ttl_seconds: DAY,
        job_data_clean_up_interval_seconds: DAY / 24,
        override_function_registry: Some(Arc::new(registry)),
        ..ExecutorProcessConfig::default()
    };
    starting(address);
    runtime(executor.threads + 1)?.block_on(start_executor_process(Arc::new(config)))?;
    Ok(())
}

const DAY: u64 = 24 * 60 * 60;

/// An address nobody listens at: Ballista would start all the same and serve no results.
fn free(address: SocketAddr) -> Result<SocketAddr, ClusterError> {
    let listen = |source| ClusterError::Listen { address, source };
    TcpListener::bind(address).and_then(|listener| listener.local_addr()).map_err(listen)
}

/// As it stands in an address.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}
