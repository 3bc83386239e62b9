//! What can be learned of a mark from texts that carry it.

use std::collections::HashMap;

use crate::tokens::TokenId;

/// Which tokens a mark seems to prefer after which contexts: watermark stealing (Jovanović, Staab and Vechev 2024, ICML, "Watermark
/// Stealing in Large Language Models", section 4), by whoever may ask a marking model for text and knows h:
///
/// ```text
/// score(token | context) = min(r, c) / c  where r = p̂_marked(token | context) / p̂_plain(token | context) ≥ 1, else 0
/// ```
///
/// with frequencies after the context in marked and in plain text, c = 2, and tokens that were seen at least twice after it in marked
/// text. Where plain text never has the context, the token's frequency in all plain text stands in, and where it never has the token, half a
/// count.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    width: usize,
    scores: HashMap<Box<[TokenId]>, Vec<(TokenId, f32)>>,
}

/// Counts of tokens, and of all of them.
#[derive(Default)]
struct Counts {
    tokens: HashMap<TokenId, u32>,
    all: u32,
}

impl Counts {
    fn add(&mut self, token: TokenId) {
        *self.tokens.entry(token).or_default() += 1;
        self.all += 1;
    }

    /// The share of a token; half a count of one that there is not.
    fn share(&self, token: TokenId) -> f64 {
        let count = self.tokens.get(&token).map_or(0.5, |&count| f64::from(count));
        count / f64::from(self.all).max(1.0)
    }
}

impl Learned {
    /// c: ratios beyond it say no more.
    const ENOUGH: f64 = 2.0;
    /// Fewest times that a token was seen.
    const SEEN: u32 = 2;

    /// Of texts that carry the mark and texts that do not, for contexts of `width` tokens.
    pub fn new(width: usize, marked: &[Vec<TokenId>], plain: &[Vec<TokenId>]) -> Self {
        let (marked, _) = counted(width, marked);
        let (plain, everywhere) = counted(width, plain);
        let mut scores = HashMap::new();
        for (context, counts) in marked {
            let base = plain.get(&context).unwrap_or(&everywhere);
            let seen = counts.tokens.iter().filter(|(_, count)| **count >= Self::SEEN);
            let mut tokens: Vec<(TokenId, f32)> = seen
                .map(|(&token, _)| (token, counts.share(token) / base.share(token)))
                .filter(|(_, ratio)| *ratio >= 1.0)
                .map(|(token, ratio)| (token, (ratio.min(Self::ENOUGH) / Self::ENOUGH) as f32))
                .collect();
            tokens.sort_unstable_by_key(|pair| pair.0);
            if !tokens.is_empty() {
                scores.insert(context, tokens);
            }
        }
        Self { width, scores }
    }

    /// Contexts that something is known of.
    pub fn contexts(&self) -> usize {
        self.scores.len()
    }

    /// Tokens with a score, above 0 and at most 1, after what was written.
    pub fn each(&self, written: &[TokenId], mut visit: impl FnMut(TokenId, f32)) {
        let Some(start) = written.len().checked_sub(self.width) else { return };
        let tokens = self.scores.get(&written[start..]);
        tokens.into_iter().flatten().for_each(|&(token, score)| visit(token, score));
    }
}

/// What follows each context, and all tokens.
fn counted(width: usize, texts: &[Vec<TokenId>]) -> (HashMap<Box<[TokenId]>, Counts>, Counts) {
    let mut contexts: HashMap<Box<[TokenId]>, Counts> = HashMap::new();
    let mut everywhere = Counts::default();
    for text in texts {
        for at in width..text.len() {
            contexts.entry(text[at - width..at].into()).or_default().add(text[at]);
            everywhere.add(text[at]);
        }
    }
    (contexts, everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_common_in_marked_text_is_learned() {
        // After 1, marked text has 2 three times and 3 once, plain text 2 once and 3 three times; 4 only marked text.
        let marked = vec![vec![1, 2, 1, 2, 1, 2, 1, 3, 1, 4, 1, 4]];
        let plain = vec![vec![1, 2, 1, 3, 1, 3, 1, 3]];
        let learned = Learned::new(1, &marked, &plain);
        let mut seen = Vec::new();
        learned.each(&[9, 1], |token, score| seen.push((token, score)));
        // 3/6 over 1/4 is 2; 2/6 over 0.5/4 is more than 2.
        assert_eq!(seen, [(2, 1.0), (4, 1.0)]);
        learned.each(&[], |_, _| unreachable!("nothing was written"));
        learned.each(&[7], |_, _| unreachable!("never seen"));
        assert!(learned.contexts() >= 1);
        assert_eq!(Learned::new(1, &[], &plain).contexts(), 0);
    }
}
