use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// Weights in memory.
pub(in crate::fingerprint) struct Memory {
    infos: Vec<TensorInfo>,
    values: BTreeMap<String, Vec<f32>>,
    config: Value,
}

impl Memory {
    pub(in crate::fingerprint) fn new(
        config: Value,
        tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    ) -> Self {
        let mut values = BTreeMap::new();
        let mut infos = Vec::new();
        for (name, shape, numbers) in tensors {
            assert_eq!(shape.iter().product::<usize>(), numbers.len());
            infos.push(TensorInfo { name: name.clone(), shape, dtype: "F32".to_owned() });
            values.insert(name, numbers);
        }
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Self { infos, values, config }
    }

    /// A Llama of three layers with normal weights.
    pub(in crate::fingerprint) fn llama(seed: u64) -> Self {
        let config = json!({
            "model_type": "llama", "hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 3,
            "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 120,
            "layer_types": ["full", "window", "full"], "tie_word_embeddings": true,
        });
        let mut shapes = vec![
            ("model.embed_tokens.weight".to_owned(), vec![120, 96]),
            ("model.norm.weight".to_owned(), vec![96]),
        ];
        for layer in 0..3 {
            for (name, shape) in [
                ("input_layernorm", vec![96]),
                ("post_attention_layernorm", vec![96]),
                ("self_attn.q_proj", vec![96, 96]),
                ("self_attn.k_proj", vec![32, 96]),
                ("self_attn.v_proj", vec![32, 96]),
                ("self_attn.o_proj", vec![96, 96]),
                ("mlp.gate_proj", vec![160, 96]),
                ("mlp.up_proj", vec![160, 96]),
                ("mlp.down_proj", vec![96, 160]),
            ] {
                shapes.push((format!("model.layers.{layer}.{name}.weight"), shape));
            }
        }
        let tensors = shapes.into_iter().enumerate().map(|(number, (name, shape))| {
            let mut random = random::Seed { seed, step: 0 }.random("weights", number);
            let mean = if shape.len() == 1 { 1.0 } else { 0.0 };
            let normals = std::iter::repeat_with(|| random.normals()).flatten();
            let count = shape.iter().product();
            let numbers = normals.map(|e| (mean + 0.05 * e) as f32).take(count).collect();
            (name, shape, numbers)
        });
        Self::new(config, tensors)
    }
}

impl TensorSource for Memory {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn config(&self) -> Option<&Value> {
        Some(&self.config)
    }

    fn read(&self, name: &str, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), TensorError> {
        let info = self.info(name).ok_or_else(|| TensorError::Unknown(name.to_owned()))?;
        out.clear();
        out.extend_from_slice(
            &self.values[name][rows.start * info.columns()..rows.end * info.columns()],
        );
        Ok(())
    }

    fn raw(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), TensorError> {
        let values = self.values.get(name).ok_or_else(|| TensorError::Unknown(name.to_owned()))?;
        values.iter().for_each(|value| sink(&value.to_le_bytes()));
        Ok(())
    }
}

/// A copy of the Llama of seed 1; `other` is that of seed 2.
pub(in crate::fingerprint) fn copy(how: &[&str]) -> Box<dyn TensorSource> {
    let how: Vec<How> = how.iter().map(|how| how.parse().unwrap()).collect();
    derive(Box::new(Memory::llama(1)), &how, 7, &mut |name| {
        assert_eq!(name, "other");
        Ok(Box::new(Memory::llama(2)))
    })
    .unwrap()
}

pub(in crate::fingerprint) fn all(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    whole(source, name).unwrap()
}

const UP: &str = "model.layers.1.mlp.up_proj.weight";
const DOWN: &str = "model.layers.1.mlp.down_proj.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[test]
fn ways_are_written_as_they_are_read() {
    for way in [
        "int8",
        "int4=128",
        "int4=32",
        "prune=0.3",
        "prune=2:4",
        "noise=0.01",
        "merge=0.25:a/b:c",
        "slerp=0.5:x",
        "permute",
        "permute-heads",
        "rescale",
        "signs",
        "rotate",
        "drop=1,3",
        "extend=64",
        "bf16",
        "f16",
    ] {
        assert_eq!(way.parse::<How>().unwrap().to_string(), way);
    }
    assert_eq!("int4".parse::<How>().unwrap(), How::Int4 { group: 128 });
    for wrong in [
        "",
        "int9",
        "int8=3",
        "int4=0",
        "prune",
        "prune=0",
        "prune=1",
        "prune=nan",
        "prune=4:4",
        "noise=0",
        "noise=-1",
        "merge=0.5",
        "merge=1:x",
        "merge=0.5:",
        "drop=",
        "drop=x",
        "extend=0",
        "rotate=1",
    ] {
        let error = wrong.parse::<How>().unwrap_err();
        assert!(matches!(&error, DeriveError::Way { given, .. } if given == wrong), "{wrong}");
    }
}

#[test]
fn the_same_seed_gives_the_same_copy() {
    for how in ["noise=0.1", "permute", "permute-heads", "rescale", "signs", "rotate", "extend=3"] {
        let (a, b) = (copy(&[how]), copy(&[how]));
        let changed = a.tensors().iter().any(|info| {
            let values = all(&*a, &info.name);
            assert_eq!(values, all(&*b, &info.name), "{how} {}", info.name);
            // In parts, as a whole.
            let mut part = Vec::new();
            a.read(&info.name, 3..7, &mut part).unwrap();
            assert_eq!(part, values[3 * info.columns()..7 * info.columns()]);
            Memory::llama(1).values.get(&info.name) != Some(&values)
        });
        assert!(changed, "{how} changed nothing");
    }
    // Two steps of one kind are not the same twice.
    let (once, twice) = (copy(&["signs"]), copy(&["signs", "signs"]));
    let original = all(&Memory::llama(1), UP);
    assert!(all(&*twice, UP) != original && all(&*twice, UP) != all(&*once, UP));
}

#[test]
fn quantised_weights_lie_on_a_grid() {
    let original = Memory::llama(1);
    for (how, levels, group) in [("int8", 127.0, 96), ("int4=32", 7.0, 32), ("int4=64", 7.0, 64)] {
        let copy = copy(&[how]);
        let (before, after) = (all(&original, UP), all(&*copy, UP));
        for (before, after) in before.chunks(96).zip(after.chunks(96)) {
            for (before, after) in before.chunks(group).zip(after.chunks(group)) {
                let scale = before.iter().fold(0f32, |m, v| m.max(v.abs())) / levels;
                for (before, after) in before.iter().zip(after) {
                    let q = after / scale;
                    assert!(
                        (q - q.round()).abs() < 1e-4 && (before - after).abs() <= 0.5001 * scale
                    );
                }
            }
        }
        assert_eq!(all(&*copy, EMBEDDING), all(&original, EMBEDDING));
    }
}

#[test]
fn pruned_weights_are_the_smallest() {
    let original = Memory::llama(1);
    let (before, after) = (all(&original, UP), all(&*copy(&["prune=0.3"]), UP));
    assert_eq!(after.iter().filter(|&&v| v == 0.0).count(), (0.3 * before.len() as f64) as usize);
    let pairs = || before.iter().zip(&after);
    let largest_gone =
        pairs().filter(|(_, a)| **a == 0.0).map(|(b, _)| b.abs()).fold(0.0, f32::max);
    assert!(pairs().all(|(b, a)| a == b || (*a == 0.0 && b.abs() <= largest_gone)));
    assert!(pairs().all(|(b, a)| *a != 0.0 || b.abs() <= largest_gone));
    for (before, after) in before.chunks(4).zip(all(&*copy(&["prune=2:4"]), UP).chunks(4)) {
        let mut sizes: Vec<f32> = before.iter().map(|v| v.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        assert_eq!(after.iter().filter(|&&v| v == 0.0).count(), 2);
        assert!(after.iter().all(|v| *v == 0.0 || v.abs() >= sizes[2]));
    }
    // All equal: as many as asked for all the same.
    let mut equal = vec![1.0; 10];
    let memory = Memory::new(json!({}), [("a".to_owned(), vec![2, 5], equal.clone())]);
    let copy = Copy::new(Box::new(memory), Box::new(prune::Prune(Pattern::Share(0.5))));
    equal[..5].fill(0.0);
    assert_eq!(all(&copy, "a"), equal);
}

#[test]
fn noise_has_the_sd_asked_for() {
    let (before, after) = (all(&Memory::llama(1), UP), all(&*copy(&["noise=0.2"]), UP));
    let delta: Vec<f32> = before.iter().zip(&after).map(|(b, a)| a - b).collect();
    // Three standard errors of an sd from 15,360 values.
    assert!(
        (noise::sd(&delta) / noise::sd(&before) / 0.2 - 1.0).abs() < 3.0 / (2.0 * 15_360f64).sqrt()
    );
    assert!(
        dot(&delta, &before).abs()
            < 4.0 * (dot(&delta, &delta) * dot(&before, &before) / 15_360.0).sqrt()
    );
}

#[test]
fn merges_lie_between() {
    let (a, b) = (all(&Memory::llama(1), UP), all(&Memory::llama(2), UP));
    let merged = all(&*copy(&["merge=0.25:other"]), UP);
    assert!(
        merged.iter().zip(&a).zip(&b).all(|((m, a), b)| (m - (0.75 * a + 0.25 * b)).abs() < 1e-7)
    );
    // Nearly orthogonal tensors: the weights on the circle are the cosine and sine of an eighth of a turn.
    let circle = all(&*copy(&["slerp=0.5:other"]), UP);
    let (along_a, along_b) = (dot(&circle, &a) / dot(&a, &a), dot(&circle, &b) / dot(&b, &b));
    assert!((along_a - 0.5f64.sqrt()).abs() < 0.02 && (along_b - 0.5f64.sqrt()).abs() < 0.02);
    let small = || Memory::new(json!({}), [(UP.to_owned(), vec![2, 2], vec![0.0; 4])]);
    let how = ["merge=0.5:small".parse().unwrap()];
    let error = derive(Box::new(Memory::llama(1)), &how, 0, &mut |_| Ok(Box::new(small())));
    assert!(matches!(error.err(), Some(DeriveError::Merge { .. })));
    let wide = || Memory::new(json!({}), [(UP.to_owned(), vec![1, 4], vec![0.0; 4])]);
    let error = derive(Box::new(small()), &how, 0, &mut |_| Ok(Box::new(wide())));
    assert!(matches!(error.err(), Some(DeriveError::Shape { expected, .. }) if expected == [2, 2]));
    let error = derive(Box::new(small()), &how, 0, &mut |_| Err("not there".into()));
    assert!(matches!(error.err(), Some(DeriveError::Open { name, .. }) if name == "small"));
}

/// Products over hidden units, over rotated channels and over scaled ones are what they were.
#[test]
fn symmetries_keep_products() {
    let original = Memory::llama(1);
    let gain = "model.layers.1.post_attention_layernorm.weight";
    // down · diag(g-th unit) · up · diag(gain): what the layer would compute without its gate.
    let product = |source: &dyn TensorSource| -> Vec<f32> {
        let (up, down, gain) = (all(source, UP), all(source, DOWN), all(source, gain));
        let entry = |i: usize, j: usize| -> f32 {
            (0..160).map(|u| down[i * 160 + u] * up[u * 96 + j] * gain[j]).sum()
        };
        (0..96).flat_map(|i| (0..96).map(move |j| (i, j))).map(|(i, j)| entry(i, j)).collect()
    };
    let before = product(&original);
    let size = dot(&before, &before).sqrt();
    for how in ["permute", "rescale"] {
        let after = product(&*copy(&[how]));
        let off: Vec<f32> = before.iter().zip(&after).map(|(b, a)| a - b).collect();
        assert!(dot(&off, &off).sqrt() < 1e-5 * size, "{how}");
    }
    // A rotation keeps inner products of embeddings, and mixes every channel with every other.
    let (before, after) = (all(&original, EMBEDDING), all(&*copy(&["rotate"]), EMBEDDING));
    for (a, b) in [(0, 0), (0, 1), (5, 77)] {
        let inner = |e: &[f32]| dot(&e[a * 96..][..96], &e[b * 96..][..96]);
        assert!((inner(&before) - inner(&after)).abs() < 1e-6);
    }
    let unit = Memory::new(
        original.config.clone(),
        original.infos.iter().map(|info| {
            let mut values = original.values[&info.name].clone();
            if info.name == EMBEDDING {
                values
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, v)| *v = f32::from(u8::from(i % 97 == 0)));
            }
            (info.name.clone(), info.shape.clone(), values)
        }),
    );
    let q = derive(Box::new(unit), &[How::Rotate], 7, &mut |_| Err("none".into())).unwrap();
    let q = all(&*q, EMBEDDING);
    let largest = q[..96 * 96].iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(largest < 0.6, "an entry of {largest}");
}

#[test]
fn layers_are_dropped_and_tokens_added() {
    let (original, short) = (Memory::llama(1), copy(&["drop=1"]));
    assert_eq!(short.config().unwrap()["num_hidden_layers"], 2);
    assert_eq!(short.config().unwrap()["layer_types"], json!(["full", "full"]));
    assert_eq!(all(&*short, UP), all(&original, "model.layers.2.mlp.up_proj.weight"));
    assert!(short.info("model.layers.2.mlp.up_proj.weight").is_none());
    for wrong in ["drop=3", "drop=0,1,2"] {
        let how = [wrong.parse().unwrap()];
        let error = derive(Box::new(Memory::llama(1)), &how, 0, &mut |_| Err("none".into()));
        assert!(matches!(error.err(), Some(DeriveError::Layers { layers: 3, .. })));
    }
    let longer = copy(&["extend=10"]);
    assert_eq!(longer.config().unwrap()["vocab_size"], 130);
    assert_eq!(longer.info(EMBEDDING).unwrap().shape, [130, 96]);
    assert_eq!(all(&*longer, EMBEDDING)[..120 * 96], all(&original, EMBEDDING));
}

#[test]
fn halves_are_the_nearest() {
    for (half, value, wanted) in [
        (Half::Bf16, 1.003_906_2, 1.0),
        (Half::Bf16, 1.003_91, 1.007_812_5),
        (Half::Bf16, 1.011_718_8, 1.015_625),
        (Half::F16, 1.000_488_3, 1.0),
        (Half::F16, 65_519.0, 65_504.0),
        (Half::F16, 65_520.0, f32::INFINITY),
        (Half::F16, 3e-8, 2f32.powi(-25)),
        (Half::F16, 2.9e-8, 0.0),
    ] {
        let near = half.nearest(value);
        let wanted = if wanted == 2f32.powi(-25) { 2f32.powi(-24) } else { wanted };
        assert_eq!(near, wanted, "{half:?} {value}");
        assert_eq!(half.nearest(-value), -wanted);
    }
    assert!(Half::Bf16.nearest(f32::NAN).is_nan() && Half::F16.nearest(f32::NAN).is_nan());
}

#[test]
fn other_families_are_refused() {
    let mut gemma = Memory::llama(1);
    gemma.config["model_type"] = "gemma".into();
    let error = derive(Box::new(gemma), &[How::Permute], 0, &mut |_| Err("none".into()));
    assert!(matches!(error.err(), Some(DeriveError::Family { family, .. }) if family == "gemma"));
    let mut heads = Memory::llama(1);
    heads.config["num_key_value_heads"] = 4.into();
    let error = derive(Box::new(heads), &[How::Signs], 0, &mut |_| Err("none".into()));
    assert!(matches!(error.err(), Some(DeriveError::Config { field: "num_key_value_heads", .. })));
    let mut width = Memory::llama(1);
    width.config["hidden_size"] = 48.into();
    let error = derive(Box::new(width), &[How::Rotate], 0, &mut |_| Err("none".into()));
    assert!(matches!(error.err(), Some(DeriveError::Shape { .. })));
}
