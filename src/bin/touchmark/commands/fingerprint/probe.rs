//! `fingerprint probe`: a suspect is asked what a bundle has committed to.

use serde::Serialize;
use touchmark::fingerprint::Finding;
use touchmark::fingerprint::bundle::{Ending, Replayed};

use super::run::{Budget, Running};
use crate::args::{Global, fingerprint::Probe};
use crate::assemble;
use crate::commands::fingerprint_finding;
use crate::interrupt;
use crate::models;
use crate::output::{self, Exit};

/// What came out.
#[derive(Serialize)]
struct Probed {
    bundle: String,
    suspect: String,
    queries: u64,
    signed: bool,
    #[serde(flatten)]
    finding: Finding,
}

pub fn run(global: &Global, args: &Probe) -> anyhow::Result<Exit> {
    let key = assemble::store(global)?.signing_key()?;
    let mut running = Running::open(&args.bundle, &key)?;
    output::note(global.quiet, &format!("Claim: {}", running.head.hypothesis));
    let mut suspect = models::open(global, &args.suspect, &args.asking, running.seed())?;
    interrupt::end_cleanly("; what was answered is kept, the same command goes on".to_owned());
    let most = |budget: Option<u64>| budget.unwrap_or(u64::MAX);
    let budget = Budget { requests: most(args.max_requests), tokens: most(args.max_tokens) };
    let bar = output::progress(global.quiet || global.no_progress, None, "queries")?;
    let ending = running.ask(suspect.as_mut(), budget, |replayed| bar.set_position(replayed.asked));
    bar.finish_and_clear();
    let ending = ending?;
    let signed = match ending {
        Some(Ending::Rule) => Some(Ending::Rule),
        Some(Ending::Early) if args.finish => Some(Ending::Early),
        _ => None,
    };
    if let Some(ending) = signed {
        running.finish(&args.bundle, ending, &key)?;
    }
    show(global, args, &running.replayed, signed.is_some())?;
    Ok(match (ending, signed) {
        (None, _) if running.replayed.asked == 0 => Exit::Nothing,
        (None, _) => Exit::Partial,
        (Some(_), Some(_)) if hit(args, &running.replayed.session.finding()) => Exit::Gate,
        _ => Exit::Done,
    })
}

fn hit(args: &Probe, finding: &Finding) -> bool {
    let verdict = serde_json::to_value(finding.verdict).unwrap_or_default();
    args.fail_on.as_deref().is_some_and(|wanted| verdict == wanted)
}

fn show(global: &Global, args: &Probe, replayed: &Replayed, signed: bool) -> anyhow::Result<()> {
    let probed = Probed {
        bundle: args.bundle.display().to_string(),
        suspect: replayed.suspect.clone().unwrap_or_default(),
        queries: replayed.asked,
        signed,
        finding: replayed.session.finding(),
    };
    if global.json {
        return output::json(&probed);
    }
    fingerprint_finding::write(&mut anstream::stdout(), &probed.finding)?;
    let next = if signed {
        "Signed in outcome.json. To let others check it: touchmark bundle reveal, then bundle pack"
    } else {
        "Not signed: the test has not ended. The same command goes on"
    };
    output::note(global.quiet, next);
    Ok(())
}
