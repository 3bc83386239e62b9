//! One p-value for a corpus, its parts on several machines, what is said of its marked share and boilerplate, and decoy keys.

use serde_json::{Value, json};

use super::cli::Home;
use super::cli_calibrate::{jsonl, marked, paragraphs};

fn claims(home: &Home, arguments: &[&str]) -> Value {
    let (code, out, err) = home.run(&[&["claim", "--json"], arguments].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn home() -> Home {
    let home = Home::new();
    home.profile("own", "kgw", &[]);
    home
}

#[test]
fn a_corpus_with_marked_texts_is_told_from_one_without() {
    let home = home();
    let texts = marked(&home, "own", 44, "100");
    let (known, inside) = texts.split_at(22);
    let human = paragraphs(66);
    home.write("human.jsonl", jsonl(&human));
    home.write("mixed.jsonl", jsonl(&[&human[..], inside].concat()));
    home.write("known.jsonl", jsonl(known));
    let profile = ["--profile", "own"];

    let without = &claims(&home, &[&["human.jsonl"], &profile[..]].concat())["claims"][0];
    assert_eq!((&without["verdict"], &without["documents"]), (&json!("not_detected"), &json!(66)));
    assert_eq!(without["marked_documents_at_least"], 0);
    assert!(without["log10_p"].as_f64().unwrap() > -3.0, "{without}");

    let with =
        claims(&home, &[&["mixed.jsonl", "--reference", "known.jsonl"], &profile[..]].concat());
    assert_eq!(with["threshold_log10_p"], -6.0);
    let with = &with["claims"][0];
    assert_eq!(
        (&with["verdict"], &with["family"], &with["sampled"]),
        (&json!("detected"), &json!("one test, no correction"), &json!(false))
    );
    assert!(with["log10_p"].as_f64().unwrap() < -15.0, "{with}");
    let least = with["marked_documents_at_least"].as_u64().unwrap();
    assert!((8..=22).contains(&least), "{with}");
    assert!(with["marked_documents_at_least_if_independent"].as_u64().unwrap() >= least);
    // 22 of 88 documents, shorter than the others.
    let share = &with["marked_share"];
    let of = |name: &str| share["interval"][name].as_f64().unwrap();
    let tokens: usize = inside.iter().map(String::len).sum();
    let truth = tokens as f64 / (tokens + human.iter().map(String::len).sum::<usize>()) as f64;
    assert!(of("low") <= truth && truth <= of("high") && of("high") < 1.0, "{truth}: {share}");
    assert_eq!(share["reference_documents"], 22);

    // Without a reference there is no estimate; one that is not marked, or too small, gives none.
    assert!(without.get("marked_share").is_none());
    let mixed = ["claim", "mixed.jsonl", "--profile", "own", "--reference"];
    home.refused(&[&mixed[..], &["human.jsonl"]].concat(), &["does not show this mark"]);
    home.write("few.jsonl", jsonl(&known[..3]));
    home.refused(&[&mixed[..], &["few.jsonl"]].concat(), &["3 texts with evidence"]);
    let (code, table, err) =
        home.run(&[&mixed[..], &["known.jsonl", "--fail-on", "detected"]].concat());
    assert!(
        code == 1 && table.contains("Estimate: ") && table.contains("No p-value rests on this"),
        "{table}{err}"
    );
    assert!(err.contains("does not say how it came there"), "{err}");
}

#[test]
fn parts_are_merged_in_any_order() {
    let home = home();
    let texts = [&paragraphs(20)[..], &marked(&home, "own", 6, "60")].concat();
    home.write("all.jsonl", jsonl(&texts));
    for (name, part) in [("a", &texts[..7]), ("b", &texts[7..22]), ("c", &texts[22..])] {
        let (input, rows, sketch) =
            (format!("{name}.jsonl"), format!("{name}.rows"), format!("{name}.sketch"));
        home.write(&input, jsonl(part));
        home.ok(&["detect", &input, "--profile", "own", "-o", &rows, "--claim", &sketch]);
    }
    let whole = claims(&home, &["all.jsonl", "--profile", "own", "-o", "all.sketch"]);
    let merged = claims(&home, &["--merge", "a.sketch", "b.sketch", "c.sketch"]);
    assert_eq!(merged, whole);
    assert_eq!(claims(&home, &["--merge", "c.sketch", "a.sketch", "b.sketch"]), whole);
    assert_eq!(claims(&home, &["--merge", "all.sketch"]), whole);
    assert_eq!(whole["claims"][0]["documents"], 26);
    // The same file again, or a sketch of a sample of another size, is refused.
    home.refused(&["claim", "--merge", "a.sketch", "./a.sketch"], &["named twice"]);
    home.ok(&["claim", "b.jsonl", "--profile", "own", "--pairs", "500", "-o", "small.sketch"]);
    home.refused(&["claim", "--merge", "a.sketch", "small.sketch"], &["limits"]);
    let sample = &claims(&home, &["--merge", "small.sketch"])["claims"][0];
    assert_eq!((&sample["pairs"], &sample["sampled"]), (&json!(500), &json!(true)));

    // Another way to read, another key of the same name, a damaged file.
    home.refused(
        &["claim", "--merge", "a.sketch", "--normalise", "off"],
        &["a sketch of another mark"],
    );
    let other = self::home();
    std::fs::copy(home.path("a.sketch"), other.path("a.sketch")).unwrap();
    other.refused(&["claim", "--merge", "a.sketch"], &["a sketch of another mark", "own/own"]);
    let bytes = std::fs::read(home.path("a.sketch")).unwrap();
    home.write("torn.sketch", &bytes[..bytes.len() - 5]);
    home.write("no.sketch", "{}\n");
    home.write("empty.sketch", "");
    for file in ["torn.sketch", "no.sketch", "empty.sketch"] {
        home.refused(&["claim", "--merge", file], &[file, "not a whole sketch"]);
    }
}

#[test]
fn boilerplate_is_listed_and_counts_once() {
    let home = home();
    let footer = " Copyright of the county library, all rights reserved.";
    let texts: Vec<String> = paragraphs(30).iter().map(|text| format!("{text}{footer}")).collect();
    home.write("footers.jsonl", jsonl(&texts));
    let found = claims(&home, &["footers.jsonl", "--profile", "own", "--boilerplate", "8"]);
    let runs = found["claims"][0]["boilerplate"].as_array().unwrap();
    assert_eq!(runs.len(), 8);
    for run in runs.iter().take(6) {
        assert!(
            run["documents_at_least"].as_u64().unwrap() >= 30
                && footer.contains(run["text"].as_str().unwrap().trim()),
            "{run}"
        );
        let (once, all) =
            (run["evidence_once"].as_f64().unwrap(), run["evidence_uncorrected"].as_f64().unwrap());
        assert!((all - 30.0 * once).abs() < 1e-9, "{run}");
    }
    let table = home.ok(&["claim", "footers.jsonl", "--profile", "own", "--boilerplate", "3"]);
    assert!(table.contains("30 of 30 documents: ") && table.contains("counted once"), "{table}");
    // The same documents again add documents and no evidence.
    home.write("twice.jsonl", jsonl(&[&texts[..], &texts[..]].concat()));
    let twice = claims(&home, &["twice.jsonl", "--profile", "own"]);
    let of = |it: &Value, name: &str| it["claims"][0][name].clone();
    assert_eq!(
        (of(&twice, "pairs"), of(&twice, "log10_p")),
        (of(&found, "pairs"), of(&found, "log10_p"))
    );
    assert_eq!(of(&twice, "documents"), 60);
}

#[test]
fn small_and_broken_corpora() {
    let home = home();
    let claim = |file: &'static str| ["claim", file, "--profile", "own"];
    home.write("none.jsonl", "");
    home.refused(&claim("none.jsonl"), &["no document could be examined"]);
    home.write("bad.jsonl", "{\"id\": 1}\n{\"text\": 3}\n");
    home.refused(&claim("bad.jsonl"), &["no document could be examined (2 failed)"]);
    home.write("one.txt", "A word.");
    let one = &claims(&home, &["one.txt", "--profile", "own"])["claims"][0];
    assert_eq!((&one["verdict"], &one["documents"]), (&json!("insufficient_evidence"), &json!(1)));
    home.write("some.jsonl", "{\"id\": 1}\n{\"text\": \"A word.\"}\n");
    let (code, _, err) = home.run(&claim("some.jsonl"));
    assert!(code == 3 && err.contains("1 documents could not be examined"), "{err}");
    // Of one long text it is the text's own p-value.
    home.write("long.txt", paragraphs(1).remove(0));
    let claim = claims(&home, &["long.txt", "--profile", "own", "--normalise", "off"]);
    let row: Value = serde_json::from_str(&home.ok(&[
        "detect",
        "long.txt",
        "--profile",
        "own",
        "--normalise",
        "off",
        "--segments",
        "off",
        "--format",
        "jsonl",
    ]))
    .unwrap();
    let (a, b) =
        (claim["claims"][0]["log10_p"].as_f64().unwrap(), row["log10_p"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-9, "{a} {b}");
    home.profile("whole", "mpac", &[]);
    home.refused(
        &["claim", "long.txt", "--profile", "whole"],
        &["judges texts as wholes", "--finish"],
    );
    home.refused(&["claim", "long.txt", "--profile", "own", "--fpr", "2"], &["between 0 and 1"]);
}

#[test]
fn decoy_keys_need_no_law() {
    let home = home();
    let text = marked(&home, "own", 1, "120").remove(0);
    home.write("two.jsonl", jsonl(&[text, paragraphs(1).remove(0)]));
    let rows = |more: &[&str]| -> Vec<Value> {
        let arguments = ["detect", "two.jsonl", "--profile", "own", "--format", "jsonl"];
        let out = home.ok(&[&arguments[..], more].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let p = |row: &Value| row["decoy_p"].as_f64();
    let seeded = rows(&["--decoys", "39", "--decoy-seed", "7"]);
    assert!((p(&seeded[0]).unwrap() - 0.025).abs() < 1e-12, "{}", seeded[0]);
    assert!(p(&seeded[1]).unwrap() > 0.025, "{}", seeded[1]);
    assert_eq!(rows(&["--decoys", "39", "--decoy-seed", "7"]), seeded);
    assert!((p(&rows(&["--decoys", "19"])[0]).unwrap() - 0.05).abs() < 1e-12);
    assert!(rows(&[]).iter().all(|row| row.get("decoy_p").is_none()));
    // Two marks are two looks.
    home.profile("more", "gumbel", &[]);
    let both = rows(&["--decoys", "39", "--decoy-seed", "7", "--profile", "more"]);
    let own = both.iter().find(|row| row["profile"] == "own").unwrap();
    assert!((p(own).unwrap() - 0.05).abs() < 1e-12, "{own}");
    let (code, table, err) =
        home.run(&["detect", "two.jsonl", "--profile", "own", "--decoys", "39"]);
    assert!(
        code == 0 && table.contains("decoy p 2.50e-2") && err.contains("scored 41 times"),
        "{table}{err}"
    );
    home.refused(&["detect", "two.jsonl", "--decoys", "0"], &["--decoys"]);
    home.refused(&["detect", "two.jsonl", "--decoy-seed", "1"], &["--decoys"]);
}
