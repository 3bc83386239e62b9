//! The program as a server of its own, with an account under each policy.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client;

pub const POLICIES: [&str; 4] = ["off", "opt-in", "default", "required"];
/// May read the metrics.
const OPERATOR: &str = "operator";

pub struct Server {
    pub address: SocketAddr,
    /// API keys by account: one under each policy, named after it.
    pub keys: BTreeMap<&'static str, String>,
    pub model: String,
    home: tempfile::TempDir,
    child: Child,
}

/// The program that is measured.
fn program() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/touchmark");
    std::env::var_os("TOUCHMARK_PROGRAM").map_or_else(built, PathBuf::from)
}

fn run(home: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(program()).args(arguments).env("TOUCHMARK_HOME", home).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    pub fn start(flags: &[&str]) -> Self {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path();
        run(path, &["--quiet", "profile", "new", "house"]);
        let policy = path.join("policy.toml");
        let file = policy.to_str().unwrap();
        let mut keys = BTreeMap::new();
        for mode in POLICIES {
            let new = ["--quiet", "api-key", "new", mode, "--file", file, "--watermark-mode", mode];
            keys.insert(mode, run(path, &new).trim().to_owned());
        }
        let new = ["--quiet", "api-key", "new", OPERATOR, "--file", file, "--role", "metrics"];
        keys.insert(OPERATOR, run(path, &new).trim().to_owned());
        let mut child = Command::new(program())
            .args(["--json", "serve", "--port", "0", "--profile", "house", "--receipts", "body"])
            .args(["--api-key-file", file])
            .args(flags)
            .env("TOUCHMARK_HOME", path)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(path.join("log")).unwrap())
            .spawn()
            .unwrap();
        let started =
            serde_json::Deserializer::from_reader(BufReader::new(child.stdout.take().unwrap()));
        let started: Value = started.into_iter().next().unwrap().unwrap();
        let address = started["address"].as_str().unwrap();
        let address = address.trim_start_matches("http://").parse().unwrap();
        let model = started["model"].as_str().unwrap().to_owned();
        Self { address, keys, model, home, child }
    }

    /// Samples of `/metrics` by name and labels.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, text) =
            client::ask(self.address, "GET", "/metrics", &self.keys[OPERATOR], "").unwrap();
        assert_eq!(status, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// Memory in use.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many of these receipts the ledger lacks.
    pub fn missing_receipts(&self, told: &HashSet<String>) -> usize {
        let kept = self.receipts();
        told.iter().filter(|name| !kept.contains(*name)).count()
    }

    fn receipts(&self) -> HashSet<String> {
        let file = self.home.path().join("export.jsonl");
        run(self.home.path(), &["--quiet", "receipt", "export", "-o", file.to_str().unwrap()]);
        let lines = BufReader::new(std::fs::File::open(file).unwrap()).lines();
        let name = |line: String| -> String {
            let receipt: Value = serde_json::from_str(&line).unwrap();
            receipt["receipt"]["answer"].as_str().unwrap().to_owned()
        };
        lines.map(|line| name(line.unwrap())).collect()
    }

    /// Asks it to end; says whether it did so in order, and what its ledger holds.
    pub fn stop(mut self) -> Value {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let verified = Command::new(program())
            .args(["--quiet", "--json", "receipt", "verify"])
            .env("TOUCHMARK_HOME", self.home.path())
            .output()
            .unwrap();
        let log = std::fs::read_to_string(self.home.path().join("log")).unwrap();
        let faults = log.lines().filter(|line| line.contains("warning") || line.contains("fault"));
        json!({
            "exit_code": code,
            "verify_exit_code": verified.status.code(),
            "verify": serde_json::from_slice::<Value>(&verified.stdout).ok(),
            "receipts": self.receipts().len(),
            "log_lines_of_faults": faults.map(str::to_owned).collect::<Vec<_>>(),
        })
    }
}
