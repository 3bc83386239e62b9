//! `touchmark detect --finish`: q-values over all rows, of all runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::detect::{Brief, Census, Verdict, finished};
use touchmark::stats::{Correction, Dependence, LogP, StepUp, false_hypotheses_at_least};

use super::detect::html;
use super::detect::{Manifest, Part, all_parts};
use crate::args::{self, CorrectionChoice, FailOn, Format, Global};
use crate::interrupt;
use crate::output::{self, Exit};
use crate::whole_file::WholeFile;

pub fn run(global: &Global, args: &args::Detect) -> anyhow::Result<Exit> {
    interrupt::end_cleanly("; nothing was written".to_owned());
    let files = files(args)?;
    let level = level(args.finish.fdr)?;
    let report = args.is_report();
    if !report && args.format.is_some_and(|format| format != Format::Jsonl) {
        bail!(
            "--finish writes rows as it reads them, as JSON lines, or a report; leave --format out, or say html"
        );
    }
    let mut census = Census::default();
    let mut faults = Faults::default();
    for file in &files {
        each_row(file, |number, line| {
            match Brief::parse(line) {
                Ok(row) => census.note(&row),
                Err(error) => faults.add(file.path(), number, line, &error),
            }
            Ok(())
        })?;
        census.end_of_file();
    }
    let failed = tell_failures(&files)?;
    faults.tell();
    let rows = census.rows();
    if rows == 0 {
        bail!("no rows in {}; give what `detect --format jsonl` wrote", shown(&files));
    }
    refuse_repeated(&files, &census.repeated())?;
    let (correction, why) = correction(args, &census);
    let documents = census.finish(correction);
    let finishing =
        Finishing { correction, why, fdr: args.finish.fdr, level, documents: &documents };
    let written = write(args.output.as_deref(), |out| {
        if report { finishing.report(&files, out) } else { finishing.rows(&files, out) }
    })?;
    if written != rows {
        bail!(
            "the files changed while they were read: {rows} rows, then {written}; wait until the runs have ended"
        );
    }
    let found = documents.discoveries(level);
    let summary = Summary { documents: documents.sorted().len(), rows, found, correction, why };
    output::note(global.quiet, &summary.words(args.finish.fdr));
    output::note(global.quiet, &marked_at_least(&documents, correction)?);
    Ok(match faults.count + failed {
        _ if found > 0 && args.fail_on == Some(FailOn::Detected) => Exit::Gate,
        0 => Exit::Done,
        _ => Exit::Partial,
    })
}

/// A file of rows.
enum RowFile {
    Rows(PathBuf),
    /// A finished shard of a run with `--resume`.
    Part(Part),
}

impl RowFile {
    fn path(&self) -> &Path {
        match self {
            Self::Rows(path) => path,
            Self::Part(part) => &part.path,
        }
    }

    fn open(&self) -> anyhow::Result<Box<dyn BufRead>> {
        match self {
            Self::Part(part) => Ok(Box::new(part.body()?)),
            Self::Rows(path) => {
                let file =
                    File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
            }
        }
    }
}

/// By name, so that their order on the command line does not matter.
fn files(args: &args::Detect) -> anyhow::Result<Vec<RowFile>> {
    let mut paths = args.inputs.paths.clone();
    paths.sort();
    let output = args.output.as_ref().and_then(|path| path.canonicalize().ok());
    let mut files = Vec::new();
    for path in paths {
        if Manifest::is_in(&path) {
            files.extend(all_parts(&path)?.into_iter().map(RowFile::Part));
            continue;
        }
        let shown = path.display();
        if path.is_dir() {
            bail!("{shown} is a folder, but not one of --resume; name the files of rows in it");
        }
        if path.as_os_str() == "-" || !path.is_file() {
            bail!("{shown} is no file: --finish reads its files twice");
        }
        if output.is_some() && path.canonicalize().ok() == output {
            bail!("{shown} would be written over; name another file with -o");
        }
        refuse_tables(&path)?;
        files.push(RowFile::Rows(path));
    }
    Ok(files)
}

/// Tables are for other programs: a row must come back with every digit and field that it had.
fn refuse_tables(path: &Path) -> anyhow::Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["csv", "tsv", "parquet", "html"].contains(&ending.to_ascii_lowercase().as_str()) {
        bail!(
            "{}: --finish reads rows as JSON lines only; write them with `detect --format jsonl`, or give the folder of --resume",
            path.display()
        );
    }
    Ok(())
}

fn level(fdr: f64) -> anyhow::Result<LogP> {
    if !(fdr > 0.0 && fdr < 1.0) {
        bail!(
            "the false discovery rate is {fdr}, but must lie between 0 and 1 (a usual value is 0.01)"
        );
    }
    Ok(LogP::from_p(fdr)?)
}

fn correction(args: &args::Detect, census: &Census) -> (Correction, &'static str) {
    match args.finish.correction {
        CorrectionChoice::Auto => census.correction(),
        CorrectionChoice::Bh => (Correction::BenjaminiHochberg, "as told by --correction"),
        CorrectionChoice::By => (Correction::BenjaminiYekutieli, "as told by --correction"),
    }
}

/// Calls `visit` with every line that is not blank, and its number from 1.
fn each_row(
    file: &RowFile,
    mut visit: impl FnMut(u64, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (path, mut reader) = (file.path(), file.open()?);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {}", path.display()))? == 0 {
            return Ok(());
        }
        number += 1;
        if !line.trim_ascii().is_empty() {
            visit(number, &line)?;
        }
    }
}

/// Says what shards list as not examined, and how much that is.
fn tell_failures(files: &[RowFile]) -> anyhow::Result<u64> {
    let mut failed = 0;
    for file in files {
        let RowFile::Part(part) = file else { continue };
        for words in part.failures()? {
            output::warn(&words);
            failed += 1;
        }
    }
    if failed > 0 {
        output::warn(&format!("{failed} documents could not be examined and have no rows"));
    }
    Ok(failed)
}

/// Lines that are left out.
#[derive(Default)]
struct Faults {
    count: u64,
}

impl Faults {
    /// So many are told one by one.
    const TOLD: u64 = 10;

    fn add(&mut self, file: &Path, number: u64, line: &[u8], error: &dyn std::error::Error) {
        self.count += 1;
        if self.count <= Self::TOLD {
            let torn = if line.ends_with(b"\n") { "" } else { " (the file ends within it)" };
            output::warn(&format!("{}, line {number}{torn}: {error}", file.display()));
        }
    }

    fn tell(&self) {
        if self.count > 0 {
            output::warn(&format!(
                "{} lines are left out, and q-values are over the rows that remain",
                self.count
            ));
        }
    }
}

/// Refuses documents of which there are rows in two places: their run paid for the profiles it knew of, and a document that
/// counts twice would shift every q-value.
fn refuse_repeated(files: &[RowFile], hashes: &[u64]) -> anyhow::Result<()> {
    if hashes.is_empty() {
        return Ok(());
    }
    let mut seen = BTreeMap::new();
    for file in files {
        let mut last = None;
        let mut targets = Vec::new();
        each_row(file, |number, line| {
            let Ok(row) = Brief::parse(line) else { return Ok(()) };
            let name = (row.source.to_string(), row.offset, row.id.to_string());
            if last.as_ref() != Some(&name) {
                targets.clear();
                if hashes.binary_search(&row.document()).is_ok() {
                    let place = format!("{}, line {number}", file.path().display());
                    if let Some(before) = seen.insert(name.clone(), place.clone()) {
                        bail!("{}", twice(&row, &before, &place));
                    }
                }
                last = Some(name);
            }
            if targets.contains(&row.target()) {
                let place = format!("{}, line {number}", file.path().display());
                bail!("{}", twice(&row, "the lines before", &place));
            }
            targets.push(row.target());
            Ok(())
        })?;
    }
    Ok(())
}

fn twice(row: &Brief<'_>, before: &str, place: &str) -> String {
    format!(
        "document \"{}\" of {} comes twice: {before} and {place}. Give the rows of each document once, all its profiles from one run",
        row.id, row.source
    )
}

/// Writes rows, and tells how many; a file appears whole or not at all.
fn write(
    path: Option<&Path>,
    rows: impl FnOnce(&mut dyn Write) -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    let Some(path) = path else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let written = rows(&mut out)?;
        out.flush()?;
        return Ok(written);
    };
    let mut out = WholeFile::create(path)?;
    let written = rows(&mut out).with_context(|| format!("cannot write {}", path.display()))?;
    out.finish()?;
    Ok(written)
}

/// What rows gain.
struct Finishing<'a> {
    correction: Correction,
    why: &'static str,
    fdr: f64,
    level: LogP,
    documents: &'a StepUp,
}

impl Finishing<'_> {
    /// Every row with what it gains.
    fn rows(&self, files: &[RowFile], out: &mut dyn Write) -> anyhow::Result<u64> {
        let mut written = 0;
        for file in files {
            each_row(file, |_, line| {
                let Ok(row) = Brief::parse(line) else { return Ok(()) };
                let (q, verdict) = finished(&row, self.documents, self.level);
                // The row's own bytes, so that no number of it changes in its last digit.
                let object = line.trim_ascii_end();
                out.write_all(&object[..object.len() - 1])?;
                out.write_all(gained(q, verdict)?.as_bytes())?;
                written += 1;
                Ok(())
            })?;
        }
        Ok(written)
    }

    /// All documents as a page.
    fn report(&self, files: &[RowFile], mut out: &mut dyn Write) -> anyhow::Result<u64> {
        use touchmark::report::{Finding, Head, Report};

        let procedure = format!("{}: {}", name_of(self.correction), self.why);
        let finishing = touchmark::report::Finishing { fdr: self.fdr, procedure };
        let head = Head { date: html::date()?, finishing: Some(finishing), ..Head::default() };
        let (mut report, mut written) = (Report::new(head), 0);
        for file in files {
            let (mut open, mut findings) = (None, Vec::new());
            each_row(file, |number, line| {
                let Ok(row) = Brief::parse(line) else { return Ok(()) };
                if open != Some(row.document()) {
                    report.document(std::mem::take(&mut findings));
                    open = Some(row.document());
                }
                let (q, verdict) = finished(&row, self.documents, self.level);
                let finding = Finding::parse(line).with_context(|| {
                    format!("{}, line {number}: a report needs whole rows", file.path().display())
                })?;
                findings.push(finding.finished(q.map(LogP::log10), verdict));
                written += 1;
                Ok(())
            })?;
            report.document(findings);
        }
        html::write(report, &mut out)?;
        Ok(written)
    }
}

fn name_of(correction: Correction) -> &'static str {
    match correction {
        Correction::BenjaminiHochberg => "Benjamini–Hochberg",
        Correction::BenjaminiYekutieli => "Benjamini–Yekutieli",
    }
}

fn gained(q: Option<LogP>, verdict: Verdict) -> anyhow::Result<String> {
    let q = serde_json::to_string(&q)?;
    Ok(format!(",\"log10_q\":{q},\"fdr_verdict\":\"{}\"}}\n", verdict.as_str()))
}

/// What is said of the whole.
struct Summary {
    documents: usize,
    rows: u64,
    found: usize,
    correction: Correction,
    why: &'static str,
}

impl Summary {
    fn words(&self, fdr: f64) -> String {
        let name = name_of(self.correction);
        format!(
            "{} documents examined, in {} rows. {} of them discovered at a false discovery rate of {fdr}, of which at most about {:.1}\n\
             are to be expected to be false alarms, averaged over keys fixed before the texts ({name}: {}).",
            self.documents,
            self.rows,
            self.found,
            self.found as f64 * fdr,
            self.why
        )
    }
}

/// Lower bounds of the number of marked documents, in words.
fn marked_at_least(documents: &StepUp, correction: Correction) -> anyhow::Result<String> {
    let least = |dependence| -> anyhow::Result<String> {
        let least = false_hypotheses_at_least(documents.sorted(), CONFIDENCE, dependence)?;
        let share = 100.0 * least as f64 / documents.sorted().len().max(1) as f64;
        Ok(format!("{least} ({share:.3} %)"))
    };
    let any = least(Dependence::Any)?;
    let words = format!(
        "With 95 % confidence at least {any} of the documents are marked, however they depend on each other"
    );
    Ok(match correction {
        Correction::BenjaminiYekutieli => format!("{words}."),
        Correction::BenjaminiHochberg => {
            format!(
                "{words};\nat least {} if they are independent.",
                least(Dependence::Independent)?
            )
        }
    })
}

const CONFIDENCE: f64 = 0.95;

fn shown(files: &[RowFile]) -> String {
    let names: Vec<String> = files.iter().map(|file| file.path().display().to_string()).collect();
    names.join(", ")
}
