//! Asking the reference for answers whose ranks count.

use super::super::exchange::chances;
use super::super::rank::counts;
use super::record::{Ask, Asked, RecordError, SYMBOLS, Settings, Surveyed, survey};
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
    let surveyed = survey(settings, ask)?;
    // The mean answer stands in where there are no alternatives.
    let others = settings.alternatives.len().max(1);
    let mut orders: Vec<Vec<Order>> = (0..others)
        .map(|other| surveyed.iter().map(|it| Order::new(it, other)).collect())
        .collect();
    let shifts: Vec<Vec<f64>> =
        orders.iter().map(|row| row.iter().map(|order| order.shift).collect()).collect();
    let mut cells = Vec::new();
    for (at, other) in turns(&shifts, settings.queries) {
        let symbols = std::mem::take(&mut orders[other][at].symbols);
        cells.push(cell(settings, &nulls, &surveyed[at], symbols, ask)?);
    }
    Ok(Ranks { nulls, cells })
}

/// Answers to a prompt in an order, and how far the ranks of another model then shift.
struct Order {
    symbols: Vec<String>,
    shift: f64,
}

impl Order {
    /// Against an alternative by its likelihood ratio; against none by the reference's likelihood.
    fn new(surveyed: &Surveyed<'_>, other: usize) -> Self {
        let likeliest = surveyed.base.table.likeliest(SYMBOLS);
        let reference = chances(&surveyed.base.table.ppm(&likeliest));
        let suspect = chances(&surveyed.others[other].ppm(&likeliest));
        let known = other + 1 < surveyed.others.len();
        let order =
            if known { by_ratio(&reference, &suspect) } else { (0..reference.len()).collect() };
        let sorted = |row: &[f64]| order.iter().map(|at| row[*at]).collect::<Vec<_>>();
        let shift = shift(&sorted(&reference), &sorted(&suspect));
        let symbols = order.iter().filter_map(|at| likeliest.get(*at).cloned()).collect();
        Self { symbols, shift }
    }
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
