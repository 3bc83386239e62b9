//! `touchmark generate`: write marked text.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use touchmark::corpus::record_id;
use touchmark::generate::{Answer, Ends, FinishReason, Output, Request, generate};
use touchmark::keys::TenantName;
use touchmark::sampling::Sampling;
use touchmark::store::Store;
use touchmark::tokenizer::{HfTokenizer, Message};
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Unmarked, Watermark};

use crate::args::{self, Global};
use crate::assemble;
use crate::models::{self, Model, Reach};
use crate::output::{self, Exit};

/// A prompt as read.
struct Prompt {
    id: String,
    ids: Vec<TokenId>,
    /// As it came, to be written back.
    given: Given,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Given {
    Text { prompt: String },
    Chat { messages: Vec<Message> },
}

/// One answer as written.
#[derive(Serialize)]
struct Row<'a> {
    id: String,
    #[serde(flatten)]
    given: &'a Given,
    text: &'a str,
    ids: &'a [TokenId],
    profile: Option<&'a str>,
    /// The tenant whose key was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a TenantName>,
    /// Steps that carry the mark.
    marked: usize,
    /// Steps that do not, by reason.
    skipped: &'a BTreeMap<Unmarked, usize>,
    finish_reason: FinishReason,
    seed: u64,
    /// The message, hexadecimal, of a mark that carries one.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

pub fn run(global: &Global, args: &args::Generate) -> anyhow::Result<Exit> {
    let store = assemble::store(global)?;
    let sampling = sampling(args)?;
    sampling.check()?;
    if args.max_tokens == 0 {
        bail!("--max-tokens is 0; ask for at least one token");
    }
    let revision = args.loading.revision.as_deref();
    let place = models::locate(global, args.model.as_deref(), revision, Reach::Fetch)?;
    let loading = models::Loading {
        tokenizer: args.tokenizer.as_deref(),
        device: args.loading.device,
        dtype: args.loading.dtype.into(),
        chat: args.chat,
    };
    let mut model = models::load(global, &place, loading)?;
    if args.ignore_eos {
        model.ends.never = [model.ends.end.as_slice(), model.tokenizer.special_ids()].concat();
    }
    let mark = mark(global, args, &store, &model)?;
    let prompts = prompts(args, &model)?;
    let jobs = jobs(args, &prompts, sampling);
    Writer { global, args, mark: &mark, sampling }.write(&mut model, jobs)
}

/// The profile's name and its watermark; nothing with `--no-watermark`.
fn mark(
    global: &Global,
    args: &args::Generate,
    store: &Store,
    model: &Model,
) -> anyhow::Result<Option<(String, Watermark)>> {
    if args.no_watermark {
        return Ok(None);
    }
    let profile = match &args.profile {
        Some(name) => assemble::profile(store, name)?,
        None => assemble::default_profile(global, store, || Ok(model.tokenizer_source.clone()))?,
    };
    if let Some(retired) = profile.retired {
        bail!("profile \"{}\" was retired on {retired}; mark with another one", profile.id);
    }
    if store.key_info(&profile.key_id)?.retired.is_some() {
        bail!(
            "key \"{}\" of profile \"{}\" is retired; mark with another one",
            profile.key_id,
            profile.id
        );
    }
    assemble::check_tokenizer(&profile, &model.tokenizer)?;
    let vocab_size = model.lm.vocab_size();
    if profile.tokenizer.vocab_size as usize != vocab_size {
        bail!(
            "profile \"{}\" is for logits of width {}, the model's have width {vocab_size}",
            profile.id,
            profile.tokenizer.vocab_size
        );
    }
    let watermark = assemble::watermark(store, &profile, args.tenant.as_ref(), &model.tokenizer)
        .with_context(|| format!("profile \"{}\"", profile.id))?;
    check_payload(args, &profile.id, &watermark)?;
    Ok(Some((profile.id, watermark)))
}

/// A message for a mark that carries none is refused, and so is a mark that carries messages without one: message 0 would
/// name somebody.
fn check_payload(
    args: &args::Generate,
    profile: &str,
    watermark: &Watermark,
) -> anyhow::Result<()> {
    match (watermark.payload_bits(), args.payload) {
        (None, None) => {}
        (Some(bits), None) => {
            bail!("profile \"{profile}\" carries messages of {bits} bits; say which with --payload")
        }
        (_, Some(message)) => {
            watermark
                .embedder(&[])
                .with_message(message)
                .with_context(|| format!("--payload with profile \"{profile}\""))?;
        }
    }
    Ok(())
}

fn sampling(args: &args::Generate) -> anyhow::Result<Sampling> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => random_seed()?,
    };
    let args::Generate { temperature, top_k, top_p, min_p, repetition_penalty, .. } = *args;
    Ok(Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
        repetition_penalty,
        seed,
        ..Sampling::default()
    })
}

/// A seed that is small enough to be typed again.
fn random_seed() -> anyhow::Result<u64> {
    let salt = touchmark::keys::Salt::generate()?;
    Ok(u64::from(u32::from_le_bytes([salt.0[0], salt.0[1], salt.0[2], salt.0[3]])))
}

fn prompts(args: &args::Generate, model: &Model) -> anyhow::Result<Vec<Prompt>> {
    if let Some(prompt) = &args.prompt {
        let given = if args.chat {
            let system = args
                .system
                .iter()
                .map(|text| Message { role: "system".into(), content: text.clone() });
            let user = Message { role: "user".into(), content: prompt.clone() };
            Given::Chat { messages: system.chain([user]).collect() }
        } else {
            Given::Text { prompt: prompt.clone() }
        };
        return Ok(vec![encode("1".to_owned(), given, model)?]);
    }
    let path = args.prompts.as_deref().context("internal fault: neither --prompt nor --prompts")?;
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
    };
    let mut prompts = Vec::new();
    let mut names = HashSet::new();
    for (number, line) in (1..).zip(BufReader::new(reader).lines()) {
        let at = || format!("{}, line {number}", path.display());
        let line = line.with_context(at)?;
        if line.trim().is_empty() {
            continue;
        }
        let prompt = parse(&line, number, model).with_context(at)?;
        if !names.insert(prompt.id.clone()) {
            bail!("{}: the id \"{}\" was there before; ids tell answers apart", at(), prompt.id);
        }
        prompts.push(prompt);
    }
    Ok(prompts)
}

fn parse(line: &str, number: u64, model: &Model) -> anyhow::Result<Prompt> {
    let record: serde_json::Value = serde_json::from_str(line).context("not JSON")?;
    let id = record_id(&record["id"], number);
    let given: Given = serde_json::from_value(record)
        .ok()
        .context("a prompt needs `prompt` (text) or `messages` (a list of role and content)")?;
    encode(id, given, model)
}

fn encode(id: String, given: Given, model: &Model) -> anyhow::Result<Prompt> {
    let ids = match &given {
        Given::Text { prompt } => {
            [model.begin.as_slice(), &model.tokenizer.encode(prompt)?.ids].concat()
        }
        Given::Chat { messages } => model.tokenizer.encode_prompt(&model.chat.render(messages)?)?,
    };
    // Before anything is written, rather than in the middle of a long run.
    let window = model.lm.max_positions();
    if ids.len() > window {
        bail!(
            "prompt \"{id}\" has {} tokens and does not fit the model's window of {window}; shorten it",
            ids.len()
        );
    }
    Ok(Prompt { id, ids, given })
}

/// One answer to be written.
struct Job<'a> {
    id: String,
    given: &'a Given,
    request: Request,
}

fn jobs<'a>(args: &args::Generate, prompts: &'a [Prompt], sampling: Sampling) -> Vec<Job<'a>> {
    let answers = prompts
        .iter()
        .enumerate()
        .flat_map(|(number, prompt)| (0..args.n).map(move |k| (number, prompt, k)));
    let jobs = answers.map(|(number, prompt, k)| Job {
        id: if args.n == 1 { prompt.id.clone() } else { format!("{}-{}", prompt.id, k + 1) },
        given: &prompt.given,
        request: Request {
            prompt: prompt.ids.clone(),
            max_tokens: args.max_tokens,
            sampling,
            stream: number as u64 * u64::from(args.n) + u64::from(k),
            stop: args.stop.clone(),
        },
    });
    jobs.collect()
}

struct Writer<'a> {
    global: &'a Global,
    args: &'a args::Generate,
    mark: &'a Option<(String, Watermark)>,
    sampling: Sampling,
}

impl<'a> Writer<'a> {
    fn watermark(&self) -> Option<&'a Watermark> {
        self.mark.as_ref().map(|(_, watermark)| watermark)
    }

    /// The message as rows have it.
    fn payload(&self) -> Option<String> {
        self.args.payload.map(|message| format!("{message:#x}"))
    }

    fn profile(&self) -> Option<&'a str> {
        self.mark.as_ref().map(|(profile, _)| profile.as_str())
    }

    fn write(&self, model: &mut Model, mut jobs: Vec<Job<'_>>) -> anyhow::Result<Exit> {
        let mut file =
            self.args.output.as_deref().map(|path| self.resume(path, &mut jobs)).transpose()?;
        if file.is_none() && self.args.prompt.is_some() && jobs.len() == 1 && !self.global.json {
            return self.stream(model, &jobs[0]);
        }
        let Model { lm, tokenizer, ends, .. } = model;
        let watermark = self.watermark();
        let answers = jobs
            .iter()
            .map(|job| begin(job, watermark, self.args.payload, tokenizer, ends))
            .collect::<anyhow::Result<_>>()?;
        let bar = output::progress(
            self.global.no_progress || self.global.quiet,
            Some(jobs.len() as u64),
            "writing",
        )?;
        let mut failed = Ok(());
        generate(
            lm.as_mut(),
            answers,
            self.args.batch,
            &mut |_, _| Ok(()),
            &mut |index, answer| {
                bar.inc(1);
                failed = self.row(&jobs[index], &answer, file.as_mut());
                if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )?;
        bar.finish_and_clear();
        failed?;
        Ok(Exit::Done)
    }

    /// One answer, on the terminal as it grows.
    fn stream(&self, model: &mut Model, job: &Job<'_>) -> anyhow::Result<Exit> {
        let mut out = anstream::stdout();
        let Model { lm, tokenizer, ends, .. } = model;
        let watermark = self.watermark();
        let answer = begin(job, watermark, self.args.payload, tokenizer, ends)?;
        let (mut written, mut summary) = (Ok(()), String::new());
        let mut show = |text: &str| write!(out, "{text}").and_then(|()| out.flush());
        generate(
            lm.as_mut(),
            vec![answer],
            1,
            &mut |_, answer| {
                written = show(answer.take_text());
                Ok(())
            },
            &mut |_, answer| {
                summary = self.summary(&answer);
                ControlFlow::Continue(())
            },
        )?;
        written?;
        writeln!(anstream::stdout())?;
        output::note(self.global.quiet, &summary);
        Ok(Exit::Done)
    }

    fn summary(&self, answer: &Output) -> String {
        let Some((profile, _)) = self.mark else {
            return format!(
                "{} tokens, without a mark; seed {}",
                answer.ids.len(),
                self.sampling.seed
            );
        };
        let why = answer
            .unmarked
            .iter()
            .map(|(reason, count)| format!(", {count} unmarked ({})", describe(*reason)));
        let why: String = why.collect();
        format!(
            "{} tokens, {} marked with profile \"{profile}\"{why}; seed {}",
            answer.ids.len(),
            answer.marked,
            self.sampling.seed
        )
    }

    fn row(&self, job: &Job<'_>, answer: &Output, file: Option<&mut File>) -> anyhow::Result<()> {
        let row = Row {
            id: job.id.clone(),
            given: job.given,
            text: &answer.text,
            ids: &answer.ids,
            profile: self.profile(),
            tenant: self.args.tenant.as_ref(),
            marked: answer.marked,
            skipped: &answer.unmarked,
            finish_reason: answer.finish_reason,
            seed: self.sampling.seed,
            payload: self.payload(),
        };
        // One write a row, so that a kill leaves at most one torn line at the end.
        let line = format!("{}\n", serde_json::to_string(&row)?);
        match file {
            Some(file) => file.write_all(line.as_bytes())?,
            None => anstream::stdout().write_all(line.as_bytes())?,
        }
        Ok(())
    }

    /// Opens the output, drops a torn last line, and leaves out the jobs whose rows are there.
    fn resume(&self, path: &Path, jobs: &mut Vec<Job<'_>>) -> anyhow::Result<File> {
        let context = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(context)?;
        let mut content = String::new();
        file.read_to_string(&mut content).with_context(context)?;
        let whole = content.rfind('\n').map_or(0, |end| end + 1);
        let mine = self.profile();
        let mut there = HashSet::new();
        for (number, line) in (1..).zip(content[..whole].lines()) {
            let row: Existing = serde_json::from_str(line).with_context(|| {
                format!(
                    "{}, line {number} is not a row of `generate`; choose another file",
                    path.display()
                )
            })?;
            if row.profile.as_deref() != mine {
                bail!(
                    "{} holds answers of profile {:?}, not {mine:?}; choose another file",
                    path.display(),
                    row.profile
                );
            }
            if row.tenant != self.args.tenant {
                bail!(
                    "{} holds answers of another tenant, or of none; choose another file",
                    path.display()
                );
            }
            if row.payload != self.payload() {
                bail!(
                    "{} holds answers with payload {:?}, not {:?}; choose another file",
                    path.display(),
                    row.payload,
                    self.payload()
                );
            }
            there.insert(row.id);
        }
        file.set_len(whole as u64)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .with_context(context)?;
        let before = jobs.len();
        jobs.retain(|job| !there.contains(&job.id));
        if jobs.len() < before {
            output::note(
                self.global.quiet,
                &format!("{} of {before} answers are there already", before - jobs.len()),
            );
        }
        Ok(file)
    }
}

fn begin<'a>(
    job: &'a Job<'_>,
    watermark: Option<&'a Watermark>,
    payload: Option<u64>,
    tokenizer: &'a HfTokenizer,
    ends: &'a Ends,
) -> anyhow::Result<Answer<'a>> {
    let answer = Answer::new(&job.request, watermark, tokenizer, ends);
    let answer = answer.and_then(|answer| match payload {
        Some(message) => answer.with_message(message),
        None => Ok(answer),
    });
    answer.with_context(|| format!("prompt \"{}\"", job.id))
}

/// What resuming needs of a row.
#[derive(Deserialize)]
struct Existing {
    id: String,
    profile: Option<String>,
    #[serde(default)]
    tenant: Option<TenantName>,
    #[serde(default)]
    payload: Option<String>,
    #[serde(rename = "marked")]
    _marked: usize,
}

fn describe(reason: Unmarked) -> &'static str {
    match reason {
        Unmarked::Start => "start of the answer",
        Unmarked::Repeated => "repeated context",
        Unmarked::LowEntropy => "the model was certain",
        Unmarked::NoChoice => "no choice left; greedy or truncated to one token",
    }
}
