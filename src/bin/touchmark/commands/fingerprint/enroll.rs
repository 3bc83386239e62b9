//! `fingerprint enroll`: what a model answers, recorded to recognise it by.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use touchmark::fingerprint::behaviour::enrolment::{
    Asked, Enrolment, Panel, Part, SCHEMA, Settings, odd, plain, record, record_member,
};
use touchmark::fingerprint::behaviour::protocol::{Form, Protocol};
use touchmark::lm::{Completer, CompleterError, Completion, Request};

use crate::args::Global;
use crate::args::fingerprint::{Enroll, EnrollForm};
use crate::assemble;
use crate::models;
use crate::output::{self, Exit};
use crate::whole_file;

const TOOL: &str = concat!("touchmark ", env!("CARGO_PKG_VERSION"));

pub fn run(global: &Global, args: &Enroll) -> anyhow::Result<Exit> {
    let mut recorder = Recorder::open(global, args)?;
    let result = match &args.panel_for {
        Some(enrolment) => member(global, args, enrolment, &mut recorder),
        None => enrol(global, args, &mut recorder),
    };
    match result {
        Err(error) if error.downcast_ref::<Spent>().is_some() => {
            output::warn(&format!("{error}; the same command goes on"));
            Ok(Exit::Partial)
        }
        other => {
            let exit = other?;
            recorder.forget()?;
            Ok(exit)
        }
    }
}

fn enrol(global: &Global, args: &Enroll, recorder: &mut Recorder) -> anyhow::Result<Exit> {
    let mut settings = settings(args)?;
    let parts: Vec<Part> = args.parts.iter().map(|part| (*part).into()).collect();
    let about = recorder.models[0].about().context("the model cannot be reached")?;
    // What a model of this machine says of itself.
    let width = about.iter().find(|(name, _)| name == "logits");
    if let Some(width) = width.and_then(|(_, width)| width.parse().ok()) {
        settings.vocabulary = width;
    }
    let mut enrolment = Enrolment {
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        model: recorder.models[0].name(),
        about,
        made: assemble::now().to_string(),
        expires: args.expires.map(|day| day.to_string()),
        seed: args.seed,
        identity: None,
        rank: None,
        distance: None,
        drift: None,
        lineage: None,
    };
    record::<anyhow::Error>(&settings, &parts, &mut enrolment, &mut |asked| recorder.ask(asked))?;
    write(&args.output, &enrolment)?;
    let spent = recorder.spent;
    if global.json {
        output::json(&serde_json::json!({
            "enrolment": args.output, "model": enrolment.model, "requests": spent.requests, "tokens": spent.tokens,
            "prompts": enrolment.identity.as_ref().map(|it| it.cells.len()),
        }))?;
    } else {
        let text = format!("{} is enrolled in {}", enrolment.model, args.output.display());
        writeln!(anstream::stdout(), "{text}, with {} requests in this run", spent.requests)?;
    }
    Ok(Exit::Done)
}

/// Adds a model to a panel.
fn member(
    global: &Global,
    args: &Enroll,
    enrolment: &Path,
    recorder: &mut Recorder,
) -> anyhow::Result<Exit> {
    let enrolment: Enrolment = read(enrolment, "an enrolment")?;
    let greedy = enrolment
        .lineage
        .context("the enrolment has no part for lineage; record it with --parts lineage")?;
    let expires = args.expires.map(|day| day.to_string());
    let fresh = Panel::for_prompts(&greedy, TOOL, expires.clone());
    let mut panel: Panel =
        if args.output.exists() { read(&args.output, "a panel")? } else { fresh.clone() };
    if panel.prompts != fresh.prompts || panel.protocol != fresh.protocol {
        bail!("{} is a panel for other prompts; choose another file", args.output.display());
    }
    let name = recorder.models[0].name();
    if panel.members.iter().any(|member| member.name == name) {
        bail!("{name} is in {} already", args.output.display());
    }
    let about = recorder.models[0].about().context("the model cannot be reached")?;
    let stratum = args.stratum.clone().unwrap_or_default();
    let member = record_member::<anyhow::Error>(&panel, &name, &stratum, about, &mut |asked| {
        recorder.ask(asked)
    })?;
    panel.members.push(member);
    panel.expires = expires.or(panel.expires);
    write(&args.output, &panel)?;
    if global.json {
        output::json(
            &serde_json::json!({ "panel": args.output, "member": name, "members": panel.members.len() }),
        )?;
    } else {
        let text = format!("{name} is member {} of {}", panel.members.len(), args.output.display());
        writeln!(anstream::stdout(), "{text}")?;
    }
    Ok(Exit::Done)
}

fn settings(args: &Enroll) -> anyhow::Result<Settings> {
    let form = match args.form {
        EnrollForm::Text => Form::Text,
        EnrollForm::Chat => Form::Chat,
    };
    if form == Form::Text && (args.system.is_some() || !args.tolerate_system.is_empty()) {
        bail!("texts have no system prompt; give --form chat, or leave out --system");
    }
    let (temperature, top_p) = (args.temperature, args.top_p);
    if !(temperature >= 0.0 && temperature.is_finite() && top_p > 0.0 && top_p <= 1.0) {
        bail!("--temperature must be 0 or more, --top-p above 0 and at most 1");
    }
    let protocol = Protocol { form, system: args.system.clone(), temperature, top_p };
    let remote =
        std::iter::once(&args.model).chain(&args.alternative).any(|name| is_endpoint(name));
    let prompts = match &args.prompts {
        Some(path) => lines(path)?,
        None => odd(args.candidates.unwrap_or(if remote { 150 } else { 1000 }), args.seed),
    };
    let mut settings = Settings::new(protocol, prompts);
    settings.long_prompts = if args.prompts.is_some() { settings.prompts.clone() } else { plain() };
    settings.systems.clone_from(&args.tolerate_system);
    if args.strict {
        settings.samplings.clear();
    }
    settings.alternatives.clone_from(&args.alternative);
    settings.queries = args.queries as usize;
    settings.lineage_queries = args.queries as usize;
    settings.references = args.references;
    // A model of this machine tells as many as it is asked for.
    if !remote {
        settings.top = u8::MAX;
    }
    Ok(settings)
}

fn is_endpoint(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The same prompt twice would be answered from what was kept of the first time, which is not fresh.
    let mut seen = HashSet::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && seen.insert(*line));
    Ok(lines.map(str::to_owned).collect())
}

/// Reads a file of JSON.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{} is not {what}", path.display()))
}

fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    whole_file::write(path, &bytes)
}

/// The budget of a run is used up.
#[derive(Debug, thiserror::Error)]
#[error("the budget is used up after {requests} requests and {tokens} tokens")]
struct Spent {
    requests: u64,
    tokens: u64,
}

#[derive(Clone, Copy, Default)]
struct Spending {
    requests: u64,
    tokens: u64,
}

/// One answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    answer: Completion,
}

/// Asks models, and keeps what they answered until the enrolment is whole.
struct Recorder {
    models: Vec<Box<dyn Completer>>,
    /// Those that tell no log-probabilities.
    mute: Vec<bool>,
    known: HashMap<String, Completion>,
    part: PathBuf,
    file: Option<File>,
    spent: Spending,
    most: Spending,
    bar: indicatif::ProgressBar,
}

impl Recorder {
    fn open(global: &Global, args: &Enroll) -> anyhow::Result<Self> {
        let names = std::iter::once(&args.model).chain(&args.alternative);
        let models = names
            .enumerate()
            // Models that draw from one stream would answer alike.
            .map(|(at, name)| models::open(global, name, &args.asking, args.seed + at as u64))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let part = PathBuf::from(format!("{}.part", args.output.display()));
        let endpoints =
            std::iter::once(&args.model).chain(&args.alternative).any(|it| is_endpoint(it));
        let mut recorder = Self {
            mute: vec![false; models.len()],
            models,
            known: HashMap::new(),
            part,
            file: None,
            spent: Spending::default(),
            most: Spending {
                requests: args.max_requests.unwrap_or(u64::MAX),
                tokens: args.max_tokens.unwrap_or(u64::MAX),
            },
            bar: output::progress(global.no_progress || global.quiet, None, "asking")?,
        };
        // What models of this machine answer is had again sooner than read.
        if endpoints {
            recorder.resume()?;
        }
        Ok(recorder)
    }

    /// Takes up what an earlier run has left, without a torn last line.
    fn resume(&mut self) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.part.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&self.part).with_context(context)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(context)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            let kept: Kept = serde_json::from_str(line).with_context(|| {
                format!("{} does not hold answers; remove it", self.part.display())
            })?;
            self.known.insert(kept.key, kept.answer);
        }
        file.set_len(whole as u64).with_context(context)?;
        file.seek(SeekFrom::End(0)).with_context(context)?;
        self.file = Some(file);
        Ok(())
    }

    fn ask(&mut self, asked: Asked<'_>) -> anyhow::Result<Completion> {
        let Some(_) = self.file else { return self.fresh(asked) };
        let question = (self.models[asked.model].name(), asked.request, asked.repeat);
        let key = blake3::hash(&serde_json::to_vec(&question)?).to_hex().to_string();
        if let Some(answer) = self.known.get(&key) {
            return Ok(answer.clone());
        }
        let answer = self.fresh(asked)?;
        let line = serde_json::to_string(&Kept { key: key.clone(), answer: answer.clone() })?;
        if let Some(file) = &mut self.file {
            file.write_all(format!("{line}\n").as_bytes()).context("cannot keep an answer")?;
        }
        self.known.insert(key, answer.clone());
        Ok(answer)
    }

    fn fresh(&mut self, asked: Asked<'_>) -> anyhow::Result<Completion> {
        let Spending { requests, tokens } = self.spent;
        if requests >= self.most.requests || tokens >= self.most.tokens {
            return Err(Spent { requests, tokens }.into());
        }
        let answer = self.with_logprobs_or_without(asked)?;
        self.spent.requests += 1;
        self.spent.tokens +=
            answer.prompt_tokens.unwrap_or(0) + answer.completion_tokens.unwrap_or(0);
        self.bar.inc(1);
        Ok(answer)
    }

    /// A server that refuses to tell log-probabilities is asked without them, from then on.
    fn with_logprobs_or_without(&mut self, asked: Asked<'_>) -> anyhow::Result<Completion> {
        let model = &mut self.models[asked.model];
        let plain = Request { top_logprobs: None, ..asked.request.clone() };
        if self.mute[asked.model] {
            return Ok(model.complete(&plain)?);
        }
        match model.complete(asked.request) {
            Err(CompleterError::Refused { status: 400 | 403 | 422, message, .. })
                if asked.request.top_logprobs.is_some() =>
            {
                let answer = model.complete(&plain)?;
                output::warn(&format!(
                    "{} tells no log-probabilities ({message}); chances are estimated from its answers, which takes more of them",
                    model.name()
                ));
                self.mute[asked.model] = true;
                Ok(answer)
            }
            other => Ok(other?),
        }
    }

    /// Removes what was kept on the way.
    fn forget(&mut self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if self.file.take().is_some() {
            std::fs::remove_file(&self.part)
                .with_context(|| format!("cannot remove {}", self.part.display()))?;
        }
        Ok(())
    }
}
