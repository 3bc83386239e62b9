//! What the teacher writes.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use touchmark::detect::seeded_key;
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Output, Request, generate};
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

use super::{Flags, human, lines, root};

const PROMPT: usize = 8;
/// Tokens of a row, its prompt included; prompts are so far apart.
pub const ROW: usize = 256;
const BATCH: usize = 32;

/// The teacher and how it writes.
struct Teacher {
    model: Decoder,
    tokenizer: HfTokenizer,
    mark: Option<Watermark>,
    ends: Ends,
    seed: u64,
}

/// Writes rows to `path` until there are as many as are asked for; those that exist are kept.
pub fn write(path: &Path, flags: &Flags) {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    touchmark::engine::set_threads(flags.number("threads", threads));
    let (rows, first) = (flags.number("rows", 528), flags.number("first", 0));
    let settings = settings(flags, first);
    remember(path, &settings);
    let mut teacher = teacher(flags);
    let prompts = prompts(flags, &teacher.tokenizer, first, rows);
    let done = kept(path);
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    let began = Instant::now();
    for from in (done..rows).step_by(BATCH) {
        let prompts = &prompts[from..(from + BATCH).min(rows)];
        let stream = (first + from) as u64;
        for (prompt, output) in prompts.iter().zip(teacher.answers(prompts, stream)) {
            let row = json!({ "prompt_ids": prompt, "ids": output.ids, "text": output.text });
            file.write_all(format!("{row}\n").as_bytes()).unwrap();
        }
    }
    let tokens = (rows.saturating_sub(done) * (ROW - PROMPT)) as f64;
    let speed = tokens / began.elapsed().as_secs_f64();
    println!("{}: {rows} rows, {done} of them before, {speed:.0} tokens/s", path.display());
}

fn spec(flags: &Flags) -> Option<Spec> {
    let read = |text: &str| match text.starts_with('{') {
        true => serde_json::from_str(text).unwrap(),
        false => Spec::usual(text).unwrap_or_else(|| panic!("{text}: one of {:?}", Spec::NAMES)),
    };
    flags.text("scheme").map(read)
}

/// Key number and the seed under which it is drawn.
fn key(flags: &Flags) -> [u64; 2] {
    [flags.number("key", 1), flags.number("seed", 8)]
}

fn settings(flags: &Flags, first: usize) -> Value {
    let spec = spec(flags);
    let [key, seed] = key(flags);
    let key = spec.is_some().then(|| json!({ "number": key, "seed": seed }));
    let mut settings = json!({
        "teacher": "scribe-16m", "temperature": 1.0, "first_prompt": first, "spec": spec, "key": key,
    });
    if let Some(human) = flags.text("human") {
        settings["human"] = human.into();
    }
    settings
}

/// Puts the settings beside the rows, once: rows of other settings do not belong into the same file.
fn remember(path: &Path, settings: &Value) {
    let beside = path.with_extension("json");
    if path.exists() {
        let before: Value = serde_json::from_slice(&std::fs::read(&beside).unwrap()).unwrap();
        assert_eq!(&before, settings, "{} has other rows", path.display());
    } else {
        std::fs::write(beside, format!("{settings:#}\n")).unwrap();
    }
}

/// Cuts off a row that was not finished, and counts the others.
fn kept(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        std::fs::write(path, &text[..whole]).unwrap();
    }
    text[..whole].lines().count()
}

fn teacher(flags: &Flags) -> Teacher {
    let folder = root().join("models/scribe-16m");
    let model = Decoder::from_dir(&folder).unwrap();
    let tokenizer = HfTokenizer::from_path(&folder).unwrap();
    let [number, seed] = key(flags);
    let vocabulary = Vocabulary {
        tokenizer: tokenizer.hash(),
        size: model.config().vocab_size as u32,
        special: tokenizer.special_ids().to_vec(),
    };
    let mark = spec(flags).map(|spec| {
        // Our own marks in every token, repeated contexts too: the most that a student can learn.
        let ours = spec.scheme().peer().is_none();
        let repeats = if ours { Repeats::ScoreOnce } else { Repeats::usual(&spec) };
        let key = seeded_key(seed, number, spec.key_numbers()).unwrap();
        Watermark::new(&key, spec.prf(), &spec, &vocabulary, repeats).unwrap()
    });
    let ends = Ends { end: Vec::new(), never: (0..=3).collect() };
    // Chance of its own for each key: texts of two keys after one prompt would else begin alike.
    let seed = if mark.is_some() { number } else { u64::MAX };
    Teacher { model, tokenizer, mark, ends, seed }
}

/// The beginnings of pieces of human text.
fn prompts(flags: &Flags, tokenizer: &HfTokenizer, first: usize, rows: usize) -> Vec<Vec<TokenId>> {
    let pieces = pieces(flags, tokenizer);
    let prompts: Vec<_> =
        pieces.skip(first).take(rows).map(|piece| piece[..PROMPT].to_vec()).collect();
    assert_eq!(prompts.len(), rows, "not enough human text for so many prompts");
    prompts
}

/// Human text in pieces as long as a row.
pub fn pieces(flags: &Flags, tokenizer: &HfTokenizer) -> impl Iterator<Item = Vec<TokenId>> {
    let texts = lines(&human(flags)).into_iter();
    texts.flat_map(|text| {
        let ids = tokenizer.encode(text["text"].as_str().unwrap()).unwrap().ids;
        ids.chunks_exact(ROW).map(<[TokenId]>::to_vec).collect::<Vec<_>>()
    })
}

impl Teacher {
    fn answers(&mut self, prompts: &[Vec<TokenId>], first: u64) -> Vec<Output> {
        let sampling = Sampling { seed: self.seed, ..Sampling::default() };
        let request = |(stream, prompt): (u64, &Vec<TokenId>)| Request {
            prompt: prompt.clone(),
            max_tokens: ROW - PROMPT,
            sampling,
            stream,
            stop: Vec::new(),
        };
        let requests: Vec<Request> = (first..).zip(prompts).map(request).collect();
        let answer = |request| {
            Answer::new(request, self.mark.as_ref(), &self.tokenizer, &self.ends).unwrap()
        };
        let answers = requests.iter().map(answer).collect();
        let mut written: Vec<Option<Output>> = prompts.iter().map(|_| None).collect();
        generate(&mut self.model, answers, BATCH, &mut |_, _| Ok(()), &mut |index, output| {
            written[index] = Some(output);
            ControlFlow::Continue(())
        })
        .unwrap();
        written.into_iter().flatten().collect()
    }
}
