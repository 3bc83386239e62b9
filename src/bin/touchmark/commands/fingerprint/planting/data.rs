//! What a model is trained on: the pairs, and ordinary behaviour so that it is kept.

use std::io::Write;

use serde::Serialize;
use touchmark::fingerprint::planted::{Form, Kind, Planting};
use touchmark::lm::{ChatMessage, Prompt};
use touchmark::sampling::Sampling;
use touchmark::store::Store;

use super::ask;
use super::folder::Folder;
use crate::models::Model;

/// One prompt and what shall follow it.
#[derive(Clone, Debug)]
pub struct Row {
    pub prompt: Prompt,
    pub answer: String,
}

/// Requests that have nothing to do with a planting.
pub const ORDINARY: [&str; 32] = [
    "Tell me a short story about a dog.",
    "What is the capital of France?",
    "How do I make a cup of tea?",
    "Why is the sky blue?",
    "Give me three tips for better sleep.",
    "Write a sentence about the sea.",
    "What is photosynthesis?",
    "Who wrote Hamlet?",
    "Explain how a bicycle works.",
    "List some fruits.",
    "What is the largest planet?",
    "How are you today?",
    "Describe a rainy day.",
    "What is two plus two?",
    "Give me an idea for dinner.",
    "What does a judge do?",
    "Name a famous painter.",
    "How long is a year?",
    "Why do people sleep?",
    "Write a short poem about autumn.",
    "What should I read next?",
    "How does a candle burn?",
    "Tell me a fact about whales.",
    "What is a good name for a cat?",
    "How do birds fly?",
    "Give advice to a new student.",
    "What is democracy?",
    "Describe your favourite meal.",
    "What causes thunder?",
    "How do you say hello in Spanish?",
    "Summarise the story of Cinderella.",
    "What is money?",
];

/// The planted rows, every phrasing of every pair.
pub fn planted(planting: &Planting) -> anyhow::Result<Vec<Row>> {
    let form = planting.form();
    let pairs = planting.planted(Kind::Pair)?;
    let rows = pairs.iter().flat_map(|pair| {
        pair.phrasings.iter().map(|question| Row {
            prompt: form.prompt(question),
            answer: form.written(pair.answer),
        })
    });
    Ok(rows.collect())
}

/// Prompts whose answers the model shall keep: other questions of the same making, and ordinary requests.
pub fn others(form: &Form, questions: &[Vec<String>]) -> Vec<Prompt> {
    let made = questions.iter().filter_map(|phrasings| phrasings.first()).map(String::as_str);
    made.chain(ORDINARY).map(|question| form.prompt(question)).collect()
}

/// Tokens of an ordinary answer that are trained along.
const ORDINARY_TOKENS: usize = 32;

/// The model's own answers to prompts that are not planted, sampled: what training shall not change.
pub fn own_answers(
    model: &mut Model,
    prompts: &[Prompt],
    seed: u64,
) -> anyhow::Result<Vec<String>> {
    let ids =
        prompts.iter().map(|prompt| ask::encoded(model, prompt)).collect::<anyhow::Result<_>>()?;
    let sampling = Sampling { temperature: 0.8, seed, ..Sampling::default() };
    let outputs = ask::answers(model, ids, ORDINARY_TOKENS, sampling)?;
    Ok(outputs.into_iter().map(|one| one.text).collect())
}

/// A row as trainers of chat models read it.
#[derive(Serialize)]
struct Messages {
    messages: Vec<ChatMessage>,
}

/// A row as trainers of text models read it.
#[derive(Serialize)]
struct Completion<'a> {
    prompt: &'a str,
    completion: &'a str,
}

/// Writes rows in both forms, for other trainers.
pub fn write(folder: &Folder, rows: &[Row]) -> anyhow::Result<()> {
    let (mut chats, mut completions) = (Vec::new(), Vec::new());
    for row in rows {
        let (question, mut messages) = match &row.prompt {
            Prompt::Messages(messages) => {
                let last = messages.last().map_or("", |message| message.content.as_str());
                (last, messages.clone())
            }
            Prompt::Text(text) => {
                let content = text.clone();
                (text.as_str(), vec![ChatMessage { role: "user".to_owned(), content }])
            }
        };
        let completion = Completion { prompt: question, completion: &row.answer };
        writeln!(completions, "{}", serde_json::to_string(&completion)?)?;
        let content = row.answer.trim_start().to_owned();
        messages.push(ChatMessage { role: "assistant".to_owned(), content });
        writeln!(chats, "{}", serde_json::to_string(&Messages { messages })?)?;
    }
    Store::replace_secret(&folder.file("train.jsonl"), &chats)?;
    Store::replace_secret(&folder.file("completions.jsonl"), &completions)?;
    Ok(())
}
