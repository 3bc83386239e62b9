//! Vocabularies in GGUF files against the libraries of their makers (`golden/gguf_tokenizers.json`).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use serde::Deserialize;
use touchmark::gguf::{Array, Gguf, Value};
use touchmark::tokenizer::{
    ChatTemplate, GgufTokenizer, HfTokenizer, Message, RenderOptions, TokenizerError,
};
use touchmark::tokens::Tokenize;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    files: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    vocab_size: usize,
    plain: Vec<Option<Vec<u32>>>,
    prompt: BTreeMap<usize, Vec<u32>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/gguf_tokenizers.json")).unwrap()
}

fn gguf(name: &str) -> Gguf {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/gguf");
    let path = golden.join(format!("tokenizer-{name}.gguf"));
    Gguf::read(&mut File::open(path).unwrap()).unwrap()
}

fn refused(name: &str, change: impl FnOnce(&mut BTreeMap<String, Value>)) -> TokenizerError {
    let mut gguf = gguf(name);
    change(&mut gguf.metadata);
    GgufTokenizer::new(&gguf).err().unwrap()
}

#[test]
fn ids_are_those_of_the_makers_libraries() {
    let golden = golden();
    assert_eq!(golden.files.len(), 12);
    for (name, expected) in &golden.files {
        let found = GgufTokenizer::new(&gguf(name)).unwrap().tokenizer;
        assert_eq!(found.vocab_size(), expected.vocab_size, "{name}");
        for (index, text) in golden.texts.iter().enumerate() {
            let plain = &expected.plain[index];
            let ids = found.encode(text).unwrap().ids;
            assert!(plain.is_none() || plain.as_ref() == Some(&ids), "{name}: {text:?}: {ids:?}");
            let prompt = expected.prompt.get(&index).or(plain.as_ref()).unwrap();
            assert_eq!(&found.encode_prompt(text).unwrap(), prompt, "{name}: {text:?}");
        }
    }
}

#[test]
fn what_was_encoded_is_decoded() {
    let golden = golden();
    for name in golden.files.keys() {
        let tokenizer = GgufTokenizer::new(&gguf(name)).unwrap().tokenizer;
        for text in &golden.texts {
            // A mark in the text reads as a space, and normal form C changes combining accents.
            let other = text.contains('▁') || text.contains('\u{301}') || text.contains('\u{308}');
            let decoded = tokenizer.decode(&tokenizer.encode(text).unwrap().ids).unwrap();
            assert!(other || decoded == *text, "{name}: {text:?} is {decoded:?}");
        }
    }
}

#[test]
fn the_file_is_the_tokenizer_and_the_same_each_time() {
    for name in ["qwen2", "llama-bpe", "spm"] {
        let (first, second) =
            (GgufTokenizer::new(&gguf(name)).unwrap(), GgufTokenizer::new(&gguf(name)).unwrap());
        assert_eq!(first.file, second.file);
        let read = HfTokenizer::from_bytes(&first.file).unwrap();
        assert_eq!(read.hash(), first.tokenizer.hash());
        assert_eq!(read.special_ids(), first.tokenizer.special_ids());
        assert!(!read.special_ids().is_empty());
    }
}

/// Profiles pin these hashes: a change of the form would orphan them.
#[test]
fn the_form_of_the_file_does_not_change() {
    for (name, hash) in [
        ("qwen2", "2d86efe918c2f3a3f08136b2672499deba2f673e7f25e78371eae1facb4682c5"),
        ("spm", "a799dc328e06a3cfca5e0a9424a05d83576f7ec44d5ccc5bf664e34dd3a97f54"),
    ] {
        assert_eq!(GgufTokenizer::new(&gguf(name)).unwrap().tokenizer.hash().to_string(), hash);
    }
}

#[test]
fn special_tokens_and_the_chat_template_are_found() {
    let found = GgufTokenizer::new(&gguf("qwen2")).unwrap();
    let (bos, eos) = (found.bos.unwrap(), found.eos.unwrap());
    assert_eq!((bos.text.as_str(), eos.text.as_str()), ("<|endoftext|>", "<|im_end|>"));
    assert_eq!(found.end_ids, [bos.id, eos.id]);
    assert!(!found.add_bos);
    let template = ChatTemplate::new(found.chat_template.unwrap(), &bos.text, &eos.text).unwrap();
    let text = template
        .render(
            &[Message { role: "user".into(), content: "hi".into() }.into()],
            &RenderOptions::default(),
        )
        .unwrap();
    assert_eq!(text, "<|endoftext|>hi<|im_end|>");

    let llama = GgufTokenizer::new(&gguf("llama-bpe")).unwrap();
    assert!(llama.add_bos);
    let spm = GgufTokenizer::new(&gguf("spm")).unwrap();
    assert!(spm.add_bos && spm.chat_template.is_none());
    assert_eq!((spm.bos.unwrap().text, spm.end_ids), ("<s>".to_owned(), vec![2]));
    let mut told = gguf("spm");
    told.metadata.insert("tokenizer.ggml.add_bos_token".into(), Value::Bool(false));
    assert!(!GgufTokenizer::new(&told).unwrap().add_bos);
}

#[test]
fn unknown_kinds_are_refused_by_name() {
    for kind in ["gemma4", "t5", "bert"] {
        let error = refused("spm", |metadata| {
            metadata.insert("tokenizer.ggml.model".into(), Value::String(kind.into()));
        });
        assert!(matches!(&error, TokenizerError::GgufModel { found } if found == kind), "{error}");
        assert!(error.to_string().contains("--tokenizer"), "{error}");
    }
    let error = refused("qwen2", |metadata| {
        metadata.insert("tokenizer.ggml.pre".into(), Value::String("kimi-k2".into()));
    });
    for word in ["kimi-k2", "--tokenizer", "llama-bpe", "tekken"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = refused("spm", |metadata| {
        metadata.insert("tokenizer.ggml.remove_extra_whitespaces".into(), Value::Bool(true));
    });
    assert!(matches!(error, TokenizerError::GgufNormaliser { .. }), "{error}");
}

fn strings<'a>(metadata: &'a mut BTreeMap<String, Value>, key: &str) -> &'a mut Vec<String> {
    match metadata.get_mut(key) {
        Some(Value::Array(Array::String(strings))) => strings,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn damaged_vocabularies_are_refused() {
    let tokens = "tokenizer.ggml.tokens";
    let error = refused("qwen2", |metadata| strings(metadata, tokens)[300] = "Ġ".into());
    assert!(matches!(error, TokenizerError::GgufToken { .. }), "{error}");
    let error = refused("spm", |metadata| strings(metadata, tokens)[2] = "<s>".into());
    assert!(matches!(error, TokenizerError::GgufToken { .. }), "{error}");
    let error = refused("qwen2", |metadata| strings(metadata, tokens).truncate(9));
    assert!(matches!(error, TokenizerError::GgufLength { expected: 9, .. }), "{error}");
    let error = refused("spm", |metadata| drop(metadata.remove(tokens)));
    assert!(matches!(error, TokenizerError::Gguf(_)), "{error}");
    for merge in ["", "ab", " ", "a b c", "a  b", "zz qq"] {
        let error = refused("qwen2", |metadata| {
            strings(metadata, "tokenizer.ggml.merges")[7] = merge.into();
        });
        let named = matches!(&error, TokenizerError::GgufMerge { merge: found } if found == merge);
        assert!(named, "{merge:?}: {error}");
    }
    let error = refused("spm", |metadata| {
        let Some(Value::Array(Array::F32(scores))) = metadata.get_mut("tokenizer.ggml.scores")
        else {
            panic!("no scores")
        };
        scores[400] = f32::NAN;
    });
    assert!(matches!(error, TokenizerError::GgufScore { id: 400 }), "{error}");
    for (key, id) in [("bos", 863), ("eos", u32::MAX)] {
        let error = refused("spm", |metadata| {
            metadata.insert(format!("tokenizer.ggml.{key}_token_id"), Value::U32(id));
        });
        assert!(
            matches!(error, TokenizerError::GgufId { id: found, .. } if found == id),
            "{error}"
        );
    }
    let error = refused("spm", |metadata| {
        let Some(Value::Array(Array::I32(kinds))) = metadata.get_mut("tokenizer.ggml.token_type")
        else {
            panic!("no types")
        };
        kinds[5] = 7;
    });
    assert!(matches!(error, TokenizerError::GgufTokenType { id: 5, kind: 7 }), "{error}");
}

#[test]
fn a_model_and_its_vocabulary_share_a_file() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/gguf/chat.gguf");
    let mut file = File::open(path).unwrap();
    let gguf = Gguf::read(&mut file).unwrap();
    let found = GgufTokenizer::new(&gguf).unwrap();
    let alone = GgufTokenizer::new(&self::gguf("qwen2")).unwrap();
    assert_eq!(found.tokenizer.hash(), alone.tokenizer.hash());
    let embedding = &gguf.tensors["token_embd.weight"];
    // Three rows more than tokens: matrices are filled up.
    assert_eq!(embedding.shape, [found.tokenizer.vocab_size() + 3, 48]);
    let data = gguf.read_tensor(&mut file, "token_embd.weight").unwrap();
    assert_eq!(data.len(), embedding.shape[0] * embedding.shape[1] * 2);
}
