//! Models told by their answers over HTTP: enrolled here, asked behind the server, checked from the bundle.

use std::path::Path;

use serde_json::Value;

use super::Server;
use crate::cli::Home;

/// A model of the repository.
fn model(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).display().to_string()
}

/// Commits to a test, asks a suspect, and gives the finding; the bundle must verify.
fn finding(home: &Home, bundle: &str, commit: &[&str], suspect: &str) -> Value {
    home.ok(&[&["bundle", "commit", "-o", bundle], commit].concat());
    let out = home.ok(&["--json", "fingerprint", "probe", bundle, "--suspect", suspect]);
    let found: Value = serde_json::from_str(&out).unwrap();
    home.ok(&["bundle", "verify", bundle]);
    found
}

#[test]
fn a_served_model_is_told_from_its_tune() {
    let home = Home::new();
    home.profile("house", "kgw", &[]);
    let (base, tune) = (model("scribe-16m"), model("scribe-16m-chat"));
    let enrol = [
        "fingerprint",
        "enroll",
        &base,
        "-o",
        "base.json",
        "--candidates",
        "400",
        "--alternative",
        &tune,
        "--parts",
        "identity,rank,drift",
        "--references",
        "50",
        "--strict",
    ];
    home.ok(&enrol);
    let serve = |path: &str| {
        Server::start(
            &home,
            &[path, "--profile", "house", "--watermark-mode", "off", "--no-ledger"],
        )
    };
    let identity = ["--enrolment", "base.json", "--test", "identity"];
    let drift = ["--enrolment", "base.json", "--test", "drift"];
    let rank = ["--enrolment", "base.json", "--test", "rank", "--queries", "100"];

    let same = serve(&base);
    let found =
        finding(&home, "same", &[&identity[..], &["--queries", "60"]].concat(), &same.address);
    assert_eq!((&found["verdict"], &found["n"]), (&"not_shown".into(), &60.into()), "{found}");
    let found = finding(&home, "same-drift", &drift, &same.address);
    assert_eq!(found["verdict"], "not_shown", "{found}");
    let found = finding(&home, "same-rank", &rank, &same.address);
    assert_eq!((&found["verdict"], &found["n"]), (&"not_shown".into(), &100.into()), "{found}");
    drop(same);

    let other = serve(&tune);
    let found = finding(&home, "other", &identity, &other.address);
    assert_eq!(found["verdict"], "changed", "{found}");
    let found = finding(&home, "other-rank", &rank, &other.address);
    assert_eq!((&found["verdict"], &found["n"]), (&"changed".into(), &100.into()), "{found}");
    let found = finding(&home, "other-drift", &drift, &other.address);
    assert_eq!(found["verdict"], "changed", "{found}");

    // What a bundle commits to can be tried on suspects whose truth is known.
    let suspect = |model: &str, truth: &str| {
        format!("[[suspect]]\nmodel = {model:?}\ntruth = {truth:?}\nstratum = \"own\"\n")
    };
    home.write("people.toml", suspect(&base, "independent") + &suspect(&other.address, "related"));
    home.ok(&["fingerprint", "lineup", "people.toml", "--plan", "other-drift", "-o", "rows.jsonl"]);
    let rows = std::fs::read_to_string(home.path("rows.jsonl")).unwrap();
    let verdicts: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["verdict"].clone())
        .collect();
    assert_eq!(verdicts, ["not_shown", "changed"]);
}

#[test]
fn an_enrolment_over_http_goes_on_where_its_budget_ended() {
    let home = Home::new();
    let server = Server::start(&home, &["--watermark-mode", "off", "--no-ledger"]);
    let prompts: String = (0..30).map(|at| format!("Number {at} is\n")).collect();
    home.write("prompts.txt", prompts);
    let enrol = [
        "--json",
        "fingerprint",
        "enroll",
        &server.address,
        "-o",
        "served.json",
        "--prompts",
        "prompts.txt",
        "--parts",
        "lineage",
        "--form",
        "chat",
        "--max-requests",
        "40",
    ];
    let (code, _, err) = home.run(&enrol);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("goes on") && home.path("served.json.part").exists(), "{err}");
    let done: Value = serde_json::from_str(&home.ok(&enrol)).unwrap();
    // What the first run had answered is not asked again.
    let mut anew =
        enrol.map(|argument| if argument == "served.json" { "anew.json" } else { argument });
    anew[13] = "1000";
    let whole: Value = serde_json::from_str(&home.ok(&anew)).unwrap();
    let requests = |run: &Value| run["requests"].as_u64().unwrap();
    assert_eq!(requests(&done) + 40, requests(&whole), "{done} {whole}");
    assert!(!home.path("served.json.part").exists());
    let kept: Value =
        serde_json::from_slice(&std::fs::read(home.path("served.json")).unwrap()).unwrap();
    assert!(kept["lineage"]["cells"].as_array().unwrap().len() >= 15);
}
