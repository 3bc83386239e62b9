//! The model side of the server: what a prompt becomes, and who writes the answer.

use std::sync::Arc;

use super::ApiError;
use super::openai::{Given, Turn};
use super::scheduler::Scheduler;
use crate::generate::Ends;
use crate::tokens::{TokenId, Tokenize};

/// Renders conversations as a model reads them.
pub trait Chat: Send + Sync {
    /// The prompt of a conversation.
    ///
    /// # Errors
    /// Why it cannot be rendered, in words for the client.
    fn render(&self, turns: &[Turn]) -> Result<String, String>;
}

/// A model that is served.
pub struct Writer {
    /// Its name.
    pub name: String,
    /// Hash of its weights, in hexadecimal digits.
    pub hash: String,
    /// When it was loaded, seconds since 1970.
    pub created: i64,
    /// What computes.
    pub scheduler: Scheduler,
    /// Its tokenizer.
    pub tokenizer: Arc<dyn Tokenize>,
    /// Tokens that a text begins with, unless it is a conversation.
    pub begin: Vec<TokenId>,
    /// Tokens that end an answer.
    pub ends: Ends,
    /// Its chat template, if it has one.
    pub chat: Option<Arc<dyn Chat>>,
    /// Greatest length of prompt and answer.
    pub window: usize,
    /// V.
    pub vocab_size: usize,
    /// Memory of one position of one sequence, in bytes.
    pub bytes_per_position: u64,
}

/// A prompt as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptRead {
    /// Its ids.
    pub ids: Vec<TokenId>,
    /// Its text, as receipts commit to it.
    pub text: String,
}

impl Writer {
    /// What tells one model and version of the server from another.
    pub fn fingerprint(&self) -> String {
        let hash: String = self.hash.chars().take(10).collect();
        format!("tm-{}-{hash}", env!("CARGO_PKG_VERSION"))
    }

    /// Refuses the name of another model.
    ///
    /// # Errors
    /// 404.
    pub fn check_name(&self, asked: Option<&str>) -> Result<(), ApiError> {
        match asked {
            None => Err(ApiError::invalid("\"model\" is missing; GET /v1/models lists them")
                .with_param("model")),
            Some(name) if name == self.name => Ok(()),
            Some(name) => {
                let message =
                    format!("there is no model \"{name}\" here; GET /v1/models lists them");
                Err(ApiError::not_found(message).with_param("model").with_code("model_not_found"))
            }
        }
    }

    /// Reads what is to be continued. Takes as long as the text is long: not for threads that must not wait.
    ///
    /// # Errors
    /// 400: no chat template, an id outside the vocabulary, or longer than the window.
    pub fn prompts(&self, given: &Given) -> Result<Vec<PromptRead>, ApiError> {
        let param = if matches!(given, Given::Turns(_)) { "messages" } else { "prompt" };
        let prompts = self.read(given)?;
        for prompt in &prompts {
            self.check_length(param, prompt.ids.len())?;
        }
        Ok(prompts)
    }

    /// The same, however long it is.
    ///
    /// # Errors
    /// 400: no chat template, or an id outside the vocabulary.
    pub fn read(&self, given: &Given) -> Result<Vec<PromptRead>, ApiError> {
        match given {
            Given::Turns(turns) => Ok(vec![self.conversation(turns)?]),
            Given::Texts(texts) => texts.iter().map(|text| self.text(text)).collect(),
            Given::Ids(lists) => lists.iter().map(|ids| self.ids(ids)).collect(),
        }
    }

    fn check_length(&self, param: &str, tokens: usize) -> Result<(), ApiError> {
        if tokens == 0 {
            return Err(
                ApiError::invalid(format!("\"{param}\" is empty; say something")).with_param(param)
            );
        }
        if tokens >= self.window {
            let message = format!(
                "\"{param}\" has {tokens} tokens, and prompt and answer together may have {}; shorten it",
                self.window
            );
            return Err(ApiError::invalid(message)
                .with_param(param)
                .with_code("context_length_exceeded"));
        }
        Ok(())
    }

    fn conversation(&self, turns: &[Turn]) -> Result<PromptRead, ApiError> {
        let Some(chat) = &self.chat else {
            let message =
                format!("the model \"{}\" has no chat template; use /v1/completions", self.name);
            return Err(ApiError::invalid(message)
                .with_param("model")
                .with_code("no_chat_template"));
        };
        let text =
            chat.render(turns).map_err(|why| ApiError::invalid(why).with_param("messages"))?;
        let ids = self.tokenizer.encode_prompt(&text).map_err(unreadable("messages"))?;
        Ok(PromptRead { ids, text })
    }

    fn text(&self, text: &str) -> Result<PromptRead, ApiError> {
        let encoded = self.tokenizer.encode(text).map_err(unreadable("prompt"))?;
        let ids = [self.begin.as_slice(), &encoded.ids].concat();
        Ok(PromptRead { ids, text: text.to_owned() })
    }

    fn ids(&self, ids: &[TokenId]) -> Result<PromptRead, ApiError> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            let message = format!(
                "\"prompt\" holds id {id}, and the model's vocabulary has {}",
                self.vocab_size
            );
            return Err(ApiError::invalid(message).with_param("prompt"));
        }
        let text = self.tokenizer.decode(ids).map_err(unreadable("prompt"))?;
        Ok(PromptRead { ids: ids.to_vec(), text })
    }

    /// The text of one token; empty for special ones.
    pub fn token(&self, id: TokenId) -> String {
        self.tokenizer.decode(&[id]).unwrap_or_default()
    }
}

fn unreadable(param: &'static str) -> impl Fn(crate::tokens::TokenizeError) -> ApiError {
    move |error| ApiError::invalid(format!("\"{param}\": {error}")).with_param(param)
}
