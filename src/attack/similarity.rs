//! How alike two texts are.

use std::collections::HashMap;

/// Character n-gram F-score, chrF2 (Popović 2015, WMT, "chrF: character n-gram F-score for automatic MT evaluation"), from 0 to 1:
///
/// ```text
/// (1 + β²) · P · R / (β² · P + R),  β = 2
/// ```
///
/// with P and R the mean precision and recall of n-grams of 1 to 6 characters, blanks left out, over the lengths that both texts have. It
/// sees the surface, not the meaning: a word of like meaning is a loss, a negation hardly any. Two texts without characters are alike.
///
/// ```
/// use touchmark::attack::chrf;
///
/// assert_eq!(chrf("the tide", "the  tide"), 1.0);
/// assert!(chrf("the tide was out", "the tide was in") > chrf("the tide was out", "all was quiet"));
/// ```
pub fn chrf(text: &str, edited: &str) -> f64 {
    const LONGEST: usize = 6;
    let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>();
    let (text, edited) = (letters(text), letters(edited));
    if text.is_empty() && edited.is_empty() {
        return 1.0;
    }
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for n in 1..=LONGEST.min(text.len()).min(edited.len()) {
        let mut counts: HashMap<&[char], i64> = HashMap::new();
        text.windows(n).for_each(|gram| *counts.entry(gram).or_default() += 1);
        let mut both = 0.0;
        for gram in edited.windows(n) {
            if let Some(left) = counts.get_mut(gram).filter(|left| **left > 0) {
                *left -= 1;
                both += 1.0;
            }
        }
        precision += both / (edited.len() + 1 - n) as f64;
        recall += both / (text.len() + 1 - n) as f64;
        orders += 1.0;
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    5.0 * precision * recall / (4.0 * precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        // n = 1: of a, b, c, d the three a, b, d are in "abdx": P = R = 3/4. n = 2: ab, P = R = 1/3. n = 3, 4: none.
        let mean = (3.0 / 4.0 + 1.0 / 3.0) / 4.0;
        assert!((chrf("a b c d", "abdx") - mean).abs() < 1e-12);
        // P = 1, R = 1/2 of one character; of two: none in the shorter.
        assert!((chrf("ab", "a") - 5.0 * 0.5 / 4.5).abs() < 1e-12);
        assert_eq!(
            (chrf("", ""), chrf("", "a"), chrf("a", ""), chrf("a", "b")),
            (1.0, 0.0, 0.0, 0.0)
        );
    }
}
