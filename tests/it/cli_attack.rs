//! `attack` as a user runs it.

use serde_json::Value;

use super::cli::Home;

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
