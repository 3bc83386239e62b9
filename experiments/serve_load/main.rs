//! How many answers at once, how soon, and what a server keeps of clients that behave badly. See README.md. Writes
//! `throughput.json` or `chaos.json` beside this file: `cargo run --release --example serve_load -- throughput|chaos [REQUESTS]`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod chaos;
mod client;
mod server;
mod throughput;

use std::path::Path;

use serde_json::{Value, json};
use server::Server;

/// Streams at once, and pairs of rounds: where a round is short there are more of them.
const STREAMS: [(usize, usize); 4] = [(1, 24), (4, 16), (16, 10), (64, 6)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let what = arguments.first().map_or("throughput", String::as_str);
    let results = match what {
        "throughput" => throughput(),
        "chaos" => {
            let requests = arguments.get(1).map_or(10_000, |count| count.parse().unwrap());
            let server = Server::start(&["--max-running", "32", "--cache-memory", "96"]);
            let mut results = chaos::run(&server, requests);
            results["ledger"] = server.stop();
            results
        }
        other => panic!("{other}: say throughput or chaos"),
    };
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("experiments/serve_load/{what}.json"));
    let text = serde_json::to_string_pretty(&results).unwrap() + "\n";
    std::fs::write(file, &text).unwrap();
    println!("{text}");
}

fn throughput() -> Value {
    let mut all = Vec::new();
    for (name, running, tokens, share) in [("batched", "64", 128, 1), ("sequential", "1", 48, 3)] {
        let server = Server::start(&["--max-running", running]);
        for (streams, rounds) in STREAMS {
            let mut measured = throughput::measure(&server, streams, tokens, rounds / share);
            measured["writing"] = name.into();
            println!("{measured}");
            all.push(measured);
        }
        server.stop();
    }
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    json!({ "touchmark": env!("CARGO_PKG_VERSION"), "cores": cores, "model": "scribe-16m-chat", "measured": all })
}
