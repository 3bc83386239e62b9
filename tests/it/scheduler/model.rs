//! A model whose logits depend on every id before them, which says what is open, how much memory that takes, and stops
//! or fails where a test wants it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex};

use touchmark::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId, Want};
use touchmark::tokens::TokenId;

pub const V: usize = 96;
pub const WINDOW: usize = 400;
/// Positions come in pieces of this many.
pub const GRAIN: usize = 4;
pub const BYTES: u64 = 10;

/// What a step does instead of computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Error,
    Panic,
}

/// What a test sees of the model, and steers.
#[derive(Default)]
pub struct Probe {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    open: usize,
    positions: usize,
    most_positions: usize,
    /// Lengths of every step's chunks.
    steps: Vec<Vec<usize>>,
    /// Steps that may still be computed; all when `None`.
    permits: Option<usize>,
    faults: HashMap<usize, Fault>,
    panics_at_open: bool,
    dropped: bool,
}

impl Probe {
    pub fn open(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// Positions that open sequences take.
    pub fn positions(&self) -> usize {
        self.state.lock().unwrap().positions
    }

    pub fn most_positions(&self) -> usize {
        self.state.lock().unwrap().most_positions
    }

    /// Most rows of a step.
    pub fn most_rows(&self) -> usize {
        self.steps().iter().map(|chunks| chunks.iter().sum()).max().unwrap_or(0)
    }

    /// Lengths of every step's chunks: first of answers that are written, then of prompts.
    pub fn steps(&self) -> Vec<Vec<usize>> {
        self.state.lock().unwrap().steps.clone()
    }

    pub fn is_dropped(&self) -> bool {
        self.state.lock().unwrap().dropped
    }

    /// Lets so many more steps pass, and stops before the next one.
    pub fn permit(&self, steps: usize) {
        *self.state.lock().unwrap().permits.get_or_insert(0) += steps;
        self.moved.notify_all();
    }

    pub fn permit_all(&self) {
        self.state.lock().unwrap().permits = None;
        self.moved.notify_all();
    }

    /// What the `step`-th step from now, from 0, does.
    pub fn fault(&self, step: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        let at = state.steps.len() + step;
        state.faults.insert(at, fault);
    }

    pub fn panic_at_open(&self) {
        self.state.lock().unwrap().panics_at_open = true;
    }

    fn permitted(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        while state.permits == Some(0) {
            state = self.moved.wait(state).unwrap();
        }
        state.permits = state.permits.map(|permits| permits - 1);
        let at = state.steps.len();
        state.faults.remove(&at)
    }
}

pub struct HashModel {
    /// Ids, and the greatest length so far.
    sequences: HashMap<SeqId, (Vec<TokenId>, usize)>,
    next: u64,
    probe: Arc<Probe>,
}

impl HashModel {
    pub fn new() -> (Self, Arc<Probe>) {
        let probe = Arc::new(Probe::default());
        (Self { sequences: HashMap::new(), next: 0, probe: probe.clone() }, probe)
    }

    fn insert(&mut self, ids: Vec<TokenId>) -> SeqId {
        let (id, len) = (SeqId(self.next), ids.len());
        self.next += 1;
        self.sequences.insert(id, (ids, len));
        self.note();
        id
    }

    fn note(&self) {
        let positions = self.sequences.values().map(|(_, peak)| self.room(*peak)).sum();
        let mut state = self.probe.state.lock().unwrap();
        (state.open, state.positions) = (self.sequences.len(), positions);
        state.most_positions = state.most_positions.max(positions);
    }

    /// A sequence that begins with V − 1 has no logits that are numbers.
    fn logits(ids: &[TokenId]) -> Vec<f32> {
        if ids[0] as usize == V - 1 {
            return vec![f32::NAN; V];
        }
        let mix = |state: u64, word: u64| {
            let mixed = (state ^ word.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ mixed >> 29
        };
        let state = ids.iter().fold(7, |state, &id| mix(state, u64::from(id)));
        (0..V as u64)
            .map(|id| (mix(mix(state, id), id) >> 40) as f32 / (1 << 24) as f32 * 6.0)
            .collect()
    }
}

impl Drop for HashModel {
    fn drop(&mut self) {
        let mut state = self.probe.state.lock().unwrap();
        (state.open, state.dropped) = (self.sequences.len(), true);
    }
}

impl LanguageModel for HashModel {
    fn vocab_size(&self) -> usize {
        V
    }
    fn max_positions(&self) -> usize {
        WINDOW
    }
    fn bytes_per_position(&self) -> u64 {
        BYTES
    }
    fn room(&self, len: usize) -> usize {
        len.next_multiple_of(GRAIN)
    }
    fn open(&mut self) -> Result<SeqId, LmError> {
        assert!(!self.probe.state.lock().unwrap().panics_at_open, "as the test wants");
        Ok(self.insert(Vec::new()))
    }
    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        let prefix = self.sequences[&seq].0[..len].to_vec();
        Ok(self.insert(prefix))
    }
    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        let (ids, _) = self.sequences.get_mut(&seq).unwrap();
        assert!(len <= ids.len());
        ids.truncate(len);
        Ok(())
    }
    fn close(&mut self, seq: SeqId) {
        self.sequences.remove(&seq).expect("closed twice");
        self.note();
    }
    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        Ok(self.sequences[&seq].0.len())
    }
    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        let fault = self.probe.permitted();
        let lengths = work.iter().map(|chunk| chunk.ids.len()).collect();
        self.probe.state.lock().unwrap().steps.push(lengths);
        match fault {
            Some(Fault::Error) => return Err(LmError::Backend("as the test wants".into())),
            Some(Fault::Panic) => panic!("as the test wants"),
            None => {}
        }
        let distinct: HashSet<SeqId> = work.iter().map(|chunk| chunk.seq).collect();
        assert!(distinct.len() == work.len() && !work.is_empty());
        for (index, chunk) in work.iter().enumerate() {
            assert!(!chunk.ids.is_empty() && chunk.ids.iter().all(|&id| (id as usize) < V));
            let (ids, peak) = self.sequences.get_mut(&chunk.seq).unwrap();
            ids.extend_from_slice(chunk.ids);
            *peak = ids.len().max(*peak);
            assert!(ids.len() <= WINDOW && chunk.want != Want::All);
            if chunk.want == Want::Last {
                sink.row(index, chunk.ids.len() - 1, &Self::logits(ids));
            }
        }
        self.note();
        Ok(())
    }
}
