//! Do the p-values of other tools hold their rate on unmarked text, and do ours? See README.md. Writes results.json and
//! results.md beside this file, and the manual's table of worked numbers.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod readings;
mod report;
mod statistics;
mod texts;
mod worked;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use touchmark::tokenizer::HfTokenizer;

use readings::{GROUPS, Group, Reader};
use report::Row;
use texts::{Source, TextSet};

const PAIRS: u64 = 100_000;
/// Where two laws differ little, it takes more texts to see it.
const MANY_PAIRS: u64 = 2_000_000;
const LEVELS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];
const CHUNK: u64 = 500;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let share: f64 = std::env::args().nth(1).map_or(1.0, |share| share.parse().unwrap());
    let tokenizer = HfTokenizer::from_path(&root.join("models/scribe-16m")).unwrap();
    let source = Source::new(root, &tokenizer);
    let reader = Reader::new(&tokenizer);
    let mut rows = Vec::new();
    for (number, (group, set, pairs)) in (0..).zip(cells()) {
        let pairs = (pairs as f64 * share) as u64;
        let begun = std::time::Instant::now();
        let alarms = count(&reader, &source, group, set, number, pairs);
        println!("{}, {}: {:.1} s", group.name, set.name(), begun.elapsed().as_secs_f64());
        rows.extend(alarms.into_iter().zip(group.statistics).map(|(alarms, &statistic)| Row {
            set,
            evidence: group.name,
            statistic,
            pairs,
            alarms,
        }));
    }
    report::write(&root.join("experiments/peer_p_values"), &rows);
    std::fs::write(root.join("src/manual/peer_p_values.md"), worked::table().unwrap()).unwrap();
}

/// Every group on every set of texts, and the groups whose fault is small on many short texts.
fn cells() -> Vec<(&'static Group, TextSet, u64)> {
    let mut cells = Vec::new();
    for set in [TextSet::Human(50), TextSet::Human(200), TextSet::Human(1000), TextSet::Repetitive]
    {
        cells.extend(GROUPS.iter().map(|group| (group, set, PAIRS)));
    }
    let fine = GROUPS.iter().filter(|group| group.is_fine());
    cells.extend(fine.map(|group| (group, TextSet::Human(20), MANY_PAIRS)));
    cells
}

/// Of each statistic of the group, how many texts have p at or below each level; all cores.
fn count(
    reader: &Reader,
    source: &Source,
    group: &Group,
    set: TextSet,
    number: u64,
    pairs: u64,
) -> Vec<[u64; LEVELS.len()]> {
    let next = AtomicU64::new(0);
    let total = Mutex::new(vec![[0; LEVELS.len()]; group.statistics.len()]);
    let work = || {
        let mut mine = vec![[0; LEVELS.len()]; group.statistics.len()];
        loop {
            let first = next.fetch_add(CHUNK, Ordering::Relaxed);
            if first >= pairs {
                break;
            }
            for pair in first..pairs.min(first + CHUNK) {
                let text = source.text(set, pair);
                let p = (group.read)(reader, text, number << 32 | pair);
                assert_eq!(p.len(), mine.len(), "{}", group.name);
                for (counts, p) in mine.iter_mut().zip(p) {
                    let alarms = counts.iter_mut().zip(LEVELS);
                    alarms.for_each(|(count, level)| *count += u64::from(p <= level));
                }
            }
        }
        let mut total = total.lock().unwrap();
        for (total, mine) in total.iter_mut().flatten().zip(mine.iter().flatten()) {
            *total += mine;
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    total.into_inner().unwrap()
}
