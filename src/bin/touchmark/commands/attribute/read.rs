//! The open setting: suspect and base read texts.

mod gathering;
mod pieces;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::attribution::{
    Attribution, Gatherer, Readers, Setting, Shared, Statistic, Text, Transcript,
};
use touchmark::tokens::{Tokenize, TokenizerHash};

use super::marked::Marked;
use super::tested::{self, Gathered};
use crate::args::{Global, attribute::Run};
use crate::interrupt;
use crate::models::{self, Loading, Model};
use gathering::{Gathering, Kept};

const NULL: &str = "the suspect and the texts are independent of the key; the p-value is averaged over the random choice of a key \
                    that was fixed before either";
const NULL_MARKED: &str = "the suspect is independent of the key, and expects nothing because the texts, which are marked, show it; the \
                           controls are to tell whether that holds";

pub fn test(global: &Global, args: &Run, mark: &Marked) -> anyhow::Result<Attribution> {
    let suspect_name = args.suspect.as_deref().context("internal fault: no suspect")?;
    let suspect = load(global, args, Path::new(suspect_name))?;
    let shared = shared(&suspect, mark)?;
    let pieces = pieces::pieces(args, mark, shared.as_ref().map(|_| &suspect.tokenizer))?;
    let marked_p = pieces::texts_p(mark, &pieces)?;
    let base = args.base.as_deref().map(|path| load(global, args, path)).transpose()?;
    let tokenizer = suspect.tokenizer.hash();
    let mut reading = Reading { global, args, mark, tokenizer, shared, base, pieces };

    interrupt::end_cleanly(
        "; what was read until a minute ago is kept, if a --checkpoint was named".to_owned(),
    );
    let found = reading.suspect(suspect_name, suspect)?;
    // The others read what the suspect has read.
    reading.pieces.truncate(found.read.texts as usize);
    let alike = reading.others(&args.alike, "like")?;
    let without = |soft: Gatherer| alike.iter().fold(soft, |soft, (_, other)| soft.without(other));
    let beside = found.beside.context("internal fault: nothing beside the suspect")?;
    let mut controls = Vec::new();
    if args.base.is_some() {
        controls.push(("base alone".to_owned(), beside.base.finish()));
    }
    for (name, soft) in reading.others(&args.controls, "control")? {
        controls.push((name, without(soft).finish()));
    }
    let primary = without(found.soft).finish();
    let counts = reading.counts(found.tokens, found.read, marked_p);
    let gathered = Gathered {
        setting: Setting::Open,
        suspect: suspect_name.to_owned(),
        base: args.base.as_ref().map(|path| path.display().to_string()),
        statistic: Statistic::SoftDifference,
        beside: vec![
            (Statistic::ArgmaxPairs, beside.pairs.transcript()),
            (Statistic::ArgmaxContexts, beside.contexts.transcript()),
        ],
        controls,
        // What was there on the way still holds what others do as well.
        growth: if args.alike.is_empty() { found.growth } else { Vec::new() },
        premises: premises(args, &primary, marked_p),
        primary,
        price: tested::price(args, &found.looks),
        warnings: reading.warnings(),
        counts,
        null: if args.marked { NULL_MARKED } else { NULL }.to_owned(),
    };
    tested::result(global, args, mark, gathered)
}

/// What all models that read have in common.
struct Reading<'a> {
    global: &'a Global,
    args: &'a Run,
    mark: &'a Marked,
    /// The suspect's.
    tokenizer: TokenizerHash,
    /// Where the models' tokenizer is not the mark's.
    shared: Option<Shared>,
    base: Option<Model>,
    pieces: Vec<Text>,
}

impl Reading<'_> {
    fn suspect(&mut self, name: &str, model: Model) -> anyhow::Result<Gathering> {
        let (args, mark) = (self.args, self.mark);
        let mut enough = |so_far: &mut Gathering| {
            let soft = &so_far.soft;
            tested::look(args, mark, &mut so_far.looks, so_far.tokens, || soft.so_far())
        };
        let gathering = self.gathering(Path::new(name)).beside();
        self.read(gathering, model, "suspect", &mut enough)
    }

    /// What other models of the suspect's tokenizer expect, minus the base.
    fn others(&mut self, paths: &[PathBuf], kind: &str) -> anyhow::Result<Vec<(String, Gatherer)>> {
        let mut all = Vec::new();
        for (number, path) in (1..).zip(paths) {
            let model = load(self.global, self.args, path)?;
            let gathering = self.gathering(path);
            let read = self
                .read(gathering, model, &format!("{kind}-{number}"), &mut |_| Ok(false))
                .with_context(|| format!("{} cannot be compared", path.display()))?;
            all.push((path.display().to_string(), read.soft));
        }
        Ok(all)
    }

    fn gathering(&self, path: &Path) -> Gathering {
        let names: Vec<&Path> = std::iter::once(path).chain(self.args.base.as_deref()).collect();
        Gathering::new(self.args, self.mark, &names)
    }

    fn read(
        &mut self,
        gathering: Gathering,
        mut model: Model,
        name: &str,
        enough: &mut dyn FnMut(&mut Gathering) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Gathering> {
        self.same_tokenizer(&model)?;
        let base = self.base.as_mut().map(|base| base.lm.as_mut() as _);
        let readers =
            Readers::new(model.lm.as_mut(), base, &model.begin)?.through(self.shared.as_ref());
        let kept = Kept::new(self.args, name)?;
        gathering.read(self.global, readers, &self.pieces, &kept, enough)
    }

    /// All models read the ids that the suspect's tokenizer makes.
    fn same_tokenizer(&self, model: &Model) -> anyhow::Result<()> {
        let base = self.base.iter().map(|base| base.tokenizer.hash());
        if base.chain([model.tokenizer.hash()]).any(|hash| hash != self.tokenizer) {
            bail!(
                "the models have different tokenizers, so what they expect cannot be compared token by token; give others, or test the \
                 suspect by what it says, with --prompts"
            );
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.base.is_none() {
            warnings.push(
                "no base was given: what every model expects alike stays in, which costs most of the power".to_owned(),
            );
        }
        if self.shared.is_some() {
            warnings.push(format!(
                "the suspect has another tokenizer than the mark: {:.0} % of the mark's boundaries could be weighed, where the suspect has \
                 one too, with its tokens taken for those of the mark that begin alike",
                100.0 * pieces::coverage(&self.pieces)
            ));
        }
        warnings
    }

    fn counts(
        &self,
        tokens: u64,
        read: touchmark::attribution::Read,
        texts_log10_p: f64,
    ) -> serde_json::Map<String, serde_json::Value> {
        let mut counts: serde_json::Map<_, _> = [
            ("texts", read.texts),
            ("tokens", tokens),
            ("positions", read.positions),
            ("repeated", read.repeated),
        ]
        .map(|(name, count)| (name.to_owned(), count.into()))
        .into_iter()
        .collect();
        counts.insert("texts_log10_p".to_owned(), texts_log10_p.into());
        if self.shared.is_some() {
            counts.insert("coverage".to_owned(), pieces::coverage(&self.pieces).into());
        }
        counts
    }
}

/// What must hold for a verdict and does not.
fn premises(args: &Run, primary: &Transcript, marked_p: f64) -> Vec<String> {
    let mut premises = Vec::new();
    if primary.cells() == 0 {
        premises.push(if args.base.is_some() {
            "the suspect expects exactly what the base does: it is the base, as far as these texts show".to_owned()
        } else {
            "the texts gave no position to weigh".to_owned()
        });
    }
    if args.marked && args.controls.is_empty() {
        premises.push(
            "the texts are marked, and no --control model without the mark was read: copying from what was read cannot be told from training"
                .to_owned(),
        );
    }
    if !args.marked && marked_p <= -3.0 {
        premises.push(format!(
            "the texts themselves carry the mark (log10 p {marked_p:.1}); read text that was written without it, or say --marked and give \
             --control models"
        ));
    }
    premises
}

/// The way between tokenizers, where the suspect's is not the mark's.
fn shared(suspect: &Model, mark: &Marked) -> anyhow::Result<Option<Shared>> {
    if suspect.tokenizer.hash() == mark.tokenizer.hash() {
        return Ok(None);
    }
    let size = mark.first().vocab_size() as usize;
    Ok(Some(Shared::new(&suspect.tokenizer, &mark.tokenizer, size)?))
}

fn load(global: &Global, args: &Run, path: &Path) -> anyhow::Result<Model> {
    let given = path.to_string_lossy();
    if given.starts_with("http://") || given.starts_with("https://") {
        bail!(
            "{given} is an endpoint, which cannot be made to read texts: ask it --prompts instead"
        );
    }
    let (place, chat) = models::named(global, path, args.asking.loading.revision.as_deref())?;
    let loading = Loading {
        tokenizer: args.asking.tokenizer.as_deref(),
        device: args.asking.loading.device,
        dtype: args.asking.loading.dtype.into(),
        chat,
    };
    models::load(global, &place, loading)
}
