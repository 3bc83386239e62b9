//! What was said of texts that the public asked about, so that small edits teach nothing new.
//!
//! Each text that is examined is a root. A later text that is the [same](Likeness::Same) but for a few words gets the root's verdict;
//! one that is [alike](Likeness::Alike) gets none, whatever mark it has; all others are examined and become roots. Answers from
//! memory found none, so that nobody can walk from text to text. What is said of an alike text depends on its wording and not on
//! its mark: it tells nothing to one who edits, and accuses nobody of what stood in another text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::settings::{DetectionError, DetectionSettings};
use super::sketch::{Likeness, PRINTS_PER_WORD, Sketch};

/// The memory.
pub(super) struct Memory<V> {
    secret: Zeroizing<[u8; 32]>,
    /// In seconds.
    age: i64,
    most_prints: usize,
    roots: Mutex<Roots<V>>,
}

struct Roots<V> {
    next: u64,
    prints: usize,
    by_number: BTreeMap<u64, Root<V>>,
    /// Sampled fingerprints and the roots that have them.
    index: BTreeSet<(u32, u64)>,
}

struct Root<V> {
    at: i64,
    sketch: Sketch,
    /// None while it is examined.
    verdict: Option<V>,
}

/// What is known of a text.
pub(super) enum Recalled<V: Clone> {
    /// Nothing: it is to be examined, and what is said of it kept.
    New(Reserved<V>),
    /// It is the same as a root of which this was said.
    Same(V),
    /// It is like a root, but not the same.
    Alike,
    /// A root that it is the same as, or like, is being examined.
    Busy,
}

/// A root that is being examined. It is forgotten when nothing is said of it.
pub(super) struct Reserved<V: Clone> {
    memory: Arc<Memory<V>>,
    number: Option<u64>,
}

/// Roots that are compared with a text: those with most sampled fingerprints of it.
const COMPARED: usize = 64;

impl<V: Clone> Memory<V> {
    /// A memory with a secret of its own.
    ///
    /// # Errors
    /// [`DetectionError::Randomness`].
    pub fn new(settings: &DetectionSettings) -> Result<Self, DetectionError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(DetectionError::Randomness)?;
        let roots =
            Roots { next: 0, prints: 0, by_number: BTreeMap::new(), index: BTreeSet::new() };
        Ok(Self {
            secret,
            age: i64::from(settings.remember_days) * 24 * 60 * 60,
            most_prints: (settings.remembered_words as f64 * PRINTS_PER_WORD) as usize,
            roots: Mutex::new(roots),
        })
    }

    /// What is known of a text. Where nothing is, a place is reserved for it at once: of texts that come at the same time only one
    /// is examined.
    pub fn recall(self: &Arc<Self>, text: &str, now: Timestamp) -> Recalled<V> {
        let sketch = Sketch::new(text, &self.secret);
        let mut roots = self.roots();
        roots.forget_older(now.as_second() - self.age);
        match roots.nearest(&sketch) {
            Some((_, None)) => Recalled::Busy,
            Some((Likeness::Same, Some(verdict))) => Recalled::Same(verdict.clone()),
            Some((_, Some(_))) => Recalled::Alike,
            None => {
                let number = roots.insert(sketch, now.as_second(), self.most_prints);
                Recalled::New(Reserved { memory: Arc::clone(self), number })
            }
        }
    }

    fn roots(&self) -> MutexGuard<'_, Roots<V>> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Roots<V> {
    /// The oldest root that is the same, or else the oldest that is alike.
    fn nearest(&self, sketch: &Sketch) -> Option<(Likeness, Option<&V>)> {
        let mut votes: HashMap<u64, usize> = HashMap::new();
        for print in sketch.sampled() {
            for (_, number) in self.index.range((print, 0)..=(print, u64::MAX)) {
                *votes.entry(*number).or_default() += 1;
            }
        }
        let mut candidates: Vec<(u64, usize)> = votes.into_iter().collect();
        candidates.sort_unstable_by_key(|&(number, votes)| (usize::MAX - votes, number));
        let likeness = |&(number, _): &(u64, usize)| {
            let root = self.by_number.get(&number)?;
            let rank = match root.sketch.likeness(sketch) {
                Likeness::Same => 0,
                Likeness::Alike => 1,
                Likeness::Other => return None,
            };
            Some((rank, number))
        };
        let (rank, number) = candidates.iter().take(COMPARED).filter_map(likeness).min()?;
        let likeness = if rank == 0 { Likeness::Same } else { Likeness::Alike };
        Some((likeness, self.by_number.get(&number)?.verdict.as_ref()))
    }

    /// A text without fingerprints, or with more than there is room for, is not remembered.
    fn insert(&mut self, sketch: Sketch, at: i64, most: usize) -> Option<u64> {
        let prints = sketch.len();
        if prints == 0 || prints > most {
            return None;
        }
        while self.prints + prints > most {
            let oldest = *self.by_number.first_key_value()?.0;
            self.forget(oldest);
        }
        let number = self.next;
        self.next += 1;
        self.prints += prints;
        self.index.extend(sketch.sampled().map(|print| (print, number)));
        self.by_number.insert(number, Root { at, sketch, verdict: None });
        Some(number)
    }

    fn forget_older(&mut self, than: i64) {
        while let Some((&number, root)) = self.by_number.first_key_value() {
            if root.at >= than {
                return;
            }
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(root) = self.by_number.remove(&number) else { return };
        self.prints -= root.sketch.len();
        for print in root.sketch.sampled() {
            self.index.remove(&(print, number));
        }
    }
}

impl<V: Clone> Reserved<V> {
    /// Keeps what is said of the text.
    pub fn keep(mut self, verdict: V) {
        if let Some(number) = self.number.take()
            && let Some(root) = self.memory.roots().by_number.get_mut(&number)
        {
            root.verdict = Some(verdict);
        }
    }
}

impl<V: Clone> Drop for Reserved<V> {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.memory.roots().forget(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::detection::sketch::tests::prose;

    const DAY: i64 = 24 * 60 * 60;

    fn memory(words: usize) -> Arc<Memory<u32>> {
        let settings =
            DetectionSettings { remembered_words: words, ..DetectionSettings::default() };
        Arc::new(Memory::new(&settings).unwrap())
    }

    /// What is recalled: a verdict, `-1` for a text that is alike, `-2` for one that waits; a new text is given a verdict.
    fn ask(memory: &Arc<Memory<u32>>, text: &[String], day: i64, verdict: u32) -> i64 {
        match memory.recall(&text.join(" "), Timestamp::from_second(day * DAY).unwrap()) {
            Recalled::New(reserved) => {
                reserved.keep(verdict);
                i64::from(verdict)
            }
            Recalled::Same(verdict) => verdict.into(),
            Recalled::Alike => -1,
            Recalled::Busy => -2,
        }
    }

    #[test]
    fn first_verdicts_stand_for_days_and_lead_nowhere() {
        let memory = memory(1_000_000);
        let text = prose(500, 1);
        assert_eq!(ask(&memory, &text, 0, 1), 1);
        let mut edited = text.clone();
        edited[250] = "other".to_owned();
        assert_eq!(ask(&memory, &edited, 1, 2), 1);
        for at in (0..500).step_by(12) {
            edited[at] = format!("new{at}");
        }
        assert_eq!(ask(&memory, &edited, 2, 3), -1);
        // Alike answers found no roots: what is like the edited text alone is new.
        for at in (0..500).step_by(5) {
            edited[at] = format!("newer{at}");
        }
        assert_eq!(ask(&memory, &edited, 3, 4), 4);
        assert_eq!(ask(&memory, &prose(500, 2), 3, 5), 5);
        assert_eq!(ask(&memory, &text, 7, 6), 1);
        assert_eq!(ask(&memory, &text, 8, 7), 7);
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_is_no_room() {
        let memory = memory(3_000);
        let texts: Vec<_> = (0..20).map(|seed| prose(500, seed)).collect();
        for (text, verdict) in texts.iter().zip(0..) {
            assert_eq!(ask(&memory, text, 0, verdict), i64::from(verdict));
        }
        assert_eq!(ask(&memory, &texts[19], 0, 100), 19);
        assert_eq!(ask(&memory, &texts[0], 0, 100), 100);
        let roots = memory.roots();
        assert!(roots.prints <= 1_200 && roots.by_number.len() < 8);
        let indexed = |number: &u64| roots.index.iter().any(|(_, at)| at == number);
        assert!(roots.by_number.keys().all(indexed));
        assert!(roots.index.iter().all(|(_, number)| roots.by_number.contains_key(number)));
    }

    #[test]
    fn of_texts_that_come_together_one_is_examined() {
        let memory = memory(1_000_000);
        let text = prose(300, 3);
        let now = Timestamp::from_second(0).unwrap();
        let Recalled::New(reserved) = memory.recall(&text.join(" "), now) else { panic!() };
        assert_eq!(ask(&memory, &text, 0, 1), -2);
        assert_eq!(ask(&memory, &text[..200], 0, 1), -2);
        // An examination that fails leaves nothing behind.
        drop(reserved);
        assert_eq!(ask(&memory, &text, 0, 2), 2);
        assert_eq!(memory.roots().by_number.len(), 1);
    }

    #[test]
    fn texts_without_wording_are_not_remembered() {
        let memory = memory(1_000);
        for verdict in [1, 2] {
            assert_eq!(ask(&memory, &[], 0, verdict), i64::from(verdict));
        }
        assert_eq!(ask(&memory, &prose(10_000, 4), 0, 3), 3);
        assert!(memory.roots().by_number.is_empty() && memory.roots().index.is_empty());
    }
}
