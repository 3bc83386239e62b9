//! The page: head, pictures, method, table, documents.

use std::fmt::Write as _;
use std::io::Write;

use super::escape::Text;
use super::frame::{self, Column};
use super::kept::{Document, Kept, MOST_LISTED, MOST_SECTIONS};
use super::tally::{MOST_POINTS, Mark, Names, Tally, VERDICTS};
use super::{Finishing, Head, ReportError, plots, section, words};
use crate::detect::Verdict;
use crate::stats::Family;

/// All that is written.
pub(super) struct Page<'a> {
    pub head: &'a Head,
    pub tally: &'a Tally,
    pub kept: &'a Kept,
}

impl Page<'_> {
    /// Writes the page, section by section.
    pub fn write(&self, out: &mut impl Write) -> Result<(), ReportError> {
        out.write_all(frame::opening("Watermark detection report").as_bytes())?;
        out.write_all(self.summary().as_bytes())?;
        out.write_all(self.examined().as_bytes())?;
        out.write_all(self.pictures()?.as_bytes())?;
        out.write_all(METHOD.as_bytes())?;
        self.list(out)?;
        self.documents(out)?;
        out.write_all(frame::CLOSING.as_bytes())?;
        Ok(())
    }

    fn summary(&self) -> String {
        let tally = self.tally;
        let mut html = String::from("<header>\n<h1>Watermark detection report</h1>\n");
        let versions: Vec<&str> = tally.versions.counts.keys().map(String::as_str).collect();
        let version =
            if versions.is_empty() { String::new() } else { format!(" {}", versions.join(", ")) };
        // Writing to a string does not fail.
        let _ = write!(
            html,
            "<p class=\"note\">Made by touchmark{} on {}.</p>\n{NAVIGATION}</header>\n<main>\n<section id=\"summary\">\n<h2>Summary</h2>\n\
             <p class=\"lead\">{}</p>\n<ul class=\"verdicts\">\n",
            Text(&version),
            Text(&self.head.date),
            self.in_a_word()
        );
        for verdict in VERDICTS {
            let count =
                tally.of(verdict) + if verdict == Verdict::Error { tally.failed } else { 0 };
            let (sign, said) = words::verdict(verdict);
            let class = verdict.as_str();
            let _ = writeln!(
                html,
                "<li class=\"{class}\"><span aria-hidden=\"true\">{sign}</span> <b>{}</b> {said}</li>",
                words::count(count)
            );
        }
        let _ = write!(html, "</ul>\n<p>{}</p>\n</section>\n", self.false_alarms());
        html
    }

    /// The result in one sentence.
    fn in_a_word(&self) -> String {
        let tally = self.tally;
        let found = tally.of(Verdict::Detected);
        let documents = words::many(tally.documents, "document", "documents");
        match (tally.documents, found) {
            (0, _) => "No document was examined.".to_owned(),
            (1, 0) => "In the one document that was examined, no mark was found.".to_owned(),
            (1, _) => "In the one document that was examined, a mark was found.".to_owned(),
            (_, 0) => format!("In none of the {documents} examined was a mark found."),
            _ => {
                format!("In {} of the {documents} examined a mark was found.", words::count(found))
            }
        }
    }

    fn false_alarms(&self) -> String {
        let tally = self.tally;
        if let Some(Finishing { fdr, procedure }) = &self.head.finishing {
            let found = tally.of(Verdict::Detected);
            return format!(
                "Verdicts are made over all documents together, at a false discovery rate of {fdr} ({}). Of the {} here, at most about {} \
                 are expected to be false alarms.",
                Text(procedure),
                words::many(found, "discovery", "discoveries"),
                words::expected(found as f64 * fdr)
            );
        }
        let Some(threshold) = tally.threshold() else {
            return "Rows were made with several thresholds; each document states its own."
                .to_owned();
        };
        let (fpr, tested) = (10f64.powf(threshold), tally.histogram.documents);
        let alarms = words::expected(Family::one().expected_false_alarms(tested, fpr));
        let rarely = words::odds(threshold).replace("at most ", "");
        let rule = format!(
            "A document is called detected when text that is independent of the key would look this marked {rarely} times or more rarely."
        );
        match tested {
            0 | 1 => format!(
                "{rule} For a document that is not marked, that is the chance of a false alarm."
            ),
            _ => format!(
                "{rule} If none of the {} examined were marked, the number of false alarms to expect is at most {alarms}.",
                words::many(tested, "document", "documents")
            ),
        }
    }

    fn examined(&self) -> String {
        let tally = self.tally;
        let mut html = String::from(
            "<section id=\"examined\">\n<h2>What was examined</h2>\n<dl class=\"facts\">\n",
        );
        let documents = words::many(tally.documents, "document", "documents");
        let failed = match tally.failed {
            0 => String::new(),
            failed => format!("; {} more could not be read", words::count(failed)),
        };
        let _ = write!(
            html,
            "<dt>Documents</dt><dd>{documents}{failed}</dd>\n<dt>Tokens</dt><dd>{} in all, of which {} count</dd>\n\
             <dt>Sources</dt><dd>{}</dd>\n<dt>Threshold</dt><dd>{}</dd>\n</dl>\n",
            words::count(tally.tokens),
            words::count(tally.scored),
            sources(&tally.sources),
            self.threshold_words()
        );
        html.push_str(&marks(&tally.marks));
        html.push_str("</section>\n");
        html
    }

    fn threshold_words(&self) -> String {
        let thresholds = self.tally.thresholds.iter().map(|bits| f64::from_bits(*bits));
        let mut words: Vec<String> = thresholds
            .map(|log10_p| format!("p ≤ {}", words::power_of_ten((log10_p * 10.0).round() / 10.0)))
            .collect();
        words.truncate(5);
        if words.is_empty() {
            "—".to_owned()
        } else {
            format!("{}, corrected within the document", words.join("; "))
        }
    }

    fn pictures(&self) -> Result<String, ReportError> {
        let tally = self.tally;
        if tally.histogram.documents < 2 {
            return Ok(String::new());
        }
        let threshold = tally.threshold().filter(|_| self.head.finishing.is_none());
        let mut html = String::from(
            "<section id=\"pictures\">\n<h2>Pictures</h2>\n<div class=\"pictures\">\n",
        );
        let _ = write!(
            html,
            "<figure>\n{}<figcaption><b>How p-values are spread.</b> Bars: documents by p-value, from no evidence on the left to strong \
             evidence on the right; both scales are logarithmic. <span class=\"model\">Stepped line</span>: what {} would give if none were \
             marked and p-values were uniform. Corrected p-values are rather larger, so bars of unmarked text stand about the line \
             or below it, but for the first.{}</figcaption>\n</figure>\n",
            plots::histogram(&tally.histogram, threshold)?,
            words::many(tally.histogram.documents, "document", "documents"),
            threshold.map_or("", |_| " <span class=\"limit\">Dashed line</span>: the threshold; what lies right of it is detected.")
        );
        let _ = write!(
            html,
            "<figure>\n{}<figcaption><b>Length and evidence.</b> {} {}{}</figcaption>\n</figure>\n</div>\n</section>\n",
            plots::cloud(&tally.cloud, threshold, &self.head.expected)?,
            self.cloud_words(),
            threshold.map_or("", |_| "<span class=\"limit\">Dashed line</span>: the threshold; what lies above it is detected. "),
            self.expected_words()
        );
        Ok(html)
    }

    fn cloud_words(&self) -> String {
        let cloud = &self.tally.cloud;
        if cloud.has_all_points() {
            return "Each document is a point: ● detected, ○ not detected, × insufficient evidence.".to_owned();
        }
        let found = self.tally.of(Verdict::Detected);
        let drawn = if found > MOST_POINTS as u64 {
            format!("the first {} detected ones", words::count(MOST_POINTS as u64))
        } else {
            "the detected ones".to_owned()
        };
        format!(
            "All {} are shown as shades, the darker the more (logarithmic); {drawn} also as points ●.",
            words::many(cloud.documents as u64, "document", "documents")
        )
    }

    fn expected_words(&self) -> String {
        let each = self.head.expected.iter().map(|expected| {
            format!(
                "<span class=\"model\">Solid line</span>: text marked throughout with profile {} at its reference strength ({}). ",
                Text(&expected.profile),
                Text(&expected.source)
            )
        });
        each.collect()
    }

    /// The table of documents.
    fn list(&self, out: &mut impl Write) -> Result<(), ReportError> {
        let finished = self.head.finishing.is_some();
        let documents = self.tally.documents;
        let more = documents.saturating_sub(MOST_LISTED as u64);
        let which = if more > 0 {
            format!(
                "The {} with the most evidence; {} more are counted above, not listed.",
                words::count(MOST_LISTED as u64),
                words::count(more)
            )
        } else {
            "All of them, those with the most evidence first.".to_owned()
        };
        let q = if finished { "<th scope=\"col\" class=\"n\">q</th>" } else { "" };
        write!(
            out,
            "<section id=\"documents\">\n<h2>Documents</h2>\n<p>{which}</p>\n<div class=\"wide\" role=\"region\" aria-label=\"Documents\" \
             tabindex=\"0\"><table class=\"documents\">\n<thead><tr><th scope=\"col\" class=\"n\">No.</th><th scope=\"col\">Document</th>\
             <th scope=\"col\">Verdict</th><th scope=\"col\">By chance</th><th scope=\"col\" class=\"n\">log₁₀ p</th>{q}\
             <th scope=\"col\" class=\"n\">Tokens that count</th><th scope=\"col\" class=\"n\">Passages</th><th scope=\"col\">Profile</th></tr></thead>\n<tbody>\n"
        )?;
        for (at, document) in self.kept.all().enumerate() {
            out.write_all(line(document, at + 1, finished).as_bytes())?;
        }
        out.write_all(b"</tbody></table></div>\n</section>\n")?;
        Ok(())
    }

    /// A section for each of the first documents.
    fn documents(&self, out: &mut impl Write) -> Result<(), ReportError> {
        let more = self.tally.documents.saturating_sub(MOST_SECTIONS as u64);
        out.write_all(b"<section id=\"details\">\n<h2>Document by document</h2>\n")?;
        if more > 0 {
            writeln!(
                out,
                "<p>The {} with the most evidence. All rows, with all their numbers, are in what <code>touchmark detect --format \
                 jsonl</code> writes.</p>",
                words::count(MOST_SECTIONS as u64)
            )?;
        }
        for (at, document) in self.kept.sections().enumerate() {
            out.write_all(section::section(document, at + 1).as_bytes())?;
        }
        out.write_all(b"</section>\n")?;
        Ok(())
    }
}

const NAVIGATION: &str = "<nav aria-label=\"Contents\"><a href=\"#summary\">Summary</a> <a href=\"#examined\">What was examined</a> \
    <a href=\"#method\">What the numbers mean</a> <a href=\"#documents\">Documents</a> <a href=\"#details\">Document by document</a></nav>\n";

fn sources(sources: &Names<String>) -> String {
    const SHOWN: usize = 12;
    let named = sources
        .counts
        .iter()
        .take(SHOWN)
        .map(|(source, documents)| format!("{} ({})", Text(source), words::count(*documents)));
    let mut words = named.collect::<Vec<_>>().join("; ");
    let rest = sources.counts.len().saturating_sub(SHOWN);
    if rest > 0 {
        let _ = write!(
            words,
            "; and {}{} more",
            if sources.more { "over " } else { "" },
            words::count(rest as u64)
        );
    }
    words
}

fn marks(marks: &Names<Mark>) -> String {
    use Column::{Number, Words};

    let columns = [
        Words("Profile"),
        Words("Scheme"),
        Words("Randomness"),
        Words("Key (public name)"),
        Number("Detected in"),
    ];
    let rows = marks.counts.iter().map(|(mark, found)| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td><td class=\"n\">{}</td></tr>\n",
            Text(&mark.profile),
            Text(&mark.scheme),
            Text(&mark.prf),
            Text(&mark.key_id),
            words::count(*found)
        )
    });
    let more = if marks.more {
        "<p class=\"note\">There were more marks than are listed here.</p>\n"
    } else {
        ""
    };
    format!("<h3>Marks looked for</h3>\n{}{more}", frame::table("Marks looked for", &columns, rows))
}

/// A document's line in the table.
fn line(document: &Document, number: usize, finished: bool) -> String {
    let Document { best, verdict, .. } = document;
    let row = &best.row;
    let (sign, said) = words::verdict(*verdict);
    let name = Text(&row.id);
    let name = if number <= MOST_SECTIONS {
        format!("<a href=\"#d{number}\">{name}</a>")
    } else {
        name.to_string()
    };
    let source = if row.source == row.id {
        String::new()
    } else {
        format!("<span class=\"source\">{}</span>", Text(&row.source))
    };
    let q = match best.log10_q {
        _ if !finished => String::new(),
        None => "<td class=\"n\">—</td>".to_owned(),
        Some(q) => format!("<td class=\"n\">{}</td>", words::q(q)),
    };
    let class = verdict.as_str();
    format!(
        "<tr><td class=\"n\">{number}</td><th scope=\"row\">{name}{source}</th>\
         <td class=\"said {class}\"><span aria-hidden=\"true\">{sign}</span> {said}</td><td>{}</td><td class=\"n\">{}</td>{q}\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
        words::odds(row.log10_p_corrected),
        words::log10_p(row.log10_p_corrected),
        words::count(row.tokens_scored as u64),
        words::count(row.segments.len() as u64),
        Text(&row.profile)
    )
}

const METHOD: &str = include_str!("method.html");
