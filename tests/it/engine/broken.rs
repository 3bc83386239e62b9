//! Damaged, lying and foreign files are refused by name, without a panic.

use std::path::Path;

use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use touchmark::engine::{Config, Decoder, EngineError};
use touchmark::lm::{LanguageModel, Want};

use super::append;
use super::tiny::{self, Tensors};

fn load(config: &Value, file: &[u8]) -> Result<Decoder, EngineError> {
    Decoder::from_bytes(&serde_json::to_vec(config).unwrap(), file)
}

fn refused(file: &[u8]) -> EngineError {
    match load(&tiny::config(), file) {
        Ok(_) => panic!("a damaged file was accepted"),
        Err(error) => error,
    }
}

fn changed(change: impl FnOnce(&mut Tensors)) -> EngineError {
    let mut tensors = tiny::tensors();
    change(&mut tensors);
    refused(&tiny::file(&tensors, Dtype::F32))
}

/// A file with this header and `data` zero bytes.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

#[test]
fn truncation_anywhere() {
    let file = tiny::file(&tiny::tensors(), Dtype::BF16);
    for len in (0..file.len()).step_by(97).chain([1, 7, 8, 9, file.len() - 1]) {
        let error = refused(&file[..len]);
        assert!(
            matches!(error, EngineError::FileLength { .. } | EngineError::HeaderLength { .. }),
            "{len} bytes: {error:?}"
        );
    }
    let longer = [&file[..], &[0]].concat();
    assert!(matches!(refused(&longer), EngineError::FileLength { .. }));
}

#[test]
fn headers_that_lie() {
    for len in [u64::MAX, u64::MAX - 7, 1 << 40, 100_000_001, 1] {
        let error = refused(&len.to_le_bytes());
        assert!(
            matches!(error, EngineError::HeaderLength { header_len, .. } if header_len == len),
            "{error:?}"
        );
    }
    let one = |shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for header in [
        "",
        "{",
        "[]",
        "\u{0}\u{1}",
        &one("[4]", "[0,8]"),
        &one("[4]", "[16,0]"),
        &one("[4]", "[4,20]"),
        &one("[-1]", "[0,16]"),
        &one("[18446744073709551615,2]", "[0,16]"),
        &one("[4611686018427387904]", "[0,18446744073709551615]"),
        r#"{"a":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#,
    ] {
        let error = refused(&with_header(header, 16));
        assert!(matches!(error, EngineError::Header { .. }), "{header}: {error:?}");
    }
    let huge = one("[268435456,1024]", "[0,1099511627776]");
    assert!(matches!(refused(&with_header(&huge, 16)), EngineError::FileLength { .. }));
    assert!(matches!(
        refused(&with_header(&one("[4]", "[0,16]"), 16)),
        EngineError::MissingTensor { .. }
    ));
    assert!(matches!(refused(&with_header("{}", 0)), EngineError::MissingTensor { .. }));
}

#[test]
fn flipped_bytes_never_panic() {
    let file = tiny::file(&tiny::tensors(), Dtype::F32);
    for position in (0..2_000).step_by(3) {
        for flip in [0x01, 0x20, 0x80] {
            let mut file = file.clone();
            file[position] ^= flip;
            let _ = load(&tiny::config(), &file);
        }
    }
}

#[test]
fn tensors_that_do_not_fit() {
    let up = "model.layers.1.mlp.up_proj.weight";
    let error = changed(|tensors| drop(tensors.remove(up)));
    assert!(matches!(error, EngineError::MissingTensor { tensor } if tensor == up));
    let error = changed(|tensors| tensors.get_mut(up).unwrap().0.reverse());
    assert!(matches!(error, EngineError::Shape { tensor, .. } if tensor == up));
    let bias = "model.layers.0.self_attn.q_proj.bias";
    let error = changed(|tensors| drop(tensors.insert(bias.into(), (vec![24], vec![0.0; 24]))));
    assert!(matches!(error, EngineError::UnexpectedTensor { tensor } if tensor == bias));
    let error = changed(|tensors| drop(tensors.remove("lm_head.weight")));
    assert!(matches!(error, EngineError::MissingTensor { tensor } if tensor == "lm_head.weight"));
    for (value, dtype) in
        [(f32::NAN, Dtype::F32), (f32::INFINITY, Dtype::BF16), (f32::NEG_INFINITY, Dtype::F16)]
    {
        let mut tensors = tiny::tensors();
        tensors.get_mut(up).unwrap().1[100] = value;
        let error = refused(&tiny::file(&tensors, dtype));
        assert!(
            matches!(&error, EngineError::NotFinite { tensor, index: 100 } if tensor == up),
            "{error:?}"
        );
    }
    let mut tensors = tiny::tensors();
    tensors.insert(up.into(), (vec![24, 16], vec![0.0; 24 * 16]));
    let wrong = String::from_utf8_lossy(&tiny::file(&tensors, Dtype::F32))
        .replace("\"F32\"", "\"I32\"")
        .into_bytes();
    assert!(matches!(refused(&wrong), EngineError::Dtype { .. } | EngineError::FileLength { .. }));
}

#[test]
fn configurations() {
    let file = tiny::file(&tiny::tensors(), Dtype::F32);
    let with = |field: &str, value: Value| {
        let mut config = tiny::config();
        config[field] = value;
        load(&config, &file).err().unwrap_or_else(|| panic!("{field} was accepted"))
    };
    for (field, value) in [
        ("model_type", json!("mamba")),
        ("hidden_act", json!("gelu")),
        ("pretraining_tp", json!(2)),
        ("quantization_config", json!({"bits": 4})),
        ("sliding_window", json!(128)),
    ] {
        let error = with(field, value);
        assert!(
            matches!(&error, EngineError::Unsupported { field: named, .. } if *named == field),
            "{error:?}"
        );
        assert!(error.to_string().contains(field));
    }
    for (field, value) in [
        ("model_type", Value::Null),
        ("vocab_size", json!(0)),
        ("hidden_size", json!(-16)),
        ("hidden_size", json!(1e300)),
        ("hidden_size", json!("16")),
        ("num_hidden_layers", Value::Null),
        ("num_attention_heads", json!(u64::MAX)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(7)),
        ("max_position_embeddings", json!(0)),
        ("rope_theta", json!(0)),
        ("rms_norm_eps", json!("small")),
        ("tie_word_embeddings", json!(1)),
        ("num_hidden_layers", json!(10_000_000)),
    ] {
        let error = with(field, value);
        assert!(
            matches!(&error, EngineError::ConfigField { field: named, .. } if *named == field),
            "{error:?}"
        );
    }
    for flag in ["attention_bias", "mlp_bias"] {
        assert!(matches!(with(flag, json!(true)), EngineError::MissingTensor { .. }));
    }
    for (scaling, field) in [
        (json!({"rope_type": "dynamic", "factor": 8.0}), "rope_type"),
        (json!({"type": "yarn", "factor": 8.0, "mscale": 0.7}), "mscale"),
    ] {
        let error = with("rope_scaling", scaling);
        assert!(
            matches!(&error, EngineError::Unsupported { field: named, .. } if *named == field),
            "{error:?}"
        );
    }
    for (scaling, field) in [
        (json!({"rope_type": "linear", "factor": -1}), "factor"),
        (json!({"rope_type": "llama3", "factor": 8.0}), "low_freq_factor"),
        (json!({"rope_type": "longrope", "factor": 8.0}), "original_max_position_embeddings"),
        (json!({"rope_theta": 1e4, "partial_rotary_factor": 0.1}), "partial_rotary_factor"),
        (json!("linear"), "rope_scaling"),
    ] {
        let error = with("rope_scaling", scaling);
        assert!(
            matches!(&error, EngineError::ConfigField { field: named, .. } if *named == field),
            "{error:?}"
        );
    }
    assert!(matches!(with("num_hidden_layers", json!(9_999)), EngineError::MissingTensor { .. }));
    assert!(matches!(with("num_hidden_layers", json!(1)), EngineError::UnexpectedTensor { .. }));
    assert!(matches!(with("hidden_size", json!(16_777_216)), EngineError::Shape { .. }));
    for text in ["", "{", "[]", "null", "\u{feff}{}"] {
        assert!(
            matches!(Config::parse(text.as_bytes()), Err(EngineError::ConfigSyntax(_))),
            "{text:?}"
        );
    }
}

#[test]
fn newer_configurations_and_ties() {
    let mut config = tiny::config();
    config.as_object_mut().unwrap().remove("rope_theta");
    config["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 500.0});
    let parsed = Config::parse(&serde_json::to_vec(&config).unwrap()).unwrap();
    assert_eq!(parsed, Config::parse(&tiny::config_bytes()).unwrap());
    assert_eq!(parsed.ropes[0].theta, 500.0);
    // Tied: the head in the file is not used.
    let mut tied = tiny::config();
    tied["tie_word_embeddings"] = json!(true);
    let mut tensors = tiny::tensors();
    let mut one = load(&tied, &tiny::file(&tensors, Dtype::F32)).unwrap();
    tensors.insert("lm_head.weight".into(), tensors["model.embed_tokens.weight"].clone());
    let mut other = load(&tiny::config(), &tiny::file(&tensors, Dtype::F32)).unwrap();
    let (a, b) = (one.open().unwrap(), other.open().unwrap());
    assert!(append(&mut one, a, &[3, 4], Want::All) == append(&mut other, b, &[3, 4], Want::All));
}

#[test]
fn directories() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).unwrap();
    let error = || Decoder::from_dir(dir).err().unwrap();
    assert!(matches!(error(), EngineError::Read { path, .. } if path.ends_with("config.json")));
    write("config.json", &tiny::config_bytes());
    assert!(matches!(error(), EngineError::NoWeights { .. }));
    write("pytorch_model.bin", b"\x80\x02");
    assert!(
        matches!(error(), EngineError::PickleOnly { path } if path.ends_with("pytorch_model.bin"))
    );
    write("model.safetensors", b"");
    assert!(matches!(error(), EngineError::FileLength { expected: 8, found: 0, .. }));
    let file = tiny::file(&tiny::tensors(), Dtype::BF16);
    write("model.safetensors", &file[..file.len() - 2]);
    assert!(matches!(error(), EngineError::FileLength { .. }));
    write("model.safetensors", &file);
    assert!(same_as_bytes(dir));
}

#[test]
fn shards() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).unwrap();
    let error = || Decoder::from_dir(dir).err().unwrap();
    let mut first = tiny::tensors();
    let second = first.split_off("model.layers.0.mlp");
    let index = |extra: &[(&str, &str)]| {
        let names = first.keys().map(|n| (n.clone(), "model-00001-of-00002.safetensors"));
        let names =
            names.chain(second.keys().map(|n| (n.clone(), "model-00002-of-00002.safetensors")));
        let mut map: serde_json::Map<String, Value> = names.map(|(n, f)| (n, json!(f))).collect();
        map.extend(extra.iter().map(|(n, f)| ((*n).to_owned(), json!(f))));
        serde_json::to_vec(&json!({"metadata": {}, "weight_map": map})).unwrap()
    };
    write("config.json", &tiny::config_bytes());
    write("model.safetensors.index.json", &index(&[]));
    write("model-00001-of-00002.safetensors", &tiny::file(&first, Dtype::BF16));
    assert!(
        matches!(error(), EngineError::Read { path, .. } if path.ends_with("model-00002-of-00002.safetensors"))
    );
    write("model-00002-of-00002.safetensors", &tiny::file(&second, Dtype::BF16));
    assert!(same_as_bytes(dir));
    write("model.safetensors.index.json", &index(&[("x", "model-00001-of-00002.safetensors")]));
    assert!(matches!(error(), EngineError::MissingTensor { tensor } if tensor == "x"));
    for name in
        ["../model.safetensors", "/etc/passwd", "", "sub/a.safetensors", "pytorch_model.bin"]
    {
        write("model.safetensors.index.json", &index(&[("x", name)]));
        assert!(matches!(error(), EngineError::ShardName { shard, .. } if shard == name));
    }
    write("model.safetensors.index.json", &index(&[]));
    write("model-00002-of-00002.safetensors", &tiny::file(&tiny::tensors(), Dtype::BF16));
    assert!(matches!(error(), EngineError::DuplicateTensor { .. }));
}

fn same_as_bytes(dir: &Path) -> bool {
    let mut from_dir = Decoder::from_dir(dir).unwrap();
    let mut from_bytes = tiny::model(Dtype::BF16);
    let (a, b) = (from_dir.open().unwrap(), from_bytes.open().unwrap());
    append(&mut from_dir, a, &[1, 2], Want::All) == append(&mut from_bytes, b, &[1, 2], Want::All)
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere_but_to_a_hubs_blobs() {
    use std::os::unix::fs::symlink;

    let root = tempfile::tempdir().unwrap();
    let weights = tiny::file(&tiny::tensors(), Dtype::BF16);
    // As a hub's cache has it: snapshots/<commit>/model.safetensors leads to blobs/<hash>.
    let (blobs, snapshot) = (root.path().join("m/blobs"), root.path().join("m/snapshots/c0ffee"));
    let outside = root.path().join("outside");
    for dir in [&blobs, &snapshot, &outside] {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("weights"), &weights).unwrap();
        std::fs::write(dir.join("config.json"), tiny::config_bytes()).unwrap();
    }
    let link = snapshot.join("model.safetensors");
    let lead = |to: &Path| {
        let _ = std::fs::remove_file(&link);
        symlink(to, &link).unwrap();
        Decoder::from_dir(&snapshot)
    };
    assert!(lead("../../blobs/weights".as_ref()).is_ok());
    assert!(lead("weights".as_ref()).is_ok());
    let error = lead("../../../outside/weights".as_ref()).err().unwrap();
    assert!(matches!(error, EngineError::LinkOutside { .. }), "{error:?}");
    let error = lead("../../config.json".as_ref()).err().unwrap();
    assert!(matches!(error, EngineError::NoWeights { .. } | EngineError::Read { .. }), "{error:?}");
    // A link to itself is no file.
    assert!(matches!(lead("model.safetensors".as_ref()), Err(EngineError::NoWeights { .. })));
    // A folder that only looks like a snapshot has no say over others' files.
    let plain = root.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("config.json"), tiny::config_bytes()).unwrap();
    symlink(blobs.join("weights"), plain.join("model.safetensors")).unwrap();
    assert!(matches!(Decoder::from_dir(&plain), Err(EngineError::LinkOutside { .. })));
}
