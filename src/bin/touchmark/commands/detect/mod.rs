//! `touchmark detect`: look for marks in texts.
//!
//! Items of a [`share`] of the sources are examined on all cores ([`pipeline`]) by the [`reader`]; what comes of each goes, in
//! order, to the [`sink`], or first to a shard of a run that can be [resumed](resume).

mod attributes;
mod explain;
mod extras;
mod finding;
mod pipeline;
mod progress;
mod reader;
mod resume;
mod share;
mod sink;
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use touchmark::corpus::{self, Document, DocumentError, Fields, Reading};

#[cfg(bundled_models)]
pub use explain::{highlighted, speaking};
pub use pipeline::in_order;
#[cfg(feature = "serve")]
pub use reader::Examined;
pub use reader::{Beside, Mark, Reader, Wanted};
pub use resume::{Manifest, Part, all_parts};
pub use sink::Out;
pub use sink::html;
pub use sink::table_row;
#[cfg(feature = "engine")]
pub use targets::tenants;

use extras::Extras;
use finding::{Outcome, Wants};
use progress::{Progress, Totals};
use resume::Rank;
use share::{Items, Place, Share};
use sink::Sink;

use crate::args::{self, FailOn, Format, Global};
use crate::assemble;
use crate::interrupt;
use crate::output::{self, Exit};

/// Sources that are known beforehand.
type Listed = Vec<Result<PathBuf, DocumentError>>;

pub fn run(global: &Global, args: &args::Detect) -> anyhow::Result<Exit> {
    check(args)?;
    let mut reader = Reader::new(global, &Wanted::of(args)?)?;
    let extras = Extras::new(global, args, &reader)?.map(Arc::new);
    if let Some(extras) = &extras {
        reader.attach(Arc::clone(extras) as Arc<dyn Beside>);
    }
    let job = Job { global, args, reader };
    let exit = match &args.runs.resume {
        Some(folder) => job.resume(folder)?,
        None => job.stream()?,
    };
    if let Some(extras) = &extras {
        extras.finish(global)?;
    }
    Ok(exit)
}

fn check(args: &args::Detect) -> anyhow::Result<()> {
    let inputs = &args.inputs;
    check_stdin(inputs)?;
    let is_text = inputs.paths.iter().any(|path| path == Path::new("-"));
    let same = |path: &PathBuf, other: &PathBuf| match (path.canonicalize(), other.canonicalize()) {
        (Ok(path), Ok(other)) => path == other && path.is_file(),
        _ => false,
    };
    if let Some(output) = &args.output
        && inputs.paths.iter().any(|path| same(path, output))
    {
        bail!("{} would be written over; name another file with -o", output.display());
    }
    let runs = &args.runs;
    if runs.resume.is_some() && args.extras.decoys.is_some() && args.extras.decoy_seed.is_none() {
        bail!(
            "--decoys with --resume needs --decoy-seed: all shards are to be compared with the same keys"
        );
    }
    if runs.resume.is_some() && args.is_report() {
        bail!(
            "--resume keeps rows and no texts; when it has ended, `touchmark detect --finish DIR --format html` makes a report of them"
        );
    }
    if runs.rank >= runs.world_size {
        bail!(
            "--rank {} of --world-size {}: ranks are numbered from 0, so the last is {}",
            runs.rank,
            runs.world_size,
            runs.world_size - 1
        );
    }
    if runs.resume.is_some()
        && runs.filter.is_some()
        && runs.world_size > 1
        && args.output.is_none()
    {
        bail!(
            "a rank that filters and resumes writes its documents when it ends; name a file with -o"
        );
    }
    if is_text && runs.world_size > 1 {
        bail!("standard input cannot be shared among ranks; name files");
    }
    Ok(())
}

fn check_stdin(inputs: &args::Inputs) -> anyhow::Result<()> {
    let stdin = Path::new("-");
    let is_text = inputs.paths.iter().any(|path| path == stdin);
    if is_text && inputs.files_from.as_deref() == Some(stdin) {
        bail!("standard input is either a document or, with --files-from, a list of files");
    }
    Ok(())
}

/// What is to be done, and what does it.
struct Job<'a> {
    global: &'a Global,
    args: &'a args::Detect,
    reader: Reader,
}

impl Job<'_> {
    /// Writes as it reads.
    fn stream(&self) -> anyhow::Result<Exit> {
        interrupt::end_cleanly("; with --resume DIR a run can go on where it was ended".to_owned());
        let shown = progress::is_shown(self.global, self.args);
        let listed = self.must_list(shown).then(|| self.sources().collect::<Listed>());
        let share = self.share(listed.as_ref());
        let mut progress = Progress::new(shown, self.bytes(listed.as_ref(), share))?;
        let mut attributes = self.attributes(listed.as_ref(), share)?;
        let mut sink = Sink::new(self.global, self.args, &self.reader)?;
        let mut totals = Totals::default();
        let take = |outcome: Outcome, progress: &Progress| {
            totals.count(&outcome);
            let (line, source) = (outcome.attributes().map(str::to_owned), outcome.place.source);
            match outcome.result {
                Ok(finding) => sink.write(finding)?,
                Err(failure) => {
                    sink.failed();
                    progress.warn(&failure.words);
                }
            }
            match (&mut attributes, line) {
                (Some(files), Some(line)) => files.write(source, &line),
                _ => Ok(()),
            }
        };
        let sources = self.sources_again(listed);
        self.examine(sources, share, Place::default(), &mut progress, take)?;
        sink.finish()?;
        if let Some(files) = attributes {
            files.finish()?;
        }
        let seconds = progress.end();
        totals.tell(self.global, self.args.fpr, seconds, totals.tokens);
        self.explain_table(&totals);
        Ok(self.exit(&totals))
    }

    /// Keeps finished shards in a folder, goes on after those that are there, and writes at the end.
    fn resume(&self, folder: &Path) -> anyhow::Result<Exit> {
        let listed = self.sources().collect::<Listed>();
        let store = assemble::store(self.global)?;
        let manifest = Manifest::new(self.args, &store, &self.reader, &listed)?;
        let mut rank = Rank::take(folder, &manifest, self.args.runs.rank)?;
        let attributes = self.attributes(Some(&listed), self.share(Some(&listed)))?;
        interrupt::end_cleanly(format!(
            "; finished shards are kept in {}, and the same command goes on after them",
            folder.display()
        ));
        let before = rank.totals();
        if rank.finished() > 0 {
            let (shards, documents) = (rank.finished(), before.documents + before.failed);
            let words = format!("{shards} shards with {documents} documents are finished already");
            output::note(self.global.quiet, &words);
        }
        rank.failures()?.iter().for_each(|words| output::warn(words));
        let seconds = self.go_on(&mut rank, listed)?;
        if self.args.output.is_some() || manifest.world_size == 1 {
            let mut sink = Sink::new(self.global, self.args, &self.reader)?;
            rank.assemble(&mut sink, manifest.has_rows())?;
            sink.finish()?;
        }
        if let Some(files) = attributes {
            rank.assemble_attributes(files)?;
        }
        let totals = rank.totals();
        totals.tell(self.global, self.args.fpr, seconds, totals.tokens - before.tokens);
        self.explain_table(&totals);
        if manifest.world_size > 1 && manifest.has_rows() {
            self.tell_ranks(folder);
        }
        Ok(self.exit(&totals))
    }

    /// Examines what no finished shard holds, and gives the seconds it took.
    fn go_on(&self, rank: &mut Rank, listed: Listed) -> anyhow::Result<f64> {
        let share = self.share(Some(&listed));
        let shown = progress::is_shown(self.global, self.args);
        let mut progress = Progress::new(shown, self.bytes(Some(&listed), share))?;
        if let Some(begin) = rank.begin() {
            let take = |outcome: Outcome, progress: &Progress| {
                if let Err(failure) = &outcome.result {
                    progress.warn(&failure.words);
                }
                rank.add(outcome)
            };
            self.examine(listed.into_iter(), share, begin, &mut progress, take)?;
            rank.end()?;
        }
        Ok(progress.end())
    }

    fn tell_ranks(&self, folder: &Path) {
        let (runs, folder) = (&self.args.runs, folder.display());
        let words = format!(
            "Rank {} of {} has finished; when all have: touchmark detect --finish {folder}",
            runs.rank, runs.world_size
        );
        output::note(self.global.quiet, &words);
    }

    /// Examines a share from a place on, and gives what comes of it to `take`, in order.
    fn examine(
        &self,
        sources: impl Iterator<Item = Result<PathBuf, DocumentError>> + Send,
        share: Share,
        begin: Place,
        progress: &mut Progress,
        mut take: impl FnMut(Outcome, &Progress) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let reading = Reading {
            keep_lines: self.args.runs.filter.is_some(),
            read: Some(progress.read.clone()),
            ..reading(&self.args.inputs)
        };
        let items = Items::new(sources, reading, share, begin);
        let wants = self.wants();
        let examine = |item| finding::examine(&self.reader, wants, item);
        let take = |outcome: Outcome| {
            progress.add(outcome.tokens());
            take(outcome, progress)
        };
        pipeline::in_order(items, threads(self.global), examine, take)
    }

    fn sources(&self) -> impl Iterator<Item = Result<PathBuf, DocumentError>> + Send + use<> {
        let inputs = &self.args.inputs;
        corpus::sources(inputs.paths.clone(), inputs.files_from.clone())
    }

    /// Those that were listed, or else found as they are read.
    fn sources_again(
        &self,
        listed: Option<Listed>,
    ) -> Box<dyn Iterator<Item = Result<PathBuf, DocumentError>> + Send> {
        match listed {
            Some(listed) => Box::new(listed.into_iter()),
            None => Box::new(self.sources()),
        }
    }

    /// Whether sources must be known before the first is read: to deal them, to name files after them, or to say how far a run
    /// is.
    fn must_list(&self, shown: bool) -> bool {
        let from_stdin = self.args.inputs.files_from.as_deref() == Some(Path::new("-"));
        let runs = &self.args.runs;
        runs.world_size > 1 || runs.attributes.is_some() || (shown && !from_stdin)
    }

    fn share(&self, listed: Option<&Listed>) -> Share {
        let runs = &self.args.runs;
        listed.map_or(Share::ALL, |sources| {
            Share::new(runs.rank, runs.world_size, sources.len(), runs.shard_documents)
        })
    }

    fn bytes(&self, listed: Option<&Listed>, share: Share) -> Option<u64> {
        let own = (0..).zip(listed?).filter(|(number, _)| share.has(*number));
        progress::bytes(own.map(|(_, source)| source))
    }

    fn attributes(
        &self,
        listed: Option<&Listed>,
        share: Share,
    ) -> anyhow::Result<Option<attributes::Writer>> {
        let (Some(folder), Some(sources)) = (&self.args.runs.attributes, listed) else {
            return Ok(None);
        };
        attributes::Writer::new(folder, &self.args.inputs.paths, sources, share).map(Some)
    }

    fn wants(&self) -> Wants {
        let looks = &self.args.marks.looks;
        let with_key = !looks.keys.is_empty() || looks.tenants.is_some();
        let names = attributes::Names { with_key };
        Wants {
            filter: self.args.runs.filter,
            attributes: self.args.runs.attributes.is_some().then_some(names),
        }
    }

    fn explain_table(&self, totals: &Totals) {
        let is_table = sink::format(self.global, self.args) == Format::Table;
        if is_table && self.args.runs.filter.is_none() && totals.documents > 0 {
            sink::explain_table(self.global);
        }
    }

    fn exit(&self, totals: &Totals) -> Exit {
        match (totals.documents, totals.failed) {
            (0, 1..) => Exit::Nothing,
            _ if totals.detected > 0 && self.args.fail_on == Some(FailOn::Detected) => Exit::Gate,
            (_, 1..) => Exit::Partial,
            _ => Exit::Done,
        }
    }
}

/// How documents are read.
pub fn reading(inputs: &args::Inputs) -> Reading {
    let fields = Fields {
        text: inputs.text_field.clone(),
        id: inputs.id_field.clone(),
        tokens: inputs.tokens_field.clone(),
        prompt: inputs.prompt_field.clone(),
    };
    let stdin = inputs.stdin_format.into();
    Reading { stdin, fields, max_document: inputs.max_document, ..Reading::default() }
}

/// All documents that were named.
pub fn documents(
    inputs: &args::Inputs,
) -> anyhow::Result<impl Iterator<Item = Result<Document, DocumentError>> + Send + use<>> {
    check_stdin(inputs)?;
    let sources = corpus::sources(inputs.paths.clone(), inputs.files_from.clone());
    Ok(corpus::documents(sources, reading(inputs)))
}

/// As many as there are cores, unless told otherwise.
pub fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    global.threads.unwrap_or_else(cores)
}
