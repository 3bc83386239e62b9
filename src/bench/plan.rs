//! What is to be measured.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::attack::Attack;
use crate::sampling::Sampling;
use crate::schemes::Spec;
use crate::watermark::{Repeats, check};

use super::error::BenchError;

/// A plan, as in a TOML file.
///
/// ```
/// let plan: touchmark::bench::Plan = toml::from_str(r#"
///     texts = 40
///     lengths = [100, 200]
///     human = "human.jsonl"
///     [[scheme]]
///     name = "kgw h=2"
///     spec = { scheme = "kgw" }
///     [[attack]]
///     attack = "substitute"
///     strengths = [0.1, 0.3]
/// "#).unwrap();
/// plan.check()?;
/// assert_eq!((plan.seed, plan.longest()), (1, 200));
/// # Ok::<(), touchmark::bench::BenchError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of keys, of what is sampled, and of attacks.
    #[serde(default = "first_seed")]
    pub seed: u64,
    /// Marked texts of each scheme and setting.
    pub texts: usize,
    /// Tokens of human text that each continues.
    #[serde(default = "prompt_tokens")]
    pub prompt_tokens: usize,
    /// Lengths in tokens at which texts are read, ascending.
    pub lengths: Vec<usize>,
    /// Those of them at which attacked texts are read; all where none is named. What is rewritten or stolen has the greatest of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attacked_lengths: Vec<usize>,
    /// False-alarm rates at which power is told.
    #[serde(default = "fpr")]
    pub fpr: Vec<f64>,
    /// How texts are read.
    #[serde(default = "whole")]
    pub detectors: Vec<DetectorPlan>,
    /// The model that writes: a folder, a file, an id on a hub, or `bundled`.
    #[serde(default = "bundled")]
    pub model: String,
    /// The model that judges quality; none is measured without one.
    #[serde(default)]
    pub judge: Option<String>,
    /// A file with human texts, as `detect` reads them: prompts, what detectors are calibrated on, and what attacks take words from.
    pub human: String,
    /// The field or column of that file that holds the text.
    #[serde(default = "text", skip_serializing_if = "is_text")]
    pub human_field: String,
    /// BLAKE3 of that file in hexadecimal, where it is to be this one and no other.
    #[serde(default)]
    pub human_blake3: Option<String>,
    /// A file with prompts, as `detect` reads texts; the beginnings of the human texts where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptsPlan>,
    /// Ways of marking.
    #[serde(rename = "scheme")]
    pub schemes: Vec<NamedScheme>,
    /// Ways of choosing words.
    #[serde(rename = "sampling", default = "plain_sampling")]
    pub samplings: Vec<NamedSampling>,
    /// A file with words of like meaning, as `attack --thesaurus` reads them; a short list of English ones where neither this nor
    /// `neighbours` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thesaurus: Option<String>,
    /// The model whose neighbouring words are taken instead, as by `attack --neighbours`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<String>,
    /// What is done to the texts; they are always read as they are, too.
    #[serde(rename = "attack", default)]
    pub attacks: Vec<AttackPlan>,
    /// Shares of tokens that the judge draws anew, where it has the model's tokenizer.
    #[serde(default)]
    pub rewrite: Vec<f64>,
    /// How many p-values of human text are looked at.
    #[serde(default)]
    pub calibration: Option<CalibrationPlan>,
    /// What somebody learns who may ask the marking model.
    #[serde(default)]
    pub stealing: Option<StealingPlan>,
    /// Rows of `fingerprint lineup -o`, which stand in the same report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineup: Option<String>,
    /// Results of `attribute run -o`, which stand in the same report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributions: Vec<String>,
}

/// How stealing is measured: somebody has texts under one key, and writes others with what they show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StealingPlan {
    /// Numbers of marked texts of the greatest attacked length that he has, ascending, and as many unmarked ones.
    pub queries: Vec<usize>,
    /// Texts that he then writes, and that he scrubs.
    pub texts: usize,
    /// Nats that logits are moved by.
    #[serde(default = "nats")]
    pub nats: f32,
    /// Tokens before a token that he takes the mark to depend on; 0 of a mark with one list for all.
    #[serde(default = "one")]
    pub context_width: usize,
}

/// What texts answer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptsPlan {
    /// The file.
    pub file: String,
    /// The field or column of it that holds the prompt.
    #[serde(default = "prompt")]
    pub field: String,
    /// Whether the model is asked as a user asks in a chat, or continues the prompt.
    #[serde(default)]
    pub chat: bool,
}

/// A way of marking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SchemeTable")]
pub struct NamedScheme {
    /// In tables.
    pub name: String,
    /// Scheme and parameters.
    pub spec: Spec,
    /// Rule for repeats: the scheme's [usual](Repeats::usual) one where the plan names none.
    pub repeats: Repeats,
}

/// A scheme as plans write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "scheme")]
struct SchemeTable {
    name: String,
    spec: Spec,
    repeats: Option<Repeats>,
}

impl From<SchemeTable> for NamedScheme {
    fn from(SchemeTable { name, spec, repeats }: SchemeTable) -> Self {
        let repeats = repeats.unwrap_or_else(|| Repeats::usual(&spec));
        Self { name, spec, repeats }
    }
}

/// A way of choosing words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedSampling {
    /// In tables.
    pub name: String,
    /// τ.
    #[serde(default = "whole_mass")]
    pub temperature: f32,
    /// Keep the k highest logits; 0 keeps all.
    #[serde(default)]
    pub top_k: usize,
    /// Keep so much mass.
    #[serde(default = "whole_mass")]
    pub top_p: f32,
    /// What is put in while the text is written and taken out before it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inserted: Option<InsertedPlan>,
}

/// A sign after every so many tokens, which whoever asks for a text can ask for and then delete: contexts that held it are other
/// contexts without it (the emoji attack of Kirchenbauer et al. 2023, §7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InsertedPlan {
    /// The sign.
    pub text: String,
    /// Tokens between two of them.
    pub every: usize,
}

impl NamedSampling {
    /// With a seed.
    pub fn sampling(&self, seed: u64) -> Sampling {
        let Self { temperature, top_k, top_p, .. } = *self;
        Sampling { temperature, top_k, top_p, seed, ..Sampling::default() }
    }
}

/// One attack at some strengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackPlan {
    /// Which.
    pub attack: Attack,
    /// Shares of units that are edited.
    pub strengths: Vec<f64>,
    /// Least chrF with the text as it was; 0 asks for none.
    #[serde(default)]
    pub similarity: f64,
    /// Pieces, of `copy-paste`.
    #[serde(default = "one")]
    pub segments: usize,
    /// What words and passages are taken from.
    #[serde(default)]
    pub other: OtherPlan,
}

/// The other text of an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherPlan {
    /// Human text.
    #[default]
    Human,
    /// Texts of the same scheme under other keys.
    Marked,
}

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectorPlan {
    /// One look at the whole text.
    Whole,
    /// As `detect` reads by default: also with common damage undone, and windows of longer texts; corrected for all of it.
    Full,
}

impl DetectorPlan {
    /// As in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Full => "full",
        }
    }
}

/// How calibration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationPlan {
    /// Tokens of each human text.
    #[serde(default = "window")]
    pub tokens: usize,
    /// Keys for each of them, every pair with a fresh one.
    #[serde(default = "one")]
    pub keys: usize,
    /// Most texts.
    #[serde(default = "many")]
    pub texts: usize,
}

impl Plan {
    /// Pieces of human text that it takes.
    pub fn pieces(&self) -> usize {
        let stealing = self.stealing.as_ref();
        let stealing = stealing.map_or(0, |it| it.texts + it.queries.last().copied().unwrap_or(0));
        self.texts.max(stealing)
    }

    /// Most tokens of a text.
    pub fn longest(&self) -> usize {
        self.lengths.last().copied().unwrap_or(0)
    }

    /// Lengths at which attacked texts are read.
    pub fn attacked(&self) -> &[usize] {
        if self.attacked_lengths.is_empty() { &self.lengths } else { &self.attacked_lengths }
    }

    /// Most tokens of an attacked text.
    pub fn longest_attacked(&self) -> usize {
        self.attacked().last().copied().unwrap_or(0)
    }

    /// Refuses what cannot be measured.
    ///
    /// # Errors
    /// [`BenchError::Plan`] says what is wrong, [`BenchError::Scheme`] with which scheme.
    pub fn check(&self) -> Result<(), BenchError> {
        let wrong =
            |field: &'static str, message: &'static str| Err(BenchError::Plan { field, message });
        if self.texts == 0 {
            return wrong("texts", "at least one is needed");
        }
        if self.prompt_tokens == 0 {
            return wrong("prompt_tokens", "at least one is needed");
        }
        if self.lengths.is_empty() || self.lengths[0] == 0 || !ascend(&self.lengths) {
            return wrong(
                "lengths",
                "give numbers of tokens, at least one, each greater than the one before",
            );
        }
        let is_read = |tokens: &usize| self.lengths.contains(tokens);
        if !self.attacked_lengths.iter().all(is_read) || !ascend(&self.attacked_lengths) {
            return wrong(
                "attacked_lengths",
                "give some of the lengths, each greater than the one before",
            );
        }
        if self.fpr.is_empty() || !self.fpr.iter().all(|&fpr| fpr > 0.0 && fpr < 1.0) {
            return wrong("fpr", "give rates between 0 and 1");
        }
        if self.schemes.is_empty() {
            return wrong("scheme", "at least one is needed");
        }
        if !distinct(self.schemes.iter().map(|it| &it.name)) {
            return wrong("scheme", "two have one name");
        }
        if self.samplings.is_empty() || !distinct(self.samplings.iter().map(|it| &it.name)) {
            return wrong("sampling", "at least one is needed, each with a name of its own");
        }
        if self.samplings.iter().any(|it| it.sampling(0).check().is_err()) {
            return wrong("sampling", "a value is outside its range");
        }
        let inserts = |it: &InsertedPlan| it.every > 0 && !it.text.is_empty();
        if !self.samplings.iter().flat_map(|it| &it.inserted).all(inserts) {
            return wrong("sampling", "what is inserted is some text, after every token or more");
        }
        let shares = |it: &AttackPlan| {
            it.strengths.iter().chain([&it.similarity]).all(|share| (0.0..=1.0).contains(share))
        };
        if !self.attacks.iter().all(|it| shares(it) && it.segments > 0 && !it.strengths.is_empty())
        {
            return wrong(
                "attack",
                "strengths and similarity are shares from 0 to 1, and there is at least one strength and segment",
            );
        }
        if self.thesaurus.is_some() && self.neighbours.is_some() {
            return wrong("thesaurus", "give it or neighbours, not both");
        }
        if self.detectors.is_empty() {
            return wrong("detectors", "at least one is needed");
        }
        if !self.rewrite.iter().all(|share| (0.0..=1.0).contains(share)) {
            return wrong("rewrite", "give shares from 0 to 1");
        }
        if !self.rewrite.is_empty() && self.judge.is_none() {
            return wrong("rewrite", "it is the judge that rewrites: name one");
        }
        if self.stealing.as_ref().is_some_and(|it| !it.can_be_measured()) {
            return wrong(
                "stealing",
                "queries ascend from 1, texts are at least 1, and nats are above 0 and at most 100",
            );
        }
        if self.calibration.is_some_and(|it| it.tokens == 0 || it.keys == 0 || it.texts == 0) {
            return wrong("calibration", "tokens, keys and texts are at least one");
        }
        for it in &self.schemes {
            let named = |source| BenchError::Scheme { name: it.name.clone(), source };
            check(&it.spec, it.repeats, it.spec.prf()).map_err(named)?;
        }
        Ok(())
    }
}

impl StealingPlan {
    fn can_be_measured(&self) -> bool {
        let nats = self.nats > 0.0 && self.nats <= 100.0;
        self.texts > 0
            && nats
            && ascend(&self.queries)
            && self.queries.first().is_some_and(|&first| first > 0)
    }
}

fn ascend(values: &[usize]) -> bool {
    values.windows(2).all(|pair| pair[0] < pair[1])
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> bool {
    let mut seen = BTreeSet::new();
    names.into_iter().all(|name| seen.insert(name))
}

fn first_seed() -> u64 {
    1
}

fn one() -> usize {
    1
}

fn prompt_tokens() -> usize {
    16
}

fn nats() -> f32 {
    5.0
}

fn window() -> usize {
    200
}

fn many() -> usize {
    2_000
}

fn fpr() -> Vec<f64> {
    vec![1e-2, 1e-3, 1e-5, 1e-6]
}

fn text() -> String {
    "text".to_owned()
}

fn prompt() -> String {
    "prompt".to_owned()
}

fn is_text(field: &String) -> bool {
    *field == text()
}

fn bundled() -> String {
    "bundled".to_owned()
}

fn whole_mass() -> f32 {
    1.0
}

fn plain_sampling() -> Vec<NamedSampling> {
    vec![NamedSampling {
        name: "T=1".to_owned(),
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        inserted: None,
    }]
}

fn whole() -> Vec<DetectorPlan> {
    vec![DetectorPlan::Whole]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "texts = 4\nlengths = [10, 20]\nhuman = \"h\"\n[[scheme]]\nname = \"a\"\nspec = { scheme = \"kgw\" }\n";

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let fault = |from: &str, to: &str| {
            let plan: Plan = toml::from_str(&PLAN.replace(from, to)).unwrap();
            plan.check().unwrap_err().to_string()
        };
        assert!(toml::from_str::<Plan>(PLAN).unwrap().check().is_ok());
        assert!(fault("texts = 4", "texts = 0").contains("texts"));
        assert!(fault("[10, 20]", "[20, 10]").contains("lengths"));
        assert!(fault("[10, 20]", "[]").contains("lengths"));
        assert!(fault("[10, 20]", "[10]\nattacked_lengths = [20]").contains("attacked_lengths"));
        assert!(fault("[10, 20]", "[10]\nfpr = [2.0]").contains("fpr"));
        assert!(fault("\"kgw\" }", "\"kgw\", gamma = 2.0 }").contains("\"a\""));
        let again = "spec = { scheme = \"kgw\" }\n[[scheme]]\nname = \"a\"\nspec = { scheme = \"unigram\" }";
        assert!(fault("spec = { scheme = \"kgw\" }", again).contains("one name"));
        let inserted = "spec = { scheme = \"kgw\" }\n[[sampling]]\nname = \"s\"\ninserted = { text = \"*\", every = 0 }";
        assert!(fault("spec = { scheme = \"kgw\" }", inserted).contains("inserted"));
        let attack =
            "spec = { scheme = \"kgw\" }\n[[attack]]\nattack = \"delete\"\nstrengths = [1.5]";
        assert!(fault("spec = { scheme = \"kgw\" }", attack).contains("attack"));
        let both = "[10, 20]\nthesaurus = \"t\"\nneighbours = \"m\"";
        assert!(fault("[10, 20]", both).contains("thesaurus"));
        assert!(toml::from_str::<Plan>(&PLAN.replace("texts", "text")).is_err());
    }

    #[test]
    fn schemes_that_skip_repeats_do_so_unless_told_otherwise() {
        let rule = |from: &str, to: &str| {
            toml::from_str::<Plan>(&PLAN.replace(from, to)).unwrap().schemes[0].repeats
        };
        assert_eq!(rule("kgw", "kgw"), Repeats::ScoreOnce);
        assert_eq!(rule("kgw", "gumbel"), Repeats::SingleTurn);
        assert_eq!(rule("\"kgw\" }", "\"gumbel\" }\nrepeats = \"score-once\""), Repeats::ScoreOnce);
    }
}
