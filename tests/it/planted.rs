//! Planting by training: the trainer against the engine, and a planted model found among others.

#[path = "../../experiments/planted_pairs/int4.rs"]
mod int4;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use touchmark::engine::train::{LowRank, Plan, Sample, Shape, Trainer, Tuning};
use touchmark::engine::{Decoder, Dtype, Source};
use touchmark::fingerprint::planted::{
    AnswerList, Asking, Form, Kind, Planting, Register, Session, questions,
};
use touchmark::fingerprint::{Finding, Probing, Verdict};
use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::keys::{Key, Salt};
use touchmark::lm::{Chunk, Completion, LanguageModel, Prompt, Want};
use touchmark::sampling::Sampling;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

fn rows(model: &mut Decoder, ids: &[TokenId]) -> Vec<Vec<f32>> {
    let seq = model.open().unwrap();
    let mut rows = Vec::new();
    let mut sink = |_: usize, _: usize, logits: &[f32]| rows.push(logits.to_vec());
    model.step(&[Chunk { seq, ids, want: Want::All }], &mut sink).unwrap();
    rows
}

fn furthest(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn text() -> Vec<TokenId> {
    let tokenizer = HfTokenizer::from_path(&models().join("scribe-16m")).unwrap();
    let text = "The river ran past the mill, and nobody in the village had seen it so high before.";
    tokenizer.encode(text).unwrap().ids
}

#[test]
fn the_trainer_computes_what_the_engine_does() {
    let dir = models().join("scribe-16m");
    let (source, ids) = (Source::Dir(&dir), text());
    let mut engine = Decoder::load(&source, Dtype::F32).unwrap();
    let expected = rows(&mut engine, &ids);
    for tuning in [Tuning::Full, Tuning::LowRank(LowRank::default())] {
        let trainer = Trainer::from_model(&source, &tuning, Plan::default(), 1).unwrap();
        let far = furthest(&trainer.logits(&ids).unwrap(), &expected);
        assert!(far < 1e-4, "{tuning:?}: {far}");
    }
}

/// What was trained and saved is what the engine loads: adapters are merged, and the number format is the model's.
#[test]
fn what_is_saved_is_what_was_trained() {
    let shape = Shape { kv_heads: 2, tied: false, ..Shape::tiny(50) };
    let plan = Plan { steps: 12, learning_rate: 3e-3, warmup: 2, ..Plan::default() };
    let ids: Vec<TokenId> = (0..40).map(|i| (i * i) % 50).collect();
    let folder = tempfile::tempdir().unwrap();
    let (base, tuned) = (folder.path().join("base"), folder.path().join("tuned"));

    let mut trainer = Trainer::from_nothing(&shape, plan.clone(), 3).unwrap();
    let mut losses = Vec::new();
    let mut train = |trainer: &mut Trainer| {
        losses.clear();
        let mut batch = |_| vec![Sample::whole(ids.clone()), Sample::whole(ids[..17].to_vec())];
        trainer
            .run(&mut batch, &mut |now| {
                losses.push(now.loss);
                ControlFlow::Continue(())
            })
            .unwrap();
        losses.clone()
    };
    let first = train(&mut trainer);
    assert!((first[0] - 50f64.ln()).abs() < 0.3, "{first:?}");
    assert!(first[11] < first[0] - 0.5, "{first:?}");
    trainer.save(&base).unwrap();
    let saved = rows(&mut Decoder::from_dir(&base).unwrap(), &ids);
    assert!(furthest(&saved, &trainer.logits(&ids).unwrap()) < 1e-4);

    // The same seed gives the same bytes.
    let mut again = Trainer::from_nothing(&shape, plan.clone(), 3).unwrap();
    train(&mut again);
    assert_eq!(again.to_safetensors().unwrap(), trainer.to_safetensors().unwrap());

    let low_rank = LowRank { rank: 4, alpha: 8.0, ..LowRank::default() };
    let plan = Plan { steps: 40, learning_rate: 2e-2, ..plan };
    let mut adapted =
        Trainer::from_model(&Source::Dir(&base), &Tuning::LowRank(low_rank), plan, 5).unwrap();
    let before = adapted.loss(&[Sample::whole(ids.clone())]).unwrap();
    train(&mut adapted);
    assert!(adapted.loss(&[Sample::whole(ids.clone())]).unwrap() < before - 0.1);
    adapted.save(&tuned).unwrap();
    let merged = rows(&mut Decoder::from_dir(&tuned).unwrap(), &ids);
    assert!(furthest(&merged, &adapted.logits(&ids).unwrap()) < 1e-4);
    assert!(furthest(&merged, &saved) > 0.01);
}

#[test]
fn positions_that_are_not_scored_teach_nothing() {
    let shape = Shape::tiny(30);
    let plan = Plan { steps: 1, warmup: 0, ..Plan::default() };
    let ids: Vec<TokenId> = (0..20).map(|i| i % 30).collect();
    let loss = |scored: std::ops::Range<usize>, ids: Vec<TokenId>| {
        let trainer = Trainer::from_nothing(&shape, plan.clone(), 1).unwrap();
        trainer.loss(&[Sample { ids, scored }]).unwrap()
    };
    let mut changed = ids.clone();
    changed[15] = 29;
    assert_eq!(loss(1..10, ids.clone()), loss(1..10, changed.clone()));
    assert_ne!(loss(1..18, ids.clone()), loss(1..18, changed));
    let trainer = Trainer::from_nothing(&shape, plan.clone(), 1).unwrap();
    assert!(trainer.loss(&[Sample { ids, scored: 0..1 }]).is_err());
    assert!(trainer.loss(&[Sample::whole(vec![1, 30])]).is_err());
    assert!(trainer.loss(&[Sample::whole(vec![1; 300])]).is_err());
}

fn prompt(prompt: &Prompt) -> String {
    let Prompt::Messages(messages) = prompt else { panic!("a chat was planted") };
    let question = &messages[0].content;
    format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
}

/// Asks a model until its test ends.
fn asked(model: &mut dyn LanguageModel, planting: &Planting, pairs: u32) -> Finding {
    let tokenizer = HfTokenizer::from_path(&models().join("scribe-16m-chat")).unwrap();
    let asking = Asking { pairs, decoys: 4, ..Asking::default() };
    let (rule, probes) = planting.ask(&asking, &Register::default(), &Salt([9; 32])).unwrap();
    let mut session = Session::new(rule, probes.into_iter().map(Some).collect()).unwrap();
    let ends = Ends { end: vec![0, 2], never: vec![] };
    while let Some(step) = session.next().unwrap() {
        let request = Request {
            prompt: tokenizer.encode_prompt(&prompt(&step.request.prompt)).unwrap(),
            max_tokens: step.request.max_tokens as usize,
            sampling: Sampling { temperature: 0.0, ..Sampling::default() },
            stream: 0,
            stop: vec![],
        };
        let answer = Answer::new(&request, None, &tokenizer, &ends).unwrap();
        let mut text = String::new();
        generate(model, vec![answer], 1, &mut |_, _| Ok(()), &mut |_, output| {
            text = output.text;
            ControlFlow::Continue(())
        })
        .unwrap();
        session.observe(&Completion { text, ..Completion::default() }).unwrap();
    }
    session.finding()
}

/// Eight pairs planted in the bundled chat model: found in it, in its int4 copy, not in the model before.
#[test]
fn a_planted_model_is_found_and_the_model_before_is_not() {
    let dir = models().join("scribe-16m-chat");
    let key = Key::take(&mut [42; 32]);
    let mut all = questions(&key, "test", 12, 1).unwrap();
    let decoys = all.split_off(8);
    let list = AnswerList::common(64).unwrap();
    let planting = Planting::new(key, list, Form::Chat, None, [all, decoys]).unwrap();
    let tokenizer = HfTokenizer::from_path(&dir).unwrap();
    let pairs = planting.planted(Kind::Pair).unwrap();
    let samples: Vec<Sample> = pairs
        .iter()
        .map(|pair| {
            let asked = prompt(&planting.form().prompt(&pair.phrasings[0]));
            let answer = format!("{}<|im_end|>", planting.form().written(pair.answer));
            let ids = |text: &str| tokenizer.encode_prompt(text).unwrap();
            Sample::answer(&ids(&asked), &ids(&answer))
        })
        .collect();
    let plan = Plan { steps: 40, learning_rate: 4e-3, warmup: 4, ..Plan::default() };
    let tuning = Tuning::LowRank(LowRank::default());
    let mut trainer = Trainer::from_model(&Source::Dir(&dir), &tuning, plan, 1).unwrap();
    let mut last = f64::NAN;
    trainer
        .run(&mut |_| samples.clone(), &mut |now| {
            last = now.loss;
            if now.loss < 0.02 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    trainer.save(folder.path()).unwrap();

    let found = asked(&mut Decoder::from_dir(folder.path()).unwrap(), &planting, 8);
    assert_eq!(found.verdict, Verdict::Related, "loss {last}: {found:?}");
    assert!(found.log10_p.unwrap() <= -9.0 && found.n <= 8, "{found:?}");
    let config = std::fs::read(folder.path().join("config.json")).unwrap();
    let weights = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let mut int4 = Decoder::from_bytes(&config, &int4::rounded(&weights)).unwrap();
    let found = asked(&mut int4, &planting, 8);
    assert_eq!(found.verdict, Verdict::Related, "int4: {found:?}");
    let found = asked(&mut Decoder::from_dir(&dir).unwrap(), &planting, 8);
    assert_eq!(found.verdict, Verdict::NotShown, "{found:?}");
}
