//! Finds out where everything stands: text → documents → trees of byte ranges.
//!
//! The one file that names `serde_saphyr`. It splits a file into its documents, builds a spanned tree of each out of
//! the parser's events, and refuses what a manifest may not use: duplicate keys, merge keys, tags, directives, and more
//! aliases than a budget. What a scalar *means* is not known here; `yaml` decides that.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle};
use trueup_museum::{Bug, planted};

use crate::diagnostic::Finding;
use crate::node::{Style, cut};
use crate::text::Span;

/// Most values of one document, aliases expanded: far above any manifest, far below what would hurt.
pub(crate) const VALUES_MAX: usize = 20_000;
/// Deepest nesting of one document: the deepest field is seven levels down.
const DEPTH_MAX: usize = 32;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The bytes of the document within the file.
    pub at: Span,
    /// Its tree; cut short where the text breaks off.
    pub root: Option<Located>,
    /// What is wrong with how it is written.
    pub findings: Vec<Finding>,
    /// Whether the tree is all of it.
    pub whole: bool,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub at: Span,
    pub form: Form,
}

#[derive(Debug, Clone)]
pub(crate) enum Form {
    Scalar {
        text: Box<str>,
        style: Style,
    },
    List(Vec<Located>),
    /// Duplicate keys are still in it, marked in the findings.
    Map(Vec<(Located, Located)>),
}

impl Located {
    fn scalar(&self) -> Option<(&str, Style)> {
        match &self.form {
            Form::Scalar { text, style } => Some((text, *style)),
            Form::List(_) | Form::Map(_) => None,
        }
    }

    /// How many values it holds, and how many levels.
    fn measure(&self) -> (usize, usize) {
        let add = |sum: (usize, usize), part: (usize, usize)| (sum.0 + part.0, sum.1.max(part.1 + 1));
        match &self.form {
            Form::Scalar { .. } => (1, 1),
            Form::List(items) => items.iter().map(Self::measure).fold((1, 1), add),
            Form::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key, value]).map(Self::measure).fold((1, 1), add),
        }
    }

    /// Where unquoted scalars stand, in the order of the text.
    pub(crate) fn plain_scalars(&self, places: &mut Vec<Span>) {
        match &self.form {
            Form::Scalar { style: Style::Plain, .. } => places.push(self.at),
            Form::Scalar { style: Style::Quoted, .. } => {}
            Form::List(items) => items.iter().for_each(|item| item.plain_scalars(places)),
            Form::Map(pairs) => {
                pairs.iter().flat_map(|(key, value)| [key, value]).for_each(|part| part.plain_scalars(places));
            }
        }
    }

    /// The scalar below these keys, for reading names out of broken documents.
    pub(crate) fn scalar_at(&self, path: &[&str]) -> Option<&str> {
        let Some((first, rest)) = path.split_first() else { return self.scalar().map(|(text, _)| text) };
        let Form::Map(pairs) = &self.form else { return None };
        let named = |key: &Located| key.scalar().is_some_and(|(text, _)| text == *first);
        pairs.iter().find(|(key, _)| named(key)).and_then(|(_, value)| value.scalar_at(rest))
    }
}

/// Scans every document of a text; one broken document breaks none but itself.
pub(crate) fn scan(text: &str, values_max: usize) -> Vec<Scanned> {
    split(text).into_iter().filter_map(|at| scan_document(text, at, values_max)).collect()
}

/// Splits at the lines that YAML reserves for it: `---` and `...` at the beginning of a line occur in no content.
fn split(text: &str) -> Vec<Span> {
    let mut begun = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut offset = begun;
    let mut documents = Vec::new();
    for line in text.get(begun..).unwrap_or_default().split_inclusive('\n') {
        let marks = |marker| {
            line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        // Comments and directives before the line belong to the document after it.
        let prelude = |line: &str| line.trim().is_empty() || line.starts_with(['#', '%']);
        if marks("---") && !text.get(begun..offset).unwrap_or_default().lines().all(prelude) {
            documents.push(Span::new(begun, offset));
            begun = offset;
        }
        offset += line.len();
        if marks("...") {
            documents.push(Span::new(begun, offset));
            begun = offset;
        }
    }
    documents.push(Span::new(begun, offset));
    documents
}

fn scan_document(file: &str, at: Span, values_max: usize) -> Option<Scanned> {
    let text = file.get(at.start as usize..at.end as usize).unwrap_or_default();
    let mut builder = Builder { base: at.start as usize, text, values_max, ..Builder::default() };
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
        disallow_directives: true,
    };
    let mut whole = true;
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = match event {
            Ok((event, span)) => builder.take(&event, span.byte_range().unwrap_or_default()),
            Err(error) => Err(builder.syntax(error.marker().byte_offset(), &error.info())),
        };
        if let Err(finding) = taken {
            builder.findings.push(finding);
            whole = false;
            break;
        }
    }
    let Builder { findings, .. } = &mut builder;
    let findings = std::mem::take(findings);
    let root = builder.finish();
    let empty = |root: &Located| matches!(root.scalar(), Some(("" | "~" | "null", Style::Plain)));
    let root = root.filter(|root| !empty(root));
    (root.is_some() || !findings.is_empty()).then_some(Scanned { at, root, findings, whole })
}

/// A list or map under construction.
struct Open {
    start: usize,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Located>),
    Map { pairs: Vec<(Located, Located)>, key: Option<Located>, seen: BTreeMap<Box<str>, Span> },
}

/// Builds the tree on a stack of its own, so that it can be cut short anywhere.
#[derive(Default)]
struct Builder<'a> {
    base: usize,
    text: &'a str,
    open: Vec<Open>,
    root: Option<Located>,
    /// By the parser's number; the value and how many values it holds.
    anchors: BTreeMap<usize, (Located, (usize, usize))>,
    values: usize,
    values_max: usize,
    findings: Vec<Finding>,
}

impl Builder<'_> {
    /// Takes one event; an error ends the document.
    fn take(&mut self, event: &Event<'_>, range: Range<usize>) -> Result<(), Finding> {
        let at = self.span(&range);
        if event.tag().is_some() {
            self.findings.push(
                Finding::error("manifest::yaml::tag", at, "YAML tags like `!!str` are not read")
                    .help("remove the tag, and quote the value where text is meant"),
            );
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let style = if *style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                let located = Located { at, form: Form::Scalar { text: text.as_ref().into(), style } };
                self.place(located, *anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Open { start: range.start, anchor: *anchor, kind: Kind::List(Vec::new()) });
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                let kind = Kind::Map { pairs: Vec::new(), key: None, seen: BTreeMap::new() };
                self.open.push(Open { start: range.start, anchor: *anchor, kind });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end),
            Event::Alias(anchor) => self.alias(*anchor, at),
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | _ => Ok(()),
        }
    }

    fn span(&self, range: &Range<usize>) -> Span {
        // A block scalar ends after its line break; a mark there would underline the next line.
        let covered = self.text.get(range.clone()).unwrap_or_default().trim_end();
        Span::new(self.base + range.start, self.base + range.start + covered.len())
    }

    fn alias(&mut self, anchor: usize, at: Span) -> Result<(), Finding> {
        let Some((located, (values, levels))) = self.anchors.get(&anchor) else {
            return Err(Finding::error(
                "manifest::yaml::alias",
                at,
                "the alias names a value that it is itself part of",
            )
            .help("write the value out"));
        };
        self.values += values;
        if self.open.len() + levels > DEPTH_MAX {
            return Err(too_deep(at));
        }
        if self.values > self.values_max {
            return Err(too_many(self.values_max, at));
        }
        let located = Located { at, form: located.form.clone() };
        self.place(located, 0)
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, located: Located, anchor: usize) -> Result<(), Finding> {
        self.values += 1;
        if self.values > self.values_max {
            return Err(too_many(self.values_max, located.at));
        }
        if anchor != 0 {
            let measure = located.measure();
            self.anchors.insert(anchor, (located.clone(), measure));
        }
        let Some(open) = self.open.last_mut() else {
            if self.root.is_some() {
                return Err(Finding::error("manifest::yaml::syntax", located.at, "a second value in one document")
                    .help("separate documents with a line `---`"));
            }
            self.root = Some(located);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(located),
            Kind::Map { pairs, key, seen } => match key.take() {
                Some(key) => pairs.push((key, located)),
                None => {
                    self.findings.extend(wrong_key(&located, seen));
                    *key = Some(located);
                }
            },
        }
        Ok(())
    }

    /// Closes the innermost list or map.
    fn close(&mut self, end: usize) -> Result<(), Finding> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let flow = self.text.get(open.start..).unwrap_or_default().starts_with(['{', '[']);
        let (last, form) = match open.kind {
            Kind::List(items) => (items.last().map(|item| item.at), Form::List(items)),
            Kind::Map { pairs, .. } => (pairs.last().map(|(_, value)| value.at), Form::Map(pairs)),
        };
        let whole = Span::new(self.base + open.start, self.base + end);
        // The end of a block is told at the next token, which stands lines below.
        let at =
            last.filter(|_| !flow).map_or(whole, |last| Span { start: whole.start, end: last.end.max(whole.start) });
        self.place(Located { at, form }, open.anchor)
    }

    /// Closes whatever is open and hands out the tree.
    fn finish(mut self) -> Option<Located> {
        while let Some(open) = self.open.last() {
            let start = open.start;
            // A budget that is used up takes the value with it.
            let _ = self.close(start);
        }
        self.root
    }

    fn syntax(&self, offset: Option<usize>, what: &str) -> Finding {
        let offset = offset.unwrap_or(0).min(self.text.len());
        let at = Span::new(self.base + offset, self.base + offset);
        let finding = Finding::error("manifest::yaml::syntax", at, format!("not YAML: {}", cut(what)));
        finding.help(remedy(self.text, offset, what)).label("the reader stopped here")
    }
}

/// What most often stands behind a syntax error.
fn remedy(text: &str, offset: usize, what: &str) -> &'static str {
    let begun = text.get(..offset).unwrap_or_default().rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(begun..).unwrap_or_default().lines().next().unwrap_or_default();
    if what.contains("tab") || line.trim_start_matches(' ').starts_with('\t') {
        return "indent with spaces; YAML takes no tabs";
    }
    if what.contains("directive") || line.starts_with('%') {
        return "remove the line that begins with `%`; directives are not read";
    }
    if what.contains("anchor") {
        return "define the anchor before its alias, or write the value out";
    }
    if what.contains("nest") || what.contains("recursion") {
        return "no field of a manifest lies that deep";
    }
    "look for a missing `:` or quote, a bracket left open, or an indent that differs from the lines around it"
}

/// What is wrong with a key: written twice, a merge key, or no scalar at all.
fn wrong_key(key: &Located, seen: &mut BTreeMap<Box<str>, Span>) -> Option<Finding> {
    let Some((text, style)) = key.scalar() else {
        return Some(
            Finding::error("manifest::yaml::key", key.at, "a key is a list or a map").help("write a plain word"),
        );
    };
    if text == "<<" && style == Style::Plain {
        let finding = Finding::error("manifest::yaml::merge", key.at, "the merge key `<<` is not read");
        return Some(finding.help("write the fields out, or put what is common into a Profile"));
    }
    if seen.insert(text.into(), key.at).is_some() && !planted(Bug::TakesLastDuplicate) {
        let finding =
            Finding::error("manifest::yaml::duplicate", key.at, format!("the key `{}` is written twice", cut(text)));
        return Some(finding.help("keep one of them").label("the second"));
    }
    None
}

fn too_many(most: usize, at: Span) -> Finding {
    let message = format!("the document holds more than {most} values once its aliases are written out");
    Finding::error("manifest::yaml::budget", at, message).help("split it, or use fewer aliases")
}

fn too_deep(at: Span) -> Finding {
    let message = format!("the document is nested more than {DEPTH_MAX} levels deep");
    Finding::error("manifest::yaml::budget", at, message).help("no field of a manifest lies that deep")
}

/// Reads YAML without places, for tests that hold the two readers to one answer.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> Option<serde_json::Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).ok()
}
