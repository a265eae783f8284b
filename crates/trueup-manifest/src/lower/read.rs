//! Reads single values out of a checked tree.
//!
//! [`Broken`] means that `check` has refused the value already; whoever gets it judges nothing that depends on it.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::node::{Node, Value, View};

/// The value is there and wrong, which has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// `None` where nothing is written.
pub(super) type Read<T> = Result<Option<T>, Broken>;

pub(super) fn text(view: View<'_>) -> Read<String> {
    parsed(view, |text| Ok(text.to_owned()))
}

/// A text that becomes something else.
pub(super) fn parsed<T>(view: View<'_>, parse: fn(&str) -> Result<T, String>) -> Read<T> {
    let Some(node) = view.node() else { return Ok(None) };
    parse(node.text().ok_or(Broken)?).map(Some).map_err(|_| Broken)
}

/// A name.
pub(super) fn name<T: FromStr>(view: View<'_>) -> Read<T> {
    let Some(node) = view.node() else { return Ok(None) };
    node.text().and_then(|text| text.parse().ok()).map(Some).ok_or(Broken)
}

/// A number, or a text that is spelled like one.
pub(super) fn spelled<T>(view: View<'_>, parse: fn(&str) -> Result<T, String>) -> Read<T> {
    match view.node().map(|node| &node.value) {
        None => Ok(None),
        Some(Value::Integer(number)) => parse(&number.to_string()).map(Some).map_err(|_| Broken),
        Some(Value::Text { text, .. }) => parse(text).map(Some).map_err(|_| Broken),
        Some(Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_)) => Err(Broken),
    }
}

pub(super) fn integer<T: TryFrom<i64>>(view: View<'_>) -> Read<T> {
    match view.node().map(|node| &node.value) {
        None => Ok(None),
        Some(Value::Integer(number)) => T::try_from(*number).map(Some).map_err(|_| Broken),
        Some(Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text { .. } | Value::List(_) | Value::Map(_)) => {
            Err(Broken)
        }
    }
}

pub(super) fn truth(view: View<'_>) -> Read<bool> {
    match view.node().map(|node| &node.value) {
        None => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(
            Value::Null | Value::Integer(_) | Value::Float(_) | Value::Text { .. } | Value::List(_) | Value::Map(_),
        ) => Err(Broken),
    }
}

/// One of some words.
pub(super) fn word<T: Copy>(view: View<'_>, words: &[(&str, T)]) -> Read<T> {
    let Some(node) = view.node() else { return Ok(None) };
    let known = |text| words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    node.text().and_then(known).map(Some).ok_or(Broken)
}

/// The texts of a list; wrong ones are left out.
pub(super) fn texts(view: View<'_>) -> Vec<String> {
    view.items().filter_map(|item| item.node().and_then(Node::text).map(str::to_owned)).collect()
}

/// The texts of a map; wrong ones are left out.
pub(super) fn text_map(view: View<'_>) -> BTreeMap<String, String> {
    let text = |(key, view): (&str, View<'_>)| Some((key.to_owned(), view.node()?.text()?.to_owned()));
    view.entries().filter_map(text).collect()
}
