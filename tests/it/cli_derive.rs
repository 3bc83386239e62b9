//! `fingerprint derive`: the folder it makes is a model.

use std::path::Path;

use serde_json::Value;

use super::cli::Home;

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

fn written(home: &Home, model: &str) -> String {
    let (code, out, err) = home.run(&[
        "generate",
        model,
        "-p",
        "The harbour",
        "--max-tokens",
        "24",
        "--temperature",
        "0",
        "--no-watermark",
    ]);
    assert_eq!(code, 0, "{err}");
    out
}

#[test]
fn a_copy_runs_and_says_how_it_was_made() {
    let home = Home::new();
    let scribe = repository("models/scribe-16m");
    let (code, out, err) = home.run(&[
        "fingerprint",
        "derive",
        &scribe,
        "-o",
        "copy",
        "--how",
        "permute",
        "--how",
        "rescale",
        "--how",
        "rotate",
        "--seed",
        "5",
        "--json",
    ]);
    assert_eq!(code, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    let kept: Value =
        serde_json::from_slice(&std::fs::read(home.path("copy/derived.json")).unwrap()).unwrap();
    assert_eq!(said, kept);
    assert_eq!(said["how"], serde_json::json!(["permute", "rescale", "rotate"]));
    assert_eq!((&said["from"], &said["seed"]), (&"scribe-16m".into(), &5.into()));
    let config: Value =
        serde_json::from_slice(&std::fs::read(home.path("copy/config.json")).unwrap()).unwrap();
    assert_eq!(
        (&config["tie_word_embeddings"], &config["torch_dtype"]),
        (&false.into(), &"float32".into())
    );
    assert_eq!(written(&home, "copy"), written(&home, &scribe));
    // A copy of the copy, smaller, of the bundled model's other half too.
    let merge = format!("merge=0.5:{}", repository("models/scribe-16m-chat"));
    let (code, _, err) = home.run(&[
        "fingerprint",
        "derive",
        "bundled",
        "-o",
        "merged",
        "--how",
        &merge,
        "--how",
        "int8",
        "--dtype",
        "bf16",
    ]);
    assert_eq!(code, 0, "{err}");
    assert_ne!(written(&home, "merged"), written(&home, &scribe));
    let size = |name: &str| home.path(name).metadata().unwrap().len();
    assert!(size("merged/model.safetensors") < size("copy/model.safetensors") / 2);
}

#[test]
fn what_cannot_be_made_is_refused() {
    let home = Home::new();
    let scribe = repository("models/scribe-16m");
    let gemma = repository("tests/it/golden/families/gemma2");
    let gguf = repository("tests/it/golden/gguf/llama-f32.gguf");
    std::fs::create_dir(home.path("full")).unwrap();
    home.write("full/file", "");
    for (model, out, how, wanted) in [
        (&scribe, "copy", "int9", "no way to make a copy"),
        (&scribe, "full", "int8", "not empty"),
        (&scribe, "copy", "drop=8", "cannot drop layers [8] of 8"),
        (&scribe, "copy", "merge=0.5:nowhere", "nowhere"),
        (&gemma, "copy", "rotate", "this one is \"gemma2\""),
        (&gguf, "copy", "int8", "GGUF"),
    ] {
        let (code, _, err) = home.run(&["fingerprint", "derive", model, "-o", out, "--how", how]);
        assert_eq!(code, 2, "{how}: {err}");
        assert!(err.contains(wanted), "{how}: {err}");
        assert!(!home.path("copy").exists(), "{how}");
    }
    let (code, _, err) = home.run(&["fingerprint", "derive", &scribe, "-o", "copy"]);
    assert!(code == 2 && err.contains("--how"), "{err}");
}
