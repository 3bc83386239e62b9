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
