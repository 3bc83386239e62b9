//! All that is looked for, and looking for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
#[cfg(feature = "engine")]
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use touchmark::corpus::{Content, Document};
use touchmark::detect::{BayesianDetector, Detection, Detector, Row, Shown, Windows};
use touchmark::keys::KeyId;
use touchmark::normalise::{self, normalise};
use touchmark::prf::Start;
use touchmark::profile::{Lint, Profile};
use touchmark::stats::Family;
use touchmark::store::Store;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, TokenId, Tokenize, TokenizerHash};
use touchmark::watermark::Text;

use super::explain::shown;
use crate::args::{self, Global, Switch};
use crate::assemble;
#[cfg(feature = "engine")]
use crate::commands::entropies::Entropies;
use crate::models;
use crate::output;

/// What is to be looked for, and how.
pub struct Wanted<'a> {
    pub profiles: &'a [String],
    pub keys: &'a [String],
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
        let revision = args.loading.revision.as_deref().filter(|_| args.model.is_none());
        if revision.is_some() && args.tokenizer.is_none() {
            bail!("--revision is for a --model or --tokenizer of a hub; name one, or leave it out");
        }
        Ok(Self {
            profiles: &args.profile,
            keys: &args.looks.keys,
            normalise: args.looks.normalise == Switch::On,
            windows: args.looks.segments,
            fpr: args.fpr,
            tokenizer: args.tokenizer.as_deref().map(|name| (name, revision)),
            model: args.model.as_ref().map(|model| (model, &args.loading)),
            bayesian: args.bayesian.as_deref(),
            explain: shown_tokens(args),
        })
    }
}

/// All of a text with `--explain`, as many as a report has room for.
fn shown_tokens(args: &args::Detect) -> Option<usize> {
    #[cfg(feature = "report")]
    if args.format.is_some_and(args::Format::is_report) {
        return Some(touchmark::report::MOST_TOKENS);
    }
    args.explain.then_some(usize::MAX)
}

/// One document, read for every profile.
pub struct Examined {
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
    #[cfg(feature = "engine")]
    entropies: Option<Mutex<Entropies>>,
}

/// A profile with one key.
struct Target {
    profile: Profile,
    detector: Detector,
    warnings: Vec<String>,
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

/// One way to read a document.
struct Reading<'e> {
    form: usize,
    text: Text<'e>,
}

impl Reader {
    pub fn new(global: &Global, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let store = assemble::store(global)?;
        let pairs = with_keys(&store, &profiles(global, wanted.profiles, &store)?, wanted.keys)?;
        let bayesian = wanted.bayesian.map(|file| weights(file, &pairs)).transpose()?;
        let mut tokenizers = BTreeMap::new();
        let mut targets = Vec::new();
        for profile in &pairs {
            let tokenizer = match tokenizers.entry(profile.tokenizer.hash) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let given = wanted.tokenizer;
                    new.insert(assemble::profile_tokenizer(global, &store, profile, given)?)
                }
            };
            let family = Family::one().times("profiles and keys", pairs.len() as u64);
            let key = assemble::key(&store, profile)?;
            let detector = assemble::detector(&key, profile, tokenizer, wanted.fpr, family)?
                .with_windows(wanted.windows);
            if global.verbose {
                describe(global, profile, &detector);
            }
            let gated = profile.scheme.scheme().entropy_floor().is_some();
            if gated && wanted.model.is_none() {
                bail!("profile \"{}\": {}", profile.id, Lint::NeedsModel);
            }
            let lints = profile.lint().into_iter().filter(|lint| *lint != Lint::NeedsModel);
            let lints = lints.chain(profile.lint_key(&key));
            let warnings = lints.map(|lint| lint.to_string()).collect();
            targets.push(Target { profile: profile.clone(), detector, warnings });
        }
        Ok(Self {
            #[cfg(feature = "engine")]
            entropies: entropies(global, wanted, &targets)?.map(Mutex::new),
            targets,
            tokenizers,
            bayesian,
            normalise: wanted.normalise,
            explain: wanted.explain,
        })
    }

    /// The profiles that are looked for, and how.
    #[cfg(feature = "report")]
    pub fn detectors(&self) -> impl Iterator<Item = (&Profile, &Detector)> {
        self.targets.iter().map(|target| (&target.profile, &target.detector))
    }

    /// How many profiles and keys are looked for.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    pub fn examine(&self, document: &Document) -> anyhow::Result<Examined> {
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
        #[cfg(feature = "engine")]
        self.gate(&mut encoded)?;
        let readings: Vec<Vec<Reading<'_>>> = self
            .targets
            .iter()
            .map(|target| readings(target, &encoded[&target.profile.tokenizer.hash]))
            .collect();
        let most = readings.iter().map(Vec::len).max().unwrap_or(1) as u64;
        let mut examined = Examined { rows: Vec::new(), shown: Vec::new() };
        for (target, readings) in self.targets.iter().zip(&readings) {
            let texts: Vec<Text<'_>> = readings.iter().map(|reading| reading.text).collect();
            let found = target.detector.best_of(&texts, most)?;
            let best = &readings[found.reading];
            let encoded = &encoded[&target.profile.tokenizer.hash];
            if let Some(most) = self.explain {
                let text = match &document.content {
                    Content::Text(text) if best.form == 0 => Some(text.as_str()),
                    Content::Text(_) => repaired.as_deref(),
                    Content::Tokens(_) => None,
                };
                let tokenizer = &self.tokenizers[&target.profile.tokenizer.hash];
                let encoding = &encoded.forms[best.form];
                let shown = shown(text, encoding, tokenizer, &target.detector, &found)?;
                let passages: Vec<_> = found.passages.iter().map(|it| it.tokens.clone()).collect();
                examined.shown.push(shown.excerpt(&passages, most));
            }
            let mut row = row(document, target, &found, best, encoded);
            if let Some(bayesian) = &self.bayesian {
                let ends = self.tokenizers[&target.profile.tokenizer.hash].special_ids();
                let (mark, ids) = (target.detector.watermark(), &encoded.forms[best.form].ids);
                row.posterior = Some(bayesian.examine(mark, ids, ends)?);
            }
            examined.rows.push(row);
        }
        Ok(examined)
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
fn readings<'e>(target: &Target, encoded: &'e Encoded) -> Vec<Reading<'e>> {
    let watermark = target.detector.watermark();
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
fn weights(file: &Path, profiles: &[Profile]) -> anyhow::Result<BayesianDetector> {
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

fn describe(global: &Global, profile: &Profile, detector: &Detector) {
    let (id, scheme, key) = (&profile.id, profile.scheme.name(), &profile.key_id);
    let enough = detector
        .enough(1)
        .map_or_else(String::new, |tokens| format!(", {tokens} tokens are enough"));
    output::detail(global.verbose, &format!("Profile {id}: {scheme}, key {key}{enough}"));
}

fn profiles(global: &Global, names: &[String], store: &Store) -> anyhow::Result<Vec<Profile>> {
    if names.is_empty() {
        return Ok(vec![assemble::default_profile(global, store, first_tokenizer)?]);
    }
    let profiles = if names.iter().any(|name| name == "all") {
        store.profiles()?
    } else {
        names.iter().map(|name| assemble::profile(store, name)).collect::<anyhow::Result<_>>()?
    };
    if profiles.is_empty() {
        bail!("there is no profile yet; `touchmark profile new NAME` makes one");
    }
    Ok(profiles)
}

/// Each profile with its own key, or with every key named that has the form its scheme wants.
fn with_keys(
    store: &Store,
    profiles: &[Profile],
    names: &[String],
) -> anyhow::Result<Vec<Profile>> {
    if names.is_empty() {
        return Ok(profiles.to_vec());
    }
    let keys = if names.iter().any(|name| name == "all") {
        store.keys()?
    } else {
        let named = names.iter().map(|name| Ok(store.key_info(&name.parse::<KeyId>()?)?));
        named.collect::<anyhow::Result<Vec<_>>>()?
    };
    let mut pairs = Vec::new();
    for profile in profiles {
        let fitting = keys.iter().filter(|key| key.numbers == profile.scheme.key_numbers());
        pairs.extend(fitting.map(|key| Profile { key_id: key.id.clone(), ..profile.clone() }));
    }
    if pairs.is_empty() {
        bail!("none of the keys has the form that the profiles' schemes want");
    }
    Ok(pairs)
}

#[cfg(bundled_models)]
fn first_tokenizer() -> anyhow::Result<models::TokenizerSource> {
    Ok(crate::commands::bundled::tokenizer_source())
}

#[cfg(not(bundled_models))]
fn first_tokenizer() -> anyhow::Result<models::TokenizerSource> {
    bail!(
        "there is no default profile and this build has no bundled model; make one with `touchmark profile new default --tokenizer PATH`"
    )
}

fn row(
    document: &Document,
    target: &Target,
    found: &Detection,
    best: &Reading<'_>,
    encoded: &Encoded,
) -> Row {
    let mut row = Row::new(
        document.id.clone(),
        document.source.clone(),
        document.offset,
        &target.profile,
        &target.detector,
        found,
    );
    let start = match best.text.start {
        Start::Fragment => "any part of an answer",
        Start::Answer { .. } => "an answer from its first token on",
    };
    let form = if best.form == 0 { "" } else { ", normalised " };
    let version = if best.form == 0 { "" } else { normalise::VERSION };
    row.reading = format!("{start}{form}{version}");
    row.ids_lost_in_text = encoded.ids_lost_in_text;
    locate(&mut row, document, best.form, &encoded.forms[best.form]);
    row.warnings.extend(target.warnings.iter().cloned());
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
