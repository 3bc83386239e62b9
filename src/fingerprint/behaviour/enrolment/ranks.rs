//! Asking the reference for answers whose ranks count.

use super::super::exchange::chances;
use super::super::rank::counts;
use super::record::{Ask, Asked, RecordError, SYMBOLS, Settings, Surveyed, member, survey};
use super::select::{by_ratio, shift, turns};
use super::{NullProtocol, RankCell, Ranks};

/// Chooses prompts and orders at which the answers of others have higher ranks than the reference's, and asks for fresh answers.
pub(super) fn ranks<E: From<RecordError>>(
    settings: &Settings,
    ask: &mut Ask<'_, E>,
) -> Result<Ranks, E> {
    const LEAST: usize = 24;
    if settings.prompts.len() < LEAST {
        return Err(RecordError::Prompts { got: settings.prompts.len(), wanted: LEAST }.into());
    }
    let nulls = settings.nulls();
    let mut prompts = Vec::new();
    for surveyed in survey(settings, ask)? {
        prompts.push(Candidate::new(settings, &nulls, surveyed, ask)?);
    }
    let row = |other: usize| prompts.iter().map(|it| it.orders[other].shift).collect();
    let shifts: Vec<Vec<f64>> = (0..others(settings)).map(row).collect();
    let mut cells = Vec::new();
    for (at, other) in turns(&shifts, settings.queries) {
        let symbols = std::mem::take(&mut prompts[at].orders[other].symbols);
        cells.push(cell(settings, &nulls, &prompts[at].surveyed, symbols, ask)?);
    }
    Ok(Ranks { nulls, cells })
}

/// Models that prompts are chosen against: the alternatives, or where there are none the mean answer in their place.
fn others(settings: &Settings) -> usize {
    settings.alternatives.len().max(1)
}

/// What is known of one prompt before it is chosen.
struct Candidate<'a> {
    surveyed: Surveyed<'a>,
    /// One against each of the others.
    orders: Vec<Order>,
}

/// Answers in an order, and how far the ranks of another model then shift.
struct Order {
    symbols: Vec<String>,
    shift: f64,
}

impl<'a> Candidate<'a> {
    fn new<E>(
        settings: &Settings,
        nulls: &[NullProtocol],
        surveyed: Surveyed<'a>,
        ask: &mut Ask<'_, E>,
    ) -> Result<Self, E> {
        let Surveyed { prompt, base, others } = &surveyed;
        let likeliest = base.table.likeliest(SYMBOLS);
        let mut members = Vec::new();
        for null in nulls {
            let (table, _) = member(settings, null, base, &likeliest, prompt, ask)?;
            members.push(chances(&table.ppm(&likeliest)));
        }
        let orders = others.iter().take(self::others(settings)).map(|table| {
            let suspect = chances(&table.ppm(&likeliest));
            let order = order(&members, &suspect, !settings.alternatives.is_empty());
            let symbols = order.iter().filter_map(|at| likeliest.get(*at).cloned()).collect();
            Order { symbols, shift: least_shift(&members, &suspect, &order) }
        });
        Ok(Self { orders: orders.collect(), surveyed })
    }
}

/// The order of answers: against an alternative by its likelihood ratio to the mean of the null's members; against no known model as
/// they are, the reference's likeliest first.
///
/// Measured on a model of 16 million parameters under the enrolled protocol alone, with the best hundred of 600 prompts: a chat tune
/// that was named as an alternative had a mean percentile of 0.67 by this order and 0.61 by likelihood, and two models that were not
/// named 0.71 and 0.68.
fn order(members: &[Vec<f64>], suspect: &[f64], known: bool) -> Vec<usize> {
    if !known {
        return (0..suspect.len()).collect();
    }
    let part = 1.0 / members.len() as f64;
    let mean = |at| members.iter().map(|member| part * member[at]).sum();
    let mean: Vec<f64> = (0..suspect.len()).map(mean).collect();
    by_ratio(&mean, suspect)
}

/// By how much a suspect's ranks lie above those of the member of the null that it is nearest to.
fn least_shift(members: &[Vec<f64>], suspect: &[f64], order: &[usize]) -> f64 {
    let sorted = |row: &[f64]| order.iter().map(|at| row[*at]).collect::<Vec<_>>();
    let suspect = sorted(suspect);
    let shifts = members.iter().map(|member| shift(&sorted(member), &suspect));
    shifts.fold(f64::INFINITY, f64::min)
}

fn cell<E>(
    settings: &Settings,
    nulls: &[NullProtocol],
    surveyed: &Surveyed<'_>,
    symbols: Vec<String>,
    ask: &mut Ask<'_, E>,
) -> Result<RankCell, E> {
    let mut fresh = Vec::new();
    for null in nulls {
        let request = null.protocol.request(surveyed.prompt, 1, None);
        // Answers that the order was estimated from are not fresh.
        let repeats = settings.training..settings.training.saturating_add(settings.references);
        let answers = repeats
            .map(|repeat| Ok(ask(Asked { model: 0, request: &request, repeat })?.text))
            .collect::<Result<Vec<_>, E>>()?;
        fresh.push(counts(&symbols, answers.iter().map(String::as_str)));
    }
    Ok(RankCell {
        prompt: surveyed.prompt.to_owned(),
        prompt_tokens: surveyed.base.prompt_tokens,
        symbols,
        fresh,
    })
}
