//! SGLang 0.5.23.

use serde_json::Value;
use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::prf::{COIN, KEY_A, KEY_B, PeerPrf, Prf, Seeding, Start};
use touchmark::sampling::{Candidates, Noise};
use touchmark::schemes::{SglangGumbel, Spec};
use touchmark::stats::gamma_sf_ge;
use touchmark::tokens::TokenId;
use touchmark::watermark::{Marked, Repeats, Text, Unmarked, Watermark};

use super::{assert_near, flags, golden, ids, list, logit, mark, number, texts};
use touchmark::schemes::Pick;

const TWO_32: f64 = 4_294_967_296.0;

/// −ln(1 − (word + ½)/2³²), the tool's score.
fn score(word: u32) -> f64 {
    -(-(f64::from(word) + 0.5) / TWO_32).ln_1p()
}

fn keys(case: &Value) -> Vec<u64> {
    ["key", "key_b"]
        .iter()
        .filter_map(|field| case[*field].as_str())
        .map(|hex| u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap())
        .collect()
}

fn scheme(window: &Value, mixing: &Value, keys: &[u64]) -> SglangGumbel {
    SglangGumbel {
        context_window: number(window) as usize,
        mixing_probability: mixing.as_f64().filter(|_| keys.len() == 2),
        max_probability: 1.0,
    }
}

fn start(prompt: &[TokenId]) -> Start<'_> {
    if prompt.is_empty() { Start::Fragment } else { Start::Answer { prompt } }
}

/// A statistic of the tool: its count, its score and its ln p.
fn assert_statistic(expected: &Value, scores: &[f64]) {
    assert_eq!(scores.len() as u64, number(&expected["num_contexts"]));
    let sum = scores.iter().sum::<f64>();
    assert_near(sum, expected["score"].as_f64().unwrap(), 1e-12);
    let p = gamma_sf_ge(sum, scores.len() as f64).unwrap();
    let claimed = expected["tool_log_p_value"].as_f64().unwrap();
    assert!((p.log10() * 10_f64.ln() - claimed).abs() < 1e-8 * claimed.abs().max(1.0));
}

#[test]
fn sequences_are_read_as_the_tool_reads_them() {
    for case in list(&golden(include_str!("../golden/peers/sglang_gumbel.json"))["cases"]) {
        let name = &case["name"];
        let (tokens, prompt) = (ids(&case["tokens"]), ids(&case["prompt"]));
        let (scored, keys) = (flags(&case["scored"]), keys(case));
        let config = &case["config"];
        let scheme = scheme(&config["context_window"], &config["mixing_probability"], &keys);
        let (width, dual) = (scheme.context_window, keys.len() == 2);
        let prf = Prf::of_peer(
            &Key::of_numbers(keys.clone()).unwrap(),
            &PeerPrf::Murmur { width, dual },
            Seeding::Left { width },
            number(&case["vocab_size"]) as u32,
        );
        // As an answer every position has a draw but the first without a prompt.
        let (mut first, mut second, mut combined) = (Vec::new(), Vec::new(), Vec::new());
        let (mut seen, mut parts) = (0, [Vec::new(), Vec::new()]);
        prf.unwrap().walk(Start::Answer { prompt: &prompt }, &tokens, &[KEY_A], |at, draw| {
            let expected = |field: &str| number(&case[field][at]);
            let word = |stream| draw.word(tokens[at], stream);
            assert_eq!(u64::from(word(KEY_A)), expected("token_hash"), "{name} {at}");
            assert_eq!(draw.seed_id(tokens[at]).0, expected("context_hash"), "{name} {at}");
            seen += 1;
            let mut second_key = false;
            if dual {
                assert_eq!(u64::from(word(KEY_B)), expected("token_hash_b"), "{name} {at}");
                second_key = u64::from(word(COIN)) >= number(&config["mixing_threshold"]);
                assert_eq!(!second_key, flags(&case["uses_key_a"])[at], "{name} {at}");
            }
            if scored[at] {
                first.push(score(word(KEY_A)));
                second.push(score(word(KEY_B)));
                combined.push(score(word(if second_key { KEY_B } else { KEY_A })));
                parts[usize::from(second_key)].push(combined[combined.len() - 1]);
            }
        });
        assert_eq!(seen, tokens.len() - usize::from(prompt.is_empty()), "{name}");
        assert_statistic(&case["key_a_all_positions"], &first);
        assert_statistic(&case["combined"], &combined);
        if dual {
            assert_statistic(&case["key_b_all_positions"], &second);
            assert_statistic(&case["key_a_partition"], &parts[0]);
            assert_statistic(&case["key_b_partition"], &parts[1]);
        }
        let (spec, vocab_size) = (Spec::SglangGumbel(scheme), number(&case["vocab_size"]));
        let mark = mark(keys, &spec, vocab_size, Repeats::SingleTurn);
        assert_evidence(case, &mark, &tokens, start(&prompt), &combined);
    }
}

/// The rule for repeats, and evidence that is a little below the tool's.
fn assert_evidence(
    case: &Value,
    mark: &Watermark,
    tokens: &[TokenId],
    start: Start<'_>,
    tool: &[f64],
) {
    let evidence = mark.score_text(&Text { ids: tokens, start, entropies: &[] });
    let scored = flags(&case["scored"]);
    let positions: Vec<u32> =
        (0..).zip(&scored).filter(|(_, scored)| **scored).map(|(at, _)| at).collect();
    // The tool stops after so many contexts.
    let most = number(&case["config"]["max_contexts"]) as usize;
    let kept = evidence.positions.len().min(most);
    assert_eq!(evidence.positions[..kept], positions, "{}", case["name"]);
    for (ours, tool) in evidence.values.iter().zip(tool) {
        assert!(ours < tool && tool - ours < 1e-6, "{} {ours} {tool}", case["name"]);
    }
}

/// Logits after the temperature and the tool's truncation: rank below top-k and mass before the token at most top-p, both
/// of the whole vocabulary; our sampler takes top-p of what top-k left.
fn truncated(case: &Value, step: u32) -> (Candidates, TokenId) {
    let float = |field: &str| case[field].as_f64().unwrap() as f32;
    let mut rows: Vec<(TokenId, f32)> = (0..number(&case["vocab_size"]) as u32)
        .map(|id| (id, logit(step % 7, id) / float("temperature")))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let total: f32 = rows.iter().map(|row| (row.1 - rows[0].1).exp()).sum();
    let (mut before, likeliest) = (0.0, rows[0]);
    let mut kept = rows;
    kept.truncate(number(&case["top_k"]) as usize);
    kept.retain(|row| {
        let relative = (row.1 - likeliest.1).exp();
        let keeps = before <= float("top_p") && relative >= float("min_p");
        before += relative / total;
        keeps
    });
    let (ids, logits): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    let mut candidates = Candidates::default();
    candidates.load_some(&ids, &logits);
    (candidates, likeliest.0)
}

#[test]
fn the_same_tokens_are_marked() {
    let files = [
        include_str!("../golden/peers/sglang_gumbel.json"),
        include_str!("../golden/peers/sglang_gate.json"),
    ];
    let cases: Vec<Value> =
        files.into_iter().flat_map(|file| list(&golden(file)["generation"]).to_vec()).collect();
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let (keys, prompt) = (keys(case), ids(&case["prompt"]));
        let mut scheme = scheme(&case["context_window"], &case["mixing_probability"], &keys);
        scheme.max_probability = case["max_probability"].as_f64().unwrap();
        let (spec, vocab_size) = (Spec::SglangGumbel(scheme), number(&case["vocab_size"]));
        let mark = mark(keys, &spec, vocab_size, Repeats::SingleTurn);
        let mut embedder = mark.embedder(&prompt);
        let (output, forced) = (ids(&case["output"]), flags(&case["forced"]));
        for step in 0..output.len() {
            let (mut candidates, likeliest) = truncated(case, step as u32);
            let mut noise = Noise::new(0, 0);
            let marked = embedder.mark(&output[..step], &mut candidates, None, &mut noise);
            let expected = match forced[step] {
                true => Marked::Yes(Pick::Token(output[step])),
                false => {
                    assert_eq!(output[step], likeliest, "{step}");
                    marked
                }
            };
            assert_eq!(marked, expected, "{step}");
            if let Some(reasons) = case["reason"].as_str() {
                let reason = match marked {
                    Marked::Yes(_) => '0',
                    Marked::No(Unmarked::LowEntropy) => '2',
                    Marked::No(_) => '1',
                };
                assert_eq!(reasons.chars().nth(step), Some(reason), "{step}");
            }
            assert_eq!(matches!(marked, Marked::Yes(_)), forced[step], "{step} {marked:?}");
        }
    }
}

/// Texts as a user has them, with their prompts and without.
#[test]
fn texts_are_read_as_the_tool_reads_them() {
    let spec = Spec::SglangGumbel(SglangGumbel::default());
    let mark = mark(vec![0x0123_4567_89AB_CDEF], &spec, 8192, Repeats::SingleTurn);
    let law = Law::new(spec.scheme().null(8192)).unwrap();
    for text in texts(include_str!("../golden/peers/texts/sglang_gumbel.jsonl")) {
        let prompt = ids(&text["prompt_ids"]);
        let detector = &text["detector"]["on_ids"];
        for (ids, start, expected) in [
            (&text["ids"], Start::Fragment, detector),
            (&text["ids"], Start::Answer { prompt: &prompt }, &detector["with_prompt_ids"]),
            (&text["text_ids"], Start::Fragment, &text["detector"]["on_text_ids"]),
        ] {
            let ids = super::ids(ids);
            let evidence = mark.score_text(&Text { ids: &ids, start, entropies: &[] });
            assert_eq!(evidence.scored() as u64, number(&expected["num_contexts"]));
            let claimed = expected["tool_log_p_value"].as_f64().unwrap() / 10_f64.ln();
            let p = law.tail(evidence.sum(), evidence.scored() as u64).unwrap().log10();
            assert!(p >= claimed - 1e-9 && p < claimed + 1e-2, "{p} {claimed}");
        }
    }
}

/// Of equal scores the lowest id is taken, in whatever order the candidates come; and a full history ends the marking.
#[test]
fn ties_and_the_end_of_the_history() {
    let spec = Spec::SglangGumbel(SglangGumbel { context_window: 1, ..SglangGumbel::default() });
    let mark = mark(vec![7], &spec, 8192, Repeats::SingleTurn);
    let mut embedder = mark.embedder(&[5]);
    let mut noise = Noise::new(0, 0);
    let mut output = Vec::new();
    for step in 0..SglangGumbel::MAX_CONTEXTS as u32 + 3 {
        // So improbable that ln(u)/p is −∞ for both.
        let mut candidates = Candidates::default();
        candidates.load_some(&[9, 4], &[0.0, 0.0]);
        candidates.probabilities().fill(1e-45);
        let marked = embedder.mark(&output, &mut candidates, None, &mut noise);
        let expected = match (step as usize) < SglangGumbel::MAX_CONTEXTS {
            true => Marked::Yes(Pick::Token(4)),
            false => Marked::No(Unmarked::Repeated),
        };
        assert_eq!(marked, expected, "{step}");
        output.push(100 + step);
    }
}
