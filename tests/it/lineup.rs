//! A line-up from the command line, over small random models and copies made of one.

use std::fs::{self, File};
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use touchmark::engine::tensors::{Stored, write_safetensors};
use touchmark::fingerprint::weights::Memory;

use crate::cli::Home;

const WIDTH: usize = 32;
const UNITS: usize = 64;

/// A Llama-shaped model of two layers with random weights.
fn model(folder: &Path, seed: u64) {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "intermediate_size": UNITS, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 4, "head_dim": 8, "vocab_size": 100, "tie_word_embeddings": true,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "hidden_act": "silu",
    });
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The sum of four uniform numbers is near enough to normal.
    let mut number =
        || (0..4).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).sum::<f32>();
    let mut tensors = Memory::new(Some(config.clone()));
    let mut put = |name: &str, shape: &[usize], gain: bool| {
        let values =
            (0..shape.iter().product()).map(|_| if gain { 1.0 } else { number() }).collect();
        tensors.put(name, shape, values);
    };
    put("model.embed_tokens.weight", &[100, WIDTH], false);
    put("model.norm.weight", &[WIDTH], true);
    for layer in 0..2 {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            put(&name(&format!("self_attn.{part}")), &[WIDTH, WIDTH], false);
        }
        put(&name("mlp.gate_proj"), &[UNITS, WIDTH], false);
        put(&name("mlp.up_proj"), &[UNITS, WIDTH], false);
        put(&name("mlp.down_proj"), &[WIDTH, UNITS], false);
        put(&name("input_layernorm"), &[WIDTH], true);
        put(&name("post_attention_layernorm"), &[WIDTH], true);
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let file = File::create(folder.join("model.safetensors")).unwrap();
    write_safetensors(&tensors, file, Stored::F32, &[], &mut |_| {}).unwrap();
}

#[test]
fn copies_are_found_and_strangers_are_not_accused() {
    let home = Home::new();
    model(&home.path("ours"), 0);
    let ways = [["prune=0.3", "bf16"], ["permute", "rescale"], ["int8", "noise=0.05"]];
    for (at, [first, second]) in ways.iter().enumerate() {
        let copy = format!("people/related/{}.{at}", first.split('=').next().unwrap());
        home.ok(&["fingerprint", "derive", "ours", "-o", &copy, "--how", first, "--how", second]);
    }
    for seed in 1..=20 {
        model(&home.path(&format!("people/independent/seed.{seed}")), seed);
    }
    let arguments =
        ["fingerprint", "lineup", "people", "--reference", "ours", "-o", "rows.jsonl", "--json"];
    let report: Value = serde_json::from_str(&home.ok(&arguments)).unwrap();
    let table = &report["tables"][0];
    assert_eq!((&table["test"], &table["auc"]), (&json!("weights"), &json!(1.0)), "{report}");
    assert_eq!((&table["found"]["hits"], &table["found"]["trials"]), (&json!(3), &json!(3)));
    assert_eq!(
        (&table["false_alarms"]["hits"], &table["false_alarms"]["trials"]),
        (&json!(0), &json!(20))
    );
    // Twenty strangers cannot show a rate of one in a hundred.
    assert_eq!(table["tpr_at_fpr"][0]["rates"], Value::Null);
    assert_eq!(table["strata"].as_array().unwrap().len(), 4);
    // What is kept is not computed again, and a changed truth counts.
    let kept = fs::read_to_string(home.path("rows.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 23);
    fs::rename(home.path("people/independent/seed.20"), home.path("people/related/late")).unwrap();
    let (code, out, err) = home.run(&arguments[..7]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("3 of 4") && out.contains("not shown: needs 100 independents"), "{out}");
    assert_eq!(fs::read_to_string(home.path("rows.jsonl")).unwrap().lines().count(), 24);
}

#[test]
fn a_manifest_is_checked_and_faults_are_told_apart() {
    let home = Home::new();
    model(&home.path("ours"), 0);
    model(&home.path("other"), 1);
    fs::create_dir(home.path("broken")).unwrap();
    home.write("broken/config.json", "{}");
    home.write("broken/model.safetensors", [255; 64]);
    let suspect = |model: &str| {
        format!("[[suspect]]\nmodel = \"{model}\"\ntruth = \"independent\"\nstratum = \"s\"\n")
    };
    home.write(
        "lineup.toml",
        format!("reference = \"ours\"\n{}{}", suspect("other"), suspect("broken")),
    );
    let (code, out, err) = home.run(&["fingerprint", "lineup", "lineup.toml"]);
    assert_eq!(code, 3, "{err}");
    assert!(out.contains("0 of 1") && err.contains("broken"), "{out}{err}");
    home.write("lineup.toml", format!("{}{}", suspect("other"), suspect("other")));
    home.refused(&["fingerprint", "lineup", "lineup.toml"], &["stands in the line-up twice"]);
    home.write("lineup.toml", suspect("other"));
    home.refused(&["fingerprint", "lineup", "lineup.toml"], &["nothing to try"]);
    home.write("lineup.toml", "suspects = 3");
    home.refused(&["fingerprint", "lineup", "lineup.toml"], &["lineup.toml is not a line-up"]);
    home.refused(&["fingerprint", "lineup", "nowhere"], &["cannot read nowhere"]);
}
