//! A manifest as a tree of values that know their place.
//!
//! `yaml` makes it out of the text; `check` holds it against the tables of fields, and `lower` reads it through a
//! [`View`], which lays an app's own spec over its profile's: maps merge, lists replace, the app wins, and `null` takes
//! away what the profile says. Names neither YAML reader.

use crate::text::Span;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub at: Span,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Numbers that no field takes: fractions, infinities, beyond 64 bits.
    Float(f64),
    Text {
        text: Box<str>,
        style: Style,
    },
    List(Box<[Node]>),
    Map(Box<[Entry]>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: Box<str>,
    pub key_at: Span,
    pub key_style: Style,
    /// Whether the key is text, and not a number, a truth or nothing.
    pub key_is_text: bool,
    pub node: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text { .. }
            | Value::List(_) => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text { .. } | Value::Map(_) => {
                &[]
            }
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// What it is, for messages.
    pub(crate) fn noun(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(truth) => format!("the truth value {truth}"),
            Value::Integer(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {number}"),
            Value::Text { text, .. } => format!("the text `{}`", cut(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// Longest piece of a manifest that a message repeats, in characters: a message is one line.
const QUOTED_CHARACTERS_MAX: usize = 60;

/// A text short enough, and on one line, for a message.
pub(crate) fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= QUOTED_CHARACTERS_MAX {
        return line.to_owned();
    }
    line.chars().take(QUOTED_CHARACTERS_MAX).chain(['…']).collect()
}

/// A place of an app's spec, laid over the same place of its profile.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View<'a> {
    own: Option<&'a Node>,
    key_at: Option<Span>,
    under: Option<&'a Node>,
}

impl<'a> View<'a> {
    /// Lays a spec over a profile's.
    pub(crate) fn new(own: Option<&'a Entry>, under: Option<&'a Node>) -> Self {
        Self { own: own.map(|entry| &entry.node), key_at: own.map(|entry| entry.key_at), under }
    }

    /// The place below, absent when neither says anything, or when the app says `null`.
    pub(crate) fn get(self, key: &str) -> Self {
        let under = self.under.and_then(|node| node.entry(key)).map(|entry| &entry.node);
        let Some(own) = self.own.and_then(|node| node.entry(key)) else {
            return Self { own: None, key_at: None, under: under.filter(|node| node.value != Value::Null) };
        };
        if own.node.value == Value::Null {
            return Self::default();
        }
        // Only maps merge.
        let under = under.filter(|under| under.is_map() && own.node.is_map());
        Self { own: Some(&own.node), key_at: Some(own.key_at), under }
    }

    /// The place at a path like `resources.cpus`.
    pub(crate) fn at_path(self, path: &str) -> Self {
        path.split('.').fold(self, Self::get)
    }

    /// The value that counts; a map may have more beneath.
    pub(crate) fn node(self) -> Option<&'a Node> {
        self.own.or(self.under)
    }

    pub(crate) fn is_absent(self) -> bool {
        self.node().is_none()
    }

    /// The items of a list; lists replace, so they are of one layer.
    pub(crate) fn items(self) -> impl Iterator<Item = View<'a>> {
        let own = self.own.is_some();
        let items = self.node().map(Node::items).unwrap_or_default();
        items.iter().map(move |node| match own {
            true => Self { own: Some(node), key_at: None, under: None },
            false => Self { own: None, key_at: None, under: Some(node) },
        })
    }

    /// The entries of a map, the profile's under the app's own.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        let own = self.own.map(Node::entries).unwrap_or_default();
        let under = self.under.map(Node::entries).unwrap_or_default();
        let beneath = under.iter().filter(move |entry| !own.iter().any(|mine| mine.key == entry.key));
        let all = own.iter().chain(beneath).map(move |entry| (&*entry.key, self.get(&entry.key)));
        all.filter(|(_, view)| !view.is_absent())
    }

    /// Where the value stands in the app's own text; `None` when only the profile says it.
    pub(crate) fn span(self) -> Option<Span> {
        self.own.map(|node| node.at)
    }

    /// Where its key stands in the app's own text; the value's place for an item of a list.
    pub(crate) fn key_span(self) -> Option<Span> {
        self.key_at.or(self.span())
    }
}
