//! The tables and the figure.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

const MIXTURE: &str = "trained on the mixture";
/// p-values that are called shown, as `touchmark attribute` has it.
const SHOWN: f64 = -6.0;
/// What the accounts that are named may be wrong in, all together.
const FAMILY: f64 = 0.01;

/// Writes results.md and figure.svg, and prints the tables.
pub fn write(folder: &Path, rows: &[Value]) {
    let text = tables(rows);
    println!("{text}");
    std::fs::write(folder.join("results.md"), text).unwrap();
    std::fs::write(folder.join("figure.svg"), figure(rows)).unwrap();
}

fn tables(rows: &[Value]) -> String {
    let mut own: Vec<&Value> = rows.iter().filter(|row| row["role"] == "own").collect();
    own.sort_by(|a, b| order(a).partial_cmp(&order(b)).unwrap());
    let mixed: Vec<&Value> = own.iter().copied().filter(|row| row["made"] == MIXTURE).collect();
    let other = |row: &&Value| row["made"] != MIXTURE && row["elsewhere"] == false;
    let countered: Vec<&Value> = own.iter().copied().filter(other).collect();
    let elsewhere: Vec<&Value> =
        own.iter().copied().filter(|row| row["elsewhere"] == true).collect();
    let mut text = String::from("# What the students show\n");
    for (title, of) in [
        ("By the share of marked text", &mixed),
        ("After counter-measures", &countered),
        ("Trained elsewhere, on much more text", &elsewhere),
    ] {
        if !of.is_empty() {
            let _ = write!(text, "\n## {title}\n\n{}", tests(of, rows));
        }
    }
    let _ = write!(text, "\n## By the number of tokens read\n\n{}", growth(&own));
    text + &accounts(rows)
}

/// Those of one scheme together, with the least share first.
fn order(row: &Value) -> (bool, String, f64) {
    (row["elsewhere"] == true, mark(row), row["share"].as_f64().unwrap())
}

/// Scheme, width of the window, and the number of the key where it has one.
fn mark(row: &Value) -> String {
    let spec = &row["spec"];
    let scheme = spec["scheme"].as_str().unwrap();
    let before = spec["ngram_len"].as_u64().map(|length| length - 1);
    let width = spec["context_width"].as_u64().or(before);
    let width = width.map_or_else(String::new, |width| format!(" h = {width}"));
    let key = &row["key"]["number"];
    let key = if key.is_null() { String::new() } else { format!(", key {key}") };
    format!("{scheme}{width}{key}")
}

fn number(row: &Value, name: &str) -> String {
    row[name].as_f64().map_or_else(|| "–".to_owned(), decimal)
}

fn decimal(number: f64) -> String {
    // Minus zero is what a rounded p just below 1 would give.
    let tenths = (10.0 * number).round() / 10.0 + 0.0;
    format!("{tenths:.1}").replace('-', "−")
}

fn percent(row: &Value) -> String {
    let percent = 100.0 * row["share"].as_f64().unwrap();
    format!("{} %", (10.0 * percent).round() / 10.0)
}

/// One line for each: what every test says, and what it says of a key that had no part.
fn tests(of: &[&Value], rows: &[Value]) -> String {
    let mut text = String::from(
        "| student | made | mark | marked | tokens trained | positions | z | log10 p | with `--like` | likeliest token | wrong key |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in of {
        let wrong = rows
            .iter()
            .find(|other| other["suspect"] == row["suspect"] && other["role"] == "wrong key");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row["suspect"].as_str().unwrap(),
            row["made"].as_str().unwrap(),
            mark(row),
            percent(row),
            row["tokens_trained"],
            row["positions"],
            number(row, "z"),
            number(row, "log10_p"),
            number(row, "like_log10_p"),
            number(row, "argmax_log10_p"),
            wrong.map_or_else(|| "–".to_owned(), |wrong| number(wrong, "log10_p")),
        );
    }
    text
}

fn growth(of: &[&Value]) -> String {
    let read = of.first().map_or(0, |row| row["tokens_read"].as_u64().unwrap());
    let mut text = format!(
        "log10 p after {}, {}, {} and {read} tokens of human text.\n\n| student | mark | marked | 1/8 | 1/4 | 1/2 | all |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
        read / 8,
        read / 4,
        read / 2
    );
    for row in of {
        let after = row["log10_p_after"].as_array().unwrap();
        let cells: Vec<String> =
            after.iter().map(|log10_p| decimal(log10_p.as_f64().unwrap())).collect();
        let (name, cells) = (row["suspect"].as_str().unwrap(), cells.join(" | "));
        let _ = writeln!(text, "| {name} | {} | {} | {cells} |", mark(row), percent(row));
    }
    text
}

/// Every account of every student of several.
fn accounts(rows: &[Value]) -> String {
    let rows: Vec<&Value> = rows.iter().filter(|row| row["role"] == "accounts").collect();
    let mut text = String::new();
    for of in rows.chunk_by(|a, b| a["suspect"] == b["suspect"]) {
        let limit = (FAMILY / of.len() as f64).log10();
        let _ = write!(
            text,
            "\n## Accounts of {} ({})\n\nNamed: log10 p at most {} ({} accounts, {} % family-wise).\n\n\
             | account | its share | z | log10 p | with `--like` | named | named with `--like` |\n|---|---:|---:|---:|---:|---|---|\n",
            of[0]["suspect"].as_str().unwrap(),
            of[0]["spec"]["scheme"].as_str().unwrap(),
            decimal(limit),
            of.len(),
            100.0 * FAMILY
        );
        for row in of {
            let named = |name: &str| match row[name].as_f64() {
                Some(log10_p) if log10_p <= limit => "yes",
                Some(_) => "",
                None => "–",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row["key"]["number"],
                percent(row),
                number(row, "z"),
                number(row, "log10_p"),
                number(row, "like_log10_p"),
                named("log10_p"),
                named("like_log10_p")
            );
        }
    }
    text
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;
const CURVES: [(&str, &str, &str); 4] = [
    ("like_log10_p", "with --like", "#1d4f91"),
    ("log10_p", "soft difference", "#2e7d32"),
    ("argmax_log10_p", "likeliest token", "#7a4b00"),
    ("wrong", "wrong key", "#6b7280"),
];

/// log10 p by share, of the mark that has most shares.
fn figure(rows: &[Value]) -> String {
    let points = points(rows);
    let most = points.iter().flat_map(|(_, y)| y.iter().flatten()).copied().fold(10.0, f64::max);
    let x = |share: f64| LEFT + (1.0 + share).ln() / 101_f64.ln() * (WIDTH - LEFT - RIGHT);
    let y = |evidence: f64| {
        let part = (1.0 + evidence.max(0.0)).ln() / (1.0 + 1.3 * most).ln();
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    axes(&mut svg, &points, most, &x, &y);
    let mut labelled = Vec::new();
    for (at, (_, name, colour)) in CURVES.iter().enumerate() {
        let curve = points.iter().filter_map(|(share, all)| Some((x(*share), y(all[at]?))));
        draw(&mut svg, &curve.collect::<Vec<_>>(), name, colour, &mut labelled);
    }
    svg + "</svg>\n"
}

/// Shares in percent with −log10 p of every curve.
fn points(rows: &[Value]) -> Vec<(f64, [Option<f64>; 4])> {
    let mixed =
        |row: &&Value| row["made"] == MIXTURE && row["role"] == "own" && row["elsewhere"] == false;
    let rows: Vec<&Value> = rows
        .iter()
        .filter(mixed)
        .chain(rows.iter().filter(|row| row["role"] == "wrong key"))
        .collect();
    let own = |name: &String| {
        rows.iter().filter(|row| mark(row) == *name && row["role"] == "own").collect::<Vec<_>>()
    };
    let all = rows.iter().map(|row| mark(row));
    let Some(of) = all.max_by_key(|name| shares(&own(name))) else { return Vec::new() };
    let wrong = |row: &Value| {
        let same =
            |other: &&&Value| other["suspect"] == row["suspect"] && other["role"] == "wrong key";
        rows.iter().find(same).and_then(|other| other["log10_p"].as_f64())
    };
    let point = |row: &&&Value| {
        let value = |name: &str| {
            if name == "wrong" { wrong(row) } else { row[name].as_f64() }
        };
        let all = CURVES.map(|(name, ..)| value(name).map(|log10_p| -log10_p));
        (100.0 * row["share"].as_f64().unwrap(), all)
    };
    let mut points: Vec<_> = own(&of).iter().map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// How many different shares there are.
fn shares(rows: &[&&Value]) -> usize {
    let mut shares: Vec<f64> = rows.iter().filter_map(|row| row["share"].as_f64()).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares.len()
}

fn axes(
    svg: &mut String,
    points: &[(f64, [Option<f64>; 4])],
    most: f64,
    x: &impl Fn(f64) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let (right, foot) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut tick = 1.0;
    while tick < 1.3 * most {
        let (at, label) = (y(tick), decimal(-tick).replace(".0", ""));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#dde0e5\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            at + 4.0
        );
        tick *= if tick.log10().fract().abs() < 1e-9 { 3.0 } else { 10.0 / 3.0 };
    }
    for (share, _) in points {
        let at = x(*share);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            foot + 16.0,
            share.round()
        );
    }
    let limit = y(-SHOWN);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {TOP}V{foot}H{right}\" fill=\"none\" stroke=\"#6b7280\"/>\n\
         <path d=\"M{LEFT} {limit:.1}H{right}\" stroke=\"#a4262c\" stroke-dasharray=\"5 4\"/>\n\
         <text x=\"{}\" y=\"{:.1}\" fill=\"#a4262c\">shown: 10⁻⁶</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">marked share of the training text, %</text>\n\
         <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">log10 p</text>",
        right + 6.0,
        limit + 4.0,
        f64::midpoint(LEFT, right),
        foot + 40.0,
        f64::midpoint(TOP, foot)
    );
}

/// A curve with its name where it ends, below the names that stand there.
fn draw(svg: &mut String, curve: &[(f64, f64)], name: &str, colour: &str, labelled: &mut Vec<f64>) {
    let line: Vec<String> = curve.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    // Two points would make a line of which nothing is known.
    if line.len() > 2 {
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
    }
    for (x, y) in curve {
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
    if let Some(&(x, mut y)) = curve.last() {
        while labelled.iter().any(|other| (y - other).abs() < 14.0) {
            y += 1.0;
        }
        labelled.push(y);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            x + 6.0,
            y + 4.0
        );
    }
}
