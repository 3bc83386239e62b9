//! A model that is asked.

use std::ops::ControlFlow;
use std::path::Path;

use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::lm::{Completion, Prompt};
use touchmark::sampling::Sampling;
use touchmark::tokenizer::{ChatTemplate, HfTokenizer, RenderOptions};
use touchmark::tokens::Tokenize;

pub struct Suspect {
    model: Decoder,
    tokenizer: HfTokenizer,
    chat: ChatTemplate,
}

impl Suspect {
    /// Weights with the tokenizer and the chat template of a folder.
    pub fn new(folder: &Path, config: &[u8], weights: &[u8]) -> Self {
        let tokenizer_config =
            std::fs::read_to_string(folder.join("tokenizer_config.json")).unwrap();
        Self {
            model: Decoder::from_bytes(config, weights).unwrap(),
            tokenizer: HfTokenizer::from_path(folder).unwrap(),
            chat: ChatTemplate::from_config(&tokenizer_config, None).unwrap(),
        }
    }

    pub fn answer(&mut self, request: &touchmark::lm::Request) -> Completion {
        Completion { text: self.say(&request.prompt), ..Completion::default() }
    }

    /// The likeliest answer, eight tokens of it.
    pub fn say(&mut self, prompt: &Prompt) -> String {
        let ids = match prompt {
            Prompt::Text(text) => self.tokenizer.encode(text).unwrap().ids,
            Prompt::Messages(messages) => {
                let messages: Vec<_> =
                    messages.iter().map(|one| serde_json::to_value(one).unwrap()).collect();
                let text = self.chat.render(&messages, &RenderOptions::default()).unwrap();
                self.tokenizer.encode_prompt(&text).unwrap()
            }
        };
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let request = Request { prompt: ids, max_tokens: 8, sampling, stream: 0, stop: vec![] };
        let ends = Ends { end: self.tokenizer.special_ids().to_vec(), never: vec![] };
        let answer = Answer::new(&request, None, &self.tokenizer, &ends).unwrap();
        let mut text = String::new();
        generate(&mut self.model, vec![answer], 1, &mut |_, _| Ok(()), &mut |_, output| {
            text = output.text;
            ControlFlow::Continue(())
        })
        .unwrap();
        text
    }
}
