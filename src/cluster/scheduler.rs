//! The scheduler's process.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::FunctionRegistry;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use super::ClusterError;
use super::function::functions;
use super::session::runtime;

/// How a scheduler runs.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// Where it listens, `HOST:PORT`; port 0 takes a free one.
    pub bind: String,
    /// After so many seconds without a word from an executor its work is given to others. At least 10: a busy executor
    /// reports every 5 seconds.
    pub executor_timeout: u64,
}

/// Serves until it is told to end. `listening` is called with the address once executors and queries can come.
///
/// # Errors
/// It cannot listen there, or it fails.
pub fn run_scheduler(
    scheduler: &Scheduler,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), ClusterError> {
    let address = resolved(&scheduler.bind)?;
    runtime(2)?.block_on(async {
        let listen = |source| ClusterError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let config = Arc::new(config(address, scheduler.executor_timeout));
        config.validate()?;
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let server = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config).await?;
        listening(address);
        tokio::select! {
            served = start_grpc_service_with_listener(listener, server) => Ok(served?),
            ended = told_to_end() => ended.map_err(ClusterError::Start),
        }
    })
}

fn config(address: SocketAddr, executor_timeout: u64) -> SchedulerConfig {
    SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: address.ip().to_string(),
        // Executors ask for work, so only they need to reach the scheduler.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: executor_timeout,
        expire_dead_executor_interval_seconds: 2,
        no_executors_grace_period_seconds: executor_timeout,
        // The scheduler plans with our functions and never evaluates them.
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            for function in functions(None) {
                state.register_udf(Arc::new(function))?;
            }
            Ok(state)
        })),
        ..SchedulerConfig::default()
    }
}

/// The first address of a name.
pub(super) fn resolved(given: &str) -> Result<SocketAddr, ClusterError> {
    let wrong = |source| ClusterError::Address { given: given.to_owned(), source };
    let mut addresses = given.to_socket_addrs().map_err(|error| wrong(Some(error)))?;
    addresses.next().ok_or_else(|| wrong(None))
}

#[cfg(unix)]
async fn told_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        ended = tokio::signal::ctrl_c() => ended,
    }
}

#[cfg(not(unix))]
async fn told_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
