//! `touchmark serve`.

pub mod examine;
mod log;
#[cfg(feature = "engine")]
mod model;
mod policies;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::provenance::Ledger;
use touchmark::serve::openai::Limited;
use touchmark::serve::policy::{Defaults, Policies, PolicyFile};
use touchmark::serve::{App, NetSettings, Settings};
use touchmark::store::Store;

use self::log::ServerLog;
use self::policies::Ground;
use crate::args::{self, Global};
use crate::assemble;
use crate::commands::api_key;
use crate::output::{self, Exit};

/// What is said when the server is ready.
#[derive(Serialize)]
struct Started {
    address: String,
    model: Option<String>,
    profiles: Vec<String>,
}

pub fn run(global: &Global, args: &args::Serve) -> anyhow::Result<Exit> {
    check(args)?;
    let store = Arc::new(assemble::store(global)?);
    // Faults that can be found at once are told before the long work.
    let file = policy_file(args)?;
    let listener = listen(args)?;
    let address = address(args, &listener)?;
    let ledger = ledger(args, &store)?;
    let log = Arc::new(ServerLog::new(global.quiet, args.receipts.request_log.as_deref())?);
    let name = served_name(args);
    let app = Arc::new(App::new(settings(args), name.as_deref(), ledger, log)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let router = touchmark::serve::router(Arc::clone(&app), axum_router());
    let net = net_settings(args);
    let serving = runtime.spawn(touchmark::serve::serve(
        Arc::clone(&app),
        router,
        listener,
        net,
        touchmark::serve::stopped(),
    ));
    output::note(global.quiet, &format!("Listening at {address}"));
    let started = open(global, args, &app, &store, &file, address)?;
    runtime.spawn(touchmark::serve::reload_at_hangup(Arc::clone(&app)));
    if global.json {
        output::json(&started)?;
    } else {
        output::note(global.quiet, &words(&started));
    }
    runtime.block_on(serving).context("internal fault: the server's thread ended")??;
    Ok(Exit::Done)
}
