//! The null itself: a tuned copy whose order and signs are drawn anew each time.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use touchmark::engine::tensors;
use touchmark::fingerprint::weights::{Memory, Settings, compare};
use touchmark::stats::{clopper_pearson, ks_valid};

use super::{LEVELS, spread};

const LAYERS: usize = 3;
const UNITS: usize = 96;
const TOKENS: usize = 96;
const TESTS: [&str; 4] = ["row-argmax", "diagonal", "matched-signs", "stream-argmax"];

pub fn run(count: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let (ours, tune) = (part(&root.join("scribe-16m")), part(&root.join("scribe-16m-chat")));
    let ps = spread(count, |number| {
        let copy = redrawn(&tune, number as u64);
        let settings = Settings { seed: number as u64, draws: 1999, ..Settings::default() };
        let comparison = compare(&ours, &copy, &settings, &|_, _| {}).unwrap();
        TESTS.map(|test| {
            let finding = comparison.findings.iter().find(|finding| finding.test == test).unwrap();
            10f64.powf(finding.log10_p.unwrap())
        })
    });
    println!(
        "\n| test | permutations | p ≤ 5 % | p ≤ 1 % | p ≤ 0.1 % (95 %) | smallest p | KS⁺ log10 p |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (at, test) in TESTS.iter().enumerate() {
        let mut own: Vec<f64> = ps.iter().map(|ps| ps[at]).collect();
        own.sort_by(f64::total_cmp);
        let counts = LEVELS.map(|level| own.iter().filter(|&&p| p <= level).count());
        let tenth = clopper_pearson(counts[2] as u64, count as u64, 0.95).unwrap();
        println!(
            "| {test} | {count} | {:.2} % | {:.2} % | {:.3} % ({:.3}–{:.3}) | {:.1e} | {:.1} |",
            100.0 * counts[0] as f64 / count as f64,
            100.0 * counts[1] as f64 / count as f64,
            100.0 * counts[2] as f64 / count as f64,
            100.0 * tenth.low,
            100.0 * tenth.high,
            own[0],
            ks_valid(&own).unwrap().p.log10()
        );
    }
}

/// The first layers, units and tokens of a model, without attention.
fn part(folder: &Path) -> Memory {
    let source = tensors::open(folder).unwrap();
    let mut part = Memory::new(source.config().cloned());
    let mut values = Vec::new();
    let embedding = "model.embed_tokens.weight";
    let width = source.info(embedding).unwrap().columns();
    source.read(embedding, 0..TOKENS, &mut values).unwrap();
    part.put(embedding, &[TOKENS, width], values.clone());
    for layer in 0..LAYERS {
        for leaf in ["gate_proj", "up_proj"] {
            let name = format!("model.layers.{layer}.mlp.{leaf}.weight");
            source.read(&name, 0..UNITS, &mut values).unwrap();
            part.put(&name, &[UNITS, width], values.clone());
        }
        let name = format!("model.layers.{layer}.mlp.down_proj.weight");
        source.read(&name, 0..width, &mut values).unwrap();
        let all = values.len() / width;
        let kept = values.chunks(all).flat_map(|row| &row[..UNITS]).copied().collect();
        part.put(&name, &[width, UNITS], kept);
    }
    part
}

/// The same with another order and other signs of hidden units and of embedding columns.
fn redrawn(model: &Memory, seed: u64) -> Memory {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut copy = model.clone();
    for layer in 0..LAYERS {
        let drawn = draw(UNITS, &mut random);
        for (leaf, signed) in [("gate_proj", false), ("up_proj", true)] {
            let name = format!("model.layers.{layer}.mlp.{leaf}.weight");
            let old = model.values(&name).unwrap();
            let width = old.len() / UNITS;
            let rows = copy.values_mut(&name).unwrap().chunks_mut(width);
            for (row, &(from, sign)) in rows.zip(&drawn) {
                let old = &old[from * width..(from + 1) * width];
                row.iter_mut()
                    .zip(old)
                    .for_each(|(to, v)| *to = if signed { sign * v } else { *v });
            }
        }
        columns(&mut copy, model, &format!("model.layers.{layer}.mlp.down_proj.weight"), &drawn);
    }
    let width = model.values("model.embed_tokens.weight").unwrap().len() / TOKENS;
    let drawn = draw(width, &mut random);
    columns(&mut copy, model, "model.embed_tokens.weight", &drawn);
    copy
}

fn columns(copy: &mut Memory, model: &Memory, name: &str, drawn: &[(usize, f32)]) {
    let old = model.values(name).unwrap().chunks(drawn.len());
    for (row, old) in copy.values_mut(name).unwrap().chunks_mut(drawn.len()).zip(old) {
        for (to, &(from, sign)) in row.iter_mut().zip(drawn) {
            *to = sign * old[from];
        }
    }
}

/// Where each label comes from, and its sign.
fn draw(n: usize, random: &mut ChaCha8Rng) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
    order
        .into_iter()
        .map(|from| (from, if random.next_u32() & 1 == 0 { 1.0 } else { -1.0 }))
        .collect()
}
