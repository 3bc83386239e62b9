//! `--calibration`, `--decoys`, `--claim`: what rows gain, and what is made of a corpus besides rows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use touchmark::detect::{Calibrated, Decoys, Detector, KeyState, Pairs, Row};
use touchmark::stats::LogP;
use touchmark::store::Store;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Text, Vocabulary};

use super::reader::{Beside, Mark, Reader};
use crate::args::{self, Global};
use crate::assemble;
use crate::commands::marks;
use crate::commands::sketches::{Index, Sketches, index, place};
use crate::output;

/// What is done with every document besides its rows.
pub struct Extras {
    index: Index,
    citation: Option<Citation>,
    /// By mark; marks of one profile share them.
    decoys: Vec<Arc<Decoys>>,
    sketches: Option<Mutex<Sketches>>,
    to: Option<PathBuf>,
}

/// A calibration, and what it says of each mark.
struct Citation {
    hash: String,
    states: Vec<KeyState>,
}

impl Extras {
    /// None where none was asked for.
    pub fn new(
        global: &Global,
        args: &args::Detect,
        reader: &Reader,
    ) -> anyhow::Result<Option<Self>> {
        let wanted = &args.extras;
        if wanted.claim.is_none() && wanted.decoys.is_none() && wanted.calibration.is_none() {
            return Ok(None);
        }
        let store = assemble::store(global)?;
        let settings = marks::settings(&args.inputs, &args.marks.looks, args.marks.model.as_ref());
        let cite = |path: &PathBuf| {
            citation(path, &store, reader, args).with_context(|| format!("{}", path.display()))
        };
        let citation = wanted.calibration.as_ref().map(cite).transpose()?;
        let decoys = match wanted.decoys {
            Some(count) => {
                tell_of_decoys(global, count, reader.targets());
                decoys(reader, count as usize, wanted.decoy_seed)?
            }
            None => Vec::new(),
        };
        if wanted.claim.is_some() && !reader.tells_of_all() {
            bail!(
                "a sketch of the best keys alone would be a choice that no p-value has paid for; with so many keys leave --claim \
                 out, and use `touchmark claim`"
            );
        }
        let sketches = match wanted.claim {
            Some(_) => Some(Sketches::new(reader, &store, &settings, wanted.pairs)?),
            None => None,
        };
        let (sketches, to) = (sketches.map(Mutex::new), wanted.claim.clone());
        Ok(Some(Self { index: index(reader), citation, decoys, sketches, to }))
    }

    /// Writes what was made of the corpus.
    pub fn finish(&self, global: &Global) -> anyhow::Result<()> {
        let (Some(sketches), Some(path)) = (&self.sketches, &self.to) else { return Ok(()) };
        let mut sketches = sketches.lock().unwrap_or_else(PoisonError::into_inner);
        sketches.write(path)?;
        output::note(
            global.quiet,
            &format!("One p-value for the corpus: touchmark claim --merge {}", path.display()),
        );
        Ok(())
    }
}

impl Beside for Extras {
    fn see(&self, detector: &Detector, readings: &[Text<'_>], row: &mut Row) -> anyhow::Result<()> {
        let at = place(&self.index, row)?;
        if let Some(citation) = &self.citation {
            citation.cite(at, row);
        }
        if let Some(decoys) = self.decoys.get(at) {
            let own = detector.p_of_wholes(readings)?;
            row.decoy_p = Some(detector.family().correct(decoys.p(readings, own)?).p());
        }
        if let Some(sketches) = &self.sketches {
            let pairs = Pairs::of(detector.watermark(), readings);
            let p = LogP::new(row.log10_p_corrected)?;
            sketches.lock().unwrap_or_else(PoisonError::into_inner).take(at, &pairs, p);
        }
        Ok(())
    }
}

impl Citation {
    fn cite(&self, at: usize, row: &mut Row) {
        let Some(state) = self.states.get(at) else { return };
        row.calibration = Some(self.hash.clone());
        row.calibrated = Some(state.healthy && state.close);
        if !state.healthy {
            row.warnings.push(UNHEALTHY.to_owned());
        }
    }
}

const UNHEALTHY: &str = "the calibration shows that this key alarms more often than its p-values say on texts of this kind; it was used \
                         nevertheless (--allow-unhealthy)";

fn citation(
    path: &Path,
    store: &Store,
    reader: &Reader,
    args: &args::Detect,
) -> anyhow::Result<Citation> {
    let file = std::fs::read(path).context("cannot read it")?;
    let calibrated = Calibrated::parse(&file)?;
    let settings = marks::settings(&args.inputs, &args.marks.looks, args.marks.model.as_ref());
    let state = |mark: Mark<'_>| Ok(calibrated.state(&marks::identity(store, &mark)?, &settings)?);
    let states = reader.marks().map(state).collect::<anyhow::Result<Vec<KeyState>>>()?;
    let unhealthy = reader.marks().zip(&states).filter(|(_, state)| !state.healthy);
    let names: Vec<String> =
        unhealthy.map(|(mark, _)| format!("{} with key {}", mark.profile.id, mark.key)).collect();
    if !names.is_empty() && !args.extras.allow_unhealthy {
        bail!(
            "unhealthy: {} alarms too often on texts of this kind, so its p-values do not hold for them; use another key or a profile \
             with a wider context, or --allow-unhealthy to go on with a warning in each row",
            names.join(", ")
        );
    }
    let hash = blake3::hash(&file).to_hex()[..12].to_owned();
    Ok(Citation { hash, states })
}

fn tell_of_decoys(global: &Global, count: u32, marks: usize) {
    let least = marks as f64 / (f64::from(count) + 1.0);
    output::note(
        global.quiet,
        &format!(
            "{count} decoy keys: each text is scored {} times for each profile and key, and no decoy p is below {:.1e}",
            u64::from(count) + 2,
            least.min(1.0)
        ),
    );
}

/// Decoys for each mark, made once for each profile.
fn decoys(reader: &Reader, count: usize, seed: Option<u64>) -> anyhow::Result<Vec<Arc<Decoys>>> {
    let mut all: Vec<(String, Arc<Decoys>)> = Vec::new();
    for Mark { profile, tokenizer, .. } in reader.marks() {
        let known = all.iter().find(|(id, _)| *id == profile.id).map(|(_, it)| Arc::clone(it));
        let decoys = match known {
            Some(known) => known,
            None => {
                let vocabulary = Vocabulary {
                    tokenizer: profile.tokenizer.hash,
                    size: profile.tokenizer.vocab_size,
                    special: tokenizer.special_ids().to_vec(),
                };
                let (spec, repeats) = (&profile.scheme, profile.repeats);
                Arc::new(match seed {
                    Some(seed) => Decoys::seeded(count, seed, spec, &vocabulary, repeats)?,
                    None => Decoys::draw(count, spec, &vocabulary, repeats)?,
                })
            }
        };
        all.push((profile.id.clone(), decoys));
    }
    Ok(all.into_iter().map(|(_, decoys)| decoys).collect())
}
