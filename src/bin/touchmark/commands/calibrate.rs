//! `touchmark calibrate`: how often profiles and keys alarm on texts that carry no mark.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use serde::Serialize;
use touchmark::corpus::{Content, Document, DocumentError};
use touchmark::detect::{
    Calibrated, Calibration, Detector, FreshKeys, KeySpread, KeyState, Negatives, RealisedRate, Row,
};
use touchmark::stats::{Family, LogP};
use touchmark::watermark::Text;

use super::detect::{Beside, Mark, Reader, Wanted, documents, in_order, threads};
use super::marks;
use crate::args::{self, FailOnHealth, Global};
use crate::assemble;
use crate::output::{self, Exit};
use crate::whole_file;

/// A healthy calibration is called unhealthy with probability 1 % at most.
const CONFIDENCE: f64 = 0.99;
/// p-values do not depend on it.
const ANY_RATE: f64 = 1e-6;

pub fn run(global: &Global, args: &args::Calibrate) -> anyhow::Result<Exit> {
    let wanted = Wanted { alone: true, ..Wanted::all_rows(&args.marks, ANY_RATE)? };
    let mut reader = Reader::new(global, &wanted)?;
    let fresh = match args.fresh_keys {
        Some(count) => Some(Arc::new(Fresh::new(&reader, count, &wanted)?)),
        None => None,
    };
    if let Some(fresh) = &fresh {
        reader.attach(Arc::clone(fresh) as Arc<dyn Beside>);
    }
    let (calibration, negatives) = read(global, args, &reader)?;
    let rates = calibration.rates(CONFIDENCE)?;
    let store = assemble::store(global)?;
    let identities = reader.marks().map(|mark| marks::identity(&store, &mark));
    let calibrated = Calibrated {
        schema: Calibrated::SCHEMA,
        detector_version: env!("CARGO_PKG_VERSION").to_owned(),
        created: assemble::now(),
        settings: marks::settings(&args.inputs, &args.marks.looks, args.marks.model.as_ref()),
        documents: negatives,
        confidence: CONFIDENCE,
        marks: identities.collect::<anyhow::Result<_>>()?,
        rates,
        fresh_keys: fresh.map(|fresh| fresh.spread()).unwrap_or_default(),
    };
    tell(global, args, &calibrated)
}

/// Writes and shows what came of it.
fn tell(global: &Global, args: &args::Calibrate, calibrated: &Calibrated) -> anyhow::Result<Exit> {
    let file = serde_json::to_vec_pretty(calibrated)?;
    let hash = blake3::hash(&file).to_hex()[..12].to_owned();
    if let Some(path) = &args.output {
        whole_file::write(path, &file)?;
    }
    let keys: Vec<Key<'_>> =
        calibrated.marks.iter().map(|mark| Key::of(calibrated, mark)).collect();
    let unhealthy: Vec<String> = keys
        .iter()
        .filter(|key| !key.healthy)
        .map(|key| format!("{} with key {}", key.profile, key.key_id))
        .collect();
    if global.json {
        let calibration = hash.as_str();
        output::json(&Answer { calibration, unhealthy: &unhealthy, keys, made: calibrated })?;
    } else {
        show(global, args, calibrated, &keys, &hash)?;
    }
    if !unhealthy.is_empty() {
        output::warn(&format!(
            "unhealthy: {}. These keys alarm more often than their p-values say on texts of this kind; make another key, or a \
             profile with a wider context",
            unhealthy.join(", ")
        ));
    }
    Ok(match calibrated.documents.failed {
        _ if !unhealthy.is_empty() && args.fail_on == Some(FailOnHealth::Unhealthy) => Exit::Gate,
        0 => Exit::Done,
        _ => Exit::Partial,
    })
}

#[derive(Serialize)]
struct Answer<'a> {
    /// What rows cite.
    calibration: &'a str,
    unhealthy: &'a [String],
    keys: Vec<Key<'a>>,
    #[serde(flatten)]
    made: &'a Calibrated,
}

#[derive(Serialize)]
struct Key<'a> {
    profile: &'a str,
    key_id: &'a str,
    healthy: bool,
    /// Whether the rate at 1 % is shown to be 2 % at most.
    calibrated: bool,
}

impl<'a> Key<'a> {
    fn of(calibrated: &Calibrated, mark: &'a touchmark::detect::MarkIdentity) -> Self {
        let KeyState { healthy, close } = calibrated.key_state(&mark.profile, &mark.key_id);
        Self { profile: &mark.profile, key_id: &mark.key_id, healthy, calibrated: close }
    }
}

/// Reads all documents, each that differs once.
fn read(
    global: &Global,
    args: &args::Calibrate,
    reader: &Reader,
) -> anyhow::Result<(Calibration, Negatives)> {
    let mut calibration = Calibration::default();
    let (mut hashes, mut repeated, mut failed) = (Vec::new(), 0, 0);
    let bar = output::progress(global.no_progress || global.quiet, None, "documents")?;
    let offered = Distinct { documents: documents(&args.inputs)?, seen: HashSet::new() };
    let examine = |offered: Offered| match offered {
        Offered::New(document, hash) => {
            reader.examine(&document).map(|examined| Some((examined.rows, hash)))
        }
        Offered::Again => Ok(None),
        Offered::Failed(error) => Err(error.into()),
    };
    let take = |outcome: anyhow::Result<Option<(Vec<Row>, [u8; 32])>>| {
        bar.inc(1);
        match outcome {
            Ok(Some((rows, hash))) => {
                rows.iter().try_for_each(|row| calibration.note(row))?;
                hashes.push(hash);
            }
            Ok(None) => repeated += 1,
            Err(error) => {
                failed += 1;
                output::warn(&output::causes(&error));
            }
        }
        anyhow::Ok(())
    };
    in_order(offered, threads(global), examine, take)?;
    bar.finish_and_clear();
    if hashes.is_empty() {
        bail!(
            "there is no document to calibrate on; give texts that carry no mark, of the kind that is to be judged"
        );
    }
    hashes.sort_unstable();
    let list = blake3::hash(hashes.as_flattened()).to_hex().to_string();
    let count = hashes.len() as u64;
    Ok((calibration, Negatives { count, repeated, failed, blake3: list }))
}

/// Documents, those that repeat an earlier one told apart.
struct Distinct<I> {
    documents: I,
    /// Of letters and digits alone: copies that differ in case, spaces or punctuation are copies.
    seen: HashSet<[u8; 32]>,
}

enum Offered {
    New(Document, [u8; 32]),
    Again,
    Failed(DocumentError),
}

impl<I: Iterator<Item = Result<Document, DocumentError>>> Iterator for Distinct<I> {
    type Item = Offered;

    fn next(&mut self) -> Option<Offered> {
        let document = match self.documents.next()? {
            Ok(document) => document,
            Err(error) => return Some(Offered::Failed(error)),
        };
        let (exact, loose) = hashes(&document.content);
        if self.seen.insert(loose) {
            Some(Offered::New(document, exact))
        } else {
            Some(Offered::Again)
        }
    }
}

/// BLAKE3 of a text, and of its letters and digits in lower case; of ids, u32 little-endian, twice the same.
fn hashes(content: &Content) -> ([u8; 32], [u8; 32]) {
    match content {
        Content::Text(text) => {
            let plain: String = text
                .chars()
                .filter(|character| character.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect();
            let exact = *blake3::hash(text.as_bytes()).as_bytes();
            let loose = *blake3::hash(plain.as_bytes()).as_bytes();
            (exact, if plain.is_empty() { exact } else { loose })
        }
        Content::Tokens(ids) => {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            let exact = *blake3::hash(&bytes).as_bytes();
            (exact, exact)
        }
    }
}

/// Random keys for each profile, which nobody keeps.
struct Fresh(BTreeMap<String, FreshProfile>);

struct FreshProfile {
    /// Whose rows stand for the profile's documents.
    key: String,
    detectors: Vec<Detector>,
    alarms: Mutex<FreshKeys>,
}

impl Fresh {
    fn new(reader: &Reader, count: u32, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let mut profiles = BTreeMap::new();
        for Mark { profile, key, tokenizer, .. } in reader.marks() {
            if profiles.contains_key(&profile.id) {
                continue;
            }
            let mut detectors: Vec<Detector> = Vec::new();
            for _ in 0..count {
                let fresh = assemble::fresh_key(&profile.scheme)?;
                detectors.push(match detectors.first() {
                    Some(first) => first.under(assemble::keyed(&fresh, profile, tokenizer)?)?,
                    None => {
                        assemble::detector(&fresh, profile, tokenizer, ANY_RATE, Family::one())?
                            .with_windows(wanted.windows)
                    }
                });
            }
            let fresh = FreshProfile { key: key.to_owned(), detectors, alarms: Mutex::default() };
            profiles.insert(profile.id.clone(), fresh);
        }
        Ok(Self(profiles))
    }

    fn spread(&self) -> BTreeMap<String, Vec<KeySpread>> {
        let of = |(profile, fresh): (&String, &FreshProfile)| {
            let alarms = fresh.alarms.lock().unwrap_or_else(PoisonError::into_inner);
            (profile.clone(), alarms.spread())
        };
        self.0.iter().map(of).collect()
    }
}

impl Beside for Fresh {
    fn see(&self, _: &Detector, readings: &[Text<'_>], row: &mut Row) -> anyhow::Result<()> {
        let Some(fresh) = self.0.get(&row.profile).filter(|fresh| fresh.key == row.key_id) else {
            return Ok(());
        };
        let p = |detector: &Detector| Ok(detector.best_of(readings, 1)?.corrected);
        let p = fresh.detectors.iter().map(p).collect::<anyhow::Result<Vec<LogP>>>()?;
        Ok(fresh.alarms.lock().unwrap_or_else(PoisonError::into_inner).note(&p)?)
    }
}

fn show(
    global: &Global,
    args: &args::Calibrate,
    calibrated: &Calibrated,
    keys: &[Key<'_>],
    hash: &str,
) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    writeln!(
        out,
        "{:<16} {:<20} {:>13} {:>9} {:>7} {:>7}  {:<16} health",
        "profile", "key", "scored tokens", "documents", "nominal", "rate", "95 % interval"
    )?;
    for rate in &calibrated.rates {
        writeln!(out, "{}", line(rate))?;
    }
    for (profile, spread) in &calibrated.fresh_keys {
        for level in spread {
            writeln!(out, "{}", fresh_line(profile, level))?;
        }
    }
    let documents = &calibrated.documents;
    let close = keys.iter().filter(|key| key.calibrated).count();
    let mut words = format!(
        "{} documents; {} left out as copies of others, {} could not be read. At a nominal 1 %: {} Rates below 1 in {} cannot be seen here.\n\
         {close} of {} keys calibrated: the rate at a nominal 1 % is shown to be 2 % at most. It holds for texts of this kind alone.",
        documents.count,
        documents.repeated,
        documents.failed,
        Family::one().alarm_words(documents.count, 0.01),
        documents.count,
        keys.len(),
    );
    if let Some(path) = &args.output {
        words +=
            &format!("\nCalibration {hash}: touchmark detect --calibration {}", path.display());
    }
    output::note(global.quiet, &words);
    Ok(())
}

fn line(rate: &RealisedRate) -> String {
    let tokens = match rate.tokens_from {
        None => "all".to_owned(),
        Some(0) => "under 50".to_owned(),
        Some(from) => format!("{from}-{}", 2 * from - 1),
    };
    format!(
        "{:<16} {:<20} {tokens:>13} {:>9} {:>7} {:>7}  {:<16} {}",
        rate.profile,
        rate.key_id,
        rate.documents,
        percent(rate.level),
        percent(rate.alarms as f64 / rate.documents.max(1) as f64),
        format!("{} to {}", percent(rate.interval.low), percent(rate.interval.high)),
        if rate.healthy { "ok" } else { "unhealthy" }
    )
}

fn fresh_line(profile: &str, spread: &KeySpread) -> String {
    format!(
        "{profile}: of {} fresh keys at a nominal {} 95 % alarm on {} to {} of the documents, the worst on {} (mean {})",
        spread.keys,
        percent(spread.level),
        percent(spread.low),
        percent(spread.high),
        percent(spread.worst),
        percent(spread.mean)
    )
}

fn percent(rate: f64) -> String {
    format!("{:.2} %", 100.0 * rate)
}
