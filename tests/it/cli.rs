//! The program as a user runs it: what it does, what it says of bad input, and that it never shows a key.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A home of its own, with a keyring.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        name.to_owned()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
        command
            .current_dir(self.folder.path())
            .env("TOUCHMARK_HOME", self.path("home"))
            .env("NO_COLOR", "1");
        command.args(arguments);
        command
    }

    /// A profile with a key of its own that is the same each time: one key in some fifty leads the model round in circles.
    pub fn profile(&self, id: &str, scheme: &str, more: &[&str]) {
        let store = touchmark::store::Store::at(self.path("home"));
        let spec = touchmark::schemes::Spec::usual(scheme).unwrap();
        let key = crate::common::key_for(1, &spec);
        store.add_key(id.parse().ok(), &key, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        self.ok(&[&["profile", "new", id, "--scheme", scheme, "--key", id], more].concat());
    }

    /// Runs, and gives exit code, standard output and standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(!err.contains("panicked"), "{arguments:?}: {err}");
        (status.code().unwrap(), out, err)
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    }

    /// Exit code 2 and a message that holds all of `parts`.
    pub fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let (code, _, err) = self.run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
        for part in parts {
            assert!(err.contains(part), "{arguments:?} should speak of \"{part}\": {err}");
        }
    }

    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let lines = self.ok(&[&["detect", "--format", "jsonl"], arguments].concat());
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn verdicts(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect()
}

#[test]
fn what_is_written_is_found_and_what_is_not_is_not() {
    let home = Home::new();
    let marked = home.ok(&[
        "generate",
        "-p",
        "The ship came in",
        "--max-tokens",
        "200",
        "--seed",
        "3",
        "--ignore-eos",
    ]);
    home.write("marked.txt", &marked);
    let plain = home.ok(&[
        "generate",
        "-p",
        "The ship came in",
        "--max-tokens",
        "200",
        "--seed",
        "3",
        "--ignore-eos",
        "--no-watermark",
    ]);
    home.write("plain.txt", &plain);
    home.write("upper.txt", marked.to_uppercase());
    home.write("empty.txt", "");
    home.write("one.txt", "word");
    // Every third word is left out.
    let words = marked.split(' ').enumerate().filter(|(at, _)| at % 10 >= 3).map(|(_, word)| word);
    home.write("deleted.txt", words.collect::<Vec<_>>().join(" "));
    home.write("shifted.txt", format!("Somebody wrote before it: and so it began. {marked}"));

    let rows =
        home.rows(&["marked.txt", "plain.txt", "upper.txt", "empty.txt", "one.txt", "shifted.txt"]);
    let insufficient = "insufficient_evidence";
    assert_eq!(
        verdicts(&rows),
        ["detected", "not_detected", "not_detected", insufficient, insufficient, "detected"]
    );
    let row = &rows[0];
    assert!(row["log10_p"].as_f64().unwrap() < -12.0, "{row}");
    assert_eq!(
        (row["schema"].as_u64(), row["profile"].as_str(), row["scheme"].as_str()),
        (Some(1), Some("default"), Some("kgw"))
    );
    assert!(rows[3]["more_tokens"].as_u64().unwrap() > 20);
    assert_eq!(
        (rows[3]["tokens_total"].as_u64(), rows[3]["log10_p"].as_f64()),
        (Some(0), Some(0.0))
    );
    // Thirty percent of the words deleted: weaker, and never an error.
    let deleted = home.rows(&["deleted.txt"])[0]["log10_p"].as_f64().unwrap();
    assert!(deleted > row["log10_p"].as_f64().unwrap() && deleted < -2.0, "{deleted}");

    let table = home.ok(&["detect", "marked.txt", "--explain"]);
    assert!(table.contains("detected") && table.contains('['), "{table}");
    let (code, ..) = home.run(&["detect", "marked.txt", "--fail-on", "detected"]);
    assert_eq!(code, 1);
    let (code, ..) = home.run(&["detect", "plain.txt", "--fail-on", "detected"]);
    assert_eq!(code, 0);
}

#[test]
fn messages_go_the_whole_way() {
    let home = Home::new();
    home.profile("accounts", "gumbel", &["--set", "payload_bits=24"]);
    home.ok(&["profile", "new", "plain"]);
    let generate = |more: &[&str]| {
        let common = ["generate", "-p", "In the morning", "--seed", "3", "--ignore-eos"];
        home.run(&[&common[..], more].concat())
    };
    let (code, text, err) = generate(&["--profile", "accounts", "--payload", "0xABC123"]);
    assert_eq!(code, 0, "{err}");
    home.write("marked.txt", text);
    let rows = home.rows(&["marked.txt", "--profile", "accounts"]);
    assert_eq!(verdicts(&rows), ["detected"], "{}", rows[0]);
    let payload = &rows[0]["payload"];
    assert_eq!(payload["message"], "0xabc123", "{payload}");
    assert_eq!(payload["bits"].as_str().unwrap().len(), 24);
    assert!(payload["posterior"].as_f64().unwrap() > 0.99, "{payload}");
    let table = home.ok(&["detect", "marked.txt", "--profile", "accounts"]);
    assert!(table.contains("message 0xabc123"), "{table}");
    // Rows keep the message, and a file of another message is not continued.
    let jsonl = ["--profile", "accounts", "-o", "rows.jsonl", "--payload"];
    assert_eq!(generate(&[&jsonl[..], &["7"]].concat()).0, 0);
    let row: Value =
        serde_json::from_slice(&std::fs::read(home.path("rows.jsonl")).unwrap()).unwrap();
    assert_eq!(row["payload"], "0x7");
    let (code, _, err) = generate(&[&jsonl[..], &["8", "--resume"]].concat());
    assert!(code == 2 && err.contains("payload"), "{code} {err}");
    for (arguments, part) in [
        (&["--profile", "accounts"][..], "say which with --payload"),
        (&["--profile", "accounts", "--payload", "16777216"], "below 2^24"),
        (&["--profile", "accounts", "--payload", "0xZZ"], "a message is a number"),
        (&["--profile", "plain", "--payload", "1"], "carries no message"),
        (&["--no-watermark", "--payload", "1"], "cannot be used with"),
    ] {
        let (code, _, err) = generate(arguments);
        assert!(code == 2 && err.contains(part), "{arguments:?}: {code} {err}");
    }
    home.refused(
        &["profile", "new", "p", "--scheme", "kgw", "--set", "payload_bits=4"],
        &["payload_bits is 4", "8 to 64"],
    );
    let both = ["--set", "alpha=0.1", "--set", "payload_bits=8"];
    home.refused(
        &[&["profile", "new", "p", "--scheme", "gumbel"], &both[..]].concat(),
        &["payload_bits cannot go with alpha"],
    );
}

#[test]
fn every_scheme_goes_the_whole_way() {
    let home = Home::new();
    for scheme in touchmark::schemes::Spec::NAMES {
        home.profile(scheme, scheme, &[]);
        let text = home.ok(&[
            "generate",
            "-p",
            "In the morning",
            "--profile",
            scheme,
            "--max-tokens",
            "250",
            "--seed",
            "1",
            "--ignore-eos",
        ]);
        let file = home.write(&format!("{scheme}.txt"), text);
        let rows = home.rows(&[&file, "--profile", scheme, "--model", "bundled"]);
        assert_eq!(verdicts(&rows), ["detected"], "{scheme}: {}", rows[0]);
        // Looked for among all profiles, each p-value is corrected for all of them.
        if scheme == touchmark::schemes::Spec::NAMES.last().unwrap() {
            let rows = home.rows(&[&file, "--profile", "all", "--model", "bundled"]);
            let found: Vec<&Value> =
                rows.iter().filter(|row| row["verdict"] == "detected").collect();
            let all = touchmark::schemes::Spec::NAMES.len();
            assert_eq!(
                (rows.len(), found.len(), &found[0]["profile"]),
                (all, 1, &Value::from(*scheme))
            );
            let [p, corrected] =
                ["log10_p", "log10_p_corrected"].map(|field| found[0][field].as_f64().unwrap());
            // And for the beginnings that are tried, two with some schemes.
            let paid = 10_f64.powf(corrected - p).round() as usize;
            assert!(paid == all || paid == 2 * all, "{paid}");
        }
    }
}

#[test]
fn another_key_finds_nothing() {
    let home = Home::new();
    let text = home.ok(&[
        "generate",
        "-p",
        "The ship",
        "--max-tokens",
        "150",
        "--seed",
        "3",
        "--ignore-eos",
    ]);
    home.write("a.txt", text);
    home.ok(&["profile", "new", "other"]);
    assert_eq!(verdicts(&home.rows(&["a.txt", "--profile", "other"])), ["not_detected"]);
}

#[test]
fn prompts_become_rows_and_a_torn_file_is_resumed() {
    let home = Home::new();
    let prompts = "{\"id\": \"a\", \"prompt\": \"One day\"}\n\n{\"prompt\": \"At night\"}\n{\"id\": 7, \"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"Hello\"}]}\n";
    home.write("p.jsonl", prompts);
    let arguments = [
        "generate",
        "--prompts",
        "p.jsonl",
        "-o",
        "out.jsonl",
        "--max-tokens",
        "30",
        "--seed",
        "5",
        "-n",
        "2",
        "--chat",
        "--batch",
        "4",
    ];
    home.ok(&arguments);
    let whole = std::fs::read_to_string(home.path("out.jsonl")).unwrap();
    let rows = |text: &str| -> Vec<Value> {
        let mut rows: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        rows.sort_by_key(|row| row["id"].as_str().unwrap().to_owned());
        rows
    };
    let first = rows(&whole);
    let ids: Vec<&str> = first.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["3-1", "3-2", "7-1", "7-2", "a-1", "a-2"]);
    for row in &first {
        let ids = row["ids"].as_array().unwrap().len() as u64;
        let skipped: u64 =
            row["skipped"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(row["marked"].as_u64().unwrap() + skipped, ids, "{row}");
        assert!(row["profile"] == "default" && row["finish_reason"].is_string(), "{row}");
    }
    // Cut in the middle of the third row, as a kill would: nothing is lost, nothing is there twice, and the answers are
    // the same ones.
    let cut = whole.match_indices('\n').nth(2).unwrap().0 - 10;
    home.write("out.jsonl", &whole[..cut]);
    let (code, _, err) = home.run(&arguments);
    assert!(code == 0 && err.contains("2 of 6"), "{err}");
    assert_eq!(rows(&std::fs::read_to_string(home.path("out.jsonl")).unwrap()), first);

    assert_eq!(home.rows(&["out.jsonl", "--tokens-field", "ids"]).len(), 6);
    home.refused(
        &["generate", "--prompts", "p.jsonl", "-o", "p.jsonl", "--chat"],
        &["not a row of `generate`"],
    );
    home.refused(
        &["generate", "--prompts", "p.jsonl", "-o", "out.jsonl", "--chat", "--no-watermark"],
        &["holds answers of profile"],
    );
    home.write("bad.jsonl", "{\"id\": 1, \"prompt\": \"x\"}\n{\"id\": 1, \"prompt\": \"y\"}\n");
    home.refused(&["generate", "--prompts", "bad.jsonl"], &["line 2", "ids tell answers apart"]);
}

#[test]
fn stop_texts_and_greedy_are_honoured() {
    let home = Home::new();
    let say = |extra: &[&str]| {
        home.ok(&[&["generate", "-p", "Once upon a time", "--max-tokens", "60"], extra].concat())
    };
    let whole = say(&["--seed", "2"]);
    let stop = whole.split(' ').nth(8).unwrap();
    let stopped = say(&["--seed", "2", "--stop", stop]);
    assert!(
        !stopped.contains(stop) && whole.starts_with(stopped.trim_end()),
        "{whole} | {stop} | {stopped}"
    );
    assert_eq!(say(&["--temperature", "0"]), say(&["--temperature", "0", "--seed", "9"]));
    assert_eq!(say(&["--seed", "4"]), say(&["--seed", "4", "--batch", "1"]));
    home.ok(&["profile", "new", "gum", "--scheme", "gumbel"]);
    let row = home.ok(&[
        "--json",
        "generate",
        "-p",
        "Once",
        "--profile",
        "gum",
        "--temperature",
        "0",
        "--max-tokens",
        "20",
    ]);
    let row: Value = serde_json::from_str(&row).unwrap();
    assert_eq!(
        (row["marked"].as_u64(), row["skipped"]["no_choice"].as_u64()),
        (Some(0), Some(16)),
        "{row}"
    );
}

#[test]
fn bad_documents_are_named_and_the_rest_is_read() {
    let home = Home::new();
    home.write("good.txt", "A short text.");
    home.write("binary.dat", [0, 159, 146, 150, 255]);
    home.write("mixed.jsonl", "{\"id\": \"x\", \"text\": \"fine\"}\nnot json\n{\"id\": \"z\"}\n{\"id\": \"w\", \"text\": \"also fine\"}\n");
    home.refused(&["detect", "binary.dat"], &["binary.dat", "not UTF-8"]);
    home.refused(&["detect", "nowhere.txt"], &["nowhere.txt"]);
    let (code, out, err) =
        home.run(&["detect", "good.txt", "binary.dat", "mixed.jsonl", "--format", "jsonl"]);
    assert_eq!((code, out.lines().count()), (3, 3), "{out} {err}");
    assert!(err.contains("line 2") && err.contains("line 3") && err.contains("3 of 6"), "{err}");
    let mut piped = home.command(&["detect", "-", "--format", "jsonl"]);
    let row: Value =
        serde_json::from_slice(&piped.write_stdin("some text").output().unwrap().stdout).unwrap();
    assert_eq!(row["source"], "-");
    home.write("ids.jsonl", "{\"ids\": [1, 2, 99999999]}\n");
    home.refused(&["detect", "ids.jsonl", "--tokens-field", "ids"], &["99999999", "vocabulary"]);
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let home = Home::new();
    home.write("t.txt", "text");
    for (parameter, part) in [
        ("gamma=0", "gamma is 0"),
        ("gamma=1", "gamma is 1"),
        ("gamma=nan", "gamma is NaN"),
        ("delta=nan", "delta is NaN"),
        ("delta=-1", "delta is -1"),
        ("context_width=0", "context_width is 0"),
        ("context_width=16", "context_width is 16"),
        ("context_width=-1", "context_width"),
        ("typo=1", "typo"),
        ("noequals", "name=value"),
    ] {
        home.refused(&["profile", "new", "bad", "--set", parameter], &[part]);
    }
    home.refused(&["profile", "new", "../up"], &["cannot name a profile"]);
    home.refused(
        &["profile", "new", "x", "--scheme", "nope"],
        &["kgw, unigram, gumbel, synthid, sweet"],
    );
    home.refused(
        &["profile", "new", "x", "--set", "seeding=self", "--repeats", "single-turn"],
        &["score-once"],
    );
    home.refused(&["profile", "new", "x", "--key", "absent"], &["there is no key \"absent\""]);
    home.refused(&["profile", "new", "x", "--entropy", "nan"], &["--entropy"]);
    assert!(!home.path("home/keys").exists(), "a refused profile leaves no key behind");
    for fpr in ["0", "1", "nan", "-1"] {
        home.refused(&["detect", "t.txt", &format!("--fpr={fpr}")], &["false-alarm rate"]);
    }
    for (flag, part) in [
        ("--temperature=-1", "temperature"),
        ("--top-p=0", "top_p"),
        ("--min-p=1", "min_p"),
        ("--repetition-penalty=0", "repetition_penalty"),
        ("--max-tokens=0", "max-tokens"),
    ] {
        home.refused(&["generate", "-p", "x", flag], &[part]);
    }
    home.refused(&["generate", "-p", ""], &["prompt is empty"]);
    let long = "word ".repeat(3000);
    home.refused(&["generate", "-p", &long], &["does not fit", "1024"]);
    home.refused(&["detect", "t.txt", "--profile", "absent"], &["there is no profile \"absent\""]);
    home.refused(
        &["generate", "no-such-folder", "-p", "x"],
        &["no-such-folder", "config.json", "org/name"],
    );
}

#[test]
fn another_tokenizer_is_an_error_and_not_a_miss() {
    let home = Home::new();
    home.write("t.txt", "text");
    let tokenizer = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m/tokenizer.json"),
    )
    .unwrap();
    home.write(
        "other.json",
        tokenizer.replacen("\"version\": \"1.0\"", "\"version\":  \"1.0\"", 1),
    );
    home.refused(
        &["detect", "t.txt", "--tokenizer", "other.json"],
        &["bound to the tokenizer of scribe-16m", "every mark would be missed"],
    );
    home.write("broken.json", "{}");
    home.refused(&["detect", "t.txt", "--tokenizer", "broken.json"], &["tokenizer"]);
    // A kept tokenizer that was altered is noticed.
    let folder = home.path("home/tokenizers");
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&kept, tokenizer + " ").unwrap();
    home.refused(&["detect", "t.txt"], &["is not the file its name says"]);
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_only_and_never_shown() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    home.write("t.txt", "text");
    let shown = home.ok(&["key", "new", "k"]);
    let file = home.path("home/keys/k.toml");
    let secret = std::fs::read_to_string(&file).unwrap();
    let secret = secret
        .lines()
        .find_map(|line| line.strip_prefix("secret = \""))
        .unwrap()
        .trim_end_matches('"')
        .to_owned();
    assert_eq!(secret.len(), 64);
    home.ok(&["profile", "new", "p", "--key", "k"]);
    for out in [
        shown,
        home.ok(&["key", "show", "k"]),
        home.ok(&["--json", "key", "list"]),
        home.ok(&["profile", "show", "p"]),
    ] {
        assert!(!out.contains(&secret) && out.contains('k'));
    }
    home.ok(&["key", "export", "k", "-o", "exported.toml"]);
    assert_eq!(
        std::fs::metadata(home.path("exported.toml")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    home.refused(&["key", "export", "k", "-o", "exported.toml"], &["exists already"]);
    home.ok(&["key", "import", "exported.toml", "--id", "copy"]);
    home.refused(&["key", "import", "exported.toml"], &["exists already"]);
    home.write("bad.key", &secret[1..]);
    mode(&home.path("bad.key"), 0o600);
    home.refused(&["key", "import", "bad.key"], &["64 hexadecimal digits"]);

    mode(&file, 0o644);
    home.refused(&["detect", "t.txt", "--profile", "p"], &["chmod 600"]);
    mode(&file, 0o600);
    mode(&home.path("home/keys"), 0o755);
    home.refused(&["key", "list"], &["chmod 700"]);
    mode(&home.path("home/keys"), 0o700);
    home.ok(&["key", "retire", "k"]);
    home.refused(&["generate", "-p", "x", "--profile", "p"], &["retired"]);
    assert_eq!(verdicts(&home.rows(&["t.txt", "--profile", "p"])), ["insufficient_evidence"]);
    std::fs::write(&file, "schema = 1\nsecret = \"abcdef\"\n").unwrap();
    let (code, _, err) = home.run(&["key", "show", "k"]);
    assert!(code == 2 && !err.contains("abcdef"), "{err}");
}

#[test]
fn damaged_models_are_refused() {
    let home = Home::new();
    let model = home.path("model");
    std::fs::create_dir(&model).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
    {
        std::fs::copy(source.join(name), model.join(name)).unwrap();
    }
    home.refused(&["generate", "model", "-p", "x"], &["safetensors"]);
    let weights = std::fs::read(source.join("model.safetensors")).unwrap();
    std::fs::write(model.join("model.safetensors"), &weights[..1_000_000]).unwrap();
    home.refused(&["generate", "model", "-p", "x"], &["cannot load the model in model"]);
    let mut lying = weights.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(model.join("model.safetensors"), &lying).unwrap();
    home.refused(&["generate", "model", "-p", "x"], &["cannot load the model in model"]);
    std::fs::write(model.join("model.safetensors"), &weights).unwrap();
    let text =
        home.ok(&["generate", "model", "-p", "One day", "--max-tokens", "20", "--seed", "1"]);
    assert_eq!(
        text,
        home.ok(&["generate", "-p", "One day", "--max-tokens", "20", "--seed", "1"]),
        "a folder and the bundled copy write the same"
    );
}

#[test]
fn flags_come_from_the_command_line_then_the_environment_then_a_file() {
    let home = Home::new();
    home.write("t.txt", "text");
    home.write("c.toml", "[detect]\nfpr = 1e-3\nformat = \"jsonl\"\n");
    let threshold = |command: &mut Command| -> f64 {
        let row: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        row["threshold_log10_p"].as_f64().unwrap()
    };
    let arguments = ["detect", "t.txt", "--config", "c.toml"];
    assert_eq!(threshold(&mut home.command(&arguments)), -3.0);
    assert_eq!(threshold(home.command(&arguments).env("TOUCHMARK_FPR", "1e-4")), -4.0);
    assert_eq!(
        threshold(home.command(&arguments).env("TOUCHMARK_FPR", "1e-4").arg("--fpr=1e-5")),
        -5.0
    );
    home.write("bad.toml", "[detect]\nfprr = 1\n");
    home.refused(&["detect", "t.txt", "--config", "bad.toml"], &["fprr"]);
}

/// Ten megabytes in one document: read, scored, and repeats counted once.
#[test]
fn a_large_text_is_read() {
    let home = Home::new();
    home.write(
        "big.txt",
        "All work and no play makes a dull boy, said the old woman to the traveller. "
            .repeat(131_072),
    );
    let row = &home.rows(&["big.txt"])[0];
    assert!(row["tokens_total"].as_u64().unwrap() > 2_000_000, "{row}");
    assert_eq!(row["verdict"], "insufficient_evidence");
    assert!(row["tokens_scored"].as_u64().unwrap() < 40, "{row}");
}

#[test]
fn a_bayesian_detector_adds_its_posterior() {
    let home = Home::new();
    let parameters = ["--scheme", "synthid-text", "--set", "depth=2", "--repeats", "single-turn"];
    home.ok(&[&["profile", "new", "text"], &parameters[..]].concat());
    home.ok(&["profile", "new", "lists", "--scheme", "kgw"]);
    let weights = |beta: &str, delta: &str| {
        format!(
            r#"{{"prior":[0.25],"likelihood_model_watermarked.beta":{beta},"likelihood_model_watermarked.delta":{delta}}}"#
        )
    };
    home.write("weights.json", weights("[[[-2.5,-2.5]]]", "[[[[0,0],[0,0]]]]"));
    home.write("torn.json", weights("[[[-2.5,-2.5]]]", "[[[[0,0]]]]"));
    home.write("deep.json", weights("[[[0]]]", "[[[[0]]]]"));
    home.write("short.txt", "One");
    home.write("long.txt", "The ship came in at dawn, and nobody on the quay had slept.");

    let read = |file: &str| {
        let rows = home.rows(&["--profile", "text", "--bayesian", "weights.json", file]);
        rows[0]["posterior"].as_f64().unwrap()
    };
    assert!((read("short.txt") - 0.25).abs() < 1e-12);
    let posterior = read("long.txt");
    assert!(posterior > 0.0 && posterior < 1.0 && (posterior - 0.25).abs() > 1e-6, "{posterior}");
    let plain = home.rows(&["--profile", "text", "long.txt"]);
    assert!(plain[0].get("posterior").is_none());

    let refused = |profile: &str, file: &str, parts: &[&str]| {
        home.refused(&["detect", "--profile", profile, "--bayesian", file, "long.txt"], parts);
    };
    refused("lists", "weights.json", &["lists", "synthid-text", "kgw"]);
    refused("text", "deep.json", &["1 layers", "profile has 2"]);
    refused("text", "torn.json", &["torn.json", "delta", "depth"]);
    refused("text", "none.json", &["none.json"]);
}
