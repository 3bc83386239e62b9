//! Asking a model that runs here, many questions at a time.

use std::ops::ControlFlow;

use anyhow::Context;
use touchmark::generate::{Answer, Output, Request, generate};
use touchmark::lm::{Completion, Prompt};
use touchmark::sampling::Sampling;
use touchmark::tokenizer::Message;
use touchmark::tokens::{TokenId, Tokenize};

use crate::models::Model;

const AT_ONCE: usize = 16;

/// The tokens of a prompt.
pub fn encoded(model: &Model, prompt: &Prompt) -> anyhow::Result<Vec<TokenId>> {
    Ok(match prompt {
        Prompt::Text(text) => [model.begin.as_slice(), &model.tokenizer.encode(text)?.ids].concat(),
        Prompt::Messages(messages) => {
            let message = |message: &touchmark::lm::ChatMessage| Message {
                role: message.role.clone(),
                content: message.content.clone(),
            };
            let messages: Vec<Message> = messages.iter().map(message).collect();
            model.tokenizer.encode_prompt(&model.chat.render(&messages)?)?
        }
    })
}

/// Answers to all prompts, in their order.
pub fn answers(
    model: &mut Model,
    prompts: Vec<Vec<TokenId>>,
    max_tokens: usize,
    sampling: Sampling,
) -> anyhow::Result<Vec<Output>> {
    let requests: Vec<Request> = (0..)
        .zip(prompts)
        .map(|(stream, prompt)| Request { prompt, max_tokens, sampling, stream, stop: vec![] })
        .collect();
    let Model { lm, tokenizer, ends, .. } = model;
    let begun = requests.iter().map(|request| Answer::new(request, None, &*tokenizer, &*ends));
    let begun = begun.collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<Option<Output>> = requests.iter().map(|_| None).collect();
    generate(lm.as_mut(), begun, AT_ONCE, &mut |_, _| Ok(()), &mut |at, output| {
        found[at] = Some(output);
        ControlFlow::Continue(())
    })?;
    found.into_iter().map(|one| one.context("internal fault: an answer is missing")).collect()
}

/// The likeliest answers to all prompts.
pub fn greedy(
    model: &mut Model,
    prompts: &[Prompt],
    max_tokens: u32,
) -> anyhow::Result<Vec<Completion>> {
    let ids = prompts.iter().map(|prompt| encoded(model, prompt)).collect::<anyhow::Result<_>>()?;
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let outputs = answers(model, ids, max_tokens as usize, sampling)?;
    Ok(outputs
        .into_iter()
        .map(|one| Completion { text: one.text, ..Completion::default() })
        .collect())
}
