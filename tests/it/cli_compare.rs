//! `fingerprint compare` on the models of the repository, and on others where they are there.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::Home;

fn ours(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    path.to_str().unwrap().to_owned()
}

/// A model of the line-up, where the environment names their folder.
fn lineup(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("TOUCHMARK_MODELS") else {
        eprintln!("skipped: TOUCHMARK_MODELS does not name a folder with {name}");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    assert!(path.is_dir(), "{} is not there", path.display());
    Some(path.to_str().unwrap().to_owned())
}

fn compared(home: &Home, arguments: &[&str]) -> Value {
    let all = [&["fingerprint", "compare", "--json"], arguments].concat();
    serde_json::from_str(&home.ok(&all)).unwrap()
}

fn log10_p(comparison: &Value, test: &str) -> f64 {
    let findings = comparison["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["test"] == test).unwrap();
    finding["log10_p"].as_f64().unwrap()
}

#[test]
fn the_chat_tune_is_related_to_its_base() {
    let home = Home::new();
    let (base, chat) = (ours("scribe-16m"), ours("scribe-16m-chat"));
    let all = compared(&home, &[&base, &chat]);
    assert_eq!((&all["verdict"], &all["basis"]), (&json!("related"), &json!("exact")));
    assert_eq!(all["null"], "population");
    assert!(log10_p(&all, "row-argmax") < -1000.0, "{all}");
    assert!(log10_p(&all, "matched-signs") < -1000.0, "{all}");
    assert!(log10_p(&all, "stream-argmax") < -100.0, "{all}");
    assert_eq!(all["coverage"]["units"], 8 * 1024);

    let sample = compared(&home, &["--units", "128", "--seed", "5", &base, &chat]);
    assert_eq!(
        (&sample["verdict"], &sample["coverage"]["sampled"]),
        (&json!("related"), &json!(true))
    );
    assert!(log10_p(&sample, "row-argmax") < -100.0, "{sample}");

    let gate = ["fingerprint", "compare", "--fail-on", "related", "--units", "64", &base, &chat];
    let (code, out, _) = home.run(&gate);
    assert_eq!(code, 1);
    for part in [
        "RELATED",
        "scribe-16m-chat against scribe-16m",
        "row-argmax",
        "keep their place",
        "one initialisation",
    ] {
        assert!(out.contains(part), "\"{part}\" is missing: {out}");
    }
}

#[test]
fn the_bundled_model_is_itself() {
    let home = Home::new();
    let same = compared(&home, &["--units", "64", "bundled", &ours("scribe-16m")]);
    assert_eq!(same["verdict"], "related");
    assert!(log10_p(&same, "row-argmax") < -500.0, "{same}");
}

#[test]
fn independent_models_are_not_shown() {
    let Some(sibling) = lineup("sibling-16m") else { return };
    let home = Home::new();
    let base = ours("scribe-16m");
    for other in ["cousin-6m", "student-kgw", "student-kgw10", "student-plain", "student-syn"] {
        let found = compared(&home, &[&base, &lineup(other).unwrap()]);
        assert_eq!(found["verdict"], "not_shown", "{other}: {found}");
    }
    let found = compared(&home, &[&base, &sibling]);
    assert_eq!(found["verdict"], "not_shown", "{found}");
    assert!(found["log10_p_corrected"].as_f64().unwrap() > -3.0, "{found}");
    // Students are tunes of the cousin.
    let student = lineup("student-kgw").unwrap();
    let found = compared(&home, &[&lineup("cousin-6m").unwrap(), &student]);
    assert_eq!(found["verdict"], "related", "{found}");
    assert!(found["log10_p"].as_f64().unwrap() < -100.0);
}

#[test]
fn a_panel_is_recorded_and_used() {
    let Some(sibling) = lineup("sibling-16m") else { return };
    let home = Home::new();
    let base = ours("scribe-16m");
    for _ in 0..2 {
        compared(&home, &["--record", "panel.json", "--units", "64", &base, &sibling]);
    }
    let panel: Value =
        serde_json::from_slice(&std::fs::read(home.path("panel.json")).unwrap()).unwrap();
    assert_eq!(panel["pairs"].as_array().unwrap().len(), 2);
    let few = ["fingerprint", "compare", "--panel", "panel.json", "--units", "64", &base, &sibling];
    home.refused(&few, &["2 pairs", "more independent pairs"]);
    let chat = ours("scribe-16m-chat");
    let copy = ["fingerprint", "compare", "--record", "panel.json", "--units", "64", &base, &chat];
    home.refused(&copy, &["RELATED", "independent pairs"]);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let home = Home::new();
    let base = ours("scribe-16m");
    home.refused(&["fingerprint", "compare", &base, "nowhere"], &["nowhere"]);
    let whole = std::fs::read(Path::new(&base).join("model.safetensors")).unwrap();
    std::fs::create_dir(home.path("cut")).unwrap();
    home.write("cut/model.safetensors", &whole[..whole.len() / 2]);
    home.refused(&["fingerprint", "compare", &base, "cut"], &["cut"]);

    // One number becomes a NaN: 0x7FC0 in bfloat16.
    let mut broken = whole;
    let header = u64::from_le_bytes(broken[..8].try_into().unwrap()) as usize;
    let names: Value = serde_json::from_slice(&broken[8..8 + header]).unwrap();
    let offsets = &names["model.layers.3.mlp.gate_proj.weight"]["data_offsets"];
    let at = 8 + header + offsets[0].as_u64().unwrap() as usize;
    broken[at..at + 2].copy_from_slice(&0x7FC0u16.to_le_bytes());
    std::fs::create_dir(home.path("nan")).unwrap();
    home.write("nan/model.safetensors", &broken);
    home.refused(
        &["fingerprint", "compare", &base, "nan"],
        &["suspect", "layers.3.mlp.gate_proj", "NaN"],
    );
    home.refused(&["fingerprint", "compare", "--fpr", "2", &base, &base], &["between 0 and 1"]);
}
