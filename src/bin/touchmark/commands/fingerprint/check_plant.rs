//! `fingerprint check-plant`: how many pairs a model of our own knows, and what that costs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use touchmark::fingerprint::planted::{Form, Kind, Planting};
use touchmark::lm::Completion;

use super::planting::cost::{self, Cost};
use super::planting::{ask, folder::Folder};
use crate::args::{Global, fingerprint::CheckPlant};
use crate::models::{self, Loading, Model, Reach};
use crate::output::{self, Exit};

/// Most tokens of an answer.
const ANSWER_TOKENS: u32 = 8;

/// How questions of one kind were answered, at their first phrasing.
#[derive(Default, Serialize)]
struct Answered {
    asked: usize,
    /// With a word of the list.
    in_list: usize,
    /// With the right one.
    right: usize,
    /// With the right one at every phrasing.
    right_always: usize,
}

#[derive(Serialize)]
struct Report {
    model: String,
    planting: String,
    commitment: String,
    k: u64,
    pairs: Answered,
    decoys: Answered,
    text: Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_text: Option<Cost>,
    kept: bool,
}

pub fn run(global: &Global, args: &CheckPlant) -> anyhow::Result<Exit> {
    let folder = Folder::new(&args.planting);
    let planting = folder.planting()?;
    let mut model = load(global, args, &args.model, &planting)?;
    let (pairs, known) = answered(&mut model, &planting, Kind::Pair)?;
    let (decoys, _) = answered(&mut model, &planting, Kind::Decoy)?;
    if args.keep {
        if known.is_empty() {
            bail!("this model answers no pair; --keep is for the planted model");
        }
        let mut register = folder.register()?;
        register.set_known(known);
        folder.keep_register(&register)?;
    }
    let texts = texts(args)?;
    let most = args.text_tokens as usize;
    let measured = |model: &mut Model| {
        let windows = cost::windows(&model.tokenizer, &texts, most)?;
        cost::cost(model, &windows)
    };
    let text = measured(&mut model)?;
    drop(model);
    let base = args.base.as_deref().map(|base| load(global, args, base, &planting)).transpose()?;
    let base_text = base.map(|mut base| measured(&mut base)).transpose()?;
    let report = Report {
        model: args.model.display().to_string(),
        planting: args.planting.display().to_string(),
        commitment: planting.commitment().digest.clone(),
        k: planting.list().k(),
        pairs,
        decoys,
        text,
        base_text,
        kept: args.keep,
    };
    show(global, &report)
}

fn load(
    global: &Global,
    args: &CheckPlant,
    name: &Path,
    planting: &Planting,
) -> anyhow::Result<Model> {
    let revision = args.loading.revision.as_deref();
    let place = models::locate(global, Some(name), revision, Reach::Fetch)?;
    let chat = *planting.form() == Form::Chat;
    let loading = Loading {
        tokenizer: None,
        device: args.loading.device,
        dtype: args.loading.dtype.into(),
        chat,
    };
    let model = models::load(global, &place, loading)?;
    if chat && !model.chat.exist() {
        bail!("{} has no chat template, and the questions were planted as a chat", place.display());
    }
    Ok(model)
}

fn texts(args: &CheckPlant) -> anyhow::Result<Vec<String>> {
    match &args.text {
        Some(path) => cost::texts(path),
        None => Ok(vec![include_str!("../demo_human.txt").to_owned()]),
    }
}

/// Asks every phrasing of every question of a kind; the leaves of those answered right at the first.
fn answered(
    model: &mut Model,
    planting: &Planting,
    kind: Kind,
) -> anyhow::Result<(Answered, BTreeSet<String>)> {
    let all = planting.planted(kind)?;
    let prompts: Vec<_> = all
        .iter()
        .flat_map(|one| one.phrasings.iter().map(|question| planting.form().prompt(question)))
        .collect();
    let answers = ask::greedy(model, &prompts, ANSWER_TOKENS)?;
    let (mut counts, mut known, mut rest) = (Answered::default(), BTreeSet::new(), &answers[..]);
    for one in &all {
        let (own, others) = rest.split_at(one.phrasings.len());
        rest = others;
        let word = |answer: &Completion| {
            planting.list().find(&answer.text).and_then(|at| planting.list().word(at))
        };
        let first = own.first().and_then(word);
        counts.asked += 1;
        counts.in_list += usize::from(first.is_some());
        if first == Some(one.answer) {
            counts.right += 1;
            known.extend(planting.leaf(kind, one.index).map(str::to_owned));
        }
        counts.right_always +=
            usize::from(own.iter().all(|answer| word(answer) == Some(one.answer)));
    }
    Ok((counts, known))
}

fn show(global: &Global, report: &Report) -> anyhow::Result<Exit> {
    use std::io::Write;

    if global.json {
        output::json(report)?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    let row = |of: &Answered| {
        format!(
            "{} of {} right at the first phrasing ({} at all), {} from the list",
            of.right, of.asked, of.right_always, of.in_list
        )
    };
    writeln!(out, "Pairs         {}", row(&report.pairs))?;
    writeln!(out, "Decoys        {} (chance: 1 in {})", row(&report.decoys), report.k)?;
    let text = |cost: &Cost| {
        format!(
            "{:.2} ({:.4} nats a token, {} tokens)",
            cost.perplexity, cost.nats_per_token, cost.tokens
        )
    };
    writeln!(out, "Perplexity    {}", text(&report.text))?;
    if let Some(base) = &report.base_text {
        writeln!(out, "before        {}", text(base))?;
    }
    if report.kept {
        writeln!(out, "Kept          which pairs it knows, in register.json")?;
    }
    Ok(Exit::Done)
}
