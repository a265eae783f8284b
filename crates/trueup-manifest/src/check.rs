//! Holds a tree of values against the table of its fields, and notes everything that does not fit.
//!
//! Goes on after each mistake, so that one run finds them all. What several fields must satisfy together is known to
//! `lower`, not here.

use trueup_museum::{Bug, planted};

use crate::ambiguous::ambiguous;
use crate::diagnostic::Finding;
use crate::field::{Field, Need, Rule, Shape, Word};
use crate::node::{Entry, Node, Style, Value, cut};
use crate::suggest;
use crate::text::Span;
use crate::units;

/// Most unknown keys of one map that are guessed at: beyond it the map is another thing altogether.
const GUESSES_MAX: usize = 20;

/// Notes what is wrong with a value that stands at `key`.
pub(crate) fn check(node: &Node, shape: Shape, key: &str, findings: &mut Vec<Finding>) {
    match (shape, &node.value) {
        // Nothing is the same as left out; in an app it takes away what the profile says.
        (_, Value::Null) | (Shape::Any, _) | (Shape::Bool, Value::Bool(_)) => {}
        (Shape::Object(fields), Value::Map(entries)) => object(node, entries, fields, key, findings),
        (Shape::Map { key: rule, value, most }, Value::Map(entries)) => {
            bound(node.at, key, entries.len(), 0, most, findings);
            for entry in entries {
                free_entry(entry, rule, *value, findings);
            }
        }
        (Shape::List { item, least, most }, Value::List(items)) => {
            bound(node.at, key, items.len(), least, most, findings);
            for node in items {
                if node.value == Value::Null {
                    findings.push(wrong_type(node, *item, key));
                }
                check(node, *item, key, findings);
            }
        }
        (Shape::Text(rule), Value::Text { text, style }) => {
            findings.extend(text_fault(node.at, text, *style, rule, key))
        }
        (Shape::Word(words), Value::Text { text, .. }) => findings.extend(word_fault(node.at, text, words, key)),
        (Shape::Integer { least, most }, Value::Integer(number)) => {
            if !(least..=most).contains(number) {
                let message = format!("`{key}` is {number}, outside {least} to {most}");
                findings.push(
                    Finding::error("manifest::number", node.at, message)
                        .help(format!("write a number from {least} to {most}")),
                );
            }
        }
        (Shape::Quantity, Value::Integer(number)) => findings.extend(quantity_fault(node.at, &number.to_string(), key)),
        (Shape::Quantity, Value::Text { text, .. }) => findings.extend(quantity_fault(node.at, text, key)),
        (Shape::Size, Value::Integer(number)) => findings.extend(size_fault(node.at, &number.to_string(), key)),
        (Shape::Size, Value::Text { text, .. }) => findings.extend(size_fault(node.at, text, key)),
        (
            Shape::Text(_)
            | Shape::Word(_)
            | Shape::Bool
            | Shape::Integer { .. }
            | Shape::Quantity
            | Shape::Size
            | Shape::List { .. }
            | Shape::Map { .. }
            | Shape::Object(_),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text { .. } | Value::List(_) | Value::Map(_),
        ) => findings.push(wrong_type(node, shape, key)),
    }
}

fn object(node: &Node, entries: &[Entry], fields: &'static [Field], key: &str, findings: &mut Vec<Finding>) {
    let known = || fields.iter().filter(|field| field.need != Need::Refused).map(|field| field.name);
    let free: Vec<_> = known().filter(|name| !entries.iter().any(|entry| *entry.key == **name)).collect();
    let (mut meant, mut unknown) = (Vec::new(), 0);
    for entry in entries {
        match fields.iter().find(|field| *field.name == *entry.key) {
            // A merge key, which `scan` has refused.
            None if *entry.key == *"<<" => {}
            None if planted(Bug::IgnoresUnknownKeys) => {}
            Some(Field { need: Need::Refused, doc, .. }) => {
                let message = format!("`{}` ({}) is not served by this build", entry.key, doc.trim_end_matches('.'));
                findings.push(
                    Finding::error("manifest::unserved", entry.key_at, message)
                        .help(format!("served: {}", known().collect::<Vec<_>>().join(", "))),
                );
            }
            Some(field) => check(&entry.node, field.shape, field.name, findings),
            None => {
                let guess = unknown < GUESSES_MAX;
                unknown += 1;
                let near = guess.then(|| suggest::nearest(&entry.key, free.iter().copied())).flatten();
                meant.extend(near);
                let help =
                    near.map_or_else(|| suggest::remedy(&entry.key, known()), |near| format!("did you mean `{near}`?"));
                let message = format!("unknown key `{}` in `{key}`", cut(&entry.key));
                findings.push(
                    Finding::error("manifest::key::unknown", entry.key_at, message)
                        .help(help)
                        .label("not a field")
                        .meant(near),
                );
            }
        }
    }
    for field in fields.iter().filter(|field| field.need == Need::Required) {
        let there = entries.iter().any(|entry| *entry.key == *field.name && entry.node.value != Value::Null);
        if !there && !meant.contains(&field.name) {
            findings.push(missing(node, field, key));
        }
    }
}

fn missing(node: &Node, field: &Field, key: &str) -> Finding {
    // The whole map would be marked otherwise; its first key is enough.
    let at = node.entries().first().map_or(node.at, |entry| entry.key_at);
    let example = field.shape.example().unwrap_or("…");
    Finding::error("manifest::key::missing", at, format!("`{}` is missing in `{key}`", field.name))
        .help(format!("write `{}: {example}`: {}", field.name, field.doc))
        .label("this map")
}

fn free_entry(entry: &Entry, rule: &'static Rule, value: Shape, findings: &mut Vec<Finding>) {
    if !entry.key_is_text {
        let message = format!("the key `{}` is not text", cut(&entry.key));
        findings.push(
            Finding::error("manifest::key::text", entry.key_at, message)
                .help(format!("quote it: `\"{}\"`", cut(&entry.key))),
        );
    } else {
        findings.extend(text_fault(entry.key_at, &entry.key, entry.key_style, rule, &entry.key));
    }
    if entry.node.value == Value::Null && matches!(value, Shape::Text(_)) {
        let message = format!("`{}` has no value", cut(&entry.key));
        findings.push(Finding::error("manifest::type", entry.key_at, message).help("write `\"\"` for an empty text"));
    }
    check(&entry.node, value, &entry.key, findings);
}

fn bound(at: Span, key: &str, count: usize, least: usize, most: usize, findings: &mut Vec<Finding>) {
    if count > most {
        findings.push(
            Finding::error("manifest::count", at, format!("`{key}` has {count} items, at most {most} are allowed"))
                .help("shorten it"),
        );
    }
    if count < least {
        findings.push(
            Finding::error("manifest::count", at, format!("`{key}` is empty"))
                .help("write at least one item, or leave it out"),
        );
    }
}

fn wrong_type(node: &Node, shape: Shape, key: &str) -> Finding {
    let help = match (shape, &node.value) {
        (Shape::Text(Rule { noun: "text", .. }), Value::Bool(_) | Value::Integer(_) | Value::Float(_)) => {
            "quote it, so that every reader takes it for text".to_owned()
        }
        (Shape::Word(words), _) => format!("one of: {}", list(words)),
        (Shape::Bool, Value::Text { .. }) => "write `true` or `false`, without quotes".to_owned(),
        (Shape::Integer { .. }, Value::Text { .. }) => {
            "write plain digits, without quotes, `_` and leading zeros".to_owned()
        }
        (shape, _) => {
            shape.example().map_or_else(|| "write digits".to_owned(), |example| format!("write it like `{example}`"))
        }
    };
    let message = format!("`{}` takes {}, found {}", cut(key), shape.noun(), node.noun());
    Finding::error("manifest::type", node.at, message).help(help)
}

fn text_fault(at: Span, text: &str, style: Style, rule: &Rule, key: &str) -> Option<Finding> {
    if style == Style::Plain && ambiguous(text) {
        let message = format!("`{}` is text for one YAML reader and something else for another", cut(text));
        return Some(
            Finding::error("manifest::yaml::ambiguous", at, message).help(format!("quote it: `\"{}\"`", cut(text))),
        );
    }
    if text.len() > rule.most {
        let message = format!("`{}` has {} bytes, at most {} are allowed", cut(key), text.len(), rule.most);
        return Some(Finding::error("manifest::text::long", at, message).help("shorten it, or put it into a file"));
    }
    let why = (rule.check)(text).err()?;
    let help = format!("`{}` takes {}, like `{}`", cut(key), rule.noun, rule.example);
    Some(Finding::error("manifest::text", at, format!("`{}` {why}", cut(text))).help(help))
}

fn word_fault(at: Span, text: &str, words: &[Word], key: &str) -> Option<Finding> {
    match words.iter().find(|word| word.text == text) {
        Some(Word { need: Need::Refused, doc, .. }) => {
            let message = format!("`{key}: {text}` ({}) is not served by this build", doc.trim_end_matches('.'));
            Some(Finding::error("manifest::unserved", at, message).help(format!("one of: {}", list(words))))
        }
        Some(_) => None,
        None => {
            let near = suggest::nearest(text, words.iter().map(|word| word.text));
            let help =
                near.map_or_else(|| format!("one of: {}", list(words)), |near| format!("did you mean `{near}`?"));
            Some(Finding::error("manifest::word", at, format!("`{}` is no {key}", cut(text))).help(help))
        }
    }
}

fn list(words: &[Word]) -> String {
    let served = words.iter().filter(|word| word.need != Need::Refused);
    served.map(|word| word.text).collect::<Vec<_>>().join(", ")
}

fn quantity_fault(at: Span, text: &str, key: &str) -> Option<Finding> {
    let why = units::quantity(text).err()?;
    Some(Finding::error("manifest::quantity", at, format!("`{key}`: {why}")).help("write it like `1` or `25%`"))
}

fn size_fault(at: Span, text: &str, key: &str) -> Option<Finding> {
    let why = units::size(text).err()?;
    Some(
        Finding::error("manifest::size", at, format!("`{key}: {}` {why}", cut(text)))
            .help("write it like `512Mi` or `10Gi`"),
    )
}
