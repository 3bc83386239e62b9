//! Which items of all sources a rank takes.
//!
//! Where there are as many sources as ranks, rank r of N takes sources r, r + N, … Where there are fewer, runs of so many
//! records as a shard has are dealt: of source f, rank r takes runs k with (f + k) mod N = r. Numbers of records are a function of
//! the source alone, so that ranks agree without speaking to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use touchmark::corpus::{Document, DocumentError, Reading, Records};

/// Where an item is: the number of its source, and its own number in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub source: u64,
    pub number: u64,
}

/// A document, or what is wrong with it.
pub struct Item {
    pub place: Place,
    pub document: Result<Document, DocumentError>,
}

/// What one rank takes.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    rank: u64,
    world_size: u64,
    /// Records that are dealt together, where sources are not dealt whole.
    run: Option<u64>,
}

impl Share {
    /// All there is.
    pub const ALL: Self = Self { rank: 0, world_size: 1, run: None };

    pub fn new(rank: u64, world_size: u64, sources: usize, run: u64) -> Self {
        Self { rank, world_size, run: ((sources as u64) < world_size).then_some(run) }
    }

    /// Whether each source belongs to one rank.
    pub fn is_of_whole_sources(&self) -> bool {
        self.run.is_none()
    }

    /// Whether something of a source may belong to the rank.
    pub fn has(&self, source: u64) -> bool {
        self.run.is_some() || source % self.world_size == self.rank
    }

    /// The first number from `number` on that is the rank's own, in a source that it [has](Self::has).
    fn own_from(&self, source: u64, number: u64) -> u64 {
        let Some(length) = self.run else { return number };
        let run = number / length;
        let turn = (source + run) % self.world_size;
        match (self.rank + self.world_size - turn) % self.world_size {
            0 => number,
            ahead => (run + ahead) * length,
        }
    }
}

/// The items of a share, from a place on.
pub struct Items<S> {
    sources: S,
    reading: Reading,
    share: Share,
    begin: Place,
    next_source: u64,
    open: Option<Open>,
}

struct Open {
    source: u64,
    records: Records,
    /// The least number that may come next.
    next: u64,
}

impl<S: Iterator<Item = Result<PathBuf, DocumentError>>> Items<S> {
    /// `sources` are all, of all ranks.
    pub fn new(sources: S, reading: Reading, share: Share, begin: Place) -> Self {
        Self { sources, reading, share, begin, next_source: 0, open: None }
    }

    /// The next item of the source that is open.
    fn of_open(&mut self) -> Option<Item> {
        loop {
            let open = self.open.as_mut()?;
            let own = self.share.own_from(open.source, open.next);
            if own > open.next {
                open.records.skip_to(own);
            }
            let Some(document) = open.records.next() else {
                self.open = None;
                return None;
            };
            let number = open.records.number();
            open.next = number + 1;
            if self.share.own_from(open.source, number) == number {
                return Some(Item { place: Place { source: open.source, number }, document });
            }
        }
    }
}

impl<S: Iterator<Item = Result<PathBuf, DocumentError>>> Iterator for Items<S> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.of_open() {
                return Some(item);
            }
            let found = self.sources.next()?;
            let source = self.next_source;
            self.next_source += 1;
            if source < self.begin.source || !self.share.has(source) {
                continue;
            }
            let next = if source == self.begin.source { self.begin.number } else { 0 };
            match found {
                Ok(path) => {
                    let mut records = Records::open(&path, &self.reading);
                    records.skip_to(next);
                    self.open = Some(Open { source, records, next });
                }
                Err(error) if next == 0 && self.share.own_from(source, 0) == 0 => {
                    return Some(Item { place: Place { source, number: 0 }, document: Err(error) });
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_dealt_to_one_rank() {
        for (world_size, sources) in [(1, 1), (3, 1), (3, 2), (4, 4), (5, 2)] {
            let shares: Vec<Share> =
                (0..world_size).map(|rank| Share::new(rank, world_size, sources, 7)).collect();
            for source in 0..sources as u64 {
                for number in 0..100 {
                    let owners = shares.iter().filter(|share| {
                        share.has(source) && share.own_from(source, number) == number
                    });
                    assert_eq!(owners.count(), 1, "{world_size} {sources} {source} {number}");
                }
            }
        }
    }
}
