//! Does the comparison of weights accuse independent models? See question.md.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod models;
mod permutations;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use touchmark::engine::tensors;
use touchmark::fingerprint::weights::{Comparison, Settings, compare};
use touchmark::fingerprint::{Basis, Verdict};
use touchmark::lm::TensorSource;
use touchmark::stats::clopper_pearson;

use models::Beginning;

const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).expect("a value after the option").clone())
    };
    let number = |name, default| value(name).map_or(default, |text: String| text.parse().unwrap());
    let mut tables = Vec::new();
    let pairs = number("--pairs", 1500);
    for beginning in Beginning::ALL {
        let name = beginning.name().to_owned();
        tables.push((name, random_pairs(beginning, pairs / Beginning::ALL.len())));
    }
    if let Some(folder) = value("--trained") {
        tables.push(("trained".to_owned(), trained_pairs(Path::new(&folder))));
    }
    report(&tables);
    let permutations = number("--permutations", 10_000);
    if permutations > 0 {
        permutations::run(permutations);
    }
}

/// p-values of one pair: the smallest corrected one, and those of the exact tests.
struct Pair {
    related: bool,
    corrected: f64,
}

impl From<Comparison> for Pair {
    fn from(comparison: Comparison) -> Self {
        let exact = comparison.findings.iter().filter(|finding| finding.basis == Basis::Exact);
        let ps = exact.filter_map(|finding| finding.log10_p_corrected);
        let corrected = 10f64.powf(ps.fold(0.0, f64::min));
        Self { related: comparison.verdict == Verdict::Related, corrected }
    }
}

/// Pairs of models that begin in one way, in shapes that differ from pair to pair.
fn random_pairs(beginning: Beginning, count: usize) -> Vec<Pair> {
    spread(count, |pair| {
        let seed = (pair as u64) << 8 | beginning as u64;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let shape = models::Shape::draw(&mut random);
        let mut model = || models::model(beginning, &shape, random.next_u64());
        let (one, other) = (model(), model());
        compared(&one, &other, seed)
    })
}

/// Models of a folder, each in one pair with another of its width.
fn trained_pairs(folder: &Path) -> Vec<Pair> {
    let entries = std::fs::read_dir(folder).expect("the folder of trained models");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.join("config.json").is_file());
    paths.sort();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for last in (1..paths.len()).rev() {
        paths.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
    // Stable, so that the order within a width stays the drawn one.
    paths.sort_by_cached_key(|path| {
        let config = std::fs::read(path.join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        config["hidden_size"].as_u64()
    });
    let pairs: Vec<_> = paths.as_chunks::<2>().0.to_vec();
    spread(pairs.len(), |pair| {
        let [one, other] = &pairs[pair];
        let (one, other) = (tensors::open(one).unwrap(), tensors::open(other).unwrap());
        compared(&*one, &*other, pair as u64)
    })
}

fn compared(one: &dyn TensorSource, other: &dyn TensorSource, seed: u64) -> Pair {
    let settings = Settings { seed, draws: 99_999, ..Settings::default() };
    compare(one, other, &settings, &|_, _| {}).unwrap().into()
}

/// Results in order, computed on all cores.
fn spread<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let take =
                        || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < count);
                    std::iter::from_fn(take).map(|at| (at, work(at))).collect::<Vec<_>>()
                })
            })
            .collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by_key(|&(at, _)| at);
    all.into_iter().map(|(_, result)| result).collect()
}

fn report(tables: &[(String, Vec<Pair>)]) {
    println!("| models | pairs | RELATED | p ≤ 5 % | p ≤ 1 % | p ≤ 0.1 % |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, pairs) in tables {
        row(name, pairs.iter());
    }
    let all = || tables.iter().flat_map(|(_, pairs)| pairs);
    row("**all**", all());
    let (count, related) = (all().count() as u64, all().filter(|pair| pair.related).count() as u64);
    let bound = clopper_pearson(related, count, 0.95).unwrap().high;
    println!(
        "\n{} models in {count} pairs, {related} RELATED: at most {:.2} % of such pairs (95 %, Clopper–Pearson). By their proofs the \
         tests' rate is at most 0.0001 %.",
        2 * count,
        100.0 * bound
    );
}

fn row<'a>(name: &str, pairs: impl Iterator<Item = &'a Pair>) {
    let pairs: Vec<_> = pairs.collect();
    let at_most = |level| pairs.iter().filter(|pair| pair.corrected <= level).count();
    let [five, one, tenth] = LEVELS.map(at_most);
    let related = pairs.iter().filter(|pair| pair.related).count();
    println!("| {name} | {} | {related} | {five} | {one} | {tenth} |", pairs.len());
}
