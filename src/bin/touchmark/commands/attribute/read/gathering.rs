//! One pass of a model, and what it is compared with, over the pieces; kept in a file, so that it can go on after any end.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use touchmark::attribution::{Chosen, Expected, Gatherer, Looks, Read, Readers, Text, Transcript};

use super::super::marked::Marked;
use super::super::tested;
use crate::args::{Global, attribute::Run};
use crate::output;
use crate::whole_file::WholeFile;

/// What is gathered of one model.
#[derive(Serialize, Deserialize)]
pub struct Gathering {
    /// Models and numbers.
    of: String,
    /// Pieces that were read, and what they were.
    done: usize,
    texts: String,
    reach: usize,
    pub read: Read,
    pub tokens: u64,
    /// Those that were taken on the way.
    pub looks: Looks,
    pub soft: Gatherer,
    /// Of the suspect alone.
    pub beside: Option<Beside>,
    /// What there was of the suspect after an eighth, a quarter and a half of the pieces.
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
    pub fn new(args: &Run, mark: &Marked, others: &[&Path]) -> Self {
        let usual = if mark.first().seeds_by_context() { 1024 } else { 64 };
        let (reach, top) = (mark.reach, args.top.map_or(usual, |top| top as usize));
        Self {
            of: format!("{others:?}, h {reach}, top {top}"),
            done: 0,
            texts: String::new(),
            reach,
            read: Read::default(),
            tokens: 0,
            looks: Looks::from(tested::FIRST_LOOK),
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
        enough: &mut dyn FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Self> {
        if let Some(before) = kept.load(&self.of, pieces)? {
            self = before;
            let told = format!("{} of {} texts were read before", self.done, pieces.len());
            output::note(global.quiet, &told);
        }
        let bar = output::progress(
            global.quiet || global.no_progress,
            Some(pieces.len() as u64),
            "texts",
        )?;
        let (mut saved, before) = (Instant::now(), self.done);
        while self.done < pieces.len() && !enough(&mut self)? {
            bar.set_position(self.done as u64);
            let (width, piece) = (self.reach, &pieces[self.done]);
            let read = readers.read(piece, width, |expected| self.note(expected))?;
            self.read += read;
            self.tokens += piece.marks_ids().len() as u64;
            self.done += 1;
            let is_part = |part: &usize| self.done * part == pieces.len() / 8 * 8;
            if self.beside.is_some() && [8, 4, 2].iter().any(is_part) {
                self.growth.push((self.tokens, self.soft.so_far()));
            }
            if saved.elapsed() > Kept::EVERY {
                kept.save(&mut self, pieces)?;
                saved = Instant::now();
            }
        }
        bar.finish_and_clear();
        if self.done > before {
            kept.save(&mut self, pieces)?;
        }
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

    fn load(&self, of: &str, pieces: &[Text]) -> anyhow::Result<Option<Gathering>> {
        let Some(path) = self.0.as_ref().filter(|path| path.exists()) else { return Ok(None) };
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let before: Gathering = ciborium::from_reader(BufReader::new(file)).with_context(|| {
            format!("{shown} is no checkpoint of this version; remove it to begin again")
        })?;
        let read = pieces.get(..before.done).map(digest);
        if before.of != of || read != Some(before.texts.clone()) {
            bail!(
                "{shown} is of another run (of {}, after {} texts), this one is of {of} or has other texts; name another folder with \
                 --checkpoint",
                before.of,
                before.done
            );
        }
        Ok(Some(before))
    }

    fn save(&self, gathering: &mut Gathering, pieces: &[Text]) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        gathering.texts = digest(&pieces[..gathering.done]);
        let mut file = WholeFile::create(path)?;
        ciborium::into_writer(gathering, &mut file)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.finish()
    }
}

/// Of what models read in these pieces.
fn digest(pieces: &[Text]) -> String {
    let mut digest = blake3::Hasher::new();
    for ids in pieces.iter().map(Text::models_ids) {
        digest.update(&(ids.len() as u64).to_le_bytes());
        ids.iter().for_each(|id| {
            digest.update(&id.to_le_bytes());
        });
    }
    digest.finalize().to_hex().to_string()
}
