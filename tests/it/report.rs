//! The HTML report: that it is well formed, needs nothing from outside, cannot be hijacked by what it shows, and stays small.

use serde_json::{Value, json};
use touchmark::detect::{Shown, Verdict};
use touchmark::report::{Expected, Finding, Finishing, Head, MOST_LISTED, MOST_SECTIONS, Report};
use touchmark::watermark::Evidence;

const HOSTILE: &str =
    "</script></style><img src=x onerror='a()'>\"&amp; \u{202e}txt\u{0}\r\u{2028} עברית";

fn row(id: &str, log10_p: f64, verdict: &str) -> Value {
    json!({
        "schema": 1, "id": id, "source": "crawl.jsonl", "offset": 0, "profile": "default", "scheme": "kgw", "prf": "touchmark-v1",
        "key_id": "k1", "verdict": verdict, "log10_p": log10_p - 0.3, "log10_p_corrected": log10_p, "score": 0.4,
        "tokens_total": 300, "tokens_scored": 280, "repeated": 18, "threshold_log10_p": -6.0, "reading": "any part of an answer",
        "narrow_seeds": false, "segments": [], "null": "the text is independent of the key", "family": "Bonferroni over 2 looks",
        "warnings": [], "detector_version": "0.1.0"
    })
}

fn finding(row: &Value) -> Finding {
    Finding::parse(row.to_string().as_bytes()).unwrap()
}

fn showing(row: &Value, text: Shown) -> Finding {
    Finding::new(finding(row).row, Some(text))
}

/// Tokens of three letters and a blank, every fourth of which does not count.
fn text(tokens: usize) -> Shown {
    let bytes: Vec<_> = (0..tokens).map(|at| 4 * at..4 * at + 4).collect();
    let positions: Vec<u32> = (0..tokens as u32).filter(|at| at % 4 != 0).collect();
    let values = positions.iter().map(|at| f64::from(at % 4)).collect();
    let evidence = Evidence { positions, values, total: tokens, ..Evidence::default() };
    Shown::new(" abc".repeat(tokens), &bytes, &evidence, [0.5, 2.0, 3.0])
}

fn page_of(head: Head, documents: impl IntoIterator<Item = Vec<Finding>>) -> String {
    let mut report = Report::new(head);
    documents.into_iter().for_each(|findings| report.document(findings));
    let mut out = Vec::new();
    report.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// All that a page can tell, with hostile text wherever foreign text goes.
fn rich() -> String {
    let mut marked = row(HOSTILE, -12.5, "detected");
    for field in ["source", "profile", "key_id", "scheme", "prf", "reading", "family", "null"] {
        marked[field] = HOSTILE.into();
    }
    marked["warnings"] = json!([HOSTILE]);
    marked["segments"] = json!([{
        "start": 40, "end": 160, "byte_start": 160, "byte_end": 640, "log10_p": -11.0, "start_between": [38, 44],
        "end_between": [155, 161]
    }]);
    marked["payload"] = json!({
        "message": "0x2a", "bits": "00101010", "posterior": 0.99, "ones": [], "next": [["0x2b", 0.004]], "log10_p_if_known": -15.0
    });
    marked["posterior"] = 0.75.into();
    marked["house_rule"] = json!({HOSTILE: HOSTILE});
    let mut best = finding(&marked);
    best.shown = Some(text(300));
    let text = Shown::new(HOSTILE.to_owned(), &[], &Evidence::default(), [1.0; 3]);
    let mut short = row("short", -0.2, "insufficient_evidence");
    short["more_tokens"] = 150.into();
    let short = showing(&short, text);
    let points = vec![(1, 0.0), (100, -5.0), (1_000, -50.0)];
    let expected =
        vec![Expected { profile: HOSTILE.to_owned(), source: HOSTILE.to_owned(), points }];
    let head = Head { date: HOSTILE.to_owned(), expected, finishing: None };
    let plain = finding(&row("plain", -1.5, "not_detected"));
    let failed = finding(&row("failed", 0.0, "error"));
    page_of(head, [vec![plain.clone()], vec![plain, best], vec![short], vec![failed]])
}

/// A tag's name and its attributes; panics where the page is not well formed.
fn tags(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    const VOID: [&str; 2] = ["meta", "br"];
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(!text.contains('>') || open.last().is_some_and(|it| it == "style"), "{text}");
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut given) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        assert!(name.bytes().all(|c| c.is_ascii_alphanumeric()), "{name}");
        let mut attributes = Vec::new();
        while !given.trim().is_empty() {
            let (attribute, value) = given.split_once("=\"").unwrap();
            let (value, after) = value.split_once('"').unwrap();
            attributes.push((attribute.trim().to_owned(), value.to_owned()));
            given = after;
        }
        if !closed && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
        all.push((name.to_owned(), attributes));
    }
    assert_eq!(open, Vec::<String>::new());
    all
}

#[test]
fn a_page_is_well_formed_and_needs_nothing_else() {
    let page = rich();
    stands_alone(&page);
    assert_eq!(page, rich());
}

/// Panics unless a page is well formed, leads nowhere else and has nothing that acts.
pub fn stands_alone(page: &str) {
    let tags = tags(page);
    let values = |wanted: &str| -> Vec<&str> {
        let attributes = tags.iter().flat_map(|tag| &tag.1);
        attributes.filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    let ids = values("id");
    for href in values("href") {
        assert!(ids.contains(&href.strip_prefix('#').unwrap()), "{href}");
    }
    let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len());
    const KNOWN: [&str; 42] = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "main",
        "section",
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "a",
        "b",
        "em",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "svg",
        "rect",
        "circle",
        "line",
        "polyline",
        "polygon",
        "text",
        "br",
    ];
    for (name, attributes) in &tags {
        assert!(KNOWN.contains(&name.as_str()), "{name}");
        for (attribute, value) in attributes {
            let active = attribute.starts_with("on")
                || ["src", "srcset", "style", "xmlns", "action"].contains(&attribute.as_str());
            assert!(!active && !value.contains("//"), "{attribute}={value}");
        }
    }
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(style.contains("prefers-color-scheme:dark") && style.contains("@media print"));
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "no policy");
}

#[test]
fn hostile_text_is_shown_and_nothing_more() {
    let page = rich();
    assert!(!page.contains("<img") && !page.contains("<script") && !page.contains("a()'>"));
    assert!(!page.contains(['\u{202e}', '\u{0}', '\r', '\u{2028}']));
    assert!(
        page.contains(
            "<span class=\"hidden\">U+202E</span>txt<span class=\"hidden\">U+0000</span>"
        )
    );
    assert!(page.contains("עברית"));
    // Fields that are not known are told as they are.
    assert!(page.contains("<dt><code>house_rule</code></dt><dd>{&quot;&lt;/script&gt;"), "{page}");
}

#[test]
fn what_was_found_is_told_in_words() {
    let page = rich();
    for words in [
        "In 1 of the 4 documents examined a mark was found.",
        "the number of false alarms to expect is at most 0.000003.",
        "<b>at most 1 in 3 trillion</b> (log₁₀ p = −12.5)",
        "about 150 more tokens would do",
        "<th scope=\"row\">1</th><td>41–160 (120)</td><td>39 and 45</td><td>155 and 161</td><td>160–640</td>",
        "The likeliest is <code>0x2a</code>",
        "0.7500, under the given prior",
        "<b class=\"edge\">⟦1</b><span class=\"passage\">",
        "<span class=\"e3\" title=\"token 4 “ abc”: evidence 3\">abc</span>",
        "<h4>Other marks looked for</h4>",
        "never that a person wrote it",
        "on average over keys that are drawn at random",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let passage = page
        .split_once("⟦1</b><span class=\"passage\"><span")
        .unwrap()
        .1
        .split_once("1⟧")
        .unwrap()
        .0;
    assert_eq!(
        passage.matches("abc</span>").count() - passage.matches("u\">abc</span>").count(),
        90
    );
}

#[test]
fn many_documents_make_no_large_page() {
    let documents = |count: usize| {
        (0..count).map(move |at| {
            let (p, verdict) = if at % 2 == 0 {
                (-7.0 - at as f64 / 50.0, "detected")
            } else {
                (-1.0, "not_detected")
            };
            vec![showing(&row(&format!("d{at}"), p, verdict), text(3_000))]
        })
    };
    let page = page_of(Head::default(), documents(4_000));
    assert!(page.len() < 16 << 20, "{}", page.len());
    assert_eq!(page.matches("<section class=\"document\"").count(), MOST_SECTIONS);
    let table = page.split_once("class=\"documents\"").unwrap().1.split_once("</table>").unwrap().0;
    assert_eq!(table.matches("<tr><td").count(), MOST_LISTED);
    // The strongest first, and the cut is told.
    assert!(table.find(">d3998<").unwrap() < table.find(">d3996<").unwrap());
    assert!(
        page.contains(
            "The 1,000 with the most evidence; 3,000 more are counted above, not listed."
        )
    );
    assert!(page.contains("In 2,000 of the 4,000 documents examined a mark was found."));
    assert_eq!(page.matches("2,500 tokens left out").count(), MOST_SECTIONS);
    assert!(
        page.matches("<circle").count() <= 1_500 && page.contains("the first 1,500 detected ones")
    );
    let few = page_of(Head::default(), documents(3));
    assert_eq!(few.matches("tokens left out").count(), 0);
    tags(&page);
}

#[test]
fn verdicts_over_all_documents_replace_those_of_one() {
    let finished = |id: &str, log10_q: f64, verdict| {
        vec![finding(&row(id, -4.0, "not_detected")).finished(Some(log10_q), verdict)]
    };
    let finishing = Finishing { fdr: 0.01, procedure: "Benjamini–Hochberg".to_owned() };
    let head = Head { finishing: Some(finishing), ..Head::default() };
    let documents =
        [finished("a", -2.5, Verdict::Detected), finished("b", -1.0, Verdict::NotDetected)];
    let page = page_of(head, documents);
    for words in [
        "In 1 of the 2 documents examined a mark was found.",
        "at a false discovery rate of 0.01 (Benjamini–Hochberg). Of the 1 discovery here, at most about 0.01",
        "its q-value is 0.003",
        "<dt>Verdict on the document alone</dt><dd>Not detected</dd>",
        "<th scope=\"col\" class=\"n\">q</th>",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("Dashed line"));
    tags(&page);
}

#[test]
fn nothing_examined_is_a_page_too() {
    let page = page_of(Head::default(), []);
    assert!(page.contains("No document was examined."));
    assert!(
        page_of(Head::default(), [vec![finding(&row("a", -9.0, "detected"))]])
            .contains("In the one document that was examined, a mark was found.")
    );
    tags(&page);
}

#[cfg(feature = "bundled")]
#[test]
fn the_program_writes_reports_of_texts_and_of_rows() {
    use super::cli::Home;

    let home = Home::new();
    let marked = home.ok(&[
        "generate",
        "-p",
        "The ship",
        "--max-tokens",
        "150",
        "--ignore-eos",
        "--seed",
        "1",
    ]);
    let plain = "Call me Ishmael. Some years ago, never mind how long precisely.";
    let lines = [marked.as_str(), plain, HOSTILE]
        .into_iter()
        .enumerate()
        .map(|(at, text)| json!({"id": format!("t{at}"), "text": text}).to_string());
    home.write("texts.jsonl", lines.collect::<Vec<_>>().join("\n"));
    let run = |arguments: &[&str]| {
        let output =
            home.command(arguments).env("SOURCE_DATE_EPOCH", "1000000000").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["detect", "texts.jsonl", "--format", "html", "-o", "report.html"]), "");
    let page = std::fs::read_to_string(home.path("report.html")).unwrap();
    assert!(page.contains("on 9 September 2001 (UTC)") && page.contains("id=\"d3\""));
    assert!(
        page.contains("In 1 of the 3 documents examined a mark was found.")
            && page.contains("Solid line")
    );
    assert!(page.matches("class=\"e1\" title=").count() > 60);
    tags(&page);
    assert_eq!(run(&["detect", "texts.jsonl", "--format", "html"]), page);
    run(&["detect", "texts.jsonl", "-o", "rows.jsonl"]);
    let finished = run(&["detect", "--finish", "rows.jsonl", "--format", "html"]);
    assert!(finished.contains("In 1 of the 3 documents examined a mark was found."));
    assert!(finished.contains("false discovery rate of 0.01 (Benjamini–Hochberg: all seeds"));
    assert!(!finished.contains("class=\"text\""));
    tags(&finished);
    home.refused(&["detect", "--finish", "rows.jsonl", "--format", "table"], &["html"]);
}
