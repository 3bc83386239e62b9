//! `attribute plan`: how much must be read or said to show training.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use touchmark::attribution::{Pilot, SHARE_EXPONENTS, Setting};

use super::report;
use crate::args::{Global, attribute::Plan};
use crate::output::{self, Exit};

/// Tests of models of which the share is known: name, setting, share, tokens with log₁₀ p.
const MEASURED: &str = include_str!("plan/measured.json");

/// A test that the plan is made from.
#[derive(Serialize, Deserialize)]
struct Measured {
    name: String,
    setting: Setting,
    share: f64,
    growth: Vec<(u64, f64)>,
}

/// What is needed.
#[derive(Serialize)]
struct Planned {
    setting: Setting,
    share: f64,
    /// −log₁₀ p before correction.
    evidence: f64,
    /// Tokens that the suspect reads or says; none where no number is enough.
    tokens: Option<u64>,
    /// The same if the trace falls faster with the share.
    tokens_cautious: Option<u64>,
    requests: Option<u64>,
    cost: Option<f64>,
    from: Measured,
}

pub fn run(global: &Global, args: &Plan) -> anyhow::Result<Exit> {
    check("--share", args.share)?;
    check("--fpr", args.fpr)?;
    let from = pilot(args)?;
    let pilot = Pilot::new(from.share, &from.growth)?;
    let evidence = -args.fpr.log10() + (args.accounts.max(1) as f64).log10();
    let tokens = SHARE_EXPONENTS.map(|exponent| pilot.tokens(evidence, args.share, exponent));
    let requests = |tokens: u64| tokens.div_ceil(u64::from(args.answer_tokens));
    let closed = args.setting() == Setting::Closed;
    let requests = tokens[0].filter(|_| closed).map(requests);
    let cost = requests.zip(args.price_out).map(|(requests, out)| {
        let asked = f64::from(args.prompt_tokens) * args.price_in.unwrap_or(0.0);
        requests as f64 * (asked + f64::from(args.answer_tokens) * out) / 1e6
    });
    let planned = Planned {
        setting: args.setting(),
        share: args.share,
        evidence,
        tokens: tokens[0],
        tokens_cautious: tokens[1],
        requests,
        cost,
        from,
    };
    if global.json {
        output::json(&planned)?;
    } else {
        write(&mut anstream::stdout(), args, &planned)?;
    }
    Ok(Exit::Done)
}

fn check(name: &str, value: f64) -> anyhow::Result<()> {
    if !(value > 0.0 && value <= 1.0) {
        bail!("{name} is {value}, but must lie above 0 and be at most 1");
    }
    Ok(())
}

/// The test that was named, or the measured one whose share is nearest.
fn pilot(args: &Plan) -> anyhow::Result<Measured> {
    if let (Some(path), Some(share)) = (&args.pilot, args.pilot_share) {
        return own(args, path, share);
    }
    let measured: Vec<Measured> = serde_json::from_str(MEASURED).context("internal fault")?;
    let far = |pilot: &Measured| (pilot.share / args.share).ln().abs();
    let fitting = measured.into_iter().filter(|pilot| pilot.setting == args.setting());
    fitting.min_by(|a, b| far(a).total_cmp(&far(b))).context("internal fault: no measured test")
}

fn own(args: &Plan, path: &Path, share: f64) -> anyhow::Result<Measured> {
    check("--pilot-share", share)?;
    let (shown, found) = (path.display(), report::read(path)?);
    if found.setting != args.setting() {
        bail!("{shown} is a test of the other setting (--closed or not) than is planned");
    }
    let name = format!("{shown}: {}, profile {}", found.suspect, found.mark.profile);
    Ok(Measured { name, setting: found.setting, share, growth: found.growth })
}

fn write(out: &mut impl Write, args: &Plan, planned: &Planned) -> io::Result<()> {
    let way = match planned.setting {
        Setting::Open => "by what the suspect expects while it reads, its base being known",
        Setting::Closed => "by what the suspect says",
    };
    writeln!(
        out,
        "To show training on text of which {} % is marked, at p ≤ {:e} over {} key(s), {way}:",
        100.0 * planned.share,
        args.fpr,
        args.accounts.max(1)
    )?;
    match (planned.tokens, planned.tokens_cautious) {
        (Some(tokens), Some(cautious)) if cautious > tokens => {
            writeln!(out, "  tokens    about {tokens}; cautiously {cautious}")?;
        }
        (Some(tokens), Some(_)) => writeln!(out, "  tokens    about {tokens}")?,
        (Some(tokens), None) => {
            writeln!(out, "  tokens    about {tokens}; perhaps no number is enough")?;
        }
        (None, _) => writeln!(
            out,
            "  tokens    no number is enough: in the test below the evidence had ceased to grow. What helps: texts with other \
             contexts, --like with a model trained alike without the mark, a mark of wider contexts"
        )?,
    }
    if let Some(requests) = planned.requests {
        writeln!(out, "  requests  {requests} of {} tokens", args.answer_tokens)?;
    }
    if let Some(cost) = planned.cost {
        writeln!(out, "  cost      {cost:.2}, in the currency of the prices")?;
    }
    let last = planned.from.growth.last().copied().unwrap_or_default();
    writeln!(
        out,
        "  from      {}: log10 p {} after {} tokens, {} % marked",
        planned.from.name,
        output::log10_p(last.1),
        last.0,
        100.0 * planned.from.share
    )?;
    writeln!(
        out,
        "  note      a plan, not a promise: other models learn more or less of a mark; a --pilot of a model like the suspect is better"
    )
}
