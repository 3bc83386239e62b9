//! The open setting: suspect and base read texts.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::attribution::{
    Attribution, Chosen, Expected, Gatherer, Read, Readers, Setting, Statistic, Transcript, Weighed,
};
use touchmark::corpus::Content;
use touchmark::tokens::{TokenId, Tokenize};

use super::marked::Marked;
use super::tested::{self, Gathered};
use crate::args::{Global, Inputs, StdinFormat, attribute::Run};
use crate::commands::detect::documents;
use crate::models::{self, Loading, Model, Reach};
use crate::output;

const NULL: &str = "the suspect and the texts are independent of the key; the p-value is averaged over the random choice of a key \
                    that was fixed before either";
const NULL_MARKED: &str = "the suspect is independent of the key, and expects nothing because the texts, which are marked, show it; the \
                           controls are to tell whether that holds";

pub fn test(global: &Global, args: &Run, mark: &Marked) -> anyhow::Result<Attribution> {
    let pieces = pieces(args, mark)?;
    let marked_p = texts_p(mark, &pieces)?;
    let suspect_name = args.suspect.as_deref().context("internal fault: no suspect")?;
    let mut suspect = load(global, args, Path::new(suspect_name), mark)?;
    let base = args.base.as_deref();
    let mut base_model = base.map(|path| load(global, args, path, mark)).transpose()?;
    let mut gathering = Gathering::new(args, mark, base.is_some());
    let readers = Readers::new(
        suspect.lm.as_mut(),
        base_model.as_mut().map(|base| base.lm.as_mut() as _),
        &suspect.begin,
    )?;
    let (read, mut growth) = gathering.read(global, readers, &pieces)?;
    if !args.alike.is_empty() {
        // What was there on the way still holds what others do as well.
        growth.clear();
    }
    let mut beside_suspect =
        |path: &PathBuf| other(global, args, mark, path, base_model.as_mut(), &pieces);
    let alike = args.alike.iter().map(&mut beside_suspect).collect::<anyhow::Result<Vec<_>>>()?;
    let without = |soft: Gatherer| alike.iter().fold(soft, |soft, other| soft.without(other));
    let mut controls = gathering.base_alone();
    for path in &args.controls {
        controls.push((path.display().to_string(), without(beside_suspect(path)?).finish()));
    }
    let mut found = Gathered {
        setting: Setting::Open,
        suspect: suspect_name.to_owned(),
        base: base.map(|path| path.display().to_string()),
        statistic: Statistic::SoftDifference,
        primary: without(gathering.soft).finish(),
        beside: vec![
            (Statistic::ArgmaxPairs, gathering.pairs.transcript()),
            (Statistic::ArgmaxContexts, gathering.contexts.transcript()),
        ],
        controls,
        growth,
        counts: counts(&read, &pieces),
        premises: Vec::new(),
        warnings: Vec::new(),
        null: if args.marked { NULL_MARKED } else { NULL }.to_owned(),
    };
    premises(args, &mut found, marked_p);
    tested::result(global, args, mark, found)
}

/// What must hold for a verdict.
fn premises(args: &Run, found: &mut Gathered, marked_p: f64) {
    found.counts.insert("texts_log10_p".to_owned(), marked_p.into());
    if found.primary.cells() == 0 {
        found.premises.push(if args.base.is_some() {
            "the suspect expects exactly what the base does: it is the base, as far as these texts show".to_owned()
        } else {
            "the texts gave no position to weigh".to_owned()
        });
    }
    if args.base.is_none() {
        found.warnings.push(
            "no base was given: what every model expects alike stays in, which costs most of the power".to_owned(),
        );
    }
    if args.marked && args.controls.is_empty() {
        found.premises.push(
            "the texts are marked, and no --control model without the mark was read: copying from what was read cannot be told from training"
                .to_owned(),
        );
    }
    if !args.marked && marked_p <= -3.0 {
        found.premises.push(format!(
            "the texts themselves carry the mark (log10 p {marked_p:.1}); read text that was written without it, or say --marked and give \
             --control models"
        ));
    }
}

fn counts(read: &Read, pieces: &[Vec<TokenId>]) -> serde_json::Map<String, serde_json::Value> {
    let tokens: usize = pieces.iter().map(Vec::len).sum();
    let pairs = [
        ("texts", read.texts),
        ("tokens", tokens as u64),
        ("positions", read.positions),
        ("repeated", read.repeated),
    ];
    pairs.map(|(name, count)| (name.to_owned(), count.into())).into_iter().collect()
}

/// What is gathered of one suspect in one pass.
struct Gathering {
    reach: usize,
    soft: Gatherer,
    pairs: Chosen,
    contexts: Chosen,
    base: Option<Gatherer>,
    weights: Vec<f32>,
    top: usize,
}

impl Gathering {
    fn new(args: &Run, mark: &Marked, base: bool) -> Self {
        let usual = if mark.first().seeds_by_context() { 1024 } else { 64 };
        let (reach, top) = (mark.reach, args.top.map_or(usual, |top| top as usize));
        Self {
            reach,
            soft: Gatherer::new(reach, top),
            pairs: Chosen::new(reach, false),
            contexts: Chosen::new(reach, true),
            base: base.then(|| Gatherer::new(reach, top)),
            weights: Vec::new(),
            top,
        }
    }

    /// Reads all pieces; also what there was after an eighth, a quarter and a half of them.
    fn read(
        &mut self,
        global: &Global,
        mut readers: Readers<'_>,
        pieces: &[Vec<TokenId>],
    ) -> anyhow::Result<(Read, Vec<(u64, Transcript)>)> {
        let bar = output::progress(
            global.quiet || global.no_progress,
            Some(pieces.len() as u64),
            "texts",
        )?;
        let (mut all, mut growth, mut tokens) = (Read::default(), Vec::new(), 0);
        for (number, piece) in (1..).zip(pieces) {
            let read = readers.read(piece, self.reach, |expected| self.note(expected))?;
            all.texts += 1;
            all.positions += read.positions;
            all.repeated += read.repeated;
            tokens += piece.len() as u64;
            bar.inc(1);
            if [8, 4, 2].iter().any(|part| number * part == pieces.len() / 8 * 8) {
                growth.push((tokens, self.soft.so_far()));
            }
        }
        bar.finish_and_clear();
        Ok((all, growth))
    }

    fn note(&mut self, expected: &Expected<'_>) {
        expected.difference(&mut self.weights);
        self.soft.add(expected.context, &self.weights);
        let token = expected.likeliest();
        self.pairs.note(expected.context, token);
        self.contexts.note(expected.context, token);
        if let (Some(gatherer), Some(base)) = (&mut self.base, expected.base) {
            self.weights.clear();
            self.weights.extend(base.iter().map(|p| p.sqrt()));
            gatherer.add(expected.context, &self.weights);
        }
    }

    fn base_alone(&mut self) -> Vec<(String, Transcript)> {
        let fresh = Gatherer::new(self.reach, self.top);
        let base = self.base.as_mut().map(|base| std::mem::replace(base, fresh));
        base.map(|base| ("base alone".to_owned(), base.finish())).into_iter().collect()
    }
}

/// What another model expects, minus the base.
fn other(
    global: &Global,
    args: &Run,
    mark: &Marked,
    path: &Path,
    base: Option<&mut Model>,
    pieces: &[Vec<TokenId>],
) -> anyhow::Result<Gatherer> {
    let mut model = load(global, args, path, mark)?;
    let base = base.map(|base| base.lm.as_mut() as _);
    let mut readers = Readers::new(model.lm.as_mut(), base, &model.begin)
        .with_context(|| format!("{} cannot be compared", path.display()))?;
    let mut soft = Gatherer::new(mark.reach, Gathering::new(args, mark, false).top);
    let mut weights = Vec::new();
    for piece in pieces {
        readers.read(piece, mark.reach, |expected| {
            expected.difference(&mut weights);
            soft.add(expected.context, &weights);
        })?;
    }
    Ok(soft)
}

fn load(global: &Global, args: &Run, path: &Path, mark: &Marked) -> anyhow::Result<Model> {
    let given = path.to_string_lossy();
    if given.starts_with("http://") || given.starts_with("https://") {
        bail!(
            "{given} is an endpoint, which cannot be made to read texts: ask it --prompts instead"
        );
    }
    let chat = given == models::BUNDLED_CHAT;
    let name = if chat { Path::new("bundled") } else { path };
    let place =
        models::locate(global, Some(name), args.asking.loading.revision.as_deref(), Reach::Fetch)?;
    let loading = Loading {
        tokenizer: args.asking.tokenizer.as_deref(),
        device: args.asking.loading.device,
        dtype: args.asking.loading.dtype.into(),
        chat,
    };
    let model = models::load(global, &place, loading)?;
    if model.tokenizer.hash() != mark.tokenizer.hash() {
        bail!(
            "{} has another tokenizer than profile \"{}\", which was made for that of {}: test it by what it says, with --prompts",
            path.display(),
            mark.profile.id,
            mark.profile.tokenizer.name
        );
    }
    Ok(model)
}

/// The texts in pieces: one of each text in turn, so that many texts take part, up to the number of tokens.
fn pieces(args: &Run, mark: &Marked) -> anyhow::Result<Vec<Vec<TokenId>>> {
    let texts = texts(&args.texts, mark)?;
    let size = args.piece as usize;
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    let (mut pieces, mut left) = (Vec::new(), args.max_tokens as usize);
    for start in (0..longest).step_by(size) {
        for text in texts.iter().filter(|text| text.len() > start + mark.reach) {
            let end = text.len().min(start + size.min(left));
            if end <= start + mark.reach {
                return Ok(pieces);
            }
            pieces.push(text[start..end].to_vec());
            left -= end - start;
        }
    }
    if pieces.is_empty() {
        bail!("the texts have no {} tokens in a row; give longer ones", mark.reach + 1);
    }
    Ok(pieces)
}

fn texts(paths: &[PathBuf], mark: &Marked) -> anyhow::Result<Vec<Vec<TokenId>>> {
    let mut texts = Vec::new();
    for document in documents(&inputs(paths))? {
        let document = document?;
        texts.push(match document.content {
            Content::Text(text) => mark.tokenizer.encode(&text)?.ids,
            Content::Tokens(ids) => ids,
        });
    }
    Ok(texts)
}

/// Files as `detect` reads them.
fn inputs(paths: &[PathBuf]) -> Inputs {
    Inputs {
        paths: paths.to_vec(),
        files_from: None,
        stdin_format: StdinFormat::default(),
        text_field: "text".to_owned(),
        id_field: "id".to_owned(),
        tokens_field: None,
        prompt_field: None,
        max_document: 64 << 20,
    }
}

/// What the texts themselves say of the mark: the smallest p over the keys, corrected.
fn texts_p(mark: &Marked, pieces: &[Vec<TokenId>]) -> anyhow::Result<f64> {
    let mut own = Chosen::new(mark.reach, false);
    for piece in pieces {
        for position in mark.reach..piece.len() {
            own.note(&piece[..position], piece[position]);
        }
    }
    let transcript = own.transcript();
    let mut least = 0.0_f64;
    for (_, watermark) in &mark.keys {
        least = least.min(Weighed::new(&transcript, watermark)?.p()?.log10());
    }
    Ok((least + (mark.keys.len() as f64).log10()).clamp(-1e15, 0.0))
}
