//! What is wrong with a manifest, where, and how to mend it.
//!
//! The parsing and resolving steps note a [`Finding`] with a byte range; once the file is known it becomes a
//! [`ManifestDiagnostic`], which prints as one line or, through miette, with the line at fault.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode};

use crate::text::{Source, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The manifest is not taken.
    Error,
    /// It is taken, but someone should look.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something wrong, at a place of a text that the reader of the finding knows.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub at: Span,
    pub severity: Severity,
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
    pub label: &'static str,
    /// The field that a mistyped key was meant to be, so that nobody calls it missing as well.
    pub meant: Option<&'static str>,
}

impl Finding {
    pub(crate) fn error(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self { at, severity: Severity::Error, code, message: message.into(), help: None, label: "here", meant: None }
    }

    pub(crate) fn warning(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(crate) fn meant(self, meant: Option<&'static str>) -> Self {
        Self { meant, ..self }
    }

    pub(crate) fn label(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    pub(crate) fn within(self, source: &Arc<Source>) -> ManifestDiagnostic {
        let (line, column) = source.position(self.at.start);
        ManifestDiagnostic {
            file: source.path().to_owned(),
            line,
            column,
            severity: self.severity,
            code: self.code,
            message: self.message,
            help: self.help,
            at: self.at,
            label: self.label,
            source: source.clone(),
        }
    }
}

/// One error or warning, pointing into the text of its file.
#[derive(Debug, Clone)]
pub struct ManifestDiagnostic {
    /// The file's path, as the caller gave it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// What kind of mistake it is, as `manifest::…`; stable.
    pub code: &'static str,
    /// What is wrong, one line.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    at: Span,
    label: &'static str,
    source: Arc<Source>,
}

impl ManifestDiagnostic {
    /// The text it points at, as a range of bytes of the file.
    #[must_use]
    pub fn byte_range(&self) -> std::ops::Range<usize> {
        self.at.start as usize..self.at.end as usize
    }

    /// Whether the manifest is refused because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Without the file: `line:column: message (help)`.
    #[must_use]
    pub fn brief(&self) -> String {
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{}: {}{help}", self.line, self.column, self.message)
    }

    /// On one line, with the file: `file:line:column: message (help)`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}:{}", self.file, self.brief())
    }

    /// What diagnostics are sorted by: file, then place.
    pub(crate) fn order(&self) -> (&str, Span, Severity, &str) {
        (&self.file, self.at, self.severity, &self.message)
    }
}

/// The message alone: miette prints place and help itself.
impl fmt::Display for ManifestDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ManifestDiagnostic {}

impl Diagnostic for ManifestDiagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source.named())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(self.label.to_owned()), self.byte_range());
        Some(Box::new(std::iter::once(label)))
    }
}
