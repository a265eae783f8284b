//! Decides what a document means.
//!
//! The one file that names `serde_yaml`. It reads a document along the tree that `scan` made of the same text, so that
//! each value gets its place; where the two readers see different shapes the document is refused, since then a person
//! would be misled as well. Also writes YAML, for what people ask to see.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::ambiguous::ambiguous;
use crate::diagnostic::Finding;
use crate::node::{Entry, Node, Style, Value};
use crate::scan::{Form, Located, Scanned, scan};
use crate::text::Span;

/// What both readers see in a document of `file`.
pub(crate) fn read(file: &str, document: &Scanned, root: &Located) -> Result<Node, Finding> {
    let text = file.get(document.at.start as usize..document.at.end as usize).unwrap_or_default();
    let differing = RefCell::new(None);
    let seed = Reading { located: root, differing: &differing };
    let read = seed.deserialize(serde_yaml::Deserializer::from_str(text));
    read.map_err(|error| {
        if let Some(at) = *differing.borrow() {
            return Finding::error("manifest::yaml::differing", at, "YAML readers understand this differently")
                .help("quote it, or write it more plainly");
        }
        let start = document.at.start as usize;
        let offset = start + error.location().map_or(0, |location| location.index().min(text.len()));
        Finding::error("manifest::yaml::syntax", Span::new(offset, offset), format!("not YAML: {error}"))
            .help("look for a missing quote, bracket or indent here")
            .label("the reader stopped here")
    })
}

/// Writes a value as YAML that every reader takes the same way.
///
/// # Panics
/// When the value cannot be serialized at all, which none of our own types does.
#[must_use]
pub fn to_yaml<T: Serialize>(value: &T) -> String {
    let mut text = serde_yaml::to_string(value).expect("our own types always become YAML");
    let mut plain = Vec::new();
    for document in scan(&text, usize::MAX) {
        document.root.iter().for_each(|root| root.plain_scalars(&mut plain));
    }
    let unclear = plain.into_iter().map(|at| at.start as usize..at.end as usize);
    let unclear: Vec<_> = unclear.filter(|at| text.get(at.clone()).is_some_and(ambiguous)).collect();
    for at in unclear.into_iter().rev() {
        text.insert(at.end, '\'');
        text.insert(at.start, '\'');
    }
    text
}

/// One YAML document as JSON, without places and without judgement; `None` when it is not YAML.
#[must_use]
pub fn to_json(text: &str) -> Option<serde_json::Value> {
    serde_yaml::from_str(text).ok()
}

/// Reads one value where `scan` has seen one.
#[derive(Clone, Copy)]
struct Reading<'a> {
    located: &'a Located,
    /// The first place at which the readers differ.
    differing: &'a RefCell<Option<Span>>,
}

impl Reading<'_> {
    fn differ<T, E: serde::de::Error>(self) -> Result<T, E> {
        self.differing.borrow_mut().get_or_insert(self.located.at);
        Err(E::custom("the readers differ"))
    }

    /// A scalar that is not text: only unquoted ones can be.
    fn plain<E: serde::de::Error>(self, value: Value) -> Result<Node, E> {
        match &self.located.form {
            Form::Scalar { style: Style::Plain, .. } => Ok(Node { at: self.located.at, value }),
            Form::Scalar { style: Style::Quoted, .. } | Form::List(_) | Form::Map(_) => self.differ(),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without tags")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.plain(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.plain(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Node, E> {
        self.plain(Value::Bool(truth))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Node, E> {
        self.plain(Value::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Node, E> {
        self.plain(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer))
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Node, E> {
        self.plain(Value::Float(number as f64))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Node, E> {
        self.plain(Value::Float(number as f64))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Node, E> {
        self.plain(Value::Float(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        match &self.located.form {
            Form::Scalar { text: located, style } if **located == *text => {
                Ok(Node { at: self.located.at, value: Value::Text { text: text.into(), style: *style } })
            }
            Form::Scalar { .. } | Form::List(_) | Form::Map(_) => self.differ(),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let Form::List(located) = &self.located.form else { return self.differ() };
        let mut read = Vec::with_capacity(located.len());
        for located in located {
            match items.next_element_seed(Reading { located, ..self })? {
                Some(item) => read.push(item),
                None => return self.differ(),
            }
        }
        if items.next_element::<serde::de::IgnoredAny>()?.is_some() {
            return self.differ();
        }
        Ok(Node { at: self.located.at, value: Value::List(read.into()) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let Form::Map(located) = &self.located.form else { return self.differ() };
        let mut read: Vec<Entry> = Vec::with_capacity(located.len());
        let mut seen = BTreeSet::new();
        for (key, value) in located {
            let Some(key_read) = pairs.next_key_seed(Reading { located: key, ..self })? else { return self.differ() };
            let node = pairs.next_value_seed(Reading { located: value, ..self })?;
            let Form::Scalar { text, style } = &key.form else { continue };
            // The first of two equal keys counts; the second is already an error.
            if seen.insert(text) {
                let key_is_text = key_read.text().is_some();
                read.push(Entry { key: text.clone(), key_at: key.at, key_style: *style, key_is_text, node });
            }
        }
        if pairs.next_key::<serde::de::IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("the readers differ"));
        }
        Ok(Node { at: self.located.at, value: Value::Map(read.into()) })
    }
}
