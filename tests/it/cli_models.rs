//! The program with models that it does not carry: folders, GGUF files, and a hub on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

use super::cli::Home;
use super::hub::server::{COMMIT, HubFile, Server};

const ID: &str = "org/tiny";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name)
}

/// A tokenizer of `size` words, `w0` to `w…`, the first ones with a meaning of their own.
fn words(size: usize) -> Vec<u8> {
    let word = |id: usize| match id {
        0 => "<pad>".to_owned(),
        1 => "<s>".to_owned(),
        2 => "</s>".to_owned(),
        _ => format!("w{id}"),
    };
    let vocab: BTreeMap<String, usize> = (0..size).map(|id| (word(id), id)).collect();
    let special = |id: usize| {
        json!({ "id": id, "content": word(id), "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let opening = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
    });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "added_tokens": [special(0), special(1), special(2)],
        "pre_tokenizer": { "type": "WhitespaceSplit" }, "post_processor": opening,
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<pad>" },
    });
    file.to_string().into_bytes()
}

/// A folder with the weights of a golden checkpoint and a tokenizer.
fn folder(home: &Home, name: &str, family: &str) -> String {
    let to = home.path(name);
    std::fs::create_dir(&to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden("families").join(family).join(file), to.join(file)).unwrap();
    }
    std::fs::write(to.join("tokenizer.json"), words(97)).unwrap();
    name.to_owned()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("not one JSON object: {text}"))
}

fn info(home: &Home, model: &str) -> Value {
    parsed(&home.ok(&["--json", "model", "info", model]))
}

fn write(home: &Home, model: &str, more: &[&str]) -> Value {
    let arguments = ["--json", "generate", model, "-p", "w5 w6", "--max-tokens", "40"];
    parsed(&home.ok(&[&arguments[..], &["--seed", "1"], more].concat()))
}

#[test]
fn a_folder_of_another_family_is_marked_and_found() {
    let home = Home::new();
    let model = folder(&home, "qwen2", "qwen2");
    home.ok(&["profile", "new", "mine", "--tokenizer", &model, "--set", "delta=30"]);
    let profile = parsed(&home.ok(&["--json", "profile", "show", "mine"]));
    assert_eq!(
        (&profile["tokenizer"]["vocab_size"], &profile["tokenizer"]["name"]),
        (&json!(97), &json!("qwen2"))
    );
    let arguments = ["generate", &model, "-p", "w5 w6", "--profile", "mine", "--temperature", "5"];
    let text = home
        .ok(&[&arguments[..], &["--ignore-eos", "--max-tokens", "110", "--seed", "1"]].concat());
    home.write("a.txt", text);
    let row = parsed(&home.ok(&["--json", "detect", "a.txt", "--profile", "mine"]));
    assert_eq!(row["verdict"], "detected", "{row}");
    let named = ["--json", "detect", "a.txt", "--profile", "mine", "--tokenizer", &model];
    assert_eq!(parsed(&home.ok(&named)), row);
    // A number format changes what is computed, and is refused by name when it is none.
    home.ok(&[&arguments[..], &["--dtype", "bf16", "--device", "cpu"]].concat());
    home.refused(&[&arguments[..], &["--dtype", "int9"]].concat(), &["int9", "bf16"]);
    home.refused(&[&arguments[..], &["--device", "cuda:1"]].concat(), &["--features cuda"]);
    home.refused(&[&arguments[..], &["--device", "toaster"]].concat(), &["devices are auto"]);
}

/// What transformers gives a model is what the tokenizer's rule says: `<s>` before the text.
#[test]
fn a_text_begins_as_the_tokenizer_says() {
    let home = Home::new();
    let model = folder(&home, "llama3", "llama3");
    let greedy = ["--no-watermark", "--temperature", "0", "--ignore-eos"];
    let ruled = write(&home, &model, &greedy);
    let bare = String::from_utf8(words(97)).unwrap();
    let mut bare = parsed(&bare);
    bare["post_processor"] = Value::Null;
    home.write("bare.json", bare.to_string());
    let typed = ["--json", "generate", &model, "-p", "<s> w5 w6", "--max-tokens", "40"];
    let unruled = write(&home, &model, &[&greedy[..], &["--tokenizer", "bare.json"]].concat());
    assert_ne!(ruled["ids"], unruled["ids"]);
    // As a chat that spells the token out.
    home.write(
        "llama3/tokenizer_config.json",
        r#"{"chat_template": "<s> {{ messages[0].content }}"}"#,
    );
    let mut chat = typed.to_vec();
    chat[4] = "w5 w6";
    let chat = parsed(&home.ok(&[&chat[..], &["--chat", "--seed", "1"], &greedy[..]].concat()));
    assert_eq!(ruled["ids"], chat["ids"]);
}

#[test]
fn a_gguf_file_needs_a_tokenizer_where_it_has_none() {
    let home = Home::new();
    let file = golden("gguf/llama-q4_k.gguf");
    let file = file.to_str().unwrap();
    home.refused(&["generate", file, "-p", "w5"], &["tokenizer", "--tokenizer"]);
    home.write("words.json", words(96));
    let row = write(&home, file, &["--tokenizer", "words.json", "--no-watermark"]);
    assert!(!row["ids"].as_array().unwrap().is_empty(), "{row}");
    home.write("more.json", words(99));
    let arguments = ["generate", file, "-p", "w5", "--tokenizer", "more.json"];
    home.refused(&arguments, &["99 tokens", "only 96"]);
    home.ok(&["profile", "new", "g", "--tokenizer", "words.json", "--vocab-size", "96"]);
    let row = write(&home, file, &["--tokenizer", "words.json", "--profile", "g"]);
    assert_eq!(row["profile"], "g");
}

#[test]
fn names_that_are_no_model_are_told_what_to_do() {
    let home = Home::new();
    let model = folder(&home, "qwen2", "qwen2");
    home.refused(
        &["generate", "nowhere.gguf", "-p", "x"],
        &["no folder or .gguf file", "org/name"],
    );
    home.refused(&["generate", "./a/b", "-p", "x"], &["./a/b", "no folder"]);
    home.refused(
        &["generate", &model, "-p", "w5", "--revision", "v1"],
        &["--revision", "on this disk"],
    );
    home.refused(&["generate", "-p", "x", "--revision", "v1"], &["--revision", "in this program"]);
    home.write("notes.txt", "x");
    home.refused(&["generate", "notes.txt", "-p", "x"], &["neither a folder nor a .gguf file"]);
    home.refused(&["detect", "notes.txt", "--revision", "v1"], &["--revision"]);

    std::fs::write(home.path("qwen2/tokenizer.json"), words(120)).unwrap();
    home.refused(&["generate", &model, "-p", "w5"], &["120 tokens", "only 97"]);
    std::fs::remove_file(home.path("qwen2/tokenizer.json")).unwrap();
    home.refused(&["generate", &model, "-p", "w5"], &["tokenizer.json", "--tokenizer"]);
    home.write("words.json", words(97));
    write(&home, &model, &["--tokenizer", "words.json", "--no-watermark"]);

    std::fs::remove_file(home.path("qwen2/model.safetensors")).unwrap();
    home.write("qwen2/pytorch_model.bin", "pickle");
    home.refused(
        &["generate", &model, "-p", "w5", "--tokenizer", "words.json"],
        &["pytorch_model.bin", "pickle"],
    );
    // What can be said is said, and the parts at fault are named.
    let (code, out, _) = home.run(&["--json", "model", "info", &model]);
    let told = parsed(&out);
    let parts: Vec<&Value> =
        told["problems"].as_array().unwrap().iter().map(|problem| &problem["part"]).collect();
    assert_eq!((code, parts), (3, vec![&json!("weights"), &json!("tokenizer")]));
    assert_eq!((&told["shape"]["family"], &told["weights"]), (&json!("qwen2"), &Value::Null));
    home.refused(&["model", "verify", &model], &["pickle"]);
}

#[test]
fn a_family_that_does_not_run_is_named_and_the_rest_is_shown() {
    let home = Home::new();
    let model = folder(&home, "other", "qwen2");
    let config = std::fs::read_to_string(home.path("other/config.json")).unwrap();
    home.write("other/config.json", config.replace("\"qwen2\"", "\"mamba\""));
    let (code, out, err) = home.run(&["--json", "model", "info", &model]);
    let told = parsed(&out);
    assert!(code == 3 && err.is_empty(), "{err}");
    let problem = &told["problems"][0];
    assert!(
        problem["part"] == "shape" && problem["problem"].to_string().contains("mamba"),
        "{told}"
    );
    assert_eq!(
        (&told["weights"]["tensors"], &told["tokenizer"]["tokens"]),
        (&json!(26), &json!(97))
    );
    // Nobody can say whether it is valid.
    home.refused(&["model", "verify", &model], &["mamba"]);
}

#[test]
fn the_header_of_a_folder_says_what_it_needs() {
    let home = Home::new();
    let told = info(&home, &folder(&home, "gemma3", "gemma3"));
    let shape = &told["shape"];
    assert_eq!((&told["source"], &told["problems"]), (&json!("folder"), &json!([])));
    assert_eq!(
        (&shape["layers"], &shape["heads"], &shape["kv_heads"], &shape["head_dim"]),
        (&json!(3), &json!(4), &json!(2), &json!(12))
    );
    assert_eq!(
        shape["attention"],
        json!([{ "window": 8, "layers": 2 }, { "window": null, "layers": 1 }])
    );
    assert_eq!(
        (&shape["rope"][0]["theta"], &shape["rope"][1]["theta"]),
        (&json!(1e6), &json!(1e4))
    );
    // 3 layers × keys and values × 2 heads of 12 × 4 bytes.
    let memory = &told["memory"];
    assert_eq!(memory["cache_per_1000_tokens"], json!(3 * 2 * 2 * 12 * 4 * 1000));
    assert_eq!(memory["cache_of_whole_window"], json!(3 * 2 * 2 * 12 * 4 * 128));
    assert!(memory["fits"] == true && memory["available"].as_u64().unwrap() > 1_000_000);
    let file = std::fs::metadata(home.path("gemma3/model.safetensors")).unwrap().len();
    let weights = &told["weights"];
    let bytes = weights["bytes"].as_u64().unwrap();
    assert!(bytes < file && bytes == weights["formats"]["F32"]["bytes"].as_u64().unwrap());
    assert_eq!(bytes, 4 * weights["elements"].as_u64().unwrap());
    assert_eq!(
        (&told["tokenizer"]["tokens"], &told["tokenizer"]["fits"], &told["chat_template"]),
        (&json!(97), &json!(true), &json!(false))
    );
    let special = &told["tokenizer"]["special"];
    assert_eq!(special[2], json!({ "id": 2, "text": "</s>" }));
    let half = parsed(&home.ok(&["--json", "model", "info", "gemma3", "--dtype", "bf16"]));
    let needed = |told: &Value| told["memory"]["weights"].as_u64().unwrap();
    assert!(needed(&half) < needed(&told) * 6 / 10, "{half}");
    // Without being asked nothing is hashed.
    assert_eq!(told["files"][1]["sha256"], Value::Null);
    let hashed = parsed(&home.ok(&["--json", "model", "info", "gemma3", "--hash"]));
    let content = std::fs::read(home.path("gemma3/model.safetensors")).unwrap();
    let served = HubFile { name: String::new(), content, large: true };
    assert_eq!(
        (&hashed["files"][1]["name"], &hashed["files"][1]["sha256"]),
        (&json!("model.safetensors"), &json!(served.sha256()))
    );
    let text = home.ok(&["model", "info", "gemma3"]);
    assert!(text.contains("2 layers see 8 tokens back") && text.contains("gemma3_text"), "{text}");
    home.ok(&["model", "verify", "gemma3"]);
}

#[test]
fn the_header_of_a_gguf_file_says_what_it_holds() {
    let home = Home::new();
    let file = golden("gguf/llama-q4_k.gguf");
    let (code, out, _) = home.run(&["--json", "model", "info", file.to_str().unwrap()]);
    let told = parsed(&out);
    assert_eq!((code, &told["problems"][0]["part"]), (3, &json!("tokenizer")));
    let formats = &told["weights"]["formats"];
    // 4.5 bits a weight, the scales included.
    let quantised = &formats["Q4_K"];
    assert_eq!(
        quantised["bytes"].as_u64().unwrap() * 16,
        quantised["elements"].as_u64().unwrap() * 9,
        "{told}"
    );
    assert!(formats["Q8_0"]["tensors"] == 1 && told["source"] == "gguf", "{told}");
    let name = format!("{}:x", file.display());
    home.refused(&["model", "info", &name], &["no folder or .gguf file"]);
}

/// A home whose cache is its own, and a hub.
struct Hub {
    home: Home,
    server: Server,
}

impl Hub {
    fn new() -> Self {
        let home = Home::new();
        folder(&home, "served", "qwen2");
        home.write("served/generation_config.json", r#"{"eos_token_id": [2]}"#);
        let served = |name: &str| HubFile {
            name: name.to_owned(),
            content: std::fs::read(home.path("served").join(name)).unwrap(),
            large: name.ends_with(".safetensors"),
        };
        let names =
            ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"];
        let server = Server::of(ID, names.map(served).to_vec());
        Self { home, server }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command
            .env("HF_ENDPOINT", &self.server.endpoint)
            .env("HF_HOME", self.home.path("hf"))
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_OFFLINE");
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        (output.status.code().unwrap(), out, err)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    }
}

#[test]
fn a_model_of_a_hub_is_pulled_shown_used_and_verified() {
    let hub = Hub::new();
    let (code, _, err) = hub.run(&["model", "info", ID]);
    assert!(code == 2 && err.contains("touchmark model pull org/tiny"), "{err}");
    assert!(hub.server.seen("model.safetensors").is_empty(), "looking fetches nothing");
    // A tokenizer is had without the weights.
    hub.ok(&["profile", "new", "p", "--tokenizer", ID]);
    assert!(hub.server.seen("resolve").len() >= 3);
    assert!(hub.server.seen("model.safetensors").is_empty());

    let pulled = parsed(&hub.ok(&["--json", "model", "pull", ID, "--revision", "main"]));
    assert_eq!((&pulled["id"], &pulled["commit"]), (&json!(ID), &json!(COMMIT)));
    let weights = &pulled["files"][3];
    assert_eq!(weights["name"], "model.safetensors");
    let listed = hub.ok(&["model", "pull", ID]);
    assert!(listed.contains(COMMIT) && listed.contains(weights["sha256"].as_str().unwrap()));

    hub.server.forget();
    let told = parsed(&hub.ok(&["--json", "model", "info", ID]));
    assert_eq!((&told["source"], &told["commit"]), (&json!("hub"), &json!(COMMIT)));
    assert_eq!((&told["files"], &told["problems"]), (&pulled["files"], &json!([])));
    assert_eq!(told["end_tokens"], json!([{ "id": 2, "text": "</s>" }]));
    assert!(hub.ok(&["model", "verify", ID]).contains("every file has the hash"));
    // Flag and variables alike keep the program off the network.
    let arguments = ["generate", ID, "-p", "w5", "--profile", "p", "--max-tokens", "5"];
    hub.ok(&[&arguments[..], &["--offline"]].concat());
    for (name, value) in [("TOUCHMARK_OFFLINE", "1"), ("HF_HUB_OFFLINE", "1")] {
        let output = hub.command(&arguments).env(name, value).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(hub.server.seen("").is_empty(), "nothing was asked");
    let (code, _, err) = hub.run(&["generate", "org/other", "-p", "x", "--offline"]);
    assert!(code == 2 && err.contains("leave out --offline") && err.contains("no folder"), "{err}");
    let (code, _, err) = hub.run(&["generate", "org/other", "-p", "x"]);
    assert!(code == 2 && err.contains("org/other") && err.contains("no folder"), "{err}");
    let (code, _, err) = hub.run(&["generate", ID, "-p", "w5", "--revision", "v9"]);
    assert!(code == 2 && err.contains("no revision \"v9\""), "{err}");
}

#[test]
fn a_fresh_model_says_where_it_went_and_damage_is_named() {
    let hub = Hub::new();
    let (code, _, err) =
        hub.run(&["generate", ID, "-p", "w5", "--no-watermark", "--max-tokens", "5"]);
    assert!(code == 0 && err.contains(COMMIT) && err.contains("snapshots"), "{err}");
    let told = parsed(&hub.ok(&["--json", "model", "info", ID]));
    let weights = Path::new(told["path"].as_str().unwrap()).join("model.safetensors");
    let blob = weights.canonicalize().unwrap();
    let mut content = std::fs::read(&blob).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    std::fs::write(&blob, &content).unwrap();
    let (code, out, _) = hub.run(&["model", "verify", ID]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("model.safetensors: has the hash") && out.contains("remove"), "{out}");
    let (code, out, _) = hub.run(&["--json", "model", "verify", ID]);
    let told = parsed(&out);
    assert_eq!(
        (code, &told["valid"], told["faults"].as_array().unwrap().len()),
        (1, &json!(false), 1)
    );
    // As told.
    std::fs::remove_file(&blob).unwrap();
    hub.ok(&["model", "pull", ID]);
    hub.ok(&["model", "verify", ID]);
}

#[test]
fn damage_in_a_folder_is_found_without_hashes() {
    let home = Home::new();
    let model = folder(&home, "m", "qwen2");
    let path = home.path("m/model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let verify = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        home.run(&["model", "verify", &model])
    };
    assert_eq!(verify(&whole).0, 0);
    let mut infinite = whole.clone();
    let last = whole.len() - 4;
    infinite[last..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let (code, out, _) = verify(&infinite);
    assert!(code == 1 && out.contains("infinity"), "{out}");
    let (code, out, _) = verify(&whole[..whole.len() - 1]);
    assert!(code == 1 && out.contains("model.safetensors"), "{out}");
    std::fs::write(&path, &whole).unwrap();
    home.write("m/tokenizer.json", "{}");
    let (code, out, _) = home.run(&["model", "verify", &model]);
    assert!(code == 1 && out.contains("tokenizer"), "{out}");
    home.refused(&["model", "verify", "nowhere"], &["nowhere"]);
}

#[test]
fn a_gating_model_of_another_tokenizer_is_refused_once() {
    let home = Home::new();
    home.ok(&["profile", "new", "s", "--scheme", "sweet"]);
    home.write("a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    let model = folder(&home, "qwen2", "qwen2");
    let (code, out, err) = home.run(&["detect", "a.jsonl", "--profile", "s", "--model", &model]);
    assert!(code == 2 && out.is_empty(), "{out}");
    assert_eq!(err.matches("bound to the tokenizer of scribe-16m").count(), 1, "{err}");
}

#[test]
fn the_doctor_says_what_is_there_and_what_to_do() {
    use std::os::unix::fs::PermissionsExt;

    let hub = Hub::new();
    hub.ok(&["model", "pull", ID]);
    let doctor = |token: &str| {
        let mut command = hub.command(&["--json", "doctor", "--offline"]);
        let output = command.env("HF_TOKEN", token).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(!out.contains("hf_secret"));
        (output.status.code().unwrap(), parsed(&out))
    };
    let (code, told) = doctor("hf_secret");
    assert_eq!((code, &told["faults"], &told["bundled_model"]), (0, &json!([]), &json!(true)));
    assert_eq!(told["hub"]["token"], "HF_TOKEN");
    assert_eq!(
        (&told["hub"]["offline"], &told["hub"]["endpoint"]),
        (&json!(true), &json!(hub.server.endpoint))
    );
    assert!(told["hub"]["cached"].as_u64().unwrap() > 100_000, "{told}");
    assert!(
        told["threads"].as_u64().unwrap() > 0
            && told["memory"]["total"].as_u64().unwrap() > 1 << 28
    );
    assert!(told["hints"].to_string().contains("touchmark key new"), "{told}");
    hub.ok(&["key", "new", "k"]);
    let (_, told) = doctor("");
    assert_eq!((&told["keyring"]["keys"], &told["keyring"]["mode"]), (&json!(1), &json!("700")));
    assert!(told["hub"]["token"].is_null() && told["hints"].to_string().contains("HF_TOKEN"));
    let keys = hub.home.path("home/keys");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, told) = doctor("");
    assert!(code == 2 && told["faults"].to_string().contains("chmod 700"), "{told}");
}
