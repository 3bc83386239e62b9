//! What the harness measured, as a page, pictures and tables.

mod plots;
mod tables;

use std::io::Write;

use super::escape::Text;
use super::frame;
use super::{ReportError, words};
use crate::bench::Measured;
use crate::fingerprint::lineup;

pub use tables::bench_tables;

/// Writes what was measured as a page; `date` is that of the page, in words.
///
/// # Errors
/// [`ReportError`].
pub fn write_bench(
    measured: &Measured,
    date: &str,
    out: &mut impl Write,
) -> Result<(), ReportError> {
    lineup::tables(&measured.lineup)?;
    out.write_all(frame::opening(TITLE).as_bytes())?;
    // A part of which nothing was measured has no rows.
    let told = PARTS.map(|part| (part, (part.table)(measured)));
    let told: Vec<_> = told.into_iter().filter(|(_, table)| !table.is_empty()).collect();
    out.write_all(head(told.iter().map(|(part, _)| part), date).as_bytes())?;
    out.write_all(b"<main>\n")?;
    out.write_all(what(measured).as_bytes())?;
    for (part, table) in &told {
        out.write_all(section(part, table, measured)?.as_bytes())?;
    }
    out.write_all(METHOD.as_bytes())?;
    out.write_all(frame::CLOSING.as_bytes())?;
    Ok(())
}

/// The pictures, by the name of a file for each.
///
/// # Errors
/// [`ReportError`].
pub fn bench_pictures(measured: &Measured) -> Result<Vec<(String, String)>, ReportError> {
    let mut pictures = Vec::new();
    for part in PARTS {
        for (number, picture) in (part.pictures)(measured)?.into_iter().enumerate() {
            pictures.push((format!("{}-{}.svg", part.id, number + 1), picture.alone()));
        }
    }
    Ok(pictures)
}

const TITLE: &str = "Benchmark report";
const METHOD: &str = include_str!("method.html");

/// A part of the page.
#[derive(Clone, Copy)]
struct Part {
    id: &'static str,
    heading: &'static str,
    says: &'static str,
    pictures: fn(&Measured) -> Result<Vec<plots::Picture>, ReportError>,
    table: fn(&Measured) -> String,
}

const PARTS: [Part; 10] = [
    Part {
        id: "power",
        heading: "How many marked texts are found",
        says: "Share of the texts whose p-value, corrected for every look at the text, is at or below the false-alarm rate. Intervals are \
               Clopper and Pearson's, 95 %, each for itself.",
        pictures: plots::power,
        table: tables::power,
    },
    Part {
        id: "attacks",
        heading: "After attacks",
        says: "The same after somebody edited the texts. Strength is the share of words, letters or sentences edited.",
        pictures: plots::attacks,
        table: tables::attacks,
    },
    Part {
        id: "budget",
        heading: "What it takes to remove a mark",
        says: "The least strength of the plan after which less than half of the texts are found at the smallest false-alarm rate, at the greatest \
               length attacked, and how like the texts then are to what they were.",
        pictures: |_| Ok(Vec::new()),
        table: tables::budget,
    },
    Part {
        id: "size",
        heading: "How many tokens it takes",
        says: "The first length, read from the beginning, at which p ≤ 10⁻⁵: a description of the texts, not a test that may stop there.",
        pictures: |_| Ok(Vec::new()),
        table: tables::size,
    },
    Part {
        id: "calibration",
        heading: "How often human text alarms",
        says: "Human texts, each read under keys that nobody marked with. A share above the nominal rate by more than chance (0.1 % for all \
               rows of this table together) is said to exceed it.",
        pictures: plots::calibration,
        table: tables::calibration,
    },
    Part {
        id: "stealing",
        heading: "What somebody learns from marked texts",
        says: "Somebody has texts under one key, and as many without a mark, and writes texts towards what he learned (spoofed), or draws \
               half the tokens of marked texts anew, away from it (scrubbed) or just so (rewritten). Shares are of texts found under that key.",
        pictures: |_| Ok(Vec::new()),
        table: tables::stealing,
    },
    Part {
        id: "quality",
        heading: "What the texts are like",
        says: "Perplexity is that of the judge; differences are of texts that continue the same prompt, with 1.96 standard errors and a \
               permutation test. The distance of a scheme's words is the Jensen–Shannon divergence of their frequencies from those of \
               unmarked texts, beside its mean when the texts of a prompt change sides at random.",
        pictures: |_| Ok(Vec::new()),
        table: tables::quality,
    },
    Part {
        id: "cost",
        heading: "What it costs",
        says: "On the machine above, and nowhere else. Texts that an earlier run had written were not timed.",
        pictures: |_| Ok(Vec::new()),
        table: tables::cost,
    },
    Part {
        id: "lineup",
        heading: "Copies of models, and others",
        says: "Suspects of which it is known whether they descend from the reference, and how many of them each test calls related, with \
               Clopper and Pearson's 95 % intervals.",
        pictures: |_| Ok(Vec::new()),
        table: tables::lineup,
    },
    Part {
        id: "attribution",
        heading: "Models that learnt from marked text",
        says: "Whether a suspect shows that it was trained on text with a mark. Not shown is not innocent.",
        pictures: |_| Ok(Vec::new()),
        table: tables::attribution,
    },
];

fn head<'a>(parts: impl Iterator<Item = &'a Part>, date: &str) -> String {
    let links = parts.map(|part| format!("<a href=\"#{}\">{}</a> ", part.id, part.heading));
    format!(
        "<header>\n<h1>{TITLE}</h1>\n<p>Marks, attacks and detectors, measured in one way.</p>\n<p class=\"note\">Made by touchmark {} on \
         {}. Who has the plan, the weights and the human text can repeat it.</p>\n<nav aria-label=\"Contents\">{}<a href=\"#method\">How it \
         was measured</a></nav>\n</header>\n",
        env!("CARGO_PKG_VERSION"),
        Text(date),
        links.collect::<String>()
    )
}

/// Models, texts, machine.
fn what(measured: &Measured) -> String {
    let (plan, with, machine) = (&measured.plan, &measured.made_with, &measured.machine);
    let code = |text: &str| format!("<code>{}</code>", Text(text));
    let hash = |hash: &str| code(hash.get(..16).unwrap_or(hash));
    let weights =
        |it: &crate::bench::Weights| format!("{}, BLAKE3 {}…", Text(&it.name), hash(&it.blake3));
    let judge = with.judge.as_ref().map_or_else(|| "none".to_owned(), weights);
    let facts = [
        ("Model", weights(&with.model)),
        ("Judge of quality", judge),
        (
            "Human text",
            format!(
                "{}, BLAKE3 {}…",
                words::many(with.human_texts as u64, "text", "texts"),
                hash(&with.human)
            ),
        ),
        ("Texts of each row", words::count(plan.texts as u64)),
        ("Prompts", words::many(plan.prompt_tokens as u64, "token", "tokens")),
        ("Seed", plan.seed.to_string()),
        (
            "Machine",
            format!(
                "{}, {}, {} {}",
                Text(&machine.processor),
                words::many(machine.cores as u64, "core", "cores"),
                Text(&machine.os),
                Text(&machine.architecture)
            ),
        ),
        ("Measured with", format!("touchmark {}", Text(&measured.touchmark))),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    format!(
        "<section id=\"what\">\n<h2>What was measured</h2>\n{}</section>\n",
        frame::facts(facts)
    )
}

fn section(part: &Part, table: &str, measured: &Measured) -> Result<String, ReportError> {
    let pictures = (part.pictures)(measured)?;
    let figures: String = pictures.iter().map(plots::Picture::figure).collect();
    let figures = if figures.is_empty() {
        figures
    } else {
        format!("<div class=\"pictures\">\n{figures}</div>\n")
    };
    let Part { id, heading, says, .. } = part;
    Ok(format!(
        "<section id=\"{id}\">\n<h2>{heading}</h2>\n<p>{says}</p>\n{figures}{table}</section>\n"
    ))
}
