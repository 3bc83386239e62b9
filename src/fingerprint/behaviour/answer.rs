//! What of an answer counts.

/// The answer of one token as tests compare it: without white space around it, and empty where it is a part of a character.
///
/// Servers disagree on both: some cut the space that a token begins with, and some hold parts of characters back.
pub fn symbol(text: &str) -> String {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return String::new();
    }
    text.trim().to_owned()
}

/// The place of an answer among symbols; all others have the place after the last.
pub(super) fn place(symbols: &[String], answer: &str) -> usize {
    let symbol = symbol(answer);
    symbols.iter().position(|it| *it == symbol).unwrap_or(symbols.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_habits_do_not_count() {
        assert_eq!(symbol(" blue"), symbol("blue"));
        assert_eq!(symbol("\n"), symbol(""));
        assert_eq!(symbol("\u{fffd}"), symbol(""));
        assert_ne!(symbol("Blue"), symbol("blue"));
    }
}
