//! Whole comparisons on small models in memory.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

use super::units::shuffle;
use super::*;
use crate::fingerprint::{Basis, Finding, Verdict};

const V: usize = 500;
const D: usize = 48;
const N: usize = 96;
const LAYERS: usize = 4;

fn normal(random: &mut ChaCha8Rng) -> f32 {
    let mut uniform = || (f64::from(random.next_u32()) + 0.5) / 2f64.powi(32);
    ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32
}

fn llama(seed: u64, width: usize, layers: usize) -> Memory {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut model = Memory::new(Some(json!({"model_type": "llama", "num_attention_heads": 4})));
    let mut put = |name: &str, shape: &[usize], mean: f32, spread: f32| {
        let values =
            (0..shape.iter().product()).map(|_: usize| mean + spread * normal(&mut random));
        model.put(name, shape, values.collect());
    };
    put("model.embed_tokens.weight", &[V, width], 0.0, 1.0);
    put("model.norm.weight", &[width], 1.0, 0.2);
    for layer in 0..layers {
        let name = |leaf: &str| format!("model.layers.{layer}.{leaf}.weight");
        // Layers differ in scale, as trained ones do.
        let spread = 0.1 * (1.0 + layer as f32 * 0.37 % 0.5);
        put(&name("input_layernorm"), &[width], 1.0, 0.2);
        put(&name("post_attention_layernorm"), &[width], 1.0, 0.2);
        for leaf in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            put(&name(&format!("self_attn.{leaf}")), &[width, width], 0.0, spread);
        }
        put(&name("mlp.gate_proj"), &[N, width], 0.0, spread);
        put(&name("mlp.up_proj"), &[N, width], 0.0, spread);
        put(&name("mlp.down_proj"), &[width, N], 0.0, spread);
    }
    model
}

fn settings() -> Settings {
    Settings { draws: 99_999, alpha: 1e-6, threads: 2, ..Settings::default() }
}

fn compared(a: &Memory, b: &Memory) -> Comparison {
    compare(a, b, &settings(), &|_, _| {}).unwrap()
}

fn finding<'a>(comparison: &'a Comparison, test: &str) -> &'a Finding {
    comparison.findings.iter().find(|finding| finding.test == test).unwrap()
}

fn log10_p(comparison: &Comparison, test: &str) -> f64 {
    finding(comparison, test).log10_p.unwrap()
}

fn names(model: &Memory, ends: &[&str]) -> Vec<(String, Vec<usize>)> {
    let wanted = |name: &str| ends.iter().any(|end| name.ends_with(&format!("{end}.weight")));
    model
        .tensors()
        .iter()
        .filter(|info| wanted(&info.name))
        .map(|info| (info.name.clone(), info.shape.clone()))
        .collect()
}

/// Changes rows of some tensors, `f(layer, row number, row)`, columns taken as rows where they end in `down_proj` or `o_proj`.
fn change(model: &mut Memory, ends: &[&str], mut f: impl FnMut(&str, &mut Matrix)) {
    for (name, shape) in names(model, ends) {
        let turned = ["down_proj.weight", "o_proj.weight"].iter().any(|end| name.ends_with(end));
        let mut matrix = Matrix::new(shape[1], model.values(&name).unwrap().to_vec());
        if turned {
            matrix = matrix.transposed();
        }
        f(&name, &mut matrix);
        if turned {
            matrix = matrix.transposed();
        }
        model.values_mut(&name).unwrap().copy_from_slice(matrix.values());
    }
}

fn layer_number(name: &str) -> u64 {
    name.split('.').find_map(|part| part.parse().ok()).unwrap()
}

/// Units in another order, ways up and down scaled against each other.
fn permuted(model: &Memory, flips: bool) -> Memory {
    let mut copy = model.clone();
    change(&mut copy, &["gate_proj", "up_proj", "down_proj"], |name, rows| {
        let mut random = ChaCha8Rng::seed_from_u64(layer_number(name));
        let mut order: Vec<usize> = (0..N).collect();
        shuffle(&mut order, &mut random);
        let old = rows.clone();
        for (i, &from) in order.iter().enumerate() {
            let scale = 0.5 + i as f32 / N as f32;
            let sign = if flips && random.next_u32() & 1 == 0 { -1.0 } else { 1.0 };
            let factor = match name {
                name if name.contains("up_proj") => sign * scale,
                name if name.contains("down_proj") => sign / scale,
                _ => 1.0,
            };
            rows.row_mut(i).iter_mut().zip(old.row(from)).for_each(|(to, v)| *to = factor * v);
        }
    });
    copy
}

/// Channels of values in another order: a rotation within each head, of which none keeps its place.
fn reversed_values(model: &Memory) -> Memory {
    let mut copy = model.clone();
    change(&mut copy, &["v_proj", "o_proj"], |_, rows| {
        let (old, head) = (rows.clone(), D / 4);
        for i in 0..D {
            rows.row_mut(i).copy_from_slice(old.row(i / head * head + (i + 1) % head));
        }
    });
    copy
}

/// Ways up and down of every other unit with the other sign.
fn flipped(model: &Memory) -> Memory {
    let mut copy = model.clone();
    change(&mut copy, &["up_proj", "down_proj"], |_, rows| {
        (0..N).step_by(2).for_each(|i| rows.row_mut(i).iter_mut().for_each(|v| *v = -*v));
    });
    copy
}

/// The residual stream turned by reflections, gains folded into what follows them.
fn turned(model: &Memory) -> Memory {
    let mut copy = model.clone();
    for (norm, into) in [
        ("input_layernorm", &["q_proj", "k_proj", "v_proj"][..]),
        ("post_attention_layernorm", &["gate_proj", "up_proj"][..]),
    ] {
        change(&mut copy, into, |name, rows| {
            let layer = layer_number(name);
            let gain = model.values(&format!("model.layers.{layer}.{norm}.weight")).unwrap();
            rows.scale_columns(gain);
        });
        for (name, _) in names(&copy, &[norm]) {
            copy.values_mut(&name).unwrap().fill(1.0);
        }
    }
    let mut random = ChaCha8Rng::seed_from_u64(99);
    // So many that next to nothing of the old axes is left.
    let mirrors: Vec<Vec<f32>> = (0..6 * D)
        .map(|_| {
            let mirror: Vec<f32> = (0..D).map(|_| normal(&mut random)).collect();
            let length = mirror.iter().map(|v| v * v).sum::<f32>().sqrt();
            mirror.iter().map(|v| v / length).collect()
        })
        .collect();
    let all = ["embed_tokens", "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj"];
    change(&mut copy, &all, |_, rows| {
        for i in 0..rows.rows() {
            for mirror in &mirrors {
                let row = rows.row_mut(i);
                let along: f32 = row.iter().zip(mirror).map(|(x, m)| x * m).sum();
                row.iter_mut().zip(mirror).for_each(|(x, m)| *x -= 2.0 * along * m);
            }
        }
    });
    copy
}

fn noisy(model: &Memory, relative: f32, seed: u64) -> Memory {
    let mut copy = model.clone();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for info in model.tensors() {
        let values = copy.values_mut(&info.name).unwrap();
        let spread = (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
        values.iter_mut().for_each(|v| *v += relative * spread * normal(&mut random));
    }
    copy
}

#[test]
fn an_independent_model_is_not_shown_in_either_frame() {
    let comparison = compared(&llama(1, D, LAYERS), &llama(2, D, LAYERS));
    assert_eq!(comparison.verdict, Verdict::NotShown);
    assert!(comparison.coverage.aligned && comparison.coverage.layers.len() == LAYERS);
    let exact = comparison.findings.iter().filter(|finding| finding.basis == Basis::Exact);
    assert_eq!(exact.count(), 9);
    assert!(comparison.log10_p_corrected.unwrap() > -2.0);
}

#[test]
fn a_noisy_copy_is_related_by_every_test() {
    let model = llama(1, D, LAYERS);
    let comparison = compared(&model, &noisy(&model, 0.5, 3));
    assert_eq!(comparison.verdict, Verdict::Related);
    assert_eq!(comparison.basis, Some(Basis::Exact));
    assert!(log10_p(&comparison, "row-argmax") < -500.0);
    assert!(log10_p(&comparison, "matched-signs") < -90.0);
    assert!(log10_p(&comparison, "stream-argmax") < -50.0);
    assert!(log10_p(&comparison, "diagonal") <= -5.0, "as low as so many draws allow");
    assert!(!comparison.coverage.aligned, "the stored frame was enough");
}

#[test]
fn a_permuted_and_rescaled_copy_is_related_by_its_signs() {
    let model = llama(1, D, LAYERS);
    let comparison = compared(&model, &noisy(&permuted(&model, false), 0.2, 4));
    assert!(log10_p(&comparison, "row-argmax") > -3.0);
    assert!(log10_p(&comparison, "matched-signs") < -100.0);
    assert_eq!(comparison.verdict, Verdict::Related);
}

#[test]
fn a_copy_with_flipped_units_is_related_by_its_order() {
    let model = llama(1, D, LAYERS);
    let comparison = compared(&model, &noisy(&flipped(&model), 0.2, 4));
    assert!(log10_p(&comparison, "matched-signs") > -3.0);
    assert!(log10_p(&comparison, "row-argmax") < -500.0);
}

#[test]
fn a_permuted_and_flipped_copy_is_related_by_its_stream() {
    let model = llama(1, D, LAYERS);
    let comparison = compared(&model, &noisy(&permuted(&model, true), 0.2, 4));
    assert!(log10_p(&comparison, "matched-signs") > -3.0);
    assert!(log10_p(&comparison, "stream-argmax") < -50.0);
    assert!(log10_p(&comparison, "value-argmax") < -100.0);
    assert_eq!(comparison.verdict, Verdict::Related);
}

#[test]
fn a_turned_copy_is_related_in_the_aligned_frame() {
    let model = llama(1, D, LAYERS);
    let copy = noisy(&turned(&model), 0.1, 5);
    let comparison = compared(&model, &copy);
    for test in ["row-argmax", "matched-signs", "stream-argmax"] {
        assert!(log10_p(&comparison, test) > -3.0, "{test} sees it already");
    }
    assert!(log10_p(&comparison, "row-argmax-aligned") < -500.0);
    assert!(log10_p(&comparison, "matched-signs-aligned") < -90.0);
    let cka = |comparison: &Comparison, test: &str| {
        finding(comparison, test).statistics["cka"].as_f64().unwrap()
    };
    assert!(cka(&comparison, "unit-grams") > 0.8);

    let both = compared(&model, &permuted(&copy, false));
    assert!(log10_p(&both, "row-argmax-aligned") > -3.0);
    assert!(log10_p(&both, "matched-signs-aligned") < -90.0);

    // With flipped units besides, channels of values are left.
    let three = compared(&model, &permuted(&copy, true));
    assert!(log10_p(&three, "matched-signs-aligned") > -3.0);
    assert_eq!(three.decided_by.as_deref(), Some("value-argmax-aligned"));
    assert!(log10_p(&three, "value-argmax-aligned") < -100.0);

    // Everything at once is only described.
    let all = compared(&model, &reversed_values(&permuted(&copy, true)));
    assert_eq!(all.verdict, Verdict::NotShown);
    assert!(cka(&all, "embedding-alignment") > 0.8);
    let none = compared(&model, &llama(2, D, LAYERS));
    assert!(cka(&none, "embedding-alignment").abs() < 0.1);
    assert!(cka(&none, "unit-grams").abs() < 0.1);
}

#[test]
fn a_panel_turns_the_description_into_a_p_value() {
    let model = llama(1, D, LAYERS);
    let mut panel = Panel::default();
    for seed in 0..6 {
        let pair = compared(&llama(100 + 2 * seed, D, LAYERS), &llama(101 + 2 * seed, D, LAYERS));
        let value = finding(&pair, "embedding-alignment").statistics["cka"].as_f64().unwrap();
        panel.pairs.push(PanelPair { reference: "a".into(), suspect: "b".into(), value });
    }
    let copy = reversed_values(&permuted(&turned(&model), true));
    let settings = Settings { panel: Some(panel), alpha: 1e-3, ..settings() };
    let comparison = compare(&model, &copy, &settings, &|_, _| {}).unwrap();
    assert_eq!((comparison.verdict, comparison.basis), (Verdict::Related, Some(Basis::ModelBased)));
    let other = compare(&model, &llama(2, D, LAYERS), &settings, &|_, _| {}).unwrap();
    assert_eq!(other.verdict, Verdict::NotShown);
}

#[test]
fn a_sample_of_units_is_enough() {
    let model = llama(1, D, LAYERS);
    let settings = Settings { units: 40, ..settings() };
    let comparison = compare(&model, &noisy(&model, 0.3, 6), &settings, &|_, _| {}).unwrap();
    assert!(comparison.coverage.sampled && comparison.coverage.units == 40 * LAYERS as u64);
    assert!(log10_p(&comparison, "row-argmax") < -150.0);
    let comparison = compare(&model, &llama(2, D, LAYERS), &settings, &|_, _| {}).unwrap();
    assert_eq!(comparison.verdict, Verdict::NotShown);
}

#[test]
fn dropped_layers_are_seen_through() {
    let model = llama(1, D, LAYERS);
    let mut copy = Memory::new(model.config().cloned());
    for info in noisy(&model, 0.1, 7).tensors() {
        if info.name.contains("layers.1.") {
            continue;
        }
        let name = info.name.replace("layers.2.", "layers.1.").replace("layers.3.", "layers.2.");
        copy.put(&name, &info.shape, model.values(&info.name).unwrap().to_vec());
    }
    let comparison = compared(&model, &copy);
    assert_eq!(comparison.coverage.layers, [(0, 0), (2, 1), (3, 2)]);
    assert!(log10_p(&comparison, "row-argmax") < -300.0);
    assert_eq!(comparison.warnings.len(), 1, "{:?}", comparison.warnings);
}

#[test]
fn other_widths_and_other_kinds() {
    let (model, narrow) = (llama(1, D, LAYERS), llama(2, 32, LAYERS));
    let comparison = compared(&model, &narrow);
    assert_eq!(comparison.verdict, Verdict::NotShown);
    assert_eq!(comparison.coverage.width, (Some(D), Some(32)));

    // GPT-2's kind: no gates, other names, no shared vocabulary to speak of.
    let mut gpt2 = Memory::new(Some(json!({"n_head": 2})));
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let mut noise = |n: usize| (0..n).map(|_| normal(&mut random)).collect();
    gpt2.put("wte.weight", &[20, 32], noise(640));
    gpt2.put("h.0.mlp.c_fc.weight", &[32, 64], noise(2048));
    gpt2.put("h.0.mlp.c_proj.weight", &[64, 32], noise(2048));
    let comparison = compared(&model, &gpt2);
    assert_ne!(comparison.verdict, Verdict::Related);
    assert!(!comparison.warnings.is_empty());
    let same = compared(&gpt2, &gpt2);
    assert_eq!(same.verdict, Verdict::Related);
    assert_eq!(finding(&same, "matched-signs").verdict, Verdict::Inconclusive);
    assert!(log10_p(&same, "row-argmax") < -80.0);
}

#[test]
fn nonsense_is_an_error() {
    let model = llama(1, D, 1);
    let mut broken = model.clone();
    broken.values_mut("model.layers.0.mlp.gate_proj.weight").unwrap()[5] = f32::INFINITY;
    let error = compare(&model, &broken, &settings(), &|_, _| {}).unwrap_err();
    assert!(error.to_string().contains("suspect") && error.to_string().contains("gate_proj"));
    for wrong in [
        Settings { alpha: 0.0, ..settings() },
        Settings { units: 1, ..settings() },
        Settings { threads: 0, ..settings() },
    ] {
        assert!(matches!(
            compare(&model, &model, &wrong, &|_, _| {}),
            Err(WeightsError::Option { .. })
        ));
    }
}
