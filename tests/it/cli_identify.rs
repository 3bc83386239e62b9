//! `identify`, and what `detect` tries beyond one look: other keys, beginnings, repaired texts.

use serde_json::Value;

use crate::cli::Home;

/// A home with a profile of each scheme named, and a text marked with the first.
fn marked(schemes: &[&str]) -> (Home, String) {
    let home = Home::new();
    for scheme in schemes {
        home.profile(scheme, scheme, &[]);
    }
    let prompt = "The harbour was quiet when";
    let text = home.ok(&[
        "generate",
        "-p",
        prompt,
        "--profile",
        schemes[0],
        "--max-tokens",
        "280",
        "--ignore-eos",
        "--seed",
        "4",
    ]);
    (home, text)
}

fn identified(home: &Home, arguments: &[&str]) -> Value {
    serde_json::from_str(&home.ok(&[&["identify", "--json"], arguments].concat())).unwrap()
}

#[test]
fn the_right_mark_is_named() {
    for right in ["vllm-gumbel", "kgw", "gumbel"] {
        let mut schemes = vec!["kgw", "gumbel", "synthid", "vllm-gumbel"];
        schemes.retain(|scheme| *scheme != right);
        schemes.insert(0, right);
        let (home, text) = marked(&schemes);
        home.write("t.txt", &text);
        let answer = identified(&home, &["t.txt"]);
        assert_eq!(answer["verdict"], "detected");
        assert_eq!(answer["best"]["profile"], right);
        assert_eq!(answer["also_plausible"], Value::Array(Vec::new()));
        assert_eq!(answer["tried"], 4);
        // What was tried is paid for.
        let best = &answer["best"];
        let paid = best["log10_p_corrected"].as_f64().unwrap() - best["log10_p"].as_f64().unwrap();
        assert!(paid >= 4_f64.log10() - 1e-9, "{best}");
        // The text itself does as well as a file.
        assert_eq!(identified(&home, &[text.trim_end()])["best"]["profile"], right);
    }
}

#[test]
fn the_right_key_is_named() {
    let (home, text) = marked(&["kgw"]);
    home.write("t.txt", &text);
    for number in 0..5 {
        home.ok(&["key", "new", &format!("other-{number}")]);
    }
    let answer = identified(&home, &["t.txt", "--keys", "all"]);
    assert_eq!(answer["tried"], 6);
    let own: Value = serde_json::from_str(&home.ok(&["profile", "show", "kgw", "--json"])).unwrap();
    assert_eq!(answer["best"]["key_id"], own["key_id"]);
    let answer = identified(&home, &["t.txt", "--keys", "other-1,other-2"]);
    assert_eq!((&answer["tried"], &answer["verdict"]), (&2.into(), &"not_detected".into()));
    home.refused(&["identify", "t.txt", "--keys", "nobody"], &["nobody"]);
}

#[test]
fn damage_is_undone_unless_told_not_to() {
    let (home, text) = marked(&["kgw"]);
    let damaged = text.replace('\'', "’").replace(". ", ".&nbsp; ").replace(' ', "\u{A0}");
    home.write("t.txt", &damaged);
    let answer = identified(&home, &["t.txt"]);
    assert_eq!(answer["verdict"], "detected");
    assert!(answer["best"]["reading"].as_str().unwrap().ends_with("normalised v1"));
    assert!(answer["best"]["family"].as_str().unwrap().contains("2 readings of the text"));
    let answer = identified(&home, &["t.txt", "--normalise", "off", "--segments", "off"]);
    assert_ne!(answer["verdict"], "detected");
    assert!(answer["rows"][0]["family"].as_str().unwrap().contains("no correction"));
}

/// A passage in human text, as it is and with its quotes and spaces replaced: its bytes are those of the file.
#[test]
fn a_passage_has_the_bytes_of_the_file() {
    let home = Home::new();
    home.ok(&["profile", "new", "kgw", "--set", "delta=5"]);
    let common = ["generate", "-p", "The harbour was quiet when", "--seed", "4", "--ignore-eos"];
    let text = home.ok(&[&common[..], &["--profile", "kgw", "--max-tokens", "280"]].concat());
    let passage = text.trim();
    let documents = include_str!("../data/human.jsonl").lines().take(2);
    let documents = documents.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let human: Vec<String> =
        documents.map(|it| it["text"].as_str().unwrap().chars().take(6_000).collect()).collect();
    let plain = format!("{}\n\n{passage}\n\n{}", human[0], human[1]);
    let damaged = plain.replace('\'', "’").replace(". ", ".&nbsp; ").replace(' ', "\u{A0}");
    for text in [plain, damaged] {
        let file = home.write("t.txt", &text);
        let row = home.ok(&["detect", &file, "--profile", "kgw", "--json"]);
        let row: Value = serde_json::from_str(row.trim()).unwrap();
        let segments = row["segments"].as_array().unwrap();
        assert_eq!((&row["verdict"], segments.len()), (&"detected".into(), 1), "{row}");
        let at = |name: &str| segments[0][name].as_u64().unwrap() as usize;
        let words = |text: &str| {
            text.split(|c: char| !c.is_ascii_alphabetic()).collect::<Vec<_>>().join("")
        };
        let (found, truth) =
            (words(&text[at("byte_start")..at("byte_end")]).replace("nbsp", ""), words(passage));
        // Boundaries may be off by a few words.
        let middle = &truth[truth.len() / 5..truth.len() * 4 / 5];
        assert!(found.contains(middle), "{found} | {truth}");
        assert!(found.len() < truth.len() * 5 / 4, "{found} | {truth}");
        let table = home.ok(&["detect", &file, "--profile", "kgw"]);
        assert!(table.contains("detected, 1 passage"), "{table}");
        let off = home.ok(&["detect", &file, "--profile", "kgw", "--json", "--segments", "off"]);
        let off: Value = serde_json::from_str(off.trim()).unwrap();
        assert_eq!(off["segments"], Value::Array(Vec::new()));
    }
    home.refused(&["detect", "t.txt", "--segments", "3"], &["from 8 on"]);
}

#[test]
fn ids_that_the_text_does_not_give_back_are_counted() {
    let (home, _) = marked(&["kgw"]);
    // "a" and "b" apart, where the tokenizer may have them as one.
    let same = home.write("same.jsonl", "{\"ids\":[300,301,302]}\n");
    let row = home.ok(&["detect", &same, "--tokens-field", "ids", "--profile", "kgw", "--json"]);
    let row: Value = serde_json::from_str(row.trim()).unwrap();
    assert!(row["ids_lost_in_text"].as_u64().is_some(), "{row}");
}

#[test]
fn a_known_prompt_is_the_beginning() {
    let (home, text) = marked(&["vllm-gumbel"]);
    let record = serde_json::json!({ "text": text, "prompt": "The harbour was quiet when" });
    let file = home.write("t.jsonl", format!("{record}\n"));
    let with = ["detect", &file, "--profile", "vllm-gumbel", "--json", "--prompt-field"];
    let row: Value =
        serde_json::from_str(home.ok(&[&with[..], &["prompt"]].concat()).trim()).unwrap();
    assert_eq!(row["reading"], "an answer from its first token on");
    home.refused(&[&with[..], &["nothing"]].concat(), &["nothing", "--prompt-field"]);
}

#[test]
fn nothing_to_identify_is_said() {
    let home = Home::new();
    home.refused(&["identify", "some text"], &["no profile", "profile new"]);
    home.ok(&["profile", "new", "kgw"]);
    std::fs::create_dir(home.path("folder")).unwrap();
    home.refused(&["identify", "folder"], &["folder", "detect"]);
    for nothing in ["", "a", " \n "] {
        let answer = identified(&home, &[nothing]);
        assert_eq!(answer["verdict"], "insufficient_evidence", "{nothing:?}");
    }
    // A name that was mistyped is not read as a text of one word.
    for absent in ["absent.txt", "no/such/file"] {
        home.refused(&["identify", absent], &[absent, "there is no file"]);
    }
    home.write("bytes.txt", [0x61, 0xFF, 0xFE]);
    home.refused(&["identify", "bytes.txt"], &["bytes.txt", "UTF-8"]);
    home.refused(&["identify", "--profile", "nobody", "some text"], &["\"nobody\"", "kgw"]);
}

#[test]
fn ids_that_are_none_are_refused() {
    let home = Home::new();
    home.ok(&["profile", "new", "kgw"]);
    let detect = ["detect", "ids.jsonl", "--tokens-field", "ids", "--profile", "all", "--json"];
    for (ids, part) in [
        ("[1, 2, 99999]", "id 99999 is outside the tokenizer's vocabulary of 8192"),
        ("[1, -1]", "not a list of token ids"),
        ("[1.5]", "not a list of token ids"),
        ("[4294967296]", "not a list of token ids"),
        ("\"text\"", "not a list of token ids"),
    ] {
        home.write("ids.jsonl", format!("{{\"ids\": {ids}}}\n"));
        home.refused(&detect, &[part]);
    }
    for ids in ["[]", "[5]"] {
        home.write("ids.jsonl", format!("{{\"ids\": {ids}}}\n"));
        let row: Value = serde_json::from_str(home.ok(&detect).trim()).unwrap();
        assert_eq!(row["verdict"], "insufficient_evidence", "{ids}");
    }
}

#[test]
fn a_profile_without_its_key_says_what_is_missing() {
    let home = Home::new();
    home.ok(&["profile", "new", "first", "--scheme", "kgw"]);
    home.ok(&["key", "new", "lost"]);
    home.ok(&["profile", "new", "second", "--scheme", "gumbel", "--key", "lost"]);
    home.write("t.txt", "some text");
    let key = home.path("home/keys/lost.toml");
    std::fs::remove_file(&key).unwrap();
    let parts = ["profile \"second\"", "touchmark key import FILE --id lost", "no key \"lost\""];
    for command in [&["identify", "t.txt"][..], &["detect", "t.txt", "--profile", "all"]] {
        home.refused(command, &parts);
    }
    home.ok(&["identify", "t.txt", "--profile", "first"]);
    std::fs::write(&key, "no key").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    home.refused(&["identify", "t.txt"], &["lost.toml", "restore it, or move it away"]);
}
