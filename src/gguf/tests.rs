use std::io::Cursor;

use proptest::prelude::*;

use super::header::{MAX_DEPTH, MAX_HEADER_BYTES};
use super::*;

/// A file in parts, each of which a test may spoil.
#[derive(Clone)]
struct Parts {
    magic: [u8; 4],
    version: u32,
    keys: Vec<Vec<u8>>,
    key_count: Option<u64>,
    tensors: Vec<Vec<u8>>,
    tensor_count: Option<u64>,
    data: usize,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [text(name), kind.to_le_bytes().to_vec(), value.to_vec()].concat()
}

fn array(kind: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), &count.to_le_bytes()[..], elements].concat()
}

/// An entry; `sizes` innermost first, as in the file.
fn tensor(name: &str, sizes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes_bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let count = (sizes.len() as u32).to_le_bytes();
    [
        text(name),
        count.to_vec(),
        sizes_bytes,
        kind.to_le_bytes().into(),
        offset.to_le_bytes().into(),
    ]
    .concat()
}

fn good() -> Parts {
    let nested = array(9, 2, &[array(0, 2, &[5, 6]), array(8, 1, &text("deep"))].concat());
    let texts = array(8, 2, &[text("a"), text("é")].concat());
    let keys = vec![
        key("u8", 0, &[7]),
        key("i8", 1, &(-7i8).to_le_bytes()),
        key("u16", 2, &700u16.to_le_bytes()),
        key("i16", 3, &700i16.to_le_bytes()),
        key("u32", 4, &70_000u32.to_le_bytes()),
        key("i32", 5, &70_000i32.to_le_bytes()),
        key("f32", 6, &0.5f32.to_le_bytes()),
        key("bool", 7, &[1]),
        key("text", 8, &text("touchmark")),
        key("u64", 10, &(1u64 << 40).to_le_bytes()),
        key("i64", 11, &(1i64 << 40).to_le_bytes()),
        key("f64", 12, &0.25f64.to_le_bytes()),
        key("texts", 9, &texts),
        key("i32s", 9, &array(5, 2, &[1, 0, 0, 0, 2, 0, 0, 0])),
        key("f32s", 9, &array(6, 1, &1.5f32.to_le_bytes())),
        key("bools", 9, &array(7, 2, &[0, 1])),
        key("nested", 9, &nested),
        key("general.alignment", 4, &64u32.to_le_bytes()),
    ];
    let tensors = vec![
        tensor("matrix", &[32, 3], 2, 0),
        tensor("vector", &[5], 0, 64),
        tensor("cube", &[2, 3, 4], 1, 128),
    ];
    Parts {
        magic: *b"GGUF",
        version: 3,
        keys,
        key_count: None,
        tensors,
        tensor_count: None,
        data: 176,
    }
}

impl Parts {
    fn with(change: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut parts = good();
        change(&mut parts);
        parts.bytes()
    }

    fn bytes(&self) -> Vec<u8> {
        let tensor_count = self.tensor_count.unwrap_or(self.tensors.len() as u64);
        let key_count = self.key_count.unwrap_or(self.keys.len() as u64);
        let mut bytes = [
            &self.magic,
            &self.version.to_le_bytes()[..],
            &tensor_count.to_le_bytes(),
            &key_count.to_le_bytes(),
            &self.keys.concat(),
            &self.tensors.concat(),
        ]
        .concat();
        bytes.resize(bytes.len().next_multiple_of(64), 0);
        bytes.extend((0..self.data).map(|index| index as u8));
        bytes
    }
}

fn read(bytes: &[u8]) -> Result<Gguf, GgufError> {
    Gguf::read(&mut Cursor::new(bytes))
}

fn refused(change: impl FnOnce(&mut Parts)) -> GgufError {
    read(&Parts::with(change)).unwrap_err()
}

/// The error for one more key of this type and value.
fn refused_value(kind: u32, value: &[u8]) -> GgufError {
    refused(|parts| parts.keys.push(key("bad", kind, value)))
}

/// The error when the tensors are these.
fn refused_tensors(tensors: &[Vec<u8>]) -> GgufError {
    refused(|parts| parts.tensors = tensors.to_vec())
}

macro_rules! assert_error {
    ($error:expr, $pattern:pat $(if $guard:expr)?) => {
        let error: GgufError = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
    };
}

#[test]
fn a_file_is_read() {
    for version in [2, 3] {
        let bytes = Parts::with(|parts| parts.version = version);
        let gguf = read(&bytes).unwrap();
        assert_eq!(gguf.version, version);
        assert_eq!(gguf.metadata.len(), 18);
        assert_eq!(gguf.data_start, (bytes.len() - 176) as u64);
        let start = gguf.data_start;
        let expected = |dtype, shape: &[usize], offset, len| TensorInfo {
            dtype,
            shape: shape.to_vec(),
            start: start + offset,
            len,
        };
        assert_eq!(gguf.tensors["matrix"], expected(GgmlType::Q4_0, &[3, 32], 0, 54));
        assert_eq!(gguf.tensors["vector"], expected(GgmlType::F32, &[5], 64, 20));
        assert_eq!(gguf.tensors["cube"], expected(GgmlType::F16, &[4, 3, 2], 128, 48));
        let data = gguf.read_tensor(&mut Cursor::new(&bytes), "vector").unwrap();
        assert_eq!(data, (64..84).collect::<Vec<u8>>());
    }
}

#[test]
fn a_vocabulary_alone_is_a_file() {
    let bytes = Parts::with(|parts| {
        parts.tensors.clear();
        parts.data = 0;
    });
    assert!(read(&bytes).unwrap().tensors.is_empty());
    // Nothing follows the metadata, not even padding.
    let mut bare = [b"GGUF", &3u32.to_le_bytes()[..], &0u64.to_le_bytes()].concat();
    bare.extend(1u64.to_le_bytes());
    bare.extend(key("text", 8, &text("x")));
    assert_eq!(read(&bare).unwrap().require::<&str>("text").unwrap(), "x");
}

#[test]
fn values_come_in_the_type_asked_for() {
    let gguf = read(&good().bytes()).unwrap();
    for (key, value) in [("u8", 7), ("u16", 700), ("i16", 700), ("u32", 70_000), ("i32", 70_000)] {
        assert_eq!(gguf.require::<u64>(key).unwrap(), value);
        assert_eq!(u64::from(gguf.require::<u32>(key).unwrap()), value);
        assert_eq!(gguf.require::<usize>(key).unwrap() as u64, value);
    }
    assert_eq!(gguf.require::<u64>("u64").unwrap(), 1 << 40);
    assert_eq!(gguf.require::<u64>("i64").unwrap(), 1 << 40);
    assert_eq!(gguf.require::<f32>("f32").unwrap(), 0.5);
    assert_eq!(gguf.require::<f32>("f64").unwrap(), 0.25);
    assert!(gguf.require::<bool>("bool").unwrap());
    assert_eq!(gguf.require::<&str>("text").unwrap(), "touchmark");
    assert_eq!(gguf.require::<&[String]>("texts").unwrap(), ["a", "é"]);
    assert_eq!(gguf.require::<Vec<u32>>("i32s").unwrap(), [1, 2]);
    assert_eq!(gguf.require::<Vec<f32>>("f32s").unwrap(), [1.5]);
    assert_eq!(gguf.require::<Vec<bool>>("bools").unwrap(), [false, true]);
    assert_eq!(gguf.get::<u64>("no such key").unwrap(), None);
    let nested = Array::Array(vec![Array::U8(vec![5, 6]), Array::String(vec!["deep".into()])]);
    assert_eq!(gguf.metadata["nested"], Value::Array(nested));
}

#[test]
fn another_type_is_named() {
    let gguf = read(&good().bytes()).unwrap();
    let message = |result: Result<(), GgufError>| result.unwrap_err().to_string();
    for (error, words) in [
        (message(gguf.require::<u64>("i8").map(drop)), ["i8", "the number -7", "not negative"]),
        (message(gguf.require::<u32>("u64").map(drop)), ["u64", "1099511627776", "4294967295"]),
        (message(gguf.require::<f32>("text").map(drop)), ["text", "a text", "a real number"]),
        (message(gguf.require::<&str>("f32").map(drop)), ["f32", "0.5", "a text"]),
        (message(gguf.require::<bool>("u8").map(drop)), ["u8", "the number 7", "true or false"]),
        (
            message(gguf.require::<Vec<u32>>("texts").map(drop)),
            ["texts", "2 texts", "array of whole numbers"],
        ),
        (
            message(gguf.require::<Vec<f32>>("bools").map(drop)),
            ["bools", "2 truth values", "array of real numbers"],
        ),
        (
            message(gguf.require::<&[String]>("nested").map(drop)),
            ["nested", "2 arrays", "array of texts"],
        ),
        (
            message(gguf.require::<Vec<bool>>("bool").map(drop)),
            ["bool", "true", "array of true and false"],
        ),
    ] {
        for word in words {
            assert!(error.contains(word), "{error}");
        }
    }
    assert_error!(gguf.require::<bool>("absent").unwrap_err(), GgufError::MissingKey { key } if key == "absent");
}

#[test]
fn other_files_are_refused() {
    assert_error!(read(b"").unwrap_err(), GgufError::Truncated { at: 0, needed: 4, left: 0 });
    assert_error!(refused(|parts| parts.magic = *b"\x80\x02ct"), GgufError::Magic { .. });
    for found in [0, 1, 4, 99] {
        assert_error!(refused(|parts| parts.version = found), GgufError::Version { found: v } if *v == found);
    }
    let big = 3u32.swap_bytes();
    assert_error!(refused(|parts| parts.version = big), GgufError::BigEndian);
}

#[test]
fn no_length_or_count_is_believed() {
    let huge = 1u64 << 60;
    for (kind, value) in [
        (8, huge.to_le_bytes().to_vec()),
        (8, u64::MAX.to_le_bytes().to_vec()),
        (9, array(0, huge, &[])),
        (9, array(8, huge, &[])),
        (9, array(10, u64::MAX, &[])),
        (9, array(9, u64::MAX / 2, &[])),
        (9, array(9, 1, &array(5, huge, &[]))),
    ] {
        assert_error!(refused_value(kind, &value), GgufError::Truncated { needed, .. } if *needed >= 1 << 59);
    }
    let name_of_any_length = huge.to_le_bytes().to_vec();
    assert_error!(refused_tensors(&[name_of_any_length]), GgufError::Truncated { .. });
    assert_error!(refused(|p| p.tensor_count = Some(1 << 63)), GgufError::Truncated { at: 16, .. });
    assert_error!(refused(|p| p.key_count = Some(1 << 63)), GgufError::Truncated { at: 24, .. });
    // One more than there are: the fields that follow are read as what they are not.
    assert!(read(&Parts::with(|p| p.key_count = Some(19))).is_err());
    assert!(read(&Parts::with(|p| p.tensor_count = Some(4))).is_err());
}

/// A reader over a file that is mostly a hole.
struct Hole {
    head: Vec<u8>,
    len: u64,
    at: u64,
}

impl std::io::Read for Hole {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.len - self.at;
        let count = buffer.len().min(left as usize);
        for (index, byte) in buffer[..count].iter_mut().enumerate() {
            *byte = self.head.get(self.at as usize + index).copied().unwrap_or(0);
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl std::io::Seek for Hole {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.at = match to {
            std::io::SeekFrom::Start(at) => at,
            std::io::SeekFrom::End(back) => self.len.saturating_add_signed(back),
            std::io::SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

#[test]
fn a_header_has_a_limit_whatever_the_file_has() {
    let mut head = [b"GGUF", &3u32.to_le_bytes()[..], &0u64.to_le_bytes()].concat();
    head.extend(1u64.to_le_bytes());
    head.extend(key("zeros", 9, &array(0, 1 << 38, &[])));
    let error = Gguf::read(&mut Hole { head, len: 1 << 39, at: 0 }).unwrap_err();
    assert_error!(error, GgufError::HeaderLength { limit: MAX_HEADER_BYTES });
}

#[test]
fn metadata_must_make_sense() {
    assert_error!(refused_value(13, &[]), GgufError::ValueType { key, number: 13 } if key == "bad");
    assert_error!(refused_value(9, &array(99, 0, &[])), GgufError::ValueType { number: 99, .. });
    let bad_text = [&2u64.to_le_bytes(), &b"\xff\xfe"[..]].concat();
    assert_error!(refused_value(8, &bad_text), GgufError::Text { .. });
    assert_error!(refused(|p| p.keys.push(bad_text.clone())), GgufError::Text { .. });
    assert_error!(refused_tensors(&[bad_text]), GgufError::Text { .. });
    assert_error!(refused(|p| p.keys.push(key("u8", 0, &[1]))), GgufError::DuplicateKey { key } if key == "u8");
    let deep = |depth| (1..depth).fold(array(0, 0, &[]), |inner, _| array(9, 1, &inner));
    assert!(read(&Parts::with(|p| p.keys.push(key("deep", 9, &deep(MAX_DEPTH))))).is_ok());
    for depth in [MAX_DEPTH + 1, 10_000] {
        assert_error!(refused_value(9, &deep(depth)), GgufError::Depth { key, .. } if key == "bad");
    }
}

#[test]
fn the_alignment_is_a_power_of_two() {
    let aligned = |value: &[u8], kind| {
        let mut parts = good();
        *parts.keys.last_mut().unwrap() = key("general.alignment", kind, value);
        read(&parts.bytes())
    };
    assert!(aligned(&8u32.to_le_bytes(), 4).is_ok());
    for found in [0u32, 3, 48, u32::MAX] {
        let error = aligned(&found.to_le_bytes(), 4).unwrap_err();
        assert_error!(error, GgufError::Alignment { found: f } if *f == found);
    }
    assert_error!(aligned(&text("x"), 8).unwrap_err(), GgufError::WrongType { .. });
    // So large that the data would begin behind the end of the file.
    let error = aligned(&(1u32 << 31).to_le_bytes(), 4).unwrap_err();
    assert_error!(error, GgufError::Outside { data_len: 0, .. });
}

#[test]
fn shapes_must_be_possible() {
    let huge = 1u64 << 40;
    assert_error!(
        refused_tensors(&[tensor("t", &[], 0, 0)]),
        GgufError::Dimensions { found: 0, .. }
    );
    assert_error!(
        refused_tensors(&[tensor("t", &[1; 5], 0, 0)]),
        GgufError::Dimensions { found: 5, .. }
    );
    let many = [text("t"), u32::MAX.to_le_bytes().to_vec()].concat();
    assert_error!(refused_tensors(&[many]), GgufError::Dimensions { found: u32::MAX, .. });
    for sizes in [&[0][..], &[4, 0], &[huge, huge], &[u64::MAX], &[huge, 1 << 20, 1, 1]] {
        assert_error!(refused_tensors(&[tensor("t", sizes, 0, 0)]), GgufError::Shape { tensor, .. } if tensor == "t");
    }
    assert_error!(
        refused_tensors(&[tensor("t", &[33, 2], 8, 0)]),
        GgufError::Blocks { row: 33, block: 32, .. }
    );
    // A whole number of blocks in all, but not in a row.
    assert_error!(
        refused_tensors(&[tensor("t", &[128, 2], 12, 0)]),
        GgufError::Blocks { row: 128, .. }
    );
}

#[test]
fn unknown_number_formats_are_named() {
    for number in [4, 9, 16, 31, 39, 1000] {
        let error = refused_tensors(&[tensor("blk.0.ffn_up.weight", &[256], number, 0)]);
        let message = error.to_string();
        assert_error!(error, GgufError::TensorType { number: n, .. } if *n == number);
        assert!(message.contains("blk.0.ffn_up.weight") && message.contains(&number.to_string()));
    }
}

#[test]
fn tensors_lie_in_the_data_and_apart() {
    let at = |offset| refused_tensors(&[tensor("t", &[5], 0, offset)]);
    assert_error!(at(4), GgufError::Misaligned { offset: 4, alignment: 64, .. });
    assert_error!(at(192), GgufError::Outside { data_len: 176, .. });
    assert_error!(at(u64::MAX - 63), GgufError::Outside { .. });
    assert_error!(
        refused_tensors(&[tensor("t", &[45], 0, 0)]),
        GgufError::Outside { len: 180, data_len: 176, .. }
    );
    assert!(read(&Parts::with(|p| p.tensors = vec![tensor("t", &[44], 0, 0)])).is_ok());
    let overlapping = [tensor("b", &[5], 0, 64), tensor("a", &[17], 0, 0)];
    assert_error!(refused_tensors(&overlapping), GgufError::Overlap { first, second } if first == "a" && second == "b");
    let twice = [tensor("a", &[5], 0, 64), tensor("a", &[5], 0, 0)];
    assert_error!(refused_tensors(&twice), GgufError::DuplicateTensor { tensor } if tensor == "a");
}

#[test]
fn every_cut_is_an_error() {
    let bytes = good().bytes();
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let bytes = good().bytes();
    let gguf = read(&bytes).unwrap();
    let cut = &bytes[..bytes.len() - 100];
    assert_error!(gguf.read_tensor(&mut Cursor::new(cut), "cube").unwrap_err(), GgufError::Read(_));
    assert_error!(
        gguf.read_tensor(&mut Cursor::new(&bytes), "other").unwrap_err(),
        GgufError::MissingTensor { tensor } if tensor == "other"
    );
}

proptest! {
    /// Whatever bytes change, the file is refused, or every tensor that it claims can be read.
    #[test]
    fn changed_bytes_are_refused_or_consistent(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = good().bytes();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(gguf) = read(&bytes) {
            for (name, info) in &gguf.tensors {
                let data = gguf.read_tensor(&mut Cursor::new(&bytes), name).unwrap();
                prop_assert_eq!(data.len(), info.len);
            }
        }
    }
}
