//! How many tokens does a mark need? See question.md. Writes results.json beside this file and prints the table.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an experiment reports to a terminal and fails loudly"
)]

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;
use touchmark::detect::Law;
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::keys::Key;
use touchmark::lm::{Chunk, LanguageModel, Want};
use touchmark::sampling::{Sampling, entropy};
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Spec, Sweet, SynthId, Unigram, Weighting};
use touchmark::stats::{LogP, rate_at_p};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

const TEXTS: usize = 500;
const LENGTHS: [usize; 4] = [50, 100, 200, 400];
const PROMPT: usize = 16;
const BATCH: usize = 25;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: usize = std::env::args().nth(1).map_or(TEXTS, |count| count.parse().unwrap());
    touchmark::engine::set_threads(std::thread::available_parallelism().map_or(1, Into::into));
    let mut model = Decoder::from_dir(&root.join("models/scribe-16m")).unwrap();
    let tokenizer = HfTokenizer::from_path(&root.join("models/scribe-16m")).unwrap();
    let prompts = prompts(root, &tokenizer, texts);
    println!(
        "| scheme | tokens | median log10 p | detected at 1e-6 | 95 % interval | evidence a token (mean, sd) |"
    );
    println!("|---|---:|---:|---:|---|---|");
    let mut rows = Vec::new();
    for (number, (name, spec, repeats)) in (0..).zip(cells()) {
        let marks: Vec<Watermark> = (0..texts as u64)
            .map(|text| {
                let mut key =
                    *blake3::hash(&[u64::to_le_bytes(number), text.to_le_bytes()].concat())
                        .as_bytes();
                let vocabulary = Vocabulary {
                    tokenizer: tokenizer.hash(),
                    size: 8192,
                    special: tokenizer.special_ids().to_vec(),
                };
                Watermark::new(&Key::take(&mut key), spec.prf(), &spec, &vocabulary, repeats)
                    .unwrap()
            })
            .collect();
        let written = write(&mut model, &tokenizer, &prompts, &marks);
        for length in LENGTHS {
            rows.push(row(&name, &spec, length, &mut model, &tokenizer, &written, &marks));
        }
    }
    let results = json!({
        "question": "question.md", "model": "scribe-16m", "temperature": 1.0, "texts": texts, "fpr": 1e-6,
        "touchmark": env!("CARGO_PKG_VERSION"), "rows": rows,
    });
    let path = root.join("experiments/power/results.json");
    std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
}

fn cells() -> Vec<(String, Spec, Repeats)> {
    let kgw = |context_width, seeding| Spec::Kgw(Kgw { context_width, seeding, ..Kgw::default() });
    let gumbel =
        |context_width, alpha| Spec::Gumbel(Gumbel { context_width, alpha, payload_bits: None });
    let synthid = |weighting| Spec::SynthId(SynthId { weighting, ..SynthId::default() });
    let cells = [
        ("kgw h=1", kgw(1, KgwSeeding::Left)),
        ("kgw h=2 (default)", kgw(2, KgwSeeding::Left)),
        ("kgw h=4", kgw(4, KgwSeeding::Left)),
        ("kgw h=2, single-turn", kgw(2, KgwSeeding::Left)),
        ("kgw min h=4", kgw(4, KgwSeeding::Min)),
        ("kgw self h=4", kgw(4, KgwSeeding::SelfAnchored)),
        ("unigram", Spec::Unigram(Unigram::default())),
        ("gumbel h=2", gumbel(2, None)),
        ("gumbel h=4", gumbel(4, None)),
        ("gumbel dual α=0.1 h=4", gumbel(4, Some(0.1))),
        ("synthid m=30", synthid(Weighting::Mean)),
        ("synthid m=30 weighted", synthid(Weighting::WeightedMean)),
        ("sweet 0.9 nats", Spec::Sweet(Sweet::default())),
    ];
    let repeats = |name: &str, spec: &Spec| {
        if name.ends_with("single-turn") { Repeats::SingleTurn } else { Repeats::usual(spec) }
    };
    cells
        .into_iter()
        .map(|(name, spec)| (name.to_owned(), spec.clone(), repeats(name, &spec)))
        .collect()
}

/// The first ids of disjoint pieces of human text.
fn prompts(root: &Path, tokenizer: &HfTokenizer, count: usize) -> Vec<Vec<TokenId>> {
    let human = std::fs::read_to_string(root.join("tests/data/human.jsonl")).unwrap();
    let texts = human.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ids = texts.map(|text| tokenizer.encode(text["text"].as_str().unwrap()).unwrap().ids);
    let pieces = ids.flat_map(|ids| {
        ids.chunks_exact(800).map(|piece| piece[..PROMPT].to_vec()).collect::<Vec<_>>()
    });
    let prompts: Vec<_> = pieces.take(count).collect();
    assert_eq!(prompts.len(), count, "not enough human text for so many prompts");
    prompts
}

fn write(
    model: &mut Decoder,
    tokenizer: &HfTokenizer,
    prompts: &[Vec<TokenId>],
    marks: &[Watermark],
) -> Vec<Vec<TokenId>> {
    let ends = Ends { end: Vec::new(), never: tokenizer.special_ids().to_vec() };
    let request = |(stream, prompt): (u64, &Vec<TokenId>)| Request {
        prompt: prompt.clone(),
        max_tokens: LENGTHS[LENGTHS.len() - 1],
        sampling: Sampling { seed: 1, ..Sampling::default() },
        stream,
        stop: Vec::new(),
    };
    let requests: Vec<Request> = (0..).zip(prompts).map(request).collect();
    let answers = requests.iter().zip(marks);
    let answers = answers
        .map(|(request, mark)| Answer::new(request, Some(mark), tokenizer, &ends).unwrap())
        .collect();
    let mut written = vec![Vec::new(); prompts.len()];
    generate(model, answers, BATCH, &mut |_, _| Ok(()), &mut |index, answer| {
        written[index] = answer.ids;
        ControlFlow::Continue(())
    })
    .unwrap();
    written
}

fn row(
    name: &str,
    spec: &Spec,
    length: usize,
    model: &mut Decoder,
    tokenizer: &HfTokenizer,
    written: &[Vec<TokenId>],
    marks: &[Watermark],
) -> serde_json::Value {
    let law = Law::new(spec.scheme().null(8192)).unwrap();
    let (mut p, mut values): (Vec<LogP>, Vec<f64>) = (Vec::new(), Vec::new());
    for (ids, mark) in written.iter().zip(marks) {
        // What a reader has is the text: its ids need not be those that were written.
        let read = tokenizer.encode(&tokenizer.decode(&ids[..length]).unwrap()).unwrap().ids;
        let gate = if spec.scheme().entropy_floor().is_some() {
            entropies(model, &read)
        } else {
            Vec::new()
        };
        let evidence = mark.score_text(&Text::gated(&read, &gate));
        p.push(law.tail(evidence.sum(), evidence.scored() as u64).unwrap());
        values.extend(evidence.values);
    }
    let rate = rate_at_p(&p, LogP::new(-6.0).unwrap(), 0.95).unwrap();
    p.sort();
    let median = p[p.len() / 2].log10();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let sd = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
        .sqrt();
    let (share, low, high) =
        (100.0 * rate.rate, 100.0 * rate.interval.low, 100.0 * rate.interval.high);
    println!(
        "| {name} | {length} | {median:.1} | {share:.1} % | {low:.1} to {high:.1} % | {mean:.3}, {sd:.3} |"
    );
    json!({
        "scheme": name, "spec": spec, "tokens": length, "median_log10_p": median, "detected_at_1e-6": rate.rate,
        "interval_95": [rate.interval.low, rate.interval.high], "evidence_mean": mean, "evidence_sd": sd,
    })
}

/// Entropies of the text without its prompt, as a reader would compute them.
fn entropies(model: &mut Decoder, ids: &[TokenId]) -> Vec<f64> {
    let mut entropies = vec![0.0; ids.len()];
    let seq = model.open().unwrap();
    let work = [Chunk { seq, ids: &ids[..ids.len() - 1], want: Want::All }];
    let mut sink =
        |_: usize, position: usize, logits: &[f32]| entropies[position + 1] = entropy(logits);
    model.step(&work, &mut sink).unwrap();
    model.close(seq);
    entropies
}
