//! Where plans come from.

use std::path::Path;

use anyhow::{Context, bail};
use touchmark::fingerprint::bundle::Plan;
use touchmark::provenance::Digest;

use super::folder;
use crate::args::bundle::Commit;

/// The plan that was asked for.
pub fn plan(args: &Commit) -> anyhow::Result<Plan> {
    if let Some(path) = &args.plan {
        return of_file(path);
    }
    #[cfg(feature = "engine")]
    if let Some(folder) = &args.planting.planting {
        return planted::plan(folder, &args.planting);
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

fn of_file(path: &Path) -> anyhow::Result<Plan> {
    let name = path.display();
    let bytes = folder::optional(path)?.with_context(|| format!("there is no {name}"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{name} is not a plan"))
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
