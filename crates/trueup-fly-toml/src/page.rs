//! Manifests as people write them: fields in an order that reads well, a comment above what needs one, small things on one
//! line. `trueup_manifest` reads them; it spells whole apps too, but neither comments nor an order.

use std::fmt::Write as _;

/// Widest line that holds several things.
const WIDTH_MAX: usize = 100;
/// Widest line of a comment.
const COMMENT_MAX: usize = 100;

/// A value of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Yaml {
    Text(String),
    Number(u64),
    Truth(bool),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(crate) fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// On one line, if it is one.
    fn inline(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) if text.contains('\n') => return None,
            Self::Text(text) => scalar(text),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::inline).collect();
                format!("[{}]", items?.join(", "))
            }
            Self::Map(entries) => {
                let entry = |(key, value): &(String, Self)| Some(format!("{}: {}", scalar(key), value.inline()?));
                let entries: Option<Vec<_>> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries?.join(", "))
            }
        })
    }
}

/// Text that every reader of YAML takes for the same text, within brackets too.
fn scalar(text: &str) -> String {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@+%".contains(letter);
    let begins = |letter: char| letter.is_ascii_alphabetic() || letter == '/';
    let ends_key = text.ends_with(':');
    let word = text.to_ascii_lowercase();
    let other = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&word.as_str());
    if measured(text) || (text.starts_with(begins) && text.chars().all(inner) && !ends_key && !other) {
        text.to_owned()
    } else {
        // What JSON writes between quotes YAML reads as the same.
        serde_json::Value::from(text).to_string()
    }
}

/// `1m30s`, `512Mi`, `25%`: a number with a unit, which no reader of YAML takes for a number.
fn measured(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let tail = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let units = ["ms", "s", "m", "h", "Mi", "Gi", "%"];
        let Some(after) = units.iter().find_map(|unit| tail.strip_prefix(unit)).filter(|_| tail.len() < rest.len())
        else {
            return false;
        };
        rest = after;
    }
    !text.is_empty()
}

/// One field of a manifest, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub key: String,
    pub value: Yaml,
    pub comments: Vec<String>,
}

impl Field {
    pub(crate) fn new(key: &str, value: Yaml) -> Self {
        Self { key: key.to_owned(), value, comments: Vec::new() }
    }

    pub(crate) fn note(mut self, comment: impl Into<String>) -> Self {
        self.comments.push(comment.into());
        self
    }
}

/// A document of a kind: what it is called, what is said above it, and the fields of its spec.
pub(crate) fn document(kind: &str, name: &str, above: &[String], spec: &[Field], below: &[String]) -> String {
    let mut text = String::new();
    above.iter().for_each(|line| comment(&mut text, 0, line));
    let _ = write!(text, "apiVersion: trueup.dev/v1\nkind: {kind}\nmetadata:\n  name: {}\nspec:\n", scalar(name));
    for field in spec {
        field.comments.iter().for_each(|line| comment(&mut text, 2, line));
        entry(&mut text, 2, &field.key, &field.value);
    }
    below.iter().for_each(|line| comment(&mut text, 0, line));
    text
}

fn comment(text: &mut String, indent: usize, sentence: &str) {
    let pad = " ".repeat(indent);
    // What goes on below an item of a list stands below its text.
    let hang = if sentence.starts_with("- ") { " " } else { "" };
    let mut line = String::new();
    for word in sentence.split_whitespace() {
        if !line.is_empty() && indent + 2 + line.chars().count() + 1 + word.chars().count() > COMMENT_MAX {
            let _ = writeln!(text, "{pad}# {line}");
            hang.clone_into(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{pad}# {line}");
}

fn entry(text: &mut String, indent: usize, key: &str, value: &Yaml) {
    let pad = " ".repeat(indent);
    let key = scalar(key);
    if let Some(line) = value.inline().filter(|line| fits(indent + key.len() + 2, line, value)) {
        let _ = writeln!(text, "{pad}{key}: {line}");
        return;
    }
    match value {
        Yaml::Text(content) => {
            let _ = writeln!(text, "{pad}{key}: {}", serde_json::Value::from(content.as_str()));
        }
        Yaml::Number(number) => {
            let _ = writeln!(text, "{pad}{key}: {number}");
        }
        Yaml::Truth(truth) => {
            let _ = writeln!(text, "{pad}{key}: {truth}");
        }
        Yaml::List(items) => {
            let _ = writeln!(text, "{pad}{key}:");
            items.iter().for_each(|item| self::item(text, indent + 2, item));
        }
        Yaml::Map(entries) => {
            let _ = writeln!(text, "{pad}{key}:");
            entries.iter().for_each(|(key, value)| entry(text, indent + 2, key, value));
        }
    }
}

fn item(text: &mut String, indent: usize, value: &Yaml) {
    let pad = " ".repeat(indent);
    if let Some(line) = value.inline().filter(|line| indent + 2 + line.len() <= WIDTH_MAX) {
        let _ = writeln!(text, "{pad}- {line}");
        return;
    }
    match value {
        Yaml::Map(entries) => {
            let mut block = String::new();
            entries.iter().for_each(|(key, value)| entry(&mut block, indent + 2, key, value));
            // The first key stands beside the dash.
            let _ = write!(text, "{pad}- {}", block.trim_start());
        }
        Yaml::Text(content) => {
            let _ = writeln!(text, "{pad}- {}", serde_json::Value::from(content.as_str()));
        }
        Yaml::Number(_) | Yaml::Truth(_) | Yaml::List(_) => {
            let _ = writeln!(text, "{pad}- {}", value.inline().unwrap_or_default());
        }
    }
}

/// Lists of maps read better below each other.
fn fits(used: usize, line: &str, value: &Yaml) -> bool {
    let several = match value {
        Yaml::List(items) => items.iter().any(|item| matches!(item, Yaml::Map(entries) if !entries.is_empty())),
        Yaml::Map(entries) => entries.len() > 4,
        Yaml::Text(_) => return true,
        Yaml::Number(_) | Yaml::Truth(_) => false,
    };
    !several && used + line.len() <= WIDTH_MAX
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_page_reads_as_a_person_would_write_it() {
        let port = Yaml::map([("name", Yaml::text("http")), ("port", Yaml::Number(8080))]);
        let file = Yaml::map([("path", Yaml::text("/etc/motd")), ("content", Yaml::text("one\ntwo\n"))]);
        let spec = [
            Field::new("image", Yaml::text("registry.fly.io/web:1")).note("Built elsewhere."),
            Field::new("env", Yaml::map([("A", Yaml::text("yes")), ("B", Yaml::text("a: b")), ("C", Yaml::text(""))])),
            Field::new("ports", Yaml::List(vec![port])),
            Field::new("files", Yaml::List(vec![file])),
            Field::new("routes", Yaml::List(vec![Yaml::Map(Vec::new())])),
            Field::new("autostop", Yaml::map([("mode", Yaml::text("off"))])),
        ];
        let page = document("App", "web", &["From a fly.toml.".to_owned()], &spec, &[]);
        expect![[r#"
            # From a fly.toml.
            apiVersion: trueup.dev/v1
            kind: App
            metadata:
              name: web
            spec:
              # Built elsewhere.
              image: registry.fly.io/web:1
              env: {A: "yes", B: "a: b", C: ""}
              ports:
                - {name: http, port: 8080}
              files:
                - path: /etc/motd
                  content: "one\ntwo\n"
              routes: [{}]
              autostop: {mode: "off"}
        "#]]
        .assert_eq(&page);
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        let texts = [
            "", "a b", "no", "1_000", "010", "~", "a: b", "a #b", "- a", "{x}", "'", "\"", "\\n", "tab\t", "ü", "a:",
            "*a",
        ];
        for text in texts {
            let page = document("App", "web", &[], &[Field::new("x", Yaml::texts([text, text]))], &[]);
            let value = trueup_manifest::to_json(&page).expect("it is YAML");
            assert_eq!(value["spec"]["x"][1], text, "{page}");
        }
    }
}
