//! `touchmark detect`: look for marks in texts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::corpus::{self, Content, Document, Fields};
use touchmark::detect::{BayesianDetector, Detection, Detector, Row, Verdict};
use touchmark::profile::{Lint, Profile};
use touchmark::stats::Family;
use touchmark::store::Store;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::{Encoding, Tokenize, TokenizerHash};
use touchmark::watermark::Text;

#[cfg(feature = "engine")]
use super::entropies::Entropies;
use crate::args::{self, FailOn, Format, Global, StdinFormat};
use crate::assemble;
use crate::models;
use crate::output::{self, Exit, Highlight};

pub fn run(global: &Global, args: &args::Detect) -> anyhow::Result<Exit> {
    let mut reader = Reader::new(global, args)?;
    let stdin = if args.stdin_format == StdinFormat::Jsonl {
        corpus::Format::Jsonl
    } else {
        corpus::Format::Text
    };
    let fields = Fields {
        text: args.text_field.clone(),
        id: args.id_field.clone(),
        tokens: args.tokens_field.clone(),
    };
    let mut sink = Sink::new(global, args)?;
    let (mut read, mut failed, mut found) = (0_u64, 0_u64, false);
    // Rows on the terminal are progress enough.
    let bar = output::progress(
        global.no_progress || global.quiet || args.output.is_none(),
        None,
        "documents",
    )?;
    for document in corpus::documents(args.paths.clone(), stdin, fields) {
        let outcome =
            document.map_err(anyhow::Error::from).and_then(|document| reader.examine(document));
        bar.inc(1);
        match outcome {
            Ok(examined) => {
                read += 1;
                found |= examined.rows.iter().any(|row| row.verdict == Verdict::Detected);
                sink.write(&examined)?;
            }
            Err(error) => {
                failed += 1;
                output::warn(&output::causes(&error));
            }
        }
    }
    bar.finish_and_clear();
    sink.finish()?;
    if failed > 0 {
        output::warn(&format!("{failed} of {} documents could not be examined", read + failed));
    }
    Ok(match (read, failed) {
        (0, 1..) => Exit::Nothing,
        _ if found && args.fail_on == Some(FailOn::Detected) => Exit::Gate,
        (_, 1..) => Exit::Partial,
        _ => Exit::Done,
    })
}

/// One document, read for every profile.
struct Examined {
    rows: Vec<Row>,
    /// The text with its tokens' evidence, for `--explain`.
    explained: Vec<String>,
}

/// All that is looked for.
struct Reader {
    targets: Vec<Target>,
    tokenizers: BTreeMap<TokenizerHash, HfTokenizer>,
    bayesian: Option<BayesianDetector>,
    explain: bool,
    #[cfg(feature = "engine")]
    entropies: Option<Entropies>,
}

struct Target {
    profile: Profile,
    detector: Detector,
    warnings: Vec<String>,
}

impl Reader {
    fn new(global: &Global, args: &args::Detect) -> anyhow::Result<Self> {
        let store = assemble::store(global)?;
        let profiles = profiles(global, args, &store)?;
        let revision = args.loading.revision.as_deref().filter(|_| args.model.is_none());
        let given = args.tokenizer.as_deref().map(|name| (name, revision));
        if revision.is_some() && given.is_none() {
            bail!("--revision is for a --model or --tokenizer of a hub; name one, or leave it out");
        }
        let bayesian = args.bayesian.as_deref().map(|file| weights(file, &profiles)).transpose()?;
        let mut tokenizers = BTreeMap::new();
        let mut targets = Vec::new();
        for profile in &profiles {
            let tokenizer = match tokenizers.entry(profile.tokenizer.hash) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(assemble::profile_tokenizer(global, &store, profile, given)?)
                }
            };
            let detector =
                assemble::detector(&store, profile, tokenizer, args.fpr, profiles.len())?;
            if global.verbose {
                describe(global, profile, &detector);
            }
            let gated = profile.scheme.scheme().entropy_floor().is_some();
            if gated && args.model.is_none() {
                bail!("profile \"{}\": {}", profile.id, Lint::NeedsModel);
            }
            let lints = profile.lint().into_iter().filter(|lint| *lint != Lint::NeedsModel);
            let warnings = lints.map(|lint| lint.to_string()).collect();
            targets.push(Target { profile: profile.clone(), detector, warnings });
        }
        Ok(Self {
            #[cfg(feature = "engine")]
            entropies: entropies(global, args, &targets)?,
            targets,
            tokenizers,
            bayesian,
            explain: args.explain,
        })
    }

    #[cfg_attr(
        not(feature = "engine"),
        expect(clippy::needless_pass_by_ref_mut, reason = "a model needs it")
    )]
    fn examine(&mut self, document: Document) -> anyhow::Result<Examined> {
        let mut encodings: BTreeMap<TokenizerHash, Encoding> = BTreeMap::new();
        // Of the one model there is; its tokenizer is checked, so they are the same for every gated profile.
        #[cfg(feature = "engine")]
        let mut nats = Vec::new();
        let mut examined = Examined { rows: Vec::new(), explained: Vec::new() };
        for target in &self.targets {
            let hash = target.profile.tokenizer.hash;
            let tokenizer = self
                .tokenizers
                .get(&hash)
                .context("internal fault: a profile without tokenizer")?;
            let encoding = match encodings.get(&hash) {
                Some(encoding) => encoding,
                None => encodings.entry(hash).or_insert(encode(&document, tokenizer)?),
            };
            let entropies: &[f64] = match target.profile.scheme.scheme().entropy_floor() {
                None => &[],
                #[cfg(feature = "engine")]
                Some(_) => {
                    let model = self
                        .entropies
                        .as_mut()
                        .context("internal fault: no model for a gated scheme")?;
                    if nats.is_empty() {
                        nats = model.of_text(&encoding.ids)?;
                    }
                    &nats
                }
                #[cfg(not(feature = "engine"))]
                Some(_) => bail!(
                    "profile \"{}\" needs a build with the feature `engine`",
                    target.profile.id
                ),
            };
            let found = target.detector.detect(&Text::gated(&encoding.ids, entropies))?;
            if self.explain {
                examined.explained.push(explain(&document, encoding, tokenizer, target, &found)?);
            }
            let mut row = row(&document, target, &found);
            if let Some(bayesian) = &self.bayesian {
                let (mark, ends) = (target.detector.watermark(), tokenizer.special_ids());
                row.posterior = Some(bayesian.examine(mark, &encoding.ids, ends)?);
            }
            examined.rows.push(row);
        }
        Ok(examined)
    }
}

/// The model that gates scores; its tokenizer must be that of every profile it gates.
#[cfg(feature = "engine")]
fn entropies(
    global: &Global,
    args: &args::Detect,
    targets: &[Target],
) -> anyhow::Result<Option<Entropies>> {
    let Some(name) = &args.model else { return Ok(None) };
    let model = Entropies::of(global, name, &args.loading)?;
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
        .enough()
        .map_or_else(String::new, |tokens| format!(", {tokens} tokens are enough"));
    output::detail(global.verbose, &format!("Profile {id}: {scheme}, key {key}{enough}"));
}

fn profiles(global: &Global, args: &args::Detect, store: &Store) -> anyhow::Result<Vec<Profile>> {
    if args.profile.is_empty() {
        return Ok(vec![assemble::default_profile(global, store, first_tokenizer)?]);
    }
    let profiles = if args.profile.iter().any(|name| name == "all") {
        store.profiles()?
    } else {
        args.profile
            .iter()
            .map(|name| assemble::profile(store, name))
            .collect::<anyhow::Result<_>>()?
    };
    if profiles.is_empty() {
        bail!("there is no profile yet; `touchmark profile new NAME` makes one");
    }
    Ok(profiles)
}

#[cfg(bundled_models)]
fn first_tokenizer() -> anyhow::Result<models::TokenizerSource> {
    Ok(super::bundled::tokenizer_source())
}

#[cfg(not(bundled_models))]
fn first_tokenizer() -> anyhow::Result<models::TokenizerSource> {
    bail!(
        "there is no default profile and this build has no bundled model; make one with `touchmark profile new default --tokenizer PATH`"
    )
}

fn encode(document: &Document, tokenizer: &HfTokenizer) -> anyhow::Result<Encoding> {
    match &document.content {
        Content::Text(text) => Ok(tokenizer.encode(text)?),
        Content::Tokens(ids) => {
            if let Some(id) = ids.iter().find(|&&id| id as usize >= tokenizer.vocab_size()) {
                bail!(
                    "{}, record \"{}\": id {id} is outside the tokenizer's vocabulary of {}",
                    document.source,
                    document.id,
                    tokenizer.vocab_size()
                );
            }
            Ok(Encoding { ids: ids.clone(), bytes: Vec::new() })
        }
    }
}

fn row(document: &Document, target: &Target, found: &Detection) -> Row {
    let mut row = Row::new(
        document.id.clone(),
        document.source.clone(),
        document.offset,
        &target.profile,
        &target.detector,
        found,
    );
    row.warnings.extend(target.warnings.iter().cloned());
    row
}

/// The document, tokens that speak for the mark highlighted.
fn explain(
    document: &Document,
    encoding: &Encoding,
    tokenizer: &HfTokenizer,
    target: &Target,
    found: &Detection,
) -> anyhow::Result<String> {
    let ids = match &document.content {
        Content::Text(text) => return Ok(highlighted(text, encoding, &target.detector, found)),
        Content::Tokens(ids) => ids,
    };
    let highlight = Highlight::for_stdout();
    let speaking = speaking(&target.detector, found);
    let tokens = ids.iter().enumerate();
    tokens
        .map(|(at, id)| Ok(highlight.token(&tokenizer.decode(&[*id])?, speaking.contains(&at))))
        .collect()
}

/// Positions whose evidence is notable.
pub fn speaking(detector: &Detector, found: &Detection) -> HashSet<usize> {
    let notable = detector.watermark().null().notable();
    let evidence = found.evidence.positions.iter().zip(&found.evidence.values);
    evidence
        .filter(|(_, value)| **value > notable)
        .map(|(&position, _)| position as usize)
        .collect()
}

/// A text, tokens that speak for the mark highlighted.
pub fn highlighted(
    text: &str,
    encoding: &Encoding,
    detector: &Detector,
    found: &Detection,
) -> String {
    let highlight = Highlight::for_stdout();
    let speaking = speaking(detector, found);
    let (mut shown, mut end) = (String::new(), 0);
    for (position, bytes) in encoding.bytes.iter().enumerate() {
        // Tokens that share a character's bytes overlap; each byte is shown once.
        let (start, stop) = (bytes.start.max(end), bytes.end.max(end));
        if let (Some(gap), Some(token)) = (text.get(end..start), text.get(start..stop)) {
            shown.push_str(gap);
            let visible = token.trim_start();
            shown.push_str(&token[..token.len() - visible.len()]);
            if !visible.is_empty() {
                shown.push_str(&highlight.token(visible, speaking.contains(&position)));
            }
            end = stop;
        }
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    shown
}

/// Where rows go.
struct Sink {
    format: Format,
    file: Option<File>,
    rows: usize,
    documents: u64,
    fpr: f64,
    quiet: bool,
}

impl Sink {
    fn new(global: &Global, args: &args::Detect) -> anyhow::Result<Self> {
        let create = |path: &std::path::PathBuf| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let file = args.output.as_ref().map(create).transpose()?;
        let default = if global.json || file.is_some() { Format::Jsonl } else { Format::Table };
        let format = args.format.unwrap_or(default);
        Ok(Self { format, file, rows: 0, documents: 0, fpr: args.fpr, quiet: global.quiet })
    }

    fn write(&mut self, examined: &Examined) -> anyhow::Result<()> {
        self.documents += 1;
        for (at, row) in examined.rows.iter().enumerate() {
            let mut text = match self.format {
                Format::Jsonl => serde_json::to_string(row)?,
                Format::Table => table_row(row, self.rows == 0),
            };
            if self.format == Format::Table
                && let Some(explained) = examined.explained.get(at)
            {
                text = format!("{text}\n\n{explained}\n");
            }
            self.rows += 1;
            match &mut self.file {
                Some(file) => writeln!(file, "{}", anstream::adapter::strip_str(&text))?,
                None => writeln!(anstream::stdout(), "{text}")?,
            }
        }
        Ok(())
    }

    fn finish(&self) -> anyhow::Result<()> {
        if self.format == Format::Table && self.rows > 0 && !self.quiet {
            let alarms = Family::one().expected_false_alarms(self.documents, self.fpr);
            let note = format!(
                "log10 p: how rarely text without the mark looks this marked (-6 is one in a million), averaged over keys fixed\n\
                 before the text. False alarms to expect among {} unmarked documents: at most {alarms:.1e}. A text without\n\
                 a mark may still be machine-made.",
                self.documents
            );
            output::note(false, &note);
        }
        Ok(())
    }
}

fn table_row(row: &Row, first: bool) -> String {
    let style = output::verdict_style(row.verdict);
    let head = if first {
        format!("{:<32} {:<16} {:>8} {:>9}  verdict\n", "document", "profile", "scored", "log10 p")
    } else {
        String::new()
    };
    let name = shorten(
        &if row.id == row.source { row.id.clone() } else { format!("{}:{}", row.source, row.id) },
        32,
    );
    let more = row
        .more_tokens
        .map_or_else(String::new, |more| format!(" (about {more} more tokens would do)"));
    let p = output::log10_p(row.log10_p_corrected);
    let verdict = row.verdict.as_str();
    format!(
        "{head}{name:<32} {:<16} {:>8} {p:>9}  {style}{verdict}{style:#}{more}",
        shorten(&row.profile, 16),
        row.tokens_scored
    )
}

/// The end of a long name says more than its beginning.
fn shorten(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let tail: String = name.chars().skip(length - width + 1).collect();
    format!("…{tail}")
}
