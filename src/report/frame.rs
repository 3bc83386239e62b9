//! What pages share: the head, tables, facts, warnings.

use sha2::{Digest, Sha256};

use super::escape::Text;

const STYLE: &str = include_str!("style.css");

/// The end of every page.
pub(super) const CLOSING: &str = "</main>\n</body>\n</html>\n";

/// All up to the body. Only the one style sheet may act: no script, no picture from elsewhere, no form.
pub(super) fn opening(title: &'static str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n",
        base64(&Sha256::digest(STYLE.as_bytes()))
    )
}

/// As RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let number = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let six = (number >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= three.len() { char::from(DIGITS[six]) } else { '=' });
        }
    }
    out
}

/// A column's name, and how its cells stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column<'a> {
    Words(&'a str),
    Number(&'a str),
}

/// A table that scrolls by itself where it is wider than the page; `rows` are whole `tr` elements.
pub(super) fn table(
    label: &str,
    columns: &[Column<'_>],
    rows: impl IntoIterator<Item = String>,
) -> String {
    let head = columns.iter().map(|column| match column {
        Column::Words(name) => format!("<th scope=\"col\">{name}</th>"),
        Column::Number(name) => format!("<th scope=\"col\" class=\"n\">{name}</th>"),
    });
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\
         </tbody></table></div>\n",
        head.collect::<String>(),
        rows.into_iter().collect::<String>()
    )
}

/// Names and values, each of them HTML.
pub(super) fn facts(facts: impl IntoIterator<Item = (String, String)>) -> String {
    let lines = facts.into_iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n"));
    format!("<dl class=\"facts\">\n{}</dl>\n", lines.collect::<String>())
}

/// Foreign sentences in a box, where there are any.
pub(super) fn boxed(heading: &str, sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let items = sentences.iter().map(|sentence| format!("<li>{}</li>", Text(sentence)));
    format!(
        "<div class=\"warnings\"><b>{heading}</b><ul>{}</ul></div>\n",
        items.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
