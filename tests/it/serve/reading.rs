//! Texts that the server reads: what it says of them is what `touchmark detect` says.

use serde_json::{Value, json};

use super::{Server, api_key};
use crate::cli::Home;

/// Rows but for where the text was.
fn rows(values: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut rows: Vec<Value> = values.into_iter().collect();
    for row in &mut rows {
        let fields = row.as_object_mut().unwrap();
        let place = ["id", "source", "offset"].map(|name| fields.remove(name));
        assert!(place.iter().all(Option::is_some));
    }
    rows
}

#[test]
fn analysts_get_the_rows_of_detect_and_the_public_the_verdict() {
    let home = Home::new();
    home.profile("house", "kgw", &[]);
    home.profile("guest", "gumbel", &[]);
    let write = |profile: &str| {
        let common = ["generate", "-p", "The harbour was quiet when", "--seed", "4"];
        home.ok(
            &[&common[..], &["--ignore-eos", "--profile", profile, "--max-tokens", "320"]].concat()
        )
    };
    let human = include_str!("../../data/human.jsonl").lines().nth(2).unwrap();
    let human: Value = serde_json::from_str(human).unwrap();
    let human: String = human["text"].as_str().unwrap().chars().take(3_000).collect();
    let marked = write("house");
    let damaged = marked.replace('"', "“").replace('\'', "’").replace("  ", " ");
    let texts = [marked.clone(), write("guest"), format!("{human}\n\n{marked}"), damaged, human];
    let analyst = api_key(&home, "auditor", &["--role", "analyst"]);
    let anybody = api_key(&home, "anybody", &["--role", "generate"]);
    let arguments =
        ["--detect-only", "--detect-profile", "house,guest", "--api-key-file", "keys.toml"];
    let server = Server::start(&home, &arguments);
    for (number, text) in texts.iter().enumerate() {
        home.write("text.jsonl", json!({"id": "a", "text": text, "prompt": null}).to_string());
        let detect = ["detect", "text.jsonl", "--profile", "house,guest", "--format", "jsonl"];
        let lines = home.ok(&detect);
        let expected = rows(lines.lines().map(|line| serde_json::from_str(line).unwrap()));
        let question = json!({"text": text, "explain": true});
        let answer = server.with_key(&analyst).post("/v1/watermark/detect", &question).ok();
        assert_eq!(rows(answer["rows"].as_array().unwrap().clone()), expected);
        let is_marked = number < 4;
        assert_eq!(answer["is_watermarked"], is_marked, "{number}");
        let profile = if number == 1 { "guest" } else { "house" };
        assert!(!is_marked || answer["profile"] == profile, "{number}");
        let pieces = answer["evidence"]["pieces"].as_array().unwrap();
        let levels = pieces.iter().filter(|piece| piece["level"].as_u64() > Some(0)).count();
        assert!(levels > 10);
        // A long text with a marked part is much like that part, of which the public asked before.
        if number == 2 || number == 3 {
            continue;
        }
        let public = server.with_key(&anybody).post("/detect", &json!({"text": text})).ok();
        assert_eq!(public["verdict"], answer["verdict"]);
        let told = public.as_object().unwrap();
        assert!(told.values().all(|value| !value.is_f64() && !value.is_array()), "{public}");
    }
    // The same over a batch, in order.
    let lines: String = texts.iter().map(|text| format!("{}\n", json!({"text": text}))).collect();
    assert_eq!(texts.len(), 5);
    let reply = ureq::post(format!("{}/v1/watermark/detect/batch", server.address))
        .header("authorization", format!("Bearer {analyst}"))
        .content_type("application/x-ndjson")
        .send(lines)
        .unwrap();
    let body = reply.into_body().read_to_string().unwrap();
    let answers: Vec<Value> =
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let marked: Vec<_> = answers.iter().map(|answer| answer["is_watermarked"].clone()).collect();
    assert_eq!(marked, [true, true, true, true, false]);
    // No text is in the log.
    let log = std::fs::read_to_string(home.path("server.log")).unwrap();
    assert!(!log.contains("harbour"), "{log}");
}
