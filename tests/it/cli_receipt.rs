//! `receipt`: what it says of texts, and of ledgers that were changed.

use assert_cmd::Command;
use serde_json::Value;
use touchmark::provenance::Ledger;

use crate::ledger::{Home, facts};

const TEXT: &str = "The lease begins on the first day of the month and ends when either party gives notice in writing, or \
                    when the house is sold, whichever comes first; nothing else ends it.";

/// A home with a ledger of three answers.
fn home() -> Home {
    let home = Home::new();
    let ledger = home.open(false);
    for (number, text) in [TEXT, "Yes.", "Bread, milk and a dozen eggs."].iter().enumerate() {
        let facts = facts(&format!("chatcmpl-{number}"), number as i64);
        ledger.append(ledger.recorder().record(facts, text, "Who?").unwrap()).unwrap();
    }
    home
}

fn run(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.current_dir(home.store().home()).env("TOUCHMARK_HOME", home.store().home());
    let output = command.env("NO_COLOR", "1").arg("receipt").args(arguments).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(!err.contains("panicked"), "{arguments:?}: {err}");
    (output.status.code().unwrap(), out, err)
}

fn json(home: &Home, arguments: &[&str], code: i32) -> Value {
    let (got, out, err) = run(home, &[arguments, &["--json"]].concat());
    assert_eq!(got, code, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn texts_are_found() {
    let home = home();
    let edited = TEXT.replace("month", "year").replace("sold", "let");
    let other =
        "Nothing of this was ever written by the model that is asked here, as far as is known.";
    for (text, verdict, words) in [
        (TEXT, Some("exact"), "byte for byte"),
        (&format!("{TEXT}\n"), Some("trimmed"), "blanks at the ends"),
        (&TEXT.to_lowercase(), Some("same_words"), "in their order"),
        (&edited, Some("near"), "runs of five words stand in answer chatcmpl-0"),
        (other, None, "None of 3 recorded answers"),
        ("No, never that.", None, "from 8 on"),
    ] {
        let found = json(&home, &["find", text], 0);
        assert_eq!(found["verdict"].as_str(), verdict, "{found}");
        assert!(found["meaning"].as_str().unwrap().contains(words), "{found}");
        let (_, out, err) = run(&home, &["find", text]);
        assert_eq!(out.contains("chatcmpl-0"), verdict.is_some());
        assert!(err.contains(words), "{err}");
    }
    let near = &json(&home, &["find", &edited], 0)["matches"][0];
    assert_eq!(near["receipt"]["account"], "acme");
    let containment = near["similarity"]["containment"].as_f64().unwrap();
    assert!((0.5..0.8).contains(&containment), "{near}");
    let (code, _, err) = run(&home, &["find", "no/such.txt"]);
    assert!(code == 2 && err.contains("there is no file"), "{err}");
}

#[test]
fn ledgers_are_verified() {
    let home = home();
    run(&home, &["checkpoint", "-o", "early.json"]);
    let valid = json(&home, &["verify", "--checkpoint", "early.json"], 0);
    assert_eq!((&valid["valid"], &valid["standing"]), (&Value::Bool(true), &"holds".into()));
    let key = valid["head"]["public_key"].as_str().unwrap().to_owned();
    assert!(run(&home, &["verify", "--public-key", &key]).0 == 0);
    let (code, out, _) = run(&home, &["verify", "--public-key", &"ab".repeat(32)]);
    assert!(code == 1 && out.contains(&key), "{out}");
    assert!(run(&home, &["verify"]).1.contains("not cut off"));

    run(&home, &["export", "-o", "all.jsonl"]);
    let export = ["verify", "--export", "all.jsonl", "--checkpoint", "early.json"];
    assert_eq!(json(&home, &export, 0)["standing"], "holds");
    let file = home.store().home().join("all.jsonl");
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 3);
    for (changed, code) in [
        (lines.replace("acme", "acne"), 1),
        (lines.lines().skip(1).map(|line| format!("{line}\n")).collect(), 0),
        (lines.lines().step_by(2).map(|line| format!("{line}\n")).collect(), 1),
        (lines.lines().take(2).map(|line| format!("{line}\n")).collect(), 1),
        ("no receipt\n".to_owned(), 2),
    ] {
        std::fs::write(&file, &changed).unwrap();
        let (got, out, err) = run(&home, &export);
        assert_eq!(got, code, "{changed}\n{out}{err}");
    }

    let early = home.store().home().join("early.json");
    let forged = std::fs::read_to_string(&early).unwrap().replace("\"sig\": \"", "\"sig\": \"AA");
    std::fs::write(early, forged).unwrap();
    let (code, out, _) = run(&home, &["verify", "--checkpoint", "early.json"]);
    assert!(code == 1 && out.contains("signature"), "{out}");
}

#[test]
fn one_answer_is_shown_to_somebody_who_has_no_ledger() {
    let home = home();
    run(&home, &["disclose", "chatcmpl-0", "-o", "shown.json"]);
    let shown = std::fs::read_to_string(home.store().home().join("shown.json")).unwrap();
    let elsewhere = Home::new();
    let write = |name: &str, text: &str| {
        std::fs::write(elsewhere.store().home().join(name), text).unwrap();
    };
    write("shown.json", &shown);
    write("right.txt", TEXT);
    write("wrong.txt", "Another text.");
    let verify = |text| ["verify", "--disclosure", "shown.json", "--text", text];
    let right = json(&elsewhere, &verify("right.txt"), 0);
    assert_eq!((&right["agreement"], &right["valid"]), (&"exact".into(), &Value::Bool(true)));
    assert_eq!(json(&elsewhere, &verify("wrong.txt"), 1)["agreement"], "different");
    let stranger = "ab".repeat(32);
    let pinned = [&verify("right.txt")[..], &["--public-key", &stranger]].concat();
    assert_eq!(run(&elsewhere, &pinned).0, 1);
    let prompt = [&verify("right.txt")[..], &["--prompt", "wrong.txt"]].concat();
    let (code, _, err) = run(&elsewhere, &prompt);
    assert!(code == 2 && err.contains("--with-prompt"), "{err}");
    let out = run(&home, &["disclose", "chatcmpl-0", "--with-prompt"]).1;
    write("shown.json", &out);
    assert_eq!(run(&elsewhere, &prompt).0, 1);
    write("who.txt", "Who?");
    assert_eq!(
        run(&elsewhere, &[&verify("right.txt")[..], &["--prompt", "who.txt"]].concat()).0,
        0
    );
}

#[test]
fn receipts_are_listed_redacted_and_pruned() {
    let home = home();
    let listed = json(&home, &["list", "--account", "acme", "--limit", "2"], 0);
    let listed = listed["receipts"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["receipt"]["sequence"]), (2, &3.into()));
    assert!(run(&home, &["list"]).1.contains("marked, default (key k-1)"));
    assert!(run(&home, &["show", "chatcmpl-1"]).1.contains("100 written, 90 marked"));
    let (code, _, err) = run(&home, &["show", "chatcmpl-9"]);
    assert!(code == 2 && err.contains("receipt list"), "{err}");
    assert_eq!(json(&home, &["redact", "chatcmpl-0"], 0)["redacted"], 1);
    let found = json(&home, &["find", TEXT], 0);
    assert_eq!((&found["verdict"], &found["redacted"]), (&Value::Null, &1.into()));
    assert!(run(&home, &["disclose", "chatcmpl-0"]).2.contains("redacted"));
    let pruned = json(&home, &["prune", "--before", "2027-01-15T08:00:01Z"], 0);
    assert_eq!((&pruned["receipts"], &pruned["through"]), (&1.into(), &1.into()));
    let valid = json(&home, &["verify"], 0);
    assert_eq!((&valid["receipts"], &valid["pruned_through"]), (&2.into(), &1.into()));
    for (arguments, why) in [
        (&["prune", "--before", "yesterday"][..], "2026-01-31"),
        (&["find", "text", "--ledger", "none.sqlite"], "there is no ledger"),
        (&["verify", "--text", "x"], "--disclosure"),
    ] {
        let (code, _, err) = run(&home, arguments);
        assert!(code == 2 && err.contains(why), "{err}");
    }
    let writing = home.open(false);
    let (code, _, err) = run(&home, &["redact", "chatcmpl-1"]);
    assert!(code == 2 && err.contains("another process"), "{err}");
    assert_eq!(run(&home, &["verify"]).0, 0);
    drop(writing);
}
