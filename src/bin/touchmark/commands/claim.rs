//! `touchmark claim`: does this corpus contain our text? One p-value for all documents together.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::detect::{
    Boilerplate, ClaimError, Detector, MarkedShare, Pairs, ReferenceSample, Row, Runs, Sketch,
    Verdict,
};
use touchmark::profile::Lint;
use touchmark::stats::{Dependence, LogP};
use touchmark::store::Store;
use touchmark::tokens::Tokenize;
use touchmark::watermark::Text;

use super::detect::{Beside, Mark, Reader, Wanted, documents, in_order, threads};
use super::marks;
use super::sketches::{self, Index, Sketches, index, place};
use crate::args::{self, FailOn, Global, Inputs};
use crate::assemble;
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &args::Claim) -> anyhow::Result<Exit> {
    if !(args.fpr > 0.0 && args.fpr < 1.0) {
        bail!("the false-alarm rate is {}, but must lie between 0 and 1", args.fpr);
    }
    let store = assemble::store(global)?;
    let merged = if args.merge { Some(merged(&args.inputs.paths)?) } else { None };
    let mut wanted = Wanted::all_rows(&args.marks, args.fpr)?;
    if let Some(merged) = &merged {
        wanted.keys = if merged.keys_are_own(&store) { &[] } else { &merged.keys };
        if args.marks.profile.is_empty() {
            wanted.profiles = &merged.profiles;
        }
    }
    let mut reader = Reader::new(global, &wanted)?;
    let collector = Arc::new(Collector::new(&reader, args.boilerplate.is_some()));
    reader.attach(Arc::clone(&collector) as Arc<dyn Beside>);
    let job = Job { global, args, reader, collector };
    let settings = marks::settings(&args.inputs, &args.marks.looks, args.marks.model.as_ref());
    let (mut corpus, failed) = match merged {
        Some(merged) => {
            let sketches = Sketches::merged(&job.reader, &store, &settings, merged.sketches)?;
            (Corpus { sketches, boilerplate: Vec::new() }, 0)
        }
        None => job.read(Sketches::new(&job.reader, &store, &settings, args.pairs)?)?,
    };
    if let Some(path) = &args.output {
        corpus.sketches.write(path)?;
    }
    job.tell(corpus, failed)
}

/// Sketches of files, and the profiles and keys they are of.
struct Merged {
    sketches: Vec<Sketch>,
    profiles: Vec<String>,
    keys: Vec<String>,
}

impl Merged {
    /// Whether each profile was looked for under its own key, and no other.
    fn keys_are_own(&self, store: &Store) -> bool {
        self.sketches.iter().all(|sketch| {
            let Some((profile, key)) = sketches::parts(sketch.mark()) else { return false };
            store.profile(profile).is_ok_and(|profile| profile.key_id.as_str() == key)
        })
    }
}

fn merged(paths: &[PathBuf]) -> anyhow::Result<Merged> {
    let mut distinct = BTreeSet::new();
    let (mut all, mut profiles, mut keys) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for path in paths {
        let known =
            path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
        if !distinct.insert(known) {
            bail!("{} is named twice; give each sketch once", path.display());
        }
        all.extend(sketches::read(path)?);
    }
    for sketch in &all {
        let (profile, key) = sketches::parts(sketch.mark())
            .with_context(|| format!("a sketch of an unknown mark, \"{}\"", sketch.mark()))?;
        profiles.insert(profile.to_owned());
        // Of a tenant's key the keyring has its parent.
        keys.insert(key.split('/').next().unwrap_or(key).to_owned());
    }
    let (profiles, keys) = (profiles.into_iter().collect(), keys.into_iter().collect());
    Ok(Merged { sketches: all, profiles, keys })
}

/// What was read of all documents.
struct Corpus {
    sketches: Sketches,
    /// By mark, where it was asked for.
    boilerplate: Vec<Boilerplate>,
}

/// What one document gives for one mark.
struct Part {
    mark: usize,
    pairs: Result<Pairs, ClaimError>,
    runs: Option<Runs>,
    p: LogP,
}

/// Keeps parts for the thread that examines the document, which takes them right after.
struct Collector {
    index: Index,
    runs: bool,
    parts: Mutex<HashMap<ThreadId, Vec<Part>>>,
}

impl Collector {
    fn new(reader: &Reader, runs: bool) -> Self {
        Self { index: index(reader), runs, parts: Mutex::default() }
    }

    fn taken(&self) -> Vec<Part> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.remove(&std::thread::current().id()).unwrap_or_default()
    }
}

impl Beside for Collector {
    fn see(&self, detector: &Detector, readings: &[Text<'_>], row: &mut Row) -> anyhow::Result<()> {
        let mark = detector.watermark();
        let as_it_is = readings.first().filter(|_| self.runs);
        let part = Part {
            mark: place(&self.index, row)?,
            pairs: Pairs::of(mark, readings),
            runs: as_it_is.map(|text| Runs::of(mark, text)),
            p: LogP::new(row.log10_p_corrected)?,
        };
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(std::thread::current().id()).or_default().push(part);
        Ok(())
    }
}

struct Job<'a> {
    global: &'a Global,
    args: &'a args::Claim,
    reader: Reader,
    collector: Arc<Collector>,
}

impl Job<'_> {
    fn read(&self, mut sketches: Sketches) -> anyhow::Result<(Corpus, u64)> {
        let kinds = self.args.boilerplate.map_or(0, |_| self.reader.targets());
        let mut boilerplate: Vec<Boilerplate> =
            (0..kinds).map(|_| Boilerplate::new(Boilerplate::ROOM)).collect();
        let failed = self.each(&self.args.inputs, |parts| {
            for part in parts {
                sketches.take(part.mark, &part.pairs, part.p);
                if let (Some(kept), Some(runs)) = (boilerplate.get_mut(part.mark), part.runs) {
                    kept.take(runs);
                }
            }
        })?;
        Ok((Corpus { sketches, boilerplate }, failed))
    }

    /// Reads documents, and gives the parts of each to `take`, in order; how many could not be examined.
    fn each(&self, inputs: &Inputs, mut take: impl FnMut(Vec<Part>)) -> anyhow::Result<u64> {
        let (mut read, mut failed) = (0_u64, 0_u64);
        let bar =
            output::progress(self.global.no_progress || self.global.quiet, None, "documents")?;
        let examine = |document: Result<_, touchmark::corpus::DocumentError>| {
            let outcome =
                document.map_err(anyhow::Error::from).and_then(|it| self.reader.examine(&it));
            let parts = self.collector.taken();
            outcome.map(|_| parts)
        };
        let count = |outcome: anyhow::Result<Vec<Part>>| {
            bar.inc(1);
            match outcome {
                Ok(parts) => {
                    read += 1;
                    take(parts);
                }
                Err(error) => {
                    failed += 1;
                    output::warn(&output::causes(&error));
                }
            }
            anyhow::Ok(())
        };
        in_order(documents(inputs)?, threads(self.global), examine, count)?;
        bar.finish_and_clear();
        if read == 0 {
            bail!(
                "no document could be examined ({failed} failed), so nothing can be said of a corpus"
            );
        }
        Ok(failed)
    }

    /// The reference's pairs, by mark.
    fn reference(&self, path: &Path) -> anyhow::Result<Vec<ReferenceSample>> {
        let mut samples: Vec<ReferenceSample> =
            self.reader.marks().map(|_| ReferenceSample::default()).collect();
        let inputs = Inputs {
            paths: vec![path.to_owned()],
            files_from: None,
            stdin_format: self.args.inputs.stdin_format,
            text_field: self.args.inputs.text_field.clone(),
            id_field: self.args.inputs.id_field.clone(),
            tokens_field: self.args.inputs.tokens_field.clone(),
            prompt_field: self.args.inputs.prompt_field.clone(),
            max_document: self.args.inputs.max_document,
        };
        self.each(&inputs, |parts| {
            for part in parts {
                if let (Some(sample), Ok(pairs)) = (samples.get_mut(part.mark), &part.pairs) {
                    sample.take(pairs);
                }
            }
        })
        .with_context(|| format!("--reference {}", path.display()))?;
        Ok(samples)
    }

    fn tell(&self, mut corpus: Corpus, failed: u64) -> anyhow::Result<Exit> {
        let reference = self.args.reference.as_deref();
        let samples = reference.map(|path| self.reference(path)).transpose()?;
        let mut findings = Vec::new();
        for (at, mark) in self.reader.marks().enumerate() {
            let Some(sketch) = corpus.sketches.get_mut(at) else { continue };
            let mut finding = Finding::of(&mark, sketch, self.args.fpr)?;
            if let Some(sample) = samples.as_ref().and_then(|samples| samples.get(at)) {
                match MarkedShare::estimate(mark.detector.watermark(), sketch, sample) {
                    Ok(share) => finding.marked_share = Some(share),
                    Err(error) => finding.warnings.push(format!("no estimate: {error}")),
                }
            }
            if let (Some(kept), Some(most)) = (corpus.boilerplate.get(at), self.args.boilerplate) {
                finding.boilerplate = Some(recurring(kept, most, &mark)?);
            }
            findings.push(finding);
        }
        if findings.is_empty() {
            bail!(
                "none of the profiles has a sketch, so there is no claim for the corpus as a whole"
            );
        }
        if samples.is_some() && findings.iter().all(|it| it.marked_share.is_none()) {
            let why: Vec<&str> =
                findings.iter().flat_map(|it| it.warnings.last()).map(String::as_str).collect();
            bail!("--reference gives {}", why.join("; "));
        }
        if self.global.json {
            output::json(&Answer {
                threshold_log10_p: self.args.fpr.log10(),
                failed,
                claims: &findings,
            })?;
        } else {
            self.show(&findings)?;
        }
        if failed > 0 {
            output::warn(&format!(
                "{failed} documents could not be examined and are no part of the corpus"
            ));
        }
        let found = findings.iter().any(|it| it.verdict == Verdict::Detected);
        Ok(match failed {
            _ if found && self.args.fail_on == Some(FailOn::Detected) => Exit::Gate,
            0 => Exit::Done,
            _ => Exit::Partial,
        })
    }

    fn show(&self, findings: &[Finding<'_>]) -> anyhow::Result<()> {
        let mut out = anstream::stdout();
        writeln!(
            out,
            "{:<16} {:<20} {:>10} {:>12} {:>7} {:>9}  verdict",
            "profile", "key", "documents", "pairs", "score", "log10 p"
        )?;
        for finding in findings {
            let style = output::verdict_style(finding.verdict);
            writeln!(
                out,
                "{:<16} {:<20} {:>10} {:>12} {:>7.4} {:>9}  {style}{}{style:#}",
                finding.profile,
                finding.key_id,
                finding.documents,
                finding.pairs,
                finding.score,
                output::log10_p(finding.log10_p_corrected),
                finding.verdict.as_str()
            )?;
        }
        for finding in findings {
            writeln!(out, "\n{}", finding.words())?;
            for run in finding.boilerplate.iter().flatten() {
                writeln!(out, "{}", run.words(finding.documents))?;
            }
            finding.warnings.iter().for_each(|warning| output::warn(warning));
        }
        let note = format!(
            "One p-value for the corpus: how rarely documents without the mark, taken together, look this marked, averaged over keys\n\
             fixed before the texts; each (context, token) counts once. {} Of corpora without the mark\n\
             at most {:.1e} are called marked. That a corpus contains marked text does not say how it came there.",
            findings.first().map_or(String::new(), |it| format!("Correction: {}.", it.family)),
            self.args.fpr
        );
        output::note(self.global.quiet, &note);
        Ok(())
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    threshold_log10_p: f64,
    /// Documents that could not be examined.
    failed: u64,
    claims: &'a [Finding<'a>],
}

/// What the corpus says of one mark.
#[derive(Serialize)]
struct Finding<'a> {
    profile: &'a str,
    key_id: &'a str,
    verdict: Verdict,
    log10_p: f64,
    /// Corrected for profiles and keys.
    log10_p_corrected: f64,
    null: &'static str,
    family: String,
    documents: u64,
    tokens: u64,
    pairs: u64,
    /// Whether the pairs are a sample of those there are.
    sampled: bool,
    score: f64,
    /// With 95 % confidence, however documents depend on each other.
    marked_documents_at_least: u64,
    /// The same, if they are independent; none for narrow seeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    marked_documents_at_least_if_independent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marked_share: Option<MarkedShare>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boilerplate: Option<Vec<Run>>,
    warnings: Vec<String>,
}

const BOUND: f64 = 0.95;

impl<'a> Finding<'a> {
    fn of(mark: &Mark<'a>, sketch: &mut Sketch, fpr: f64) -> anyhow::Result<Self> {
        let claim = sketch.claim(mark.detector)?;
        let lints = mark.profile.lint();
        let narrow = lints.iter().any(Lint::is_of_narrow_seeds);
        let alone = sketch.documents_alone();
        let independent = alone.false_at_least(BOUND, Dependence::Independent)?;
        let short = mark.detector.enough(1).is_some_and(|enough| claim.pairs < enough);
        let verdict = match claim.corrected {
            corrected if corrected <= LogP::from_p(fpr)? => Verdict::Detected,
            _ if claim.pairs == 0 || short => Verdict::InsufficientEvidence,
            _ => Verdict::NotDetected,
        };
        let warnings = lints.iter().filter(|lint| **lint != Lint::NeedsModel);
        Ok(Self {
            profile: &mark.profile.id,
            key_id: mark.key,
            verdict,
            log10_p: claim.p.log10().max(f64::MIN),
            log10_p_corrected: claim.corrected.log10().max(f64::MIN),
            null: Row::NULL,
            family: claim.family.words(),
            documents: claim.documents,
            tokens: claim.tokens,
            pairs: claim.pairs,
            sampled: claim.sampled,
            score: claim.score,
            marked_documents_at_least: alone.false_at_least(BOUND, Dependence::Any)?,
            marked_documents_at_least_if_independent: (!narrow).then_some(independent),
            marked_share: None,
            boilerplate: None,
            warnings: warnings.map(ToString::to_string).collect(),
        })
    }

    fn words(&self) -> String {
        let Self { profile, key_id, documents, .. } = self;
        let sample = if self.sampled { ", a sample of those there are" } else { "" };
        let mut words = format!(
            "{profile}, key {key_id}: {} pairs{sample} of {} tokens in {documents} documents.\n\
             With 95 % confidence at least {} of the documents are marked, however they depend on each other",
            self.pairs, self.tokens, self.marked_documents_at_least
        );
        match self.marked_documents_at_least_if_independent {
            Some(more) => words += &format!(";\nat least {more} if they are independent."),
            None => words.push('.'),
        }
        if let Some(share) = &self.marked_share {
            words += &format!(
                "\nEstimate: {} of the pairs are marked (95 % interval {} to {}), if the marked part carries as much evidence for each\n\
                 pair as the reference of {} texts does: {:.4}, here {:.4}, without a mark {:.4}. No p-value rests on this.",
                percent(share.share),
                percent(share.interval.low),
                percent(share.interval.high),
                share.reference_documents,
                share.reference_mean,
                share.corpus_mean,
                share.null_mean
            );
        }
        words
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A run of words that stands in many documents.
#[derive(Serialize)]
struct Run {
    text: String,
    documents_at_least: u64,
    documents_at_most: u64,
    /// What it adds to the evidence, counted once, in the null's unit and above its mean.
    evidence_once: f64,
    /// What it would add at least if every document counted.
    evidence_uncorrected: f64,
}

fn recurring(kept: &Boilerplate, most: usize, mark: &Mark<'_>) -> anyhow::Result<Vec<Run>> {
    let null = mark.detector.watermark().null();
    kept.top(most)
        .into_iter()
        .map(|run| {
            let once = (run.evidence - null.mean()) / null.unit();
            anyhow::Ok(Run {
                text: mark.tokenizer.decode(&run.tokens)?,
                documents_at_least: run.at_least,
                documents_at_most: run.at_most,
                evidence_once: once,
                evidence_uncorrected: once * run.at_least as f64,
            })
        })
        .collect()
}

impl Run {
    fn words(&self, documents: u64) -> String {
        let bounds = if self.documents_at_least == self.documents_at_most {
            format!("{}", self.documents_at_least)
        } else {
            format!("{} to {}", self.documents_at_least, self.documents_at_most)
        };
        format!(
            "  {bounds} of {documents} documents: {:?} adds {:+.2} to the evidence, counted once; {:+.1} if each counted",
            self.text, self.evidence_once, self.evidence_uncorrected
        )
    }
}
