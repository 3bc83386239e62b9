//! The section of one document.

use std::fmt::Write;

use super::escape::Text;
use super::finding::Finding;
use super::frame::{self, Column};
use super::kept::Document;
use super::{tokens, words};
use crate::detect::{PayloadRow, Row, Segment, Verdict};

/// A document as HTML; `number` is its place in the report.
pub(super) fn section(document: &Document, number: usize) -> String {
    let Document { best, others, left_out, verdict } = document;
    let mut html = String::new();
    let (sign, said) = words::verdict(*verdict);
    let name = Text(&best.row.id);
    let class = verdict.as_str();
    // Writing to a string does not fail.
    let _ = write!(
        html,
        "<section class=\"document\" id=\"d{number}\" aria-labelledby=\"h{number}\">\n<h3 id=\"h{number}\">{number}. {name}</h3>\n\
         <p class=\"said {class}\"><span aria-hidden=\"true\">{sign}</span> <b>{said}</b></p>\n<p>{}</p>\n",
        sentence(best, *verdict)
    );
    html.push_str(&frame::boxed("To be kept in mind", &best.row.warnings));
    html.push_str(&text(best));
    html.push_str(&passages(&best.row));
    html.push_str(&best.row.payload.as_ref().map_or_else(String::new, payload));
    html.push_str(&facts(best));
    html.push_str(&others_table(others, *left_out));
    html.push_str("</section>\n");
    html
}

/// What was found, in a sentence or three.
fn sentence(finding: &Finding, verdict: Verdict) -> String {
    let row = &finding.row;
    let mark = format!(
        "the mark of profile <b>{}</b> (key <code>{}</code>)",
        Text(&row.profile),
        Text(&row.key_id)
    );
    if finding.verdict() == Verdict::Error {
        return format!("This document could not be examined for {mark}.");
    }
    let often = format!(
        "text that is independent of the key would look at least this marked <b>{}</b> (log₁₀ p = {}), after correction for all \
         that was tried on this document",
        words::odds(row.log10_p_corrected),
        words::log10_p(row.log10_p_corrected)
    );
    let threshold = words::power_of_ten((row.threshold_log10_p * 1e6).round() / 1e6);
    match (finding.verdict(), finding.fdr_verdict) {
        (Verdict::Detected, None) => {
            format!("It carries {mark}: {often}. The threshold is {threshold}.")
        }
        (Verdict::Detected, Some(_)) => format!(
            "It is among the documents discovered to carry {mark}: {often}. Over all documents its q-value is {}.",
            finding.log10_q.map_or_else(String::new, words::q)
        ),
        (_, Some(_)) => format!(
            "It is not among the documents discovered. What comes closest is {mark}: {often}. Over all documents its q-value is {}.",
            finding.log10_q.map_or_else(String::new, words::q)
        ),
        _ if verdict == Verdict::InsufficientEvidence => format!(
            "What comes closest is {mark}: {often}. That is above the threshold of {threshold}, and there is too little text to \
             say that there is no mark{}.",
            more(row)
        ),
        _ => format!(
            "What comes closest is {mark}: {often}. That is above the threshold of {threshold}. A mark of the usual strength would \
             more likely than not have been found in a text of this length."
        ),
    }
}

fn more(row: &Row) -> String {
    row.more_tokens.map_or_else(String::new, |more| {
        format!(": about {} would do", words::many(more, "more token", "more tokens"))
    })
}

fn text(finding: &Finding) -> String {
    let Some(shown) = &finding.shown else { return String::new() };
    format!(
        "{LEGEND}<div class=\"text\" dir=\"auto\">{}</div>\n",
        tokens::coloured(shown, &finding.row.segments)
    )
}

const LEGEND: &str = "<p class=\"legend\">Tokens by what they say for the mark: <span class=\"u\">does not count</span> · \
    <span class=\"e0\">nothing</span> · <span class=\"e1\">some</span> · <span class=\"e2\">as much as at most one in 20 unmarked tokens</span> · \
    <span class=\"e3\">at most one in 100</span>. <b class=\"edge\">⟦1</b><span class=\"passage\">A marked passage</span><b \
    class=\"edge\">1⟧</b> is underlined and stands in brackets. No single token proves anything; all of them together do.</p>\n";

fn passages(row: &Row) -> String {
    if row.segments.is_empty() {
        return String::new();
    }
    let columns = ["Passage", "Tokens", "Begins between", "Ends between", "Bytes", "By chance"];
    let columns = columns.map(Column::Words).into_iter().chain([Column::Number("log₁₀ p")]);
    let columns: Vec<Column> = columns.collect();
    let rows = row.segments.iter().take(MOST_PASSAGES).enumerate();
    let rows = rows.map(|(at, segment)| passage(at + 1, segment));
    let mut html = String::from("<h4>Marked passages</h4>\n");
    html.push_str(&frame::table("Marked passages", &columns, rows));
    let more = row.segments.len().saturating_sub(MOST_PASSAGES);
    if more > 0 {
        let words = words::many(more as u64, "passage", "passages");
        let _ = writeln!(html, "<p class=\"note\">{words} more are in the rows, not here.</p>");
    }
    html.push_str(
        "<p class=\"note\">Tokens are counted from 1, bytes from 0. “Between” gives the first and the last place that fits almost as \
         well; the boundaries themselves carry no p-value. Each passage's p-value is corrected for all passages that were \
         looked at.</p>\n",
    );
    html
}

const MOST_PASSAGES: usize = 100;

fn passage(number: usize, segment: &Segment) -> String {
    let place = |at: usize| words::count(at as u64);
    let bytes = match (segment.byte_start, segment.byte_end) {
        (Some(start), Some(end)) => format!("{}–{}", place(start), place(end)),
        _ => "—".to_owned(),
    };
    let (first, last) = (segment.start_between, segment.end_between);
    format!(
        "<tr><th scope=\"row\">{number}</th><td>{}–{} ({})</td><td>{} and {}</td><td>{} and {}</td><td>{bytes}</td><td>{}</td>\
         <td class=\"n\">{}</td></tr>\n",
        place(segment.start + 1),
        place(segment.end),
        place(segment.end - segment.start.min(segment.end)),
        place(first.0 + 1),
        place(first.1 + 1),
        place(last.0),
        place(last.1),
        words::odds(segment.log10_p),
        words::log10_p(segment.log10_p)
    )
}

fn payload(payload: &PayloadRow) -> String {
    let share = |probability: f64| format!("{:.4}", probability);
    let mut rows = String::new();
    let first = (&payload.message, payload.posterior);
    let next = payload.next.iter().map(|(message, probability)| (message, *probability));
    for (message, probability) in std::iter::once(first).chain(next) {
        let _ = writeln!(
            rows,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td></tr>",
            Text(message),
            share(probability)
        );
    }
    let mut html = format!(
        "<h4>Message</h4>\n<p>The mark carries a message. The likeliest is <code>{}</code> (binary <code class=\"bits\">{}</code>), with \
         probability {} among all messages, if they are equally likely beforehand and the text is marked.</p>\n\
         <table><thead><tr><th scope=\"col\">Message</th><th scope=\"col\" class=\"n\">Probability</th></tr></thead><tbody>\n{rows}</tbody></table>\n",
        Text(&payload.message),
        Text(&payload.bits),
        share(payload.posterior)
    );
    if let Some(known) = payload.log10_p_if_known {
        let _ = writeln!(
            html,
            "<p class=\"note\">Had this message been named before the text was seen, its own p-value would be 10 to the {} ({}). For a \
             message read from the text, the p-value above is the one that holds.</p>",
            words::log10_p(known),
            words::odds(known)
        );
    }
    html
}

/// The row's facts.
fn facts(finding: &Finding) -> String {
    let row = &finding.row;
    let count = |number: usize| words::count(number as u64);
    let plain = |text: &str| Text(text).to_string();
    let mut facts: Vec<(&str, String)> = vec![
        ("Source", plain(&row.source)),
        ("Begins at byte", words::count(row.offset)),
        ("Scheme", format!("{}, randomness by {}", Text(&row.scheme), Text(&row.prf))),
        (
            "Tokens",
            format!(
                "{} in all, {} count, {} left out as repeats",
                count(row.tokens_total),
                count(row.tokens_scored),
                count(row.repeated)
            ),
        ),
        ("Mean evidence of a token", format!("{:.4} (in the scheme's unit)", row.score)),
        ("Read as", plain(&row.reading)),
        (
            "log₁₀ p",
            format!(
                "{} of the look that says most; {} after correction",
                words::log10_p(row.log10_p),
                words::log10_p(row.log10_p_corrected)
            ),
        ),
        ("Paid for", plain(&row.family)),
        ("What p assumes", plain(&row.null)),
    ];
    if let Some(q) = finding.log10_q {
        facts.push((
            "q-value over all documents",
            format!("{} (log₁₀ {})", words::q(q), words::log10_p(q)),
        ));
        let (_, own) = words::verdict(row.verdict);
        facts.push(("Verdict on the document alone", own.to_owned()));
    }
    if let Some(lost) = row.ids_lost_in_text {
        facts.push(("Token ids that their text does not give again", count(lost)));
    }
    if let Some(posterior) = row.posterior {
        let note = "under the given prior and trained weights; no p-value";
        facts.push(("Probability of a mark, Bayesian detector", format!("{posterior:.4}, {note}")));
    }
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    let further = finding.further().into_iter();
    let further = further
        .map(|(name, value)| (format!("<code>{}</code>", Text(&name)), Text(&value).to_string()));
    format!("<h4>Facts</h4>\n{}", frame::facts(facts.chain(further)))
}

/// Other marks that were looked for in the document.
fn others_table(others: &[Finding], left_out: usize) -> String {
    if others.is_empty() {
        return String::new();
    }
    use Column::{Number, Words};

    let columns =
        [Words("Profile"), Words("Key"), Words("Verdict"), Words("By chance"), Number("log₁₀ p")];
    let rows = others.iter().map(|finding| {
        let (sign, said) = words::verdict(finding.verdict());
        format!(
            "<tr><td>{}</td><td><code>{}</code></td><td><span aria-hidden=\"true\">{sign}</span> {said}</td><td>{}</td>\
             <td class=\"n\">{}</td></tr>\n",
            Text(&finding.row.profile),
            Text(&finding.row.key_id),
            words::odds(finding.row.log10_p_corrected),
            words::log10_p(finding.row.log10_p_corrected)
        )
    });
    let mut html = String::from("<h4>Other marks looked for</h4>\n");
    html.push_str(&frame::table("Other marks", &columns, rows));
    if left_out > 0 {
        let words = words::many(left_out as u64, "mark", "marks");
        let _ = writeln!(
            html,
            "<p class=\"note\">{words} more, with less evidence, are in the rows, not here.</p>"
        );
    }
    html
}
