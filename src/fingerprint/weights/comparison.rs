//! What the comparison of two models says.

use serde::{Deserialize, Serialize};

use crate::fingerprint::{Basis, Finding, Null, Verdict};

/// The weights of a suspect against those of a reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of this form.
    pub schema: u32,
    /// Name of the reference.
    pub reference: String,
    /// Name of the suspect.
    pub suspect: String,
    /// What is said: the verdict of the finding with the smallest corrected p.
    pub verdict: Verdict,
    /// Where that p comes from.
    pub basis: Option<Basis>,
    /// The name of that finding's test.
    pub decided_by: Option<String>,
    /// log₁₀ of its p.
    pub log10_p: Option<f64>,
    /// The same, corrected for all looks.
    pub log10_p_corrected: Option<f64>,
    /// What the corrected one is compared with.
    pub threshold_log10_p: f64,
    /// Always the population null.
    pub null: Null,
    /// The null in words.
    pub null_text: String,
    /// The family of looks, in words.
    pub family: String,
    /// What was read.
    pub coverage: Coverage,
    /// Every test, exact ones first.
    pub findings: Vec<Finding>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// What of two models was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Layers of the reference.
    pub layers_reference: usize,
    /// Layers of the suspect.
    pub layers_suspect: usize,
    /// Pairs of layers compared, reference then suspect, from 0.
    pub layers: Vec<(usize, usize)>,
    /// Hidden units compared, all layers together.
    pub units: u64,
    /// Whether they are a keyed sample, for which the p-values hold as they are.
    pub sampled: bool,
    /// Length of the residual stream, reference then suspect.
    pub width: (Option<usize>, Option<usize>),
    /// Tokens whose ids both models have.
    pub tokens_shared: Option<usize>,
    /// Whether the residual stream was aligned too, which is only done where the stored one shows nothing.
    pub aligned: bool,
}

impl Comparison {
    /// Without a finding yet: INCONCLUSIVE.
    pub(super) fn new(reference: &str, suspect: &str, alpha: f64, family: String) -> Self {
        Self {
            schema: 1,
            reference: reference.to_owned(),
            suspect: suspect.to_owned(),
            verdict: Verdict::Inconclusive,
            basis: None,
            decided_by: None,
            log10_p: None,
            log10_p_corrected: None,
            threshold_log10_p: alpha.log10(),
            null: Null::Population,
            null_text: NULL.to_owned(),
            family,
            coverage: Coverage::default(),
            findings: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The embedding alignment, where it could be had: what a [`Panel`](super::Panel) records of independent pairs.
    pub fn embedding_alignment(&self) -> Option<f64> {
        let mut findings = self.findings.iter();
        let finding = findings.find(|finding| finding.test == super::alignment::EMBEDDINGS)?;
        finding.statistics.get("cka")?.as_f64()
    }

    /// Whether a finding so far is RELATED.
    pub(super) fn related(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Verdict::Related)
    }

    /// With the verdict of the finding whose corrected p is least; an exact one goes before an equal other.
    pub(super) fn decided(mut self) -> Self {
        let key = |finding: &Finding| finding.log10_p_corrected.unwrap_or(f64::INFINITY);
        let tested = self.findings.iter().filter(|finding| finding.log10_p_corrected.is_some());
        let best = tested.min_by(|one, other| {
            key(one)
                .total_cmp(&key(other))
                .then((one.basis != Basis::Exact).cmp(&(other.basis != Basis::Exact)))
        });
        if let Some(best) = best {
            self.verdict = best.verdict;
            self.basis = Some(best.basis);
            self.decided_by = Some(best.test.clone());
            self.log10_p = best.log10_p;
            self.log10_p_corrected = best.log10_p_corrected;
        }
        self
    }
}

const NULL: &str = "The suspect is an ordinary independent model: initialised and trained without anything of the reference's weights. \
    Models that grew from one initialisation, or one from the other, are related.";
