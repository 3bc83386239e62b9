//! Models that are asked: one in this process, or one behind an endpoint.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use touchmark::generate::{Answer, MOST_LOGPROBS, Output, Request as Writing, generate};
use touchmark::lm::{
    Chunk, CompletedToken, Completer, CompleterError, Completion, Prompt, Request, Want,
};
use touchmark::sampling::{Candidates, Sampling};
use touchmark::tokenizer::Message;
use touchmark::tokens::{TokenId, Tokenize};

use super::{Loading, Model, load, named, weights_hash};
use crate::args::Global;
use crate::args::fingerprint::Asking;

/// Opens what a person names: an address that begins with `http://` or `https://`, else a model of this machine or of a hub.
/// `seed` decides what a model of this machine answers to requests that bring no seed.
pub fn open(
    global: &Global,
    suspect: &str,
    asking: &Asking,
    seed: u64,
) -> anyhow::Result<Box<dyn Completer>> {
    if suspect.starts_with("http://") || suspect.starts_with("https://") {
        return endpoint(global, suspect, asking);
    }
    Ok(Box::new(Local::open(global, suspect, asking, seed)?))
}

#[cfg(feature = "endpoint")]
fn endpoint(global: &Global, address: &str, asking: &Asking) -> anyhow::Result<Box<dyn Completer>> {
    use touchmark::endpoint::{ApiKey, Endpoint, Settings};

    if global.offline {
        anyhow::bail!("{address} is an endpoint, but --offline forbids the network; leave it out");
    }
    let mut settings = Settings::new(address);
    settings.model.clone_from(&asking.model_name);
    settings.key = match (&asking.api_key_env, &asking.api_key_file) {
        (Some(variable), _) => Some(ApiKey::from_env(variable)?),
        (None, Some(path)) => Some(ApiKey::from_file(path)?),
        (None, None) => None,
    };
    settings.interval = asking.interval.unwrap_or_default();
    settings.patience.first_byte = asking.timeout;
    settings.patience.whole = asking.timeout.saturating_mul(2);
    settings.patience.attempts = asking.attempts;
    settings.certificates = std::env::var_os("SSL_CERT_FILE").map(Into::into);
    Ok(Box::new(Endpoint::new(settings)?))
}

#[cfg(not(feature = "endpoint"))]
fn endpoint(_: &Global, address: &str, _: &Asking) -> anyhow::Result<Box<dyn Completer>> {
    anyhow::bail!("this build cannot ask {address}; build it with --features endpoint")
}

/// A model in this process.
pub struct Local {
    model: Model,
    name: String,
    /// The weights' hash.
    weights: String,
    seed: u64,
    /// Answers so far: each is drawn from a stream of its own.
    asked: u64,
    /// The prompt that was read last, with the logits after it: repeated questions are read once.
    read: Option<(Vec<TokenId>, Vec<f32>)>,
}

impl Local {
    /// Loads a model.
    fn open(global: &Global, name: &str, asking: &Asking, seed: u64) -> anyhow::Result<Self> {
        let (place, chat) = named(global, Path::new(name), asking.loading.revision.as_deref())?;
        let loading = Loading {
            tokenizer: asking.tokenizer.as_deref(),
            device: asking.loading.device,
            dtype: asking.loading.dtype.into(),
            chat,
        };
        let model = load(global, &place, loading)?;
        let weights = weights_hash(&place.files, chat)
            .with_context(|| format!("cannot hash {}", place.name))?;
        Ok(Self { model, name: place.name, weights, seed, asked: 0, read: None })
    }

    fn encode(&self, prompt: &Prompt) -> anyhow::Result<Vec<TokenId>> {
        let Model { tokenizer, begin, chat, .. } = &self.model;
        Ok(match prompt {
            Prompt::Text(text) => [begin.as_slice(), &tokenizer.encode(text)?.ids].concat(),
            Prompt::Messages(messages) => {
                let turn = |it: &touchmark::lm::ChatMessage| Message {
                    role: it.role.clone(),
                    content: it.content.clone(),
                };
                let messages: Vec<_> = messages.iter().map(turn).collect();
                tokenizer.encode_prompt(&chat.render(&messages)?)?
            }
        })
    }

    fn writing(&mut self, request: &Request, prompt: Vec<TokenId>) -> anyhow::Result<Writing> {
        let stream = if request.seed.is_some() { 0 } else { self.asked };
        self.asked += 1;
        let sampling = Sampling {
            temperature: request.temperature as f32,
            top_p: request.top_p as f32,
            seed: request.seed.unwrap_or(self.seed),
            ..Sampling::default()
        };
        sampling.check()?;
        let max_tokens = request.max_tokens as usize;
        Ok(Writing { prompt, max_tokens, sampling, stream, stop: Vec::new() })
    }

    /// The logits after a prompt.
    fn logits(&mut self, prompt: &[TokenId]) -> anyhow::Result<&[f32]> {
        if self.read.as_ref().is_none_or(|(read, _)| read != prompt) {
            let lm = self.model.lm.as_mut();
            let seq = lm.open()?;
            let work = [Chunk { seq, ids: prompt, want: Want::Last }];
            let mut row = Vec::new();
            let read = lm.step(&work, &mut |_: usize, _: usize, logits: &[f32]| {
                row = logits.to_vec();
            });
            lm.close(seq);
            read?;
            self.read = Some((prompt.to_vec(), row));
        }
        Ok(self.read.as_ref().map_or(&[], |(_, logits)| logits))
    }

    fn answer(&mut self, request: &Request) -> anyhow::Result<Completion> {
        let began = Instant::now();
        let prompt = self.encode(&request.prompt)?;
        let prompt_tokens = prompt.len() as u64;
        let writing = self.writing(request, prompt)?;
        let completion = if writing.max_tokens == 1 {
            self.one_token(&writing, request.top_logprobs)?
        } else {
            self.many_tokens(&writing, request.top_logprobs)?
        };
        Ok(Completion {
            model: Some(self.name.clone()),
            prompt_tokens: Some(prompt_tokens),
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..completion
        })
    }

    /// One token from the logits after the prompt, which are kept.
    fn one_token(&mut self, writing: &Writing, top: Option<u8>) -> anyhow::Result<Completion> {
        let logits = self.logits(&writing.prompt)?.to_vec();
        let mut candidates = Candidates::default();
        candidates.load(&logits);
        let best = candidates.highest(usize::from(top.unwrap_or(0))).to_vec();
        let Model { tokenizer, ends, .. } = &self.model;
        let mut answer = Answer::new(writing, None, tokenizer, ends)?;
        answer.advance(&logits, &mut candidates)?;
        let output = answer.into_output();
        let tokens = match (top, output.ids.first()) {
            (Some(_), Some(&chosen)) => vec![self.scored(&logits, chosen, &best)?],
            _ => Vec::new(),
        };
        Ok(told(output, tokens))
    }

    fn scored(
        &self,
        logits: &[f32],
        chosen: TokenId,
        best: &[TokenId],
    ) -> anyhow::Result<CompletedToken> {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        let of = |id: TokenId| f64::from(logits[id as usize] - highest) - total.ln();
        let text = |id: TokenId| self.model.tokenizer.decode(&[id]);
        let top = best.iter().map(|&id| Ok((text(id)?, of(id)))).collect::<anyhow::Result<_>>()?;
        Ok(CompletedToken { text: text(chosen)?, logprob: of(chosen), top })
    }

    fn many_tokens(&mut self, writing: &Writing, top: Option<u8>) -> anyhow::Result<Completion> {
        let Model { lm, tokenizer, ends, .. } = &mut self.model;
        let mut answer = Answer::new(writing, None, tokenizer, ends)?;
        if let Some(top) = top {
            answer = answer.with_logprobs(usize::from(top).min(MOST_LOGPROBS))?;
        }
        let mut written = None;
        generate(lm.as_mut(), vec![answer], 1, &mut |_, _| Ok(()), &mut |_, output| {
            written = Some(output);
            std::ops::ControlFlow::Continue(())
        })?;
        let output = written.context("internal fault: no answer was written")?;
        let text = |id: TokenId| self.model.tokenizer.decode(&[id]);
        let token = |step: &touchmark::generate::StepLogprobs| {
            let top = step.top.iter();
            let top = top.map(|it| Ok((text(it.id)?, f64::from(it.logprob))));
            anyhow::Ok(CompletedToken {
                text: text(step.chosen.id)?,
                logprob: f64::from(step.chosen.logprob),
                top: top.collect::<anyhow::Result<_>>()?,
            })
        };
        let tokens = output.logprobs.iter().map(token).collect::<anyhow::Result<_>>()?;
        Ok(told(output, tokens))
    }
}

fn told(output: Output, tokens: Vec<CompletedToken>) -> Completion {
    let reason = match output.finish_reason {
        touchmark::generate::FinishReason::Stop => "stop",
        touchmark::generate::FinishReason::Length => "length",
        touchmark::generate::FinishReason::Abort => "abort",
    };
    Completion {
        completion_tokens: Some(output.ids.len() as u64),
        text: output.text,
        tokens,
        finish_reason: Some(reason.to_owned()),
        ..Completion::default()
    }
}

impl Completer for Local {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn about(&mut self) -> Result<Vec<(String, String)>, CompleterError> {
        let Model { lm, tokenizer, .. } = &self.model;
        Ok(vec![
            ("model".to_owned(), self.name.clone()),
            ("weights (BLAKE3)".to_owned(), self.weights.clone()),
            ("tokenizer (BLAKE3)".to_owned(), tokenizer.hash().to_string()),
            ("logits".to_owned(), lm.vocab_size().to_string()),
            ("window".to_owned(), lm.max_positions().to_string()),
        ])
    }

    fn complete(&mut self, request: &Request) -> Result<Completion, CompleterError> {
        self.answer(request).map_err(|error| CompleterError::Local {
            name: self.name.clone(),
            source: error.into(),
        })
    }
}
