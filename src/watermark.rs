//! A key and a scheme put to work: one [`Embedder`] for each sequence that is written, [`Watermark::score`] for a text.
//!
//! Both halves read the same draws from the same `Prf` and the same rule for repeats. Scoring needs no model: token ids
//! (and, for entropy-gated schemes, the model's entropies) are all it takes.

mod cells;
mod many_keys;

use std::borrow::Borrow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use crate::keys::Key;
use crate::prf::{Draw, Prf, PrfVariant, Purpose, SeedId, Seeding, Start};
use crate::sampling::{Candidates, Noise};
use crate::schemes::{
    Judgement, Memory, Noted, Null, Payload, Pick, Scheme, Sequence, Spec, SpecError, Stage,
};
use crate::tokens::{TokenId, TokenizerHash};

pub use cells::Cell;
pub use many_keys::Counted;

/// What is done about positions whose draw was seen before in the same answer.
///
/// Equal draws give equal evidence, so counting both would count one coin twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeats {
    /// Generation marks everything; the scorer counts each (seed, token) once.
    #[default]
    ScoreOnce,
    /// Generation leaves a repeated seed unmarked; the scorer counts the first occurrence of each seed.
    SingleTurn,
    /// The same, and generation takes the prompt for a part of the answer: a seed whose ids stand in the prompt counts as
    /// used, and the answer's first tokens, whose contexts would reach into the prompt, stay unmarked. Of several turns of a
    /// conversation each context is so marked once.
    AllTurns,
}

impl Repeats {
    /// That of new profiles of a scheme.
    pub fn usual(spec: &Spec) -> Self {
        if spec.scheme().skips_repeats() { Self::SingleTurn } else { Self::ScoreOnce }
    }
}

/// The tokens a mark is bound to: ids mean something only under one tokenizer, words only below one V.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// The tokenizer that gives the ids.
    pub tokenizer: TokenizerHash,
    /// V, the width of the model's logits.
    pub size: u32,
    /// Ids that never count: end of text, chat markers, padding.
    pub special: Vec<TokenId>,
}

/// A key and a way of marking.
#[derive(Debug)]
pub struct Watermark {
    prf: Prf,
    spec: Spec,
    repeats: Repeats,
    null: Null,
    vocab_size: u32,
    special: Vec<TokenId>,
}

impl Watermark {
    /// Binds a key to a scheme and a vocabulary.
    ///
    /// # Errors
    /// [`SpecError`]: a parameter outside its range, a function that is not the scheme's, or the key of another engine.
    pub fn new(
        key: &Key,
        variant: PrfVariant,
        spec: &Spec,
        vocabulary: &Vocabulary,
        repeats: Repeats,
    ) -> Result<Self, SpecError> {
        check(spec, repeats, variant)?;
        let scheme = spec.scheme();
        let prf = match scheme.peer() {
            Some(peer) => Prf::of_peer(key, &peer, scheme.seeding(), vocabulary.size)?,
            None => {
                let parameters = spec.canonical();
                let purpose = Purpose {
                    scheme: spec.name(),
                    parameters: &parameters,
                    tokenizer: vocabulary.tokenizer,
                    vocab_size: vocabulary.size,
                };
                Prf::new(key, &purpose, scheme.seeding())?
            }
        };
        let null = scheme.null_under(prf.layers().as_ref(), vocabulary.size);
        let special = vocabulary.special.clone();
        Ok(Self { prf, spec: spec.clone(), repeats, null, vocab_size: vocabulary.size, special })
    }

    /// The scheme and its parameters.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// V.
    pub fn vocab_size(&self) -> u32 {
        self.vocab_size
    }

    /// The law of one token's evidence under the null.
    pub fn null(&self) -> &Null {
        &self.null
    }

    /// The beginnings that a text of unknown beginning is to be scored with; all of them are looks to be paid for.
    pub fn starts(&self) -> &'static [Start<'static>] {
        self.prf.starts()
    }

    /// [`Embedder::new`] for a mark that outlives the answer.
    pub fn embedder(&self, prompt: &[TokenId]) -> Embedder<&Self> {
        Embedder::new(self, prompt)
    }

    /// k, the length of the messages that the mark carries, if it carries any of the caller's choice.
    pub fn payload_bits(&self) -> Option<u32> {
        self.spec.scheme().payload().map(|payload| payload.bits())
    }

    fn payload_for(&self, message: u64) -> Result<Box<dyn Payload + '_>, SpecError> {
        let payload = self.spec.scheme().payload().ok_or(SpecError::CarriesNoMessage)?;
        let bits = payload.bits();
        if bits < 64 && message >> bits != 0 {
            return Err(SpecError::LongMessage { bits });
        }
        Ok(payload)
    }

    /// Scores a text given as ids, which may begin anywhere in an answer.
    pub fn score(&self, tokens: &[TokenId]) -> Evidence {
        self.score_text(&Text::of(tokens))
    }

    /// Scores a text. Of a mark that carries messages, for any message.
    pub fn score_text(&self, text: &Text<'_>) -> Evidence {
        let scheme = self.spec.scheme();
        self.score_by(text, scheme.sequence(), |draw, token| scheme.evidence(draw, token))
    }

    /// Scores a text for one message that was fixed before the text: with the law, and the power, of a mark without messages.
    ///
    /// # Errors
    /// [`SpecError::CarriesNoMessage`], or [`SpecError::LongMessage`] for one that does not fit.
    pub fn score_message(&self, text: &Text<'_>, message: u64) -> Result<Evidence, SpecError> {
        let payload = self.payload_for(message)?;
        Ok(self.score_by(text, None, |draw, token| payload.evidence(message, draw, token)))
    }

    fn score_by(
        &self,
        text: &Text<'_>,
        sequence: Option<&dyn Sequence>,
        value: impl Fn(&Draw<'_>, TokenId) -> f64,
    ) -> Evidence {
        let tokens = text.ids;
        let mut noted = Noted::default();
        let (mut positions, mut values) = (Vec::new(), Vec::new());
        positions.reserve(tokens.len());
        values.reserve(tokens.len());
        let again = sequence.is_some_and(Sequence::repeats_count);
        let left_out = self.each_counted(text, again, |position, draw, token| {
            match sequence {
                None => values.push(value(draw, token)),
                Some(sequence) if sequence.note(draw, token, &mut noted.words) => {
                    noted.tokens.push(token);
                }
                Some(_) => return,
            }
            positions.push(position as u32);
        });
        let mut evidence = Evidence { total: tokens.len(), positions, values, ..left_out };
        if let Some(sequence) = sequence {
            let judgement = sequence.judge(&noted, self.vocab_size);
            evidence.values.clone_from(&judgement.values);
            evidence.judgement = Some(judgement);
        }
        evidence
    }

    /// Calls `visit(position, draw, token)` for every position that counts (with `again`, for repeats too), and gives the numbers
    /// of those that do not.
    fn each_counted(
        &self,
        text: &Text<'_>,
        again: bool,
        mut visit: impl FnMut(usize, &Draw<'_>, TokenId),
    ) -> Evidence {
        let Text { ids: tokens, start, entropies } = *text;
        let scheme = self.spec.scheme();
        let floor = scheme.entropy_floor();
        let mut seen = Scored::new(self.repeats, tokens.len());
        let mut left_out = Evidence::default();
        self.prf.walk(start, tokens, scheme.streams(), |position, draw| {
            let token = tokens[position];
            if self.special.contains(&token) || !draw.is_keyed(token) {
                return;
            }
            if !passes(floor, || entropies.get(position).copied().unwrap_or(0.0)) {
                left_out.gated += 1;
                return;
            }
            if !again && !seen.counts(draw.seed_id(token), token) {
                left_out.repeated += 1;
                return;
            }
            if !again && seen.shares_words(draw.names(token)) {
                left_out.aliased += 1;
                return;
            }
            visit(position, draw, token);
        });
        left_out
    }

    /// Calls `visit` with every position of a text that counts, for a caller that counts (seed, token) once over many texts.
    pub fn each_pair(&self, text: &Text<'_>, mut visit: impl FnMut(Pair)) {
        let scheme = self.spec.scheme();
        self.each_counted(text, false, |position, draw, token| {
            visit(Pair {
                position,
                seed: draw.seed_id(token),
                token,
                evidence: scheme.evidence(draw, token),
                recurs: draw.names(token).is_some(),
            });
        });
    }

    /// Calls `visit(position, repeated, draw)` for every position of a text that has a draw, where `repeated` says whether
    /// marking by the rule [`Repeats::SingleTurn`] would have left it out: it replays what a generator remembers, while
    /// [`score_text`](Self::score_text) counts a draw once however long ago it was.
    pub fn replay(&self, text: &Text<'_>, mut visit: impl FnMut(usize, bool, &Draw<'_>)) {
        let scheme = self.spec.scheme();
        let mut seen = Marking::new(Repeats::SingleTurn, scheme.memory());
        self.prf.walk(text.start, text.ids, scheme.streams(), |position, draw| {
            visit(position, seen.repeats(draw), draw);
        });
    }
}

/// A text to be scored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text<'a> {
    /// Its tokens.
    pub ids: &'a [TokenId],
    /// What stood before them.
    pub start: Start<'a>,
    /// Entropies in nats of the distributions that the tokens were chosen from. A scheme with an entropy floor counts no
    /// position whose entropy is missing; others need none.
    pub entropies: &'a [f64],
}

impl<'a> Text<'a> {
    /// Tokens that may begin anywhere in an answer.
    pub fn of(ids: &'a [TokenId]) -> Self {
        Self { ids, ..Self::default() }
    }

    /// The same, with their entropies.
    pub fn gated(ids: &'a [TokenId], entropies: &'a [f64]) -> Self {
        Self { ids, entropies, start: Start::Fragment }
    }
}

/// Refuses a scheme's parameters outside their ranges, or a rule that cannot go with them.
///
/// # Errors
/// [`SpecError`].
pub fn check(spec: &Spec, repeats: Repeats, variant: PrfVariant) -> Result<(), SpecError> {
    spec.scheme().check()?;
    if spec.prf() != variant {
        let (scheme, needed, got) = (spec.name(), spec.prf().name(), variant.name());
        return Err(SpecError::Variant { scheme, needed, got });
    }
    match (repeats, spec.scheme().seeding()) {
        (
            Repeats::SingleTurn | Repeats::AllTurns,
            Seeding::Fixed | Seeding::SelfAnchored { .. },
        ) => Err(SpecError::SingleTurnNeedsContext),
        _ => Ok(()),
    }
}

/// What a text says about a mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Positions that count, ascending.
    pub positions: Vec<u32>,
    /// Their evidence.
    pub values: Vec<f64>,
    /// Number of tokens looked at.
    pub total: usize,
    /// Positions left out because they repeat a draw.
    pub repeated: usize,
    /// Positions left out because they read the same words as another, though their draws differ: see [`Draw::names`].
    pub aliased: usize,
    /// Positions left out because the model's entropy was too low or unknown.
    pub gated: usize,
    /// What a scheme that judges whole texts made of it.
    pub judgement: Option<Judgement>,
}

impl Evidence {
    /// Number of positions that count.
    pub fn scored(&self) -> usize {
        self.values.len()
    }

    /// Sum of the evidence.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }
}

/// What one position says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Where in the text the token stands.
    pub position: usize,
    /// What its words depend on, together with the token.
    pub seed: SeedId,
    /// The token.
    pub token: TokenId,
    /// Its evidence.
    pub evidence: f64,
    /// Whether its words may be those of another pair: see [`Draw::names`].
    pub recurs: bool,
}

/// Marks one answer, step by step. `W` is a reference to the mark, or a shared pointer where nobody can say which lives
/// longer.
#[derive(Debug)]
pub struct Embedder<W> {
    watermark: W,
    message: u64,
    seen: Marking,
    /// What draws may read: the lead, then the answer so far.
    history: Vec<TokenId>,
    lead: usize,
    /// The prompt's last ids, where contexts that reach into it count as used.
    turns: Vec<TokenId>,
}

impl<W: Borrow<Watermark>> Embedder<W> {
    /// Fresh state for marking one answer to a prompt; of a mark that carries messages, with message 0.
    pub fn new(watermark: W, prompt: &[TokenId]) -> Self {
        let Watermark { prf, spec, repeats, .. } = watermark.borrow();
        let history = prf.lead(Start::Answer { prompt });
        let mut seen = Marking::new(*repeats, spec.scheme().memory());
        let mut turns = Vec::new();
        if *repeats == Repeats::AllTurns {
            for end in 0..prompt.len() {
                seen.note(prf.at(&prompt[..end]));
            }
            turns.extend_from_slice(&prompt[prompt.len().saturating_sub(prf.seeding().width())..]);
        }
        Self { watermark, message: 0, seen, lead: history.len(), history, turns }
    }

    fn scheme(&self) -> &dyn Scheme {
        self.watermark.borrow().spec.scheme()
    }

    /// The same, carrying a message instead of message 0.
    ///
    /// # Errors
    /// [`SpecError::CarriesNoMessage`], or [`SpecError::LongMessage`] for one that does not fit.
    pub fn with_message(self, message: u64) -> Result<Self, SpecError> {
        self.watermark.borrow().payload_for(message)?;
        Ok(Self { message, ..self })
    }

    /// Where in a step [`mark`](Self::mark) is to be called.
    pub fn stage(&self) -> Stage {
        self.scheme().stage()
    }

    /// The most by which [`mark`](Self::mark) raises a logit before truncation.
    pub fn greatest_rise(&self) -> f32 {
        match self.stage() {
            Stage::RawLogits => self.scheme().greatest_rise(),
            Stage::AfterTruncation => 0.0,
        }
    }

    /// Whether [`mark`](Self::mark) wants the entropy of the model's distribution.
    pub fn needs_entropy(&self) -> bool {
        self.scheme().entropy_floor().is_some()
    }

    /// Marks the step after `output`, the answer so far. `entropy` is that of the model's distribution, in nats, when
    /// [`needs_entropy`](Self::needs_entropy) asks for it.
    pub fn mark(
        &mut self,
        output: &[TokenId],
        candidates: &mut Candidates,
        entropy: Option<f64>,
        noise: &mut Noise,
    ) -> Marked {
        self.remember(output);
        if self.reaches_back(output) {
            return Marked::No(Unmarked::Start);
        }
        let Watermark { prf, spec, .. } = self.watermark.borrow();
        let (scheme, start) = (spec.scheme(), Start::Answer { prompt: &[] });
        let Some(draw) = prf.at_start(&self.history, start) else {
            return Marked::No(Unmarked::Start);
        };
        // In the scorer's order: it gates first, and cannot see that there was no choice.
        if !passes(scheme.entropy_floor(), || entropy.unwrap_or(0.0)) {
            return Marked::No(Unmarked::LowEntropy);
        }
        if self.seen.repeats(&draw) {
            return Marked::No(Unmarked::Repeated);
        }
        if scheme.declines(candidates) {
            return Marked::No(Unmarked::LowEntropy);
        }
        self.seen.marked(&draw);
        if candidates.len() < 2 {
            return Marked::No(Unmarked::NoChoice);
        }
        Marked::Yes(match scheme.payload() {
            Some(payload) => payload.embed(self.message, &draw, candidates, noise),
            None => scheme.embed(&draw, candidates, noise),
        })
    }

    /// Whether the context of the step after `output` would reach into the prompt, where that counts as used.
    fn reaches_back(&mut self, output: &[TokenId]) -> bool {
        let Watermark { prf, repeats, .. } = self.watermark.borrow();
        let reaches = *repeats == Repeats::AllTurns && output.len() < prf.seeding().width();
        if reaches {
            self.seen.note(prf.at(&[&self.turns, output].concat()));
        }
        reaches
    }

    /// Adds what is new of the answer.
    fn remember(&mut self, output: &[TokenId]) {
        let known = self.history.len() - self.lead;
        match output.get(known..) {
            Some(new) => self.history.extend_from_slice(new),
            None => self.history.truncate(self.lead + output.len()),
        }
    }
}

/// What became of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// The step carries the mark.
    Yes(Pick),
    /// It does not.
    No(Unmarked),
}

/// Why a step carries no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmarked {
    /// The answer is still shorter than the context width.
    Start,
    /// The seed was used before in this answer (`single-turn`).
    Repeated,
    /// The model is too certain (entropy-gated schemes).
    LowEntropy,
    /// A single candidate is left: greedy decoding, or truncation to one token.
    NoChoice,
}

impl Unmarked {
    /// As answers and receipts name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Repeated => "repeated",
            Self::LowEntropy => "low_entropy",
            Self::NoChoice => "no_choice",
        }
    }
}

/// The entropy gate, for both halves.
fn passes(floor: Option<f64>, entropy: impl FnOnce() -> f64) -> bool {
    floor.is_none_or(|floor| entropy() > floor)
}

/// The rule for repeats, when scoring.
#[derive(Debug)]
struct Scored {
    rule: Repeats,
    set: HashSet<(u64, TokenId), BuildHasherDefault<SeedHasher>>,
    names: Names,
}

impl Scored {
    fn new(rule: Repeats, capacity: usize) -> Self {
        let set = HashSet::with_capacity_and_hasher(capacity, BuildHasherDefault::default());
        Self { rule, set, names: Names::default() }
    }

    /// Whether a position that counts so far reads the same words.
    fn shares_words(&mut self, names: Option<[u64; 3]>) -> bool {
        let Some([own, others @ ..]) = names else { return false };
        let known = others.iter().any(|&name| name != own && self.names.contains(name));
        known || !self.names.insert(own)
    }

    /// Whether this (seed, token) counts, being new.
    fn counts(&mut self, seed: SeedId, token: TokenId) -> bool {
        match self.rule {
            Repeats::ScoreOnce => self.set.insert((seed.0, token)),
            Repeats::SingleTurn | Repeats::AllTurns => self.set.insert((seed.0, 0)),
        }
    }
}

/// Names of words that were read. Small ones, which are the usual, are bits of an array.
#[derive(Debug, Default)]
struct Names {
    small: Vec<u64>,
    others: HashSet<u64, BuildHasherDefault<SeedHasher>>,
}

impl Names {
    const SMALL: u64 = 1 << 16;

    fn contains(&self, name: u64) -> bool {
        if name >= Self::SMALL {
            return self.others.contains(&name);
        }
        self.small.get((name / 64) as usize).is_some_and(|word| word >> (name % 64) & 1 == 1)
    }

    /// Whether the name is new.
    fn insert(&mut self, name: u64) -> bool {
        if name >= Self::SMALL {
            return self.others.insert(name);
        }
        if self.small.is_empty() {
            self.small.resize((Self::SMALL / 64) as usize, 0);
        }
        let Some(word) = self.small.get_mut((name / 64) as usize) else { return true };
        let new = *word >> (name % 64) & 1 == 0;
        *word |= 1 << (name % 64);
        new
    }
}

/// The rule for repeats, when marking: what the scorer would not count stays unmarked, as far back as the scheme remembers.
#[derive(Debug)]
struct Marking {
    rule: Repeats,
    memory: Memory,
    recent: VecDeque<u64>,
    counts: HashMap<u64, usize, BuildHasherDefault<SeedHasher>>,
}

impl Marking {
    fn new(rule: Repeats, memory: Memory) -> Self {
        Self { rule, memory, recent: VecDeque::new(), counts: HashMap::default() }
    }

    /// Whether the step must stay unmarked, its seed having been used. Remembers it, unless marked ones alone are.
    fn repeats(&mut self, draw: &Draw<'_>) -> bool {
        if self.rule == Repeats::ScoreOnce {
            return false;
        }
        let seed = draw.seed_id(0).0;
        let used = self.counts.contains_key(&seed);
        if let Memory::Marked(most) = self.memory {
            return used || self.counts.len() >= most;
        }
        self.remember(seed);
        used
    }

    /// Remembers a marked step where [`repeats`](Self::repeats) did not.
    fn marked(&mut self, draw: &Draw<'_>) {
        if self.rule != Repeats::ScoreOnce && matches!(self.memory, Memory::Marked(_)) {
            self.remember(draw.seed_id(0).0);
        }
    }

    /// Takes the draw of an unmarked position for used.
    fn note(&mut self, draw: Option<Draw<'_>>) {
        if let Some(draw) = draw {
            self.remember(draw.seed_id(0).0);
        }
    }

    fn remember(&mut self, seed: u64) {
        *self.counts.entry(seed).or_default() += 1;
        if let Memory::Positions(positions) = self.memory {
            self.recent.push_back(seed);
            if self.recent.len() > positions {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        let Some(oldest) = self.recent.pop_front() else { return };
        if let Entry::Occupied(mut count) = self.counts.entry(oldest) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Seeds are already uniform and secret: mixing in the token is hash enough.
#[derive(Default)]
struct SeedHasher(u64);

impl Hasher for SeedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
}
