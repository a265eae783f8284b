//! Collects what lowering finds wrong, and points at the right place for it.
//!
//! What stands in the app's own text is marked there; what comes from its profile is marked at `profile`, and says so.

use crate::diagnostic::Finding;
use crate::node::View;
use crate::parse::Document;
use crate::text::Span;

pub(super) struct Notes<'a> {
    findings: Vec<Finding>,
    /// Where errors about absent things point: the key `spec`.
    spec_at: Span,
    profile: Option<(&'a str, Span)>,
    meant: &'a [&'static str],
}

impl<'a> Notes<'a> {
    pub(super) fn new(document: &'a Document, spec: View<'a>, profile: Option<&'a str>) -> Self {
        let spec_at = spec.key_span().unwrap_or(document.root.at);
        let profile = profile.map(|name| (name, spec.get("profile").span().unwrap_or(spec_at)));
        Self { findings: Vec::new(), spec_at, profile, meant: &document.meant }
    }

    pub(super) fn finish(self) -> Vec<Finding> {
        self.findings
    }

    /// Where a value is said: in the app's own text, or by its profile.
    pub(super) fn place(&self, view: View<'_>) -> Span {
        view.span().or(self.profile.map(|(_, at)| at)).unwrap_or(self.spec_at)
    }

    /// Notes an error about a value.
    pub(super) fn error(
        &mut self,
        view: View<'_>,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.note(view.span(), view.is_absent(), code, message.into(), help.into());
    }

    /// Notes an error about a field as such.
    pub(super) fn error_at_key(
        &mut self,
        view: View<'_>,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.note(view.key_span(), view.is_absent(), code, message.into(), help.into());
    }

    /// Notes that a field is missing, unless a mistyped key was meant to be it.
    pub(super) fn missing(
        &mut self,
        field: &'static str,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if !self.meant.contains(&field) {
            self.note(None, true, code, message.into(), help.into());
        }
    }

    pub(super) fn warn_without_probes(&mut self) {
        let message = "the app has no probes: it counts as healthy once it has run unbroken for `minHealthy`";
        let help = "add `health`, or use a profile that has it";
        if !self.meant.contains(&"health") {
            self.findings.push(Finding::warning("manifest::health::none", self.spec_at, message).help(help));
        }
    }

    fn note(&mut self, own: Option<Span>, absent: bool, code: &'static str, message: String, help: String) {
        let (at, message) = match (own, self.profile) {
            (Some(at), _) => (at, message),
            (None, Some((name, at))) if !absent => (at, format!("{message} (profile `{name}` sets it)")),
            (None, Some(_) | None) => (self.spec_at, message),
        };
        self.findings.push(Finding::error(code, at, message).help(help));
    }
}
