//! What every scheme must keep, for every example of every scheme; a new scheme is covered without a change here.

use std::collections::HashSet;
use std::ops::ControlFlow;

use touchmark::detect::{Detector, Verdict, expected_evidence};
use touchmark::generate::{Answer, Ends, Output, Request, generate};
use touchmark::prf::{PrfVariant, Seeding, Start};
use touchmark::sampling::{Candidates, Noise, Sampler, Sampling, entropy};
use touchmark::schemes::{Pick, Spec, Stage};
use touchmark::stats::{Family, binomial_sf_ge, gamma_sf_ge};
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Text, Watermark};

use crate::common::{Letters, ToyModel, watermark};

const V: u32 = 4096;
const PROMPT: &[TokenId] = &[1, 2, 3];
const WRITTEN: Start<'_> = Start::Answer { prompt: PROMPT };

fn write(mark: Option<&Watermark>, tokens: usize, seed: u64) -> Output {
    let mut model = ToyModel::new(V as usize);
    let sampling = Sampling { seed, ..Sampling::default() };
    let request = Request {
        prompt: PROMPT.to_vec(),
        max_tokens: tokens,
        sampling,
        stream: 0,
        stop: Vec::new(),
    };
    let ends = Ends::default();
    let answer = Answer::new(&request, mark, &Letters, &ends).unwrap();
    let mut output = None;
    generate(&mut model, vec![answer], 1, &mut |_, _| Ok(()), &mut |_, answer| {
        output = Some(answer);
        ControlFlow::Continue(())
    })
    .unwrap();
    output.unwrap()
}

/// Entropies of a text, as a gated scheme's detector would get them from the model.
fn entropies(ids: &[TokenId]) -> Vec<f64> {
    let model = ToyModel::new(V as usize);
    let before = |at: usize| if at == 0 { 3 } else { ids[at - 1] };
    (0..ids.len()).map(|at| entropy(&model.logits(before(at), at + 3))).collect()
}

fn detector(mark: Watermark) -> Detector {
    Detector::new(mark, 1e-6, Family::one(), None).unwrap()
}

#[test]
fn marked_text_is_detected_and_unmarked_is_not() {
    for spec in Spec::examples() {
        let mark = watermark(1, &spec, V, Repeats::ScoreOnce);
        let marked = write(Some(&mark), 400, 7);
        let plain = write(None, 400, 7);
        assert!(marked.marked > 380, "{spec:?}: {:?}", marked.unmarked);
        let detector = detector(mark);
        let found = detector.detect(&Text::gated(&marked.ids, &entropies(&marked.ids))).unwrap();
        assert_eq!(found.verdict, Verdict::Detected, "{spec:?}: log10 p {}", found.p);
        // A false alarm here has probability 1e-6 for each of a few examples; the seed is fixed.
        let found = detector.detect(&Text::gated(&plain.ids, &entropies(&plain.ids))).unwrap();
        assert_ne!(found.verdict, Verdict::Detected, "{spec:?}: log10 p {}", found.p);
    }
}

#[test]
fn skipping_repeats_marks_what_the_scorer_counts() {
    let shared =
        |spec: &Spec| matches!(spec.scheme().seeding(), Seeding::Left { .. } | Seeding::Min { .. });
    for spec in Spec::examples().into_iter().filter(shared) {
        let mark = watermark(2, &spec, V, Repeats::SingleTurn);
        let output = write(Some(&mark), 300, 8);
        let (ids, entropies) = (&output.ids[..], &entropies(&output.ids)[..]);
        let text = Text { ids, start: WRITTEN, entropies };
        let evidence = mark.score_text(&text);
        // A tool marks by words that no key changes, too; they say nothing about one.
        let mut unkeyed = 0;
        mark.replay(&text, |at, repeated, draw| {
            unkeyed += usize::from(!repeated && !draw.is_keyed(ids[at]));
        });
        assert_eq!(evidence.scored() + evidence.aliased + unkeyed, output.marked, "{spec:?}");
    }
}

/// p-values of marked text under 100 other keys: more than the (1 − 1e-9) quantile of Binomial(100, 0.05) below 5 %
/// would be a fault. False-alarm probability of the test: 1e-9 for each example.
#[test]
fn other_keys_see_nothing() {
    for spec in Spec::examples() {
        let marked = write(Some(&watermark(1, &spec, V, Repeats::ScoreOnce)), 200, 9);
        let gate = entropies(&marked.ids);
        let below = (1000..1100).filter(|&number| {
            let detector = detector(watermark(number, &spec, V, Repeats::ScoreOnce));
            detector.detect(&Text::gated(&marked.ids, &gate)).unwrap().p.p() <= 0.05
        });
        let below = below.count() as u64;
        assert!(
            binomial_sf_ge(below, 100, 0.05).unwrap().log10() > -9.0,
            "{spec:?}: {below} of 100"
        );
    }
}

/// χ² of 60,000 marked choices under 60,000 independent contexts against the model's own distribution, 15 degrees of
/// freedom: p ≥ 1e-9 where a scheme claims to leave it unchanged, so a false alarm has probability 1e-9 an example. The
/// same test finds every scheme that makes no such claim.
#[test]
fn distortion_free_claims_hold() {
    let logits: Vec<f32> = (0..16).map(|token| (token as f32 * 0.37).sin() * 2.0).collect();
    let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
    for spec in Spec::examples() {
        let mark = watermark(3, &spec, 16, Repeats::ScoreOnce);
        // The functions of SynthID-Text are weak hashes of a context: they average out over keys only.
        let fixed = spec.scheme().seeding() == Seeding::Fixed
            || matches!(spec.prf(), PrfVariant::SynthIdTable | PrfVariant::SynthIdIv);
        let counts = marked_choices(&mark, &spec, &logits, fixed);
        let draws: f64 = counts.iter().sum();
        let chi2: f64 = counts
            .iter()
            .zip(&logits)
            .map(|(count, &logit)| {
                let expected = draws * f64::from(logit).exp() / total;
                (count - expected).powi(2) / expected
            })
            .sum();
        let log10_p = gamma_sf_ge(chi2 / 2.0, 7.5).unwrap().log10();
        let unchanged = log10_p > -9.0;
        // A green list that is the same at every position, or drawn afresh at each, averages out only over keys and
        // only to first order: the bias is there.
        assert_eq!(
            unchanged,
            spec.scheme().distortion_free(),
            "{spec:?}: chi2 {chi2}, log10 p {log10_p}"
        );
    }
}

fn marked_choices(mark: &Watermark, spec: &Spec, logits: &[f32], fixed: bool) -> Vec<f64> {
    let width = spec.scheme().seeding().width() as u32;
    let mut counts = vec![0.0; logits.len()];
    let mut sampler = Sampler::new(Sampling { seed: 5, ..Sampling::default() }, 0).unwrap();
    let mut candidates = Candidates::default();
    for number in 0..60_000_u32 {
        let other;
        let mark = if fixed {
            other = watermark(u64::from(number), spec, 16, Repeats::ScoreOnce);
            &other
        } else {
            mark
        };
        let context: Vec<TokenId> = (0..width).map(|i| number * 16 + i).collect();
        candidates.load(logits);
        let pick = mark.embedder(&[]).mark(&context, &mut candidates, Some(9.0), sampler.noise());
        let token = match pick {
            Marked::Yes(Pick::Token(token)) => token,
            Marked::Yes(Pick::Sample) => sampler.choose(&mut candidates),
            Marked::No(reason) => panic!("{reason:?}"),
        };
        counts[token as usize] += 1.0;
    }
    counts
}

/// Tokens that truncation ruled out stay out, and nothing becomes NaN.
#[test]
fn impossible_tokens_are_never_chosen() {
    for spec in Spec::examples() {
        let mark = watermark(4, &spec, 40, Repeats::ScoreOnce);
        let mut logits = vec![f32::NEG_INFINITY; 40];
        (logits[7], logits[21], logits[39]) = (3.0, -80.0, 2.5);
        let mut noise = Noise::new(1, 1);
        let mut sampler = Sampler::new(Sampling::default(), 3).unwrap();
        for number in 0..300 {
            let context: Vec<TokenId> = (0..15).map(|i| number * 15 + i).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            let token =
                match mark.embedder(&[]).mark(&context, &mut candidates, Some(9.0), &mut noise) {
                    Marked::Yes(Pick::Token(token)) => token,
                    _ => sampler.choose(&mut candidates),
                };
            assert!([7, 39].contains(&token), "{spec:?} chose {token}");
            assert!(candidates.probabilities().iter().all(|p| p.is_finite()), "{spec:?}");
        }
    }
}

/// After top-k the candidates name their tokens; marking them must read the same words as marking all.
#[test]
fn truncated_candidates_read_their_own_words() {
    for spec in
        Spec::examples().into_iter().filter(|spec| spec.scheme().stage() == Stage::AfterTruncation)
    {
        let mark = watermark(5, &spec, V, Repeats::ScoreOnce);
        let model = ToyModel::new(V as usize);
        let sampling = Sampling { top_k: 12, seed: 4, ..Sampling::default() };
        let mut sampler = Sampler::new(sampling, 0).unwrap();
        let mut ids = vec![0; 15];
        for step in 0..400 {
            let mut candidates = Candidates::default();
            candidates.load(&model.logits(ids[ids.len() - 1], step));
            sampler.truncate(&mut candidates);
            let allowed: HashSet<TokenId> =
                (0..candidates.len()).map(|entry| candidates.id(entry)).collect();
            assert_eq!(allowed.len(), 12);
            let token =
                match mark.embedder(&[]).mark(&ids, &mut candidates, Some(9.0), sampler.noise()) {
                    Marked::Yes(Pick::Token(token)) => token,
                    _ => sampler.choose(&mut candidates),
                };
            assert!(allowed.contains(&token));
            ids.push(token);
        }
        let found = detector(mark).detect(&Text::of(&ids)).unwrap();
        assert_eq!(found.verdict, Verdict::Detected, "{spec:?}: log10 p {}", found.p);
    }
}

#[test]
fn writing_is_deterministic() {
    for spec in Spec::examples() {
        let mark = watermark(6, &spec, V, Repeats::ScoreOnce);
        assert_eq!(write(Some(&mark), 60, 1), write(Some(&mark), 60, 1), "{spec:?}");
        assert_ne!(write(Some(&mark), 60, 1).ids, write(None, 60, 1).ids, "{spec:?}");
    }
}

#[test]
fn specs_survive_files_and_have_names_of_their_own() {
    let mut canonical = HashSet::new();
    for spec in Spec::examples() {
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
        let text = toml::to_string(&spec).unwrap();
        assert_eq!(toml::from_str::<Spec>(&text).unwrap(), spec);
        let draws = (spec.name(), spec.canonical(), format!("{:?}", spec.scheme().peer()));
        assert!(canonical.insert(draws), "{spec:?}");
        assert!(serde_json::from_str::<Spec>(&json.replace('}', ",\"typo\":1}")).is_err());
        assert_eq!(Spec::usual(spec.name()).unwrap().name(), spec.name());
    }
}

/// More uncertain text carries more of the mark, and always more than chance.
#[test]
fn expected_evidence_grows_with_entropy() {
    // Of a scheme that judges whole texts a token has none.
    for spec in Spec::examples().into_iter().filter(|spec| spec.scheme().sequence().is_none()) {
        let [low, high] = [0.7, 3.0].map(|nats| expected_evidence(&spec, nats).unwrap());
        assert!(high.mean > low.mean && low.sd > 0.0, "{spec:?}: {low:?} {high:?}");
    }
}
