//! The tables of one test.

use serde_json::Value;

use super::{by_chance, verdict_cell};
use crate::attribution::{Account, Attribution, Measured, Verdict};
use crate::report::escape::Text;
use crate::report::frame::{self, Column};
use crate::report::{MOST_LISTED, words};

/// What the verdict rests on, the readings beside it, and the controls.
pub(super) fn weighed(found: &Attribution) -> String {
    let columns = [
        Column::Words("Test"),
        Column::Words("What was weighed"),
        Column::Words("By chance"),
        Column::Number("log₁₀ p"),
        Column::Words("p is"),
        Column::Number("z"),
        Column::Number("Effect [95 % interval]"),
        Column::Number("Pairs"),
        Column::Number("Seeds"),
    ];
    let primary = ("verdict".to_owned(), &found.primary);
    let beside = found.beside.iter().map(|it| ("beside".to_owned(), it));
    let controls =
        found.controls.iter().map(|it| (format!("control: {}", Text(&it.name)), &it.measured));
    let rows = std::iter::once(primary).chain(beside).chain(controls);
    let rows = rows.map(|(name, measured)| row(&name, measured));
    let controls = if found.controls.is_empty() {
        "There was no control."
    } else {
        "Controls are the same test where there is nothing to find; one that finds something makes the verdict INCONCLUSIVE."
    };
    format!(
        "<h4>What was weighed</h4>\n{}<p class=\"note\">The verdict rests on the first line; what stands beside it is for comparison. \
         {controls} p-values of this table are not corrected. Pairs are those of a seed and a token that count; a seed is what the mark \
         draws its list of favoured tokens from.</p>\n",
        frame::table("What was weighed", &columns, rows)
    )
}

fn row(name: &str, measured: &Measured) -> String {
    format!(
        "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        Text(measured.statistic.words()),
        words::odds(measured.log10_p),
        words::log10_p(measured.log10_p),
        kind(measured),
        words::number(measured.z, 1),
        effect(measured),
        words::count(measured.pairs),
        words::count(measured.seeds)
    )
}

pub(super) fn kind(measured: &Measured) -> &'static str {
    if measured.exact { "exact" } else { "an upper bound" }
}

/// The effect with its interval.
pub(super) fn effect(measured: &Measured) -> String {
    let [low, high] = measured.effect_interval.map(|end| words::number(end, 4));
    format!("{} [{low}, {high}]", words::number(measured.effect, 4))
}

/// Whose outputs were used, where that was asked.
pub(super) fn accounts(accounts: &[Account]) -> String {
    if accounts.is_empty() {
        return String::new();
    }
    let columns = [
        Column::Words("Account"),
        Column::Words("Verdict"),
        Column::Words("By chance"),
        Column::Number("log₁₀ p"),
        Column::Number("corrected"),
        Column::Number("z"),
    ];
    let shown = accounts.iter().filter(|account| account.verdict == Verdict::Shown).count() as u64;
    format!(
        "<h4>Accounts</h4>\n<p>{} tried; training is shown for {}. That an account's outputs were used does not say that the account's holder \
         used them.{}</p>\n{}",
        words::many(accounts.len() as u64, "account's key was", "accounts' keys were"),
        words::count(shown),
        left_out(accounts.len()),
        frame::table("Accounts", &columns, accounts.iter().take(MOST_LISTED).map(account))
    )
}

fn left_out(accounts: usize) -> String {
    match accounts.saturating_sub(MOST_LISTED) as u64 {
        0 => String::new(),
        more => format!(
            " The first {} are listed; {} more are in the result.",
            words::count(MOST_LISTED as u64),
            words::count(more)
        ),
    }
}

fn account(account: &Account) -> String {
    format!(
        "<tr><th scope=\"row\">{}</th>{}<td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        Text(&account.name),
        verdict_cell(account.verdict),
        by_chance(account.verdict, account.log10_p_corrected),
        words::log10_p(account.log10_p),
        words::log10_p(account.log10_p_corrected),
        words::number(account.z, 1)
    )
}

/// Numbers of what was read or said.
pub(super) fn counts(found: &Attribution) -> String {
    if found.counts.is_empty() {
        return String::new();
    }
    let lines = found.counts.iter().map(|(name, value)| {
        let known = NAMES.iter().find(|(known, _)| known == name);
        let unknown = || format!("<code>{}</code>", Text(name));
        (known.map_or_else(unknown, |(_, words)| (*words).to_owned()), told(value))
    });
    format!("<h4>Counts</h4>\n{}", frame::facts(lines))
}

/// Counts that have words of their own; others are shown as they are.
const NAMES: &[(&str, &str)] = &[
    ("answers", "Answers"),
    ("empty", "Empty answers"),
    ("filtered", "Left out: context in none of our outputs"),
    ("models", "Models that answered"),
    ("positions", "Positions weighed"),
    ("prompted", "Left out: context stands in the question"),
    ("quoted", "Left out: inside a quotation of our outputs"),
    ("repeated", "Left out: came before"),
    ("scored", "Pairs that count"),
    ("spread", "z of single answers"),
    ("texts", "Texts"),
    ("texts_log10_p", "log₁₀ p of the texts themselves"),
    ("tokens", "Tokens"),
];

fn told(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join("; ");
    match value {
        Value::Null => "—".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number
            .as_u64()
            .map_or_else(|| words::number(number.as_f64().unwrap_or(0.0), 4), words::count),
        Value::String(text) => Text(text).to_string(),
        Value::Array(values) => joined(values.iter().map(told).collect()),
        Value::Object(fields) => {
            joined(fields.iter().map(|(name, it)| format!("{} {}", Text(name), told(it))).collect())
        }
    }
}
