//! `touchmark bench run`: from a plan to results.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use touchmark::attack::Thesaurus;
use touchmark::attribution::Attribution;
use touchmark::bench::{Bench, Machine, MadeWith, Measured, Plan, PromptsPlan, Weights};
use touchmark::corpus::{Content, Fields, Reading, documents, sources};
use touchmark::fingerprint::lineup::{Row, tables};
use touchmark::lm::LanguageModel;
use touchmark::tokenizer::Message;
use touchmark::tokens::{TokenId, Tokenize};

use super::kept::Folder;
use super::table;
use crate::args::{BenchRun, Global};
use crate::commands::attack::thesaurus;
use crate::commands::{attribute, fingerprint::lineup};
use crate::interrupt;
use crate::models::{self, Model};
use crate::output::Exit;
use crate::whole_file;

pub fn run(global: &Global, args: &BenchRun) -> anyhow::Result<Exit> {
    let named = || format!("{} is no plan", args.plan.display());
    let text = std::fs::read_to_string(&args.plan)
        .with_context(|| format!("cannot read {}", args.plan.display()))?;
    let plan: Plan = toml::from_str(&text).with_context(named)?;
    plan.check().with_context(named)?;
    let beside = args.plan.parent().unwrap_or_else(|| Path::new(""));
    let (human, human_hash) = texts(&beside.join(&plan.human), &plan.human_field)
        .context("the human text of the plan")?;
    if let Some(wanted) = &plan.human_blake3 {
        ensure!(
            wanted.eq_ignore_ascii_case(&human_hash),
            "{} has BLAKE3 {human_hash}, not that of the plan, {wanted}: numbers of another text are not comparable",
            plan.human
        );
    }
    let (lineup, attributions) = beside_it(&plan, beside)?;
    let loader = Loader { global, args, beside };
    let thesaurus = loader.thesaurus(&plan)?;
    let (mut model, model_name) = loader.load(&plan.model)?;
    let (prompts, prompts_hash) = plan
        .prompts
        .as_ref()
        .map(|prompts| loader.prompts(prompts, &model))
        .transpose()
        .context("the prompts of the plan")?
        .unzip();
    let mut judge = plan.judge.as_deref().map(|name| loader.load(name)).transpose()?;
    let made_with = MadeWith {
        model: model_name,
        judge: judge.as_ref().map(|(_, name)| name.clone()),
        tokenizer: model.tokenizer.hash().to_string(),
        human: human_hash,
        human_texts: human.len(),
        prompts: prompts_hash,
    };
    let mut folder = Folder::open(global, &args.output, &plan, &made_with)?;
    let judge = judge.as_mut().map(|(judge, _)| {
        (judge.lm.as_mut() as &mut dyn LanguageModel, &judge.tokenizer as &dyn Tokenize)
    });
    let mut bench = Bench {
        plan: &plan,
        model: model.lm.as_mut(),
        tokenizer: &model.tokenizer,
        judge,
        human: &human,
        prompts: prompts.as_deref(),
        thesaurus: &thesaurus,
    };
    interrupt::end_cleanly(
        "; the texts written so far are kept, and the same command goes on".to_owned(),
    );
    let results = bench.run(&mut folder)?;
    folder.done();
    let measured = Measured {
        schema: Measured::SCHEMA,
        touchmark: env!("CARGO_PKG_VERSION").to_owned(),
        plan,
        made_with,
        machine: here(global),
        results,
        lineup,
        attributions,
    };
    whole_file::write_json(&args.output.join("results.json"), &measured)?;
    std::io::stdout().write_all(table::summary(&measured.results).as_bytes())?;
    Ok(Exit::Done)
}

/// What other commands found, to stand beside what is measured here.
fn beside_it(plan: &Plan, beside: &Path) -> anyhow::Result<(Vec<Row>, Vec<Attribution>)> {
    let mut rows = Vec::new();
    if let Some(path) = &plan.lineup {
        rows = lineup::rows(&beside.join(path))?;
        // Some rows are of no line-up that could be shown.
        tables(&rows).with_context(|| path.clone())?;
    }
    let results = plan.attributions.iter();
    let results = results.map(|path| attribute::report::read(&beside.join(path)));
    Ok((rows, results.collect::<anyhow::Result<_>>()?))
}

/// Most texts that are read: a shard of a web corpus has hundreds of thousands.
const MOST_TEXTS: usize = 10_000;

/// The first texts of a file, and the hash of all of it.
fn texts(path: &Path, field: &str) -> anyhow::Result<(Vec<String>, String)> {
    let hash = models::file_hash(path)?.to_hex().to_string();
    let mut texts = Vec::new();
    let fields = Fields { text: field.to_owned(), ..Fields::default() };
    let reading = Reading { fields, ..Reading::default() };
    for document in documents(sources(vec![path.to_owned()], None), reading).take(MOST_TEXTS) {
        match document?.content {
            Content::Text(text) => texts.push(text),
            Content::Tokens(_) => bail!("{} holds token ids, not text", path.display()),
        }
    }
    Ok((texts, hash))
}

/// Loads what a plan names. Paths are meant from the plan's folder.
struct Loader<'a> {
    global: &'a Global,
    args: &'a BenchRun,
    beside: &'a Path,
}

impl Loader<'_> {
    /// A model's path, or its name where there is no such path.
    fn place(&self, model: &str) -> PathBuf {
        let beside = Some(self.beside.join(model)).filter(|path| path.exists());
        beside.unwrap_or_else(|| model.into())
    }

    /// The words of like meaning that a plan names, or the short list.
    fn thesaurus(&self, plan: &Plan) -> anyhow::Result<Thesaurus> {
        match (&plan.neighbours, &plan.thesaurus) {
            (Some(model), _) => models::neighbours(self.global, &self.place(model)),
            (None, Some(path)) => thesaurus(&self.beside.join(path)),
            (None, None) => Ok(Thesaurus::bundled().clone()),
        }
    }

    /// What a model reads of each prompt, and the hash of their file.
    fn prompts(
        &self,
        plan: &PromptsPlan,
        model: &Model,
    ) -> anyhow::Result<(Vec<Vec<TokenId>>, String)> {
        let (texts, hash) = texts(&self.beside.join(&plan.file), &plan.field)?;
        let Model { tokenizer, begin, chat, .. } = model;
        let read = |text: &String| -> anyhow::Result<Vec<TokenId>> {
            if plan.chat {
                let asked = Message { role: "user".to_owned(), content: text.clone() };
                return Ok(tokenizer.encode_prompt(&chat.render(&[asked])?)?);
            }
            Ok([begin.as_slice(), &tokenizer.encode(text)?.ids].concat())
        };
        Ok((texts.iter().map(read).collect::<anyhow::Result<_>>()?, hash))
    }

    /// A model, and its name with the hash of its weights.
    fn load(&self, name: &str) -> anyhow::Result<(Model, Weights)> {
        let path = self.place(name);
        let revision = self.args.loading.revision.as_deref();
        let (place, chat) = models::named(self.global, &path, revision)?;
        let loading = models::Loading {
            tokenizer: None,
            device: self.args.loading.device,
            dtype: self.args.loading.dtype.into(),
            chat,
        };
        let hash = models::weights_hash(&place.files, chat)?;
        let model = models::load(self.global, &place, loading)?;
        Ok((model, Weights { name: place.name, blake3: hash }))
    }
}

fn here(global: &Global) -> Machine {
    Machine {
        os: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        processor: processor().unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, Into::into),
        threads: global.threads,
    }
}

/// As Linux names it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).to_owned())
}
