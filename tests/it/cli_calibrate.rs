//! `calibrate` and what `detect --calibration` makes of it, with keys that are the same each time.

use serde_json::{Value, json};

use super::cli::Home;

/// Paragraphs of human text, each a document of some 100 tokens or more.
pub fn paragraphs(count: usize) -> Vec<String> {
    let lines = include_str!("../data/human.jsonl").lines();
    let texts = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = Vec::new();
    for text in texts {
        let text = text["text"].as_str().unwrap();
        found.extend(text.split("\n\n").filter(|part| part.len() > 500).map(str::to_owned));
        if found.len() >= count {
            break;
        }
    }
    found.truncate(count);
    assert_eq!(found.len(), count);
    found
}

pub fn jsonl(texts: &[String]) -> String {
    let line = |(at, text): (usize, &String)| json!({"id": at, "text": text}).to_string() + "\n";
    texts.iter().enumerate().map(line).collect()
}

/// Texts that the bundled model wrote under a profile.
pub fn marked(home: &Home, profile: &str, count: usize, tokens: &str) -> Vec<String> {
    let prompts: String = (0..count)
        .map(|i| json!({"prompt": format!("Chapter {i}. The")}).to_string() + "\n")
        .collect();
    home.write("prompts.jsonl", prompts);
    let rows = home.ok(&[
        "generate",
        "--prompts",
        "prompts.jsonl",
        "--profile",
        profile,
        "--max-tokens",
        tokens,
        "--ignore-eos",
        "--seed",
        "5",
        "--batch",
        "16",
    ]);
    let text = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned()
    };
    rows.lines().map(text).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The key is fixed, so that the result is; a key drawn anew would be called unhealthy with probability 1 % at most.
#[test]
fn a_healthy_key_is_calibrated_and_cited() {
    let home = Home::new();
    home.profile("wide", "kgw", &[]);
    let mut texts = paragraphs(900);
    texts.push(texts[0].clone());
    texts.push(format!("  {} ", texts[1].to_uppercase()));
    home.write("own.jsonl", jsonl(&texts) + "{\"id\": 1}\n");
    let arguments =
        ["calibrate", "own.jsonl", "--profile", "wide", "-o", "c.json", "--fail-on", "unhealthy"];
    let (code, out, err) = home.run(&[&arguments[..], &["--json", "--fresh-keys", "5"]].concat());
    assert_eq!(code, 3, "one record has no text: {err}");
    let answer = parsed(&out);
    assert_eq!(answer["unhealthy"], json!([]));
    assert_eq!(answer["documents"]["count"], 900);
    assert_eq!(
        (&answer["documents"]["repeated"], &answer["documents"]["failed"]),
        (&json!(2), &json!(1))
    );
    let rates = answer["rates"].as_array().unwrap();
    let all: Vec<&Value> = rates.iter().filter(|rate| rate["tokens_from"].is_null()).collect();
    assert_eq!(all.len(), 3);
    for rate in &all {
        let (low, high) =
            (rate["interval"]["low"].as_f64().unwrap(), rate["interval"]["high"].as_f64().unwrap());
        assert!(rate["documents"] == 900 && low <= high && rate["healthy"] == true, "{rate}");
        // The intervals of the three levels hold the nominal rate or lie below it.
        assert!(low <= rate["level"].as_f64().unwrap(), "{rate}");
    }
    let spread = &answer["fresh_keys"]["wide"][0];
    assert_eq!((&spread["keys"], &spread["documents"]), (&json!(5), &json!(900)));
    assert!(spread["worst"].as_f64().unwrap() < 0.15, "{spread}");

    let file = std::fs::read(home.path("c.json")).unwrap();
    let hash = &blake3::hash(&file).to_hex()[..12];
    assert_eq!(answer["calibration"], hash);
    home.write("one.txt", &texts[3]);
    let row = parsed(&home.ok(&[
        "detect",
        "one.txt",
        "--profile",
        "wide",
        "--calibration",
        "c.json",
        "--format",
        "jsonl",
    ]));
    // Shown to be close where the interval at 1 % ends at 2 % or below.
    let one_percent = all.iter().find(|rate| rate["level"] == 0.01).unwrap();
    let close = one_percent["interval"]["high"].as_f64().unwrap() <= 0.02;
    assert_eq!((&row["calibration"], &row["calibrated"]), (&json!(hash), &json!(close)));
    assert_eq!(answer["keys"][0]["calibrated"], close);
    let plain = parsed(&home.ok(&["detect", "one.txt", "--profile", "wide", "--format", "jsonl"]));
    assert!(plain.get("calibration").is_none() && plain.get("calibrated").is_none());

    // Another order of the same documents is the same list; other settings or another profile are not calibrated.
    texts.truncate(900);
    texts.reverse();
    home.write("own.jsonl", jsonl(&texts));
    let table = home.ok(&["calibrate", "own.jsonl", "--profile", "wide", "-o", "d.json"]);
    assert!(
        table.contains("nominal") && table.contains("1.00 %") && table.contains("ok"),
        "{table}"
    );
    let other = parsed(&std::fs::read_to_string(home.path("d.json")).unwrap());
    assert_eq!(other["documents"]["blake3"], answer["documents"]["blake3"]);
    let detect = ["detect", "one.txt", "--calibration", "c.json", "--profile"];
    home.refused(
        &[&detect[..], &["wide", "--segments", "off"]].concat(),
        &["way of looking", "calibrate again"],
    );
    home.profile("other", "kgw", &[]);
    home.refused(&[&detect[..], &["other"]].concat(), &["no rates of profile \"other\""]);
    home.refused(&[&detect[..], &["wide,other"]].concat(), &["no rates of profile \"other\""]);
}

#[test]
fn an_unhealthy_key_is_named_and_refused() {
    let home = Home::new();
    home.profile("own", "gumbel", &[]);
    // Marked texts taken for negatives: a key that alarms on every text of a kind.
    home.write("own.jsonl", jsonl(&marked(&home, "own", 16, "60")));
    let (code, table, err) = home.run(&[
        "calibrate",
        "own.jsonl",
        "--profile",
        "own",
        "-o",
        "c.json",
        "--fail-on",
        "unhealthy",
    ]);
    assert_eq!(code, 1, "{err}");
    assert!(
        table.contains("unhealthy") && err.contains("unhealthy: own with key own"),
        "{table}{err}"
    );
    let (code, ..) = home.run(&["calibrate", "own.jsonl", "--profile", "own"]);
    assert_eq!(code, 0);
    home.write("one.txt", paragraphs(1).remove(0));
    let detect =
        ["detect", "one.txt", "--profile", "own", "--calibration", "c.json", "--format", "jsonl"];
    home.refused(&detect, &["unhealthy: own with key own", "--allow-unhealthy"]);
    let row = parsed(&home.ok(&[&detect[..], &["--allow-unhealthy"]].concat()));
    assert_eq!(row["calibrated"], false);
    let warnings = row["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|it| it.as_str().unwrap().contains("--allow-unhealthy")), "{row}");

    // A file that says otherwise than its counts, a torn one, and one of other counts.
    let file = std::fs::read_to_string(home.path("c.json")).unwrap();
    let altered = file.replace("\"healthy\": false", "\"healthy\": true");
    assert_ne!(altered, file);
    for (content, part) in [
        (altered.as_str(), "do not go together"),
        (&file[..file.len() / 2], "not a calibration"),
        ("", "not a calibration"),
        (&file.replace("\"schema\": 1", "\"schema\": 9"), "schema 9"),
    ] {
        home.write("damaged.json", content);
        home.refused(
            &["detect", "one.txt", "--profile", "own", "--calibration", "damaged.json"],
            &["damaged.json", part],
        );
    }
    home.refused(
        &["detect", "one.txt", "--calibration", "none.json"],
        &["none.json", "cannot read"],
    );
}

#[test]
fn nothing_to_calibrate_on_is_an_error() {
    let home = Home::new();
    home.write("empty.jsonl", "");
    home.refused(&["calibrate", "empty.jsonl"], &["no document to calibrate on"]);
    home.write("bad.jsonl", "{\"id\": 1}\nnot json\n");
    home.refused(
        &["calibrate", "bad.jsonl", "-o", "c.json"],
        &["no document to calibrate on", "line 2"],
    );
    assert!(!home.path("c.json").exists());
}

/// Rows of a profile with narrow seeds: Benjamini–Hochberg where each of them cites a calibration that shows the rate.
#[test]
fn finishing_trusts_calibrated_narrow_seeds() {
    let home = Home::new();
    let row = |id: u32, calibrated: &str| {
        format!(
            "{{\"schema\":1,\"id\":\"{id}\",\"source\":\"a\",\"offset\":0,\"profile\":\"u\",\"key_id\":\"k\",\"verdict\":\"not_detected\",\
             \"log10_p_corrected\":-1.0,{calibrated}\"narrow_seeds\":true}}\n"
        )
    };
    let shown = "\"calibration\":\"0123456789ab\",\"calibrated\":true,";
    home.write("rows.jsonl", row(1, shown) + &row(2, shown));
    let (code, _, err) = home.run(&["detect", "--finish", "rows.jsonl"]);
    assert!(
        code == 0
            && err.contains(
                "Benjamini–Hochberg: keys whose seeds read at most one token are calibrated"
            ),
        "{err}"
    );
    assert!(err.contains("no calibration vouches"), "{err}");
    home.write("rows.jsonl", row(1, shown) + &row(2, &shown.replace("true", "false")));
    let (code, _, err) = home.run(&["detect", "--finish", "rows.jsonl"]);
    assert!(code == 0 && err.contains("Benjamini–Yekutieli"), "{err}");
}
