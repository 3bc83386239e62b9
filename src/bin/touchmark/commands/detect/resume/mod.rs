//! `--resume`: a run whose finished shards are kept in a folder, so that it can go on after any end.
//!
//! ```text
//! DIR/manifest.json            settings, sources, number of ranks
//! DIR/rank-00000/lock          held by the process that works on the rank
//! DIR/rank-00000/unfinished    the shard in progress; worth nothing after the process has ended
//! DIR/rank-00000/part-00000000 a finished shard, synced and then renamed; that it is there says that it is finished
//! ```
//!
//! A shard is a run of the rank's items. Shards are finished in order, and each says where the next begins; the last one
//! says that it is the last. What is written at the end is made of the parts alone, so that it is the same however often the
//! run was ended.

mod manifest;
mod part;

use std::fs::{File, TryLockError};
use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::attributes;
use super::finding::{Finding, Outcome};
use super::progress::Totals;
use super::share::Place;
use super::sink::Sink;
pub use manifest::Manifest;
pub use part::Part;
use part::{Trailer, Unfinished};

/// A shard ends at so many bytes of rows or documents too, so that a loss is small where documents are long.
const SHARD_BYTES: u64 = 64 << 20;

/// The parts of one rank.
pub struct Rank {
    folder: PathBuf,
    shard_documents: u64,
    /// The last part that is finished.
    last: Option<Trailer>,
    parts: Vec<Part>,
    current: Option<Unfinished>,
    run: String,
    rank: u64,
    /// Held until the process ends.
    _lock: File,
}

impl Rank {
    /// Takes a rank of a run, which nobody else may be working on.
    pub fn take(folder: &Path, manifest: &Manifest, rank: u64) -> anyhow::Result<Self> {
        manifest.agree(folder)?;
        let folder = rank_folder(folder, rank);
        let failed = || format!("cannot write to {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))
            .with_context(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("{} is being worked on by another process", folder.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", folder.display()));
            }
        }
        let run = manifest.digest()?;
        let parts = parts(&folder, &run, rank)?;
        let last = parts.last().map(|part| part.trailer.clone());
        let shard_documents = manifest.shard_documents;
        Ok(Self { folder, shard_documents, last, parts, current: None, run, rank, _lock: lock })
    }

    /// Where the items begin that are not in a finished shard; none where all are.
    pub fn begin(&self) -> Option<Place> {
        match &self.last {
            None => Some(Place::default()),
            Some(last) => (!last.last).then_some(last.next),
        }
    }

    /// How many shards are finished.
    pub fn finished(&self) -> usize {
        self.parts.len()
    }

    /// What finished shards say could not be examined.
    pub fn failures(&self) -> anyhow::Result<Vec<String>> {
        let lists: Vec<_> = self.parts.iter().map(Part::failures).collect::<anyhow::Result<_>>()?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Takes the next item.
    pub fn add(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            None => {
                let begun = Unfinished::begin(&self.folder, self.next_trailer())?;
                self.current.insert(begun)
            }
        };
        current.add(outcome)?;
        if current.items() >= self.shard_documents || current.bytes() >= SHARD_BYTES {
            self.close(false)?;
        }
        Ok(())
    }

    /// After the last item.
    pub fn end(&mut self) -> anyhow::Result<()> {
        if self.current.is_none() {
            self.current = Some(Unfinished::begin(&self.folder, self.next_trailer())?);
        }
        self.close(true)
    }

    fn next_trailer(&self) -> Trailer {
        match &self.last {
            Some(last) => last.following(),
            None => Trailer::first(self.run.clone(), self.rank),
        }
    }

    fn close(&mut self, last: bool) -> anyhow::Result<()> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let trailer = current.finish(last)?;
        self.parts.extend(Part::open(&self.folder, trailer.part)?);
        self.last = Some(trailer);
        Ok(())
    }

    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for totals in self.parts.iter().map(|part| part.trailer.totals()) {
            sum.documents += totals.documents;
            sum.tokens += totals.tokens;
            sum.failed += totals.failed;
            sum.detected += totals.detected;
        }
        sum
    }

    /// Writes what all parts hold. They are checked first: standard output cannot be taken back.
    pub fn assemble(&self, sink: &mut Sink, are_rows: bool) -> anyhow::Result<()> {
        self.parts.iter().try_for_each(Part::check)?;
        for part in &self.parts {
            let mut body = part.body()?;
            let mut line = Vec::new();
            while body.read_until(b'\n', &mut line)? > 0 {
                let line = std::mem::take(&mut line);
                let finding = if are_rows {
                    Finding { rows: vec![serde_json::from_slice(&line)?], ..Finding::default() }
                } else {
                    Finding { record: Some(line), ..Finding::default() }
                };
                sink.write(finding)?;
            }
        }
        Ok(())
    }

    /// Writes the attribute files that all parts hold.
    pub fn assemble_attributes(&self, mut files: attributes::Writer) -> anyhow::Result<()> {
        for part in &self.parts {
            for line in part.attributes()?.lines() {
                let line = line?;
                let (source, line) = line.split_once('\t').context("internal fault: no source")?;
                files.write(source.parse()?, &format!("{line}\n"))?;
            }
        }
        files.finish()
    }
}

fn rank_folder(folder: &Path, rank: u64) -> PathBuf {
    folder.join(format!("rank-{rank:05}"))
}

/// The finished parts of a rank, each beginning where the one before ends.
fn parts(folder: &Path, run: &str, rank: u64) -> anyhow::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    while let Some(part) = Part::open(folder, parts.len() as u64)? {
        let trailer = &part.trailer;
        let begin = parts.last().map_or_else(Place::default, |before| before.trailer.next);
        let number = parts.len() as u64;
        if (trailer.run.as_str(), trailer.rank, trailer.part, trailer.begin)
            != (run, rank, number, begin)
        {
            bail!(
                "{} is of another run or place; remove it and the parts after it in its folder, and they are made again",
                part.path.display()
            );
        }
        parts.push(part);
    }
    Ok(parts)
}

/// The parts of all ranks of a run that has ended, whole and checked.
pub fn all_parts(folder: &Path) -> anyhow::Result<Vec<Part>> {
    let manifest = Manifest::read(folder)?;
    if !manifest.has_rows() {
        bail!(
            "{} holds documents of a --filter run, not rows; name its output with -o of the runs",
            folder.display()
        );
    }
    let run = manifest.digest()?;
    let mut all = Vec::new();
    for rank in 0..manifest.world_size {
        let parts = parts(&rank_folder(folder, rank), &run, rank)?;
        if !parts.last().is_some_and(|part| part.trailer.last) {
            bail!(
                "rank {rank} of {} in {} has not finished; run it again with --resume, then finish",
                manifest.world_size,
                folder.display()
            );
        }
        parts.iter().try_for_each(Part::check)?;
        all.extend(parts);
    }
    Ok(all)
}
