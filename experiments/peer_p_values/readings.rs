//! What each tool makes of one (text, key) pair, and what we make of it.

use std::cell::RefCell;
use std::collections::HashSet;

use touchmark::detect::Law;
use touchmark::keys::Key;
use touchmark::prf::{COIN, KEY_A, KEY_B, Prf, Purpose, Start};
use touchmark::sampling::Noise;
use touchmark::schemes::{Gumbel, Kgw, KgwSeeding, Null, SglangGumbel, Spec, SynthId, VllmGumbel};
use touchmark::stats::{MaximalCounts, binomial_sf_ge, hypergeometric_sf_ge};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};
use touchmark::watermark::{Repeats, Text, Vocabulary, Watermark};

use crate::statistics::*;

/// A tool's statistic.
#[derive(Clone, Copy, Debug)]
pub struct Statistic {
    /// Whose.
    pub tool: &'static str,
    /// Which.
    pub name: &'static str,
    /// Whether it only says yes or no, and how often it should at most: its "p" is then 0 or 1.
    pub rule: Option<f64>,
}

/// Statistics of the same evidence.
pub struct Group {
    /// The evidence.
    pub name: &'static str,
    /// What is computed from it.
    pub statistics: &'static [Statistic],
    /// A p-value for each, for a text and the number of its key.
    pub read: fn(&Reader, &[TokenId], u64) -> Vec<f64>,
}

const fn p(tool: &'static str, name: &'static str) -> Statistic {
    Statistic { tool, name, rule: None }
}

const fn rule(tool: &'static str, name: &'static str, claimed: f64) -> Statistic {
    Statistic { tool, name, rule: Some(claimed) }
}

/// The name of our own rows.
pub const OURS: &str = "touchmark";

/// All groups.
pub static GROUPS: &[Group] = &[
    Group {
        name: "green lists, γ = ¼, h = 1",
        statistics: &[
            p("transformers", "own formula, repeats counted"),
            p("lm-watermarking", "normal tail"),
            p("lm-watermarking", "normal tail of the best window"),
            p("three_bricks", "binomial, v2"),
            p(OURS, "binomial"),
            rule("transformers", "z > 3", 1.35e-3),
            rule("lm-watermarking", "z > 4", 3.17e-5),
        ],
        read: quarter_lists,
    },
    Group {
        name: "green lists, γ = ½, h = 1",
        statistics: &[
            p("MarkLLM KGW", "normal tail, repeats counted"),
            p("three_bricks", "binomial, repeats counted (default)"),
            p(OURS, "binomial"),
            rule("MarkLLM KGW", "z > 4", 3.17e-5),
        ],
        read: half_lists,
    },
    Group {
        name: "one green list, γ = ½",
        statistics: &[
            p("Unigram-Watermark", "normal tail, repeats counted"),
            p("Unigram-Watermark", "dynamic threshold, distinct tokens"),
            p(OURS, "hypergeometric"),
        ],
        read: one_list,
    },
    Group {
        name: "exponential, h = 4",
        statistics: &[
            p("MarkLLM EXP", "gamma, repeats counted"),
            p("three_bricks", "openaiz, repeats counted (default)"),
            p("three_bricks", "openaiz, v2"),
            p("three_bricks", "gamma, v2"),
            p(OURS, "gamma"),
            rule("MarkLLM EXP", "p < 1e-4", 1e-4),
        ],
        read: exponential,
    },
    Group {
        name: "exponential in 8,191 levels, h = 1",
        statistics: &[
            p("TextSeal", "lesser of gamma and weighted gamma, repeats counted (default)"),
            p("TextSeal", "lesser of gamma and weighted gamma, v2"),
            p("TextSeal", "weighted gamma, v2"),
            p(OURS, "gamma"),
        ],
        read: textseal,
    },
    Group {
        name: "vLLM's own function, h = 4",
        statistics: &[p("vLLM gumbel", "gamma"), p(OURS, "gamma")],
        read: vllm_gumbel,
    },
    Group {
        name: "vLLM's own function, two keys, α = 0.1, h = 4",
        statistics: &[p("vLLM dual_key_gumbel", "moment-matched gamma"), p(OURS, "two gammas")],
        read: vllm_dual,
    },
    Group {
        name: "SGLang's own function, two keys, P = ½, h = 4",
        statistics: &[
            p("SGLang", "combined"),
            p("SGLang", "least of combined, A and B"),
            p(OURS, "gamma"),
        ],
        read: sglang,
    },
    Group {
        name: "upper half of a permutation, h = 5",
        statistics: &[
            p("MarkLLM DiP", "e^(−2z²)"),
            p("MarkLLM DiP", "z read as normal"),
            p(OURS, "binomial"),
            rule("MarkLLM DiP", "z > 1.513", 1.03e-2),
        ],
        read: dip,
    },
    Group {
        name: "four colours, four digits, h = 2",
        statistics: &[p("MPAC", "normal tail of the decoded message"), p(OURS, "greatest counts")],
        read: mpac,
    },
    Group {
        name: "tournament of 30 layers, h = 4",
        statistics: &[p(OURS, "binomial"), rule("SynthID (MarkLLM)", "mean > 0.52", f64::NAN)],
        read: synthid,
    },
];

impl Group {
    /// Whether its law is off by so little that only many texts show it.
    pub fn is_fine(&self) -> bool {
        ["two keys, α", "8,191"].iter().any(|name| self.name.contains(name))
    }
}

/// What all readings share.
pub struct Reader {
    vocabulary: Vocabulary,
    quarter: Spec,
    half: Spec,
    gumbel: [Spec; 2],
    upper: Spec,
    colours: Spec,
    vllm: Spec,
    vllm_dual: Spec,
    sglang: Spec,
    synthid: Spec,
}

/// A position's draw.
struct Position {
    seed: u64,
    token: TokenId,
    a: u32,
    b: u32,
    coin: u32,
}

const VOCAB_SIZE: u32 = 8192;
/// SGLang's default chance of key A.
const MIXING: f64 = 0.5;
/// vLLM's default chance of key B.
const ALPHA: f64 = 0.1;
const TWO_32: f64 = 4_294_967_296.0;

impl Reader {
    /// For texts of one tokenizer.
    pub fn new(tokenizer: &HfTokenizer) -> Self {
        let kgw = |gamma, context_width| {
            Spec::Kgw(Kgw { gamma, context_width, seeding: KgwSeeding::Left, ..Kgw::default() })
        };
        let gumbel = |context_width| Spec::Gumbel(Gumbel { context_width, ..Gumbel::default() });
        let vllm = |alpha| Spec::VllmGumbel(VllmGumbel { alpha, ..VllmGumbel::default() });
        Self {
            // No special tokens: every id of these texts counts, for them and for us.
            vocabulary: Vocabulary {
                tokenizer: tokenizer.hash(),
                size: VOCAB_SIZE,
                special: Vec::new(),
            },
            quarter: kgw(0.25, 1),
            half: kgw(0.5, 1),
            gumbel: [gumbel(1), gumbel(4)],
            upper: kgw(0.5, 5),
            colours: kgw(0.25, 2),
            vllm: vllm(None),
            vllm_dual: vllm(Some(ALPHA)),
            sglang: Spec::SglangGumbel(SglangGumbel {
                mixing_probability: Some(MIXING),
                ..SglangGumbel::default()
            }),
            synthid: Spec::SynthId(SynthId::default()),
        }
    }

    /// The words of every position that has a draw.
    fn positions(
        &self,
        spec: &Spec,
        text: &[TokenId],
        start: Start<'_>,
        number: u64,
    ) -> Vec<Position> {
        let scheme = spec.scheme();
        let key = key(number, spec);
        let prf = match scheme.peer() {
            Some(peer) => Prf::of_peer(&key, &peer, scheme.seeding(), VOCAB_SIZE),
            None => {
                let parameters = spec.canonical();
                let purpose = Purpose {
                    scheme: spec.name(),
                    parameters: &parameters,
                    tokenizer: self.vocabulary.tokenizer,
                    vocab_size: VOCAB_SIZE,
                };
                Prf::new(&key, &purpose, scheme.seeding())
            }
        };
        let two_keys = scheme.streams().len() > 1;
        let tosses = matches!(spec, Spec::SglangGumbel(_));
        let mut positions = Vec::with_capacity(text.len());
        prf.unwrap().walk(start, text, scheme.streams(), |position, draw| {
            let token = text[position];
            positions.push(Position {
                seed: draw.seed_id(token).0,
                token,
                a: draw.word(token, KEY_A),
                b: if two_keys { draw.word(token, KEY_B) } else { 0 },
                coin: if tosses { draw.word(0, COIN) } else { 0 },
            });
        });
        positions
    }

    /// Our own p-value, as `detect` finds it.
    fn ours(&self, spec: &Spec, text: &[TokenId], start: Start<'_>, number: u64) -> f64 {
        let key = key(number, spec);
        let mark =
            Watermark::new(&key, spec.prf(), spec, &self.vocabulary, Repeats::ScoreOnce).unwrap();
        let evidence = mark.score_text(&Text { ids: text, start, entropies: &[] });
        let law = Law::new(mark.null().clone()).unwrap();
        law.tail(evidence.sum(), evidence.scored() as u64).unwrap().p()
    }

    /// All positions and our own p-value, for a text that may begin anywhere.
    fn read(&self, spec: &Spec, text: &[TokenId], number: u64) -> (Vec<Position>, f64) {
        let start = Start::Fragment;
        (self.positions(spec, text, start, number), self.ours(spec, text, start, number))
    }
}

/// A fresh key for each number.
fn key(number: u64, spec: &Spec) -> Key {
    let mut bytes = *blake3::hash(&number.to_le_bytes()).as_bytes();
    let Some(count) = spec.key_numbers() else { return Key::take(&mut bytes) };
    let words = bytes.chunks_exact(8).take(count);
    let number = |word: &[u8]| word.iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
    Key::of_numbers(words.map(number).collect()).unwrap()
}

/// Each (context, token) once.
fn once(positions: &[Position]) -> Vec<&Position> {
    let mut seen = HashSet::new();
    positions.iter().filter(|it| seen.insert((it.seed, it.token))).collect()
}

/// Each context once, with the token that follows it first.
fn contexts_once(positions: &[Position]) -> Vec<&Position> {
    let mut seen = HashSet::new();
    positions.iter().filter(|it| seen.insert(it.seed)).collect()
}

fn claim(alarm: bool) -> f64 {
    if alarm { 0.0 } else { 1.0 }
}

fn threshold(spec: &Spec) -> (u32, f64) {
    match spec.scheme().null(VOCAB_SIZE) {
        Null::Binomial { p, .. } => ((p * TWO_32) as u32, p),
        other => panic!("no green list: {other:?}"),
    }
}

fn z_of<'a>(positions: impl IntoIterator<Item = &'a Position>, spec: &Spec) -> f64 {
    let (limit, gamma) = threshold(spec);
    let (mut green, mut trials) = (0_u32, 0_u32);
    for position in positions {
        green += u32::from(position.a < limit);
        trials += 1;
    }
    z_score(f64::from(green), f64::from(trials), gamma)
}

fn binomial_of(positions: &[&Position], spec: &Spec) -> f64 {
    let (limit, gamma) = threshold(spec);
    let green = positions.iter().filter(|it| it.a < limit).count();
    binomial_sf_ge(green as u64, positions.len() as u64, gamma).unwrap().p()
}

fn quarter_lists(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let spec = &reader.quarter;
    let (positions, ours) = reader.read(spec, text, number);
    let (limit, gamma) = threshold(spec);
    let distinct = once(&positions);
    let bits: Vec<bool> = distinct.iter().map(|it| it.a < limit).collect();
    let (all, z) = (z_of(&positions, spec), z_of(distinct.iter().copied(), spec));
    vec![
        transformers_p(all),
        normal_p(z),
        normal_p(greatest_window_z(&bits, gamma)),
        binomial_of(&distinct, spec),
        ours,
        claim(all > 3.0),
        claim(z > 4.0),
    ]
}

fn half_lists(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let spec = &reader.half;
    let (positions, ours) = reader.read(spec, text, number);
    let all: Vec<&Position> = positions.iter().collect();
    let z = z_of(&positions, spec);
    vec![normal_p(z), binomial_of(&all, spec), ours, claim(z > 4.0)]
}

/// The list has exactly half of the vocabulary, as in the tool, and is drawn as far as the text reads it: a new token is
/// green with the share of green ones among those not yet seen.
fn one_list(_: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let mut noise = Noise::new(number, 0);
    let mut colours = vec![None; VOCAB_SIZE as usize];
    let (mut greens, mut distinct, mut said) = (0_u32, 0_u32, 0_u32);
    let half = VOCAB_SIZE / 2;
    for &token in text {
        let green = *colours[token as usize].get_or_insert_with(|| {
            let left = f64::from(half - greens) / f64::from(VOCAB_SIZE - distinct);
            let green = noise.uniform() < left;
            greens += u32::from(green);
            distinct += 1;
            green
        });
        said += u32::from(green);
    }
    let z = |green, trials| z_score(f64::from(green), trials, 0.5);
    let (m, v) = (f64::from(distinct), f64::from(VOCAB_SIZE));
    let exact =
        hypergeometric_sf_ge(greens.into(), VOCAB_SIZE.into(), half.into(), distinct.into());
    vec![
        normal_p(z(said, text.len() as f64)),
        dynamic_threshold_p(z(greens, m), m, v),
        exact.unwrap().p(),
    ]
}

fn exponential(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let (positions, ours) = reader.read(&reader.gumbel[1], text, number);
    let score = |it: &Position| -((-(f64::from(it.a) + 0.5) / TWO_32).ln_1p());
    let all: f64 = positions.iter().map(score).sum();
    let distinct = once(&positions);
    let counted: f64 = distinct.iter().map(|it| score(it)).sum();
    let (said, n) = (positions.len() as f64, distinct.len() as f64);
    let markllm = gamma_p(all, said);
    vec![
        markllm,
        openai_z_p(all, said),
        openai_z_p(counted, n),
        gamma_p(counted, n),
        ours,
        claim(markllm < 1e-4),
    ]
}

fn textseal(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let (positions, ours) = reader.read(&reader.gumbel[0], text, number);
    let all: Vec<&Position> = positions.iter().collect();
    let distinct = once(&positions);
    let [(plain, weighted), (plain_once, weighted_once)] =
        [textseal_p(&all), textseal_p(&distinct)];
    vec![plain.min(weighted), plain_once.min(weighted_once), weighted_once, ours]
}

/// Without and with weights. The tool's weights are the entropies of a model; these depend on the token alone, and like
/// those not on the key: 0.1 to 1.
fn textseal_p(positions: &[&Position]) -> (f64, f64) {
    let (mut score, mut weighted, mut weights, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for position in positions {
        let level = f64::from(((u64::from(position.a) * 8191) >> 32) as u32) / 8191.0;
        let value = -(-level).ln_1p();
        let weight = 0.1 + 0.9 * f64::from(position.token.wrapping_mul(2_654_435_761)) / TWO_32;
        score += value;
        weighted += weight * value;
        weights += weight;
        squares += weight * weight;
    }
    (gamma_p(score, positions.len() as f64), weighted_gamma_p(weighted, weights, squares))
}

/// −ln(1 − u) with u = (⌊word/2⁸⌋ + 1)/(2²⁴ + 1) in 32-bit floats.
fn vllm_score(word: u32) -> f64 {
    let uniform = ((f64::from(word >> 8) + 1.0) / 16_777_217.0) as f32;
    -(-f64::from(uniform)).ln_1p()
}

const ANSWER: Start<'static> = Start::Answer { prompt: &[] };

fn vllm_gumbel(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let spec = &reader.vllm;
    let positions = reader.positions(spec, text, ANSWER, number);
    let counted = contexts_once(&positions);
    let score: f64 = counted.iter().map(|it| vllm_score(it.a)).sum();
    vec![gamma_p(score, counted.len() as f64), reader.ours(spec, text, ANSWER, number)]
}

fn vllm_dual(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let spec = &reader.vllm_dual;
    let positions = reader.positions(spec, text, ANSWER, number);
    let counted = contexts_once(&positions);
    let one = |it: &&Position| (1.0 - ALPHA) * vllm_score(it.a) + ALPHA * vllm_score(it.b);
    let score: f64 = counted.iter().map(one).sum();
    vec![vllm_dual_p(score, counted.len() as f64, ALPHA), reader.ours(spec, text, ANSWER, number)]
}

fn sglang(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let (positions, ours) = reader.read(&reader.sglang, text, number);
    let counted = contexts_once(&positions);
    let score = |word: u32| -(-(f64::from(word) + 0.5) / TWO_32).ln_1p();
    let p = |word: fn(&Position) -> u32| {
        let sum: f64 = counted.iter().map(|it| score(word(it))).sum();
        gamma_p(sum, counted.len() as f64)
    };
    let combined = p(|it| if it.coin < (MIXING * TWO_32) as u32 { it.a } else { it.b });
    let (a, b) = (p(|it| it.a), p(|it| it.b));
    vec![combined, combined.min(a).min(b), ours]
}

fn dip(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let spec = &reader.upper;
    let positions = reader.positions(spec, text, Start::Fragment, number);
    let counted = contexts_once(&positions);
    let upper = counted.iter().filter(|it| it.a >= 1 << 31).count();
    let z = dip_z(upper as f64, counted.len() as f64, 0.5);
    let exact = binomial_sf_ge(upper as u64, counted.len() as u64, 0.5).unwrap().p();
    vec![dip_bound_p(z), normal_p(z), exact, claim(z > 1.513)]
}

thread_local! {
    /// Laws of four equal colours, each computed once.
    static GREATEST: RefCell<MaximalCounts> = RefCell::new(MaximalCounts::new(&[0.25; 4]).unwrap());
}

fn mpac(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let positions = reader.positions(&reader.colours, text, Start::Fragment, number);
    let distinct = once(&positions);
    let mut counts = [[0_u64; 4]; 4];
    for position in &distinct {
        counts[(position.seed % 4) as usize][(position.a >> 30) as usize] += 1;
    }
    let best: u64 = counts.iter().map(|digit| digit.iter().max().unwrap()).sum();
    let groups = counts.map(|digit| digit.iter().sum());
    let ours = GREATEST.with_borrow_mut(|laws| laws.sf_ge(best, &groups).unwrap().p());
    let z = z_score(best as f64, distinct.len() as f64, 0.25);
    vec![normal_p(z), ours]
}

fn synthid(reader: &Reader, text: &[TokenId], number: u64) -> Vec<f64> {
    let spec = &reader.synthid;
    let positions = reader.positions(spec, text, Start::Fragment, number);
    let counted = contexts_once(&positions);
    let won: u32 = counted.iter().map(|it| (it.a & ((1 << 30) - 1)).count_ones()).sum();
    let mean = f64::from(won) / (30 * counted.len().max(1)) as f64;
    vec![reader.ours(spec, text, Start::Fragment, number), claim(mean > 0.52)]
}
