//! What `find` recognises among more than 5,000 answers, on human text: excerpts and edited copies, and nothing else.

use std::sync::mpsc;

use touchmark::provenance::{Ledger, Match, MatchKind};
use touchmark::store::ledger::SqliteLedger;

use crate::ledger::{Home, facts, splitmix};

/// How many answers of how many words there are.
const ANSWERS: [(usize, usize); 3] = [(40, 3000), (300, 600), (4700, 50)];

struct Corpus {
    words: Vec<&'static str>,
    /// Where each answer begins, and how many words it has.
    answers: Vec<(usize, usize)>,
    /// Where the words begin that are in no answer.
    rest: usize,
}

impl Corpus {
    fn new() -> Self {
        let lines = include_str!("../data/human.jsonl").lines();
        let text = |line: &str| {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            document["text"].as_str().unwrap().to_owned()
        };
        let all = lines.map(text).collect::<Vec<_>>().join("\n");
        let words: Vec<&'static str> = all.leak().split_whitespace().collect();
        let (mut answers, mut next) = (Vec::new(), 0);
        for (count, length) in ANSWERS {
            for _ in 0..count {
                answers.push((next, length));
                next += length;
            }
        }
        assert!(next + 40_000 < words.len(), "{next} of {}", words.len());
        Self { words, answers, rest: next }
    }

    fn text(&self, start: usize, length: usize) -> String {
        self.words[start..start + length].join(" ")
    }

    fn record(&self, ledger: &SqliteLedger) {
        let (sender, receiver) = mpsc::channel();
        for (number, &(start, length)) in self.answers.iter().enumerate() {
            let facts = facts(&number.to_string(), number as i64);
            let new = ledger.recorder().record(facts, &self.text(start, length), "").unwrap();
            let sender = sender.clone();
            ledger.append_then(new, Box::new(move |kept| sender.send(kept.is_ok()).unwrap()));
        }
        drop(sender);
        assert_eq!(receiver.iter().filter(|kept| *kept).count(), self.answers.len());
    }

    /// An excerpt with a share of its words replaced, left out or followed by another.
    fn edited(&self, start: usize, length: usize, percent: u64, seed: u64) -> String {
        let mut random = (0..).map(|at| splitmix(seed << 20 | at));
        let mut out = Vec::new();
        for &word in &self.words[start..start + length] {
            let [edit, kind, other] = [(); 3].map(|()| random.next().unwrap());
            let other = self.words[other as usize % self.words.len()];
            match (edit % 100 < percent, kind % 4) {
                (false, _) => out.push(word),
                (true, 0 | 1) => out.push(other),
                (true, 2) => out.extend([word, other]),
                (true, _) => {}
            }
        }
        out.join(" ")
    }
}

fn best(ledger: &SqliteLedger, text: &str) -> Option<Match> {
    ledger.find(text, 3).unwrap().matches.into_iter().next()
}

#[test]
fn edited_excerpts_are_found_among_thousands_of_answers_and_other_texts_are_not() {
    const QUERIES: usize = 60;
    let corpus = Corpus::new();
    let home = Home::new();
    let ledger = home.open(false);
    corpus.record(&ledger);
    // (answers' words, excerpt's words, percent edited, fewest of the queries found)
    let mut short = Vec::new();
    for (group, excerpt, percent, fewest) in FOUND {
        let first: usize = ANSWERS[..group].iter().map(|(count, _)| count).sum();
        let (count, length) = ANSWERS[group];
        let found = (0..QUERIES).filter(|&query| {
            let seed = (group * 1_000_000 + excerpt * 1000 + query) as u64;
            let answer = first + splitmix(seed) as usize % count;
            let offset = splitmix(seed ^ 1 << 40) as usize % (length - excerpt + 1);
            let start = corpus.answers[answer].0 + offset;
            let text = corpus.edited(start, excerpt, percent, seed);
            best(&ledger, &text).is_some_and(|best| best.receipt.answer == answer.to_string())
        });
        let found = found.count();
        let said = format!("{excerpt} of {length} words, {percent} % edited: {found} of {QUERIES}");
        println!("{said}");
        if found < fewest {
            short.push(said);
        }
    }
    assert!(short.is_empty(), "{short:?}");
    unrelated(&corpus, &ledger);
    exact(&corpus, &ledger);
}

/// Answers of up to 600 words are sketched whole, so that these numbers do not depend on the ledger's key.
const FOUND: [(usize, usize, u64, usize); 17] = [
    (1, 50, 0, 60),
    (1, 50, 10, 60),
    (1, 50, 20, 59),
    (1, 50, 30, 52),
    (1, 100, 10, 60),
    (1, 100, 30, 60),
    (1, 200, 5, 60),
    (1, 200, 30, 60),
    (1, 500, 5, 60),
    (1, 500, 30, 60),
    (2, 50, 5, 60),
    (2, 50, 30, 53),
    (0, 50, 0, 56),
    (0, 100, 10, 57),
    (0, 200, 10, 59),
    (0, 500, 10, 60),
    (0, 500, 30, 58),
];

/// Other passages, of the same books too: phrases that every writer uses are not enough.
fn unrelated(corpus: &Corpus, ledger: &SqliteLedger) {
    let mut alarms = Vec::new();
    let mut queries = 0;
    for length in [50, 200, 1000] {
        for start in (corpus.rest..corpus.words.len() - length).step_by(length.max(100)) {
            queries += 1;
            alarms.extend(best(ledger, &corpus.text(start, length)));
        }
    }
    println!("{} of {queries} other passages agree with an answer", alarms.len());
    for alarm in &alarms {
        println!("{:?}", alarm.similarity);
    }
    assert!(queries > 500 && alarms.is_empty(), "{queries} {alarms:?}");
}

fn exact(corpus: &Corpus, ledger: &SqliteLedger) {
    for answer in [3, 100, 4000] {
        let (start, length) = corpus.answers[answer];
        let text = corpus.text(start, length);
        let shouted = text.to_uppercase().replace('.', " !");
        for (text, kind) in [
            (text.clone(), MatchKind::Exact),
            (format!("\n {text} "), MatchKind::Trimmed),
            (shouted, MatchKind::SameWords),
        ] {
            let found = best(ledger, &text).unwrap();
            assert_eq!((found.kind, found.receipt.answer), (kind, answer.to_string()));
        }
    }
}
