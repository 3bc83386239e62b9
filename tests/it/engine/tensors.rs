//! Weights read in pieces from files of all forms; hostile files.

use std::path::{Path, PathBuf};

use half::f16;
use safetensors::tensor::{Dtype, TensorView, serialize};
use touchmark::engine::{EngineError, tensors};
use touchmark::lm::{TensorError, TensorInfo, TensorSource};

use super::tiny;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name)
}

/// All of a tensor.
fn whole(source: &dyn TensorSource, name: &str) -> Vec<f32> {
    let mut values = Vec::new();
    source.read(name, 0..source.info(name).unwrap().rows(), &mut values).unwrap();
    values
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every tensor cut at odd places gives what the whole gives.
fn check_ranges(source: &dyn TensorSource) {
    assert!(source.tensors().is_sorted_by(|a, b| a.name < b.name));
    for info in source.tensors() {
        let all = whole(source, &info.name);
        assert_eq!(all.len(), info.len(), "{}", info.name);
        let (rows, columns) = (info.rows(), info.columns());
        let mut piece = vec![7.0; 3];
        for (first, end) in [(0, 1), (rows / 3, rows / 2 + 1), (rows - 1, rows), (1, 1)] {
            source.read(&info.name, first..end, &mut piece).unwrap();
            let wanted = bits(&all[first * columns..end * columns]);
            assert_eq!(bits(&piece), wanted, "{} {first}..{end}", info.name);
        }
        let error = source.read(&info.name, 0..rows + 1, &mut piece).unwrap_err();
        assert!(matches!(error, TensorError::BeyondEnd { wanted, .. } if wanted == rows + 1));
    }
    let error = source.read("nothing", 0..1, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, TensorError::Unknown(name) if name == "nothing"));
}

#[test]
fn safetensors_in_one_file_and_in_shards() {
    let folder = tempfile::tempdir().unwrap();
    let (one, shards) = (folder.path().join("one"), folder.path().join("shards"));
    for dir in [&one, &shards] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("config.json"), tiny::config_bytes()).unwrap();
    }
    let all = tiny::tensors();
    std::fs::write(one.join("model.safetensors"), tiny::file(&all, Dtype::BF16)).unwrap();
    let (mut first, mut second) = (all.clone(), all.clone());
    first.retain(|name, _| name.contains("mlp"));
    second.retain(|name, _| !name.contains("mlp"));
    for (name, tensors) in [("a.safetensors", &first), ("b.safetensors", &second)] {
        std::fs::write(shards.join(name), tiny::file(tensors, Dtype::F32)).unwrap();
    }
    // Without an index, then with one.
    for index in [false, true] {
        if index {
            let shard = |name: &str| {
                if name.contains("mlp") { "a.safetensors" } else { "b.safetensors" }
            };
            let map: serde_json::Map<_, _> =
                all.keys().map(|name| (name.clone(), shard(name).into())).collect();
            let text = serde_json::json!({ "weight_map": map }).to_string();
            std::fs::write(shards.join("model.safetensors.index.json"), text).unwrap();
        }
        let (one, shards) = (tensors::open(&one).unwrap(), tensors::open(&shards).unwrap());
        check_ranges(&*one);
        check_ranges(&*shards);
        assert_eq!(one.tensors().len(), all.len());
        assert_eq!(one.config().unwrap()["hidden_size"], tiny::HIDDEN);
        for (name, (shape, values)) in &all {
            assert_eq!(&one.info(name).unwrap().shape, shape);
            assert_eq!(
                (one.info(name).unwrap().dtype.as_str(), "F32"),
                ("BF16", &*shards.info(name).unwrap().dtype)
            );
            assert_eq!(&whole(&*one, name), values);
            assert_eq!(&whole(&*shards, name), values);
        }
    }
    let file = tensors::open(&one.join("model.safetensors")).unwrap();
    assert!(file.config().is_some());
    let part = tensors::open(&shards.join("a.safetensors")).unwrap();
    assert_eq!(part.tensors().len(), first.len());
}

#[test]
fn gguf_of_every_format() {
    for format in [
        "f32", "bf16", "q2_k", "q3_k", "q4_0", "q4_1", "q4_k", "q5_0", "q5_1", "q5_k", "q6_k",
        "q8_0",
    ] {
        let source = tensors::open(&golden(&format!("gguf/llama-{format}.gguf"))).unwrap();
        check_ranges(&*source);
        let config = source.config().unwrap();
        let embedding = source.info("token_embd.weight").unwrap();
        assert_eq!(config["hidden_size"], embedding.columns());
        assert_eq!(config["vocab_size"], embedding.rows());
        let gate = source.info("blk.0.ffn_gate.weight").unwrap();
        assert_eq!(
            gate.shape,
            [config["intermediate_size"].as_u64().unwrap() as usize, embedding.columns()]
        );
    }
}

/// A block of Q8_0 is an f16 scale and 32 bytes.
#[test]
fn raw_bytes_are_those_of_the_file() {
    let source = tensors::open(&golden("gguf/llama-q8_0.gguf")).unwrap();
    let name = "blk.0.ffn_gate.weight";
    assert_eq!(source.info(name).unwrap().dtype, "Q8_0");
    let mut bytes = Vec::new();
    source.raw(name, &mut |piece| bytes.extend_from_slice(piece)).unwrap();
    let plain = bytes.chunks_exact(34).flat_map(|block| {
        let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
        block[2..].iter().map(move |&q| scale * f32::from(q as i8))
    });
    assert_eq!(plain.collect::<Vec<_>>(), whole(&*source, name));
}

/// A file of one tensor.
fn one(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    serialize([("a", view)], None).unwrap()
}

#[test]
fn number_formats() {
    let read = |dtype, shape: &[usize], bytes: &[u8]| {
        let file = one(dtype, shape, bytes);
        let source = tensors::from_bytes(b"{}", &file).unwrap();
        let mut values = Vec::new();
        source.read("a", 0..source.tensors()[0].rows(), &mut values).map(|()| values)
    };
    assert_eq!(read(Dtype::I8, &[2], &[255, 3]).unwrap(), [-1.0, 3.0]);
    assert_eq!(read(Dtype::U8, &[2, 1], &[255, 3]).unwrap(), [255.0, 3.0]);
    assert_eq!(read(Dtype::F8_E4M3, &[1], &[0x38]).unwrap(), [1.0]);
    assert_eq!(read(Dtype::F8_E5M2, &[1], &[0xc5]).unwrap(), [-5.0]);
    assert_eq!(read(Dtype::I32, &[1], &(-7i32).to_le_bytes()).unwrap(), [-7.0]);
    assert_eq!(read(Dtype::I64, &[1], &(1i64 << 40).to_le_bytes()).unwrap(), [(1u64 << 40) as f32]);
    assert_eq!(read(Dtype::F64, &[1], &0.1f64.to_le_bytes()).unwrap(), [0.1f32]);
    // A scalar is one row; an empty tensor has none, however long its other axes.
    assert_eq!(read(Dtype::F32, &[], &0.5f32.to_le_bytes()).unwrap(), [0.5]);
    assert!(read(Dtype::F32, &[usize::MAX, 0], &[]).unwrap().is_empty());
    // NaN is handed on.
    assert!(read(Dtype::BF16, &[1], &[0xc0, 0x7f]).unwrap()[0].is_nan());
    let error = read(Dtype::C64, &[1], &[0; 8]).unwrap_err();
    assert!(matches!(error, TensorError::Dtype { dtype, .. } if dtype == "C64"));
}

/// A file with this header and `data` zero bytes.
fn with_header(header: &[u8], data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.resize(file.len() + data, 0);
    file
}

#[test]
fn lying_headers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match tensors::open(&path) {
            Ok(_) => panic!("accepted: {}", String::from_utf8_lossy(bytes)),
            Err(error) => error,
        }
    };
    let entry = |name: &str, shape: &str, offsets: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    for header in [
        format!("{{{}}}", entry("a", "[4]", "[0,8]")),
        format!("{{{},{}}}", entry("a", "[4]", "[0,16]"), entry("b", "[4]", "[8,24]")),
        format!("{{{}}}", entry("a", "[4]", "[16,0]")),
        format!("{{{}}}", entry("a", "[4611686018427387904,8]", "[0,16]")),
        format!("{{{}}}", entry("a", "[-4]", "[0,16]")),
        "{\"a\":".to_owned(),
    ] {
        let error = refused(&with_header(header.as_bytes(), 24));
        assert!(matches!(error, EngineError::Header { .. }), "{header}: {error:?}");
    }
    let invalid = with_header(b"{\"\xff\xfe\":{}}", 8);
    assert!(matches!(refused(&invalid), EngineError::Header { .. }));
    let twice = format!("{{{},{}}}", entry("a", "[4]", "[0,16]"), entry("a", "[2,2]", "[0,16]"));
    let error = refused(&with_header(twice.as_bytes(), 16));
    assert!(matches!(error, EngineError::DuplicateTensor { tensor } if tensor == "a"));
    for len in [u64::MAX, 1 << 60, 100_000_001] {
        let error = refused(&[&len.to_le_bytes()[..], b"{}"].concat());
        assert!(
            matches!(error, EngineError::HeaderLength { header_len, file_len: 10, .. } if header_len == len)
        );
    }
    let short = &one(Dtype::F32, &[4], &[0; 16]);
    assert!(matches!(refused(&short[..short.len() - 1]), EngineError::FileLength { .. }));
    assert!(matches!(refused(b""), EngineError::FileLength { .. }));
    assert!(matches!(refused(b"GGUF\x03"), EngineError::Gguf { .. }));
}

#[test]
fn folders_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refused = || tensors::open(folder.path()).err().expect("accepted");
    assert!(matches!(refused(), EngineError::NoWeights { .. }));
    assert!(matches!(tensors::open(&at("no")), Err(EngineError::Read { .. })));
    std::fs::write(at("a.gguf"), b"").unwrap();
    std::fs::write(at("b.gguf"), b"").unwrap();
    assert!(matches!(refused(), EngineError::SeveralModels { count: 2, .. }));
    std::fs::write(at("a.safetensors"), one(Dtype::F32, &[1], &[0; 4])).unwrap();
    std::fs::write(at("b.safetensors"), one(Dtype::F32, &[1], &[0; 4])).unwrap();
    assert!(matches!(refused(), EngineError::DuplicateTensor { tensor } if tensor == "a"));
    let index = |text: &str| std::fs::write(at("model.safetensors.index.json"), text).unwrap();
    index(r#"{"weight_map":{"b":"a.safetensors"}}"#);
    assert!(matches!(refused(), EngineError::MissingTensor { tensor } if tensor == "b"));
    for shard in ["../a.safetensors", "/a.safetensors", "a.bin"] {
        index(&format!(r#"{{"weight_map":{{"a":"{shard}"}}}}"#));
        assert!(matches!(refused(), EngineError::ShardName { .. }));
    }
    index(r#"{"weight_map":{"a":"a.safetensors"}}"#);
    std::fs::write(at("config.json"), b"\xff{}").unwrap();
    assert!(matches!(refused(), EngineError::ConfigSyntax(_)));
    std::fs::File::create(at("config.json")).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(refused(), EngineError::FileSize { limit, .. } if limit == 16 << 20));
}

/// A file that was cut after it was opened.
#[test]
fn files_that_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, one(Dtype::F32, &[4], &[0; 16])).unwrap();
    let source = tensors::open(&path).unwrap();
    let len = path.metadata().unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 8).unwrap();
    let error = source.read("a", 0..4, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, TensorError::Read { name, .. } if name == "a"));
    assert!(source.raw("a", &mut |_| ()).is_err());
}

#[test]
fn what_is_written_is_read() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let source = tensors::open(&model).unwrap();
    let original = std::fs::read(model.join("model.safetensors")).unwrap();
    for (stored, name) in [(tensors::Stored::Bf16, "BF16"), (tensors::Stored::F32, "F32")] {
        let mut count = 0;
        let file =
            tensors::write_safetensors(&*source, Vec::new(), stored, &[("by", "test")], &mut |n| {
                count += n
            })
            .unwrap();
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
        assert_eq!((header + 8) % 8, 0);
        assert_eq!(metadata.metadata().as_ref().unwrap()["by"], "test");
        let copy = tensors::from_bytes(b"{}", &file).unwrap();
        assert_eq!(copy.tensors().len(), source.tensors().len());
        assert_eq!(count, source.tensors().iter().map(TensorInfo::len).sum::<usize>());
        for info in source.tensors() {
            let same = TensorInfo { dtype: name.to_owned(), ..info.clone() };
            assert_eq!(copy.info(&info.name), Some(&same));
            assert_eq!(whole(&*copy, &info.name), whole(&*source, &info.name));
        }
        if stored == tensors::Stored::Bf16 {
            let sorted = |file: &[u8]| {
                let all = safetensors::SafeTensors::deserialize(file).unwrap();
                let mut all: Vec<_> =
                    all.iter().map(|(n, view)| (n.to_owned(), view.data().to_vec())).collect();
                all.sort();
                all
            };
            assert_eq!(sorted(&file), sorted(&original));
        }
    }
}

#[test]
fn writers_that_are_told_wrong() {
    let info = |shape: &[usize]| TensorInfo {
        name: "a".into(),
        shape: shape.to_vec(),
        dtype: "F32".into(),
    };
    let new = |shape: &[usize]| {
        tensors::SafetensorsWriter::new(Vec::new(), &[info(shape)], tensors::Stored::F32, &[])
    };
    assert!(
        matches!(new(&[usize::MAX, 3]), Err(tensors::WriteError::Overflow(name)) if name == "a")
    );
    let mut writer = new(&[2, 2]).unwrap();
    writer.write(&[1.0; 3]).unwrap();
    let error = writer.write(&[1.0; 3]).unwrap_err();
    assert!(matches!(error, tensors::WriteError::TooMany(2)));
    let error = new(&[2, 2]).unwrap().finish().unwrap_err();
    assert!(matches!(error, tensors::WriteError::TooFew { left: 4, .. }));
}
