//! Commands as one text, as flyctl takes them apart: words with quotes, and backslashes outside of single quotes.

/// The words of a command.
///
/// # Errors
/// A quote that nobody closes, or a backslash at the end.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None | Some('"'), '\\') => {
                let next = letters.next().ok_or_else(|| "ends with a backslash".to_owned())?;
                word.get_or_insert_default().push(next);
            }
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            // As in a shell, the rest is for people.
            (None, '#') if word.is_none() => while letters.next().is_some_and(|letter| letter != '\n') {},
            (None | Some(_), _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// One text that [`split`] takes apart into these words again.
pub(crate) fn join(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=@%+,^~".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.contains('\'') {
        return format!("'{word}'");
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_apart_as_a_shell_would() {
        let words = |text: &str| split(text).expect(text);
        assert_eq!(words("bin/rails  db:prepare"), ["bin/rails", "db:prepare"]);
        assert_eq!(words(r#"sh -c "echo \"hi there\" && run""#), ["sh", "-c", r#"echo "hi there" && run"#]);
        assert_eq!(words(r"a\ b 'c\d' e''f ''"), ["a b", r"c\d", "ef", ""]);
        assert_eq!(words("run # all of it"), ["run"]);
        assert_eq!(words("run a#b"), ["run", "a#b"]);
        assert!(split("sh -c 'x").is_err() && split("x \\").is_err());
    }

    #[test]
    fn what_is_joined_is_taken_apart_into_the_same() {
        for words in [&["a", "b c"][..], &["it's", "\"so\"", "a\\b", "it's \"a\\b\""], &["", "#x", "$HOME"]] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(split(&join(&words)).expect("it is whole"), words);
        }
    }
}
