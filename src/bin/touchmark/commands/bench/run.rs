//! `touchmark bench run`: from a plan to results.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use touchmark::bench::{Bench, Machine, MadeWith, Measured, Plan, Weights};
use touchmark::corpus::{Content, Fields, Reading, documents, sources};
use touchmark::lm::LanguageModel;
use touchmark::tokens::Tokenize;

use super::kept::Folder;
use super::table;
use crate::args::{BenchRun, Global};
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
    let (human, human_hash) = human(&beside.join(&plan.human), &plan.human_field)?;
    if let Some(wanted) = &plan.human_blake3 {
        ensure!(
            wanted.eq_ignore_ascii_case(&human_hash),
            "{} has BLAKE3 {human_hash}, not that of the plan, {wanted}: numbers of another text are not comparable",
            plan.human
        );
    }
    let loader = Loader { global, args, beside };
    let (mut model, model_name) = loader.load(&plan.model)?;
    let mut judge = plan.judge.as_deref().map(|name| loader.load(name)).transpose()?;
    let made_with = MadeWith {
        model: model_name,
        judge: judge.as_ref().map(|(_, name)| name.clone()),
        tokenizer: model.tokenizer.hash().to_string(),
        human: human_hash,
        human_texts: human.len(),
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
    };
    whole_file::write_json(&args.output.join("results.json"), &measured)?;
    std::io::stdout().write_all(table::summary(&measured.results).as_bytes())?;
    Ok(Exit::Done)
}

/// Most texts that are read: a shard of a web corpus has hundreds of thousands.
const MOST_TEXTS: usize = 10_000;

/// The first texts of a file, and the hash of all of it.
fn human(path: &Path, field: &str) -> anyhow::Result<(Vec<String>, String)> {
    let hash = models::file_hash(path).context("the human text of the plan")?.to_hex().to_string();
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

/// Loads the models of a plan.
struct Loader<'a> {
    global: &'a Global,
    args: &'a BenchRun,
    beside: &'a Path,
}

impl Loader<'_> {
    /// A model, and its name with the hash of its weights. A path is meant from the plan's folder.
    fn load(&self, name: &str) -> anyhow::Result<(Model, Weights)> {
        let beside = Some(self.beside.join(name)).filter(|path| path.exists());
        let path = beside.unwrap_or_else(|| name.into());
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
