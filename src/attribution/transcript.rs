//! What a suspect's choices weigh, by context and token; made without the key.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::tokens::TokenId;

/// For each distinct context the tokens that speak, with whole weights in a common unit.
///
/// Nothing here depends on a key. Where the contexts and the suspect do not either, the law of Σ weight · evidence over a random
/// key is known, whatever the weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    width: usize,
    /// `width` ids a context.
    contexts: Vec<TokenId>,
    /// Where the tokens of each context end.
    ends: Vec<usize>,
    tokens: Vec<TokenId>,
    weights: Vec<i32>,
    /// What a weight of 1 stands for.
    unit: f64,
    /// Whether a pair of seed and token counts once, however often it came.
    once: bool,
}

/// One context and its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot<'a> {
    /// The ids before the token.
    pub context: &'a [TokenId],
    /// Distinct tokens, ascending.
    pub tokens: &'a [TokenId],
    /// Their weights, none of them 0.
    pub weights: &'a [i32],
}

impl Transcript {
    /// Every context with its tokens, in the order in which they came.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).enumerate().map(|(at, (start, &end))| Slot {
            context: &self.contexts[at * self.width..(at + 1) * self.width],
            tokens: &self.tokens[start..end],
            weights: &self.weights[start..end],
        })
    }

    /// Number of distinct contexts.
    pub fn contexts(&self) -> usize {
        self.ends.len()
    }

    /// Number of pairs of a context and a token.
    pub fn cells(&self) -> usize {
        self.weights.len()
    }

    /// What a weight of 1 stands for.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// Whether pairs count once.
    pub fn counts_once(&self) -> bool {
        self.once
    }

    /// Σ |weight|.
    pub fn mass(&self) -> f64 {
        self.weights.iter().map(|weight| f64::from(weight.abs())).sum()
    }
}

/// Adds up real weights by context and token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Gatherer {
    width: usize,
    top: usize,
    index: HashMap<Box<[TokenId]>, usize>,
    order: Vec<Box<[TokenId]>>,
    sums: Vec<Vec<(TokenId, f32)>>,
    #[serde(skip)]
    highest: Vec<(f32, TokenId)>,
}

impl Gatherer {
    /// Weights are kept to so many parts of the greatest one.
    const LEVELS: f64 = 32_767.0;

    /// For contexts of `width` ids; of each context the `top` weights of greatest size are kept. Both are fixed before the suspect
    /// is read.
    pub fn new(width: usize, top: usize) -> Self {
        Self {
            width,
            top: top.max(1),
            index: HashMap::new(),
            order: Vec::new(),
            sums: Vec::new(),
            highest: Vec::new(),
        }
    }

    /// One of the same numbers without anything in it.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self::new(self.width, self.top)
    }

    /// Adds a weight for every token, 0 for most of them, to the last `width` ids of `context`.
    pub fn add(&mut self, context: &[TokenId], weights: &[f32]) {
        let Some(start) = context.len().checked_sub(self.width) else { return };
        self.choose(weights);
        if self.highest.is_empty() {
            return;
        }
        let at = self.slot(&context[start..]);
        let sums = &mut self.sums[at];
        sums.extend(self.highest.iter().map(|&(_, token)| (token, weights[token as usize])));
        if sums.len() > 4 * self.top {
            merge(sums);
        }
    }

    /// The tokens of greatest weight; of equal ones the lower.
    fn choose(&mut self, weights: &[f32]) {
        self.highest.clear();
        let sized = (0..).zip(weights).filter(|(_, weight)| **weight != 0.0 && weight.is_finite());
        self.highest.extend(sized.map(|(token, weight)| (weight.abs(), token)));
        if self.highest.len() > self.top {
            let greater =
                |a: &(f32, TokenId), b: &(f32, TokenId)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            self.highest.select_nth_unstable_by(self.top, greater);
            self.highest.truncate(self.top);
        }
    }

    fn slot(&mut self, context: &[TokenId]) -> usize {
        if let Some(&at) = self.index.get(context) {
            return at;
        }
        let at = self.sums.len();
        self.index.insert(context.into(), at);
        self.order.push(context.into());
        self.sums.push(Vec::new());
        at
    }

    /// Takes off what another model, read on the same texts, would do as well: the multiple k·e of its sums e that leaves least,
    ///
    /// ```text
    /// q = d − k·e,   k = Σ d·e / Σ e²
    /// ```
    ///
    /// over all contexts and tokens. What training on such text changes in any model goes; a mark that the other model has not seen stays.
    /// Nothing here depends on a key.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        let others: Vec<Vec<(TokenId, f32)>> =
            self.order.iter().map(|context| other.merged(context)).collect();
        self.sums.iter_mut().for_each(merge);
        let (mut product, mut square) = (0.0, 0.0);
        for (own, other) in self.sums.iter().zip(&others) {
            product += inner(own, other);
            square += inner(other, other);
        }
        if square > 0.0 {
            let k = (product / square) as f32;
            for (own, other) in self.sums.iter_mut().zip(others) {
                own.extend(other.into_iter().map(|(token, weight)| (token, -k * weight)));
            }
        }
        self
    }

    /// The sums of one context, by token.
    fn merged(&self, context: &[TokenId]) -> Vec<(TokenId, f32)> {
        let mut sums = self.index.get(context).map_or_else(Vec::new, |&at| self.sums[at].clone());
        merge(&mut sums);
        sums
    }

    /// The transcript of what was added so far.
    pub fn so_far(&self) -> Transcript {
        Self { order: self.order.clone(), sums: self.sums.clone(), ..self.empty() }.finish()
    }

    /// The sums, as whole multiples of a unit.
    pub fn finish(mut self) -> Transcript {
        for sums in &mut self.sums {
            merge(sums);
            if sums.len() > self.top {
                let greater = |a: &(TokenId, f32), b: &(TokenId, f32)| {
                    b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0))
                };
                sums.select_nth_unstable_by(self.top, greater);
                sums.truncate(self.top);
                sums.sort_unstable_by_key(|&(token, _)| token);
            }
        }
        let all = self.sums.iter().flatten();
        let greatest = all.fold(0.0_f64, |most, (_, weight)| most.max(f64::from(weight.abs())));
        let unit = if greatest > 0.0 { greatest / Self::LEVELS } else { 1.0 };
        let mut transcript = Transcript { width: self.width, unit, ..Transcript::default() };
        for (context, sums) in self.order.iter().zip(&self.sums) {
            let before = transcript.weights.len();
            for &(token, weight) in sums {
                let whole = (f64::from(weight) / unit).round() as i32;
                if whole != 0 {
                    transcript.tokens.push(token);
                    transcript.weights.push(whole);
                }
            }
            if transcript.weights.len() > before {
                transcript.contexts.extend_from_slice(context);
                transcript.ends.push(transcript.weights.len());
            }
        }
        transcript
    }
}

/// Σ of products of the weights of equal tokens, both in order.
fn inner(a: &[(TokenId, f32)], b: &[(TokenId, f32)]) -> f64 {
    let (mut sum, mut at) = (0.0, 0);
    for &(token, weight) in a {
        while b.get(at).is_some_and(|(other, _)| *other < token) {
            at += 1;
        }
        if let Some((_, other)) = b.get(at).filter(|(other, _)| *other == token) {
            sum += f64::from(weight) * f64::from(*other);
        }
    }
    sum
}

/// Sorts by token and adds up what has the same.
fn merge(sums: &mut Vec<(TokenId, f32)>) {
    sums.sort_by_key(|&(token, _)| token);
    sums.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

/// Notes pairs of a context and a token that was chosen, each once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Chosen {
    width: usize,
    /// A context counts once, with the first token that followed it.
    contexts_once: bool,
    index: HashMap<Box<[TokenId]>, usize>,
    order: Vec<Box<[TokenId]>>,
    tokens: Vec<Vec<TokenId>>,
    pairs: usize,
}

impl Chosen {
    /// For contexts of `width` ids. With `contexts_once` a context counts with its first token only.
    pub fn new(width: usize, contexts_once: bool) -> Self {
        Self {
            width,
            contexts_once,
            index: HashMap::new(),
            order: Vec::new(),
            tokens: Vec::new(),
            pairs: 0,
        }
    }

    /// Notes that `token` was chosen after the last `width` ids of `context`; whether that was new.
    pub fn note(&mut self, context: &[TokenId], token: TokenId) -> bool {
        let Some(start) = context.len().checked_sub(self.width) else { return false };
        let context = &context[start..];
        let at = match self.index.get(context) {
            Some(&at) => at,
            None => {
                self.index.insert(context.into(), self.tokens.len());
                self.order.push(context.into());
                self.tokens.push(Vec::new());
                self.tokens.len() - 1
            }
        };
        let tokens = &mut self.tokens[at];
        let known = if self.contexts_once { !tokens.is_empty() } else { tokens.contains(&token) };
        if !known {
            tokens.push(token);
            self.pairs += 1;
        }
        !known
    }

    /// Number of pairs so far.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The pairs so far, each of weight 1.
    pub fn transcript(&self) -> Transcript {
        let mut transcript =
            Transcript { width: self.width, unit: 1.0, once: true, ..Transcript::default() };
        for (context, tokens) in self.order.iter().zip(&self.tokens) {
            let mut tokens = tokens.clone();
            tokens.sort_unstable();
            transcript.weights.resize(transcript.weights.len() + tokens.len(), 1);
            transcript.tokens.extend(tokens);
            transcript.contexts.extend_from_slice(context);
            transcript.ends.push(transcript.weights.len());
        }
        transcript
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_added_up_by_context() {
        let mut gatherer = Gatherer::new(1, 2);
        gatherer.add(&[9, 5], &[0.0, 0.005, -0.0025, 0.001]);
        gatherer.add(&[8, 5], &[0.0, 0.005, 0.0, 0.0]);
        gatherer.add(&[6], &[0.0; 4]);
        gatherer.add(&[], &[1.0; 4]);
        gatherer.add(&[6], &[-0.01, 0.0, f32::NAN, 0.0]);
        let transcript = gatherer.finish();
        let slots: Vec<_> = transcript.slots().collect();
        assert_eq!(slots.len(), 2);
        assert_eq!((slots[0].context, slots[0].tokens), (&[5][..], &[1, 2][..]));
        assert_eq!(slots[0].weights, [32_767, -8192]);
        assert_eq!(
            (slots[1].context, slots[1].tokens, slots[1].weights),
            (&[6][..], &[0][..], &[-32_767][..])
        );
        assert!((transcript.unit() * 32_767.0 - 0.01).abs() < 1e-9);
        assert_eq!((transcript.contexts(), transcript.cells()), (2, 3));
        assert_eq!(Gatherer::new(2, 4).finish().cells(), 0);
    }

    #[test]
    fn what_another_model_does_as_well_is_taken_off() {
        let of = |weights: [f32; 4]| {
            let mut gatherer = Gatherer::new(1, 4);
            gatherer.add(&[5], &weights);
            gatherer
        };
        let like = of([0.004, -0.002, 0.0, 0.0]);
        let left = of([0.008, -0.004, 0.001, 0.0]).without(&like).finish();
        let slot = left.slots().next().unwrap();
        assert_eq!((slot.tokens, slot.weights), (&[2][..], &[32_767][..]));
        // One that was read elsewhere takes nothing off.
        let mut elsewhere = Gatherer::new(1, 4);
        elsewhere.add(&[6], &[0.01; 4]);
        let whole = of([0.008, 0.0, 0.0, 0.0]).without(&elsewhere).finish();
        assert_eq!(whole.cells(), 1);
    }

    #[test]
    fn pairs_count_once() {
        for (contexts_once, pairs) in [(false, 3), (true, 2)] {
            let mut chosen = Chosen::new(2, contexts_once);
            let notes = [(&[1, 2, 3][..], 7), (&[2, 3], 7), (&[2, 3], 6), (&[3], 6), (&[3, 2], 7)];
            let new = notes.iter().filter(|(context, token)| chosen.note(context, *token)).count();
            assert_eq!((new, chosen.pairs()), (pairs, pairs));
            let transcript = chosen.transcript();
            assert_eq!(transcript.cells(), pairs);
            assert_eq!(transcript.slots().next().unwrap().context, [2, 3]);
            assert!(transcript.counts_once());
        }
    }

    /// Contexts of no ids: one list for all.
    #[test]
    fn without_a_context_there_is_one_slot() {
        let mut chosen = Chosen::new(0, false);
        assert!(chosen.note(&[4, 4], 1) && chosen.note(&[], 2) && !chosen.note(&[5], 1));
        let transcript = chosen.transcript();
        assert_eq!((transcript.contexts(), transcript.cells()), (1, 2));
        assert_eq!(transcript.slots().next().unwrap().context, [] as [TokenId; 0]);
    }
}
