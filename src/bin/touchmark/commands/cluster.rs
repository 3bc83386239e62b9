//! `touchmark cluster`: the detector as functions of SQL, on many machines.

mod logger;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use touchmark::cluster::{self, Detectors, Executor, Scheduler};

use super::detectors::Keyring;
use super::sql;
use crate::args::{self, ClusterAction, ClusterExecutor, Global};
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &args::Cluster) -> anyhow::Result<Exit> {
    // Who asks gets errors as results.
    let servers = !matches!(args.action, ClusterAction::Submit { .. });
    if servers || global.verbose {
        logger::install(global)?;
    }
    match &args.action {
        ClusterAction::Scheduler { bind, executor_timeout } => {
            let scheduler = Scheduler { bind: bind.clone(), executor_timeout: *executor_timeout };
            cluster::run_scheduler(&scheduler, |address| {
                output::note(global.quiet, &format!("Scheduler listens at {address}"));
                warn_of_open(address);
            })?;
            Ok(Exit::Done)
        }
        ClusterAction::Executor(args) => executor(global, args),
        ClusterAction::Submit { scheduler, tasks, query, looking } => {
            let wanted = sql::query(global, query, (*tasks).into())?;
            let detectors = Keyring::new(global, looking);
            sql::rows(global, query, |out| cluster::submit(scheduler, &wanted, &detectors, out))
        }
    }
}

fn executor(global: &Global, args: &ClusterExecutor) -> anyhow::Result<Exit> {
    let detectors = Arc::new(Keyring::new(global, &args.looking));
    for profile in &args.profile {
        open(global, &detectors, profile)
            .with_context(|| format!("an executor cannot use profile \"{profile}\""))?;
    }
    let executor = Executor {
        scheduler: args.scheduler.clone(),
        bind: args.bind.clone(),
        external_host: args.advertise.clone(),
        work_dir: folder(&args.work_dir)?,
        threads: sql::threads(global),
    };
    cluster::run_executor(&executor, detectors, |address| {
        output::note(
            global.quiet,
            &format!("Executor at {address}, for the scheduler at {}", args.scheduler),
        );
        warn_of_open(address);
    })?;
    Ok(Exit::Done)
}

/// Opens a profile as a query would, and shows what a query must ask for.
fn open(global: &Global, detectors: &Keyring, profile: &str) -> anyhow::Result<()> {
    let pinned = detectors.pin(profile).map_err(anyhow::Error::from_boxed)?;
    detectors.open(profile).map_err(anyhow::Error::from_boxed)?;
    output::note(global.quiet, &format!("Profile {pinned}"));
    Ok(())
}

/// Results hold texts, so the folder is its owner's.
fn folder(path: &Path) -> anyhow::Result<std::path::PathBuf> {
    let failed = || format!("cannot use {} as a work folder", path.display());
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(failed)?;
    let absolute = path.canonicalize().with_context(failed)?;
    if absolute.to_str().is_none() {
        bail!("{} is not written in UTF-8, as a work folder must be", path.display());
    }
    Ok(absolute)
}

fn warn_of_open(address: SocketAddr) {
    if !address.ip().is_loopback() {
        output::warn(
            "anyone who reaches this port can run queries here: a cluster has no authentication; keep it in a trusted network",
        );
    }
}
