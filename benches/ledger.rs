//! Receipts a second that are on the disk, with one and with 32 that wait; and a search through 100,000 answers of 300 words.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark::provenance::{Facts, Ledger, ModelName, NewReceipt, TokenCounts};
use touchmark::store::Store;
use touchmark::store::ledger::SqliteLedger;

const ANSWERS: u64 = 100_000;
const WORDS: u64 = 300;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Words that stand for numbers, different ones for each answer.
fn text(answer: u64) -> String {
    let words = (0..WORDS).map(|word| format!("w{}", (answer * WORDS + word) % 9_999_991));
    words.collect::<Vec<_>>().join(" ")
}

fn receipt(ledger: &SqliteLedger) -> Option<NewReceipt> {
    let answer = NEXT.fetch_add(1, Ordering::Relaxed);
    let facts = Facts {
        answer: format!("chatcmpl-{answer:016x}"),
        choice: 0,
        time: jiff::Timestamp::UNIX_EPOCH,
        account: None,
        mark: None,
        applied: false,
        reason: None,
        tokens: TokenCounts::default(),
        model: ModelName { hash: None, name: "toy".to_owned() },
        finish_reason: "stop".to_owned(),
    };
    ledger.recorder().record(facts, &text(answer), "prompt").ok()
}

/// Adds `count` receipts from `threads` threads.
fn add(ledger: &SqliteLedger, threads: u64, count: u64) {
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..count / threads {
                    black_box(receipt(ledger).map(|new| ledger.append(new)));
                }
            });
        }
    });
}

fn ledger(c: &mut Criterion) {
    let Ok(home) = tempfile::tempdir() else { return };
    let store = Store::at(home.path());
    let Ok(ledger) = store.open_ledger(&store.ledger_path(), false) else { return };
    let mut group = c.benchmark_group("ledger");
    group.sample_size(10);
    for (threads, count) in [(1, 32), (32, 320)] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("append, {threads} at once"), |b| {
            b.iter(|| add(&ledger, threads, count));
        });
    }
    while NEXT.load(Ordering::Relaxed) < ANSWERS {
        add(&ledger, 64, 6400);
    }
    group.throughput(Throughput::Elements(1));
    for (name, words) in [("an excerpt of 100 words", 100), ("a whole answer", WORDS as usize)] {
        let query = text(777).split(' ').take(words).collect::<Vec<_>>().join(" ");
        group.bench_function(format!("find {name} in 100,000"), |b| {
            b.iter(|| {
                black_box(ledger.find(&query, 5).is_ok_and(|found| !found.matches.is_empty()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
