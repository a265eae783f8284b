//! A fly.toml whose every value knows whether somebody asked for it.
//!
//! `toml` reads the text; here it becomes a tree with lines, and [`Section`]s of it are handed out. Who reads a value has
//! carried it over, or says in a [`Remark`] why not; at the end [`Document::left`] names all that nobody read.

use std::cell::Cell;
use std::fmt;

use toml::de::{DeTable, DeValue};

/// What is not carried over as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line of the fly.toml, from 1; 0 where it is about none.
    pub line: usize,
    /// The key, as `http_service.tls_options.alpn`.
    pub key: String,
    /// What becomes of it.
    pub what: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.key, self.what),
            line => write!(f, "line {line}: {}: {}", self.key, self.what),
        }
    }
}

/// One value, and where it stands.
#[derive(Debug)]
struct Node {
    value: Value,
    line: usize,
    /// Whether somebody asked for it; of tables and lists of tables only what is within counts.
    read: Cell<bool>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Integer(i64),
    Truth(bool),
    /// A float or a date: no key of a fly.toml that is carried over takes one.
    Other(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Value {
    /// As a person would write it on one line.
    fn spelled(&self) -> String {
        match self {
            Self::Text(text) | Self::Other(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::List(items) => items.iter().map(|item| item.value.spelled()).collect::<Vec<_>>().join(", "),
            Self::Table(_) => "…".to_owned(),
        }
    }

    /// A number; old files have some as text.
    fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Truth(_) | Self::Other(_) | Self::List(_) | Self::Table(_) => None,
        }
    }

    fn is_sections(&self) -> bool {
        match self {
            Self::Table(_) => true,
            Self::List(items) => !items.is_empty() && items.iter().all(|item| matches!(item.value, Self::Table(_))),
            Self::Text(_) | Self::Integer(_) | Self::Truth(_) | Self::Other(_) => false,
        }
    }
}

/// A whole fly.toml.
#[derive(Debug)]
pub(crate) struct Document {
    root: Node,
}

/// Why a text is no TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoToml {
    pub line: usize,
    pub message: String,
}

impl Document {
    pub(crate) fn parse(text: &str) -> Result<Self, NoToml> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            NoToml { line, message: error.message().to_owned() }
        })?;
        let value = table_of(text, table.get_ref());
        Ok(Self { root: Node { value, line: 1, read: Cell::new(false) } })
    }

    pub(crate) fn root(&self) -> Section<'_> {
        Section { node: &self.root, path: String::new() }
    }

    /// Everything that nobody asked for: its line, its key with the numbers of lists left out, and what it says.
    pub(crate) fn left(&self) -> Vec<Left> {
        let mut left = Vec::new();
        leaves(&self.root, "", &mut left);
        left
    }
}

/// A value that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub line: usize,
    pub key: String,
    pub value: String,
}

fn leaves(node: &Node, path: &str, left: &mut Vec<Left>) {
    match &node.value {
        Value::Table(entries) => {
            for (key, entry) in entries {
                leaves(entry, &joined(path, key), left);
            }
        }
        Value::List(items) if node.value.is_sections() => items.iter().for_each(|item| leaves(item, path, left)),
        // An empty list says nothing; flyctl wrote many.
        Value::List(items) if items.is_empty() => {}
        Value::List(_) | Value::Text(_) | Value::Integer(_) | Value::Truth(_) | Value::Other(_) => {
            if !node.read.get() {
                left.push(Left { line: node.line, key: path.to_owned(), value: node.value.spelled() });
            }
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// In the order of the text, which `toml` does not keep.
fn table_of(text: &str, table: &DeTable<'_>) -> Value {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        let line = line_of(text, key.span().start);
        let node = Node { value: value_of(text, value.get_ref()), line, read: Cell::new(false) };
        (key.get_ref().to_string(), node)
    };
    Value::Table(entries.into_iter().map(entry).collect())
}

fn value_of(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Float(number) => Value::Other(number.to_string()),
        DeValue::Boolean(truth) => Value::Truth(*truth),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(items) => {
            let item = |item: &toml::Spanned<DeValue<'_>>| Node {
                value: value_of(text, item.get_ref()),
                line: line_of(text, item.span().start),
                read: Cell::new(false),
            };
            Value::List(items.iter().map(item).collect())
        }
        DeValue::Table(table) => table_of(text, table),
    }
}

/// A table of the document.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    node: &'a Node,
    path: String,
}

/// A value with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub value: T,
    pub line: usize,
    pub key: String,
}

impl<T> Found<T> {
    /// What becomes of it.
    pub(crate) fn remark(&self, what: impl Into<String>) -> Remark {
        Remark { line: self.line, key: self.key.clone(), what: what.into() }
    }

    fn map<U>(&self, value: U) -> Found<U> {
        Found { value, line: self.line, key: self.key.clone() }
    }
}

impl<'a> Section<'a> {
    fn entry(&self, key: &str) -> Option<&'a Node> {
        match &self.node.value {
            Value::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            Value::Text(_) | Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::List(_) => None,
        }
    }

    /// A remark about the section as a whole.
    pub(crate) fn remark(&self, what: impl Into<String>) -> Remark {
        Remark { line: self.node.line, key: self.path.clone(), what: what.into() }
    }

    /// Reads a value if `take` can make something of it; what it cannot stays unread.
    fn take<T>(&self, key: &str, take: impl Fn(&'a Value) -> Option<T>) -> Option<Found<T>> {
        let node = self.entry(key)?;
        let value = take(&node.value)?;
        node.read.set(true);
        Some(Found { value, line: node.line, key: joined(&self.path, key) })
    }

    pub(crate) fn text(&self, key: &str) -> Option<Found<String>> {
        self.take(key, |value| match value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::List(_) | Value::Table(_) => None,
        })
    }

    pub(crate) fn integer(&self, key: &str) -> Option<Found<i64>> {
        self.take(key, Value::number)
    }

    /// A positive count that fits.
    pub(crate) fn count(&self, key: &str) -> Option<Found<u32>> {
        self.take(key, |value| u32::try_from(value.number()?).ok())
    }

    pub(crate) fn truth(&self, key: &str) -> Option<Found<bool>> {
        self.take(key, |value| match value {
            Value::Truth(truth) => Some(*truth),
            Value::Text(_) | Value::Integer(_) | Value::Other(_) | Value::List(_) | Value::Table(_) => None,
        })
    }

    /// A text, or a number or truth as its text.
    pub(crate) fn scalar(&self, key: &str) -> Option<Found<String>> {
        self.take(key, |value| match value {
            Value::Text(_) | Value::Integer(_) | Value::Truth(_) | Value::Other(_) => Some(value.spelled()),
            Value::List(_) | Value::Table(_) => None,
        })
    }

    /// A list of texts, or one text alone.
    pub(crate) fn texts(&self, key: &str) -> Option<Found<Vec<String>>> {
        self.take(key, |value| match value {
            Value::Text(text) => Some(vec![text.clone()]),
            Value::List(items) => items
                .iter()
                .map(|item| match &item.value {
                    Value::Text(text) => Some(text.clone()),
                    Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::List(_) | Value::Table(_) => None,
                })
                .collect(),
            Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::Table(_) => None,
        })
    }

    /// A number, without reading it.
    pub(crate) fn peek_integer(&self, key: &str) -> Option<i64> {
        self.entry(key)?.value.number()
    }

    /// A list of texts, without reading it.
    pub(crate) fn peek_texts(&self, key: &str) -> Vec<String> {
        match self.entry(key).map(|node| &node.value) {
            Some(Value::List(items)) => items.iter().map(|item| item.value.spelled()).collect(),
            Some(Value::Text(text)) => vec![text.clone()],
            Some(Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::Table(_)) | None => Vec::new(),
        }
    }

    /// The names of a table's scalars and lists, each to be read by its name.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        match &self.node.value {
            Value::Table(entries) => entries.iter().map(|(key, _)| key.as_str()).collect(),
            Value::Text(_) | Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::List(_) => Vec::new(),
        }
    }

    /// The table of this name, or each of the tables of this name.
    pub(crate) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let path = joined(&self.path, key);
        let section = |node| Section { node, path: path.clone() };
        match self.entry(key).map(|node| (node, &node.value)) {
            Some((node, Value::Table(_))) => vec![section(node)],
            Some((node, Value::List(items))) if node.value.is_sections() => items.iter().map(section).collect(),
            Some((_, Value::Text(_) | Value::Integer(_) | Value::Truth(_) | Value::Other(_) | Value::List(_)))
            | None => Vec::new(),
        }
    }

    /// The first table of this name.
    pub(crate) fn section(&self, key: &str) -> Option<Section<'a>> {
        self.sections(key).into_iter().next()
    }
}

impl Found<String> {
    /// What `read` makes of the text, or a remark that says why nothing.
    pub(crate) fn parsed<T>(&self, read: impl Fn(&str) -> Result<T, String>) -> Result<Found<T>, Remark> {
        match read(&self.value) {
            Ok(value) => Ok(self.map(value)),
            Err(why) => Err(self.remark(format!("`{}` {why}; not carried over", self.value))),
        }
    }
}
