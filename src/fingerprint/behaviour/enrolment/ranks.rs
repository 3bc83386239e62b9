//! Asking the reference for answers whose ranks count.

use super::super::rank::counts;
use super::record::{Ask, Asked, RecordError, SYMBOLS, Settings, Surveyed, survey};
use super::select::{shift, turns};
use super::{NullProtocol, RankCell, Ranks};

/// Chooses prompts at which the answers of others lie lower than the reference's, and asks each for fresh answers.
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
    let chosen = turns(&shifts(&surveyed), settings.queries);
    let cells = chosen.into_iter().map(|at| cell(settings, &nulls, &surveyed[at], ask));
    let cells = cells.collect::<Result<_, E>>()?;
    Ok(Ranks { nulls, cells })
}

/// One row an alternative; the mean answer stands in where there are none.
fn shifts(surveyed: &[Surveyed<'_>]) -> Vec<Vec<f64>> {
    let others = surveyed.first().map_or(0, |it| it.others.len());
    let used = if others > 1 { others - 1 } else { others };
    let one = |surveyed: &Surveyed<'_>, other: usize| {
        let symbols = surveyed.base.table.likeliest(SYMBOLS);
        shift(&surveyed.base.table.ppm(&symbols), &surveyed.others[other].ppm(&symbols))
    };
    (0..used).map(|other| surveyed.iter().map(|it| one(it, other)).collect()).collect()
}

fn cell<E>(
    settings: &Settings,
    nulls: &[NullProtocol],
    surveyed: &Surveyed<'_>,
    ask: &mut Ask<'_, E>,
) -> Result<RankCell, E> {
    let symbols = surveyed.base.table.likeliest(SYMBOLS);
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
