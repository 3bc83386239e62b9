//! All that is looked for, and looking for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "engine")]
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use touchmark::corpus::{Content, Document};
use touchmark::detect::{
    BayesianDetector, Candidates, Detection, Detector, Row, Screen, Shown, Windows,
};
use touchmark::keys::TenantName;
use touchmark::normalise::{self, normalise};
use touchmark::prf::Start;
use touchmark::profile::Profile;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, TokenId, Tokenize, TokenizerHash};
use touchmark::watermark::{Text, Watermark};

use super::explain::shown;
use super::targets::{self, Target};
use crate::args::{self, Global, Looks, Marks, Switch};
use crate::assemble;
#[cfg(feature = "engine")]
use crate::commands::entropies::Entropies;

/// What is to be looked for, and how.
pub struct Wanted<'a> {
    pub profiles: &'a [String],
    pub keys: &'a [String],
    pub tenants: Option<&'a Path>,
    /// Tenants whose keys are tried besides.
    pub also_tenants: &'a [TenantName],
    pub screen: Screen,
    /// How many keys of a profile are told of; none: as many as is usual.
    pub top: Option<usize>,
    /// Whether each key is a family of its own: its p-values then pay for no other.
    pub alone: bool,
    pub normalise: bool,
    pub windows: Windows,
    pub fpr: f64,
    pub tokenizer: Option<(&'a Path, Option<&'a str>)>,
    pub model: Option<(&'a PathBuf, &'a args::Loading)>,
    pub bayesian: Option<&'a Path>,
    /// How many tokens of a text are shown.
    pub explain: Option<usize>,
}

impl<'a> Wanted<'a> {
    pub fn of(args: &'a args::Detect) -> anyhow::Result<Self> {
        Ok(Self {
            bayesian: args.bayesian.as_deref(),
            explain: shown_tokens(args),
            ..Self::marks(&args.marks, args.fpr)?
        })
    }

    /// Profiles and keys, and what reads texts for them.
    pub fn marks(marks: &'a Marks, fpr: f64) -> anyhow::Result<Self> {
        let revision = marks.loading.revision.as_deref().filter(|_| marks.model.is_none());
        if revision.is_some() && marks.tokenizer.is_none() {
            bail!("--revision is for a --model or --tokenizer of a hub; name one, or leave it out");
        }
        Ok(Self {
            tokenizer: marks.tokenizer.as_deref().map(|name| (name, revision)),
            model: marks.model.as_ref().map(|model| (model, &marks.loading)),
            ..Self::looks(&marks.profile, &marks.looks, fpr)
        })
    }

    /// Profiles and keys, without a model or another tokenizer.
    pub fn looks(profiles: &'a [String], looks: &'a Looks, fpr: f64) -> Self {
        Self {
            profiles,
            keys: &looks.keys,
            tenants: looks.tenants.as_deref(),
            also_tenants: &[],
            screen: looks.screen,
            top: looks.top.map(|top| top as usize),
            alone: false,
            normalise: looks.normalise == Switch::On,
            windows: looks.segments,
            fpr,
            tokenizer: None,
            model: None,
            bayesian: None,
            explain: None,
        }
    }
}

/// All of a text with `--explain`, as many as a report has room for.
fn shown_tokens(args: &args::Detect) -> Option<usize> {
    if args.is_report() {
        return Some(touchmark::report::MOST_TOKENS);
    }
    args.explain.then_some(usize::MAX)
}

/// One document, read for every profile.
#[derive(Default)]
pub struct Examined {
    /// Tokens of the document as it is; the fewest, where several tokenizers read it.
    #[cfg_attr(not(feature = "serve"), expect(dead_code, reason = "the server alone asks"))]
    pub tokens: usize,
    pub rows: Vec<Row>,
    /// The text with its tokens' evidence for each row, for `--explain` and the report.
    pub shown: Vec<Shown>,
}

/// All that is looked for.
pub struct Reader {
    targets: Vec<Target>,
    tokenizers: BTreeMap<TokenizerHash, HfTokenizer>,
    bayesian: Option<BayesianDetector>,
    normalise: bool,
    explain: Option<usize>,
    beside: Option<Arc<dyn Beside>>,
    #[cfg(feature = "engine")]
    entropies: Option<Mutex<Entropies>>,
}

/// What is done with each document besides its rows.
pub trait Beside: Send + Sync {
    /// A document as it is read for one profile and key, all readings of it, and the row that was made of it.
    fn see(&self, detector: &Detector, readings: &[Text<'_>], row: &mut Row) -> anyhow::Result<()>;
}

/// A profile with one key.
pub struct Mark<'r> {
    pub profile: &'r Profile,
    /// Public name of the key.
    pub key: &'r str,
    pub detector: &'r Detector,
    pub tokenizer: &'r HfTokenizer,
}

/// A document's tokens under one tokenizer.
struct Encoded {
    /// As it is, then normalised where that is another text.
    forms: Vec<Encoding>,
    prompt: Option<Vec<TokenId>>,
    ids_lost_in_text: Option<usize>,
    /// Entropies of the first form.
    #[cfg(feature = "engine")]
    nats: Vec<f64>,
}

/// A document, read for one profile.
struct Read<'e> {
    document: &'e Document,
    repaired: Option<&'e str>,
    target: &'e Target,
    readings: &'e [Reading<'e>],
    encoded: &'e Encoded,
}

/// One way to read a document.
struct Reading<'e> {
    form: usize,
    text: Text<'e>,
}

impl Reader {
    pub fn new(global: &Global, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let store = assemble::store(global)?;
        let chosen = targets::chosen(global, &store, wanted)?;
        let profiles = || chosen.iter().map(|chosen| &chosen.profile);
        let bayesian = wanted.bayesian.map(|file| weights(file, profiles())).transpose()?;
        let mut tokenizers = BTreeMap::new();
        for profile in profiles() {
            if let Entry::Vacant(new) = tokenizers.entry(profile.tokenizer.hash) {
                let given = wanted.tokenizer;
                new.insert(assemble::profile_tokenizer(global, &store, profile, given)?);
            }
        }
        let targets = targets::of(global, chosen, wanted, |hash| &tokenizers[&hash])?;
        Ok(Self {
            #[cfg(feature = "engine")]
            entropies: entropies(global, wanted, &targets)?.map(Mutex::new),
            targets,
            tokenizers,
            bayesian,
            normalise: wanted.normalise,
            explain: wanted.explain,
            beside: None,
        })
    }

    /// Has this done too with every document.
    pub fn attach(&mut self, beside: Arc<dyn Beside>) {
        self.beside = Some(beside);
    }

    /// All that is looked for.
    pub fn marks(&self) -> impl Iterator<Item = Mark<'_>> {
        self.targets.iter().flat_map(move |target| {
            let tokenizer = &self.tokenizers[&target.profile.tokenizer.hash];
            let keys = target.names.iter().zip(target.keys.detectors());
            let profile = &target.profile;
            keys.map(move |(key, detector)| Mark { profile, key, detector, tokenizer })
        })
    }

    /// The profiles that are looked for.
    #[cfg(feature = "serve")]
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.targets.iter().map(|target| &target.profile)
    }

    /// How many profiles and keys are looked for.
    pub fn targets(&self) -> usize {
        self.targets.iter().map(|target| target.keys.detectors().len()).sum()
    }

    /// Whether every document has a row for each profile and key, as it has where there are not very many keys.
    pub fn tells_of_all(&self) -> bool {
        self.targets.iter().all(|target| {
            let keys = target.keys.detectors().len();
            target.top >= keys && keys <= Screen::KEPT
        })
    }

    pub fn examine(&self, document: &Document) -> anyhow::Result<Examined> {
        self.examine_if(document, 0, self.explain)
    }

    /// The same, showing so many tokens; no mark is read of a document with fewer tokens than `least`.
    pub fn examine_if(
        &self,
        document: &Document,
        least: usize,
        explain: Option<usize>,
    ) -> anyhow::Result<Examined> {
        let repaired = match &document.content {
            Content::Text(text) if self.normalise => normalise(text),
            _ => None,
        };
        let mut encoded = BTreeMap::new();
        for target in &self.targets {
            if let Entry::Vacant(new) = encoded.entry(target.profile.tokenizer.hash) {
                let tokenizer = &self.tokenizers[new.key()];
                new.insert(Encoded::new(document, repaired.as_deref(), tokenizer)?);
            }
        }
        let tokens = encoded.values().map(|encoded| encoded.forms[0].ids.len()).min().unwrap_or(0);
        if tokens < least {
            return Ok(Examined { tokens, ..Examined::default() });
        }
        #[cfg(feature = "engine")]
        self.gate(&mut encoded)?;
        let readings: Vec<Vec<Reading<'_>>> = self
            .targets
            .iter()
            .map(|target| readings(target.mark(), &encoded[&target.profile.tokenizer.hash]))
            .collect();
        let most = readings.iter().map(Vec::len).max().unwrap_or(1) as u64;
        let mut examined = Examined { tokens, ..Examined::default() };
        for (target, readings) in self.targets.iter().zip(&readings) {
            let texts: Vec<Text<'_>> = readings.iter().map(|reading| reading.text).collect();
            let found = target.keys.best_of(&texts, most, target.top)?;
            let encoded = &encoded[&target.profile.tokenizer.hash];
            let read = Read { document, repaired: repaired.as_deref(), target, readings, encoded };
            for (key, detection) in &found.best {
                if let Some(most) = explain {
                    let passages: Vec<_> =
                        detection.passages.iter().map(|passage| passage.tokens.clone()).collect();
                    let shown = self.shown(&read, *key, detection)?;
                    examined.shown.push(shown.excerpt(&passages, most));
                }
                let mut row = self.row(&read, *key, detection, &found)?;
                if let Some(beside) = &self.beside {
                    beside.see(&target.keys.detectors()[*key], &texts, &mut row)?;
                }
                examined.rows.push(row);
            }
        }
        Ok(examined)
    }

    /// The text with its tokens' evidence.
    fn shown(&self, read: &Read<'_>, key: usize, found: &Detection) -> anyhow::Result<Shown> {
        let form = read.readings[found.reading].form;
        let text = match &read.document.content {
            Content::Text(text) if form == 0 => Some(text.as_str()),
            Content::Text(_) => read.repaired,
            Content::Tokens(_) => None,
        };
        let tokenizer = &self.tokenizers[&read.target.profile.tokenizer.hash];
        let detector = &read.target.keys.detectors()[key];
        shown(text, &read.encoded.forms[form], tokenizer, detector, found)
    }

    fn row(
        &self,
        read: &Read<'_>,
        key: usize,
        found: &Detection,
        candidates: &Candidates,
    ) -> anyhow::Result<Row> {
        let Read { target, encoded, .. } = read;
        let best = &read.readings[found.reading];
        let mut row = row(read, key, found, best);
        if let Some(words) = candidates.words() {
            row.family = format!("{}; {words}", row.family);
        }
        if let Some(bayesian) = &self.bayesian {
            let ends = self.tokenizers[&target.profile.tokenizer.hash].special_ids();
            let mark = target.keys.detectors()[key].watermark();
            let ids = &encoded.forms[best.form].ids;
            row.posterior = Some(bayesian.examine(mark, ids, ends)?);
        }
        Ok(row)
    }

    /// Finds entropies for the schemes that want them. Of the one model there is; its tokenizer is checked, so they are
    /// the same for every gated profile.
    #[cfg(feature = "engine")]
    fn gate(&self, encoded: &mut BTreeMap<TokenizerHash, Encoded>) -> anyhow::Result<()> {
        let gated = |target: &&Target| target.profile.scheme.scheme().entropy_floor().is_some();
        let Some(target) = self.targets.iter().find(gated) else { return Ok(()) };
        let model =
            self.entropies.as_ref().context("internal fault: no model for a gated scheme")?;
        let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoded) = encoded.get_mut(&target.profile.tokenizer.hash) {
            encoded.nats = model.of_text(&encoded.forms[0].ids)?;
        }
        Ok(())
    }
}

impl Encoded {
    fn new(
        document: &Document,
        repaired: Option<&str>,
        tokenizer: &HfTokenizer,
    ) -> anyhow::Result<Self> {
        let (mut forms, mut lost) = (Vec::new(), None);
        match &document.content {
            Content::Text(text) => {
                forms.push(tokenizer.encode(text)?);
                // Repairs may end in the same tokens.
                let repaired = repaired.map(|text| tokenizer.encode(text)).transpose()?;
                forms.extend(repaired.filter(|repaired| repaired.ids != forms[0].ids));
            }
            Content::Tokens(ids) => {
                check_ids(document, ids, tokenizer)?;
                let again = tokenizer.encode(&tokenizer.decode(ids)?)?.ids;
                lost = Some(ids.len() - in_common(ids, &again));
                forms.push(Encoding { ids: ids.clone(), bytes: Vec::new() });
            }
        }
        let prompt = document.prompt.as_ref().map(|prompt| tokenizer.encode_prompt(prompt));
        Ok(Self {
            forms,
            prompt: prompt.transpose()?,
            ids_lost_in_text: lost,
            #[cfg(feature = "engine")]
            nats: Vec::new(),
        })
    }
}

fn check_ids(document: &Document, ids: &[TokenId], tokenizer: &HfTokenizer) -> anyhow::Result<()> {
    let Some(id) = ids.iter().find(|&&id| id as usize >= tokenizer.vocab_size()) else {
        return Ok(());
    };
    bail!(
        "{}, record \"{}\": id {id} is outside the tokenizer's vocabulary of {}",
        document.source,
        document.id,
        tokenizer.vocab_size()
    )
}

/// How many ids two lists share in order, resynchronising after differences of up to a few tokens.
fn in_common(a: &[TokenId], b: &[TokenId]) -> usize {
    const NEAR: usize = 8;
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            (i, j, common) = (i + 1, j + 1, common + 1);
            continue;
        }
        let steps = (1..=2 * NEAR).flat_map(|sum| (0..=sum).map(move |x| (x, sum - x)));
        let meets = |&(x, y): &(usize, usize)| {
            x <= NEAR && y <= NEAR && a.get(i + x).is_some_and(|id| b.get(j + y) == Some(id))
        };
        let (x, y) = steps.into_iter().find(meets).unwrap_or((1, 1));
        (i, j) = (i + x, j + y);
    }
    common
}

/// Every way to read a document for one profile.
fn readings<'e>(watermark: &Watermark, encoded: &'e Encoded) -> Vec<Reading<'e>> {
    // Entropies are known of the text as it is.
    let gated = watermark.spec().scheme().entropy_floor().is_some();
    let forms = if gated { &encoded.forms[..1] } else { &encoded.forms[..] };
    let known = encoded.prompt.as_ref().map(|prompt| [Start::Answer { prompt }]);
    let starts: &[Start<'e>] = match &known {
        Some(known) => known,
        None => watermark.starts(),
    };
    let mut all = Vec::new();
    for (form, encoding) in forms.iter().enumerate() {
        for &start in starts {
            let text = Text { ids: &encoding.ids, start, ..Text::default() };
            #[cfg(feature = "engine")]
            let text = Text { entropies: &encoded.nats, ..text };
            all.push(Reading { form, text });
        }
    }
    all
}

/// The model that gates scores; its tokenizer must be that of every profile it gates.
#[cfg(feature = "engine")]
fn entropies(
    global: &Global,
    wanted: &Wanted<'_>,
    targets: &[Target],
) -> anyhow::Result<Option<Entropies>> {
    let Some((name, loading)) = wanted.model else { return Ok(None) };
    let model = Entropies::of(global, name, loading)?;
    let gated = |target: &&Target| target.profile.scheme.scheme().entropy_floor().is_some();
    for target in targets.iter().filter(gated) {
        assemble::check_tokenizer(&target.profile, model.tokenizer())
            .with_context(|| format!("--model {} cannot gate the score", name.display()))?;
    }
    Ok(Some(model))
}

/// Weights of a Bayesian detector that go with every profile.
fn weights<'p>(
    file: &Path,
    profiles: impl Iterator<Item = &'p Profile>,
) -> anyhow::Result<BayesianDetector> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let weights: BayesianDetector = serde_json::from_str(&text)
        .with_context(|| format!("{shown} holds no weights of a Bayesian detector"))?;
    for profile in profiles {
        let fits = weights.check(&profile.scheme);
        fits.with_context(|| format!("--bayesian cannot read profile \"{}\"", profile.id))?;
    }
    Ok(weights)
}

fn row(read: &Read<'_>, key: usize, found: &Detection, best: &Reading<'_>) -> Row {
    let Read { document, target, encoded, .. } = read;
    let mut row = Row::new(
        document.id.clone(),
        document.source.clone(),
        document.offset,
        &target.profile,
        &target.keys.detectors()[key],
        found,
    );
    row.key_id.clone_from(&target.names[key]);
    let start = match best.text.start {
        Start::Fragment => "any part of an answer",
        Start::Answer { .. } => "an answer from its first token on",
    };
    let form = if best.form == 0 { "" } else { ", normalised " };
    let version = if best.form == 0 { "" } else { normalise::VERSION };
    row.reading = format!("{start}{form}{version}");
    row.ids_lost_in_text = encoded.ids_lost_in_text;
    locate(&mut row, document, best.form, &encoded.forms[best.form]);
    row.warnings.extend(target.warnings(key).cloned());
    row
}

/// Gives segments their bytes in the document as it is.
fn locate(row: &mut Row, document: &Document, form: usize, encoding: &Encoding) {
    let Content::Text(text) = &document.content else { return };
    if row.segments.is_empty() {
        return;
    }
    // Where the repaired text was read, it is repaired again: passages are rare, and only they need to know what came from where.
    match (form > 0).then(|| normalise::traced(text)).flatten() {
        Some(normalised) => row.locate(&encoding.bytes, |byte| normalised.origin(byte)),
        None => row.locate(&encoding.bytes, |byte| byte),
    }
}
