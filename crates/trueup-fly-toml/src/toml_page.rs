//! A fly.toml as a person would write it: keys with comments beside them, sections below each other.

use std::fmt::Write as _;

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Toml {
    Text(String),
    Number(u64),
    /// A share of one, as `0.25`.
    Share(f64),
    Truth(bool),
    Texts(Vec<String>),
}

impl Toml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn spelled(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Share(share) => share.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::Texts(texts) => format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// TOML escapes within quotes as JSON does, and DEL too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A key that needs no quotes, or in quotes.
fn key_of(key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { quoted(key) }
}

/// The text being written.
#[derive(Debug, Default)]
pub(crate) struct TomlPage {
    text: String,
    indent: usize,
}

impl TomlPage {
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// A sentence on a line of its own.
    pub(crate) fn comment(&mut self, sentence: &str) {
        let _ = writeln!(self.text, "{}# {sentence}", self.pad());
    }

    pub(crate) fn key(&mut self, key: &str, value: &Toml) {
        let _ = writeln!(self.text, "{}{} = {}", self.pad(), key_of(key), value.spelled());
    }

    /// A key with what there is to say of it, above.
    pub(crate) fn told(&mut self, key: &str, value: &Toml, note: Option<&str>) {
        note.into_iter().for_each(|note| self.comment(note));
        self.key(key, value);
    }

    /// `[name]`; what follows is within.
    pub(crate) fn section(&mut self, name: &[&str]) {
        self.begin(name, "[", "]");
    }

    /// `[[name]]`; what follows is within.
    pub(crate) fn item(&mut self, name: &[&str]) {
        self.begin(name, "[[", "]]");
    }

    fn begin(&mut self, name: &[&str], open: &str, close: &str) {
        self.indent = name.len().saturating_sub(1);
        let name: Vec<_> = name.iter().map(|part| key_of(part)).collect();
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = writeln!(self.text, "{}{open}{}{close}", self.pad(), name.join("."));
        self.indent += 1;
    }

    fn pad(&self) -> String {
        "  ".repeat(self.indent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Document;

    #[test]
    fn every_text_is_read_back_as_it_was() {
        for text in ["", "a\"b", "a\\b", "two\nlines", "\u{7f}\u{1}", "ü#'"] {
            let mut page = TomlPage::default();
            page.section(&["env", "odd key"]);
            page.key("a.b", &Toml::text(text));
            let page = page.into_text();
            let document = Document::parse(&page).expect(&page);
            let found = document.root().section("env").and_then(|env| env.section("odd key"));
            assert_eq!(found.and_then(|section| section.text("a.b")).map(|found| found.value), Some(text.to_owned()));
        }
    }
}
