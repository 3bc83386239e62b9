//! Numbers in plain words.

use crate::detect::Verdict;

/// A verdict as a person reads it, after a sign that needs no colour.
pub(super) fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Detected => ("●", "Detected"),
        Verdict::NotDetected => ("○", "Not detected"),
        Verdict::InsufficientEvidence => ("◐", "Insufficient evidence"),
        Verdict::Error => ("✕", "Error"),
    }
}

/// A whole number, thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: "1 token", "2,000 tokens".
pub(super) fn many(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

/// How often at most: never rarer than log₁₀ p says.
pub(super) fn odds(log10_p: f64) -> String {
    let rarity = -log10_p;
    if rarity < 1e-9 {
        return "always (no evidence)".to_owned();
    }
    if rarity < 1.0 {
        let tenths = (10.0 * 10f64.powf(log10_p)).ceil();
        return if tenths >= 10.0 {
            "more than 9 in 10".to_owned()
        } else {
            format!("at most {tenths} in 10")
        };
    }
    // A hair below a round number is that number: thresholds are round.
    let exponent = (rarity + 1e-9).floor();
    let first = (10f64.powf(rarity - exponent) + 1e-6).floor().clamp(1.0, 9.0) as u64;
    let large = |zeros: u32, name: &str| match first * 10u64.pow(exponent as u32 - zeros) {
        1 => format!("a {name}"),
        number => format!("{number} {name}"),
    };
    let one_in = match exponent as u64 {
        0..=5 => count(first * 10u64.pow(exponent as u32)),
        6..=8 => large(6, "million"),
        9..=11 => large(9, "billion"),
        12..=14 => large(12, "trillion"),
        exponent => format!("10{}", raised(&exponent.to_string())),
    };
    format!("at most 1 in {one_in}")
}

/// The same of tries: "at most once in 3,000 tries".
pub(super) fn tries(log10_p: f64) -> String {
    let odds = odds(log10_p);
    match odds.strip_prefix("at most 1 in ") {
        Some(number) => format!("at most once in {number} tries"),
        None if log10_p > -1e-9 => "every time (no evidence)".to_owned(),
        None => odds.replace(" in 10", " times in 10"),
    }
}

/// A number with a minus sign and so many decimals; very large ones by their first digits.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let digits =
        if value.abs() < 1e6 { format!("{value:.decimals$}") } else { format!("{value:.2e}") };
    digits.replace('-', "−")
}

/// A power of ten: "10⁻³", "1".
pub(super) fn power_of_ten(exponent: f64) -> String {
    if exponent == 0.0 {
        return "1".to_owned();
    }
    let digits = format!("{exponent:.1}");
    format!("10{}", raised(digits.strip_suffix(".0").unwrap_or(&digits)))
}

/// What stands for the logarithm of 0 in results.
const LEAST_LOG10: f64 = -1e15;

/// log₁₀ p, with a minus sign.
pub(super) fn log10_p(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value <= LEAST_LOG10 {
        return format!("−{} or less", power_of_ten(LEAST_LOG10.abs().log10()));
    }
    let digits = if value > -0.05 { format!("{value:.2}") } else { format!("{value:.1}") };
    digits.replace('-', "−")
}

/// A q-value.
pub(super) fn q(log10_q: f64) -> String {
    let q = 10f64.powf(log10_q);
    if q >= 0.001 { format!("{q:.3}") } else { power_of_ten((log10_q * 10.0).ceil() / 10.0) }
}

/// An expected number, rounded up.
pub(super) fn expected(number: f64) -> String {
    let up = |scale: f64| (number * scale - 1e-9).ceil().max(0.0) / scale;
    match number {
        _ if number <= 0.0 => "0".to_owned(),
        _ if number >= 10.0 => count(up(1.0) as u64),
        _ if number >= 0.1 => format!("{:.1}", up(10.0)),
        _ if number >= 1e-6 => {
            let decimals = -number.log10().floor();
            format!("{:.*}", decimals as usize, up(10f64.powf(decimals)))
        }
        _ => power_of_ten(number.log10().ceil()),
    }
}

/// Digits and signs above the line.
fn raised(digits: &str) -> String {
    let above = |c: char| match c {
        '-' => '⁻',
        '.' => '·',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => c.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(c),
    };
    digits.chars().map(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_never_overstated() {
        for (log10_p, words) in [
            (0.0, "always (no evidence)"),
            (-0.01, "more than 9 in 10"),
            (-0.5, "at most 4 in 10"),
            (-1.0, "at most 1 in 10"),
            (-3.5, "at most 1 in 3,000"),
            (1e-6f64.log10(), "at most 1 in a million"),
            (-7.56, "at most 1 in 30 million"),
            (-12.0, "at most 1 in a trillion"),
            (-14.99, "at most 1 in 900 trillion"),
            (-15.2, "at most 1 in 10¹⁵"),
            (-412.7, "at most 1 in 10⁴¹²"),
        ] {
            assert_eq!(odds(log10_p), words, "{log10_p}");
        }
    }

    #[test]
    fn tries_are_counted_as_odds_are() {
        for (log10_p, words) in [
            (0.0, "every time (no evidence)"),
            (1.0, "every time (no evidence)"),
            (-0.01, "more than 9 times in 10"),
            (-0.5, "at most 4 times in 10"),
            (-7.56, "at most once in 30 million tries"),
            (-112.8, "at most once in 10¹¹² tries"),
        ] {
            assert_eq!(tries(log10_p), words, "{log10_p}");
        }
        assert!(tries(-1e15).starts_with("at most once in 10¹⁰⁰⁰"));
    }

    #[test]
    fn numbers_are_legible() {
        assert_eq!([number(-1.25, 1), number(0.01565, 4)], ["−1.2", "0.0157"]);
        assert_eq!([number(1e6, 1), number(-1e300, 4)], ["1.00e6", "−1.00e300"]);
        assert_eq!(log10_p(-1e15), "−10¹⁵ or less");
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(power_of_ten(-6.0), "10⁻⁶");
        assert_eq!(power_of_ten(-3.5), "10⁻³·⁵");
        assert_eq!(
            [0.0073, 0.5, 73.4, 1e-6, 3.12e-4, 2e-9, 0.0].map(expected),
            ["0.008", "0.5", "74", "0.000001", "0.0004", "10⁻⁸", "0"]
        );
        assert_eq!([log10_p(-7.31), log10_p(0.0), log10_p(-0.004)], ["−7.3", "0", "−0.00"]);
    }
}
