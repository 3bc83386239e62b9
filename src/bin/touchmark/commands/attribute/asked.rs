//! The closed setting: the suspect is asked, or its answers are at hand.

mod asking;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use touchmark::attribution::{
    Attribution, Concentration, Setting, Speech, Statistic, Transcript, Weighed,
};
use touchmark::tokens::{TokenId, Tokenize};

use super::marked::Marked;
use super::tested::{self, Gathered};
use crate::args::{Global, attribute::Run};
use asking::Asked;

const NULL: &str = "what the suspect says is independent of the key; the p-value is averaged over the random choice of a key that was \
                    fixed before the suspect was made";

pub fn test(global: &Global, args: &Run, mark: &Marked) -> anyhow::Result<Attribution> {
    let mut listening = Listening::new(args, mark)?;
    let asked = match (&args.outputs, &args.suspect, &args.prompts) {
        (Some(path), ..) => listening.hear_all(answers(path, mark)?, args.max_tokens),
        (None, Some(suspect), Some(prompts)) => {
            asking::ask(global, args, suspect, prompts, &mut |prompt, answer| {
                listening
                    .hear(&mark.tokenizer.encode(prompt)?.ids, &mark.tokenizer.encode(answer)?.ids);
                Ok(listening.speech.heard().tokens)
            })?
        }
        _ => bail!("internal fault: nothing to test by"),
    };
    let mut controls = Vec::new();
    if let Some(prompts) = &args.prompts {
        for path in &args.controls {
            let name = path.display().to_string();
            let mut control = Listening::new(args, mark)?;
            let plain = Run { transcript: None, ..args.clone() };
            asking::ask(global, &plain, &name, prompts, &mut |prompt, answer| {
                control
                    .hear(&mark.tokenizer.encode(prompt)?.ids, &mark.tokenizer.encode(answer)?.ids);
                Ok(control.speech.heard().tokens)
            })?;
            controls.push((name, control.speech.transcript()));
        }
    } else if !args.controls.is_empty() {
        bail!("--control models are asked --prompts; with --outputs give none");
    }
    let suspect = match (&args.suspect, &args.outputs) {
        (Some(name), _) => name.clone(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => String::new(),
    };
    let found = Gathered { controls, ..listening.gathered(suspect, mark, asked)? };
    tested::result(global, args, mark, found)
}

/// A line of a file of answers.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    ids: Option<Vec<TokenId>>,
    prompt: Option<String>,
}

/// Answers of a file, with their questions. Ids are those of the profile's tokenizer.
fn answers(path: &Path, mark: &Marked) -> anyhow::Result<Vec<(Vec<TokenId>, Vec<TokenId>)>> {
    let shown = path.display();
    let failed = || format!("cannot read {shown}");
    let mut answers = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(File::open(path).with_context(failed)?).lines())
    {
        let line = line.with_context(failed)?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line =
            serde_json::from_str(&line).with_context(|| format!("{shown}, line {number}"))?;
        let ids = |text: &str| anyhow::Ok(mark.tokenizer.encode(text)?.ids);
        let answer = match (line.ids, line.text) {
            (Some(ids), _) => ids,
            (None, Some(text)) => ids(&text)?,
            (None, None) => bail!("{shown}, line {number}: an answer needs `text` or `ids`"),
        };
        answers.push((line.prompt.as_deref().map(ids).transpose()?.unwrap_or_default(), answer));
    }
    if answers.is_empty() {
        bail!("{shown} holds no answer");
    }
    Ok(answers)
}

/// Answers as they come.
struct Listening {
    reach: usize,
    speech: Speech,
    /// By answer, the pairs that it brought.
    parts: Vec<Vec<(Vec<TokenId>, TokenId)>>,
    growth: Vec<(u64, Transcript)>,
    next: u64,
}

impl Listening {
    fn new(args: &Run, mark: &Marked) -> anyhow::Result<Self> {
        let mut speech = Speech::new(mark.reach);
        if let Some(path) = &args.ours {
            for (_, ours) in answers(path, mark)? {
                speech.ours(&ours, args.only_ours);
            }
        }
        Ok(Self { reach: mark.reach, speech, parts: Vec::new(), growth: Vec::new(), next: 2048 })
    }

    fn hear_all(&mut self, answers: Vec<(Vec<TokenId>, Vec<TokenId>)>, most: u64) -> Asked {
        for (prompt, answer) in answers {
            self.hear(&prompt, &answer);
            if self.speech.heard().tokens >= most {
                break;
            }
        }
        Asked::default()
    }

    fn hear(&mut self, prompt: &[TokenId], answer: &[TokenId]) {
        let new = self.speech.hear(prompt, answer);
        let pair = |at: usize| (answer[at - self.reach..at].to_vec(), answer[at]);
        self.parts.push(new.into_iter().map(pair).collect());
        let tokens = self.speech.heard().tokens;
        if tokens >= self.next {
            self.growth.push((tokens, self.speech.transcript()));
            self.next = 2 * tokens;
        }
    }

    fn gathered(self, suspect: String, mark: &Marked, asked: Asked) -> anyhow::Result<Gathered> {
        let transcript = self.speech.transcript();
        let spread = Concentration::new(&self.parts, best(&transcript, mark)?);
        let mut premises = asked.premises;
        if spread.is_in_few() {
            premises.push(format!(
                "the evidence lies in less than half of the answers (each answer's z has mean {:.1} and variance {:.1}): they may quote \
                 marked text or come from another model; --ours takes quotations out",
                spread.mean, spread.variance
            ));
        }
        let mut counts = super::fields(&self.speech.heard())?;
        counts.extend(asked.counts);
        counts.insert("spread".to_owned(), serde_json::to_value(spread)?);
        Ok(Gathered {
            setting: Setting::Closed,
            suspect,
            base: None,
            statistic: Statistic::Speech,
            primary: transcript,
            beside: Vec::new(),
            controls: Vec::new(),
            growth: self.growth,
            counts,
            premises,
            warnings: asked.warnings,
            null: NULL.to_owned(),
        })
    }
}

/// The mark that the answers speak most for.
fn best<'a>(
    transcript: &Transcript,
    mark: &'a Marked,
) -> anyhow::Result<&'a touchmark::watermark::Watermark> {
    let mut best = (f64::NEG_INFINITY, mark.first());
    for (_, watermark) in &mark.keys {
        let z = Weighed::new(transcript, watermark)?.z();
        if z > best.0 {
            best = (z, watermark);
        }
    }
    Ok(best.1)
}
