//! `attack` as a user runs it.

use serde_json::{Value, json};

use super::cli::Home;
use super::scripted::endpoint;

const TEXT: &str = "The tide was out, and the big boats lay on their sides. Nobody had seen the keeper since Tuesday. It was late.\n";

fn rows(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn texts_are_edited_and_rows_say_how() {
    let home = Home::new();
    home.write("a.txt", TEXT);
    home.write("rows.jsonl", "{\"id\": \"x\", \"text\": \"one two three four\"}\n{\"id\": \"y\", \"text\": \"one two three four\"}\n");
    let (code, out, err) =
        home.run(&["attack", "delete", "a.txt", "rows.jsonl", "--strength", "0.5"]);
    assert_eq!(code, 0, "{err}");
    let written = rows(&out);
    let ids: Vec<&str> = written.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a.txt", "x", "y"]);
    let words = |row: &Value| row["text"].as_str().unwrap().split_whitespace().count();
    assert_eq!(written.iter().map(words).collect::<Vec<_>>(), [11, 2, 2]);
    assert_ne!(written[1]["text"], written[2]["text"], "each text draws its own numbers");
    let similarity = written[0]["similarity"].as_f64().unwrap();
    assert!(similarity > 0.2 && similarity < 0.9, "{out}");
    // The same again, also from standard input and into a file; another seed is another edit.
    let text = |seed: &str| {
        home.ok(&[
            "attack",
            "typos",
            "a.txt",
            "--strength",
            "0.5",
            "--seed",
            seed,
            "--format",
            "text",
        ])
    };
    assert_eq!(text("3"), text("3"));
    assert_ne!(text("3"), text("4"));
    home.ok(&[
        "attack",
        "typos",
        "a.txt",
        "--strength",
        "0.5",
        "--seed",
        "3",
        "--format",
        "text",
        "-o",
        "out.txt",
    ]);
    assert_eq!(std::fs::read_to_string(home.path("out.txt")).unwrap(), text("3"));
}

#[test]
fn budgets_hold() {
    let home = Home::new();
    home.write("a.txt", TEXT);
    let out = home.ok(&["attack", "homoglyphs", "a.txt", "--strength", "1", "--similarity", "0.9"]);
    let row = &rows(&out)[0];
    let [strength, similarity] = ["strength", "similarity"].map(|name| row[name].as_f64().unwrap());
    assert!(similarity >= 0.9 && strength > 0.0 && strength < 0.5, "{row}");
}

#[test]
fn neighbours_stand_for_words_of_like_meaning() {
    let home = Home::new();
    home.write("a.txt", TEXT);
    let out =
        home.ok(&["attack", "synonyms", "a.txt", "--strength", "1", "--neighbours", "bundled"]);
    let text = rows(&out)[0]["text"].as_str().unwrap().to_owned();
    let [before, after] = [TEXT.trim_end(), &text].map(|it| it.split(' ').collect::<Vec<_>>());
    assert_eq!(before.len(), after.len(), "{text}");
    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!(changed >= before.len() / 2, "{text}");
    home.refused(
        &["attack", "synonyms", "a.txt", "--neighbours", "no/such/model"],
        &["no/such/model"],
    );
}

#[test]
fn a_model_says_passages_in_other_words() {
    let home = Home::new();
    home.write("a.txt", format!("{} And a fourth.\n", TEXT.trim_end()));
    // An endpoint that follows its instruction to the letter.
    let shouting = endpoint(|_, asked| {
        let messages = asked["messages"].as_array().unwrap();
        assert_eq!(messages[0], json!({"role": "system", "content": "Shout."}));
        let passage = messages[1]["content"].as_str().unwrap().to_uppercase();
        let message = json!({"role": "assistant", "content": passage});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        (200, json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}))
    });
    let ask = |strength: &str| {
        let with = ["--with", &shouting, "--instruction", "Shout.", "--strength", strength];
        let out = home.ok(&[&["attack", "paraphrase", "a.txt"], &with[..]].concat());
        rows(&out)[0]["text"].as_str().unwrap().to_owned()
    };
    let whole = std::fs::read_to_string(home.path("a.txt")).unwrap();
    assert_eq!(ask("1"), whole.to_uppercase());
    assert_eq!(ask("0"), whole);
    let half = ask("0.5");
    assert!(half != whole && half != whole.to_uppercase(), "{half}");
    // A budget of similarity: none of it is left for shouting.
    let with = ["--with", &shouting, "--instruction", "Shout.", "--similarity", "1"];
    let out = home.ok(&[&["attack", "paraphrase", "a.txt", "--strength", "1"], &with[..]].concat());
    assert_eq!(rows(&out)[0]["text"], whole);
    // A model of this machine: what the bundled one says makes little sense, but it is another text, and the same again.
    let local = || {
        let with = ["--with", "bundled-chat", "--strength", "1", "--format", "text"];
        home.ok(&[&["attack", "paraphrase", "a.txt"], &with[..]].concat())
    };
    let said = local();
    assert!(!said.trim().is_empty() && said != whole);
    assert_eq!(local(), said);

    let failing = endpoint(|_, _| (401, json!({"error": {"message": "who are you"}})));
    let (code, _, err) =
        home.run(&["attack", "paraphrase", "a.txt", "--with", &failing, "--strength", "1"]);
    assert!(code == 2 && err.contains("who are you"), "{code} {err}");
    home.refused(&["attack", "paraphrase", "a.txt"], &["--with"]);
    home.refused(&["attack", "delete", "a.txt", "--with", "bundled"], &["--with", "delete"]);
}

#[test]
fn bad_input_is_refused() {
    let home = Home::new();
    home.write("a.txt", TEXT);
    home.write("few.txt", "only three words");
    home.write("words.txt", "night dark\n");
    let refused = |arguments: &[&str], parts: &[&str]| {
        home.refused(&[&["attack"], arguments].concat(), parts);
    };
    refused(&["spin", "a.txt"], &["spin", "substitute"]);
    refused(&["delete", "a.txt", "--strength", "1.5"], &["1.5", "0 to 1"]);
    refused(&["delete", "a.txt", "--similarity", "7"], &["7", "0 to 1"]);
    refused(&["substitute", "a.txt"], &["substitute", "another text"]);
    refused(&["copy-paste", "a.txt", "--strength", "0.9", "--other", "few.txt"], &["3", "longer"]);
    refused(&["copy-paste", "a.txt", "--segments", "0", "--other", "few.txt"], &["segment"]);
    refused(&["synonyms", "a.txt", "--thesaurus", "words.txt"], &["words.txt", "line 1"]);
    refused(&["delete", "missing.txt"], &["missing.txt"]);
    // What can be edited is, and the rest is told.
    let (code, out, err) = home.run(&["attack", "delete", "a.txt", "missing.txt"]);
    assert_eq!((code, rows(&out).len()), (3, 1), "{err}");
    assert!(err.contains("missing.txt"), "{err}");
}
