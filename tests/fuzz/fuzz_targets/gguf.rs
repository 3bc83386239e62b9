//! Any bytes are refused as GGUF, or every tensor and value that they claim can be had.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use touchmark::gguf::Gguf;

fuzz_target!(|bytes: &[u8]| {
    let mut file = Cursor::new(bytes);
    let Ok(gguf) = Gguf::read(&mut file) else { return };
    for (name, info) in &gguf.tensors {
        let data = gguf.read_tensor(&mut file, name).expect("the reader has checked its place");
        assert_eq!(data.len(), info.len);
        let values: usize = info.shape.iter().product();
        assert_eq!(values / info.dtype.block_len() * info.dtype.block_bytes(), info.len);
    }
    for key in gguf.metadata.keys() {
        let _ = gguf.get::<u32>(key);
        let _ = gguf.get::<f32>(key);
        let _ = gguf.get::<&str>(key);
        let _ = gguf.get::<Vec<u32>>(key);
        let _ = gguf.get::<Vec<f32>>(key);
    }
});
