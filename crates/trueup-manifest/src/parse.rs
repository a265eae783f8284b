//! One file: its documents, each with what is wrong with it taken alone.
//!
//! Joins `scan`, `yaml` and `check`. Knows no other file: targets, profiles and rivals for a route are `resolve`'s.

use std::sync::{Arc, Mutex};

use trueup_types::AppName;

use crate::check::check;
use crate::diagnostic::{Finding, ManifestDiagnostic};
use crate::field::Shape;
use crate::kind::{API_VERSION, Kind, LATER};
use crate::lower::Kept;
use crate::node::{Node, Value};
use crate::scan::{Scanned, VALUES_MAX, scan};
use crate::suggest;
use crate::text::{FileText, Source, Span};
use crate::yaml;

/// Largest file that is read, in bytes: ten thousand apps of one kilobyte, and as much again.
pub const FILE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Most diagnostics of one file taken alone: whoever has more has another problem.
const DIAGNOSTICS_MAX: usize = 500;

/// One file, parsed: immutable, cheap to keep, shared between calls of [`crate::resolve`].
///
/// Remembers how its apps were last lowered, so that a second [`crate::resolve`] costs next to nothing.
#[derive(Debug)]
pub struct ParsedFile {
    pub(crate) source: Arc<Source>,
    pub(crate) documents: Vec<Document>,
    diagnostics: Vec<ManifestDiagnostic>,
    claims: Vec<AppName>,
}

/// One document whose kind is known and whose text is whole.
#[derive(Debug)]
pub(crate) struct Document {
    pub kind: Kind,
    pub root: Node,
    /// Whether `check` found an error in it.
    pub broken: bool,
    /// Fields that mistyped keys were meant to be.
    pub meant: Vec<&'static str>,
    /// The last lowering of an app.
    pub kept: Mutex<Option<Kept>>,
}

impl Document {
    /// The value of `metadata.name`, where it is text.
    pub(crate) fn name(&self) -> Option<(&str, Span)> {
        let name = &self.root.entry("metadata")?.node.entry("name")?.node;
        name.text().map(|text| (text, name.at))
    }

    pub(crate) fn spec(&self) -> Option<&Node> {
        self.root.entry("spec").map(|entry| &entry.node)
    }
}

impl ParsedFile {
    /// The path, as the caller gave it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.source.path()
    }

    /// What is wrong with the file taken alone.
    #[must_use]
    pub fn diagnostics(&self) -> &[ManifestDiagnostic] {
        &self.diagnostics
    }

    /// Whether the file taken alone has an error.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.diagnostics.iter().any(ManifestDiagnostic::is_error)
    }

    /// The apps that the file seems to be about, also where their documents are broken.
    #[must_use]
    pub fn claims(&self) -> &[AppName] {
        &self.claims
    }

    /// How many documents of a served kind it holds.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents.len()
    }
}

/// Parses one file; never fails, since what is wrong is part of the answer.
#[must_use]
pub fn parse_file(file: &FileText) -> ParsedFile {
    let source = Arc::new(Source::new(file));
    let mut parsed = ParsedFile { source, documents: Vec::new(), diagnostics: Vec::new(), claims: Vec::new() };
    if file.text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", file.text.len());
        parsed.note(vec![Finding::error("manifest::file::large", Span::default(), message).help("split it")]);
        return parsed;
    }
    for scanned in scan(&file.text, VALUES_MAX) {
        parsed.claim(&scanned);
        let (document, findings) = document(&file.text, scanned);
        parsed.documents.extend(document);
        parsed.note(findings);
    }
    parsed.claims.sort();
    parsed.claims.dedup();
    parsed
}

impl ParsedFile {
    fn note(&mut self, findings: Vec<Finding>) {
        let room = DIAGNOSTICS_MAX.saturating_sub(self.diagnostics.len());
        let mut findings = findings.into_iter();
        self.diagnostics.extend(findings.by_ref().take(room).map(|finding| finding.within(&self.source)));
        if let Some(next) = findings.next().filter(|_| self.diagnostics.len() == DIAGNOSTICS_MAX) {
            let message = format!("the file has more than {DIAGNOSTICS_MAX} errors; the rest is not shown");
            let finding = Finding::error("manifest::file::errors", next.at, message).help("mend the first ones");
            self.diagnostics.push(finding.within(&self.source));
        }
    }

    fn claim(&mut self, scanned: &Scanned) {
        let Some(root) = &scanned.root else { return };
        // A document that breaks off before its kind may still be an app.
        let app = root.scalar_at(&["kind"]).is_none_or(|kind| !is_another(kind));
        let name = root.scalar_at(&["metadata", "name"]).and_then(|name| AppName::new(name).ok());
        self.claims.extend(name.filter(|_| app));
    }
}

/// Whether a word is a kind for sure, and not that of an app.
fn is_another(kind: &str) -> bool {
    let ours = Kind::ALL.into_iter().any(|one| one != Kind::App && one.as_str() == kind);
    ours || LATER.contains(&kind)
}

fn document(file: &str, mut scanned: Scanned) -> (Option<Document>, Vec<Finding>) {
    let mut findings = std::mem::take(&mut scanned.findings);
    let Some(root) = scanned.root.as_ref().filter(|_| scanned.whole) else { return (None, findings) };
    let root = match yaml::read(file, &scanned, root) {
        Ok(root) => root,
        Err(finding) => {
            // Where the reader of places has complained already, that is the reason.
            if findings.is_empty() {
                findings.push(finding);
            }
            return (None, findings);
        }
    };
    let Some(kind) = kind_of(&root, &mut findings) else { return (None, findings) };
    check(&root, Shape::Object(kind.fields()), "the manifest", &mut findings);
    let meant = findings.iter().filter_map(|finding| finding.meant).collect();
    let broken = !findings.is_empty();
    (Some(Document { kind, root, broken, meant, kept: Mutex::new(None) }), findings)
}

/// Reads `apiVersion` and `kind` before anything else.
fn kind_of(root: &Node, findings: &mut Vec<Finding>) -> Option<Kind> {
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("a manifest is a map, found {}", root.noun());
        findings.push(
            Finding::error("manifest::type", root.at, message)
                .help(format!("begin it with `apiVersion: {API_VERSION}`")),
        );
        return None;
    }
    let Some(entry) = root.entry("kind") else {
        let at = root.entries().first().map_or(root.at, |entry| entry.key_at);
        let near = root.entries().iter().find(|entry| suggest::nearest(&entry.key, ["kind"]).is_some());
        let help = near
            .map_or_else(|| "write `kind: App`".to_owned(), |near| format!("did you mean `kind` by `{}`?", near.key));
        findings.push(
            Finding::error("manifest::kind", near.map_or(at, |near| near.key_at), "`kind` is missing").help(help),
        );
        return None;
    };
    let word = entry.node.text().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    if kind.is_none() {
        let finding = match LATER.contains(&word) {
            true => Finding::error(
                "manifest::unserved",
                entry.node.at,
                format!("the kind `{word}` is not served by this build"),
            )
            .help("move the document out of the source"),
            false => Finding::error(
                "manifest::kind",
                entry.node.at,
                format!("there is no kind {}", entry.node.noun().trim_start_matches("the text ")),
            )
            .help(suggest::remedy(word, Kind::ALL.map(Kind::as_str))),
        };
        findings.push(finding);
    }
    kind
}
