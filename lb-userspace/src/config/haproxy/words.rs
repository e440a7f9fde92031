//! Cuts a line into words, by the rules of `HAProxy`'s manual, section 2.2 "Quoting and escaping".

use std::iter::Peekable;
use std::str::Chars;

/// Why a line cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A quotation mark has no partner.
    OpenQuote,
    /// A word contains an environment variable.
    Variable,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    /// `"…"`, in which backslashes and variables keep their meaning.
    Weak,
    /// `'…'`, in which nothing has a meaning.
    Strong,
}

/// The words of a line, without its comment.
pub(super) fn words(line: &str) -> Result<Vec<String>, Trouble> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = Quote::None;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Quote::None, '#') => break,
            (Quote::None, ' ' | '\t' | '\r') => {
                words.extend(word.take());
                continue;
            }
            (Quote::None, '"') => quote = Quote::Weak,
            (Quote::None, '\'') => quote = Quote::Strong,
            (Quote::Weak, '"') | (Quote::Strong, '\'') => quote = Quote::None,
            (Quote::Weak, '$') => return Err(Trouble::Variable),
            (Quote::None | Quote::Weak, '\\') => escape(&mut chars, word.get_or_insert_default()),
            _ => word.get_or_insert_default().push(char),
        }
        // Quotation marks with nothing between them are a word, too.
        word.get_or_insert_default();
    }
    if quote != Quote::None {
        return Err(Trouble::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

/// Adds the character that the text after a backslash stands for.
fn escape(chars: &mut Peekable<Chars<'_>>, word: &mut String) {
    match chars.peek().copied() {
        Some('n') => word.push('\n'),
        Some('r') => word.push('\r'),
        Some('t') => word.push('\t'),
        Some('x') => match hex(chars.clone()) {
            Some(char) => {
                word.push(char);
                chars.nth(1);
            }
            None => word.push_str("\\x"),
        },
        Some(special @ (' ' | '\t' | '#' | '\\' | '\'' | '"' | '$')) => word.push(special),
        Some(other) => word.extend(['\\', other]),
        None => word.push('\\'),
    }
    chars.next();
}

/// The ASCII character of an escape `xNN`.
fn hex(mut escape: Peekable<Chars<'_>>) -> Option<char> {
    let high = escape.nth(1)?.to_digit(16)?;
    let low = escape.next()?.to_digit(16)?;
    char::from_u32(high * 16 + low).filter(char::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_the_manual_says() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  # only a comment", &[]),
            ("global#this is the global section", &["global"]),
            ("\tmode\t tcp  # or http\r", &["mode", "tcp"]),
            (r"stats realm HAProxy\ Statistics", &["stats", "realm", "HAProxy Statistics"]),
            (r#"a "b c"' d'\ e"#, &["a", "b c d e"]),
            (r##"'"' "'" '#' "#" \# \" \' \\"##, &["\"", "'", "#", "#", "#", "\"", "'", "\\"]),
            (r#"'a\n' "a\n" a\n"#, &["a\\n", "a\n", "a\n"]),
            (r"\x41\x4 \xzz \q", &["A\\x4", "\\xzz", "\\q"]),
            (r#""" x"" '' \"#, &["", "x", "", "\\"]),
            (r#"$HOME '$HOME' "\$HOME""#, &["$HOME", "$HOME", "$HOME"]),
        ];
        for (line, expected) in cases {
            let words = words(line).expect("a sound line");
            assert_eq!(words, *expected, "{line}");
        }
    }

    #[test]
    fn refuses_what_has_no_meaning_here() {
        assert_eq!(words("bind \"10.0.0.1"), Err(Trouble::OpenQuote));
        assert_eq!(words("bind '10.0.0.1"), Err(Trouble::OpenQuote));
        assert_eq!(words("bind \"${ADDRESS}:80\""), Err(Trouble::Variable));
    }
}
