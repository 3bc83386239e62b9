//! Runs of tokens that stand in many documents.

use std::collections::HashMap;

use crate::tokens::TokenId;
use crate::watermark::{Text, Watermark};

/// Counts in how many documents each run of h + 1 tokens stands (a token with what its draw reads), in bounded memory.
///
/// Misra & Gries' summary (1982), in the form that takes many items at once (Agarwal et al. 2012, "Mergeable summaries"): whenever it
/// holds twice `room` runs, the count of rank `room` + 1 is taken off every count, and what is left without a count goes. A run that
/// comes later begins at nothing. So a count is a lower bound, exact until something was taken off, and too low by no more than
/// all that was taken off, which is at most runs read / `room`: a run that stands in more documents is never lost.
#[derive(Clone, Debug)]
pub struct Boilerplate {
    room: usize,
    counters: HashMap<Box<[TokenId]>, Counter>,
    taken_off: u64,
    documents: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    documents: u64,
    evidence: f64,
}

/// The runs of one document, each once, with the evidence of their last token.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<(Box<[TokenId]>, f64)>);

impl Runs {
    /// Those of the positions that count.
    pub fn of(watermark: &Watermark, text: &Text<'_>) -> Self {
        let width = watermark.spec().scheme().seeding().width();
        let mut runs = Vec::new();
        watermark.each_pair(text, |pair| {
            let from = pair.position.saturating_sub(width);
            if let Some(run) = text.ids.get(from..=pair.position) {
                runs.push((run.into(), pair.evidence));
            }
        });
        // Of runs that share a seed only the first counts, and of a seed that reads less than the run there may be several.
        runs.sort_by(|(a, _): &(Box<[TokenId]>, f64), (b, _)| a.cmp(b));
        runs.dedup_by(|(a, _), (b, _)| a == b);
        Self(runs)
    }
}

/// A run that stands in many documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurring {
    /// Its tokens.
    pub tokens: Vec<TokenId>,
    /// It stands in so many documents or more.
    pub at_least: u64,
    /// And in no more than so many.
    pub at_most: u64,
    /// The evidence of its last token, which counts once in a corpus.
    pub evidence: f64,
}

impl Boilerplate {
    /// A usual room: 65,536 runs, some 20 MB.
    pub const ROOM: usize = 1 << 16;

    /// An empty one, with room for `room` runs and as many new ones.
    pub fn new(room: usize) -> Self {
        Self { room: room.max(1), counters: HashMap::new(), taken_off: 0, documents: 0 }
    }

    /// Takes the runs of the next document.
    pub fn take(&mut self, runs: Runs) {
        self.documents += 1;
        for (run, evidence) in runs.0 {
            self.counters.entry(run).or_insert(Counter { documents: 0, evidence }).documents += 1;
        }
        if self.counters.len() >= 2 * self.room {
            self.take_off();
        }
    }

    fn take_off(&mut self) {
        let mut counts: Vec<u64> = self.counters.values().map(|it| it.documents).collect();
        let (_, &mut off, _) = counts.select_nth_unstable_by(self.room, |a, b| b.cmp(a));
        self.counters.retain(|_, counter| {
            counter.documents -= counter.documents.min(off);
            counter.documents > 0
        });
        self.taken_off += off;
    }

    /// Documents taken.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// The `most` runs with the highest counts that stand in two documents or more for certain.
    pub fn top(&self, most: usize) -> Vec<Recurring> {
        let found = self.counters.iter().filter(|(_, counter)| counter.documents > 1);
        let mut found: Vec<_> = found.collect();
        found.sort_by(|(a, one), (b, two)| two.documents.cmp(&one.documents).then(a.cmp(b)));
        found.truncate(most);
        let recurring = |run: &[TokenId], counter: &Counter| Recurring {
            tokens: run.to_vec(),
            at_least: counter.documents,
            at_most: (counter.documents + self.taken_off).min(self.documents),
            evidence: counter.evidence,
        };
        found.into_iter().map(|(run, counter)| recurring(run, counter)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(ids: impl IntoIterator<Item = TokenId>) -> Runs {
        Runs(ids.into_iter().map(|id| ([id, id + 1].into(), 0.5)).collect())
    }

    #[test]
    fn counts_are_exact_while_there_is_room() {
        let mut boilerplate = Boilerplate::new(100);
        for document in 0..10 {
            boilerplate.take(runs(
                [7, 8].into_iter().take(1 + document % 2).chain([50 + document as TokenId]),
            ));
        }
        let top = boilerplate.top(5);
        assert_eq!(top.len(), 2, "runs of one document are none: {top:?}");
        assert_eq!(
            (top[0].tokens.as_slice(), top[0].at_least, top[0].at_most),
            (&[7, 8][..], 10, 10)
        );
        assert_eq!((top[1].at_least, top[1].at_most, top[1].evidence), (5, 5, 0.5));
    }

    /// 300 documents of 40 runs, one of which is in all, one in every third: bounds hold however little room there is.
    #[test]
    fn bounds_hold_when_room_is_short() {
        for room in [1, 10, 60, 1_000] {
            let mut boilerplate = Boilerplate::new(room);
            for document in 0..300 {
                let own = (0..38).map(|i| 1_000 + (document * 38 + i) * 7 % 9_000);
                let third = (document % 3 == 0).then_some(2);
                boilerplate.take(runs(own.chain([1]).chain(third)));
            }
            for found in boilerplate.top(3) {
                let truth = match found.tokens[0] {
                    1 => 300,
                    2 => 100,
                    id => (0..300 * 38).filter(|i| 1_000 + i * 7 % 9_000 == id).count() as u64,
                };
                assert!((found.at_least..=found.at_most).contains(&truth), "{room}: {found:?}");
            }
            if room >= 60 {
                assert_eq!(boilerplate.top(1)[0].tokens, [1, 2], "{room}");
            }
            assert!(boilerplate.counters.len() < 2 * room + 40);
        }
    }
}
