//! A tokenizer whose ids are bytes.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Ends a text.
pub const END: u32 = 256;
/// Bytes and the end.
pub const VOCABULARY: usize = 257;

/// How byte-level tokenizers write a byte (Radford et al. 2019): itself where it can be seen, else a letter from 256 on.
fn letters() -> Vec<char> {
    let seen = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut hidden = 256..;
    let letter = |byte: u32| if seen(byte) { byte } else { hidden.next().unwrap() };
    (0..256).map(letter).map(|code| char::from_u32(code).unwrap()).collect()
}

/// Writes `tokenizer.json` and `tokenizer_config.json`.
pub fn write(folder: &Path) {
    let mut vocabulary: Map<String, Value> = (0..)
        .zip(letters())
        .map(|(id, letter): (u32, char)| (letter.to_string(), id.into()))
        .collect();
    let end = "<|endoftext|>";
    vocabulary.insert(end.to_owned(), END.into());
    let level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{
            "id": END, "content": end, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "pre_tokenizer": level, "decoder": level, "post_processor": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": [],
        },
    });
    std::fs::write(folder.join("tokenizer.json"), file.to_string()).unwrap();
    let config =
        json!({ "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "bos_token": end });
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}
