//! Where plans come from.

use std::path::Path;

use anyhow::{Context, bail};
use touchmark::fingerprint::behaviour::enrolment::{self, Enrolment, Panel, PlanSettings};
use touchmark::fingerprint::behaviour::{distance, drift, exchange, lineage, rank};
use touchmark::fingerprint::bundle::Plan;
use touchmark::keys::Salt;
use touchmark::provenance::Digest;

use super::folder;
use crate::args::bundle::{Behaviour, BehaviourTest, Commit};
use crate::assemble;

/// The plan that was asked for.
pub fn plan(args: &Commit) -> anyhow::Result<Plan> {
    if let Some(path) = &args.plan {
        return json(path, "a plan");
    }
    #[cfg(feature = "engine")]
    if let Some(folder) = &args.planting.planting {
        return planted::plan(folder, &args.planting);
    }
    if !args.behaviour.enrolment.is_empty() {
        return behaviour(&args.behaviour);
    }
    bail!("name a plan")
}

/// Notes what cannot be asked again, now that it is committed to.
pub fn used(args: &Commit, plan: &Plan, root: Digest) -> anyhow::Result<()> {
    #[cfg(feature = "engine")]
    if let Some(folder) = &args.planting.planting {
        return planted::used(folder, plan, root);
    }
    let _ = (args, plan, root);
    Ok(())
}

/// A plan from what a reference and a panel answered.
fn behaviour(args: &Behaviour) -> anyhow::Result<Plan> {
    let enrolments = args.enrolment.iter().map(|path| json(path, "an enrolment"));
    let enrolments = enrolments.collect::<anyhow::Result<Vec<Enrolment>>>()?;
    let panel = args.panel.as_ref().map(|path| json::<Panel>(path, "a panel")).transpose()?;
    let (test, claim) = match args.test.context("name the test with --test")? {
        BehaviourTest::Identity => (exchange::TEST, "the suspect is not"),
        BehaviourTest::Rank => (rank::TEST, "the suspect is not"),
        BehaviourTest::Distance => (distance::TEST, "the suspect is not"),
        BehaviourTest::Drift => (drift::TEST, "the suspect is not"),
        BehaviourTest::Lineage => (lineage::TEST, "the suspect descends from"),
    };
    let Salt(salt) = Salt::generate()?;
    let settings = PlanSettings {
        alpha: args.level,
        queries: args.queries,
        protocol_assumed: args.assume_protocol,
        seed: u64::from_le_bytes([
            salt[0], salt[1], salt[2], salt[3], salt[4], salt[5], salt[6], salt[7],
        ]),
        today: assemble::now().strftime("%Y-%m-%d").to_string(),
    };
    let models: Vec<_> = enrolments.iter().map(|it| it.model.as_str()).collect();
    let hypothesis = format!("{claim} {}", models.join(" or "));
    Ok(enrolment::plan(test, &hypothesis, &enrolments, panel.as_ref(), &settings)?)
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    let name = path.display();
    let bytes = folder::optional(path)?.with_context(|| format!("there is no {name}"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{name} is not {what}"))
}

#[cfg(feature = "engine")]
mod planted {
    use std::path::Path;

    use anyhow::Context;
    use touchmark::fingerprint::bundle::Plan;
    use touchmark::fingerprint::planted::{Asking, Design, Probe, TEST, Times};
    use touchmark::keys::Salt;
    use touchmark::provenance::Digest;
    use touchmark::stats::Family;

    use crate::args::bundle::Planting;
    use crate::assemble;
    use crate::commands::fingerprint::planting::folder::Folder;

    pub fn plan(folder: &Path, args: &Planting) -> anyhow::Result<Plan> {
        let folder = Folder::new(folder);
        let asking = Asking {
            pairs: args.pairs,
            decoys: args.decoys,
            design: if args.fixed { Design::Fixed } else { Design::default() },
            alpha: args.fpr,
            family: Family::one().times("plantings or suspects", args.looks),
            times: Times {
                committed: args.published,
                evidence: args.evidence.clone(),
                released: args.released,
            },
            ..Asking::default()
        };
        let shuffle = Salt::generate()?;
        let (rule, probes) = folder.planting()?.ask(&asking, &folder.register()?, &shuffle)?;
        Ok(Plan::new(TEST, "the suspect descends from the planted model", &rule, &probes)?)
    }

    /// Whoever sees the bundle, or is asked, may learn the questions.
    pub fn used(folder: &Path, plan: &Plan, root: Digest) -> anyhow::Result<()> {
        let folder = Folder::new(folder);
        let mut register = folder.register()?;
        let (now, bundle) = (assemble::now(), format!("bundle {root}"));
        for probe in &plan.probes {
            let probe: Probe = serde_json::from_value(probe.clone())
                .context("a probe is not one of a planting")?;
            register.burn(probe.leaf(), now, &bundle);
        }
        folder.keep_register(&register)
    }
}
