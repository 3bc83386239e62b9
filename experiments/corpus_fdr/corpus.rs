//! The human documents, and what takes their place: marked texts, and human texts with a marked passage.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::sampling::Sampling;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::Watermark;

/// Every hundredth document is marked as a whole, another hundredth has a passage.
const SHARE: usize = 100;
const PASSAGE: usize = 120;
/// Documents that passages are put in have at least so many tokens.
const AROUND: usize = 600;
const LENGTHS: [usize; 4] = [100, 200, 400, 800];
const PROMPT: usize = 16;
const BATCH: usize = 25;
/// One document in so many ends in boilerplate.
const BOILERPLATE: u64 = 5;

/// Where a document comes from.
#[derive(Clone, Debug)]
pub enum Truth {
    Human,
    /// Written by the model with the mark of a scheme; edited afterwards or not.
    Whole {
        scheme: usize,
        edited: bool,
    },
    /// Human, with a marked passage at these bytes.
    Passage {
        scheme: usize,
        bytes: Range<usize>,
    },
}

impl Truth {
    pub fn scheme(&self) -> Option<usize> {
        match self {
            Self::Human => None,
            Self::Whole { scheme, .. } | Self::Passage { scheme, .. } => Some(*scheme),
        }
    }

    pub fn passage(&self) -> Option<Range<usize>> {
        match self {
            Self::Passage { bytes, .. } => Some(bytes.clone()),
            _ => None,
        }
    }
}

pub struct Document {
    pub work: String,
    pub kind: String,
    pub text: String,
    pub ids: Vec<TokenId>,
    pub truth: Truth,
}

pub fn tokens(documents: &[Document]) -> usize {
    documents.iter().map(|document| document.ids.len()).sum()
}

/// The human documents, a fifth of them with one of three pieces of boilerplate at the end.
pub fn human(root: &Path, file: &Path, tokenizer: &HfTokenizer) -> Vec<Document> {
    let boilerplate = boilerplate(root);
    let mut draws = Draws::new(&[0]);
    let lines = std::fs::read_to_string(file).unwrap();
    let records =
        lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let document = |record: serde_json::Value| {
        let field = |name: &str| record[name].as_str().unwrap().to_owned();
        let text = with_boilerplate(field("text"), &boilerplate, &mut draws);
        let ids = tokenizer.encode(&text).unwrap().ids;
        Document { work: field("work"), kind: field("kind"), text, ids, truth: Truth::Human }
    };
    records.map(document).collect()
}

/// Paragraphs of the repository's licences, as many sites put under everything.
fn boilerplate(root: &Path) -> Vec<String> {
    let mit = std::fs::read_to_string(root.join("LICENSE-MIT")).unwrap();
    let apache = std::fs::read_to_string(root.join("LICENSE-APACHE")).unwrap();
    let paragraphs = |text: &str| {
        text.split("\n\n")
            .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let (mit, apache) = (paragraphs(&mit), paragraphs(&apache));
    let long = |parts: &[String], from: usize| {
        parts
            .iter()
            .filter(|part| part.len() > 200)
            .skip(from)
            .take(2)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n\n")
    };
    vec![long(&mit, 0), long(&apache, 0), long(&apache, 4)]
}

fn with_boilerplate(text: String, boilerplate: &[String], draws: &mut Draws) -> String {
    match draws.below(BOILERPLATE) {
        0 => format!("{text}\n\n{}", boilerplate[draws.below(boilerplate.len() as u64) as usize]),
        _ => text,
    }
}

/// Writes what takes the place of some documents.
pub struct Writer<'a> {
    model: Decoder,
    tokenizer: &'a HfTokenizer,
}

/// One text to be written.
struct Task {
    at: usize,
    scheme: usize,
    length: usize,
    whole: bool,
}

impl<'a> Writer<'a> {
    pub fn new(model: Decoder, tokenizer: &'a HfTokenizer) -> Self {
        Self { model, tokenizer }
    }

    /// For each document what replaces it under a key set, if anything.
    pub fn marked(
        &mut self,
        human: &[Document],
        marks: &[Watermark],
        set: u64,
    ) -> Vec<Option<Document>> {
        let mut draws = Draws::new(&[1, set]);
        let tasks = tasks(human, marks.len(), &mut draws);
        let prompt = |task: &Task| human[(task.at + 1) % human.len()].ids[..PROMPT].to_vec();
        let requests: Vec<Request> = (0..)
            .zip(&tasks)
            .map(|(stream, task)| Request {
                prompt: prompt(task),
                max_tokens: task.length,
                sampling: Sampling { seed: set, ..Sampling::default() },
                stream,
                stop: Vec::new(),
            })
            .collect();
        let texts = self.write(&requests, &tasks, marks);
        let mut replaced: Vec<Option<Document>> = human.iter().map(|_| None).collect();
        for (number, (task, text)) in tasks.iter().zip(texts).enumerate() {
            let around = &human[task.at];
            let (text, truth) = match task.whole {
                // Every third is edited.
                true if number % 3 == 2 => (
                    edited(&text, &around.text, &mut draws),
                    Truth::Whole { scheme: task.scheme, edited: true },
                ),
                true => (text, Truth::Whole { scheme: task.scheme, edited: false }),
                false => inserted(&around.text, &text, task.scheme, &mut draws),
            };
            let ids = self.tokenizer.encode(&text).unwrap().ids;
            let (work, kind) = (around.work.clone(), around.kind.clone());
            replaced[task.at] = Some(Document { work, kind, text, ids, truth });
        }
        replaced
    }

    fn write(&mut self, requests: &[Request], tasks: &[Task], marks: &[Watermark]) -> Vec<String> {
        let ends = Ends { end: Vec::new(), never: self.tokenizer.special_ids().to_vec() };
        let answers = requests.iter().zip(tasks);
        let answers = answers
            .map(|(request, task)| {
                Answer::new(request, Some(&marks[task.scheme]), self.tokenizer, &ends).unwrap()
            })
            .collect();
        let mut written = vec![String::new(); requests.len()];
        generate(&mut self.model, answers, BATCH, &mut |_, _| Ok(()), &mut |index, answer| {
            written[index] = self.tokenizer.decode(&answer.ids).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
        written
    }
}

/// Which documents, with which schemes, and how long: drawn, the schemes in turn.
fn tasks(human: &[Document], schemes: usize, draws: &mut Draws) -> Vec<Task> {
    let each = human.len() / SHARE;
    let mut free: BTreeMap<u64, usize> = (0..human.len()).map(|at| (draws.next(), at)).collect();
    let mut take = |wanted: &dyn Fn(&Document) -> bool| {
        let (&place, &at) = free.iter().find(|&(_, &at)| wanted(&human[at])).unwrap();
        free.remove(&place);
        at
    };
    let mut tasks = Vec::new();
    for number in 0..each {
        let (scheme, length) = (number % schemes, LENGTHS[number / schemes % LENGTHS.len()]);
        tasks.push(Task { at: take(&|_| true), scheme, length, whole: true });
    }
    for number in 0..each {
        let at = take(&|document| document.ids.len() >= AROUND);
        tasks.push(Task { at, scheme: number % schemes, length: PASSAGE, whole: false });
    }
    tasks
}

/// Of a text's words one in twenty left out, one in twenty another one of a human text.
fn edited(text: &str, other: &str, draws: &mut Draws) -> String {
    let others: Vec<&str> = other.split_whitespace().collect();
    let words = text.split(' ').filter_map(|word| match draws.below(20) {
        0 => None,
        1 => Some(others[draws.below(others.len() as u64) as usize]),
        _ => Some(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A human text with a passage between two of its paragraphs, or words where it has only one.
fn inserted(around: &str, passage: &str, scheme: usize, draws: &mut Draws) -> (String, Truth) {
    let breaks =
        |separator: &str| around.match_indices(separator).map(|(at, _)| at).collect::<Vec<_>>();
    let places =
        Some(breaks("\n\n")).filter(|places| !places.is_empty()).unwrap_or_else(|| breaks(" "));
    let at = places[draws.below(places.len() as u64) as usize];
    let text = format!("{}\n\n{passage}{}", &around[..at], &around[at..]);
    let bytes = at + 2..at + 2 + passage.len();
    (text, Truth::Passage { scheme, bytes })
}

/// Random numbers that are the same each time.
pub struct Draws(blake3::OutputReader);

impl Draws {
    pub fn new(seed: &[u64]) -> Self {
        let bytes: Vec<u8> = seed.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self(blake3::Hasher::new_derive_key("touchmark corpus_fdr").update(&bytes).finalize_xof())
    }

    pub fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }
}
