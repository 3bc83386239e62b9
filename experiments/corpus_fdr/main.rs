//! Are false discoveries as rare as they are said to be, and what is found? See question.md. Writes results.json beside this
//! file and the manual's table.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod bootstrap;
mod corpus;
mod report;

use std::path::Path;

use touchmark::detect::{Detector, Windows};
use touchmark::engine::Decoder;
use touchmark::keys::Key;
use touchmark::schemes::{Gumbel, Kgw, Spec, SynthId, VllmGumbel};
use touchmark::stats::{Correction, Family, LogP, StepUp};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

use corpus::{Document, Truth, Writer};

const KEY_SETS: u64 = 50;
const FDR: f64 = 0.01;
/// At which passages are told, as by default.
const FPR: f64 = 1e-6;

/// What was found of one document under one key set.
pub struct Finding {
    /// Where it comes from.
    pub truth: Truth,
    /// Smallest over the profiles, corrected for all of them.
    pub p: LogP,
    /// Whether the profile with the smallest p is the one that marked.
    pub right: bool,
    /// By Benjamini–Hochberg over all documents.
    pub discovered: bool,
    /// Its length.
    pub tokens: usize,
    /// Tokens between a passage's true ends and those told, where one was told.
    pub away: Option<[usize; 2]>,
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "documents.jsonl".to_owned());
    let sets: u64 = arguments.next().map_or(KEY_SETS, |count| count.parse().unwrap());
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    touchmark::engine::set_threads(threads);
    let model = Decoder::from_dir(&root.join("models/scribe-16m")).unwrap();
    let tokenizer = HfTokenizer::from_path(&root.join("models/scribe-16m")).unwrap();
    let human = corpus::human(root, Path::new(&file), &tokenizer);
    println!("{} documents, {} tokens", human.len(), corpus::tokens(&human));
    let mut writer = Writer::new(model, &tokenizer);
    let mut found = Vec::new();
    for set in 0..sets {
        let marks: Vec<Watermark> =
            (0..).zip(specs()).map(|(at, (_, spec))| mark(&tokenizer, &spec, set, at)).collect();
        let replaced = writer.marked(&human, &marks, set);
        let detectors: Vec<Detector> = marks.into_iter().map(detector).collect();
        let mut findings = examined(&human, &replaced, &detectors, &tokenizer, threads);
        discover(&mut findings);
        println!("{}", report::line(set, &findings));
        found.push(findings);
    }
    let names: Vec<&str> = specs().iter().map(|(name, _)| *name).collect();
    report::write(root, &human, &names, &found);
}

fn specs() -> Vec<(&'static str, Spec)> {
    vec![
        ("kgw h=2 (default)", Spec::Kgw(Kgw::default())),
        ("gumbel h=4", Spec::Gumbel(Gumbel::default())),
        ("synthid m=30", Spec::SynthId(SynthId::default())),
        ("vllm-gumbel", Spec::VllmGumbel(VllmGumbel::default())),
    ]
}

/// A fresh key in each set.
fn mark(tokenizer: &HfTokenizer, spec: &Spec, set: u64, at: u64) -> Watermark {
    let hash = blake3::hash(&[set, at].map(u64::to_le_bytes).concat());
    let key = match spec.key_numbers() {
        None => Key::take(&mut { *hash.as_bytes() }),
        Some(count) => {
            let numbers = hash.as_bytes().chunks_exact(8);
            Key::of_numbers(
                numbers
                    .take(count)
                    .map(|bytes| u64::from_le_bytes(*bytes.first_chunk().unwrap()))
                    .collect(),
            )
            .unwrap()
        }
    };
    let vocabulary = Vocabulary {
        tokenizer: tokenizer.hash(),
        size: 8192,
        special: tokenizer.special_ids().to_vec(),
    };
    Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).unwrap()
}

fn detector(mark: Watermark) -> Detector {
    let family = Family::one().times("profiles and keys", specs().len() as u64);
    Detector::new(mark, FPR, family, None).unwrap().with_windows(Windows::Auto)
}

fn examined(
    human: &[Document],
    replaced: &[Option<Document>],
    detectors: &[Detector],
    tokenizer: &HfTokenizer,
    threads: usize,
) -> Vec<Finding> {
    let pairs: Vec<&Document> =
        human.iter().zip(replaced).map(|(human, new)| new.as_ref().unwrap_or(human)).collect();
    // Neighbours are of one work and alike in length, so each thread takes every n-th.
    let part = |thread: usize| {
        let own = pairs.iter().skip(thread).step_by(threads);
        own.map(|document| examine(document, detectors, tokenizer)).collect::<Vec<_>>()
    };
    let mut parts: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || part(thread))).collect();
        running.into_iter().map(|part| part.join().unwrap().into_iter()).collect()
    });
    (0..pairs.len()).map(|at| parts[at % threads].next().unwrap()).collect()
}

fn examine(document: &Document, detectors: &[Detector], tokenizer: &HfTokenizer) -> Finding {
    let start = detectors.iter().enumerate().map(|(at, detector)| {
        let starts = detector.watermark().starts();
        let texts: Vec<_> = starts
            .iter()
            .map(|&start| Text { ids: &document.ids, start, ..Text::default() })
            .collect();
        (at, detector.best_of(&texts, 2).unwrap())
    });
    let (at, best) = start.min_by_key(|(_, found)| found.corrected).unwrap();
    let away = document.truth.passage().and_then(|bytes| {
        let bounds = &tokenizer.encode(&document.text).unwrap().bytes;
        let truth = bounds.partition_point(|token| token.end <= bytes.start)
            ..bounds.partition_point(|token| token.start < bytes.end);
        let overlaps =
            |tokens: &&std::ops::Range<usize>| tokens.start < truth.end && truth.start < tokens.end;
        let told = best.passages.iter().map(|passage| &passage.tokens).find(overlaps)?;
        Some([told.start.abs_diff(truth.start), told.end.abs_diff(truth.end)])
    });
    Finding {
        truth: document.truth.clone(),
        p: best.corrected,
        right: document.truth.scheme() == Some(at),
        discovered: false,
        tokens: document.ids.len(),
        away,
    }
}

fn discover(findings: &mut [Finding]) {
    let p = findings.iter().map(|finding| finding.p).collect();
    let documents = StepUp::new(p, Correction::BenjaminiHochberg);
    let level = LogP::from_p(FDR).unwrap();
    findings.iter_mut().for_each(|finding| finding.discovered = documents.q(finding.p) <= level);
}
