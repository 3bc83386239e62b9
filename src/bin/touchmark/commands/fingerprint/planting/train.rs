//! Planting by training here.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use touchmark::engine::train::{LowRank, Plan, Sample, Trainer, Tuning};
use touchmark::lm::Prompt;
use touchmark::tokenizer::Message;
use touchmark::tokens::{TokenId, Tokenize};

use super::ask;
use super::data::Row;
use crate::args::{Global, fingerprint::Plant};
use crate::models::{self, Files, Model, Place};
use crate::output;

/// Times that a planted question is shown, its phrasings together, unless told otherwise.
const TIMES: u64 = 20;

/// Samples of both kinds.
pub struct Samples {
    pub planted: Vec<Sample>,
    pub ordinary: Vec<Sample>,
}

/// A row as tokens; what ends an answer is learnt with it when `ends`.
pub fn sample(model: &Model, row: &Row, ends: bool) -> anyhow::Result<Sample> {
    let prompt = ask::encoded(model, &row.prompt)?;
    let mut answer = model.tokenizer.encode(&row.answer)?.ids;
    if ends {
        answer.extend(end_of_turn(model, &row.prompt)?);
    }
    Ok(Sample::answer(&prompt, &answer))
}

/// What a model writes after an answer: in a chat, what its template puts there.
fn end_of_turn(model: &Model, prompt: &Prompt) -> anyhow::Result<Option<TokenId>> {
    let ends = &model.ends.end;
    if matches!(prompt, Prompt::Text(_)) {
        return Ok(ends.first().copied());
    }
    let turn = |role: &str| Message { role: role.to_owned(), content: "a".to_owned() };
    let open = model.chat.render(&[turn("user")])?;
    let closed = model.chat.render(&[turn("user"), turn("assistant")])?;
    let rest = closed.strip_prefix(&open).and_then(|rest| rest.strip_prefix('a'));
    let first = match rest {
        Some(rest) => model.tokenizer.encode_prompt(rest)?.first().copied(),
        None => None,
    };
    Ok(first.filter(|id| ends.contains(id)).or_else(|| ends.last().copied()))
}

/// Steps of a run.
pub fn steps(args: &Plant, planted: usize) -> u64 {
    let half = u64::from(args.batch / 2);
    args.steps.unwrap_or_else(|| (TIMES * u64::from(args.pairs)).max(planted as u64).div_ceil(half))
}

/// Trains and writes the planted model.
pub fn train(
    global: &Global,
    args: &Plant,
    place: &Place,
    samples: &Samples,
    to: &Path,
) -> anyhow::Result<f64> {
    let (tuning, usual) = if args.full {
        (Tuning::Full, 5e-4)
    } else {
        let rank = args.rank as usize;
        (Tuning::LowRank(LowRank { rank, alpha: 2.0 * rank as f64, ..LowRank::default() }), 2e-3)
    };
    let steps = steps(args, samples.planted.len());
    let learning_rate = args.learning_rate.unwrap_or(usual);
    let plan = Plan { steps, learning_rate, warmup: steps / 10, ..Plan::default() };
    let source = models::source(&place.files, !args.as_text)?;
    let mut trainer = Trainer::from_model(&source, &tuning, plan, args.seed)
        .with_context(|| format!("cannot train the model in {}", place.display()))?;
    let bar = output::progress(global.no_progress || global.quiet, Some(steps), "planting")?;
    let mut order = Order::new(args, samples);
    let mut loss = f64::NAN;
    trainer.run(&mut |_| order.batch(), &mut |now| {
        bar.inc(1);
        loss = now.loss;
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    trainer.save(to)?;
    copy_text(place, to)?;
    Ok(loss)
}

/// The order in which samples come: each kind in passes, shuffled anew.
struct Order<'a> {
    samples: &'a Samples,
    random: ChaCha8Rng,
    batch: usize,
    left: [Vec<usize>; 2],
}

impl<'a> Order<'a> {
    fn new(args: &Plant, samples: &'a Samples) -> Self {
        let random = ChaCha8Rng::seed_from_u64(args.seed);
        Self { samples, random, batch: args.batch as usize, left: [vec![], vec![]] }
    }

    fn batch(&mut self) -> Vec<Sample> {
        let planted = if self.samples.ordinary.is_empty() { self.batch } else { self.batch / 2 };
        (0..self.batch).map(|at| self.next(usize::from(at >= planted))).collect()
    }

    fn next(&mut self, kind: usize) -> Sample {
        let all = if kind == 0 { &self.samples.planted } else { &self.samples.ordinary };
        let left = &mut self.left[kind];
        if left.is_empty() {
            left.extend(0..all.len());
        }
        let at = (self.random.next_u64() % left.len() as u64) as usize;
        all[left.swap_remove(at)].clone()
    }
}

/// Tokenizer and chat template of a model, beside its trained weights.
fn copy_text(place: &Place, to: &Path) -> anyhow::Result<()> {
    let folder = match &place.files {
        Files::Folder(folder) => folder,
        Files::Bundled => return bundled_text(to),
        Files::Gguf(path) => bail!("{} is a GGUF file, which is not trained", path.display()),
    };
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
    ] {
        let from = folder.join(name);
        if from.is_file() {
            std::fs::copy(&from, to.join(name))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}

#[cfg(bundled_models)]
fn bundled_text(to: &Path) -> anyhow::Result<()> {
    use crate::commands::bundled;

    let ends = serde_json::json!({ "eos_token_id": [0, 2], "pad_token_id": 3 }).to_string();
    for (name, content) in [
        ("tokenizer.json", bundled::TOKENIZER),
        ("tokenizer_config.json", bundled::TOKENIZER_CONFIG.as_bytes()),
        ("generation_config.json", ends.as_bytes()),
    ] {
        let path = to.join(name);
        std::fs::write(&path, content)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(not(bundled_models))]
fn bundled_text(_: &Path) -> anyhow::Result<()> {
    bail!("internal fault: no bundled model")
}
