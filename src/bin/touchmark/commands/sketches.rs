//! Sketches of a corpus, one for each profile and key.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::detect::{ClaimError, LookSettings, Pairs, Row, Sketch};
use touchmark::stats::LogP;
use touchmark::store::Store;

use super::detect::{Mark, Reader};
use super::marks;
use crate::output;
use crate::whole_file::WholeFile;

/// Which mark a row belongs to, by profile and key.
pub type Index = BTreeMap<(String, String), usize>;

/// The number of each mark of a reader.
pub fn index(reader: &Reader) -> Index {
    let name = |mark: Mark<'_>| (mark.profile.id.clone(), mark.key.to_owned());
    reader.marks().map(name).zip(0..).collect()
}

/// The number of a row's mark.
pub fn place(index: &Index, row: &Row) -> anyhow::Result<usize> {
    let found = index.get(&(row.profile.clone(), row.key_id.clone()));
    found.copied().context("internal fault: a row of a mark that was not looked for")
}

/// Sketches by mark; none for marks that can have none, which are named once.
pub struct Sketches(Vec<Option<Sketch>>);

impl Sketches {
    pub fn new(
        reader: &Reader,
        store: &Store,
        settings: &LookSettings,
        limit: usize,
    ) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for mark in reader.marks() {
            let name = name(store, &mark, settings)?;
            match Sketch::new(mark.detector.watermark(), name, limit) {
                Ok(sketch) => all.push(Some(sketch)),
                Err(error @ ClaimError::OfText) => {
                    output::warn(&format!("profile \"{}\": {error}", mark.profile.id));
                    all.push(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let sketches = Self(all);
        sketches.check()?;
        Ok(sketches)
    }

    /// Those of files, merged, for the marks of a reader.
    pub fn merged(
        reader: &Reader,
        store: &Store,
        settings: &LookSettings,
        read: Vec<Sketch>,
    ) -> anyhow::Result<Self> {
        let names = reader.marks().map(|mark| name(store, &mark, settings));
        let names = names.collect::<anyhow::Result<Vec<String>>>()?;
        let mut all: Vec<Option<Sketch>> = names.iter().map(|_| None).collect();
        for sketch in read {
            let Some(at) = names.iter().position(|name| name == sketch.mark()) else {
                bail!(
                    "a sketch of another mark: it is of \"{}\", here there is {}; use the same profile, key, tokenizer and flags \
                     (--normalise, --prompt-field, --tokens-field, --model) as when it was written",
                    sketch.mark(),
                    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
                );
            };
            match &mut all[at] {
                Some(known) => known.merge(&sketch)?,
                empty => *empty = Some(sketch),
            }
        }
        Ok(Self(all))
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.0.iter().all(Option::is_none) {
            bail!(
                "none of the profiles has a sketch, so there is no claim for the corpus as a whole"
            );
        }
        Ok(())
    }

    /// Takes a document's pairs, and its own p-value.
    pub fn take(&mut self, at: usize, pairs: &Result<Pairs, ClaimError>, p: LogP) {
        let Some(slot) = self.0.get_mut(at) else { return };
        match (slot.as_mut(), pairs) {
            (Some(sketch), Ok(pairs)) => sketch.take(pairs, Some(p)),
            (Some(sketch), Err(error)) => {
                output::warn(&format!("{}: {error}", sketch.mark()));
                *slot = None;
            }
            (None, _) => {}
        }
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut Sketch> {
        self.0.get_mut(at)?.as_mut()
    }

    /// Writes them one after the other.
    pub fn write(&mut self, path: &Path) -> anyhow::Result<()> {
        self.check()?;
        let mut out = WholeFile::create(path)?;
        for sketch in self.0.iter_mut().flatten() {
            sketch.write(&mut out).with_context(|| format!("cannot write {}", path.display()))?;
        }
        out.finish()
    }
}

/// All sketches of a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<Sketch>> {
    let failed = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(failed)?;
    Sketch::read_all(BufReader::with_capacity(1 << 20, file)).with_context(failed)
}

/// Profile and key that a sketch's mark begins with.
pub fn parts(mark: &str) -> Option<(&str, &str)> {
    mark.split(' ').next()?.split_once('/')
}

/// Profile, key, and a hash of all that pairs and their evidence depend on.
fn name(store: &Store, mark: &Mark<'_>, settings: &LookSettings) -> anyhow::Result<String> {
    let identity = marks::identity(store, mark)?;
    // Passages are looked for in documents, not in a corpus.
    let settings = LookSettings { segments: String::new(), ..settings.clone() };
    let all = serde_json::to_string(&(&identity, &settings))?;
    let hash = blake3::hash(all.as_bytes()).to_hex();
    Ok(format!("{}/{} {}", identity.profile, identity.key_id, &hash[..16]))
}
