//! Asking a suspect prompts, with a budget, and keeping what it says.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use touchmark::lm::{ChatMessage, Completion, Prompt, Request};
use touchmark::sampling::Noise;

use crate::args::{Global, attribute::Run};
use crate::interrupt;
use crate::models;
use crate::output;

/// What became of asking.
#[derive(Default)]
pub struct Asked {
    pub premises: Vec<String>,
    pub warnings: Vec<String>,
    pub counts: serde_json::Map<String, serde_json::Value>,
}

/// A prompt of a file.
#[derive(Clone, Deserialize)]
struct Given {
    prompt: Option<String>,
    messages: Option<Vec<ChatMessage>>,
}

/// One line of a transcript.
#[derive(Serialize, Deserialize)]
struct Line {
    suspect: String,
    request: Request,
    answer: Completion,
}

/// How far the answers have brought it.
#[derive(Clone, Copy, Default)]
pub struct Progress {
    pub tokens: u64,
    /// No more are wanted.
    pub enough: bool,
}

/// Asks until there is enough, the budget of requests is used up or there are no more prompts. `hear` takes each question's text and
/// its answer.
pub fn ask(
    global: &Global,
    args: &Run,
    suspect: &str,
    prompts: &Path,
    hear: &mut dyn FnMut(&str, &Completion) -> anyhow::Result<Progress>,
) -> anyhow::Result<Asked> {
    let prompts = shuffled(read(prompts)?, args.seed);
    let mut kept = Kept::open(args.transcript.as_deref(), suspect)?;
    let mut seen = Seen::default();
    let mut progress = Progress::default();
    for line in &kept.lines {
        seen.note(&line.answer);
        progress = hear(&text(&line.request.prompt), &line.answer)?;
    }
    let first = kept.lines.len();
    if !progress.enough && first < prompts.len() {
        let mut model = models::open(global, suspect, &args.asking, args.seed ^ first as u64)?;
        let about = model.about().context("the suspect cannot be reached")?;
        output::detail(global.verbose, &format!("Asking {} ({} facts)", model.name(), about.len()));
        interrupt::end_cleanly(
            "; what was answered is kept in the transcript, if one was named".to_owned(),
        );
        let bar =
            output::progress(global.quiet || global.no_progress, Some(args.max_tokens), "tokens")?;
        for prompt in prompts.into_iter().skip(first) {
            if progress.enough || args.max_requests.is_some_and(|most| seen.answers >= most) {
                break;
            }
            let request = request(prompt, args);
            match model.complete(&request) {
                Ok(answer) => {
                    seen.note(&answer);
                    progress = hear(&text(&request.prompt), &answer)?;
                    bar.set_position(progress.tokens.min(args.max_tokens));
                    kept.push(Line { suspect: suspect.to_owned(), request, answer })?;
                }
                Err(error) => {
                    seen.failure = Some(output::causes(&error.into()));
                    break;
                }
            }
        }
        bar.finish_and_clear();
    }
    seen.asked(!progress.enough)
}

fn request(prompt: Prompt, args: &Run) -> Request {
    Request {
        prompt,
        max_tokens: args.answer_tokens,
        temperature: 1.0,
        top_p: 1.0,
        seed: None,
        top_logprobs: args.top_logprobs,
    }
}

fn text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => {
            messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<Prompt>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut prompts = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("cannot read {shown}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let given: Given =
            serde_json::from_str(&line).with_context(|| format!("{shown}, line {number}"))?;
        prompts.push(match given {
            Given { messages: Some(messages), .. } => Prompt::Messages(messages),
            Given { prompt: Some(prompt), .. } => Prompt::Text(prompt),
            _ => bail!("{shown}, line {number}: a prompt needs `prompt` (text) or `messages`"),
        });
    }
    if prompts.is_empty() {
        bail!("{shown} holds no prompt");
    }
    Ok(prompts)
}

/// In an order that the suspect cannot foresee, and that the same seed gives again.
fn shuffled(mut prompts: Vec<Prompt>, seed: u64) -> Vec<Prompt> {
    let mut noise = Noise::new(seed, u64::MAX);
    for last in (1..prompts.len()).rev() {
        prompts.swap(last, (noise.uniform() * (last + 1) as f64) as usize);
    }
    prompts
}

/// Answers that are kept in a file.
struct Kept {
    lines: Vec<Line>,
    file: Option<File>,
}

impl Kept {
    fn open(path: Option<&Path>, suspect: &str) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { lines: Vec::new(), file: None }) };
        let shown = path.display();
        let failed = || format!("cannot read or write {shown}");
        let mut lines = Vec::new();
        if path.exists() {
            let text = std::fs::read_to_string(path).with_context(failed)?;
            // A last line that was cut off was never heard.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            for (number, line) in (1..).zip(text[..whole].lines()) {
                let line: Line = serde_json::from_str(line)
                    .with_context(|| format!("{shown}, line {number} is no answer"))?;
                if line.suspect != suspect {
                    bail!(
                        "{shown} holds answers of {}; name another file for {suspect}",
                        line.suspect
                    );
                }
                lines.push(line);
            }
            let file = OpenOptions::new().write(true).open(path).with_context(failed)?;
            file.set_len(whole as u64).with_context(failed)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).with_context(failed)?;
        Ok(Self { lines, file: Some(file) })
    }

    fn push(&mut self, line: Line) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let text = serde_json::to_string(&line)? + "\n";
        interrupt::whole(|| file.write_all(text.as_bytes()))
            .context("the transcript cannot be written")
    }
}

/// What the answers say of who gives them.
#[derive(Default)]
struct Seen {
    answers: u64,
    empty: u64,
    models: BTreeSet<String>,
    failure: Option<String>,
}

impl Seen {
    fn note(&mut self, answer: &Completion) {
        self.answers += 1;
        self.empty += u64::from(answer.text.trim().is_empty());
        self.models.extend(answer.model.clone());
    }

    fn asked(self, short: bool) -> anyhow::Result<Asked> {
        let mut asked = Asked::default();
        if self.answers == 0 {
            bail!("the suspect gave no answer: {}", self.failure.unwrap_or_default());
        }
        if self.models.len() > 1 {
            let names: Vec<_> = self.models.iter().map(String::as_str).collect();
            asked.premises.push(format!(
                "the answers come from more than one model ({}): what they say together is of none of them",
                names.join(", ")
            ));
        }
        if let Some(failure) = self.failure {
            asked.warnings.push(format!("asking ended early: {failure}"));
        } else if short {
            asked
                .warnings
                .push("prompts or requests ended before the tokens that were wanted".to_owned());
        }
        if 2 * self.empty > self.answers {
            asked.warnings.push(format!("{} of {} answers are empty", self.empty, self.answers));
        }
        asked.counts.insert("models".to_owned(), serde_json::to_value(self.models)?);
        asked.counts.insert("empty".to_owned(), self.empty.into());
        Ok(asked)
    }
}
