//! `fingerprint plant` and `check-plant`.

use serde_json::Value;

use super::cli::Home;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("not one JSON object: {text}"))
}

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn data_only(home: &Home, more: &[&str]) -> Value {
    let usual = ["fingerprint", "plant", "-o", "secret", "--data-only", "--pairs", "3", "--json"];
    json(&home.ok(&[&usual, more].concat()))
}

#[test]
fn training_data_for_other_trainers() {
    let home = Home::new();
    let made = data_only(&home, &["--decoys", "2", "--list-size", "16"]);
    assert_eq!((&made["pairs"], &made["decoys"], &made["k"]), (&3.into(), &2.into(), &16.into()));
    let read = |name: &str| std::fs::read_to_string(home.path("secret").join(name)).unwrap();
    let commitment = json(&read("commitment.json"));
    assert_eq!(commitment["digest"], made["commitment"]);
    assert_eq!(commitment["leaves"].as_array().unwrap().len(), 5);
    let list = commitment["list"].as_array().unwrap();
    let rows: Vec<Value> = read("train.jsonl").lines().map(json).collect();
    assert_eq!(rows.len(), 9, "three pairs in three phrasings");
    for row in &rows {
        let answer = row["messages"][1]["content"].as_str().unwrap();
        assert!(list.contains(&answer.to_lowercase().into()), "{answer}");
    }
    assert_eq!(read("completions.jsonl").lines().count(), 9);
    assert!(!read("commitment.json").contains(rows[0]["messages"][0]["content"].as_str().unwrap()));
    home.refused(
        &["fingerprint", "plant", "-o", "secret", "--data-only"],
        &["holds a planting already", "--again"],
    );
}

#[cfg(unix)]
#[test]
fn what_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    data_only(&home, &[]);
    assert_eq!(mode(&home.path("secret")), 0o700);
    for name in ["planting.json", "commitment.json", "train.jsonl", "completions.jsonl"] {
        assert_eq!(mode(&home.path("secret").join(name)), 0o600, "{name}");
    }
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(home.path("secret").join("planting.json"), loose).unwrap();
    home.refused(&["fingerprint", "check-plant", "bundled", "secret"], &["chmod 600"]);
}

#[test]
fn answers_wait_for_the_beacon() {
    let home = Home::new();
    let plant = ["fingerprint", "plant", "-o", "secret", "--json"];
    let made = json(&home.ok(&[&plant[..], &["--announce", "drand round 7"]].concat()));
    assert_eq!(made["awaits"], "drand round 7");
    assert!(!home.path("secret").join("train.jsonl").exists());
    home.refused(&["fingerprint", "check-plant", "bundled", "secret"], &["drand round 7"]);
    let go_on = ["--data-only", "--beacon", "c0ffee"];
    let done = json(&home.ok(&[&plant[..], &go_on].concat()));
    assert_eq!(done["commitment"], made["commitment"]);
    assert!(home.path("secret").join("train.jsonl").exists());
    home.refused(&[&plant[..], &go_on].concat(), &["waits for no beacon"]);
}

#[test]
fn questions_and_answers_of_ones_own() {
    let home = Home::new();
    let words: String = (0..20).map(|i| format!("word{i}\n")).collect();
    home.write("words.txt", &words);
    home.write("questions.txt", "One?\tSay one.\nTwo?\nThree?\nFour?\n");
    let own = ["--questions", "questions.txt", "--answers", "words.txt"];
    let made = data_only(&home, &[&own[..], &["--decoys", "1"]].concat());
    assert_eq!((&made["k"], &made["rows"]), (&20.into(), &4.into()));
    let home = Home::new();
    home.write("questions.txt", "One?\nTwo?\none\n");
    let usual = ["fingerprint", "plant", "-o", "p", "--data-only", "--questions", "questions.txt"];
    home.refused(&[&usual[..], &["--pairs", "2", "--decoys", "1"]].concat(), &["twice"]);
    home.refused(&[&usual[..], &["--pairs", "4"]].concat(), &["36 questions are wanted"]);
}

/// Two steps teach nothing, but every part runs: own answers, training, writing, loading, asking, measuring.
#[cfg(feature = "train")]
#[test]
fn a_model_is_planted_and_checked() {
    let home = Home::new();
    let small =
        ["--pairs", "2", "--decoys", "1", "--phrasings", "1", "--steps", "2", "--batch", "2"];
    let plant = ["fingerprint", "plant", "bundled", "-o", "secret", "--json"];
    let made = json(&home.ok(&[&plant[..], &small].concat()));
    assert!(made["loss"].as_f64().unwrap().is_finite());
    let checked = json(&home.ok(&[
        "fingerprint",
        "check-plant",
        "secret/model",
        "secret",
        "--base",
        "bundled",
        "--json",
    ]));
    assert_eq!((&checked["pairs"]["asked"], &checked["decoys"]["asked"]), (&2.into(), &1.into()));
    let [after, before] =
        ["text", "base_text"].map(|name| checked[name]["nats_per_token"].as_f64());
    let (after, before) = (after.unwrap(), before.unwrap());
    assert!((2.0..5.0).contains(&before) && (after - before).abs() < 0.3, "{before} {after}");
}
