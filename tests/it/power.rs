//! The bundled model's marked text is found: a small form of `experiments/power`.

use std::ops::ControlFlow;
use std::path::Path;

use touchmark::detect::{Detector, Verdict};
use touchmark::engine::Decoder;
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::stats::Family;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

use crate::common::key;

/// 24 texts of 200 tokens each, retokenised: with the rates measured in `experiments/power` (100 % of 500), fewer than 23
/// found has a probability below 1e-6.
#[test]
fn the_bundled_models_marks_are_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let mut model = Decoder::from_dir(&folder).unwrap();
    let tokenizer = HfTokenizer::from_path(&folder).unwrap();
    let ends = Ends { end: Vec::new(), never: tokenizer.special_ids().to_vec() };
    let vocabulary = Vocabulary {
        tokenizer: tokenizer.hash(),
        size: 8192,
        special: tokenizer.special_ids().to_vec(),
    };
    for name in ["kgw", "gumbel", "synthid"] {
        let spec = Spec::usual(name).unwrap();
        let mark =
            |text| Watermark::new(&key(text), spec.prf(), &spec, &vocabulary, Repeats::ScoreOnce);
        let marks: Vec<Watermark> = (0..24).map(|text| mark(text).unwrap()).collect();
        let requests: Vec<Request> = (0..24)
            .map(|stream| Request {
                prompt: tokenizer.encode(&format!("Chapter {stream}. In the morning")).unwrap().ids,
                max_tokens: 200,
                sampling: Sampling { seed: 11, ..Sampling::default() },
                stream,
                stop: Vec::new(),
            })
            .collect();
        let answers = requests.iter().zip(&marks);
        let answers = answers
            .map(|(request, mark)| Answer::new(request, Some(mark), &tokenizer, &ends).unwrap());
        let mut texts = vec![String::new(); 24];
        generate(&mut model, answers.collect(), 24, &mut |_, _| Ok(()), &mut |index, answer| {
            texts[index] = answer.text;
            ControlFlow::Continue(())
        })
        .unwrap();
        let found = texts.iter().zip(marks).filter(|(text, _)| !text.is_empty()).filter_map(
            |(text, mark)| {
                let ids = tokenizer.encode(text).unwrap().ids;
                Detector::new(mark, 1e-6, Family::one(), None).unwrap().detect(&Text::of(&ids)).ok()
            },
        );
        let found = found.filter(|detection| detection.verdict == Verdict::Detected).count();
        assert!(found >= 23, "{name}: {found} of 24");
    }
}
