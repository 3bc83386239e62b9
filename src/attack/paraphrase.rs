//! Paraphrases by a model that follows instructions.

use super::units::{Chosen, sentences};

/// Sentences of a passage.
const SENTENCES: usize = 3;

/// A text of which round(strength · n) of the n passages of three sentences, drawn without replacement, are what `write` made of them; the
/// blanks after a passage stay. Passages of one seed are nested over strengths. (Krishna et al. 2023 paraphrase passages of so many
/// sentences.)
///
/// # Errors
/// The first of `write`.
///
/// ```
/// use touchmark::attack::paraphrase;
///
/// let text = "One came. Two went. Three slept.  Four stood up. Five sat down.";
/// let upper = |passage: &str| Ok::<_, ()>(passage.to_uppercase());
/// assert_eq!(paraphrase(text, 1.0, 7, upper)?, text.to_uppercase());
/// assert_eq!(paraphrase(text, 0.5, 7, upper)?, "One came. Two went. Three slept.  FOUR STOOD UP. FIVE SAT DOWN.");
/// # Ok::<(), ()>(())
/// ```
pub fn paraphrase<E>(
    text: &str,
    strength: f64,
    seed: u64,
    mut write: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let sentences = sentences(text);
    let passages: Vec<String> = sentences.chunks(SENTENCES).map(<[&str]>::concat).collect();
    let edited = Chosen::new(strength, seed).among(passages.len());
    let mut after = String::new();
    for (passage, edited) in passages.iter().zip(edited) {
        let words = passage.trim_end();
        if edited && !words.is_empty() {
            after += write(words)?.trim();
            after += &passage[words.len()..];
        } else {
            after += passage;
        }
    }
    Ok(after)
}
