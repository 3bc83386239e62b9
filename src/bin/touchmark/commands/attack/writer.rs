//! A model that says passages in other words.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use touchmark::attack::{Attacked, Budget, chrf, paraphrase};
use touchmark::lm::{ChatMessage, Completer, Prompt, Request};

use crate::args::{self, Global};
use crate::models;

/// Asked by one thread at a time.
pub struct Writer {
    model: Mutex<Box<dyn Completer>>,
    instruction: String,
}

impl Writer {
    pub fn open(global: &Global, args: &args::Attack) -> anyhow::Result<Self> {
        let with = args.with.as_deref().context("name what writes paraphrases with --with")?;
        let model = models::open(global, with, &args.asking, args.seed)?;
        Ok(Self { model: Mutex::new(model), instruction: args.instruction.clone() })
    }

    /// Of a text as many passages as the budget allows, each asked for once.
    pub fn paraphrase(&self, text: &str, budget: Budget, seed: u64) -> anyhow::Result<Attacked> {
        let known: RefCell<HashMap<String, String>> = RefCell::default();
        let write = |passage: &str| -> anyhow::Result<String> {
            if let Some(words) = known.borrow().get(passage) {
                return Ok(words.clone());
            }
            let words = self.write(passage, seed)?;
            known.borrow_mut().insert(passage.to_owned(), words.clone());
            Ok(words)
        };
        budget.spend(text, chrf, |strength| paraphrase(text, strength, seed, write))
    }

    fn write(&self, passage: &str, seed: u64) -> anyhow::Result<String> {
        let message = |role: &str, content: &str| ChatMessage {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let request = Request {
            prompt: Prompt::Messages(vec![
                message("system", &self.instruction),
                message("user", passage),
            ]),
            // A token is a letter or more, and a paraphrase seldom much longer than the passage.
            max_tokens: u32::try_from(passage.chars().count())?.saturating_add(64),
            temperature: 1.0,
            top_p: 1.0,
            seed: Some(seed),
            top_logprobs: None,
        };
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = model.complete(&request).context("no paraphrase was written")?;
        let words = answer.text.trim();
        ensure!(!words.is_empty(), "the model answered nothing to a passage");
        Ok(words.to_owned())
    }
}
