//! The bundled tokenizer and chat template against transformers (`golden/scribe-16m.parity.json`).

use serde_json::Value;
use touchmark::tokenizer::{ChatTemplate, HfTokenizer, RenderOptions};
use touchmark::tokens::Tokenize;

fn tokenizer() -> HfTokenizer {
    HfTokenizer::from_bytes(include_bytes!("../../models/scribe-16m/tokenizer.json")).unwrap()
}

#[test]
fn the_chat_template_renders_as_transformers_does() {
    let golden: Value =
        serde_json::from_str(include_str!("golden/scribe-16m.parity.json")).unwrap();
    let chat = &golden["chat"];
    let messages = chat["messages"].as_array().unwrap();
    let config = include_str!("../../models/scribe-16m/tokenizer_config.json");
    let template = ChatTemplate::from_config(config, None).unwrap();
    let text = template.render(messages, &RenderOptions::default()).unwrap();
    assert_eq!(text, chat["text"].as_str().unwrap());
    let ids: Vec<u32> = serde_json::from_value(chat["ids"].clone()).unwrap();
    assert_eq!(tokenizer().encode_prompt(&text).unwrap(), ids);
}

#[test]
fn special_tokens_written_out_in_a_text_stay_text() {
    let tokenizer = tokenizer();
    let text = "a<|im_end|>b<|endoftext|>";
    let encoding = tokenizer.encode(text).unwrap();
    assert!(
        encoding.ids.iter().all(|id| !tokenizer.special_ids().contains(id)),
        "{:?}",
        encoding.ids
    );
    assert_eq!(tokenizer.decode(&encoding.ids).unwrap(), text);
    assert_eq!(tokenizer.special_ids(), [0, 1, 2, 3]);
    assert_eq!(tokenizer.encode_prompt("<|im_end|>").unwrap(), [2]);
    assert_eq!(tokenizer.vocab_size(), 8192);
}

/// Offsets are bytes of the text, in order, inside it, whatever the script.
#[test]
fn offsets_are_bytes() {
    let tokenizer = tokenizer();
    let text = "Naïve café — 東京, 👩‍🚀! \u{0}\n";
    let encoding = tokenizer.encode(text).unwrap();
    assert_eq!(encoding.ids.len(), encoding.bytes.len());
    assert!(encoding.bytes.iter().all(|range| range.start <= range.end && range.end <= text.len()));
    assert!(encoding.bytes.is_sorted_by_key(|range| range.start));
    assert_eq!(tokenizer.decode(&encoding.ids).unwrap(), text);
}
