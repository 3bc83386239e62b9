//! What is known of a model's answer of one token: chances of its likeliest, and of all others together.

use std::collections::BTreeMap;

use crate::fingerprint::behaviour::symbol;
use crate::lm::Completion;

/// Chances of answers; what is missing to 1 belongs to answers that are not named.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(BTreeMap<String, f64>);

impl Table {
    /// From tokens and their chances.
    pub(super) fn from_tokens(tokens: &[(String, f64)]) -> Self {
        let mut chances = BTreeMap::new();
        for (symbol, p) in tokens {
            *chances.entry(symbol.clone()).or_insert(0.0) += p;
        }
        Self(chances)
    }

    /// From answers, each as likely; as if half an answer more had been another.
    pub(super) fn from_answers(answers: &[String]) -> Self {
        let mut chances = BTreeMap::new();
        for text in answers {
            *chances.entry(symbol(text)).or_insert(0.0) += 1.0 / (answers.len() as f64 + 0.5);
        }
        Self(chances)
    }

    /// The likeliest answers, best first.
    pub(super) fn likeliest(&self, count: usize) -> Vec<String> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(a.1).then_with(|| a.0.cmp(b.0)));
        sorted.into_iter().take(count).map(|(text, _)| text.clone()).collect()
    }

    /// The same model at `temperature` times its temperature, with its likeliest answers up to a mass of `top_p`.
    pub(super) fn tempered(&self, temperature: f64, top_p: f64) -> Self {
        let rest = (1.0 - self.0.values().sum::<f64>()).max(0.0);
        let power = |p: f64| if temperature > 0.0 { p.powf(1.0 / temperature) } else { 0.0 };
        let best = self.likeliest(1).pop();
        let heat = |(text, p): (&String, &f64)| {
            let greedy = temperature <= 0.0 && best.as_ref() == Some(text);
            (text.clone(), if greedy { 1.0 } else { power(*p) })
        };
        let heated: BTreeMap<_, _> = self.0.iter().map(heat).collect();
        let sum = heated.values().sum::<f64>() + power(rest);
        let scaled =
            Self(heated.into_iter().map(|(text, p)| (text, p / sum.max(1e-300))).collect());
        if top_p < 1.0 { scaled.nucleus(top_p) } else { scaled }
    }

    fn nucleus(&self, top_p: f64) -> Self {
        let (mut kept, mut mass) = (BTreeMap::new(), 0.0);
        for text in self.likeliest(self.0.len()) {
            if mass >= top_p {
                break;
            }
            let p = self.0[&text];
            mass += p;
            kept.insert(text, p);
        }
        Self(kept.into_iter().map(|(text, p)| (text, p / mass.max(top_p))).collect())
    }

    /// Chances of the symbols, and of all others, in parts of a million.
    pub(super) fn ppm(&self, symbols: &[String]) -> Vec<u32> {
        let parts = |p: f64| (p.clamp(0.0, 1.0) * 1e6).round() as u32;
        let of = |text: &String| parts(self.0.get(text).copied().unwrap_or(0.0));
        let named: Vec<u32> = symbols.iter().map(of).collect();
        let rest = 1_000_000_u32.saturating_sub(named.iter().sum());
        named.into_iter().chain([rest]).collect()
    }

    /// Adds a part of another table, for means.
    pub(super) fn add(&mut self, other: &Self, part: f64) {
        for (text, p) in &other.0 {
            *self.0.entry(text.clone()).or_insert(0.0) += part * p;
        }
    }
}

/// The likeliest tokens that a model names, as symbols, with their chances. Several may have one symbol.
pub(super) fn tokens(answer: &Completion) -> Vec<(String, f64)> {
    let top = answer.tokens.first().map(|token| token.top.as_slice()).unwrap_or_default();
    top.iter().map(|(text, logprob)| (symbol(text), logprob.exp())).collect()
}

/// What a member's chances of the symbols, and of all others together, cannot exceed, in parts of a million: the model of `tokens`
/// at temperature τ and a nucleus of `top_p`, with `vocabulary` tokens at most.
///
/// With β = 1/τ, the chance of a token is p^β/Z, and Z ≥ Σ p^β over the tokens that are named. The others have r in all and none
/// more than the least named p, so that Σ p^β over them is at most r · p^(β−1) for β ≥ 1, and n^(1−β) r^β for β < 1. A nucleus keeps
/// at least its mass.
pub(super) fn ceilings(
    tokens: &[(String, f64)],
    symbols: &[String],
    temperature: f64,
    top_p: f64,
    vocabulary: usize,
) -> Vec<u32> {
    let parts = |p: f64| ((p / top_p).clamp(0.0, 1.0) * 1e6).ceil() as u32;
    let highest = tokens.iter().map(|(_, p)| *p).fold(0.0, f64::max);
    if temperature <= 0.0 {
        // Those that lead by last digits alone may be either.
        let leads =
            |symbol: &String| tokens.iter().any(|(it, p)| it == symbol && *p >= 0.9 * highest);
        let named = symbols.iter().map(|symbol| parts(f64::from(u8::from(leads(symbol)))));
        return named.chain([0]).collect();
    }
    let power = |p: f64| p.powf(1.0 / temperature);
    let least = tokens.iter().map(|(_, p)| *p).fold(1.0, f64::min);
    let rest = (1.0 - tokens.iter().map(|(_, p)| *p).sum::<f64>()).max(0.0);
    let others = if temperature <= 1.0 {
        rest * least.powf(1.0 / temperature - 1.0)
    } else {
        let count = vocabulary.saturating_sub(tokens.len()).max(1) as f64;
        count.powf(1.0 - 1.0 / temperature) * power(rest)
    };
    let whole: f64 = tokens.iter().map(|(_, p)| power(*p)).sum();
    let mass = |symbol: &String| -> f64 {
        tokens.iter().filter(|(it, _)| it == symbol).map(|(_, p)| power(*p)).sum()
    };
    let named: f64 = symbols.iter().map(mass).sum();
    let ceiling = |symbol: &String| {
        // White space, parts of characters and special tokens are many and all of them this symbol.
        if symbol.is_empty() {
            return 1_000_000;
        }
        // Some tokens that are not named may differ from this one by white space alone.
        parts((mass(symbol) + SPELLINGS * power(least)).min(whole) / whole)
    };
    let beyond = (whole - named).max(0.0) + others;
    let unnamed = parts((beyond / (whole + others)).min(1.0));
    symbols.iter().map(ceiling).chain([unnamed]).collect()
}

/// Tokens that differ by white space alone, at most.
const SPELLINGS: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(parts: &[(&str, f64)]) -> Table {
        Table(parts.iter().map(|(text, p)| ((*text).to_owned(), *p)).collect())
    }

    #[test]
    fn temperatures_and_nuclei_are_the_samplers() {
        let plain = table(&[("a", 0.6), ("b", 0.3), ("c", 0.1)]);
        let cool = plain.tempered(0.5, 1.0);
        let sum = 0.36 + 0.09 + 0.01;
        assert!((cool.0["a"] - 0.36 / sum).abs() < 1e-12);
        assert_eq!(
            plain.tempered(0.0, 1.0).ppm(&["a".to_owned(), "b".to_owned()]),
            [1_000_000, 0, 0]
        );
        let nucleus = plain.tempered(1.0, 0.8);
        assert_eq!(nucleus.likeliest(5), ["a", "b"]);
        assert!((nucleus.0["a"] - 2.0 / 3.0).abs() < 1e-12);
    }

    /// 400 tokens of which 40 are named, at several temperatures and nuclei: what is drawn stays below.
    #[test]
    fn ceilings_are_above_the_truth() {
        let mut chances: Vec<f64> = (0..400).map(|at| 1.0 / f64::from(at + 1).powf(1.3)).collect();
        let sum: f64 = chances.iter().sum();
        chances.iter_mut().for_each(|p| *p /= sum);
        // Each two tokens have one symbol.
        let symbol = |at: usize| format!("s{}", at / 2);
        let tokens: Vec<_> = (0..40).map(|at| (symbol(at), chances[at])).collect();
        let symbols: Vec<_> = (0..10).map(|at| format!("s{at}")).collect();
        for temperature in [0.3, 0.7, 1.0, 1.3, 2.0] {
            let powers: Vec<f64> = chances.iter().map(|p| p.powf(1.0 / temperature)).collect();
            let whole: f64 = powers.iter().sum();
            let found = ceilings(&tokens, &symbols, temperature, 1.0, 400);
            for (at, ceiling) in found[..10].iter().enumerate() {
                let truth = (powers[2 * at] + powers[2 * at + 1]) / whole * 1e6;
                assert!(f64::from(*ceiling) >= truth, "{ceiling} of {truth} at {temperature}");
                assert!(
                    f64::from(*ceiling) <= 3.0 * truth + 60_000.0,
                    "{ceiling} of {truth} at {temperature}"
                );
            }
            let rest = powers[20..].iter().sum::<f64>() / whole * 1e6;
            assert!(f64::from(found[10]) >= rest - 1.0, "{} of {rest} at {temperature}", found[10]);
        }
        let cut = ceilings(&tokens, &symbols, 1.0, 0.5, 400);
        assert!(f64::from(cut[0]) >= (chances[0] + chances[1]) / 0.5 * 1e6);
        let greedy = ceilings(&tokens, &symbols, 0.0, 1.0, 400);
        assert_eq!(greedy[..3], [1_000_000, 0, 0]);
    }

    #[test]
    fn what_is_not_named_is_one_more() {
        let found = table(&[("a", 0.5), ("b", 0.2)]).ppm(&["b".to_owned()]);
        assert_eq!(found, [200_000, 800_000]);
        let counted = Table::from_answers(&[" a".to_owned(), "a".to_owned(), "b".to_owned()]);
        assert_eq!(counted.likeliest(1), ["a"]);
        assert!(counted.ppm(&["a".to_owned(), "b".to_owned()])[2] > 100_000);
    }
}
