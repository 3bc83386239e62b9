//! What is known of a model's answer of one token: chances of its likeliest, and of all others together.

use std::collections::BTreeMap;

use crate::fingerprint::behaviour::symbol;
use crate::lm::Completion;

/// Chances of answers; what is missing to 1 belongs to answers that are not named.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(BTreeMap<String, f64>);

impl Table {
    /// From the log-probabilities of a first token.
    pub(super) fn from_logprobs(answer: &Completion) -> Option<Self> {
        let top = &answer.tokens.first().filter(|token| !token.top.is_empty())?.top;
        let mut chances = BTreeMap::new();
        for (text, logprob) in top {
            *chances.entry(symbol(text)).or_insert(0.0) += logprob.exp();
        }
        Some(Self(chances))
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

    /// What the chances of the symbols cannot exceed at `temperature` times the temperature and a nucleus of `top_p`, whatever the
    /// answers are that are not named here; of all others together, 1. In parts of a million.
    ///
    /// p^(1/τ) / Σ p^(1/τ) over the named answers alone has too small a denominator, and a nucleus keeps at least its mass.
    pub(super) fn ceilings(&self, symbols: &[String], temperature: f64, top_p: f64) -> Vec<u32> {
        let highest = self.0.values().copied().fold(0.0, f64::max).max(1e-300);
        // Of a greedy answer, those that lead by last digits alone may be either.
        let greedy = |p: f64| if p >= 0.9 * highest { 1.0 } else { 0.0 };
        let power = |p: f64| match temperature {
            temperature if temperature > 0.0 => (p / highest).powf(1.0 / temperature),
            _ => greedy(p),
        };
        let whole = if temperature <= 0.0 {
            1.0
        } else if (temperature - 1.0).abs() < 1e-9 {
            // At the temperature of the log-probabilities themselves, what is not named counts.
            1.0 / highest
        } else {
            self.0.values().map(|p| power(*p)).sum()
        };
        let ceiling = |text: &String| {
            let p = power(self.0.get(text).copied().unwrap_or(0.0)) / whole / top_p;
            (p.clamp(0.0, 1.0) * 1e6).ceil() as u32
        };
        symbols.iter().map(ceiling).chain([1_000_000]).collect()
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
        let ceilings = plain.ceilings(&["a".to_owned(), "c".to_owned()], 0.5, 1.0);
        assert_eq!(ceilings, [782_609, 21_740, 1_000_000]);
        let greedy = plain.ceilings(&["a".to_owned(), "b".to_owned()], 0.0, 1.0);
        assert_eq!(greedy, [1_000_000, 0, 1_000_000]);
        assert_eq!(plain.ceilings(&["b".to_owned()], 1.0, 0.9)[0], 333_334);
        let nucleus = plain.tempered(1.0, 0.8);
        assert_eq!(nucleus.likeliest(5), ["a", "b"]);
        assert!((nucleus.0["a"] - 2.0 / 3.0).abs() < 1e-12);
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
