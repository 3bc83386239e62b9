//! The merges of a byte-pair encoding: which two tokens become one, the first that applies first.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::super::TokenizerError;
use super::{Kind, Token};

/// Merges as a file writes them: two tokens with a space between, which together are a token.
pub(super) fn of_list<'a>(
    merges: &'a [String],
    vocab: &[&str],
) -> Result<Vec<(&'a str, &'a str)>, TokenizerError> {
    let known: HashSet<&str> = vocab.iter().copied().collect();
    merges
        .iter()
        .map(|merge| {
            let two = merge.split_once(' ').filter(|(left, right)| {
                let both = format!("{left}{right}");
                [left, right, both.as_str()].iter().all(|&token| known.contains(token))
            });
            two.ok_or_else(|| TokenizerError::GgufMerge { merge: merge.clone() })
        })
        .collect()
}

/// Merges that do what SentencePiece does with scores: of all neighbours that make a token together, those with the
/// highest score go first, the leftmost among equals. A list of merges has no equals: where a token can be made in
/// several ways, the longer left part goes first, as in the lists that transformers makes.
pub(super) fn of_scores<'a>(
    tokens: &'a [Token],
    scores: &[f32],
) -> Result<Vec<(&'a str, &'a str)>, TokenizerError> {
    if let Some(id) = scores.iter().position(|score| !score.is_finite()) {
        return Err(TokenizerError::GgufScore { id });
    }
    let normal = || tokens.iter().zip(scores).filter(|(token, _)| token.kind == Kind::Normal);
    let ids: HashMap<&str, usize> =
        normal().enumerate().map(|(id, (token, _))| (token.text.as_str(), id)).collect();
    let mut merges = Vec::new();
    for (token, &score) in normal() {
        let mut ways: Vec<_> = token
            .text
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = token.text.split_at(at);
                Some((ids.get(left)?, ids.get(right)?, left, right))
            })
            .collect();
        ways.sort_unstable();
        merges.extend(ways.into_iter().map(|(_, _, left, right)| (score, left, right)));
    }
    let len = |text: &str| Reverse(text.chars().count());
    // The sort is stable: what is still equal stays in the order of the vocabulary.
    merges.sort_by(|a, b| {
        b.0.total_cmp(&a.0).then_with(|| (len(a.1), len(a.2)).cmp(&(len(b.1), len(b.2))))
    });
    Ok(merges.into_iter().map(|(_, left, right)| (left, right)).collect())
}
