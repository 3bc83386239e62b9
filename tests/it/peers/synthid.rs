//! SynthID-Text: transformers 5.17.0, synthid-text 0.2.1, and Google's repository of June 2025.

use std::collections::VecDeque;

use serde_json::Value;
use touchmark::prf::Start;
use touchmark::sampling::{Candidates, Noise, Sampler, Sampling};
use touchmark::schemes::{Spec, SynthIdHash, SynthIdText, Weighting};
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Text, Unmarked, Watermark};

use super::{flags, golden, ids, list, logit, mark, number, texts};

fn keys(config: &Value) -> Vec<u64> {
    list(&config["keys"]).iter().map(number).collect()
}

fn scheme(variant: &str, config: &Value, leaves: u64) -> SynthIdText {
    let read = |field: &str, default| config[field].as_u64().unwrap_or(default);
    SynthIdText {
        ngram_len: read("ngram_len", 5) as usize,
        depth: list(&config["keys"]).len() as u32,
        hash: if variant == "synthid-iv" { SynthIdHash::Iv } else { SynthIdHash::Table },
        sampling_table_size: read("sampling_table_size", 65_536) as u32,
        sampling_table_seed: read("sampling_table_seed", 0),
        context_history_size: read("context_history_size", 1024) as usize,
        num_leaves: leaves as u32,
        weighting: Weighting::Mean,
    }
}

fn watermark(scheme: &SynthIdText, keys: Vec<u64>, repeats: Repeats) -> Watermark {
    mark(keys, &Spec::SynthIdText(scheme.clone()), 151_936, repeats)
}

fn cases() -> Vec<Value> {
    let files = [
        include_str!("../golden/peers/hf_synthid.json"),
        include_str!("../golden/peers/synthid_text.json"),
    ];
    files.into_iter().flat_map(|file| list(&golden(file)["cases"]).to_vec()).collect()
}

/// Sum of the bits of each layer, for the tokens that `mask` keeps.
fn layer_sums(bits: &[String], mask: &[bool], depth: usize) -> Vec<f64> {
    let mut sums = vec![0.0; depth];
    for (bits, _) in bits.iter().zip(mask).filter(|(_, keep)| **keep) {
        for (sum, bit) in sums.iter_mut().zip(bits.chars()) {
            *sum += if bit == '1' { 1.0 } else { 0.0 };
        }
    }
    sums
}

#[test]
fn sequences_are_read_as_the_tools_read_them() {
    for case in cases() {
        let config = &case["config"];
        let scheme = scheme(case["variant"].as_str().unwrap(), config, 2);
        let (tokens, depth) = (ids(&case["tokens"]), scheme.depth as usize);
        // Bits, read one layer at a time through marks of growing depth would be slow: one evidence a layer by weights is
        // not to be had either, so the words are read by a draw.
        let spec = Spec::SynthIdText(scheme.clone());
        let key = touchmark::keys::Key::of_numbers(keys(config)).unwrap();
        let peer = spec.scheme().peer().unwrap();
        let prf = touchmark::prf::Prf::of_peer(&key, &peer, spec.scheme().seeding(), 1).unwrap();
        let (mut found, mut seeds) = (Vec::new(), Vec::new());
        prf.walk(Start::Fragment, &tokens, &[0], |position, draw| {
            let bit = |layer: u32| draw.word(tokens[position], layer / 32) >> (layer % 32) & 1;
            found.push((0..depth as u32).map(|l| bit(l).to_string()).collect::<String>());
            seeds.push(draw.seed_id(tokens[position]).0);
        });
        let expected: Vec<String> =
            list(&case["g_values"]).iter().map(|bits| bits.as_str().unwrap().to_owned()).collect();
        assert_eq!(found, expected, "{}", case["name"]);
        assert_eq!(tokens.len() - found.len(), number(&case["first_scored"]) as usize);

        // The rings of contexts, replayed.
        let mut ring: VecDeque<u64> = vec![0; scheme.context_history_size].into();
        let fresh = |seed: &u64| {
            let fresh = !ring.contains(seed);
            ring.pop_front();
            ring.push_back(*seed);
            fresh
        };
        let not_repeated: Vec<bool> = seeds.iter().map(fresh).collect();
        assert_eq!(not_repeated, flags(&case["not_repeated"]), "{}", case["name"]);
        let mask = flags(&case["mask"]);
        let scored = mask.iter().filter(|keep| **keep).count();
        assert_eq!(scored as u64, number(&case["num_scored"]));

        // The tool's scores from the bits.
        let sums = layer_sums(&found, &mask, depth);
        let mean = sums.iter().sum::<f64>() / (depth * scored) as f64;
        assert!((mean - case["mean_score"].as_f64().unwrap()).abs() < 1e-6);
        let weights: Vec<f64> =
            (0..depth).map(|l| 10.0 - 9.0 * l as f64 / (depth - 1) as f64).collect();
        let total: f64 = weights.iter().sum();
        let weighted: f64 = sums.iter().zip(&weights).map(|(sum, weight)| sum * weight).sum();
        let weighted = weighted / (total * scored as f64);
        assert!((weighted - case["weighted_mean_score"].as_f64().unwrap()).abs() < 1e-6);

        // Evidence is these sums where no context left the ring.
        let evidence = watermark(&scheme, keys(config), Repeats::SingleTurn).score(&tokens);
        let first: Vec<bool> = {
            let mut seen = std::collections::HashSet::new();
            seeds.iter().map(|seed| seen.insert(*seed)).collect()
        };
        let expected: f64 = layer_sums(&found, &first, depth).iter().sum();
        assert_eq!(evidence.sum(), expected, "{}", case["name"]);
    }
}

/// softmax of what the candidates hold after marking.
fn probabilities(candidates: &mut Candidates) -> Vec<(TokenId, f64)> {
    let ids: Vec<TokenId> = (0..candidates.len()).map(|entry| candidates.id(entry)).collect();
    candidates.read_words(|_, out| out.fill(0));
    let (p, _) = candidates.probabilities_and_words();
    let total: f64 = p.iter().map(|&p| f64::from(p)).sum();
    ids.into_iter().zip(p.iter().map(|&p| f64::from(p) / total)).collect()
}

#[test]
fn runs_are_marked_as_the_tools_mark_them() {
    let transformers = golden(include_str!("../golden/peers/hf_synthid.json"))["embed"].clone();
    let google = golden(include_str!("../golden/peers/synthid_text.json"))["embeds"].clone();
    for run in list(&google).iter().chain([&transformers]) {
        let config = &run["config"];
        let variant = run["variant"].as_str().unwrap_or("synthid-table");
        let scheme = scheme(variant, config, run["num_leaves"].as_u64().unwrap_or(2));
        let mark = watermark(&scheme, keys(config), Repeats::SingleTurn);
        let prompt = ids(&run["prompt"]);
        let (mut embedder, fed) = (mark.embedder(&prompt), ids(&run["fed"]));
        let mut noise = Noise::new(1, 0);
        for step in list(&run["steps"]) {
            let at = number(&step["step"]) as usize;
            let logits: Vec<f32> = (0..24).map(|token| logit(at as u32, token)).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            let sampling = Sampling {
                temperature: config["temperature"].as_f64().unwrap_or(1.0) as f32,
                top_k: config["top_k"].as_u64().unwrap_or(0) as usize,
                ..Sampling::default()
            };
            Sampler::new(sampling, 0).unwrap().truncate(&mut candidates);
            let marked = embedder.mark(&fed[..at], &mut candidates, None, &mut noise);
            let repeated = marked == Marked::No(Unmarked::Repeated);
            assert_eq!(repeated, step["repeated_context"].as_bool().unwrap(), "{at} {marked:?}");
            let expected: Vec<f64> =
                list(&step["probabilities"]).iter().map(|p| p.as_f64().unwrap()).collect();
            let named = step["ids"].as_array().map(|_| ids(&step["ids"]));
            for (token, p) in probabilities(&mut candidates) {
                let entry = match &named {
                    Some(ids) => ids.iter().position(|id| *id == token).unwrap(),
                    None => token as usize,
                };
                assert!(
                    (p - expected[entry]).abs() < 1e-5,
                    "{at}: {token} {p} {}",
                    expected[entry]
                );
            }
        }
    }
}

#[test]
fn texts_of_the_tools_are_detected() {
    let files = [
        ("hf_synthid_9", include_str!("../golden/peers/texts/hf_synthid_9.jsonl")),
        ("hf_synthid_30", include_str!("../golden/peers/texts/hf_synthid_30.jsonl")),
        ("synthid_iv", include_str!("../golden/peers/texts/synthid_iv.jsonl")),
    ];
    let configs = [
        include_str!("../golden/peers/texts/configs/hf_synthid_9/watermarking_config.json"),
        include_str!("../golden/peers/texts/configs/hf_synthid_30/watermarking_config.json"),
        include_str!("../golden/peers/texts/configs/synthid_iv.json"),
    ];
    for ((name, file), config) in files.into_iter().zip(configs) {
        let config = golden(config);
        let variant = if name == "synthid_iv" { "synthid-iv" } else { "synthid-table" };
        let scheme = scheme(variant, &config, 2);
        let mark = watermark(&scheme, keys(&config), Repeats::SingleTurn);
        let law = touchmark::detect::Law::new(mark.null().clone()).unwrap();
        let log10_p = |ids: &[TokenId]| {
            let evidence = mark.score_text(&Text::of(ids));
            (law.tail(evidence.sum(), evidence.scored() as u64).unwrap().log10(), evidence)
        };
        for row in texts(file) {
            let (p, evidence) = log10_p(&ids(&row["ids"]));
            let tool = &row["detector"]["on_ids"];
            assert_eq!(evidence.scored() as u64, number(&tool["num_scored"]), "{}", row["id"]);
            assert_eq!(evidence.sum(), tool["sum_g"].as_f64().unwrap(), "{}", row["id"]);
            assert!(p < -6.0, "{}: {p}", row["id"]);
            // The first tokens of an answer carry the mark as well.
            let whole = Text { start: Start::Answer { prompt: &[] }, ..Text::of(&[]) };
            let ids = ids(&row["ids"]);
            let more = mark.score_text(&Text { ids: &ids, ..whole });
            assert_eq!(more.scored(), evidence.scored() + scheme.ngram_len - 1);
        }
        let others = [
            include_str!("../golden/peers/texts/human.jsonl"),
            include_str!("../golden/peers/texts/unmarked.jsonl"),
        ];
        for row in others.into_iter().flat_map(texts) {
            assert!(log10_p(&ids(&row["ids"])).0 > -6.0, "{}", row["id"]);
        }
    }
}
