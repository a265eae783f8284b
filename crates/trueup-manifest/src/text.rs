//! A file's text, and where in it something stands.
//!
//! The caller hands over path and text; everything else speaks of byte ranges, which become line and column here.

use std::sync::Arc;

use miette::NamedSource;

/// One file of manifests, as the source read it.
#[derive(Debug, Clone)]
pub struct FileText {
    /// Relative to the source root; used in messages only.
    pub path: String,
    /// All of it.
    pub text: Arc<str>,
}

/// A range of bytes in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(start), end: narrow(end.max(start)) }
    }
}

/// A text with its name and its lines, shared by all diagnostics that point into it.
#[derive(Debug)]
pub(crate) struct Source {
    named: NamedSource<Arc<str>>,
    line_starts: Vec<u32>,
}

impl Source {
    pub(crate) fn new(file: &FileText) -> Self {
        let breaks = file.text.bytes().zip(1..).filter_map(|(byte, next)| (byte == b'\n').then_some(next));
        Self {
            line_starts: std::iter::once(0).chain(breaks).collect(),
            named: NamedSource::new(&file.path, file.text.clone()).with_language("yaml"),
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.named.name()
    }

    pub(crate) fn text(&self) -> &str {
        self.named.inner()
    }

    pub(crate) fn named(&self) -> &NamedSource<Arc<str>> {
        &self.named
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub(crate) fn position(&self, offset: u32) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0) as usize;
        let before = self.text().get(start..offset as usize).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source::new(&FileText { path: "a.yaml".to_owned(), text: "ä: ö\nb: c\n".into() });
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(4), (1, 4), "an umlaut is two bytes and one column");
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(12), (3, 1));
    }
}
