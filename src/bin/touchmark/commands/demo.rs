//! `touchmark demo`: the main job in one command, for a newcomer.

use std::io::Write;
use std::ops::ControlFlow;

use anstyle::Style;
use anyhow::Context;
use serde::Serialize;
use touchmark::detect::{Detector, Shown, Verdict};
use touchmark::generate::{Answer, Request, generate};
use touchmark::sampling::Sampling;
use touchmark::stats::Family;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Text, Watermark};

use crate::args::{self, Global};
use crate::assemble;
use crate::models::{self, Loading, Model, Reach};
use crate::output::{self, Exit, Highlight};

pub fn run(global: &Global, args: &args::Demo) -> anyhow::Result<Exit> {
    let store = assemble::store(global)?;
    let profile =
        assemble::default_profile(global, &store, || Ok(super::bundled::tokenizer_source()))?;
    let place = models::locate(global, None, None, Reach::Fetch)?;
    let mut model = models::load(global, &place, Loading::default())?;
    assemble::check_tokenizer(&profile, &model.tokenizer)?;
    let key = assemble::key(&store, &profile)?;
    let detector = assemble::detector(&key, &profile, &model.tokenizer, FPR, Family::one())?;
    model.ends.never = model.tokenizer.special_ids().to_vec();

    let mut report = Vec::new();
    for (title, watermark) in [
        ("Written by the model, marked", Some(detector.watermark())),
        ("Written by the model, not marked", None),
    ] {
        let text = write(&mut model, args, watermark)?;
        report.push(Reading::new(title, &text, &detector, &model)?);
    }
    report.push(Reading::new(
        "Written by a person (Kenneth Grahame, 1908)",
        HUMAN.trim(),
        &detector,
        &model,
    )?);

    if global.json {
        let texts: Vec<&Reading> = report.iter().collect();
        output::json(
            &serde_json::json!({ "profile": profile.id, "key_id": profile.key_id, "fpr": FPR, "texts": texts }),
        )?;
        return Ok(Exit::Done);
    }
    print(&report)?;
    let home = store.home().display();
    output::note(
        global.quiet,
        &format!("\nThe key is {} of profile \"{}\", in {home}", profile.key_id, profile.id),
    );
    Ok(Exit::Done)
}

/// Continues the demo's prompt.
fn write(
    model: &mut Model,
    args: &args::Demo,
    watermark: Option<&Watermark>,
) -> anyhow::Result<String> {
    let request = Request {
        prompt: model.tokenizer.encode(PROMPT)?.ids,
        max_tokens: args.max_tokens as usize,
        sampling: Sampling { seed: args.seed, ..Sampling::default() },
        stream: 0,
        stop: Vec::new(),
    };
    let answer = Answer::new(&request, watermark, &model.tokenizer, &model.ends)?;
    let mut text = None;
    generate(model.lm.as_mut(), vec![answer], 1, &mut |_, _| Ok(()), &mut |_, answer| {
        text = Some(answer.text);
        ControlFlow::Continue(())
    })?;
    text.context("internal fault: no answer")
}

/// One text and what the detector says of it.
#[derive(Serialize)]
struct Reading {
    title: &'static str,
    text: String,
    tokens_scored: usize,
    tokens_marked: usize,
    log10_p: f64,
    verdict: Verdict,
    #[serde(skip)]
    shown: String,
}

impl Reading {
    fn new(
        title: &'static str,
        text: &str,
        detector: &Detector,
        model: &Model,
    ) -> anyhow::Result<Self> {
        let encoding = model.tokenizer.encode(text)?;
        let found = detector.detect(&Text::of(&encoding.ids))?;
        let (bytes, steps) = (&encoding.bytes, detector.steps());
        let passages: Vec<_> = found.passages.iter().map(|it| it.tokens.clone()).collect();
        let shown = Shown::new(text.to_owned(), bytes, &found.evidence, steps);
        Ok(Self {
            title,
            text: text.to_owned(),
            tokens_scored: found.evidence.scored(),
            tokens_marked: super::detect::speaking(detector, &found),
            log10_p: found.corrected.log10(),
            verdict: found.verdict,
            shown: super::detect::highlighted(&shown, &passages),
        })
    }
}

fn print(report: &[Reading]) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    let bold = Style::new().bold();
    for (reading, prompt) in report.iter().zip([PROMPT, PROMPT, ""]) {
        let grey = Style::new().dimmed();
        let shown = wrap(&format!("{grey}{prompt}{grey:#}{}", reading.shown));
        writeln!(out, "{bold}{}{bold:#}\n{shown}\n", reading.title)?;
    }
    writeln!(
        out,
        "{bold}{:<46}{:>8}{:>8}{:>10}  verdict{bold:#}",
        "", "scored", "green", "log10 p"
    )?;
    for Reading { title, tokens_scored, tokens_marked, log10_p, verdict, .. } in report {
        let style = output::verdict_style(*verdict);
        let p = output::log10_p(*log10_p);
        writeln!(
            out,
            "{title:<46}{tokens_scored:>8}{tokens_marked:>8}{p:>10}  {style}{}{style:#}",
            verdict.as_str()
        )?;
    }
    let green = Highlight::for_stdout().token("Green", true, false);
    let odds = report.first().map_or(0.0, |reading| -reading.log10_p);
    writeln!(
        out,
        "\n{green} tokens are on the list that the secret key draws for their place: a quarter of unmarked text, by chance.\n\
         A text without the mark would look as green as the first one in about 1 case in 10^{odds:.0};\n\
         \"detected\" is said at 1 in a million or rarer."
    )?;
    Ok(())
}

/// Breaks lines at spaces; escape codes take no room.
fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    for line in text.split('\n') {
        let mut column = 0;
        for word in line.split_inclusive(' ') {
            let width = anstream::adapter::strip_str(word).to_string().chars().count();
            if column + width > WIDTH && column > 0 {
                wrapped.push_str("\n  ");
                column = 0;
            } else if column == 0 && wrapped.is_empty() {
                wrapped.push_str("  ");
            }
            wrapped.push_str(word);
            column += width;
        }
        wrapped.push_str("\n  ");
    }
    wrapped.trim_end().to_owned()
}

const FPR: f64 = 1e-6;
const WIDTH: usize = 96;
const PROMPT: &str = "The old house stood at the end of the lane, and";
const HUMAN: &str = include_str!("demo_human.txt");
