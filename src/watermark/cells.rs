//! Evidence of tokens that nobody need have chosen: a context, and any tokens that might follow it.

use super::Watermark;
use crate::prf::{Held, PrfVariant, SeedId, Seeding, TEXTSEAL_LEVELS};
use crate::tokens::TokenId;

/// What one token after one context says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// What its words depend on, together with the token.
    pub seed: SeedId,
    /// Its place in a public table of bits, of marks whose keys only shift such a table: see
    /// [`PeerPrf::shifted_table`](crate::prf::PeerPrf::shifted_table).
    pub place: Option<u64>,
    /// Its evidence.
    pub evidence: f64,
}

impl Watermark {
    /// How many ids before a token decide on its evidence; `None` of marks whose tokens have none of their own (those that judge whole
    /// texts), or that read all that stands before.
    pub fn reach(&self) -> Option<usize> {
        if self.spec.scheme().sequence().is_some() {
            return None;
        }
        self.prf.reach()
    }

    /// Whether all tokens after one context share its seed.
    pub fn seeds_by_context(&self) -> bool {
        !matches!(self.prf.seeding(), Seeding::SelfAnchored { .. })
    }

    /// Whether which contexts share a seed depends on the key.
    pub fn keys_choose_seeds(&self) -> bool {
        matches!(self.prf.seeding(), Seeding::Min { .. } | Seeding::SelfAnchored { .. })
    }

    /// How many different words there may be at least: evidence that is a function of a uniform number is one of so many steps.
    pub fn levels(&self) -> f64 {
        match self.spec.prf() {
            PrfVariant::TextSealV1 => f64::from(TEXTSEAL_LEVELS),
            PrfVariant::TouchmarkV1 => TWO_POW_32,
            _ => TWO_POW_24,
        }
    }

    /// Calls `visit(i, cell)` for every one of `tokens` that might follow `context`, but for special ones and those that say nothing
    /// of the key. The context is the last [`reach`](Self::reach) ids or more; with fewer nothing is visited.
    pub fn each_cell(
        &self,
        context: &[TokenId],
        tokens: &[TokenId],
        held: &mut Held,
        mut visit: impl FnMut(usize, Cell),
    ) {
        let scheme = self.spec.scheme();
        let Some(draw) = self.prf.at(context) else { return };
        held.fill(&draw, tokens, scheme.streams(), self.vocab_size);
        let known = held.draw(&draw);
        let common =
            (self.seeds_by_context() && !tokens.is_empty()).then(|| draw.seed_id(tokens[0]));
        for (at, &token) in tokens.iter().enumerate() {
            if token >= self.vocab_size || self.special.contains(&token) || !draw.is_keyed(token) {
                continue;
            }
            let seed = common.unwrap_or_else(|| draw.seed_id(token));
            let place = draw.names(token).map(|[own, ..]| own);
            visit(at, Cell { seed, place, evidence: scheme.evidence(&known, token) });
        }
    }
}

const TWO_POW_24: f64 = 16_777_216.0;
const TWO_POW_32: f64 = 4_294_967_296.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;
    use crate::schemes::Spec;
    use crate::tokens::TokenizerHash;
    use crate::watermark::{Repeats, Vocabulary};

    /// Of every token-level scheme: what a text's own tokens say, whether few tokens are asked for or many.
    #[test]
    fn cells_are_pairs() {
        let vocabulary =
            Vocabulary { tokenizer: TokenizerHash([3; 32]), size: 640, special: vec![0, 7] };
        let ids: Vec<TokenId> = (0..40).map(|i| (i * i * 31 + 5 * i) % 640).collect();
        let mut compared = 0;
        for spec in Spec::examples() {
            let key = match spec.key_numbers() {
                None => Key::take(&mut [9; 32]),
                Some(count) => {
                    Key::of_numbers((0..count as u64).map(|i| 977 + 31 * i).collect()).unwrap()
                }
            };
            let mark =
                Watermark::new(&key, spec.prf(), &spec, &vocabulary, Repeats::ScoreOnce).unwrap();
            let Some(reach) = mark.reach() else { continue };
            let mut held = Held::default();
            let scheme = spec.scheme();
            mark.prf.walk(crate::prf::Start::Fragment, &ids, scheme.streams(), |position, draw| {
                let token = ids[position];
                if position < reach || token == 0 || token == 7 || !draw.is_keyed(token) {
                    return;
                }
                for tokens in [vec![token], (0..640).collect(), vec![7, 1, token, 639]] {
                    let mut found = Vec::new();
                    mark.each_cell(&ids[..position], &tokens, &mut held, |at, cell| {
                        if tokens[at] == token {
                            found.push(cell);
                        }
                    });
                    let [cell] = found[..] else { panic!("{}: {found:?}", spec.name()) };
                    assert_eq!(cell.seed, draw.seed_id(token), "{}", spec.name());
                    assert_eq!(cell.evidence, scheme.evidence(draw, token), "{}", spec.name());
                    compared += 1;
                }
            });
        }
        assert!(compared > 1000, "{compared}");
    }
}
