//! What the students show: each is tested for the marks of its text, for a key that had no part in it, and for those of others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use touchmark::attribution::{Chosen, Gatherer, Readers, Text, Transcript, Way, Weighed};
use touchmark::engine::Decoder;
use touchmark::keys::Key;
use touchmark::schemes::Spec;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

use super::text::{ROW, pieces};
use super::{Flags, lines, report, root, student};

/// Pieces of human text before this one have lent their beginnings to what students are trained on.
const FIRST: usize = 1700;
/// Shares of the text after which the test is made.
const GROWTH: [usize; 4] = [8, 4, 2, 1];
/// Key numbers of accounts.
const ACCOUNTS: std::ops::RangeInclusive<u64> = 101..=120;
/// What is added to a key's number to have one that marked nothing.
const WRONG: u64 = 1000;

/// Models that were trained elsewhere, for longer: what is said of them stands in their cards.
const ELSEWHERE: [(&str, Option<Peer>, f64); 4] = [
    ("student-kgw", Some((LEFTHASH, &[15_485_863])), 1.0),
    ("student-kgw10", Some((LEFTHASH, &[15_485_863])), 0.1),
    ("student-syn", Some((TOURNAMENT, &SYNTHID_KEYS)), 1.0),
    ("student-plain", None, 0.0),
];
/// A tool's scheme and the numbers of its key.
type Peer = (&'static str, &'static [u64]);
const LEFTHASH: &str = r#"{"scheme":"transformers-kgw"}"#;
const TOURNAMENT: &str = r#"{"scheme":"synthid-text"}"#;
const SYNTHID_KEYS: [u64; 30] = [
    654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639, 13, 715, 468, 990, 966, 226, 324,
    585, 118, 504, 421, 521, 129, 669, 732, 225, 90, 960,
];

/// A scheme and a key, as `training.json` names them.
#[derive(Clone, PartialEq)]
struct Mark {
    spec: Value,
    /// `{"number", "seed"}` of a key that is drawn, or the numbers that are the key.
    key: Value,
}

/// A model and what is known of it.
struct Suspect {
    name: String,
    folder: PathBuf,
    /// Marks of its text with their shares.
    truth: Vec<(Mark, f64)>,
    /// How it came about, in words.
    made: String,
    tokens: u64,
    elsewhere: bool,
}

/// One question to a suspect.
struct Question {
    mark: Mark,
    share: f64,
    /// "own", "accounts" or "wrong key".
    role: &'static str,
}

/// Tests what has not been tested, and writes results.jsonl, results.md and figure.svg beside the question.
pub fn write(folder: &Path, flags: &Flags) {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    touchmark::engine::set_threads(flags.number("threads", threads));
    let home = root().join("experiments/distillation");
    let results = flags.text("results").map_or_else(|| home.clone(), PathBuf::from);
    let path = results.join("results.jsonl");
    let mut rows = if path.exists() { lines(&path) } else { Vec::new() };
    let suspects = suspects(folder);
    let marks = marks(&suspects);
    let mut reading = Reading::new(flags);
    for suspect in &suspects {
        let open = open(suspect, &marks, &rows);
        if !open.is_empty() {
            rows.extend(reading.asked(suspect, open, like(suspect, &suspects)));
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            std::fs::write(&path, text).unwrap();
        }
    }
    report::write(&results, &rows);
}

/// Models of the folder in the order of their names, then those trained elsewhere.
fn suspects(folder: &Path) -> Vec<Suspect> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|at| at.join("training.json").exists()).collect();
    folders.sort();
    let mut suspects: Vec<_> = folders.iter().map(|at| suspect(at)).collect();
    suspects.extend(elsewhere());
    suspects
}

fn suspect(folder: &Path) -> Suspect {
    let training = training(folder);
    let truth = truth(&training);
    let before = folder.with_file_name(training["base"].as_str().unwrap());
    let earlier = before.join("training.json").exists().then(|| suspect(&before));
    let tokens = training["tokens"].as_u64().unwrap();
    let rewritten = training["text"][0]["written"]["rewritten"].as_object();
    let made = match (&earlier, rewritten) {
        (Some(earlier), _) => format!("{}, then {tokens} tokens of other text", earlier.name),
        (None, Some(how)) => {
            let percent = 100.0 * how["share"].as_f64().unwrap();
            format!("{percent} % of the tokens drawn anew by {}", how["by"].as_str().unwrap())
        }
        (None, None) => "trained on the mixture".to_owned(),
    };
    let truth = earlier.map_or(truth, |earlier| earlier.truth);
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    Suspect { name, folder: folder.to_owned(), truth, made, tokens, elsewhere: false }
}

fn training(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("training.json")).unwrap()).unwrap()
}

/// The marks of what a student was trained on, by rows.
fn truth(training: &Value) -> Vec<(Mark, f64)> {
    let all = training["rows"].as_f64().unwrap();
    let marked = |part: &Value| {
        let written = &part["written"];
        let mark = Mark { spec: written["spec"].clone(), key: written["key"].clone() };
        let share = part["rows"].as_f64().unwrap() / all;
        (!mark.spec.is_null() && share > 0.0).then_some((mark, share))
    };
    training["text"].as_array().unwrap().iter().filter_map(marked).collect()
}

fn elsewhere() -> Vec<Suspect> {
    let Some(models) = std::env::var_os("TOUCHMARK_MODELS").map(PathBuf::from) else {
        return Vec::new();
    };
    let suspect = |(name, mark, share): (&str, Option<Peer>, f64)| Suspect {
        name: name.to_owned(),
        folder: models.join(name),
        truth: mark.map(|(spec, key)| (peer(spec, key), share)).into_iter().collect(),
        made: "trained elsewhere".to_owned(),
        tokens: training(&models.join(name))["tokens_seen"].as_u64().unwrap(),
        elsewhere: true,
    };
    let there = |entry: &(&str, _, _)| models.join(entry.0).join("training.json").exists();
    ELSEWHERE.into_iter().filter(there).map(suspect).collect()
}

/// With every parameter, as students' files have it.
fn peer(spec: &str, key: &[u64]) -> Mark {
    let spec: Spec = serde_json::from_str(spec).unwrap();
    Mark { spec: serde_json::to_value(spec).unwrap(), key: json!(key) }
}

/// Every mark of any suspect, and whether that was trained elsewhere.
fn marks(suspects: &[Suspect]) -> Vec<(Mark, bool)> {
    let mut marks: Vec<(Mark, bool)> = Vec::new();
    for suspect in suspects {
        for (mark, _) in &suspect.truth {
            if marks.iter().all(|(known, _)| known != mark) {
                marks.push((mark.clone(), suspect.elsewhere));
            }
        }
    }
    marks
}

/// What is to be asked of a suspect and has no row yet.
fn open(suspect: &Suspect, marks: &[(Mark, bool)], rows: &[Value]) -> Vec<Question> {
    let asked = |question: &Question| {
        rows.iter().any(|row| {
            row["suspect"] == suspect.name.as_str()
                && row["spec"] == question.mark.spec
                && row["key"] == question.mark.key
        })
    };
    let mut questions = questions(suspect, marks);
    questions.retain(|question| !asked(question));
    questions
}

fn questions(suspect: &Suspect, marks: &[(Mark, bool)]) -> Vec<Question> {
    if suspect.truth.is_empty() {
        let same = marks.iter().filter(|(_, elsewhere)| *elsewhere == suspect.elsewhere);
        let none =
            |(mark, _): &(Mark, bool)| Question { mark: mark.clone(), share: 0.0, role: "own" };
        return same.map(none).collect();
    }
    if suspect.truth.len() > 1 {
        return ACCOUNTS.map(|number| account(suspect, number)).collect();
    }
    let (mark, share) = &suspect.truth[0];
    let own = Question { mark: mark.clone(), share: *share, role: "own" };
    let wrong = Question { mark: wrong(mark), share: 0.0, role: "wrong key" };
    vec![own, wrong]
}

fn account(suspect: &Suspect, number: u64) -> Question {
    let mut mark = suspect.truth[0].0.clone();
    mark.key["number"] = number.into();
    let share = suspect.truth.iter().find(|(own, _)| *own == mark).map_or(0.0, |(_, share)| *share);
    Question { mark, share, role: "accounts" }
}

/// The same scheme under a key that nobody marked with.
fn wrong(mark: &Mark) -> Mark {
    let mut wrong = mark.clone();
    match &mut wrong.key {
        Value::Array(numbers) => {
            numbers
                .iter_mut()
                .for_each(|number| *number = (number.as_u64().unwrap() + WRONG).into());
        }
        key => key["number"] = (key["number"].as_u64().unwrap() + WRONG).into(),
    }
    wrong
}

/// The first student of unmarked text, made in the same way.
fn like<'a>(suspect: &Suspect, suspects: &'a [Suspect]) -> Option<&'a Suspect> {
    let plain = |other: &&Suspect| other.truth.is_empty() && other.elsewhere == suspect.elsewhere;
    suspects.iter().find(plain).filter(|other| other.name != suspect.name)
}

/// How suspects are read.
struct Reading {
    pieces: Vec<Vec<TokenId>>,
    vocabulary: Vocabulary,
    base: PathBuf,
    top: usize,
    /// What students of unmarked text expect, by name and reach.
    likes: BTreeMap<(String, usize), Gatherer>,
}

/// What came of reading one suspect.
struct Heard {
    /// After each share of the text.
    soft: Vec<Transcript>,
    all: Gatherer,
    likeliest: Transcript,
    positions: u64,
}

impl Reading {
    fn new(flags: &Flags) -> Self {
        let tokenizer = HfTokenizer::from_path(&root().join("models/scribe-16m")).unwrap();
        let count = flags.number("tokens", 25_600) / ROW;
        let pieces: Vec<_> = pieces(flags, &tokenizer).skip(FIRST).take(count).collect();
        assert_eq!(pieces.len(), count, "not enough human text");
        let special = tokenizer.special_ids().to_vec();
        let vocabulary = Vocabulary { tokenizer: tokenizer.hash(), size: 8192, special };
        let (base, top) = (student::base(flags), flags.number("top", 256));
        Self { pieces, vocabulary, base, top, likes: BTreeMap::new() }
    }

    fn asked(
        &mut self,
        suspect: &Suspect,
        questions: Vec<Question>,
        like: Option<&Suspect>,
    ) -> Vec<Value> {
        let mut by_reach: BTreeMap<usize, Vec<(Question, Watermark)>> = BTreeMap::new();
        for question in questions {
            let mark = self.mark(&question.mark);
            by_reach.entry(mark.reach().unwrap()).or_default().push((question, mark));
        }
        let mut rows = Vec::new();
        for (reach, questions) in by_reach {
            let heard = self.heard(&suspect.folder, reach);
            let soft = heard.soft;
            let less = like.map(|like| heard.all.without(self.like(like, reach)).finish());
            for (question, mark) in questions {
                let mut row = said(suspect, &question, heard.positions, &self.pieces);
                weigh(&mut row, &mark, &soft, &heard.likeliest, less.as_ref());
                println!("{row}");
                rows.push(row);
            }
        }
        rows
    }

    fn mark(&self, mark: &Mark) -> Watermark {
        let spec: Spec = serde_json::from_value(mark.spec.clone()).unwrap();
        let vocabulary = self.vocabulary.clone();
        let way = Way { spec, vocabulary, repeats: Repeats::ScoreOnce };
        let number = |value: &Value| value.as_u64().unwrap();
        let key = match &mark.key {
            Value::Array(numbers) => Key::of_numbers(numbers.iter().map(number).collect()),
            key => way.key(number(&key["seed"]), number(&key["number"])),
        };
        way.under(&key.unwrap()).unwrap()
    }

    fn heard(&self, folder: &Path, reach: usize) -> Heard {
        let mut suspect = Decoder::from_dir(folder).unwrap();
        let mut base = Decoder::from_dir(&self.base).unwrap();
        let mut readers = Readers::new(&mut suspect, Some(&mut base), &[]).unwrap();
        let mut all = Gatherer::new(reach, self.top);
        let (mut pairs, mut weights) = (Chosen::new(reach, false), Vec::new());
        let (mut soft, mut positions) = (Vec::new(), 0);
        for (at, piece) in self.pieces.iter().enumerate() {
            let visit = |expected: &touchmark::attribution::Expected<'_>| {
                expected.difference(&mut weights);
                all.add(expected.context, &weights);
                pairs.note(expected.context, expected.likeliest());
            };
            positions += readers.read(&Text::own(piece.clone()), reach, visit).unwrap().positions;
            if GROWTH.iter().any(|part| at + 1 == self.pieces.len() / part) {
                soft.push(all.so_far());
            }
        }
        Heard { soft, all, likeliest: pairs.transcript(), positions }
    }

    fn like(&mut self, like: &Suspect, reach: usize) -> &Gatherer {
        let name = (like.name.clone(), reach);
        if !self.likes.contains_key(&name) {
            let all = self.heard(&like.folder, reach).all;
            self.likes.insert(name.clone(), all);
        }
        &self.likes[&name]
    }
}

fn said(suspect: &Suspect, question: &Question, positions: u64, pieces: &[Vec<TokenId>]) -> Value {
    json!({
        "suspect": suspect.name, "made": suspect.made, "elsewhere": suspect.elsewhere,
        "tokens_trained": suspect.tokens, "share": question.share, "role": question.role,
        "spec": question.mark.spec, "key": question.mark.key,
        "tokens_read": pieces.len() * ROW, "positions": positions,
    })
}

/// Adds the numbers of every test to a row.
fn weigh(
    row: &mut Value,
    mark: &Watermark,
    soft: &[Transcript],
    likeliest: &Transcript,
    less: Option<&Transcript>,
) {
    let weighed: Vec<_> = soft.iter().map(|soft| Weighed::new(soft, mark).unwrap()).collect();
    let last = weighed.last().unwrap();
    let argmax = Weighed::new(likeliest, mark).unwrap();
    row["seeds"] = last.seeds.into();
    row["pairs"] = last.cells.into();
    row["z"] = rounded(last.z());
    row["log10_p"] = log10_p(last);
    row["log10_p_after"] = weighed.iter().map(log10_p).collect();
    row["argmax_pairs"] = argmax.cells.into();
    row["argmax_log10_p"] = log10_p(&argmax);
    if let Some(less) = less {
        row["like_log10_p"] = log10_p(&Weighed::new(less, mark).unwrap());
    }
}

fn log10_p(weighed: &Weighed) -> Value {
    rounded(weighed.p().unwrap().log10())
}

fn rounded(number: f64) -> Value {
    json!((1e3 * number).round() / 1e3 + 0.0)
}
