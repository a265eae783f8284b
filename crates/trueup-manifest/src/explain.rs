//! The documentation of one field, for the terminal: the same words as the schema.

use std::fmt;

use crate::field::{Field, Need, Shape};
use crate::kind::Kind;
use crate::suggest;

/// What there is to say about one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path, as it is spelled.
    pub path: String,
    /// What it takes, as `a list of maps`.
    pub takes: String,
    /// One or more sentences.
    pub doc: String,
    /// What holds when it is left out.
    pub default: Option<String>,
    /// Whether it must be written.
    pub required: bool,
    /// What it may be, for a field that takes one of some words: word and meaning.
    pub words: Vec<(String, String)>,
    /// The fields below it.
    pub fields: Vec<FieldLine>,
}

/// One field below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLine {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub takes: String,
    /// Whether it must be written.
    pub required: bool,
    /// One sentence.
    pub doc: String,
    /// What holds when it is left out.
    pub default: Option<String>,
}

/// A path that leads to no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no field `{word}` in `{within}`; {help}")]
pub struct UnknownPath {
    /// The part at fault.
    pub word: String,
    /// The path before it.
    pub within: String,
    /// What was probably meant, or what there is.
    pub help: String,
}

/// Explains a path like `app.spec.rollout`; lists are looked through.
///
/// # Errors
/// [`UnknownPath`] names the part that leads nowhere, and what was probably meant.
pub fn explain(path: &str) -> Result<Explanation, UnknownPath> {
    let mut parts = path.split('.').map(|part| part.split('[').next().unwrap_or(part));
    let first = parts.next().unwrap_or_default();
    let kind: Kind = first.parse().map_err(|_| UnknownPath {
        word: first.to_owned(),
        within: "the kinds".to_owned(),
        help: suggest::remedy(&first.to_lowercase(), ["app", "target", "profile"]),
    })?;
    let mut spelled = kind.as_str().to_ascii_lowercase();
    let mut shape = Shape::Object(kind.fields());
    let mut found: Option<&Field> = None;
    for part in parts {
        let fields = shape.fields().unwrap_or_default();
        let Some(field) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(part)) else {
            let help = suggest::remedy(part, fields.iter().map(|field| field.name));
            return Err(UnknownPath { word: part.to_owned(), within: spelled, help });
        };
        spelled = format!("{spelled}.{}", field.name);
        (shape, found) = (field.shape, Some(field));
    }
    Ok(Explanation {
        path: spelled,
        takes: takes(shape),
        doc: found.map_or(kind.doc(), |field| field.doc).to_owned(),
        default: found.and_then(|field| field.default).map(str::to_owned),
        required: found.is_some_and(|field| field.need == Need::Required),
        words: words(shape),
        fields: shape
            .fields()
            .unwrap_or_default()
            .iter()
            .filter(|field| field.need != Need::Refused)
            .map(line)
            .collect(),
    })
}

fn line(field: &Field) -> FieldLine {
    FieldLine {
        name: field.name.to_owned(),
        takes: takes(field.shape),
        required: field.need == Need::Required,
        doc: field.doc.to_owned(),
        default: field.default.map(str::to_owned),
    }
}

fn words(shape: Shape) -> Vec<(String, String)> {
    let Shape::Word(words) = shape else { return Vec::new() };
    let served = words.iter().filter(|word| word.need != Need::Refused);
    served.map(|word| (word.text.to_owned(), word.doc.to_owned())).collect()
}

fn takes(shape: Shape) -> String {
    match shape {
        Shape::Word(words) => {
            words.iter().filter(|word| word.need != Need::Refused).map(|word| word.text).collect::<Vec<_>>().join(" | ")
        }
        Shape::Integer { least, most } => format!("a whole number, {least} to {most}"),
        Shape::List { item, .. } => format!("a list of: {}", takes(*item)),
        Shape::Map { value, .. } => format!("a map to: {}", takes(*value)),
        Shape::Text(_) | Shape::Bool | Shape::Quantity | Shape::Size | Shape::Object(_) | Shape::Any => {
            shape.noun().to_owned()
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.required { ", required" } else { "" };
        writeln!(f, "{}: {}{required}\n\n  {}", self.path, self.takes, self.doc)?;
        if let Some(default) = &self.default {
            writeln!(f, "  Default: {default}.")?;
        }
        if !self.words.is_empty() {
            writeln!(f)?;
        }
        for (word, doc) in &self.words {
            writeln!(f, "  {word}: {doc}")?;
        }
        for field in &self.fields {
            let required = if field.required { ", required" } else { "" };
            writeln!(f, "\n  {}: {}{required}\n    {}", field.name, field.takes, field.doc)?;
            if let Some(default) = &field.default {
                writeln!(f, "    Default: {default}.")?;
            }
        }
        Ok(())
    }
}
