//! Which of many keys marked a text: what is said of each key, who is named, and how often nobody should be.

use touchmark::detect::{Candidates, Detector, ManyKeys, Screen, Verdict, Windows};
use touchmark::prf::Start;
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Spec, SynthId, Unigram, VllmGumbel, Weighting};
use touchmark::stats::{Family, binomial_sf_ge};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Watermark};

use crate::common::{key, key_for, vocabulary, written};

const V: u32 = 8192;

fn mark(spec: &Spec, key: &touchmark::keys::Key) -> Watermark {
    Watermark::new(key, spec.prf(), spec, &vocabulary(V), Repeats::ScoreOnce).unwrap()
}

fn many(marks: Vec<Watermark>, fpr: f64, windows: Windows, screen: Screen) -> ManyKeys {
    let family = Family::one().times("keys", marks.len() as u64);
    let mut marks = marks.into_iter();
    let first = Detector::new(marks.next().unwrap(), fpr, family, None).unwrap();
    let first = first.with_windows(windows);
    let others: Vec<Detector> = marks.map(|mark| first.under(mark).unwrap()).collect();
    ManyKeys::new(std::iter::once(first).chain(others).collect(), screen)
}

/// Marks of the tenants of one key.
fn tenants(spec: &Spec, master: u64, count: usize) -> Vec<Watermark> {
    let tenant = |number: usize| key(master).tenant(&format!("tenant-{number}").parse().unwrap());
    (0..count).map(|number| mark(spec, &tenant(number).unwrap())).collect()
}

/// Human text as ids.
fn human() -> Vec<TokenId> {
    let tokenizer =
        HfTokenizer::from_bytes(include_bytes!("../../models/scribe-16m/tokenizer.json")).unwrap();
    let documents = include_str!("../data/human.jsonl").lines().take(40);
    let texts = documents.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    texts.flat_map(|it| tokenizer.encode(it["text"].as_str().unwrap()).unwrap().ids).collect()
}

fn named() -> [Spec; 3] {
    [Spec::Kgw(Kgw::default()), Spec::Gumbel(Gumbel::default()), Spec::SynthId(SynthId::default())]
}

fn corrected(found: &Candidates) -> Vec<f64> {
    found.best.iter().map(|(_, it)| it.corrected.log10()).collect()
}

#[test]
fn each_key_is_told_what_its_detector_says() {
    let text = human();
    let (a, b) = (Text::of(&text[..600]), Text::of(&text[300..700]));
    let b = Text { start: Start::Answer { prompt: &[] }, ..b };
    let anchored = KgwSeeding::SelfAnchored;
    let mut specs = named().to_vec();
    specs.extend([
        Spec::Kgw(Kgw { seeding: anchored, context_width: 4, ..Kgw::default() }),
        Spec::Unigram(Unigram::default()),
        Spec::Gumbel(Gumbel { alpha: Some(0.1), ..Gumbel::default() }),
        Spec::SynthId(SynthId {
            weighting: Weighting::WeightedMean,
            depth: 40,
            ..SynthId::default()
        }),
        Spec::VllmGumbel(VllmGumbel::default()),
    ]);
    for spec in specs {
        let marks = (0..37).map(|number| mark(&spec, &key_for(number, &spec))).collect();
        let keys = many(marks, 1e-6, Windows::Auto, Screen::Auto);
        let found = keys.best_of(&[a, b], 3, usize::MAX).unwrap();
        assert_eq!((found.keys, found.screened, found.words()), (37, None, None));
        for (at, (key, detection)) in found.best.iter().enumerate() {
            assert_eq!(at, *key);
            let alone = keys.detectors()[at].best_of(&[a, b], 3).unwrap();
            assert_eq!(*detection, alone, "{}", spec.name());
        }
    }
}

/// Of texts by one of 2,000 tenants that tenant is the first, and nobody else is named: at a false-alarm rate of 10⁻⁶ for all
/// tenants together, one of these nine texts names somebody else with probability 10⁻⁵ at most.
#[test]
fn the_right_tenant_is_named_and_no_other() {
    for spec in named() {
        let keys = many(tenants(&spec, 5, 2_000), 1e-6, Windows::Auto, Screen::Auto);
        for (right, tokens) in [(0, 250), (1_234, 400), (1_999, 700)] {
            let ids = written(keys.detectors()[right].watermark(), V, None, right as u64, tokens);
            let found = keys.best_of(&[Text::of(&ids)], 1, 5).unwrap();
            assert_eq!(found.screened.is_some(), tokens > 512);
            assert_eq!(found.best.len(), 5);
            let verdict = |at: usize| (found.best[at].0, found.best[at].1.verdict);
            assert_eq!(verdict(0), (right, Verdict::Detected), "{} {tokens}", spec.name());
            assert!((1..5).all(|at| verdict(at).1 != Verdict::Detected), "{}", spec.name());
        }
    }
}

/// Of human texts, each read with 300 tenants of a key of its own, at most the nominal share names anybody, screened or not,
/// with windows. Fails by chance with probability 10⁻⁶ at most (Bonferroni over six counts).
#[test]
fn nobody_is_named_beyond_the_rate() {
    const FPR: f64 = 0.05;
    let text = human();
    for spec in named() {
        let mut named = [0_u64; 2];
        let texts: Vec<&[TokenId]> = text.chunks_exact(150).take(150).collect();
        for (master, ids) in (100..).zip(&texts) {
            for (count, screen) in named.iter_mut().zip([Screen::Off, Screen::First(60)]) {
                let keys = many(tenants(&spec, master, 300), FPR, Windows::AtLeast(40), screen);
                let found = keys.best_of(&[Text::of(ids)], 1, 1).unwrap();
                assert_eq!(found.screened.is_some(), screen != Screen::Off);
                *count += u64::from(found.best[0].1.verdict == Verdict::Detected);
            }
        }
        for count in named {
            let p = binomial_sf_ge(count, texts.len() as u64, FPR).unwrap();
            assert!(p.log10() > (1e-6_f64 / 6.0).log10(), "{}: {named:?}", spec.name());
        }
    }
}

/// What is told of fewer keys is what is told of all: the best first, the smallest p-value among them, nobody detected left out.
#[test]
fn the_best_are_told_and_all_that_are_detected() {
    let spec = Spec::Gumbel(Gumbel::default());
    let keys = many(tenants(&spec, 6, 100), 1e-6, Windows::Auto, Screen::Off);
    let authors = [17, 3, 99];
    let ids: Vec<TokenId> = authors
        .iter()
        .flat_map(|&author| written(keys.detectors()[author].watermark(), V, None, 1, 200))
        .collect();
    let text = [Text::of(&ids)];
    let all = keys.best_of(&text, 1, 100).unwrap();
    assert!(all.best.iter().map(|(key, _)| *key).eq(0..100));
    let mut sorted = corrected(&all);
    sorted.sort_by(f64::total_cmp);
    for top in [1, 2, 3, 8] {
        let found = keys.best_of(&text, 1, top).unwrap();
        let shown = top.max(3);
        assert_eq!(corrected(&found), sorted[..shown]);
        for (key, detection) in &found.best {
            assert_eq!(*detection, all.best[*key].1);
        }
        let mut first: Vec<usize> = found.best[..3].iter().map(|(key, _)| *key).collect();
        first.sort_unstable();
        assert_eq!(first, [3, 17, 99]);
        let words = found.words().unwrap();
        assert_eq!(words, format!("the {shown} best of 100 keys are shown"));
    }
}

/// Screening can lose a mark that the beginning does not show, says so, and never makes a p-value smaller.
#[test]
fn screening_loses_power_only() {
    let spec = Spec::SynthId(SynthId::default());
    let human = human();
    let keys = |screen| many(tenants(&spec, 7, 400), 1e-6, Windows::Auto, screen);
    let (all, screened) = (keys(Screen::Off), keys(Screen::Auto));
    let marked = written(all.detectors()[300].watermark(), V, None, 1, 300);
    for (ids, found) in [
        ([&human[..700], &marked[..]].concat(), false),
        ([&marked[..], &human[..700]].concat(), true),
    ] {
        let text = [Text::of(&ids)];
        let whole = all.best_of(&text, 1, 400).unwrap();
        assert_eq!(whole.best[300].1.verdict, Verdict::Detected);
        let part = screened.best_of(&text, 1, 400).unwrap();
        assert_eq!(part.best.len(), Screen::KEPT);
        assert!(part.words().unwrap().contains("the first 512 tokens"), "{:?}", part.words());
        for (key, detection) in &part.best {
            assert_eq!(*detection, whole.best[*key].1);
        }
        assert_eq!(part.best.iter().any(|(key, _)| *key == 300), found);
    }
}
