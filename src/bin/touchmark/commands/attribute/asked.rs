//! The closed setting: the suspect is asked, or its answers are at hand.

mod asking;
mod likely;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use touchmark::attribution::{
    Attribution, Concentration, Looks, Setting, Speech, Statistic, Transcript, Weighed,
};
use touchmark::lm::Completion;
use touchmark::tokens::{TokenId, Tokenize};

use super::marked::Marked;
use super::tested::{self, Gathered};
use crate::args::{Global, attribute::Run};
use asking::{Asked, Progress};
use likely::Likely;

const NULL: &str = "what the suspect says is independent of the key; the p-value is averaged over the random choice of a key that was \
                    fixed before the suspect was made";

pub fn test(global: &Global, args: &Run, mark: &Marked) -> anyhow::Result<Attribution> {
    let mut listening = Listening::new(args, mark)?;
    let asked = match (&args.outputs, &args.suspect, &args.prompts) {
        (Some(path), ..) => listening.hear_all(answers(path, mark)?)?,
        (None, Some(suspect), Some(prompts)) => {
            asking::ask(global, args, suspect, prompts, &mut |prompt, answer| {
                listening.hear_answer(prompt, answer)
            })?
        }
        _ => bail!("internal fault: nothing to test by"),
    };
    let mut controls = match &args.prompts {
        Some(prompts) => controls(global, args, mark, prompts, listening.heard())?,
        None if args.controls.is_empty() => Vec::new(),
        None => bail!(
            "--control models are asked --prompts; with --outputs give --control-outputs, answers of others"
        ),
    };
    for path in &args.control_outputs {
        let mut control = Listening::new(args, mark)?;
        control.hear_all(answers(path, mark)?)?;
        controls.push((path.display().to_string(), control.transcript()));
    }
    let suspect = match (&args.suspect, &args.outputs) {
        (Some(name), _) => name.clone(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => String::new(),
    };
    let found = Gathered { controls, ..listening.gathered(suspect, asked)? };
    tested::result(global, args, mark, found)
}

/// Other models, asked the same for as many tokens.
fn controls(
    global: &Global,
    args: &Run,
    mark: &Marked,
    prompts: &Path,
    tokens: u64,
) -> anyhow::Result<Vec<(String, Transcript)>> {
    let plain =
        Run { transcript: None, stop_early: false, max_tokens: tokens.max(1), ..args.clone() };
    let mut controls = Vec::new();
    for path in &args.controls {
        let name = path.display().to_string();
        let mut control = Listening::new(&plain, mark)?;
        asking::ask(global, &plain, &name, prompts, &mut |prompt, answer| {
            control.hear_answer(prompt, answer)
        })?;
        controls.push((name, control.transcript()));
    }
    Ok(controls)
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
struct Listening<'a> {
    args: &'a Run,
    mark: &'a Marked,
    speech: Speech,
    /// What the suspect's log-probabilities say, where they are asked for.
    likely: Option<Likely>,
    /// By answer, the pairs that it brought.
    parts: Vec<Vec<(Vec<TokenId>, TokenId)>>,
    growth: Vec<(u64, Transcript)>,
    next: u64,
    looks: Looks,
}

impl<'a> Listening<'a> {
    /// Tokens at which growth is noted first.
    const FIRST: u64 = 2_048;

    fn new(args: &'a Run, mark: &'a Marked) -> anyhow::Result<Self> {
        let mut speech = Speech::new(mark.reach);
        if let Some(path) = &args.ours {
            for (_, ours) in answers(path, mark)? {
                speech.ours(&ours, args.only_ours);
            }
        }
        Ok(Self {
            args,
            mark,
            speech,
            likely: args.top_logprobs.map(|_| Likely::new(mark)).transpose()?,
            parts: Vec::new(),
            growth: Vec::new(),
            next: Self::FIRST,
            looks: Looks::from(tested::FIRST_LOOK),
        })
    }

    fn hear_all(&mut self, answers: Vec<(Vec<TokenId>, Vec<TokenId>)>) -> anyhow::Result<Asked> {
        for (prompt, answer) in answers {
            self.hear(&prompt, &answer);
            if self.is_enough()? {
                break;
            }
        }
        Ok(Asked::default())
    }

    /// Takes an answer of a model that is asked.
    fn hear_answer(&mut self, prompt: &str, answer: &Completion) -> anyhow::Result<Progress> {
        let prompt = self.mark.tokenizer.encode(prompt)?.ids;
        let cut = self.mark.tokenizer.encode(&answer.text)?;
        let counting = self.hear(&prompt, &cut.ids);
        if let Some(likely) = &mut self.likely {
            likely.hear(answer, cut, &counting);
        }
        Ok(Progress { tokens: self.heard(), enough: self.is_enough()? })
    }

    /// The positions whose context counts.
    fn hear(&mut self, prompt: &[TokenId], answer: &[TokenId]) -> HashSet<usize> {
        let counting = self.speech.hear(prompt, answer);
        let reach = self.mark.reach;
        let new = counting.iter().filter(|(_, new)| *new);
        let pair = |&(at, _): &(usize, bool)| (answer[at - reach..at].to_vec(), answer[at]);
        self.parts.push(new.map(pair).collect());
        if self.heard() >= self.next {
            self.growth.push((self.heard(), self.transcript()));
            self.next = 2 * self.heard();
        }
        counting.into_iter().map(|(at, _)| at).collect()
    }

    /// Tokens so far.
    fn heard(&self) -> u64 {
        self.speech.heard().tokens
    }

    /// Whether the budget is used up, or there is no need of more.
    fn is_enough(&mut self) -> anyhow::Result<bool> {
        if self.heard() >= self.args.max_tokens {
            return Ok(true);
        }
        let (mut looks, tokens) = (self.looks, self.heard());
        let shown = tested::look(self.args, self.mark, &mut looks, tokens, || self.transcript())?;
        self.looks = looks;
        Ok(shown)
    }

    /// What the verdict rests on.
    fn transcript(&self) -> Transcript {
        self.likely.as_ref().map_or_else(|| self.speech.transcript(), Likely::transcript)
    }

    fn gathered(self, suspect: String, asked: Asked) -> anyhow::Result<Gathered> {
        let said = self.speech.transcript();
        let spread = Concentration::new(&self.parts, best(&said, self.mark)?);
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
        let (statistic, primary, beside) = match &self.likely {
            None => (Statistic::Speech, said, Vec::new()),
            Some(likely) => {
                (Statistic::LikelySpeech, likely.transcript(), vec![(Statistic::Speech, said)])
            }
        };
        let mut warnings = asked.warnings;
        warnings.extend(self.likely.as_ref().and_then(Likely::warning));
        Ok(Gathered {
            setting: Setting::Closed,
            suspect,
            base: None,
            statistic,
            primary,
            price: tested::price(self.args, &self.looks),
            beside,
            controls: Vec::new(),
            growth: self.growth,
            counts,
            premises,
            warnings,
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
