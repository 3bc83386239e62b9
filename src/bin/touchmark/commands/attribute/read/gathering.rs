//! One pass of a model, and what it is compared with, over the pieces; kept in a file, so that it can go on after any end.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use touchmark::attribution::{Chosen, Expected, Gatherer, Read, Readers, Text, Transcript};

use super::super::marked::Marked;
use crate::args::{Global, attribute::Run};
use crate::output;
use crate::whole_file::WholeFile;

/// What is gathered of one model.
#[derive(Serialize, Deserialize)]
pub struct Gathering {
    /// What it is of: models, texts and numbers.
    of: String,
    /// Pieces that were read.
    done: usize,
    reach: usize,
    pub read: Read,
    pub tokens: u64,
    pub soft: Gatherer,
    /// Of the suspect alone.
    pub beside: Option<Beside>,
    /// What there was after an eighth, a quarter and a half of the pieces.
    pub growth: Vec<(u64, Transcript)>,
    #[serde(skip)]
    weights: Vec<f32>,
}

/// Other readings of the same positions.
#[derive(Serialize, Deserialize)]
pub struct Beside {
    pub pairs: Chosen,
    pub contexts: Chosen,
    /// What the base expects by itself.
    pub base: Gatherer,
}

impl Gathering {
    /// Nothing yet. `others` are the names of the models that take part.
    pub fn new(args: &Run, mark: &Marked, others: &[&Path], pieces: &[Text]) -> Self {
        let usual = if mark.first().seeds_by_context() { 1024 } else { 64 };
        let (reach, top) = (mark.reach, args.top.map_or(usual, |top| top as usize));
        let mut texts = blake3::Hasher::new();
        for id in pieces.iter().flat_map(Text::models_ids) {
            texts.update(&id.to_le_bytes());
        }
        Self {
            of: format!("{others:?}, h {reach}, top {top}, texts {}", texts.finalize().to_hex()),
            done: 0,
            reach,
            read: Read::default(),
            tokens: 0,
            soft: Gatherer::new(reach, top),
            beside: None,
            growth: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// With the readings that stand beside the suspect's.
    pub fn beside(mut self) -> Self {
        let (pairs, contexts) = (Chosen::new(self.reach, false), Chosen::new(self.reach, true));
        self.beside = Some(Beside { pairs, contexts, base: self.soft.empty() });
        self
    }

    /// Reads all pieces that were not read, or until there is `enough`.
    pub fn read(
        mut self,
        global: &Global,
        mut readers: Readers<'_>,
        pieces: &[Text],
        kept: &Kept,
        enough: &mut dyn FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Self> {
        if let Some(before) = kept.load(&self.of)? {
            self = before;
            let told = format!("{} of {} texts were read before", self.done, pieces.len());
            output::note(global.quiet, &told);
        }
        let bar = output::progress(
            global.quiet || global.no_progress,
            Some(pieces.len() as u64),
            "texts",
        )?;
        let mut saved = Instant::now();
        while self.done < pieces.len() && !enough(&self)? {
            bar.set_position(self.done as u64);
            let (width, piece) = (self.reach, &pieces[self.done]);
            let read = readers.read(piece, width, |expected| self.note(expected))?;
            self.read += read;
            self.tokens += piece.marks_ids().len() as u64;
            self.done += 1;
            if [8, 4, 2].iter().any(|part| self.done * part == pieces.len() / 8 * 8) {
                self.growth.push((self.tokens, self.soft.so_far()));
            }
            if saved.elapsed() > Kept::EVERY {
                kept.save(&self)?;
                saved = Instant::now();
            }
        }
        bar.finish_and_clear();
        kept.save(&self)?;
        Ok(self)
    }

    fn note(&mut self, expected: &Expected<'_>) {
        expected.difference(&mut self.weights);
        self.soft.add(expected.context, &self.weights);
        let Some(beside) = &mut self.beside else { return };
        let token = expected.likeliest();
        beside.pairs.note(expected.context, token);
        beside.contexts.note(expected.context, token);
        if let Some(base) = expected.base {
            self.weights.clear();
            self.weights.extend(base.iter().map(|p| p.sqrt()));
            beside.base.add(expected.context, &self.weights);
        }
    }
}

/// The file that a gathering is kept in, if any.
pub struct Kept(Option<PathBuf>);

impl Kept {
    /// How often it is written.
    const EVERY: Duration = Duration::from_secs(60);

    /// A file of the folder that was named.
    pub fn new(args: &Run, name: &str) -> anyhow::Result<Self> {
        let Some(folder) = &args.checkpoint else { return Ok(Self(None)) };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot write {}", folder.display()))?;
        Ok(Self(Some(folder.join(name).with_extension("cbor"))))
    }

    fn load(&self, of: &str) -> anyhow::Result<Option<Gathering>> {
        let Some(path) = self.0.as_ref().filter(|path| path.exists()) else { return Ok(None) };
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let before: Gathering = ciborium::from_reader(BufReader::new(file)).with_context(|| {
            format!("{shown} is no checkpoint of this version; remove it to begin again")
        })?;
        if before.of != of {
            bail!(
                "{shown} is of another run ({}), this one is of {of}; name another folder with --checkpoint",
                before.of
            );
        }
        Ok(Some(before))
    }

    fn save(&self, gathering: &Gathering) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let mut file = WholeFile::create(path)?;
        ciborium::into_writer(gathering, &mut file)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.finish()
    }
}
