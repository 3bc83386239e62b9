//! Marked passages in human text: found, located, and no more false alarms for the windows that were tried.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use touchmark::detect::{Detection, Detector, Passage, Verdict, Windows};
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::sampling::Sampling;
use touchmark::schemes::{Gumbel, Kgw, Kuditipudi, Spec, SynthId};
use touchmark::stats::{Family, binomial_sf_ge};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

use crate::common::key_for;

const FPR: f64 = 1e-6;

struct Bench {
    tokenizer: HfTokenizer,
    vocabulary: Vocabulary,
    humans: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let tokenizer = HfTokenizer::from_path(&folder()).unwrap();
        let vocabulary = Vocabulary {
            tokenizer: tokenizer.hash(),
            size: 8192,
            special: tokenizer.special_ids().to_vec(),
        };
        let documents = include_str!("../data/human.jsonl").lines();
        let texts = documents.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let humans = texts.map(|document| document["text"].as_str().unwrap().to_owned()).collect();
        Self { tokenizer, vocabulary, humans }
    }

    fn mark(&self, spec: &Spec, number: u64) -> Watermark {
        let key = key_for(number, spec);
        Watermark::new(&key, spec.prf(), spec, &self.vocabulary, Repeats::ScoreOnce).unwrap()
    }

    fn detector(&self, spec: &Spec, number: u64, windows: Windows) -> Detector {
        let mark = self.mark(spec, number);
        Detector::new(mark, FPR, Family::one(), None).unwrap().with_windows(windows)
    }

    fn ids(&self, text: &str) -> Vec<TokenId> {
        self.tokenizer.encode(text).unwrap().ids
    }

    /// Human text of about so many tokens: documents from the `at`-th on, one after the other.
    fn human(&self, at: usize, tokens: usize) -> String {
        let mut text = String::new();
        let mut next = at;
        while self.ids(&text).len() < tokens {
            text.push_str(&self.humans[next % self.humans.len()]);
            text.push_str("\n\n");
            next += 1;
        }
        let bytes = self.tokenizer.encode(&text).unwrap().bytes;
        let end = (bytes[tokens - 1].end..).find(|&at| text.is_char_boundary(at)).unwrap();
        text.truncate(end);
        text
    }

    /// Texts of `tokens` tokens by the bundled model, the `i`-th under key `first + i`.
    fn written(&self, spec: &Spec, first: u64, count: usize, tokens: usize) -> Vec<String> {
        let mut model = Decoder::from_dir(&folder()).unwrap();
        let never = self.tokenizer.special_ids().to_vec();
        let ends = Ends { end: Vec::new(), never };
        let marks: Vec<Watermark> =
            (0..count).map(|text| self.mark(spec, first + text as u64)).collect();
        let requests: Vec<Request> = (0..count)
            .map(|stream| Request {
                prompt: self.ids(&format!("Chapter {stream}. In the morning")),
                max_tokens: tokens,
                sampling: Sampling { seed: 11, ..Sampling::default() },
                stream: stream as u64,
                stop: Vec::new(),
            })
            .collect();
        let answers = requests.iter().zip(&marks).map(|(request, mark)| {
            Answer::new(request, Some(mark), &self.tokenizer, &ends).unwrap()
        });
        let mut texts = vec![String::new(); count];
        generate(&mut model, answers.collect(), 24, &mut |_, _| Ok(()), &mut |index, answer| {
            texts[index] = answer.text;
            ControlFlow::Continue(())
        })
        .unwrap();
        texts
    }

    /// The tokens of `passage` in `text`.
    fn tokens(&self, text: &str, passage: &Range<usize>) -> Range<usize> {
        let bytes = self.tokenizer.encode(text).unwrap().bytes;
        let first = bytes.partition_point(|token| token.end <= passage.start);
        first..bytes.partition_point(|token| token.start < passage.end)
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m")
}

/// Puts passages between words of a text, the first of them near `at` of its length. Their bytes follow.
fn with_passages(human: &str, passages: &[&str], at: f64) -> (String, Vec<Range<usize>>) {
    let (mut text, mut ranges, mut from) = (String::new(), Vec::new(), 0);
    for (number, passage) in passages.iter().enumerate() {
        let share = (at + number as f64 / passages.len() as f64) % 1.0;
        let wanted = ((human.len() as f64 * share) as usize).max(from);
        let cut = (wanted..).find(|&at| human.is_char_boundary(at)).unwrap();
        let cut = cut + human[cut..].find(' ').unwrap_or(0);
        text.push_str(&human[from..cut]);
        ranges.push(text.len()..text.len() + passage.len());
        text.push_str(passage);
        from = cut;
    }
    text.push_str(&human[from..]);
    (text, ranges)
}

/// 24 passages a scheme. Of 200 each, 199, 200 and 196 were found: fewer than 20 of 24 has a probability below 1e-4.
#[test]
fn a_passage_of_120_tokens_in_5000_is_found() {
    const PASSAGES: usize = 24;
    let bench = Bench::new();
    let schemes = [
        ("gumbel", Spec::Gumbel(Gumbel::default())),
        ("kgw δ=3", Spec::Kgw(Kgw { delta: 3.0, ..Kgw::default() })),
        ("synthid", Spec::SynthId(SynthId::default())),
    ];
    for (number, (name, spec)) in schemes.iter().enumerate() {
        let first = 7_000 + 1_000 * number as u64;
        let passages = bench.written(spec, first, PASSAGES, 120);
        let (mut found, mut off) = (0, 0_usize);
        for (at, passage) in passages.iter().enumerate() {
            let human = bench.human(at, 4_880);
            let share = 0.1 + 0.8 * (at as f64 * 0.618).fract();
            let (text, bytes) = with_passages(&human, &[passage], share);
            let detector = bench.detector(spec, first + at as u64, Windows::Auto);
            let detection = detector.detect(&Text::of(&bench.ids(&text))).unwrap();
            let truth = bench.tokens(&text, &bytes[0]);
            let Some(best) = closest(&detection, &truth) else { continue };
            assert_eq!(detection.verdict, Verdict::Detected);
            assert!(best.corrected.log10() <= FPR.log10());
            found += 1;
            off += best.tokens.start.abs_diff(truth.start) + best.tokens.end.abs_diff(truth.end);
        }
        let mean = off as f64 / (2 * found).max(1) as f64;
        println!("{name}: {found} of {PASSAGES} found, boundaries off by {mean:.1} tokens");
        assert!(found >= 20, "{name}: {found} of {PASSAGES}");
        // 1.4 to 3.9 tokens were measured, with a standard error below 2 for 24 passages.
        assert!(mean < 15.0, "{name}: boundaries are off by {mean} tokens");
    }
}

/// Three passages under one key are three segments, and one key's marks are not another's.
#[test]
fn several_passages_are_told_apart() {
    let bench = Bench::new();
    let spec = Spec::Kgw(Kgw { delta: 4.0, ..Kgw::default() });
    let first = 77_000;
    let written: Vec<String> = bench.written(&spec, first, 1, 360);
    let thirds: Vec<&str> = {
        let text = &written[0];
        let cut = |share: usize| {
            let at = (text.len() * share / 3..).find(|&at| text.is_char_boundary(at)).unwrap();
            at + text[at..].find(' ').unwrap_or(0)
        };
        vec![&text[..cut(1)], &text[cut(1)..cut(2)], &text[cut(2)..]]
    };
    let (text, bytes) = with_passages(&bench.human(3, 3_000), &thirds, 0.1);
    let ids = bench.ids(&text);
    let detection = bench.detector(&spec, first, Windows::Auto).detect(&Text::of(&ids)).unwrap();
    assert_eq!(detection.passages.len(), 3, "{:?}", detection.passages);
    for (passage, bytes) in detection.passages.iter().zip(&bytes) {
        let truth = bench.tokens(&text, bytes);
        assert!(common(&passage.tokens, &truth) > 90, "{passage:?} {truth:?}");
    }
    assert!(detection.passages.is_sorted_by(|a, b| a.tokens.end <= b.tokens.start));
    let other = bench.detector(&spec, first + 1, Windows::Auto).detect(&Text::of(&ids)).unwrap();
    assert!(other.passages.is_empty() && other.verdict != Verdict::Detected);
}

/// Human documents of 1,000 tokens, 12 fresh keys each: the share of p ≤ level is at most the level, with a probability of a
/// false alarm below 0.001 for all four schemes and two levels; and not far below, so that the test could fail.
#[test]
fn windows_keep_the_nominal_rate() {
    let bench = Bench::new();
    let texts: Vec<Vec<TokenId>> = bench
        .humans
        .iter()
        .map(|text| bench.ids(text))
        .filter(|ids| ids.len() >= 1_000)
        .map(|ids| ids[..1_000].to_vec())
        .collect();
    let pairs = 12 * texts.len();
    assert!(pairs >= 2_000, "{pairs} pairs");
    let schemes = ["kgw", "gumbel", "synthid", "unigram"];
    for (number, name) in schemes.into_iter().enumerate() {
        let spec = Spec::usual(name).unwrap();
        let mut p = Vec::with_capacity(pairs);
        let mut by_window = 0;
        for (at, text) in texts.iter().cycle().take(pairs).enumerate() {
            let key = 900_000 + (number * pairs + at) as u64;
            let found = bench.detector(&spec, key, Windows::Auto).detect(&Text::of(text)).unwrap();
            by_window += usize::from(found.family.words().contains(" windows ="));
            p.push(found.corrected.p());
        }
        assert!(by_window > pairs / 20, "{name}: {by_window} of {pairs} decided by a window");
        let share = |level: f64| p.iter().filter(|&&p| p <= level).count() as u64;
        println!("{name}: {} and {} of {pairs} at 5 % and 1 %", share(0.05), share(0.01));
        for level in [0.05, 0.01] {
            let many = binomial_sf_ge(share(level), pairs as u64, level).unwrap().p();
            assert!(many > 0.001 / 8.0, "{name}: {} of {pairs} at {level}", share(level));
        }
        assert!(share(0.05) as f64 > 0.005 * pairs as f64, "{name}: {}", share(0.05));
    }
}

/// A mark that judges whole texts has no windows and does not pay for them; neither does a short text.
#[test]
fn without_windows_nothing_is_paid() {
    let bench = Bench::new();
    let ids = bench.ids(&bench.human(0, 600));
    let walk = Spec::Kuditipudi(Kuditipudi::default());
    for (spec, ids, words) in [
        (&walk, &ids[..], "one test, no correction"),
        (&Spec::usual("kgw").unwrap(), &ids[..256], "one test, no correction"),
        (&Spec::usual("kgw").unwrap(), &ids[..], "Bonferroni over 2 looks (whole, windows)"),
    ] {
        let found = bench.detector(spec, 5, Windows::Auto).detect(&Text::of(ids)).unwrap();
        assert!(found.family.words().starts_with(words), "{}", found.family.words());
        assert!(found.passages.is_empty());
    }
}

fn common(a: &Range<usize>, b: &Range<usize>) -> usize {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

fn closest<'a>(detection: &'a Detection, truth: &Range<usize>) -> Option<&'a Passage> {
    let passages = detection.passages.iter();
    passages
        .filter(|passage| common(&passage.tokens, truth) > 0)
        .max_by_key(|passage| common(&passage.tokens, truth))
}
