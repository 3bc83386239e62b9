//! Asking a model behind an OpenAI-compatible endpoint.
//!
//! [`Endpoint`] is a [`Completer`] over HTTP: conversations go to `chat/completions`, texts to `completions`, and both forms in
//! which servers tell log-probabilities are read. One blocking request at a time. Nothing that an endpoint does makes it wait
//! without end, read without end, or hand the API key to another host.

mod client;
mod error;
mod key;
mod settings;
mod wire;

use std::time::Instant;

use serde_json::Value;

use crate::lm::{Completer, CompleterError, Completion, Prompt, Request};

use client::{Client, Reply};
pub use error::EndpointError;
pub use key::ApiKey;
pub use settings::{Patience, Settings};
use wire::TokenLimit;

/// A model behind an endpoint.
#[derive(Debug)]
pub struct Endpoint {
    client: Client,
    /// The model to ask for; where none was named, the only one that the endpoint lists.
    model: Option<String>,
    /// How this endpoint calls the limit of an answer's tokens.
    limit: TokenLimit,
}

impl Endpoint {
    /// A client of an endpoint. Nothing is sent yet.
    ///
    /// # Errors
    /// [`EndpointError`] for an address that is none, or certificates that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, EndpointError> {
        let model = settings.model.clone();
        Ok(Self { client: Client::new(settings)?, model, limit: TokenLimit::MaxTokens })
    }

    fn listed(&self) -> Result<Reply, CompleterError> {
        self.client.get("models")
    }

    /// The model to ask for.
    fn model(&mut self) -> Result<String, CompleterError> {
        if let Some(model) = &self.model {
            return Ok(model.clone());
        }
        let ids = wire::model_ids(&self.listed()?.json(&self.client.host())?);
        let [only] = &ids[..] else {
            let message = format!(
                "it lists {} models; name the one to ask ({})",
                ids.len(),
                wire::shortened(&ids.join(", "))
            );
            return Err(CompleterError::Malformed { name: self.client.host(), message });
        };
        self.model = Some(only.clone());
        Ok(only.clone())
    }

    /// One answer; where the endpoint calls the limit of tokens otherwise, once more under that name.
    fn ask(&mut self, path: &str, model: &str, request: &Request) -> Result<Reply, CompleterError> {
        let send = |limit| self.client.post(path, &wire::body(model, request, limit));
        match send(self.limit) {
            Err(CompleterError::Refused { status, message, .. })
                if self.limit == TokenLimit::MaxTokens
                    && matches!(status, 400 | 422)
                    && message.contains(TokenLimit::MaxCompletionTokens.field()) =>
            {
                let reply = send(TokenLimit::MaxCompletionTokens)?;
                self.limit = TokenLimit::MaxCompletionTokens;
                Ok(reply)
            }
            other => other,
        }
    }
}

impl Completer for Endpoint {
    fn name(&self) -> String {
        match &self.model {
            Some(model) => format!("{model} at {}", self.client.host()),
            None => self.client.host(),
        }
    }

    fn about(&mut self) -> Result<Vec<(String, String)>, CompleterError> {
        let mut about = vec![("endpoint".to_owned(), self.client.host())];
        match self.listed() {
            Ok(reply) => {
                about.extend(reply.headers.clone());
                let list = reply.json(&self.client.host())?;
                // The name holds from here on.
                if let (None, [only]) = (&self.model, &wire::model_ids(&list)[..]) {
                    self.model = Some(only.clone());
                }
                about.extend(wire::about_models(&list, self.model.as_deref()));
            }
            // Some gateways list nothing; that is no reason not to ask.
            Err(CompleterError::Refused { status: status @ (404 | 405), .. }) => {
                about.push(("models".to_owned(), format!("not listed ({status})")));
            }
            Err(error) => return Err(error),
        }
        Ok(about)
    }

    fn complete(&mut self, request: &Request) -> Result<Completion, CompleterError> {
        let model = self.model()?;
        let path = match request.prompt {
            Prompt::Text(_) => "completions",
            Prompt::Messages(_) => "chat/completions",
        };
        let began = Instant::now();
        let reply = self.ask(path, &model, request)?;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let name = self.name();
        let body: Value = reply.json(&name)?;
        let completion = wire::completion(&body)
            .map_err(|message| CompleterError::Malformed { name, message })?;
        Ok(Completion { headers: reply.headers, millis, ..completion })
    }
}
