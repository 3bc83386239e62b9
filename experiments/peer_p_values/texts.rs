//! The null texts: windows of human text, and texts that repeat themselves.

use std::path::Path;

use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{TokenId, Tokenize};

/// Which texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextSet {
    /// Windows of so many tokens of human text.
    Human(usize),
    /// Windows of 400 tokens of lists, tables, forms and paragraphs said over and over.
    Repetitive,
}

impl TextSet {
    /// As tables write it.
    pub fn name(self) -> String {
        match self {
            Self::Human(tokens) => format!("human text, {tokens} tokens"),
            Self::Repetitive => format!("repetitive text, {REPETITIVE} tokens"),
        }
    }
}

const REPETITIVE: usize = 400;

/// Tokenised documents to take windows of.
pub struct Source {
    human: Vec<Vec<TokenId>>,
    repetitive: Vec<Vec<TokenId>>,
}

impl Source {
    /// `tests/data/human.jsonl`, and the repetitive texts of `tests/it/calibration.rs`.
    pub fn new(root: &Path, tokenizer: &HfTokenizer) -> Self {
        let human = std::fs::read_to_string(root.join("tests/data/human.jsonl")).unwrap();
        let documents =
            human.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let encode = |text: &str| tokenizer.encode(text).unwrap().ids;
        Self {
            human: documents.map(|document| encode(document["text"].as_str().unwrap())).collect(),
            repetitive: repetitive().iter().map(|text| encode(text)).collect(),
        }
    }

    /// The text of a pair: the set's documents one after the other, and in them a window that the pair's number chooses.
    /// Two sets differ in their windows; of one set, the texts of all groups are the same.
    pub fn text(&self, set: TextSet, pair: u64) -> &[TokenId] {
        let (documents, tokens) = match set {
            TextSet::Human(tokens) => (&self.human, tokens),
            TextSet::Repetitive => (&self.repetitive, REPETITIVE),
        };
        let hash = blake3::hash(&[(tokens as u64).to_le_bytes(), pair.to_le_bytes()].concat());
        let number = hash.as_bytes()[..8].iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
        let windows = |document: &Vec<TokenId>| (document.len() + 1).saturating_sub(tokens);
        let total: usize = documents.iter().map(windows).sum();
        let mut at = (number % total as u64) as usize;
        for document in documents {
            if at < windows(document) {
                return &document[at..at + tokens];
            }
            at -= windows(document);
        }
        &[]
    }
}

fn repetitive() -> [String; 5] {
    let paragraph = "The lease begins on the first day of the month and ends when either party gives notice in writing.\n\n";
    let list: String =
        (1..=150).map(|i| format!("- item {i}: in stock, ships in {} days\n", i % 7 + 1)).collect();
    let table: String =
        (0..120).map(|i| format!("| row {} | yes | no | n/a |\n", i % 10)).collect();
    let forms = "Name: ______  Date: ______  Signature: ______\n".repeat(60);
    let words = "very ".repeat(600);
    [paragraph.repeat(40), list, table, forms, words]
}
