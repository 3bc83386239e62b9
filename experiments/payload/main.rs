//! How many tokens does a message need? See question.md. Writes results.json beside this file, prints the table, and
//! writes the manual's shorter one.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment reports to a terminal and fails loudly"
)]

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;
use touchmark::detect::Law;
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::keys::Key;
use touchmark::sampling::Sampling;
use touchmark::schemes::{Gumbel, Kgw, Spec, TextLaw};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

const TEXTS: usize = 200;
const LENGTHS: [usize; 13] = [30, 40, 50, 60, 80, 100, 125, 150, 175, 200, 250, 300, 400];
const MANUAL: [usize; 5] = [50, 100, 150, 200, 400];
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
        "| mark | bits | tokens | scored | decoded | mean posterior | p ≤ 1e-6 | by 2^k times the best message's p | message known |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut rows = Vec::new();
    for (number, (name, spec)) in (0..).zip(cells()) {
        let marks: Vec<(Watermark, u64)> =
            (0..texts as u64).map(|text| mark(&spec, &tokenizer, number, text)).collect();
        let written = write(&mut model, &tokenizer, &prompts, &marks);
        for length in LENGTHS {
            rows.push(row(&name, &spec, length, &tokenizer, &written, &marks));
        }
    }
    let results = json!({
        "question": "question.md", "model": "scribe-16m", "temperature": 1.0, "texts": texts,
        "touchmark": env!("CARGO_PKG_VERSION"), "rows": rows,
    });
    let path = root.join("experiments/payload/results.json");
    std::fs::write(path, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
    std::fs::write(root.join("src/manual/payloads.md"), manual_table(&rows)).unwrap();
}

/// For a few lengths: message right (mean probability); marked at all at 10⁻⁶; the same with the message known.
fn manual_table(rows: &[serde_json::Value]) -> String {
    let mut text = "| message right (mean probability), any message at 10⁻⁶, known |".to_owned();
    MANUAL.iter().for_each(|length| text += &format!(" {length} tokens |"));
    text += &format!("\n|---|{}\n", "---:|".repeat(MANUAL.len()));
    for row in rows.chunk_by(|a, b| (&a["scheme"], &a["bits"]) == (&b["scheme"], &b["bits"])) {
        let name = row[0]["scheme"].as_str().unwrap();
        text += &format!("| {name}, {} bits |", row[0]["bits"]);
        for at in row.iter().filter(|at| MANUAL.iter().any(|length| at["tokens"] == *length)) {
            let percent = |name: &str| 100.0 * at[name].as_f64().unwrap();
            text += &format!(
                " {:.0} % ({:.0} %), {:.0} %, {:.0} % |",
                percent("decoded"),
                percent("mean_posterior"),
                percent("any_message_at_1e-6"),
                percent("known_message_at_1e-6"),
            );
        }
        text += "\n";
    }
    text
}

fn cells() -> Vec<(String, Spec)> {
    let mut cells = Vec::new();
    for bits in [16, 32, 64] {
        let payload_bits = Some(bits);
        let kgw = Kgw { payload_bits, ..Kgw::default() };
        let gumbel = Gumbel { payload_bits, ..Gumbel::default() };
        cells.push(("kgw h=2".to_owned(), Spec::Kgw(kgw)));
        cells.push(("gumbel h=4".to_owned(), Spec::Gumbel(gumbel)));
    }
    cells
}

/// A fresh key and a random message.
fn mark(spec: &Spec, tokenizer: &HfTokenizer, cell: u64, text: u64) -> (Watermark, u64) {
    let hash =
        |what: u64| *blake3::hash(&[cell, text, what].map(u64::to_le_bytes).concat()).as_bytes();
    let vocabulary = Vocabulary {
        tokenizer: tokenizer.hash(),
        size: 8192,
        special: tokenizer.special_ids().to_vec(),
    };
    let key = Key::take(&mut hash(0));
    let mark = Watermark::new(&key, spec.prf(), spec, &vocabulary, Repeats::ScoreOnce).unwrap();
    let message = u64::from_le_bytes(*hash(1).first_chunk().unwrap());
    let bits = mark.payload_bits().unwrap();
    (mark, message >> (64 - bits))
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
    marks: &[(Watermark, u64)],
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
    let answers = requests.iter().zip(marks).map(|(request, (mark, message))| {
        let answer = Answer::new(request, Some(mark), tokenizer, &ends).unwrap();
        answer.with_message(*message).unwrap()
    });
    let answers = answers.collect();
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
    tokenizer: &HfTokenizer,
    written: &[Vec<TokenId>],
    marks: &[(Watermark, u64)],
) -> serde_json::Value {
    let bits = marks[0].0.payload_bits().unwrap();
    let texts: Vec<_> = written.iter().zip(marks).collect();
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let parts: Vec<[f64; 6]> = std::thread::scope(|scope| {
        let part = |texts| scope.spawn(move || sums(spec, length, tokenizer, texts));
        let running: Vec<_> = texts.chunks(texts.len().div_ceil(threads)).map(part).collect();
        running.into_iter().map(|part| part.join().unwrap()).collect()
    });
    let mean = |at: usize| parts.iter().map(|part| part[at]).sum::<f64>() / texts.len() as f64;
    let [decoded, posterior, scored, any, best, known] = std::array::from_fn(mean);
    println!(
        "| {name} | {bits} | {length} | {scored:.0} | {decoded:.3} | {posterior:.3} | {any:.3} | {best:.3} | {known:.3} |"
    );
    json!({
        "scheme": name, "spec": spec, "bits": bits, "tokens": length, "scored": scored, "decoded": decoded,
        "mean_posterior": posterior, "any_message_at_1e-6": any, "best_message_times_2^k_at_1e-6": best,
        "known_message_at_1e-6": known,
    })
}

/// Decoded, posterior, scored; and found at 10⁻⁶ by the e-value, by the best message, and by the message written.
fn sums(
    spec: &Spec,
    length: usize,
    tokenizer: &HfTokenizer,
    texts: &[(&Vec<TokenId>, &(Watermark, u64))],
) -> [f64; 6] {
    let law = Law::new(spec.scheme().null(8192)).unwrap();
    let million = 1e6_f64.ln();
    let mut sums = [0.0; 6];
    for (ids, (mark, message)) in texts {
        // What a reader has is the text: its ids need not be those that were written.
        let read = tokenizer.encode(&tokenizer.decode(&ids[..length]).unwrap()).unwrap().ids;
        let text = Text::of(&read);
        let evidence = mark.score_text(&text);
        let judgement = evidence.judgement.as_ref().unwrap();
        let found = judgement.message.as_ref().unwrap();
        let likeliest = u64::from_str_radix(&found.bits, 2).unwrap();
        let TextLaw::EValue { ln } = judgement.law else { panic!("not judged by an e-value") };
        let tail = |message| {
            let evidence = mark.score_message(&text, message).unwrap();
            law.tail(evidence.sum(), evidence.scored() as u64).unwrap().ln()
        };
        let ln_messages = found.bits.len() as f64 * std::f64::consts::LN_2;
        let yes = |yes: bool| f64::from(u8::from(yes));
        let of_text = [
            yes(likeliest == *message),
            found.posterior,
            evidence.scored() as f64,
            yes(ln >= million),
            yes(tail(likeliest) + ln_messages <= -million),
            yes(tail(*message) <= -million),
        ];
        sums.iter_mut().zip(of_text).for_each(|(sum, value)| *sum += value);
    }
    sums
}
