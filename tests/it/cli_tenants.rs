//! Tenants' keys on the command line: marking for one, naming one of many.

use serde_json::Value;

use crate::cli::Home;

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A home with a profile, a list of 300 tenants, and a text marked for one of them.
fn marked() -> Home {
    let home = Home::new();
    home.profile("house", "gumbel", &[]);
    let names: String = (0..300).map(|number| format!("tenant-{number}\r\n\n")).collect();
    home.write("tenants.txt", names);
    let common = ["generate", "-p", "The harbour was quiet when", "--seed", "4", "--ignore-eos"];
    let more = ["--profile", "house", "--tenant", "tenant-77", "--max-tokens", "200"];
    let text = home.ok(&[&common[..], &more].concat());
    home.write("t.txt", text);
    home
}

#[test]
fn a_tenant_is_named() {
    let home = marked();
    let identified = |more: &[&str]| -> Value {
        let arguments = [&["identify", "t.txt", "--json", "--profile", "house"], more].concat();
        serde_json::from_str(&home.ok(&arguments)).unwrap()
    };
    let answer = identified(&["--tenants", "tenants.txt"]);
    assert_eq!(answer["verdict"], "detected");
    assert_eq!(answer["best"]["key_id"], "house/tenant-77");
    assert_eq!((&answer["tried"], &answer["also_plausible"]), (&300.into(), &Value::Array(vec![])));
    // Five of so many are shown, and what the others cost is paid.
    let shown = answer["rows"].as_array().unwrap();
    assert_eq!(shown.len(), 5);
    let best = &answer["best"];
    let paid = best["log10_p_corrected"].as_f64().unwrap() - best["log10_p"].as_f64().unwrap();
    assert!(paid >= 300_f64.log10() - 1e-9, "{best}");
    let family = best["family"].as_str().unwrap();
    assert!(family.contains("300 profiles and keys"), "{family}");
    assert!(family.ends_with("the 5 best of 300 keys are shown"), "{family}");
    // The profile's own key is another one, and so is another tenant's.
    assert_ne!(identified(&[])["verdict"], "detected");
    home.write("others.txt", "tenant-7\ntenant-8\n");
    let answer = identified(&["--tenants", "others.txt"]);
    assert_eq!((&answer["verdict"], &answer["tried"]), (&"not_detected".into(), &2.into()));
}

/// Finishing fewer rows comes to what finishing all of them does, for every document.
#[test]
fn fewer_rows_have_the_q_values_of_all() {
    let home = marked();
    let marked = std::fs::read_to_string(home.path("t.txt")).unwrap();
    let human = include_str!("../data/human.jsonl").lines().take(4);
    let human = human.map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone());
    let texts = std::iter::once(Value::String(marked)).chain(human).enumerate();
    let record = |(id, text): (usize, Value)| {
        let text: String = text.as_str().unwrap().chars().take(1_500).collect();
        format!("{}\n", serde_json::json!({"id": id.to_string(), "text": text}))
    };
    home.write("texts.jsonl", texts.map(record).collect::<String>());
    let smallest = |name: &str, more: &[&str]| -> Vec<(String, f64)> {
        let common = ["detect", "texts.jsonl", "--profile", "house", "--tenants", "tenants.txt"];
        home.ok(&[&common[..], &["-o", name], more].concat());
        let (code, out, err) = home.run(&["detect", "--finish", name]);
        assert_eq!(code, 0, "{err}");
        assert!(err.contains("5 documents examined"), "{err}");
        let mut best = std::collections::BTreeMap::<String, f64>::new();
        for row in rows(&out) {
            let q = row["log10_q"].as_f64().unwrap();
            let known = best.entry(row["id"].as_str().unwrap().to_owned()).or_insert(0.0);
            *known = known.min(q);
        }
        best.into_iter().collect()
    };
    let all = smallest("all.jsonl", &["--top", "300"]);
    assert_eq!(all, smallest("five.jsonl", &[]));
    assert_eq!(all, smallest("one.jsonl", &["--top", "1"]));
    assert_eq!(all.len(), 5);
    let written = |name: &str| std::fs::read_to_string(home.path(name)).unwrap().lines().count();
    assert_eq!([written("all.jsonl"), written("five.jsonl"), written("one.jsonl")], [1500, 25, 5]);
    assert!(
        rows(&std::fs::read_to_string(home.path("one.jsonl")).unwrap())[0]["key_id"]
            == "house/tenant-77"
    );
}

/// Attributes of several tenants stand side by side, each with the number of its row.
#[test]
fn attributes_say_whose_they_are() {
    let home = marked();
    home.write("three.txt", "tenant-76\ntenant-77\ntenant-78\n");
    let common = ["detect", "t.txt", "--profile", "house", "--tenants", "three.txt"];
    let out = home.ok(&[&common[..], &["--attributes", "att", "--format", "jsonl"]].concat());
    let file = std::fs::read_to_string(home.path("att/t.txt.jsonl")).unwrap();
    let attributes = &rows(&file)[0]["attributes"];
    let said = rows(&out);
    assert_eq!(said.len(), 3);
    for row in said {
        let key = row["key_id"].as_str().unwrap();
        let name = format!("touchmark__house__{key}__log10_p");
        assert_eq!(attributes[&name][0][2], row["log10_p_corrected"], "{attributes}");
    }
    assert_eq!(attributes.as_object().unwrap().len(), 6);
}

#[test]
fn answers_say_whose_they_are() {
    let home = marked();
    home.write("prompts.jsonl", "{\"prompt\": \"The ship\"}\n");
    let common =
        ["generate", "--prompts", "prompts.jsonl", "--profile", "house", "-o", "out.jsonl"];
    let of = |tenant| [&common[..], &["--max-tokens", "9", "--tenant", tenant]].concat();
    home.ok(&of("acme"));
    let written = std::fs::read_to_string(home.path("out.jsonl")).unwrap();
    assert_eq!(rows(&written)[0]["tenant"], "acme");
    home.refused(&of("other"), &["another tenant", "choose another file"]);
    home.refused(&["generate", "-p", "a", "--tenant", "two words"], &["tenant", "visible ASCII"]);
}

#[test]
fn what_has_no_tenants_is_refused() {
    let home = marked();
    home.profile("peer", "vllm-gumbel", &[]);
    let refused = |file: &str, profile: &str, parts: &[&str]| {
        home.refused(&["identify", "t.txt", "--profile", profile, "--tenants", file], parts);
    };
    refused("tenants.txt", "all", &["profile \"peer\"", "256-bit key"]);
    home.refused(
        &["generate", "-p", "a", "--profile", "peer", "--tenant", "acme"],
        &["profile \"peer\"", "256-bit key"],
    );
    refused("absent.txt", "house", &["cannot read absent.txt"]);
    home.write("empty.txt", " \n\n");
    refused("empty.txt", "house", &["names no tenant"]);
    home.write("twice.txt", "a\nb\n\na\n");
    refused("twice.txt", "house", &["line 4", "\"a\"", "was there before"]);
    home.write("bad.txt", "a\ncaf\u{e9}\n");
    refused("bad.txt", "house", &["line 2", "visible ASCII"]);
    home.refused(&["identify", "t.txt", "--screen", "0"], &["auto, off"]);
    home.refused(&["identify", "t.txt", "--top", "0"], &["--top"]);
}
