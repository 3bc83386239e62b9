//! Students of a marked teacher: writes its text and trains small models on mixtures of it, and tests them. See question.md.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "an experiment reports to a terminal and fails loudly"
)]

mod report;
mod rewrite;
mod student;
mod table;
mod text;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, target, flags @ ..] = &arguments[..] else { panic!("see question.md") };
    let (target, flags) = (Path::new(target), Flags::of(flags));
    match command.as_str() {
        "text" => text::write(target, &flags),
        "train" => student::train(target, &flags),
        "rewrite" => rewrite::write(target, &flags),
        "table" => table::write(target, &flags),
        unknown => panic!("{unknown}: text, rewrite, train or table"),
    }
}

/// `--name value`, some several times.
struct Flags(Vec<(String, String)>);

impl Flags {
    fn of(arguments: &[String]) -> Self {
        let pair = |pair: &[String]| match pair {
            [name, value] if name.starts_with("--") => (name[2..].to_owned(), value.clone()),
            other => panic!("{other:?}: a flag and its value"),
        };
        Self(arguments.chunks(2).map(pair).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    fn needed(&self, name: &str) -> &str {
        self.text(name).unwrap_or_else(|| panic!("--{name} is needed"))
    }

    fn number<T: FromStr>(&self, name: &str, otherwise: T) -> T {
        let parse = |value: &str| value.parse().unwrap_or_else(|_| panic!("--{name} {value}"));
        self.text(name).map_or(otherwise, parse)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Lines of JSON.
fn lines(path: &Path) -> Vec<Value> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Human text that no model here was trained on.
fn human(flags: &Flags) -> PathBuf {
    flags.text("human").map_or_else(|| root().join("tests/data/human.jsonl"), PathBuf::from)
}
