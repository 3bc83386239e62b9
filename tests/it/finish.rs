//! `detect --finish` over the rows of several runs: q-values, what is refused, and that nothing depends on the files' order.

use serde_json::Value;

use super::cli::Home;

/// A row as `detect` writes it, as far as finishing reads it, with a field it does not know and a number that must not change.
fn row(id: &str, profile: &str, p: f64, narrow: bool) -> String {
    format!(
        "{{\"schema\":1,\"id\":\"{id}\",\"source\":\"crawl.jsonl\",\"offset\":0,\"profile\":\"{profile}\",\"key_id\":\"k\",\
         \"verdict\":\"not_detected\",\"log10_p_corrected\":{},\"narrow_seeds\":{narrow},\"extra\":{{\"x\":0.1000000000000000055}}}}\n",
        p.log10()
    )
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// 200 documents in two files, of which the first five are marked; every p twice as large in the second profile.
fn two_ranks(home: &Home) -> [String; 2] {
    let of_rank = |rank: usize| -> String {
        let documents = (rank..200).step_by(2);
        let p = |i: usize| if i < 5 { 1e-9 * (i + 1) as f64 } else { i as f64 / 200.0 };
        let rows = documents.map(|i| {
            let id = format!("d{i}");
            row(&id, "one", p(i), false) + &row(&id, "two", (2.0 * p(i)).min(1.0), false)
        });
        rows.collect()
    };
    [home.write("rows-0.jsonl", of_rank(0)), home.write("rows-1.jsonl", of_rank(1))]
}

#[test]
fn q_values_are_those_of_all_documents() {
    let home = Home::new();
    let [first, second] = two_ranks(&home);
    let (code, out, err) = home.run(&["detect", "--finish", &first, &second]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("200 documents examined, in 400 rows. 5 of them discovered"), "{err}");
    assert!(err.contains("at most about 0.1\nare to be expected to be false alarms"), "{err}");
    assert!(err.contains("Benjamini–Hochberg"), "{err}");
    assert!(err.contains("at least 5 (2.500 %) of the documents are marked, however"), "{err}");
    assert!(err.contains("at least 5 (2.500 %) if they are independent"), "{err}");
    let rows = parsed(&out);
    assert_eq!(rows.len(), 400);
    // The marked ones have p = j · 1e-9 at rank j, so all of them q = 200 · 1e-9.
    let q = |at: usize| 10f64.powf(rows[at]["log10_q"].as_f64().unwrap());
    assert!((q(0) / 2e-7 - 1.0).abs() < 1e-9, "{}", q(0));
    let found = rows.iter().filter(|row| row["fdr_verdict"] == "detected");
    assert_eq!(found.count(), 10);
    assert!(out.lines().all(|line| line.contains("{\"x\":0.1000000000000000055},\"log10_q\"")));
    let shown: Vec<&str> = out.lines().collect();
    // At 1e-6 the five smallest, and both rows of each: 2 · 5e-9 is below 5/200 of the level.
    let strict = home.ok(&["detect", "--finish", "--fdr", "1e-6", &first, &second]);
    assert_eq!(strict.matches("\"fdr_verdict\":\"detected\"").count(), 10);
    let strictest = home.ok(&["detect", "--finish", "--fdr", "1.9e-7", &first, &second]);
    assert_eq!(strictest.matches("\"fdr_verdict\":\"detected\"").count(), 0);
    let (swapped_code, swapped, _) =
        home.run(&["detect", "--finish", &second, &first, "-o", "all.jsonl"]);
    assert_eq!((swapped_code, swapped.as_str()), (0, ""));
    let written = std::fs::read_to_string(home.path("all.jsonl")).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), shown);
}

#[test]
fn documents_that_depend_on_each_other_cost_more() {
    let home = Home::new();
    let wide: String = (1..=50).map(|i| row(&format!("w{i}"), "wide", 1e-8, false)).collect();
    let one = row("n", "narrow", 0.5, true);
    home.write("rows.jsonl", wide + &one);
    let q = |arguments: &[&str], named: &str| {
        let (code, out, err) =
            home.run(&[&["detect", "--finish", "rows.jsonl"], arguments].concat());
        assert!(code == 0 && err.contains(named), "{err}");
        parsed(&out)[0]["log10_q"].as_f64().unwrap()
    };
    let harmonic: f64 = (1..=51).map(|i| 1.0 / f64::from(i)).sum();
    let by = q(&[], "Benjamini–Yekutieli: a profile's seeds read at most one token");
    let bh = q(&["--correction", "bh"], "Benjamini–Hochberg: as told");
    assert!((by - bh - harmonic.log10()).abs() < 1e-9);
    assert!((bh - (1e-8f64 * 51.0 / 50.0).log10()).abs() < 1e-9);
}

#[test]
fn a_document_of_two_ranks_is_refused_and_named() {
    let home = Home::new();
    home.write("a.jsonl", row("x", "one", 0.5, false) + &row("twice", "one", 0.5, false));
    home.write("b.jsonl", row("y", "one", 0.5, false) + &row("twice", "two", 0.5, false));
    home.write("c.jsonl", row("z", "one", 0.5, false).repeat(2));
    let both = ["detect", "--finish", "b.jsonl", "a.jsonl", "-o", "out.jsonl"];
    home.refused(&both, &["\"twice\"", "a.jsonl, line 2", "b.jsonl, line 2"]);
    assert!(!home.path("out.jsonl").exists());
    home.refused(&["detect", "--finish", "c.jsonl"], &["\"z\"", "c.jsonl, line 2"]);
    home.refused(&["detect", "--finish", "a.jsonl", "a.jsonl"], &["\"x\"", "comes twice"]);
}

#[test]
fn what_is_no_row_is_listed_and_the_rest_goes_on() {
    let home = Home::new();
    let whole = row("a", "one", 1e-5, false);
    let torn = &row("b", "one", 0.5, false)[..60];
    let other = "{\"schema\":2,\"id\":\"c\"}\n";
    home.write("rows.jsonl", format!("{whole}\n{other}{torn}"));
    let (code, out, err) = home.run(&["detect", "--finish", "rows.jsonl"]);
    assert_eq!((code, out.lines().count()), (3, 1), "{err}");
    for part in [
        "line 3: a row of schema 2",
        "line 4 (the file ends within it): not a row",
        "2 lines are left out",
        "1 documents examined",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    home.write("finished.jsonl", out);
    home.refused(&["detect", "--finish", "finished.jsonl"], &["q-value already", "no rows"]);
    home.refused(&["detect", "--finish", "-"], &["reads its files twice"]);
    home.refused(&["detect", "--finish", "rows.jsonl", "--fdr", "1"], &["between 0 and 1"]);
    home.refused(&["detect", "--finish", "rows.jsonl", "-o", "./rows.jsonl"], &["written over"]);
    home.refused(&["detect", "--finish", "rows.jsonl", "--format", "table"], &["--format"]);
    home.refused(&["detect", "rows.jsonl", "--fdr", "0.1"], &["--finish"]);
}

#[test]
fn documents_that_could_not_be_examined_pass_through() {
    let home = Home::new();
    let failed = row("a", "one", 1.0, false).replace("not_detected", "error");
    let short = row("b", "one", 0.5, false).replace("not_detected", "insufficient_evidence");
    home.write("rows.jsonl", failed + &short + &row("c", "one", 1e-5, false));
    let (code, out, err) = home.run(&["detect", "--finish", "rows.jsonl", "--fail-on", "detected"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("2 documents examined, in 3 rows. 1 of them discovered"), "{err}");
    let rows = parsed(&out);
    let verdicts: Vec<&Value> = rows.iter().map(|row| &row["fdr_verdict"]).collect();
    assert_eq!(verdicts, ["error", "insufficient_evidence", "detected"]);
    assert_eq!(rows[0]["log10_q"], Value::Null);
    // Two documents, not three.
    assert!((rows[2]["log10_q"].as_f64().unwrap() - (2e-5f64).log10()).abs() < 1e-9);
}

#[test]
fn what_detect_writes_is_what_finishing_reads() {
    let home = Home::new();
    let marked = home.ok(&["generate", "-p", "The ship", "--max-tokens", "120", "--ignore-eos"]);
    let texts =
        [marked.as_str(), "Call me Ishmael. Some years ago, never mind how long precisely."];
    for (rank, text) in texts.iter().enumerate() {
        let record = serde_json::json!({"id": "same", "text": text});
        home.write(&format!("texts-{rank}.jsonl"), record.to_string());
        let (texts, rows) = (format!("texts-{rank}.jsonl"), format!("rows-{rank}.jsonl"));
        home.ok(&["detect", &texts, "-o", &rows]);
    }
    let (code, out, err) = home.run(&["detect", "--finish", "rows-0.jsonl", "rows-1.jsonl"]);
    assert!(code == 0 && err.contains("2 documents examined, in 2 rows. 1 of them"), "{err}");
    let rows = parsed(&out);
    assert_eq!(rows[0]["fdr_verdict"], "detected");
    assert_eq!(rows[0]["narrow_seeds"], false);
    assert_ne!(rows[1]["fdr_verdict"], "detected");
}
