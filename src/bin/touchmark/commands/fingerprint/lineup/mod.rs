//! `fingerprint lineup`: the tests are tried on suspects whose truth is known.

mod manifest;
mod rows;
mod table;

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::engine::tensors;
use touchmark::fingerprint::bundle::{Leaves, Plan};
use touchmark::fingerprint::lineup::{Row, TestTable, tables};
use touchmark::fingerprint::{Finding, Verdict, weights};

use self::manifest::{Manifest, Suspect};
use self::rows::Rows;
pub use self::rows::read as rows;
use crate::args::{Global, fingerprint::Lineup};
use crate::commands::bundle::folder::secret_leaves;
use crate::interrupt;
use crate::models;
use crate::output::{self, Exit};

/// Name of the comparison of weights in the table.
const WEIGHTS: &str = "weights";

#[derive(Serialize)]
struct Report {
    suspects: usize,
    tables: Vec<TestTable>,
    /// Suspects that could not be tested, and why.
    failed: Vec<(String, String)>,
}

pub fn run(global: &Global, args: &Lineup) -> anyhow::Result<Exit> {
    let mut manifest = Manifest::read(&args.suspects)?;
    if let Some(reference) = &args.reference {
        manifest.reference = Some(reference.clone());
    }
    manifest.plans.extend(args.plans.iter().cloned());
    let plans = manifest.plans.iter().map(|path| plan(path)).collect::<anyhow::Result<Vec<_>>>()?;
    if manifest.reference.is_none() && plans.is_empty() {
        bail!("nothing to try: name a --reference to compare weights with, or a --plan to ask");
    }
    interrupt::end_cleanly("; with -o, the same command goes on".to_owned());
    let mut rows = Rows::open(args.output.as_deref())?;
    let mut failed = Vec::new();
    let bar = output::progress(
        global.quiet || global.no_progress,
        Some(manifest.suspects.len() as u64),
        "suspects",
    )?;
    for suspect in &manifest.suspects {
        let tested = Trial { global, args, manifest: &manifest, suspect }.run(&plans, &mut rows);
        if let Err(error) = tested {
            failed.push((suspect.model.clone(), output::causes(&error)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    report(global, &manifest, &rows.of(&manifest), failed)
}

/// A plan's file, or the folder of a bundle that commits to one. A line-up shows nothing of anybody, and writes no transcript.
fn plan(path: &Path) -> anyhow::Result<Plan> {
    let failed = || format!("cannot read the plan {}", path.display());
    let plan: Plan = if path.is_dir() {
        Leaves::parse(&secret_leaves(path)?)
            .and_then(|leaves| leaves.plan())
            .with_context(failed)?
    } else {
        let bytes = std::fs::read(path).with_context(failed)?;
        serde_json::from_slice(&bytes).with_context(failed)?
    };
    plan.start().with_context(failed)?;
    Ok(plan)
}

/// All tests of one suspect.
struct Trial<'a> {
    global: &'a Global,
    args: &'a Lineup,
    manifest: &'a Manifest,
    suspect: &'a Suspect,
}

impl Trial<'_> {
    fn run(&self, plans: &[Plan], rows: &mut Rows) -> anyhow::Result<()> {
        if let Some(reference) = &self.manifest.reference
            && !self.suspect.is_endpoint()
            && !rows.have(&self.suspect.model, WEIGHTS)
        {
            rows.add(self.weights(reference)?)?;
        }
        for (at, plan) in plans.iter().enumerate() {
            let name = self.name(plan, plans, at);
            if !rows.have(&self.suspect.model, &name) {
                rows.add(self.ask(plan, name)?)?;
            }
        }
        Ok(())
    }

    /// Plans of one test are told apart by the files that they are in.
    fn name(&self, plan: &Plan, plans: &[Plan], at: usize) -> String {
        let alone = plans.iter().filter(|other| other.test == plan.test).count() == 1;
        let file = self.manifest.plans.get(at).and_then(|path| path.file_stem());
        match file {
            Some(file) if !alone => format!("{} {}", plan.test, file.to_string_lossy()),
            _ => plan.test.clone(),
        }
    }

    fn weights(&self, reference: &Path) -> anyhow::Result<Row> {
        let settings = weights::Settings {
            alpha: self.args.fpr,
            threads: self.global.threads.unwrap_or_else(touchmark::engine::threads).max(1),
            ..weights::Settings::default()
        };
        let (ours, theirs) =
            (tensors::open(reference)?, tensors::open(Path::new(&self.suspect.model))?);
        let found = weights::compare(&*ours, &*theirs, &settings, &|_, _| {})?;
        Ok(self.row(WEIGHTS.to_owned(), found.verdict, found.log10_p_corrected, None))
    }

    fn ask(&self, plan: &Plan, name: String) -> anyhow::Result<Row> {
        let mut session = plan.start()?;
        let mut suspect = models::open(self.global, &self.suspect.model, &self.args.asking, 0)?;
        let mut queries = 0;
        while let Some(step) = session.next()? {
            session.observe(&suspect.complete(&step.request)?)?;
            queries += 1;
        }
        let finding: Finding = session.finding();
        Ok(self.row(name, finding.verdict, finding.log10_p_corrected, Some(queries)))
    }

    fn row(&self, test: String, verdict: Verdict, p: Option<f64>, queries: Option<u64>) -> Row {
        Row {
            suspect: self.suspect.model.clone(),
            truth: self.suspect.truth,
            stratum: self.suspect.stratum.clone(),
            test,
            verdict,
            log10_p: p,
            queries,
        }
    }
}

fn report(
    global: &Global,
    manifest: &Manifest,
    rows: &[Row],
    failed: Vec<(String, String)>,
) -> anyhow::Result<Exit> {
    let report = Report { suspects: manifest.suspects.len(), tables: tables(rows)?, failed };
    if global.json {
        output::json(&report)?;
    } else {
        let mut out = anstream::stdout();
        report.tables.iter().try_for_each(|table| table::write(&mut out, table))?;
    }
    for (suspect, why) in &report.failed {
        output::warn(&format!("{suspect}: {why}"));
    }
    Ok(match report.failed.len() {
        0 => Exit::Done,
        failed if failed == report.suspects => Exit::Nothing,
        _ => Exit::Partial,
    })
}
