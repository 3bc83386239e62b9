//! `fingerprint compare`: whether one model is a copy of another, by the weights of both.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::fingerprint::weights::{
    Candidate, Comparison, Panel, PanelPair, Roles, Settings, SketchComparison, Sketches, compare,
    how_made,
};
use touchmark::fingerprint::{Basis, Finding, Verdict};
use touchmark::lm::TensorSource;

use crate::args::{Global, fingerprint::Compare};
use crate::commands::fingerprint_finding::basis;
use crate::models;
use crate::output::{self, Exit};
use crate::whole_file;

pub fn run(global: &Global, args: &Compare) -> anyhow::Result<Exit> {
    let panel = args.panel.as_deref().map(read_panel).transpose()?;
    let (reference, ours) = models::tensors(global, &args.reference)?;
    let (suspect, theirs) = models::tensors(global, &args.suspect)?;
    let settings = Settings {
        names: [reference, suspect],
        units: args.units as usize,
        seed: args.seed,
        alpha: args.fpr,
        draws: args.draws,
        threads: global.threads.unwrap_or_else(touchmark::engine::threads).max(1),
        panel,
    };
    let bar = output::progress(global.quiet || global.no_progress, Some(0), "layers")?;
    let told = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let mut comparison = compare(&*ours, &*theirs, &settings, &told)?;
    bar.finish_and_clear();
    if args.how {
        add_how(global, args, &*ours, &*theirs, &mut comparison)?;
    }
    if args.sketches {
        comparison.sketches = Some(sketched(&*ours, &*theirs, settings.threads)?);
    }
    if let Some(path) = &args.record {
        record(path, &comparison)?;
    }
    if global.json {
        output::json(&comparison)?;
    } else {
        write(&mut anstream::stdout(), &comparison)?;
    }
    let gate = args.fail_on.is_some() && comparison.verdict == Verdict::Related;
    Ok(if gate { Exit::Gate } else { Exit::Done })
}

/// How the suspect was made, where it is RELATED in a frame that shows it.
fn add_how(
    global: &Global,
    args: &Compare,
    ours: &dyn TensorSource,
    theirs: &dyn TensorSource,
    comparison: &mut Comparison,
) -> anyhow::Result<()> {
    let others: Vec<_> = args
        .candidate
        .iter()
        .map(|name| models::tensors(global, name))
        .collect::<anyhow::Result<_>>()?;
    let candidates: Vec<Candidate<'_>> =
        others.iter().map(|(name, source)| (name.clone(), &**source)).collect();
    let threads = global.threads.unwrap_or_else(touchmark::engine::threads).max(1);
    comparison.forensics = how_made(ours, theirs, &candidates, comparison, threads)?;
    if comparison.forensics.is_none() {
        comparison.warnings.push(
            "How the suspect was made is only said of copies that row-argmax or matched-signs finds."
                .to_owned(),
        );
    }
    Ok(())
}

/// Tensors of one role held against each other, whatever they are called.
fn sketched(
    ours: &dyn TensorSource,
    theirs: &dyn TensorSource,
    threads: usize,
) -> anyhow::Result<SketchComparison> {
    let (a, b) = (Roles::of("reference", ours)?, Roles::of("suspect", theirs)?);
    let (one, other) = (Sketches::of(ours, threads)?, Sketches::of(theirs, threads)?);
    Ok(one.compare(&other, |name| a.name_in(&b, name)))
}

fn read_panel(path: &Path) -> anyhow::Result<Panel> {
    let failed = || format!("cannot read the panel {}", path.display());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    Panel::parse(&text).with_context(failed)
}

/// Adds the pair to a panel. A pair that is RELATED is no independent one.
fn record(path: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    if comparison.verdict == Verdict::Related {
        bail!(
            "{} and {} are RELATED; a panel holds independent pairs",
            comparison.reference,
            comparison.suspect
        );
    }
    let value = comparison.embedding_alignment();
    let value = value.context("these models have no embedding alignment to record")?;
    let mut panel = if path.exists() { read_panel(path)? } else { Panel::default() };
    let (reference, suspect) = (comparison.reference.clone(), comparison.suspect.clone());
    panel.pairs.push(PanelPair { reference, suspect, value });
    whole_file::write_json(path, &panel)
}

fn write(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    let Comparison { reference, suspect, coverage, .. } = comparison;
    writeln!(out, "{}  {suspect} against {reference}", comparison.verdict.words())?;
    if let (Some(p), Some(test)) = (comparison.log10_p_corrected, &comparison.decided_by) {
        writeln!(
            out,
            "  log10 p  {}  (by {test}, {}; threshold {})",
            output::log10_p(p),
            basis(comparison.basis.unwrap_or(Basis::Descriptive)),
            output::log10_p(comparison.threshold_log10_p)
        )?;
    }
    writeln!(out, "  null     population: {}", comparison.null_text)?;
    writeln!(out, "  family   {}", comparison.family)?;
    let sample = if coverage.sampled { ", a sample" } else { "" };
    writeln!(
        out,
        "  compared {} of {} and {} layers, {} hidden units{sample}{}\n",
        coverage.layers.len(),
        coverage.layers_reference,
        coverage.layers_suspect,
        coverage.units,
        if coverage.aligned { "; residual streams aligned by embeddings too" } else { "" }
    )?;
    writeln!(out, "  {:24} {:12} {:>12}  statistic", "test", "verdict", "log10 p")?;
    for finding in &comparison.findings {
        row(out, finding)?;
    }
    if let Some(forensics) = &comparison.forensics {
        writeln!(out, "\n  how it was made: a description, not evidence")?;
        for reading in &forensics.readings {
            writeln!(out, "    {}", reading.words)?;
        }
    }
    if let Some(sketches) = &comparison.sketches {
        writeln!(
            out,
            "\n  {} of {} tensors hold the same numbers, {} the same bytes",
            sketches.same_values, sketches.tensors_reference, sketches.same_bytes
        )?;
    }
    for warning in &comparison.warnings {
        writeln!(out, "  note: {warning}")?;
    }
    Ok(())
}

fn row(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    let p = finding.log10_p.map_or_else(|| "–".to_owned(), output::log10_p);
    let verdict = match finding.basis {
        Basis::Descriptive if finding.log10_p.is_none() && finding.warnings.is_empty() => {
            "described"
        }
        _ => finding.verdict.words(),
    };
    writeln!(out, "  {:24} {verdict:12} {p:>12}  {}", finding.test, statistic(finding))
}

/// The numbers that a test rests on, in a few words.
fn statistic(finding: &Finding) -> String {
    let number = |name: &str| finding.statistics.get(name).and_then(serde_json::Value::as_f64);
    if let Some(warning) = finding.warnings.first() {
        return warning.clone();
    }
    if let Some(hits) = number("hits") {
        return format!("{hits} of {} keep their place", finding.n);
    }
    if let Some(agreeing) = number("agreeing") {
        return format!("{agreeing} of {} matched units agree in sign", finding.n);
    }
    if let Some(draws) = number("draws") {
        let z = number("z").map_or_else(String::new, |z| format!("z {z:.1}, "));
        return format!("{z}{draws} permutations");
    }
    number("cka").map_or_else(String::new, |cka| format!("CKA {cka:.3}"))
}
