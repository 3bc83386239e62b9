//! Unmarked models that read text marked with the very key that is tested.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;
use touchmark::attribution::{Expected, Gatherer, Readers, Text, Transcript, Way, Weighed};
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::lm::LanguageModel;
use touchmark::sampling::Sampling;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::TokenId;

use super::{KGW, SEED, SUSPECTS, load, told, way};

/// Fresh keys, each with one text.
pub const KEYS: u64 = 300;
/// Tokens of a text, its prompt included.
const LENGTH: usize = 200;
/// What its cells are called.
pub const SETTING: &str = "marked text";
const PROMPT: usize = 8;
const BATCH: usize = 32;
const TOP: usize = 64;

/// Of every suspect: windows that came earlier in the text dropped, and kept.
pub fn cells(folder: &Path, tokenizer: &HfTokenizer, pieces: &[Vec<TokenId>]) -> Vec<Value> {
    let way = way(KGW, tokenizer);
    let texts = texts(&way, tokenizer, pieces);
    let mut cells = Vec::new();
    for (suspect, base) in SUSPECTS {
        let mut model = load(&folder.join(suspect));
        let mut base = base.map(|base| load(&folder.join(base)));
        let base = base.as_deref_mut().map(|base| base as &mut dyn LanguageModel);
        let mut readers = Readers::new(model.as_mut(), base, &[]).unwrap();
        let of = |(number, text): (u64, &Vec<TokenId>)| {
            let mark = way.under(&way.key(SEED, number).unwrap()).unwrap();
            let weighed = |said: Transcript| Weighed::new(&said, &mark).unwrap();
            read(&mut readers, text).map(weighed)
        };
        let all: Vec<_> = (0..).zip(&texts).map(of).collect();
        for (at, setting, how) in
            [(0, SETTING, "as it is"), (1, "mistaken", "marked text, repeated windows kept")]
        {
            let p: Vec<f64> = all.iter().map(|both| both[at].p().unwrap().log10()).collect();
            let pairs = all.iter().map(|both| both[at].cells).sum::<usize>() / all.len();
            cells.push(told(setting, suspect, KGW, how, pairs, &p));
        }
    }
    cells
}

/// What is expected where the window is new, and everywhere.
fn read(readers: &mut Readers<'_>, text: &[TokenId]) -> [Transcript; 2] {
    let mut both = [Gatherer::new(1, TOP), Gatherer::new(1, TOP)];
    let (mut seen, mut weights) = (HashSet::new(), Vec::new());
    // Width 0 visits every position.
    let visit = |expected: &Expected<'_>| {
        let Some(last) = expected.context.last() else { return };
        expected.difference(&mut weights);
        both[1].add(expected.context, &weights);
        if seen.insert(*last) {
            both[0].add(expected.context, &weights);
        }
    };
    readers.read(&Text::own(text.to_vec()), 0, visit).unwrap();
    both.map(Gatherer::finish)
}

/// One text of the teacher under each key.
fn texts(way: &Way, tokenizer: &HfTokenizer, pieces: &[Vec<TokenId>]) -> Vec<Vec<TokenId>> {
    let teacher = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let mut model = Decoder::from_dir(&teacher).unwrap();
    let ends = Ends { end: Vec::new(), never: (0..4).collect() };
    let marks: Vec<_> =
        (0..KEYS).map(|number| way.under(&way.key(SEED, number).unwrap()).unwrap()).collect();
    let requests: Vec<Request> = (0..KEYS).map(|number| request(number, pieces)).collect();
    let answer = |(request, mark)| Answer::new(request, Some(mark), tokenizer, &ends).unwrap();
    let answers = requests.iter().zip(&marks).map(answer).collect();
    let mut texts: Vec<_> = requests.iter().map(|request| request.prompt.clone()).collect();
    generate(&mut model, answers, BATCH, &mut |_, _| Ok(()), &mut |at, output| {
        texts[at].extend(output.ids);
        ControlFlow::Continue(())
    })
    .unwrap();
    texts
}

/// Beginnings of eight tokens from everywhere in the pieces.
fn request(number: u64, pieces: &[Vec<TokenId>]) -> Request {
    let (piece, round) = (number as usize % pieces.len(), number as usize / pieces.len());
    let start = PROMPT * round;
    Request {
        prompt: pieces[piece][start..start + PROMPT].to_vec(),
        max_tokens: LENGTH - PROMPT,
        sampling: Sampling { seed: SEED, ..Sampling::default() },
        stream: number,
        stop: Vec::new(),
    }
}
