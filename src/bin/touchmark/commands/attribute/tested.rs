//! From transcripts to a result, in both settings alike.

use std::num::NonZero;

use touchmark::attribution::{
    Account, Attribution, Control, DecoyKind, Decoys, Drawing, Judged, Looks, Measured, Rule,
    Setting, Statistic, Transcript, Verdict, Weighed,
};
use touchmark::stats::{Family, LogP};

use super::marked::Marked;
use crate::args::{Global, attribute::Run};
use crate::commands::detect::threads;
use crate::output;

const STAND_INS: &str = "decoys are lists and numbers of the mark's law drawn from ChaCha12: other keys through the mark's own function \
                         would have taken more than two minutes";

/// Tokens at the first look of a test that may stop early.
pub const FIRST_LOOK: u64 = 2_048;

/// What was gathered without the key.
pub struct Gathered {
    pub setting: Setting,
    pub suspect: String,
    pub base: Option<String>,
    pub statistic: Statistic,
    pub primary: Transcript,
    /// Other readings of the same.
    pub beside: Vec<(Statistic, Transcript)>,
    pub controls: Vec<(String, Transcript)>,
    /// After growing numbers of tokens.
    pub growth: Vec<(u64, Transcript)>,
    /// What the look costs at which it ended; 1 where it was not free to end.
    pub price: u64,
    pub counts: serde_json::Map<String, serde_json::Value>,
    /// Reasons why nothing can be said.
    pub premises: Vec<String>,
    pub warnings: Vec<String>,
    pub null: String,
}

/// Weighs it under the key or keys.
pub fn result(
    global: &Global,
    args: &Run,
    mark: &Marked,
    gathered: Gathered,
) -> anyhow::Result<Attribution> {
    let statistic = gathered.statistic;
    let mut weighed = Vec::with_capacity(mark.keys.len());
    for (name, watermark) in &mark.keys {
        let own = Weighed::new(&gathered.primary, watermark)?;
        weighed.push((name, watermark, Measured::new(statistic, &own)?, own));
    }
    weighed.sort_by(|a, b| a.2.log10_p.total_cmp(&b.2.log10_p).then(b.2.z.total_cmp(&a.2.z)));
    let family = family(mark, gathered.price);
    let accounts = accounts(args, mark, &family, &weighed)?;
    let (name, watermark, primary, own) = weighed.swap_remove(0);
    output::detail(
        global.verbose,
        &format!("Weighed under {name}; drawing {} decoys", args.decoys),
    );
    let decoys = Decoys::draw(&gathered.primary, &mark.way, &own, drawing(global, args))?;
    let measure = |statistic, transcript: &Transcript| {
        anyhow::Ok(Measured::new(statistic, &Weighed::new(transcript, watermark)?)?)
    };
    let mut controls = Vec::new();
    for (name, transcript) in &gathered.controls {
        controls.push(Control { name: name.clone(), measured: measure(statistic, transcript)? });
    }
    let beside = gathered.beside.iter().map(|(kind, transcript)| measure(*kind, transcript));
    let beside = beside.collect::<anyhow::Result<Vec<_>>>()?;
    let mut growth = Vec::new();
    for (tokens, transcript) in &gathered.growth {
        growth.push((*tokens, measure(statistic, transcript)?.log10_p));
    }
    growth.push((tokens_of(&gathered), primary.log10_p));
    let rule = Rule { certified: args.fpr, ..Rule::default() };
    let mut warnings = gathered.warnings;
    if decoys.kind == DecoyKind::StandIns {
        warnings.push(STAND_INS.to_owned());
    }
    let mut premises = gathered.premises;
    premises.extend(later_key(args, mark));
    let judged = rule.judge(&primary, &decoys, &controls, &family, premises)?;
    Ok(Attribution {
        schema: Attribution::SCHEMA,
        setting: gathered.setting,
        suspect: gathered.suspect,
        suspect_made: args.suspect_made.map(|date| date.to_string()),
        base: gathered.base,
        mark: mark.described(),
        accounts: judged_accounts(accounts, &judged),
        judged,
        null: gathered.null,
        primary,
        beside,
        controls,
        decoys,
        growth,
        counts: gathered.counts,
        warnings,
    })
}

/// Nobody can have been trained on marks of a key that did not exist.
fn later_key(args: &Run, mark: &Marked) -> Option<String> {
    let committed = mark.info.created.to_zoned(jiff::tz::TimeZone::UTC).date();
    let made = args.suspect_made.filter(|made| *made < committed)?;
    Some(format!(
        "the suspect was made on {made}, before the key was committed to on {committed}: what it shows has other reasons"
    ))
}

/// What is tried: keys, and looks by what the last one costs.
fn family(mark: &Marked, price: u64) -> Family {
    let accounts = Family::one().times("accounts", mark.keys.len() as u64);
    accounts.times("looks (the price j(j+1) of this one, the test being free to end at any)", price)
}

/// What the last look costs: also where others were taken before the test was to go on to its end.
pub fn price(args: &Run, looks: &Looks) -> u64 {
    if args.stop_early { looks.price() } else { looks.end() }
}

/// Takes a look, if one is due after so many tokens: whether what there is shows training at its price.
pub fn look(
    args: &Run,
    mark: &Marked,
    looks: &mut Looks,
    tokens: u64,
    transcript: impl FnOnce() -> Transcript,
) -> anyhow::Result<bool> {
    if !args.stop_early || !looks.is_due(tokens) {
        return Ok(false);
    }
    let (family, transcript) = (family(mark, looks.take()), transcript());
    for (_, watermark) in &mark.keys {
        let p = Weighed::new(&transcript, watermark)?.p()?;
        if family.correct(p).log10() <= args.fpr.log10() {
            return Ok(true);
        }
    }
    looks.pass();
    Ok(false)
}

fn tokens_of(gathered: &Gathered) -> u64 {
    gathered.counts.get("tokens").and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn drawing(global: &Global, args: &Run) -> Drawing {
    let threads = NonZero::new(threads(global)).unwrap_or(NonZero::<usize>::MIN);
    Drawing { count: args.decoys, seed: args.seed, threads, ..Drawing::default() }
}

type Tried<'a> = (&'a String, &'a touchmark::watermark::Watermark, Measured, Weighed);

fn accounts(
    args: &Run,
    mark: &Marked,
    family: &Family,
    weighed: &[Tried<'_>],
) -> anyhow::Result<Vec<Account>> {
    if !mark.tenants {
        return Ok(Vec::new());
    }
    let account = |(name, _, measured, _): &Tried<'_>| {
        let corrected = family.correct(LogP::new(measured.log10_p)?).log10().max(-1e15);
        let shown = corrected <= args.fpr.log10();
        Ok(Account {
            name: (*name).clone(),
            log10_p: measured.log10_p,
            log10_p_corrected: corrected,
            z: measured.z,
            verdict: if shown { Verdict::Shown } else { Verdict::NotShown },
        })
    };
    weighed.iter().map(account).collect()
}

/// Where the test as a whole cannot be trusted, no account is named.
fn judged_accounts(mut accounts: Vec<Account>, judged: &Judged) -> Vec<Account> {
    if judged.verdict == Verdict::Inconclusive {
        accounts.iter_mut().for_each(|account| account.verdict = Verdict::Inconclusive);
    }
    accounts
}
