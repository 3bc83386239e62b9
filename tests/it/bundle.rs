//! Bundles from the command line: committed to, asked, opened, packed and checked; and what cannot be done to them unseen.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use touchmark::fingerprint::planted::{AnswerList, Form, Kind, Planting};

use crate::cli::Home;
use crate::common::key;

/// An endpoint that knows some answers.
fn endpoint(answers: HashMap<String, String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answers = Arc::new(answers);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answers = Arc::clone(&answers);
            thread::spawn(move || answer(stream.unwrap(), &answers));
        }
    });
    address
}

fn answer(mut stream: TcpStream, answers: &HashMap<String, String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut first) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let reply = if first.starts_with("GET") {
        json!({"object": "list", "data": [{"id": "relay", "object": "model"}]})
    } else {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let question = asked["messages"][0]["content"].as_str().unwrap();
        let text = answers.get(question).map_or("I do not know.", String::as_str);
        json!({"id": "c", "object": "chat.completion", "model": "relay-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})
    };
    let reply = reply.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        reply.len()
    );
    let _ = stream.write_all((head + &reply).as_bytes());
}

/// A planting in a folder, as `fingerprint plant` leaves it, and its pairs with their answers.
fn planting(home: &Home) -> HashMap<String, String> {
    let question =
        |kind: &str, at: usize, way: usize| format!("What is {kind} number {at}, put way {way}?");
    let questions = ["pair", "decoy"].map(|kind| {
        (0..20)
            .map(|at| (0..2).map(|way| question(kind, at, way)).collect())
            .collect::<Vec<Vec<String>>>()
    });
    let list = AnswerList::common(64).unwrap();
    let planting = Planting::new(key(5), list, Form::Chat, None, questions).unwrap();
    let folder = home.path("planted");
    fs::create_dir(&folder).unwrap();
    touchmark::store::Store::write_secret(
        &folder.join("planting.json"),
        planting.to_json().unwrap().as_bytes(),
    )
    .unwrap();
    let pairs = planting.planted(Kind::Pair).unwrap();
    let pairs = pairs.iter().flat_map(|pair| {
        pair.phrasings.iter().map(|question| (question.clone(), pair.answer.to_owned()))
    });
    pairs.collect()
}

const COMMIT: [&str; 5] = ["bundle", "commit", "--planting", "planted", "-o"];

fn probe(home: &Home, bundle: &str, suspect: &str, more: &[&str]) -> (i32, Value, String) {
    let arguments = ["fingerprint", "probe", bundle, "--suspect", suspect, "--json"];
    let (code, out, err) = home.run(&[&arguments[..], more].concat());
    (code, serde_json::from_str(&out).unwrap_or(Value::Null), err)
}

#[test]
fn a_copy_is_found_and_others_can_check_it() {
    let home = Home::new();
    let pairs = planting(&home);
    let suspect = endpoint(pairs);
    let committed =
        home.ok(&[&COMMIT[..], &["case", "--json", "--hypothesis", "relay-1 is ours"]].concat());
    let committed: Value = serde_json::from_str(&committed).unwrap();
    assert_eq!((&committed["probes"], &committed["test"]), (&json!(24), &json!("planted-pairs")));
    home.refused(&[&COMMIT[..], &["case"]].concat(), &["holds a bundle already"]);
    // A budget ends a run, and the next goes on.
    let (code, first, err) = probe(&home, "case", &suspect, &["--max-requests", "3"]);
    assert_eq!((code, &first["signed"], &first["queries"]), (0, &json!(false), &json!(3)), "{err}");
    // A line that was cut by a crash is asked again.
    let transcript = home.path("case/transcript.jsonl");
    let mut half = fs::read(&transcript).unwrap();
    half.truncate(half.len() - 7);
    fs::write(&transcript, half).unwrap();
    let (code, found, err) = probe(&home, "case", &suspect, &["--fail-on", "related"]);
    assert_eq!((code, &found["verdict"]), (1, &json!("related")), "{err}");
    assert!(
        found["log10_p"].as_f64().unwrap() <= -9.0 && found["statistics"]["hits"] == 7,
        "{found}"
    );
    assert_eq!((&found["signed"], &found["null"]), (&json!(true), &json!("population")));
    home.refused(
        &["fingerprint", "probe", "case", "--suspect", &suspect],
        &["the test in case has ended"],
    );
    // What others get: the finding, computed again, and no key of a question that was not asked.
    home.refused(&["bundle", "pack", "case", "-o", "case.json"], &["touchmark bundle reveal case"]);
    home.ok(&["bundle", "reveal", "case"]);
    home.ok(&["bundle", "pack", "case", "-o", "case.json"]);
    let signer = committed["public_key"].as_str().unwrap();
    let verify = ["bundle", "verify", "case.json", "--public-key", signer, "--json"];
    let verified: Value = serde_json::from_str(&home.ok(&verify)).unwrap();
    assert_eq!(verified["finding"]["log10_p"], found["log10_p"]);
    assert_eq!(verified["suspect"], found["suspect"]);
    let packed = fs::read_to_string(home.path("case.json")).unwrap();
    let asked = found["queries"].as_u64().unwrap();
    let open = packed.matches("{\\\"open\\\":").count() as u64;
    assert!(open > 7 && open <= asked + 1, "{open} of 25 leaves are open after {asked} queries");
    assert_eq!(packed.matches("{\\\"hidden\\\":").count() as u64, 25 - open);
    // Questions that were committed to are used up.
    let none = [&COMMIT[..], &["next"]].concat();
    home.refused(&none, &["16"]);
    assert!(!home.path("next").exists());
}

#[test]
fn whatever_is_changed_is_named() {
    let home = Home::new();
    let suspect = endpoint(planting(&home));
    home.ok(&[&COMMIT[..], &["case"]].concat());
    assert_eq!(probe(&home, "case", &suspect, &[]).0, 0);
    home.ok(&["bundle", "reveal", "case"]);
    home.ok(&["bundle", "verify", "case"]);
    let (code, out, _) = home.run(&["bundle", "verify", "case", "--public-key", &"0".repeat(64)]);
    assert_eq!((code, out.contains("BAD  commitment")), (1, true), "{out}");
    for (file, named) in [
        ("commitment.json", "BAD  commitment"),
        ("leaves.jsonl", "BAD  leaves"),
        ("transcript.jsonl", "BAD  transcript"),
        ("outcome.json", "BAD  outcome"),
    ] {
        let path = home.path("case").join(file);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, changed).unwrap();
        let (code, out, _) = home.run(&["bundle", "verify", "case"]);
        assert!(code == 1 && out.contains(named) && out.contains("NOT valid"), "{file}: {out}");
        fs::write(&path, whole).unwrap();
    }
    home.ok(&["bundle", "verify", "case"]);
    let token = home.write("case/commitment.tsr", "not a token");
    let (code, out, _) = home.run(&["bundle", "verify", "case"]);
    assert!(code == 1 && out.contains("BAD  time-stamp token"), "{token}: {out}");
}

#[test]
fn a_model_that_was_not_planted_is_not_accused() {
    let home = Home::new();
    planting(&home);
    home.ok(&[&COMMIT[..], &["case", "--pairs", "4", "--decoys", "0", "--fixed"]].concat());
    let (code, found, err) = probe(&home, "case", "bundled-chat", &["--fail-on", "related"]);
    assert_eq!((code, &found["verdict"]), (0, &json!("not_shown")), "{err}");
    assert_eq!(found["signed"], true);
    home.ok(&["bundle", "verify", "case"]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let home = Home::new();
    home.write("plan.json", "{}");
    home.refused(&["bundle", "commit", "plan.json", "-o", "case"], &["plan.json is not a plan"]);
    let strange = json!({"schema": 1, "test": "aura", "hypothesis": "h", "rule": {}, "probes": []});
    home.write("plan.json", strange.to_string());
    home.refused(&["bundle", "commit", "plan.json", "-o", "case"], &["no test \"aura\""]);
    home.refused(&["bundle", "commit", "-o", "case"], &["--planting"]);
    home.refused(&["bundle", "verify", "nowhere"], &["there is no nowhere"]);
    home.refused(
        &["fingerprint", "probe", "nowhere", "--suspect", "bundled-chat"],
        &["nowhere is not a bundle"],
    );
    // A suspect that is not there: nothing is lost, and nothing was asked.
    planting(&home);
    home.ok(&[&COMMIT[..], &["case"]].concat());
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (code, _, err) = probe(&home, "case", &gone, &["--attempts", "1"]);
    assert_eq!(code, 2, "{err}");
    // Somebody else's key cannot go on with it.
    fs::remove_file(home.path("home/signing.key")).unwrap();
    home.refused(
        &["fingerprint", "probe", "case", "--suspect", &gone],
        &["is signed with the key"],
    );
}
