//! Tests of suspects as one page: was a model trained on marked text?

mod plots;
mod section;
mod tables;

use std::io::Write;

use super::escape::Text;
use super::frame::{self, Column};
use super::{ReportError, words};
use crate::attribution::{Attribution, Setting, Verdict};

/// Writes what tests of suspects gave as a page; `date` is that of the page, in words.
///
/// # Errors
/// [`ReportError`].
pub fn write_attributions(
    results: &[Attribution],
    date: &str,
    out: &mut impl Write,
) -> Result<(), ReportError> {
    out.write_all(frame::opening(TITLE).as_bytes())?;
    out.write_all(head(results.len(), date).as_bytes())?;
    out.write_all(b"<main>\n")?;
    if results.len() > 1 {
        out.write_all(summary(results).as_bytes())?;
    }
    out.write_all(b"<section id=\"suspects\">\n<h2>What was found</h2>\n")?;
    for (number, found) in (1..).zip(results) {
        out.write_all(section::section(found, number)?.as_bytes())?;
    }
    out.write_all(b"</section>\n")?;
    out.write_all(MEANING.as_bytes())?;
    out.write_all(method(results).as_bytes())?;
    out.write_all(frame::CLOSING.as_bytes())?;
    Ok(())
}

const TITLE: &str = "Attribution report";
const MEANING: &str = include_str!("meaning.html");
const OPEN: &str = include_str!("open.html");
const CLOSED: &str = include_str!("closed.html");

fn head(results: usize, date: &str) -> String {
    let summary = if results > 1 { "<a href=\"#summary\">Summary</a> " } else { "" };
    format!(
        "<header>\n<h1>{TITLE}</h1>\n<p>Was a model trained on text that carries our mark?</p>\n<p class=\"note\">Made by touchmark {} on {}. \
         It tells what the results say; who has key, suspect and texts can repeat the tests.</p>\n\
         <nav aria-label=\"Contents\">{summary}<a href=\"#suspects\">What was found</a> <a href=\"#meaning\">What the verdicts mean</a> \
         <a href=\"#method\">How it was measured</a></nav>\n</header>\n",
        env!("CARGO_PKG_VERSION"),
        Text(date)
    )
}

const VERDICTS: [Verdict; 3] = [Verdict::Shown, Verdict::NotShown, Verdict::Inconclusive];

/// All results in one table.
fn summary(results: &[Attribution]) -> String {
    let of =
        |verdict| results.iter().filter(|found| found.judged.verdict == verdict).count() as u64;
    let tiles = VERDICTS.map(|verdict| {
        let (sign, class) = sign(verdict);
        format!(
            "<li class=\"{class}\"><span aria-hidden=\"true\">{sign}</span> <b>{}</b> {}</li>\n",
            words::count(of(verdict)),
            verdict.words()
        )
    });
    let tests = words::many(results.len() as u64, "test", "tests");
    format!(
        "<section id=\"summary\">\n<h2>Summary</h2>\n<p class=\"lead\">{tests}; {} training on marked text.</p>\n\
         <ul class=\"verdicts\">\n{}</ul>\n<p>{}</p>\n{}</section>\n",
        match of(Verdict::Shown) {
            0 => "none shows".to_owned(),
            1 => "one of them shows".to_owned(),
            several => format!("{} of them show", words::count(several)),
        },
        tiles.concat(),
        false_alarms(results),
        overview(results)
    )
}

/// Verdicts are corrected within a test, not over tests.
fn false_alarms(results: &[Attribution]) -> String {
    let level = |found: &Attribution| 10f64.powf(found.judged.threshold_log10_p.min(0.0));
    format!(
        "Each test is corrected for what was tried within it, not for the other tests on this page. If none of the suspects ever had to do \
         with its key, the number of wrong verdicts SHOWN to expect is at most {}. Who tests one suspect in several ways and goes by the \
         best must multiply its p-value by the number of tests.",
        words::expected(results.iter().map(level).sum())
    )
}

fn overview(results: &[Attribution]) -> String {
    let columns = [
        Column::Number("No."),
        Column::Words("Suspect"),
        Column::Words("Tested by"),
        Column::Words("Profile"),
        Column::Words("Verdict"),
        Column::Words("By chance"),
        Column::Number("log₁₀ p, corrected"),
        Column::Number("Effect"),
    ];
    let rows = (1..).zip(results).map(|(number, found)| {
        let judged = &found.judged;
        format!(
            "<tr><td class=\"n\">{number}</td><th scope=\"row\"><a href=\"#s{number}\">{}</a></th><td>{}</td><td>{}</td>{}<td>{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
            Text(&found.suspect),
            setting(found.setting),
            Text(&found.mark.profile),
            verdict_cell(judged.verdict),
            by_chance(judged.verdict, judged.log10_p_corrected),
            words::log10_p(judged.log10_p_corrected),
            words::number(found.primary.effect, 4)
        )
    });
    frame::table("Tests", &columns, rows)
}

fn method(results: &[Attribution]) -> String {
    let has = |setting| results.iter().any(|found| found.setting == setting);
    let part = |setting, words| if has(setting) { words } else { "" };
    format!(
        "<section id=\"method\">\n<h2>How it was measured</h2>\n{}{}</section>\n",
        part(Setting::Open, OPEN),
        part(Setting::Closed, CLOSED)
    )
}

/// A sign that needs no colour, and the class that gives one.
fn sign(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Shown => ("●", "detected"),
        Verdict::NotShown => ("○", "not_detected"),
        Verdict::Inconclusive => ("◐", "inconclusive"),
    }
}

fn verdict_cell(verdict: Verdict) -> String {
    let (sign, class) = sign(verdict);
    let words = verdict.words();
    format!("<td class=\"said {class}\"><span aria-hidden=\"true\">{sign}</span> {words}</td>")
}

/// How often by chance; of a test that cannot be trusted nobody knows.
fn by_chance(verdict: Verdict, log10_p: f64) -> String {
    match verdict {
        Verdict::Inconclusive => "not known".to_owned(),
        Verdict::Shown | Verdict::NotShown => words::odds(log10_p),
    }
}

fn setting(setting: Setting) -> &'static str {
    match setting {
        Setting::Open => "what it expects while reading (open)",
        Setting::Closed => "what it says (closed)",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a run writes, in small.
    pub(super) fn sample() -> Attribution {
        let measured = |statistic: &str, log10_p: f64, z: f64| {
            json!({
                "statistic": statistic, "log10_p": log10_p, "exact": false, "z": z, "effect": 0.0157,
                "effect_interval": [0.0143, 0.017], "pairs": 36_282, "seeds": 3_642
            })
        };
        let mut control = measured("soft-difference", -0.01, 0.2);
        control["name"] = json!("base alone");
        let z: Vec<f32> = (0..999).map(|at| (at as f32 - 499.0) / 150.0).collect();
        let found = json!({
            "schema": 1, "setting": "open", "suspect": "student", "base": "cousin",
            "mark": {
                "profile": "own", "scheme": "kgw", "prf": "touchmark-v1", "key_id": "k-1", "key_created": "2026-01-01T00:00:00Z"
            },
            "verdict": "shown", "log10_p": -12.5, "log10_p_corrected": -12.5, "threshold_log10_p": -6.0,
            "family": "one test, no correction", "reasons": [], "null": "the suspect is independent of the key",
            "primary": measured("soft-difference", -12.5, 7.3),
            "beside": [measured("argmax-pairs", -3.4, 3.4), measured("argmax-contexts", -0.7, 0.9)],
            "controls": [control],
            "decoys": {"kind": "keys", "count": 999, "at_least": 0, "log10_p": -3.0, "seed": 1, "z": z},
            "growth": [[3_072, -2.0], [6_144, -5.5], [25_600, -12.5]],
            "counts": {"texts": 100, "tokens": 25_600, "texts_log10_p": -0.25, "house": {"a": [1, "<b>"]}},
            "warnings": ["no base was given"]
        });
        serde_json::from_value(found).unwrap()
    }

    fn page(results: &[Attribution]) -> String {
        let mut out = Vec::new();
        write_attributions(results, "9 September 2001 (UTC)", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn has(page: &str, all: &[&str]) {
        all.iter().for_each(|words| assert!(page.contains(words), "no \"{words}\" in {page}"));
    }

    #[test]
    fn a_verdict_is_told_in_plain_words_with_what_it_does_not_say() {
        let mut found = sample();
        has(
            &page(&[found.clone()]),
            &[
                "<b>student</b> was trained on text with the mark of profile <b>own</b> (key <code>k-1</code>), or on output of a model that was.",
                "<b>at most once in 3 trillion tries</b> (log₁₀ p = −12.5 after correction; the threshold is 10⁻⁶)",
                "Who gave the text, and whether it was allowed: that is another question.",
                "The key was committed to at <b>2026-01-01T00:00:00Z</b>",
                "0.0157 [0.0143, 0.0170]",
                "0 of 999 other keys reach the tested key's z (p = 0.0010; seed 1)",
                "<dt>Null hypothesis</dt><dd>the suspect is independent of the key</dd>",
                "<dt>log₁₀ p of the texts themselves</dt><dd>−0.2500</dd>",
                "<dt><code>house</code></dt><dd>a 1; &lt;b&gt;</dd>",
                "arXiv 2402.14904",
                "Chernoff",
            ],
        );
        found.judged.verdict = Verdict::NotShown;
        found.judged.log10_p_corrected = -0.2;
        let not_shown = page(&[found.clone()]);
        has(
            &not_shown,
            &[
                "NOT SHOWN is no proof of absence",
                "Nor is it shown that this is not so",
                "at most 7 times in 10",
            ],
        );
        found.judged.verdict = Verdict::Inconclusive;
        found.judged.reasons = vec!["a <control> is not clean".to_owned()];
        let inconclusive = page(&[found]);
        has(
            &inconclusive,
            &[
                "This test cannot say whether",
                "<li>a &lt;control&gt; is not clean</li>",
                "counts neither for nor against",
            ],
        );
        for page in [not_shown, inconclusive] {
            assert!(!page.contains("is innocent."), "never");
        }
    }

    #[test]
    fn what_answers_say_may_come_from_elsewhere() {
        let mut found = sample();
        found.setting = Setting::Closed;
        found.controls.clear();
        let page = page(&[found]);
        has(
            &page,
            &[
                "What gave the answers of <b>student</b>",
                "hands on what a system with this key says",
                "There was no control.",
            ],
        );
        assert!(!page.contains("Chernoff"), "the other setting's method");
    }

    #[test]
    fn accounts_are_named() {
        let account = |name: &str, log10_p: f64, verdict| crate::attribution::Account {
            name: name.to_owned(),
            log10_p,
            log10_p_corrected: log10_p + 0.3,
            z: 1.0,
            verdict,
        };
        let mut found = sample();
        found.accounts =
            vec![account("<anna>", -12.5, Verdict::Shown), account("ben", -0.5, Verdict::NotShown)];
        has(
            &page(&[found.clone()]),
            &[
                "under the key of account <b>&lt;anna&gt;</b>",
                "2 accounts' keys were tried; training is shown for 1.",
            ],
        );
        found.accounts =
            (0..MOST + 5).map(|n| account(&n.to_string(), 0.0, Verdict::NotShown)).collect();
        let page = page(&[found]);
        has(
            &page,
            &[
                "any of the keys of 1,005 accounts",
                "The first 1,000 are listed; 5 more are in the result.",
            ],
        );
    }

    const MOST: usize = crate::report::MOST_LISTED;

    #[test]
    fn several_tests_have_a_table_and_a_number_of_false_alarms() {
        let found = sample();
        let page = page(&[found.clone(), found]);
        has(
            &page,
            &[
                "2 tests; 2 of them show training on marked text.",
                "to expect is at most 0.000002.",
                "href=\"#s2\"",
                "id=\"s2\"",
            ],
        );
    }

    #[test]
    fn extremes_are_drawn_and_told() {
        let changes: [fn(&mut Attribution); 8] = [
            |found| found.growth.clear(),
            |found| found.growth = vec![(0, 0.0), (u64::MAX, -1e15), (5, 1e300)],
            |found| found.decoys.z = vec![0.5; 999],
            |found| found.decoys.z = vec![f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX],
            |found| found.decoys.z.clear(),
            |found| found.primary.z = 1e6,
            |found| {
                (found.primary.pairs, found.primary.effect, found.primary.z) = (0, 1e300, -1e300)
            },
            |found| {
                found.judged.log10_p_corrected = -1e15;
                found.judged.threshold_log10_p = 1e300;
                found.decoys.log10_p = 5.0;
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut found = sample();
            change(&mut found);
            let page = page(&[found]);
            assert!(page.matches("<svg").count() == 2 - usize::from(number == 0), "{number}");
            assert!(!page.contains("NaN") && !page.contains("inf\""), "{number}: {page}");
            assert!(page.len() < 1 << 20, "{number}");
        }
    }
}
