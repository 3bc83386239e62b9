//! What models are asked when nobody brings questions of their own.

use crate::fingerprint::behaviour::Chance;

/// Short beginnings and questions of many kinds, one a line.
const PLAIN: &str = include_str!("../prompts.txt");

/// The bundled prompts.
pub fn plain() -> Vec<String> {
    PLAIN.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Prompts that nobody has written before: letters that make no words.
///
/// No text teaches a model how to go on with them, so that independent models differ more there than after sense: of the 200 that were
/// chosen for the bundled model, a model of the same architecture, corpus and tokenizer with other first weights goes on greedily as it
/// does after 11.5 %, its chat tune after 61 % (`experiments/served_lineage`).
pub fn odd(count: usize, seed: u64) -> Vec<String> {
    let mut chance = Chance::new(seed, "odd prompts");
    let mut prompt = || {
        let length = 3 + chance.below(4);
        (0..length).map(|_| nonsense(&mut chance)).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(|_| prompt()).collect()
}

/// Two to six letters.
fn nonsense(chance: &mut Chance) -> String {
    let length = 2 + chance.below(5);
    (0..length).map(|_| char::from(b'a' + chance.below(26) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_and_none_twice() {
        let mut all = plain();
        assert!(all.len() >= 200, "{}", all.len());
        all.extend(odd(500, 1));
        let count = all.len();
        all.sort();
        all.dedup();
        assert!(all.len() > count - 5);
        assert_eq!(odd(20, 3), odd(20, 3));
        assert_ne!(odd(20, 3), odd(20, 4));
    }
}
