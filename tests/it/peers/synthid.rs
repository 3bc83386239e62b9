//! SynthID-Text: transformers 5.17.0, synthid-text 0.2.1, and the head of Google's repository.

use serde_json::{Value, json};
use touchmark::detect::{BayesianDetector, Law, counted_bits};
use touchmark::sampling::{Candidates, Noise, Sampler, Sampling};
use touchmark::schemes::{Null, Spec, SynthIdHash, SynthIdText, Weighting};
use touchmark::watermark::{Marked, Repeats, Text, Watermark};

use super::{assert_near, flags, golden, ids, list, logit, mark, number};

fn scheme(hash: SynthIdHash, config: &Value) -> SynthIdText {
    // The generators of the goldens name a table for both functions; only one reads it.
    let whole = |name: &str| config[name].as_u64();
    let table = |name: &str| whole(name).filter(|_| hash == SynthIdHash::Table);
    SynthIdText {
        ngram_len: whole("ngram_len").unwrap() as usize,
        depth: list(&config["keys"]).len() as u32,
        hash,
        sampling_table_size: table("sampling_table_size").map(|size| size as u32),
        sampling_table_seed: table("sampling_table_seed"),
        context_history_size: whole("context_history_size").unwrap() as usize,
        ..SynthIdText::default()
    }
}

fn hash(name: &Value) -> SynthIdHash {
    match name.as_str().unwrap() {
        "synthid-table" => SynthIdHash::Table,
        "synthid-iv" => SynthIdHash::Iv,
        other => panic!("{other}"),
    }
}

fn keys(config: &Value) -> Vec<u64> {
    list(&config["keys"]).iter().map(number).collect()
}

fn goldens() -> [Value; 2] {
    [
        golden(include_str!("../golden/peers/hf_synthid.json")),
        golden(include_str!("../golden/peers/synthid_text.json")),
    ]
}

/// What the tool says of a text: bits of every full n-gram, and which of them it counts.
#[derive(Default)]
struct Replayed {
    bits: Vec<u64>,
    not_repeated: Vec<bool>,
    before_eos: Vec<bool>,
}

impl Replayed {
    fn of(mark: &Watermark, scheme: &SynthIdText, tokens: &[u32], eos: u64) -> Self {
        let mut replayed = Self::default();
        mark.replay(&Text::of(tokens), |position, repeated, draw| {
            assert_eq!(position, replayed.bits.len() + scheme.ngram_len - 1);
            replayed.bits.push(scheme.bits(draw, tokens[position]));
            replayed.not_repeated.push(!repeated);
            let ended = tokens[..=position].iter().any(|&id| u64::from(id) == eos);
            replayed.before_eos.push(!ended);
        });
        replayed
    }

    /// The tool's mask.
    fn flags(&self) -> Vec<bool> {
        self.not_repeated.iter().zip(&self.before_eos).map(|(a, b)| *a && *b).collect()
    }

    fn counted(&self) -> Vec<u64> {
        self.bits
            .iter()
            .zip(self.flags())
            .filter(|(_, counts)| *counts)
            .map(|(bits, _)| *bits)
            .collect()
    }
}

/// Mean and weighted mean as the tool defines them: weights fall from 10 to 1 and add up to the depth.
fn means(bits: &[u64], depth: u32) -> [f64; 2] {
    let weight = |layer: u32| 10.0 - 9.0 * f64::from(layer) / f64::from(depth - 1);
    let total: f64 = (0..depth).map(weight).sum();
    let share = |weight: &dyn Fn(u32) -> f64| {
        let of = |bits: &u64| (0..depth).filter(|l| bits >> l & 1 == 1).map(weight).sum::<f64>();
        bits.iter().map(of).sum::<f64>() / bits.len() as f64
    };
    [share(&|_| 1.0) / f64::from(depth), share(&weight) / total]
}

#[test]
fn sequences_are_read_as_the_tools_read_them() {
    for case in goldens().iter().flat_map(|golden| list(&golden["cases"])) {
        let (name, tokens) = (&case["name"], ids(&case["tokens"]));
        let (single, replayed, scheme) = read(case);
        assert_eq!(replayed.flags(), flags(&case["mask"]), "{name}");
        let counted = replayed.counted();
        assert_eq!(counted.len() as u64, number(&case["num_scored"]), "{name}");
        assert_eq!(
            counted_bits(&single, &tokens, &[number(&case["eos_token_id"]) as u32]),
            counted
        );
        let [mean, weighted] = means(&counted, scheme.depth);
        assert_near(mean, case["mean_score"].as_f64().unwrap(), 1e-6);
        assert_near(weighted, case["weighted_mean_score"].as_f64().unwrap(), 1e-6);
        counts_each_context_once(&single, &replayed, &scheme, &tokens, name);
        if let Some(bayesian) = case.get("bayesian") {
            gives_the_tools_posterior(bayesian, &single, &replayed, &tokens, case);
        }
    }
}

fn gives_the_tools_posterior(
    bayesian: &Value,
    mark: &Watermark,
    replayed: &Replayed,
    tokens: &[u32],
    case: &Value,
) {
    let weights = json!({
        "prior": [bayesian["prior"]],
        "likelihood_model_watermarked.beta": [[bayesian["beta"]]],
        "likelihood_model_watermarked.delta": [[bayesian["delta"]]],
    });
    let detector: BayesianDetector = serde_json::from_value(weights).unwrap();
    if let Some(expected) = bayesian["posterior"].as_f64() {
        let eos = number(&case["eos_token_id"]) as u32;
        assert_near(detector.examine(mark, tokens, &[eos]).unwrap(), expected, 1e-6);
    }
    for (field, rows) in [("posterior_first6", 6), ("posterior_first8", 8)] {
        if let Some(expected) = bayesian[field].as_f64() {
            let first = replayed.flags().iter().take(rows).filter(|counts| **counts).count();
            let posterior = detector.posterior(&replayed.counted()[..first]);
            assert_near(posterior, expected, 1e-5);
        }
    }
}

/// Negative keys, odd tables, more layers than a word has bits.
#[test]
fn unusual_configurations_are_read_as_transformers_reads_them() {
    let golden = golden(include_str!("../golden/peers/hf_synthid_more.json"));
    for case in list(&golden["cases"]) {
        let (single, replayed, _) = read(case);
        if !case["bayesian"].is_null() {
            let tokens = ids(&case["tokens"]);
            gives_the_tools_posterior(&case["bayesian"], &single, &replayed, &tokens, case);
        }
    }
}

/// A case's bits and masks, which must be the tool's.
fn read(case: &Value) -> (Watermark, Replayed, SynthIdText) {
    let name = &case["name"];
    let scheme = scheme(hash(&case["variant"]), &case["config"]);
    let (tokens, vocab) = (ids(&case["tokens"]), number(&case["vocab_size"]));
    let spec = Spec::SynthIdText(scheme.clone());
    let mark = mark(keys(&case["config"]), &spec, vocab, Repeats::SingleTurn);
    let replayed = Replayed::of(&mark, &scheme, &tokens, number(&case["eos_token_id"]));
    let expected: Vec<u64> = list(&case["g_values"])
        .iter()
        .map(|row| flags(row).iter().rev().fold(0, |bits, &one| bits << 1 | u64::from(one)))
        .collect();
    assert_eq!(replayed.bits, expected, "{name}");
    assert_eq!(replayed.not_repeated, flags(&case["not_repeated"]), "{name}");
    assert_eq!(replayed.before_eos, flags(&case["before_eos"]), "{name}");
    (mark, replayed, scheme)
}

/// The p-value's rule: first occurrences only, and no two n-grams that read the same entries of the table.
fn counts_each_context_once(
    mark: &Watermark,
    replayed: &Replayed,
    scheme: &SynthIdText,
    tokens: &[u32],
    name: &Value,
) {
    let width = scheme.ngram_len - 1;
    let first = |at: usize| {
        let context = &tokens[at - width..at];
        !(width..at).any(|before| &tokens[before - width..before] == context)
    };
    let expected: Vec<usize> = (width..tokens.len()).filter(|&at| first(at)).collect();
    let evidence = mark.score(tokens);
    assert_eq!(evidence.scored() + evidence.aliased, expected.len(), "{name}");
    for (&position, &value) in evidence.positions.iter().zip(&evidence.values) {
        assert!(expected.contains(&(position as usize)), "{name}");
        assert_eq!(value, f64::from(replayed.bits[position as usize - width].count_ones()));
    }
}

/// Probabilities after marking, step by step, with the tools' memory of contexts.
#[test]
fn steps_are_marked_as_the_tools_mark_them() {
    let [transformers, synthid_text] = goldens();
    let mut runs = vec![&transformers["embed"]];
    runs.extend(list(&synthid_text["embeds"]));
    for run in runs {
        let hash = run["variant"].as_str().map_or(SynthIdHash::Table, |_| hash(&run["variant"]));
        let num_leaves = run["num_leaves"].as_u64().unwrap_or(2) as u32;
        let scheme = SynthIdText { num_leaves, ..scheme(hash, &run["config"]) };
        let spec = Spec::SynthIdText(scheme);
        let (vocab, fed) = (number(&run["vocab_size"]), ids(&run["fed"]));
        let mark = mark(keys(&run["config"]), &spec, vocab, Repeats::SingleTurn);
        let sampling = Sampling {
            temperature: run["config"]["temperature"].as_f64().unwrap_or(1.0) as f32,
            top_k: run["config"]["top_k"].as_u64().unwrap_or(0) as usize,
            ..Sampling::default()
        };
        let sampler = Sampler::new(sampling, 0).unwrap();
        let mut embedder = mark.embedder(&ids(&run["prompt"]));
        for (at, step) in list(&run["steps"]).iter().enumerate() {
            let logits: Vec<f32> = (0..vocab as u32).map(|id| logit(at as u32, id)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            sampler.truncate(&mut candidates);
            let marked = embedder.mark(&fed[..at], &mut candidates, None, &mut Noise::new(0, 0));
            let repeated = !matches!(marked, Marked::Yes(_));
            assert_eq!(repeated, step["repeated_context"].as_bool().unwrap(), "{spec:?} {at}");
            let shown: Vec<u32> = step["ids"]
                .as_array()
                .map_or_else(|| (0..vocab as u32).collect(), |_| ids(&step["ids"]));
            let total: f64 = candidates.probabilities().iter().map(|&p| f64::from(p)).sum();
            let expected = list(&step["probabilities"]);
            assert_eq!(candidates.len(), expected.len());
            for (id, expected) in shown.iter().zip(expected) {
                let entry = (0..candidates.len()).find(|&entry| candidates.id(entry) == *id);
                let found = f64::from(candidates.probabilities()[entry.unwrap()]) / total;
                let difference = (found - expected.as_f64().unwrap()).abs();
                assert!(difference < 1e-5, "{spec:?} step {at} id {id}: {found} {expected}");
            }
        }
    }
}

struct Texts {
    name: &'static str,
    lines: &'static str,
    hash: SynthIdHash,
    config: &'static str,
}

fn texts() -> [Texts; 3] {
    [
        Texts {
            name: "hf_synthid_9",
            lines: include_str!("../golden/peers/texts/hf_synthid_9.jsonl"),
            hash: SynthIdHash::Table,
            config: include_str!(
                "../golden/peers/texts/configs/hf_synthid_9/watermarking_config.json"
            ),
        },
        Texts {
            name: "hf_synthid_30",
            lines: include_str!("../golden/peers/texts/hf_synthid_30.jsonl"),
            hash: SynthIdHash::Table,
            config: include_str!(
                "../golden/peers/texts/configs/hf_synthid_30/watermarking_config.json"
            ),
        },
        Texts {
            name: "synthid_iv",
            lines: include_str!("../golden/peers/texts/synthid_iv.jsonl"),
            hash: SynthIdHash::Iv,
            config: include_str!("../golden/peers/texts/configs/synthid_iv.json"),
        },
    ]
}

/// Every marked text is found, in ids, at one false alarm in a million; the tools' scores are reproduced on all texts; human
/// and unmarked ones are not found (each test by chance with probability 1e-6 at most).
#[test]
fn texts_of_the_tools_are_found() {
    for Texts { name, lines, hash, config } in texts() {
        let config = golden(config);
        for weighting in [Weighting::Mean, Weighting::WeightedMean] {
            let scheme = SynthIdText { weighting, ..scheme(hash, &config) };
            let spec = Spec::SynthIdText(scheme.clone());
            let mark = mark(keys(&config), &spec, 8192, Repeats::SingleTurn);
            let law = Law::new(mark.null().clone()).unwrap();
            let p = |tokens: &[u32]| {
                let evidence = mark.score(tokens);
                law.tail(evidence.sum(), evidence.scored() as u64).unwrap()
            };
            let tool = |tokens: &[u32], answer: &Value| {
                let counted = Replayed::of(&mark, &scheme, tokens, u64::MAX).counted();
                assert_eq!(counted.len() as u64, number(&answer["num_scored"]));
                let [mean, weighted] = means(&counted, scheme.depth);
                assert_near(mean, answer["mean_score"].as_f64().unwrap(), 1e-6);
                assert_near(weighted, answer["weighted_mean_score"].as_f64().unwrap(), 1e-6);
            };
            for line in lines.lines().map(golden) {
                let tokens = ids(&line["ids"]);
                tool(&tokens, &line["detector"]["on_ids"]);
                assert!(p(&tokens).log10() < -6.0, "{}: {}", line["id"], p(&tokens));
            }
            let human = include_str!("../golden/peers/texts/human.jsonl");
            let plain = include_str!("../golden/peers/texts/unmarked.jsonl");
            for line in human.lines().chain(plain.lines()).map(golden) {
                let tokens = ids(&line["ids"]);
                tool(&tokens, &line["detectors_on_ids"][name]);
                assert!(p(&tokens).log10() > -6.0, "{name} on {}: {}", line["id"], p(&tokens));
            }
        }
    }
}

/// Two numbers of a key that the table takes for one make two layers one bit with twice the weight.
#[test]
fn layers_that_are_equal_count_as_one() {
    let spec = Spec::SynthIdText(SynthIdText { depth: 3, ..SynthIdText::default() });
    let null = |keys: Vec<u64>| mark(keys, &spec, 100, Repeats::SingleTurn).null().clone();
    let Null::Widened { law, .. } = null(vec![1, 70_000, 65_537]) else { panic!() };
    assert_eq!(*law, Null::WeightedBits { weights: vec![2, 1] });
    let Null::Widened { law, mean, variance, growth } = null(vec![1, 70_000, 65_538]) else {
        panic!()
    };
    assert_eq!(*law, Null::Binomial { trials: 3, p: 32_743.0 / 65_536.0 });
    assert_eq!(mean, 3.0 * 32_743.0 / 65_536.0);
    assert_near(variance, 1.0 + 3.5 * 2.0_f64.sqrt() / 256.0, 1e-12);
    assert_near(growth, 12.0 / 65_536.0, 1e-12);
}
