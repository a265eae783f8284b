//! The words for describing fields: what a manifest may say, once.
//!
//! The tables in `kind` are written in these words. The decoder's known keys and bounds, the JSON Schema and `trueup
//! explain` are all read from them, so that they cannot disagree.

/// One field of a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub name: &'static str,
    /// One sentence, for people.
    pub doc: &'static str,
    pub shape: Shape,
    pub need: Need,
    /// What holds when it is left out, for people.
    pub default: Option<&'static str>,
}

/// Whether a field must, may or cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    /// Known by name, and served by no adapter of this build.
    Refused,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Free text with a rule.
    Text(&'static Rule),
    /// One of some words.
    Word(&'static [Word]),
    Bool,
    /// A whole number within bounds, both included.
    Integer {
        least: i64,
        most: i64,
    },
    /// A number or a percentage.
    Quantity,
    /// A size like `512Mi`, or a number of bytes.
    Size,
    List {
        item: &'static Shape,
        least: usize,
        most: usize,
    },
    /// A map with free keys.
    Map {
        key: &'static Rule,
        value: &'static Shape,
        most: usize,
    },
    /// A map with known keys.
    Object(&'static [Field]),
    /// Anything: for fields that are refused anyway.
    Any,
}

/// What a text must be.
#[derive(Debug)]
pub(crate) struct Rule {
    /// With its article: `a duration`.
    pub noun: &'static str,
    /// A good one.
    pub example: &'static str,
    /// A regular expression for editors, no stricter than `check`.
    pub pattern: Option<&'static str>,
    /// Most bytes.
    pub most: usize,
    /// Says why a text is none, with the text as the subject.
    pub check: fn(&str) -> Result<(), String>,
}

/// One of the words that a field takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub text: &'static str,
    pub doc: &'static str,
    pub need: Need,
}

impl Field {
    pub(crate) const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, doc, shape, need: Need::Optional, default: None }
    }

    pub(crate) const fn required(self) -> Self {
        Self { need: Need::Required, ..self }
    }

    pub(crate) const fn refused(self) -> Self {
        Self { need: Need::Refused, ..self }
    }

    pub(crate) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

impl Word {
    pub(crate) const fn new(text: &'static str, doc: &'static str) -> Self {
        Self { text, doc, need: Need::Optional }
    }

    pub(crate) const fn refused(text: &'static str, doc: &'static str) -> Self {
        Self { text, doc, need: Need::Refused }
    }
}

impl Shape {
    /// With its article, for messages.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Text(rule) => rule.noun,
            Self::Word(_) => "one of its words",
            Self::Bool => "`true` or `false`",
            Self::Integer { .. } => "a whole number",
            Self::Quantity => "a number or a percentage",
            Self::Size => "a size",
            Self::List { .. } => "a list",
            Self::Map { .. } | Self::Object(_) => "a map",
            Self::Any => "anything",
        }
    }

    /// How one is written, where that is not plain.
    pub(crate) fn example(self) -> Option<&'static str> {
        match self {
            Self::Text(rule) => Some(rule.example),
            Self::Word(words) => words.first().map(|word| word.text),
            Self::Bool => Some("true"),
            Self::Integer { .. } => None,
            Self::Quantity => Some("25%"),
            Self::Size => Some("512Mi"),
            Self::List { .. } => Some("[…]"),
            Self::Map { .. } | Self::Object(_) => Some("{key: value}"),
            Self::Any => None,
        }
    }

    /// The fields of an object, looking through lists and maps.
    pub(crate) fn fields(self) -> Option<&'static [Field]> {
        match self {
            Self::Object(fields) => Some(fields),
            Self::List { item, .. } => item.fields(),
            Self::Map { value, .. } => value.fields(),
            Self::Text(_)
            | Self::Word(_)
            | Self::Bool
            | Self::Integer { .. }
            | Self::Quantity
            | Self::Size
            | Self::Any => None,
        }
    }
}
