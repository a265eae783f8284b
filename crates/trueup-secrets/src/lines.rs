//! How keys and values are written: lines of `KEY=value`, as shells and `.env` files have them, or a JSON object of texts.
//!
//! Nothing is put in for `$NAME`: a password may hold a `$`. An error names the line, and nothing of what stands there.

use trueup_types::secret::is_key;

use crate::Values;

/// What both spellings are called, in errors.
const SPELLINGS: &str = "lines of `KEY=value` and a JSON object of texts are read";

/// The values of a text.
///
/// # Errors
/// One line, without a byte of a value.
pub(crate) fn parse(text: &str) -> Result<Values, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return object(text);
    }
    let mut values = Values::new();
    let mut rest = text;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let (this, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let bare = this.trim();
        if bare.is_empty() || bare.starts_with('#') {
            rest = after;
            continue;
        }
        let (key, value, left) = entry(rest).map_err(|why| format!("line {line}: {why}"))?;
        line += rest[..rest.len() - left.len()].trim_end_matches('\n').matches('\n').count();
        if values.insert(key.to_owned(), value).is_some() {
            return Err(format!("line {line}: the key stands there twice"));
        }
        rest = left;
    }
    Ok(values)
}

/// One entry, and what follows its line.
fn entry(text: &str) -> Result<(&str, String, &str), String> {
    let line = text.split('\n').next().unwrap_or_default();
    let (key, _) = line.split_once('=').ok_or_else(|| format!("it has no `=`; {SPELLINGS}"))?;
    let value = &text[key.len() + 1..];
    let key = key.trim();
    let key = key.strip_prefix("export ").map_or(key, str::trim_start);
    if !is_key(key) {
        return Err("what stands before `=` is no name of a variable".to_owned());
    }
    let value = value.trim_start_matches([' ', '\t']);
    let (value, after) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote)?,
        Some(_) | None => {
            let (value, after) = value.split_once('\n').unwrap_or((value, ""));
            return Ok((key, plain(value).to_owned(), after));
        }
    };
    let (left, after) = after.split_once('\n').unwrap_or((after, ""));
    let left = left.trim();
    if left.is_empty() || left.starts_with('#') {
        return Ok((key, value, after));
    }
    Err("something follows the closing quote".to_owned())
}

/// Without the space around it, and without what a comment says.
fn plain(value: &str) -> &str {
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    if value.starts_with('#') { "" } else { value[..end].trim() }
}

/// What stands up to the closing quote, and what follows; between `"` a backslash makes `\n`, `\t`, `\r` and itself.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if letter == quote => return Ok((value, &text[at + letter.len_utf8()..])),
            '\\' if quote == '"' => match letters.next().map(|(_, letter)| letter) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(letter @ ('\\' | '"' | '\'' | '$' | '`')) => value.push(letter),
                Some(letter) => value.extend(['\\', letter]),
                None => break,
            },
            letter => value.push(letter),
        }
    }
    Err("its quote is not closed".to_owned())
}

fn object(text: &str) -> Result<Values, String> {
    use serde_json::Value;
    // The parser's own words quote what it reads.
    let value: Value = serde_json::from_str(text)
        .map_err(|why| format!("line {}, column {}: it is no JSON; {SPELLINGS}", why.line(), why.column()))?;
    let Value::Object(map) = value else { return Err(SPELLINGS.to_owned()) };
    let mut values = Values::new();
    for (key, value) in map {
        if !is_key(&key) {
            return Err("a key of the object is no name of a variable".to_owned());
        }
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(format!("the value of `{key}` is no text; {SPELLINGS}"));
            }
        };
        values.insert(key, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse(text) {
            Ok(values) => values.iter().map(|(key, value)| format!("{key}={value:?};")).collect(),
            Err(why) => why,
        }
    }

    #[test]
    fn values_are_read_as_shells_and_dotenv_files_write_them() {
        for (text, values) in [
            ("A=one\nB=two", r#"A="one";B="two";"#),
            ("# of ours\n\nexport A = one # two\r\n", r#"A="one";"#),
            ("A=a#b=c\n", r##"A="a#b=c";"##),
            ("A=\nB=''\nC=# none\n", r#"A="";B="";C="";"#),
            (r"A='a\n$HOME'", r#"A="a\\n$HOME";"#),
            (r#"A="a\n\"b\" \$c \d" # said"#, r#"A="a\n\"b\" $c \\d";"#),
            ("A=\"-----BEGIN\nabc\n-----END\"\nB=b", r#"A="-----BEGIN\nabc\n-----END";B="b";"#),
            ("\u{feff}A=pässword", r#"A="pässword";"#),
            (r#"{"A": "one", "B": 2, "C": true}"#, r#"A="one";B="2";C="true";"#),
            ("", ""),
        ] {
            assert_eq!(read(text), values, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_line_and_never_by_its_words() {
        for (text, told) in [
            ("A=b\nhunter2", "line 2: it has no `=`; lines of `KEY=value` and a JSON object of texts are read"),
            ("hunter2 b=c", "line 1: what stands before `=` is no name of a variable"),
            ("A=\"hunter2\nmore\n", "line 1: its quote is not closed"),
            ("A='hunter2' hunter3", "line 1: something follows the closing quote"),
            ("A=\"x\ny\"\nA=hunter2", "line 3: the key stands there twice"),
            (
                "{\"A\": hunter2}",
                "line 1, column 7: it is no JSON; lines of `KEY=value` and a JSON object of texts are read",
            ),
            (
                "{\"A\": [\"hunter2\"]}",
                "the value of `A` is no text; lines of `KEY=value` and a JSON object of texts are read",
            ),
            ("{\"hunter 2\": \"\"}", "a key of the object is no name of a variable"),
        ] {
            assert_eq!(read(text), told, "{text}");
            assert!(!read(text).contains("hunter"), "{text}");
        }
    }
}
