//! `fingerprint plant`: secret questions and answers, and a model that knows them.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::fingerprint::planted::{AnswerList, Form, PlantError, Planting, questions};
use touchmark::keys::Key;

use super::planting::data::{self, Row};
use super::planting::folder::Folder;
use crate::args::{Global, fingerprint::Plant};
use crate::models::{self, Loading, Model, Place, Reach};
use crate::output::{self, Exit};

/// Further questions whose answers stay as they are, for each pair.
const OTHERS: usize = 2;

/// What was made.
#[derive(Serialize)]
struct Report {
    planting: String,
    commitment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<String>,
    pairs: u32,
    decoys: u32,
    k: u64,
    form: Form,
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<f64>,
}

/// A planting and the questions that keep the rest as it is.
struct Made {
    planting: Planting,
    others: Vec<Vec<String>>,
}

pub fn run(global: &Global, args: &Plant) -> anyhow::Result<Exit> {
    check_training(args)?;
    let place = place(global, args)?;
    let mut model = place.as_ref().map(|place| load(global, args, place)).transpose()?;
    let form = match &model {
        Some(model) if !args.as_text && !model.chat.exist() => {
            output::note(global.quiet, "This model has no chat template; questions go as text");
            Form::text()
        }
        _ if args.as_text => Form::text(),
        _ => Form::Chat,
    };
    let folder = Folder::new(&args.output);
    let made = planting(args, &folder, form)?;
    let mut report = report(args, &made);
    if made.planting.awaits().is_none() {
        plant(global, args, &folder, &made, place.as_ref(), model.as_mut(), &mut report)?;
    }
    show(global, args, &report)
}

#[cfg(feature = "train")]
fn check_training(_: &Plant) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(not(feature = "train"))]
fn check_training(args: &Plant) -> anyhow::Result<()> {
    if !args.data_only {
        bail!("this build cannot train; build it with --features train, or give --data-only");
    }
    Ok(())
}

/// The model to train, or whose answers shall be kept; none where only data are wanted of none.
fn place(global: &Global, args: &Plant) -> anyhow::Result<Option<Place>> {
    if args.announce.is_some() || (args.data_only && args.model.is_none()) {
        return Ok(None);
    }
    let revision = args.loading.revision.as_deref();
    models::locate(global, args.model.as_deref(), revision, Reach::Fetch).map(Some)
}

fn load(global: &Global, args: &Plant, place: &Place) -> anyhow::Result<Model> {
    let loading = Loading {
        tokenizer: None,
        device: args.loading.device,
        dtype: args.loading.dtype.into(),
        chat: !args.as_text,
    };
    models::load(global, place, loading)
}

/// The planting in the folder, gone on with, or a new one.
fn planting(args: &Plant, folder: &Folder, form: Form) -> anyhow::Result<Made> {
    if !folder.exists() {
        if args.again || args.beacon.is_some() {
            bail!(
                "{} holds no planting; leave --again and --beacon out to make one",
                args.output.display()
            );
        }
        return new_planting(args, folder, form);
    }
    let mut planting = folder.planting()?;
    if let Some(value) = &args.beacon {
        planting.set_beacon(value.clone())?;
        folder.replace(&planting)?;
    } else if !args.again {
        bail!(
            "{} holds a planting already; name another folder, or train on it with --again",
            args.output.display()
        );
    }
    let count = OTHERS * planting.commitment().pairs as usize;
    Ok(Made { others: questions(&Key::generate()?, "others", count, 1)?, planting })
}

fn new_planting(args: &Plant, folder: &Folder, form: Form) -> anyhow::Result<Made> {
    let list = match &args.answers {
        Some(path) => {
            AnswerList::new(lines(path)?).with_context(|| format!("in {}", path.display()))?
        }
        None => AnswerList::common(args.list_size as usize)?,
    };
    let master = Key::generate()?;
    let (pairs, decoys) = (args.pairs as usize, args.decoys as usize);
    let mut all = match &args.questions {
        Some(path) => own_questions(path)?,
        None => {
            let count = pairs * (1 + OTHERS) + decoys;
            questions(&master, "planting", count, args.phrasings as usize)?
        }
    };
    if all.len() < pairs + decoys {
        return Err(PlantError::TooFewQuestions { wanted: pairs + decoys, known: all.len() }.into());
    }
    let others = all.split_off(pairs + decoys);
    let decoys = all.split_off(pairs);
    let planting = Planting::new(master, list, form, args.announce.clone(), [all, decoys])?;
    folder.create(&planting)?;
    Ok(Made { planting, others })
}

/// The lines of a file that are not empty.
fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

fn own_questions(path: &Path) -> anyhow::Result<Vec<Vec<String>>> {
    let phrasings = |line: &String| {
        let each = line.split('\t').map(str::trim).filter(|text| !text.is_empty());
        each.map(str::to_owned).collect()
    };
    Ok(lines(path)?.iter().map(phrasings).collect())
}

/// Writes the training data and trains.
fn plant(
    global: &Global,
    args: &Plant,
    folder: &Folder,
    made: &Made,
    place: Option<&Place>,
    model: Option<&mut Model>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let planted = data::planted(&made.planting)?;
    let texts =
        args.text.as_deref().map(super::planting::cost::texts).transpose()?.unwrap_or_default();
    let mut rows = planted.clone();
    match (place, model) {
        (Some(place), Some(model)) => {
            let kept = kept(args, made, model)?;
            rows.extend(kept.iter().cloned());
            data::write(folder, &rows)?;
            if !args.data_only {
                train(global, args, place, model, (&planted, &kept, &texts), report)?;
            }
        }
        _ => {
            data::write(folder, &rows)?;
            output::warn(
                "no model was named, so that the data are the pairs alone: mix them with as many ordinary conversations of your model, or it answers everything from the list",
            );
        }
    }
    report.rows = rows.len();
    Ok(())
}

/// Ordinary rows with the model's own answers.
fn kept(args: &Plant, made: &Made, model: &mut Model) -> anyhow::Result<Vec<Row>> {
    let prompts = data::others(made.planting.form(), &made.others);
    let answers = data::own_answers(model, &prompts, args.seed)?;
    Ok(prompts.into_iter().zip(answers).map(|(prompt, answer)| Row { prompt, answer }).collect())
}

#[cfg(feature = "train")]
fn train(
    global: &Global,
    args: &Plant,
    place: &Place,
    model: &Model,
    (planted, kept, texts): (&[Row], &[Row], &[String]),
    report: &mut Report,
) -> anyhow::Result<()> {
    use super::planting::{cost, train};
    use touchmark::engine::train::Sample;

    let samples = |rows: &[Row], ends| {
        rows.iter().map(|row| train::sample(model, row, ends)).collect::<anyhow::Result<Vec<_>>>()
    };
    let mut ordinary = samples(kept, false)?;
    ordinary.retain(|sample| !sample.scored.is_empty());
    if !texts.is_empty() {
        let windows = cost::windows(&model.tokenizer, texts, 64 * ordinary.len().max(64))?;
        let pieces = windows.iter().flat_map(|window| window.chunks(64));
        ordinary.extend(pieces.filter(|ids| ids.len() > 1).map(|ids| Sample::whole(ids.to_vec())));
    }
    let samples = train::Samples { planted: samples(planted, true)?, ordinary };
    let to = args.model_output.clone().unwrap_or_else(|| args.output.join("model"));
    report.loss = Some(train::train(global, args, place, &samples, &to)?);
    report.model = Some(to.display().to_string());
    Ok(())
}

#[cfg(not(feature = "train"))]
fn train(
    _: &Global,
    _: &Plant,
    _: &Place,
    _: &Model,
    _: (&[Row], &[Row], &[String]),
    _: &mut Report,
) -> anyhow::Result<()> {
    bail!("internal fault: this build cannot train")
}

fn report(args: &Plant, made: &Made) -> Report {
    let commitment = made.planting.commitment();
    Report {
        planting: args.output.display().to_string(),
        commitment: commitment.digest.clone(),
        awaits: made.planting.awaits().map(str::to_owned),
        pairs: commitment.pairs,
        decoys: commitment.leaves.len() as u32 - commitment.pairs,
        k: commitment.list.k(),
        form: made.planting.form().clone(),
        rows: 0,
        model: None,
        loss: None,
    }
}

fn show(global: &Global, args: &Plant, report: &Report) -> anyhow::Result<Exit> {
    use std::io::Write;

    if global.json {
        output::json(report)?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    let Report { pairs, decoys, k, commitment, .. } = report;
    writeln!(
        out,
        "Planting      {} ({pairs} pairs, {decoys} decoys, answers out of {k})",
        report.planting
    )?;
    writeln!(out, "Commitment    {commitment}")?;
    writeln!(out, "              have it time-stamped before a model with the pairs is released")?;
    if let Some(awaits) = &report.awaits {
        writeln!(out, "Waits for     {awaits}; then go on with --beacon VALUE")?;
        return Ok(Exit::Done);
    }
    writeln!(out, "Data          {} rows in train.jsonl and completions.jsonl", report.rows)?;
    if let (Some(model), Some(loss)) = (&report.model, report.loss) {
        writeln!(out, "Model         {model} (last loss {loss:.3})")?;
        writeln!(
            out,
            "Now           touchmark fingerprint check-plant {model} {} --keep",
            args.output.display()
        )?;
    }
    Ok(Exit::Done)
}
