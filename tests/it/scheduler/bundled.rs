//! The bundled model: sixteen sequences of different lengths, keys and policies, joining and leaving.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use touchmark::engine::Decoder;
use touchmark::generate::Ends;
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::serve::scheduler::{Job, JobMark, Scheduler, Settings};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

use super::{Found, alone, job};
use crate::common::key;

/// Six places for sixteen answers, prompts read in pieces, one seed for all: every answer has the tokens, the count of
/// marked steps and the reasons of the single run, and log-probabilities within 1e-4 of its. Each sequence has a PRF of its
/// own key, a rule for repeats with a memory of its own, and a generator of its own stream; were any of them shared, tokens
/// would differ.
#[test]
fn sixteen_sequences_are_sixteen_single_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/scribe-16m");
    let load = || Decoder::from_dir(&folder).unwrap();
    let tokenizer: Arc<dyn Tokenize> = Arc::new(HfTokenizer::from_path(&folder).unwrap());
    let ends = Ends { end: Vec::new(), never: tokenizer.special_ids().to_vec() };
    let settings = Settings {
        max_running: 6,
        max_queue: 16,
        cache_bytes: 64 << 20,
        prefill_tokens: 24,
        queue_timeout: Duration::from_secs(600),
    };
    let jobs: Vec<Job> = (0..16).map(|number| one(number, tokenizer.as_ref())).collect();
    let scheduler =
        Scheduler::start(Box::new(load()), tokenizer.clone(), ends.clone(), settings).unwrap();
    let answers: Vec<_> = jobs.iter().map(|job| scheduler.submit(job.clone()).unwrap()).collect();
    let mut single = load();
    for (job, answers) in jobs.iter().zip(answers) {
        let found = Found::all(answers).outputs().remove(0);
        let wanted = alone(&mut single, &tokenizer, job, &ends).remove(0);
        assert_eq!((&found.ids, &found.text), (&wanted.ids, &wanted.text));
        assert_eq!((found.marked, &found.unmarked), (wanted.marked, &wanted.unmarked));
        assert_eq!(found.logprobs.len(), found.ids.len());
        for (found, wanted) in found.logprobs.iter().zip(&wanted.logprobs) {
            let pairs = found.top.iter().zip(&wanted.top);
            for (found, wanted) in pairs.chain([(&found.chosen, &wanted.chosen)]) {
                assert_eq!(found.id, wanted.id);
                assert!((found.logprob - wanted.logprob).abs() < 1e-4, "{found:?} {wanted:?}");
            }
        }
    }
    let load = scheduler.load();
    assert!(load.steps < load.decoded_tokens, "nothing was batched: {load:?}");
}

fn one(number: u64, tokenizer: &dyn Tokenize) -> Job {
    let text = "In the morning the river was quiet. ".repeat(1 + number as usize % 5);
    let prompt = tokenizer.encode(&format!("Chapter {number}. {text}")).unwrap().ids;
    let sampling = Sampling {
        seed: 11,
        temperature: [1.0, 0.7, 0.0, 1.3][number as usize % 4],
        top_k: [0, 50][number as usize % 2],
        presence_penalty: [0.0, 0.0, 0.5][number as usize % 3],
        ..Sampling::default()
    };
    Job {
        sampling,
        mark: mark(number, tokenizer),
        logprobs: Some(20),
        account: (number % 3).to_string(),
        ends: None,
        ..job(&prompt, 12 + 5 * number as usize % 40)
    }
}

fn mark(number: u64, tokenizer: &dyn Tokenize) -> Option<JobMark> {
    let name = [None, Some("kgw"), Some("gumbel"), Some("synthid"), Some("unigram")];
    let spec = Spec::usual(name[number as usize % 5]?)?;
    let special = tokenizer.special_ids().to_vec();
    let vocabulary = Vocabulary { tokenizer: tokenizer.hash(), size: 8192, special };
    let skips = number.is_multiple_of(2) && spec.name() != "unigram";
    let repeats = if skips { Repeats::SingleTurn } else { Repeats::ScoreOnce };
    let mark = Watermark::new(&key(number), spec.prf(), &spec, &vocabulary, repeats);
    Some(JobMark { watermark: Arc::new(mark.unwrap()), message: None })
}
