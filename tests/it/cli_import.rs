//! `profile import` and `profile export` as a user runs them: marks of another engine are found with its own file, bad
//! input leaves nothing behind, and the key is never shown.

use std::path::Path;

use serde_json::Value;

use super::cli::Home;

/// The key of the golden configuration.
const KEY: &str = "1311768467463790320";
const CONFIG: &str = include_str!("golden/peers/texts/configs/vllm_gumbel.watermark_config.json");
const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/scribe-16m/tokenizer.json");

/// A home with the configuration in `vllm.json`, readable by its owner alone.
fn home() -> Home {
    let home = Home::new();
    secret(&home, "vllm.json", CONFIG);
    home
}

fn secret(home: &Home, name: &str, content: impl AsRef<[u8]>) {
    home.write(name, content);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(home.path(name), owner).unwrap();
    }
}

/// Arguments of an import for vLLM.
fn import<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["profile", "import", "--for", "vllm", file, "--tokenizer", TOKENIZER], more].concat()
}

/// Every file under a folder, by its path inside.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path.display().to_string()) }
        }
    }
    found
}

/// A tool, a configuration of it with the number 987654321 in its key where it has one, and what else must be said.
const GOOD: &[(&str, &str, &[&str])] = &[
    (
        "transformers",
        r#"{"hashing_key": 987654321, "greenlist_ratio": 0.25}"#,
        &["--device", "cpu"],
    ),
    ("transformers", r#"{"keys": [987654321, 400, 836], "ngram_len": 5}"#, &["--device", "cpu"]),
    ("vllm", r#"{"key": 987654321, "algorithm": "gumbel"}"#, &[]),
    ("sglang", r#"{"key": "987654321", "context_window": 4}"#, &[]),
    (
        "synthid",
        r#"{"keys": [987654321, 400, 836], "ngram_len": 5, "context_history_size": 1024}"#,
        &["--hash", "iv"],
    ),
    (
        "lm-watermarking",
        r#"{"seeding_scheme": "ff-additive_prf-4-False-987654321", "gamma": 0.25}"#,
        &["--device", "cpu"],
    ),
    ("markllm", r#"{"algorithm_name": "EXP", "hash_key": 987654321}"#, &[]),
    ("tgi", "WATERMARK_GAMMA=0.5\n", &["--device", "cpu"]),
    ("llama-cpp", "987654321,400,836", &["--hash", "table", "--ngram-len", "5"]),
];

/// A folder that looks like a model's.
fn model(home: &Home, name: &str, config: &str, tokenizer: Option<&str>) {
    std::fs::create_dir(home.path(name)).unwrap();
    home.write(&format!("{name}/config.json"), config);
    if let Some(tokenizer) = tokenizer {
        home.write(&format!("{name}/tokenizer.json"), tokenizer);
    }
}

/// Texts of a tool, one JSON object a line.
fn texts(lines: &str) -> Vec<String> {
    let text = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned()
    };
    lines.lines().map(text).collect()
}

#[test]
fn marks_of_another_engine_are_found_with_its_own_file() {
    let home = home();
    let size = ["--vocab-size", "8192", "--key-id", "theirs"];
    let (code, out, err) = home.run(&import("vllm.json", &size));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("scheme = \"vllm-gumbel\"") && out.contains("key_id = \"theirs\""),
        "{out}"
    );
    assert!(!err.contains("other users"), "{err}");
    for said in [&out, &err] {
        assert!(!said.contains(KEY));
    }
    let marked = texts(include_str!("golden/peers/texts/vllm_gumbel.jsonl"));
    home.write("marked.txt", &marked[0]);
    home.write("human.txt", &texts(include_str!("golden/peers/texts/human.jsonl"))[0]);
    let rows =
        home.ok(&["detect", "--profile", "vllm", "--format", "jsonl", "marked.txt", "human.txt"]);
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(
        (&rows[0]["verdict"], &rows[1]["verdict"]),
        (&"detected".into(), &"not_detected".into())
    );
    assert!(rows[0]["log10_p"].as_f64().unwrap() < -20.0, "{}", rows[0]);

    // The key is in the keyring, and only there.
    for file in files(&home.path("home")) {
        let holds =
            std::fs::read(&file).unwrap().windows(KEY.len()).any(|found| found == KEY.as_bytes());
        assert_eq!(holds, file.contains("/keys/"), "{file}");
    }
    // The same key may go with a second profile; another key may not take its name.
    home.ok(&import("vllm.json", &[&size[..], &["--name", "second"]].concat()));
    secret(&home, "other.json", "{\"key\": 987654321}");
    let third = [&size[..], &["--name", "third"]].concat();
    home.refused(&import("other.json", &third), &["exists already"]);
    home.refused(&import("vllm.json", &size), &["profile \"vllm\" exists already"]);
    assert!(!home.path("home/profiles/third.toml").exists());
}

#[test]
fn bad_input_leaves_nothing_behind() {
    let home = home();
    let refused = |arguments: &[&str], parts: &[&str]| {
        home.refused(arguments, parts);
        assert_eq!(files(&home.path("home")), Vec::<String>::new(), "{arguments:?}");
    };
    let size = ["--vocab-size", "8192"];
    for (name, content, part) in [
        ("unknown.json", "{\"key\": 987654321, \"colour\": 1}", "\"colour\""),
        ("type.json", "{\"key\": true}", "key of vllm must be an integer"),
        ("range.json", "{\"key\": -987654321}", "key of vllm must be an integer"),
        ("missing.json", "{\"algorithm\": \"gumbel\"}", "key is missing"),
        ("both.json", "{\"key\": 987654321, \"alpha\": 0.5}", "contradict"),
        ("cut.json", "{\"key\": 987654321", "line 1"),
        ("bomb.yaml", "a: &a [1]\nb: [*a, *a]\n", "anchors and aliases"),
        ("code.py", "{'key': int('987654321')}", "a value is expected"),
        ("empty.json", "", "names and values"),
    ] {
        secret(&home, name, content);
        refused(&import(name, &size), &[name, part]);
        let (_, out, err) = home.run(&import(name, &size));
        assert!(!out.contains("987654321") && !err.contains("987654321"), "{err}");
    }
    secret(&home, "latin.json", b"{\"key\": 987654321, \"prf\": \"\xe9\"}");
    refused(&import("latin.json", &size), &["not UTF-8"]);
    secret(&home, "long.json", format!("{{\"key\": 1}}{}", " ".repeat(1 << 20)));
    refused(&import("long.json", &size), &["bytes are too many"]);
    refused(&import("absent.json", &size), &["absent.json", "cannot be read"]);
    refused(&import(".", &size), &["not a file"]);
    refused(&import("vllm.json", &["--vocab-size", "8192", "--name", "No Slug"]), &["\"No Slug\""]);
    refused(&import("vllm.json", &["--vocab-size", "8192", "--key-id", "../k"]), &["../k"]);
    refused(
        &import("vllm.json", &["--vocab-size", "8192", "--hash", "iv"]),
        &["--hash says nothing"],
    );
    for size in ["1", "16777217", "4294967295", "NaN"] {
        refused(&import("vllm.json", &["--vocab-size", size]), &["--vocab-size"]);
    }
    home.refused(
        &["profile", "new", "wide", "--vocab-size", "16777217", "--tokenizer", TOKENIZER],
        &["vocab_size is 16777217", "from 2 to 16777216"],
    );
    assert_eq!(files(&home.path("home")), Vec::<String>::new(), "no key without a profile");

    home.write("broken.json", "{}");
    let other = |tokenizer| {
        [
            "profile",
            "import",
            "--for",
            "vllm",
            "vllm.json",
            "--vocab-size",
            "8192",
            "--tokenizer",
            tokenizer,
        ]
    };
    refused(&other("broken.json"), &["broken.json"]);
    refused(&other("nowhere.json"), &["nowhere.json"]);
    let unknown =
        ["profile", "import", "--for", "three-bricks", "vllm.json", "--tokenizer", TOKENIZER];
    refused(&unknown, &["\"three-bricks\" are not known", "\"llama-cpp\""]);
}

/// Every tool's reader against files that are none of its own, and against a vocabulary that is not the tokenizer's.
#[test]
fn hostile_files_leave_nothing_behind() {
    let home = Home::new();
    let mut bomb = "a: &a [987654321]\n".to_owned();
    for (name, before) in ('b'..='j').zip('a'..) {
        bomb.push_str(&format!("{name}: &{name} [*{before}, *{before}, *{before}]\n"));
    }
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("nothing", b"\xEF\xBB\xBF \n# a comment\n".to_vec()),
        ("null", b"null".to_vec()),
        ("list", b"[[987654321]]".to_vec()),
        ("binary", vec![0; 64]),
        ("latin", b"{\"key\": \"\xE9987654321\"}".to_vec()),
        ("wide", "{\"key\": 987654321}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("bomb", bomb.into_bytes()),
        ("deep", "[".repeat(100_000).into_bytes()),
        ("deeper", "{\"a\":".repeat(100_000).into_bytes()),
        ("tag", b"!!python/object/apply:os.system ['987654321']".to_vec()),
        ("documents", b"a: 1\n---\nb: 987654321\n".to_vec()),
        ("foreign", b"<key>987654321</key>".to_vec()),
        ("long", vec![b'x'; (1 << 20) + 1]),
    ];
    for &(tool, good, more) in GOOD {
        let refused = |file: &str, size: &str| {
            let begin = ["profile", "import", "--for", tool, file, "--tokenizer", TOKENIZER];
            let (code, out, err) = home.run(&[&begin[..], &["--vocab-size", size], more].concat());
            assert!(code == 2 && err.starts_with("error: "), "{tool} {file}: {code} {err}");
            assert!(!format!("{out}{err}").contains("987654321"), "{tool} {file}: {err}");
            assert_eq!(files(&home.path("home")), Vec::<String>::new(), "{tool} {file}");
        };
        for (name, content) in &hostile {
            secret(&home, name, content);
            refused(name, "8192");
        }
        refused(".", "8192");
        refused("absent", "8192");
        secret(&home, "good", good);
        refused("good", "8191");
        let Some(rest) = good.strip_prefix('{') else { continue };
        secret(&home, "unknown", format!("{{\"colour\": 987654321, {rest}"));
        refused("unknown", "8192");
        let (first, _) = rest.split_once([',', '}']).unwrap();
        let twice = if first.contains('[') { "\"ngram_len\": 5" } else { first };
        secret(&home, "twice", format!("{{{twice}, {rest}"));
        refused("twice", "8192");
        for odd in ["null", "NaN", "1e400", "-99999999999999999999", "\"\\u0000\"", "[[]]"] {
            let value = if good.contains("ff-") { "0.25" } else { "987654321" };
            let quoted = format!("\"{value}\"");
            let place = if good.contains(&quoted) { quoted } else { value.to_owned() };
            secret(&home, "odd", good.replace(&place, odd));
            refused("odd", "8192");
        }
    }
}

/// Of each tool, its public key; nothing is said of a key that is a secret and cannot be tried.
#[test]
fn keys_that_protect_nothing_are_named() {
    let home = Home::new();
    let strong = (1..=30).map(|at: u64| (at * 0x0123_4567_89AB_CDEF).to_string());
    let strong = strong.collect::<Vec<_>>().join(",");
    let shown = "654, 400, 836, 123, 340, 443, 597, 160, 57";
    let lists = r#"{"hashing_key": 15485863}"#.to_owned();
    for (tool, config, more, said) in [
        ("transformers", lists, &["--device", "cpu"][..], "the default of transformers"),
        (
            "lm-watermarking",
            "{'seeding_scheme': 'selfhash', 'gamma': 0.25}".to_owned(),
            &["--device", "cpu"],
            "lm-watermarking",
        ),
        (
            "tgi",
            "WATERMARK_GAMMA=0.5".to_owned(),
            &["--device", "cpu"],
            "text-generation-inference",
        ),
        ("vllm", "{\"key\": 42}".to_owned(), &[], "vLLM's documentation"),
        ("vllm", "{\"key\": 11400714819323198485}".to_owned(), &[], "searched for"),
        (
            "transformers",
            format!("{{\"keys\": [{shown}], \"ngram_len\": 5}}"),
            &["--device", "cpu"],
            "SynthID's demonstration",
        ),
        (
            "transformers",
            format!("{{\"keys\": [{strong}], \"ngram_len\": 5}}"),
            &["--device", "cpu"],
            "",
        ),
    ] {
        secret(&home, "c", &config);
        std::fs::remove_dir_all(home.path("home")).ok();
        let begin = ["profile", "import", "--for", tool, "c", "--tokenizer", TOKENIZER];
        let size = ["--vocab-size", "8192", "--name", "p", "--key-id", "k"];
        let (code, _, err) = home.run(&[&begin[..], &size, more].concat());
        assert_eq!(code, 0, "{tool}: {err}");
        let row: Value = serde_json::from_str(
            home.ok(&["detect", "c", "--profile", "p", "--format", "jsonl"]).trim(),
        )
        .unwrap();
        let warnings = row["warnings"].to_string();
        let lint = home.ok(&["profile", "lint", "p"]);
        for place in [&err, &warnings, &lint] {
            let speaks = place.contains("make and remove this mark");
            assert_eq!(speaks, !said.is_empty(), "{tool} {config}: {place}");
            assert!(place.contains(said), "{tool}: {place}");
            assert!(!place.contains("15485863") && !place.contains("654"), "{place}");
        }
    }
    let listed = home.ok(&["key", "list"]);
    assert!(listed.starts_with("k  ") && listed.contains("30 numbers"), "{listed}");
    home.ok(&["key", "new", "own"]);
    assert!(home.ok(&["key", "list"]).contains("256 bits"));
}

/// A folder with the tokenizer alone will do where V is given.
#[test]
fn a_given_width_needs_no_configuration() {
    let home = home();
    std::fs::create_dir(home.path("bare")).unwrap();
    std::fs::copy(TOKENIZER, home.path("bare/tokenizer.json")).unwrap();
    let bare = ["profile", "import", "--for", "vllm", "vllm.json", "--tokenizer", "bare"];
    home.refused(&bare, &["config.json", "--vocab-size"]);
    let out = home.ok(&[&bare[..], &["--vocab-size", "8320"]].concat());
    assert!(out.contains("vocab_size = 8320"), "{out}");
}

#[test]
fn the_width_of_the_logits_must_be_known() {
    let home = home();
    home.refused(
        &import("vllm.json", &[]),
        &["151,936 against 151,643", "--model", "--vocab-size-of-tokenizer"],
    );
    home.refused(&import("vllm.json", &["--vocab-size", "8000"]), &["8192 ids, but V is 8000"]);
    let both = ["--vocab-size", "8192", "--vocab-size-of-tokenizer"];
    home.refused(&import("vllm.json", &both), &["cannot be used with"]);

    let own = std::fs::read_to_string(TOKENIZER).unwrap();
    model(&home, "padded", "{\"vocab_size\": 8320}", Some(&own));
    model(&home, "seeing", "{\"vocab_size\": 9, \"text_config\": {\"vocab_size\": 8448}}", None);
    model(&home, "narrow", "{\"vocab_size\": 4096}", None);
    model(&home, "silent", "{}", None);
    let mut swapped: Value = serde_json::from_str(&own).unwrap();
    let vocabulary = swapped["model"]["vocab"].as_object_mut().unwrap();
    let (first, second) = (vocabulary["e"].clone(), vocabulary["a"].clone());
    vocabulary["e"] = second;
    vocabulary["a"] = first;
    let swapped = swapped.to_string();
    model(&home, "other", "{\"vocab_size\": 8192}", Some(&swapped));
    for (name, size) in [("padded", 8320), ("seeing", 8448)] {
        let out = home.ok(&import("vllm.json", &["--model", name, "--name", name]));
        assert!(out.contains(&format!("vocab_size = {size}")), "{out}");
    }
    home.refused(
        &import("vllm.json", &["--model", "narrow", "--name", "n"]),
        &["8192 ids, but V is 4096"],
    );
    home.refused(&import("vllm.json", &["--model", "silent", "--name", "n"]), &["no vocab_size"]);
    home.refused(
        &import("vllm.json", &["--model", "other", "--name", "n"]),
        &["the tokenizer is not that of other"],
    );
    home.refused(&import("vllm.json", &["--model", "absent", "--name", "n"]), &["absent"]);

    let out = home.ok(&import("vllm.json", &["--vocab-size-of-tokenizer", "--name", "exact"]));
    assert!(out.contains("vocab_size = 8192"), "{out}");
    // Named by the model, the tokenizer comes with the width.
    let of_model =
        ["profile", "import", "--for", "vllm", "vllm.json", "--tokenizer", "padded", "--name"];
    let out = home.ok(&[&of_model[..], &["model"]].concat());
    assert!(out.contains("vocab_size = 8320") && out.contains("name = \"padded\""), "{out}");
    home.refused(
        &[&of_model[..], &["n", "--vocab-size-of-tokenizer"]].concat(),
        &["8192 wide, but padded has 8320"],
    );
}

#[test]
fn what_is_exported_is_imported_again() {
    let home = home();
    let size = ["--vocab-size", "8192"];
    home.ok(&import("vllm.json", &size));
    home.refused(&["profile", "export", "vllm", "--for", "vllm"], &["--output", "--show-key"]);
    home.refused(&["profile", "export", "vllm"], &["--for"]);
    home.refused(
        &["profile", "export", "vllm", "--for", "sglang", "-o", "no.json"],
        &["does not make"],
    );
    home.refused(&["profile", "export", "nobody", "--for", "vllm", "-o", "no.json"], &["nobody"]);
    assert!(!home.path("no.json").exists());

    let export = ["profile", "export", "vllm", "--for", "vllm", "-o", "out.json"];
    let (code, out, err) = home.run(&export);
    assert_eq!((code, out.trim()), (0, "out.json"), "{err}");
    assert!(err.contains("holds the secret") && !err.contains(KEY), "{err}");
    home.refused(&export, &["out.json", "exists already"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(home.path("out.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let written: Value =
        serde_json::from_slice(&std::fs::read(home.path("out.json")).unwrap()).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(CONFIG).unwrap());
    assert_eq!(
        home.ok(&["profile", "export", "vllm", "--for", "vllm", "--show-key"]).matches(KEY).count(),
        1
    );

    home.ok(&import("out.json", &[&size[..], &["--name", "again"]].concat()));
    let scheme = |id: &str| {
        let shown: Value =
            serde_json::from_str(&home.ok(&["profile", "show", id, "--json"])).unwrap();
        (
            shown["scheme"].clone(),
            shown["repeats"].clone(),
            shown["tokenizer"].clone(),
            shown["prf"].clone(),
        )
    };
    assert_eq!(scheme("again"), scheme("vllm"));

    home.ok(&["profile", "export", "vllm", "--bundle", "given"]);
    assert_eq!(
        std::fs::read(home.path("given/tokenizer.json")).unwrap(),
        std::fs::read(TOKENIZER).unwrap()
    );
    assert_eq!(files(&home.path("given")).len(), 2);
    assert!(!std::fs::read_to_string(home.path("given/vllm.toml")).unwrap().contains(KEY));
    home.refused(&["profile", "export", "vllm", "--bundle", "given"], &["exists already"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    std::fs::set_permissions(home.path("vllm.json"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    let (code, _, err) = home.run(&import("vllm.json", &["--vocab-size", "8192"]));
    assert!(
        code == 0
            && err.contains("can be read by other users (mode 644)")
            && err.contains("chmod 600"),
        "{err}"
    );
}
