//! Intervals of means over key sets, when works and key sets are drawn again with replacement.

use std::collections::BTreeMap;

use crate::corpus::{Document, Draws, Truth};
use crate::{FDR, Finding};

const REPLICATES: u64 = 1000;

/// A figure of one corpus under several key sets, with each document counted as often as its work was drawn.
pub type Figure = fn(&[Finding], &[usize], &[u32]) -> f64;

/// The mean over key sets, and its 95 % interval.
pub fn interval(human: &[Document], found: &[Vec<Finding>], figure: Figure) -> [f64; 3] {
    let orders: Vec<Vec<usize>> = found.iter().map(|findings| order(findings)).collect();
    let each = vec![1; human.len()];
    let of = |set: usize, weights: &[u32]| figure(&found[set], &orders[set], weights);
    let mean = (0..found.len()).map(|set| of(set, &each)).sum::<f64>() / found.len() as f64;
    let works = works(human);
    let mut draws = Draws::new(&[2]);
    let mut means: Vec<f64> = (0..REPLICATES)
        .map(|_| {
            let weights = drawn(&works, human.len(), &mut draws);
            let sets = (0..found.len()).map(|_| draws.below(found.len() as u64) as usize);
            sets.map(|set| of(set, &weights)).sum::<f64>() / found.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[(share * (REPLICATES - 1) as f64).round() as usize];
    [mean, at(0.025), at(0.975)]
}

/// The share of false ones among the discoveries of Benjamini–Hochberg; 0 without discoveries.
pub fn false_discovery_proportion(findings: &[Finding], order: &[usize], weights: &[u32]) -> f64 {
    let total: u32 = weights.iter().sum();
    let (mut rank, mut discovered, mut wrong) = (0_u32, (0_u32, 0_u32), 0_u32);
    for &at in order {
        rank += weights[at];
        wrong += weights[at] * u32::from(matches!(findings[at].truth, Truth::Human));
        let q = findings[at].p.log10() + f64::from(total).log10() - f64::from(rank.max(1)).log10();
        if q <= FDR.log10() {
            discovered = (rank, wrong);
        }
    }
    let (all, wrong) = discovered;
    f64::from(wrong) / f64::from(all.max(1))
}

/// The share of human documents with p at most 10^EXPONENT.
pub fn false_alarm_rate<const EXPONENT: i32>(
    findings: &[Finding],
    _: &[usize],
    weights: &[u32],
) -> f64 {
    let human = || {
        findings.iter().zip(weights).filter(|(finding, _)| matches!(finding.truth, Truth::Human))
    };
    let alarms: u32 = human()
        .filter(|(finding, _)| finding.p.log10() <= f64::from(EXPONENT))
        .map(|(_, weight)| weight)
        .sum();
    f64::from(alarms) / f64::from(human().map(|(_, weight)| weight).sum::<u32>().max(1))
}

fn order(findings: &[Finding]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by_key(|&at| findings[at].p);
    order
}

fn works(human: &[Document]) -> Vec<Vec<usize>> {
    let mut works: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    human
        .iter()
        .enumerate()
        .for_each(|(at, document)| works.entry(&document.work).or_default().push(at));
    works.into_values().collect()
}

fn drawn(works: &[Vec<usize>], documents: usize, draws: &mut Draws) -> Vec<u32> {
    let mut weights = vec![0; documents];
    for _ in works {
        works[draws.below(works.len() as u64) as usize].iter().for_each(|&at| weights[at] += 1);
    }
    weights
}
