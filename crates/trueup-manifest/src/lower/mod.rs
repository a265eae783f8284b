//! From a checked document to a [`DesiredApp`]: every default applied, and what fields must satisfy together.
//!
//! Reads the app's spec laid over its profile's. A field that `check` has refused is skipped here without a word, so
//! that one mistake is one message. Knows the app's own target and profile, and no other app.

mod analysis;
mod exposure;
mod health;
mod machine;
mod notes;
mod placement;
mod policy;
mod read;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_types::desired::{DesiredApp, Inputs, Prune};
use trueup_types::release::Origin;
use trueup_types::target::IngressKind;
use trueup_types::template::Exclusive;
use trueup_types::{AppName, Label, TargetKind, TargetSpec, TemplateDigest};

use crate::diagnostic::{Finding, ManifestDiagnostic};
use crate::node::{Node, View};
use crate::parse::Document;
use crate::suggest;
use crate::text::{Source, Span};
use notes::Notes;

/// What an app is lowered with.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// The profile's name and document.
    pub profile: Option<(String, Arc<Node>)>,
    /// Where it runs.
    pub target: TargetSpec,
}

impl Setting {
    fn is_same(&self, other: &Self) -> bool {
        let profile = match (&self.profile, &other.profile) {
            (Some((name, spec)), Some((other_name, other_spec))) => {
                name == other_name && (Arc::ptr_eq(spec, other_spec) || spec == other_spec)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        profile && self.target == other.target
    }
}

/// A lowering and what it was made with.
#[derive(Debug)]
pub(crate) struct Kept {
    setting: Setting,
    lowered: Arc<Lowered>,
}

/// What became of one app's document, before other apps are looked at.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// `None` when there was an error.
    pub desired: Option<Arc<DesiredApp>>,
    pub diagnostics: Vec<ManifestDiagnostic>,
    /// Each dependency and where it is written.
    pub depends_on: Vec<(AppName, Span)>,
    /// Each secret and where it is asked for.
    pub secrets: Vec<(Label, Span)>,
    /// Where each route of `desired` is written, in its order.
    pub routes: Vec<Span>,
}

/// Lowers an app, or hands out what was made of it with the same setting.
pub(crate) fn app(document: &Document, source: &Arc<Source>, setting: &Setting) -> Arc<Lowered> {
    // A lock that a panic has poisoned still holds a whole value or none.
    let mut kept = document.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(kept) = kept.as_ref().filter(|kept| kept.setting.is_same(setting)) {
        return kept.lowered.clone();
    }
    let lowered = Arc::new(lower(document, source, setting));
    *kept = Some(Kept { setting: setting.clone(), lowered: lowered.clone() });
    lowered
}

fn lower(document: &Document, source: &Arc<Source>, setting: &Setting) -> Lowered {
    let metadata = View::new(document.root.entry("metadata"), None);
    let profile = setting.profile.as_ref();
    let spec = View::new(document.root.entry("spec"), profile.map(|(_, spec)| &**spec));
    let mut notes = Notes::new(document, spec, profile.map(|(name, _)| name.as_str()));

    let template = template::lower(spec, &setting.target, &mut notes);
    let exclusive = template.exclusive(&setting.target.kind).map(|why| spell(&why));
    let name = document.name().and_then(|(name, _)| AppName::new(name).ok());
    if let (Some(name), TargetKind::Fly(target)) = (&name, &setting.target.kind) {
        machine::named(metadata.get("name"), name, target, &mut notes);
    }
    let labels = labels(metadata.get("labels"));
    let of = exposure::Of { app: name.as_ref(), target: &setting.target, labels: &labels };
    let (exposure, routes) = exposure::lower(spec, &template.ports, of, &mut notes);
    let placement = placement::lower(spec, &setting.target, &mut notes);
    let replicas = placement.spread.values().sum();
    placement::sharing(spec, template.exclusive(&setting.target.kind), replicas, &mut notes);
    let standing = policy::Standing { exclusive, unweighed: unweighed(&setting.target), replicas };
    let (policy, depends_on) = policy::lower(spec, &standing, &mut notes);
    // One that has ended on Fly is woken by whoever asks next.
    if !matches!(setting.target.kind, TargetKind::Fly(_)) {
        policy::restart_beside_routes(spec, &template.restart, &mut notes);
    }
    let secrets = template::secrets(spec.get("envFrom"), &mut notes);
    let prune = prune(metadata, &mut notes);
    if template.health.is_empty() && spec.get("health").items().next().is_none() {
        notes.warn_without_probes();
    }

    let desired = name.map(|name| {
        let template_digest = TemplateDigest::of(&template);
        let intent = DesiredApp::intent_of(template_digest, &policy, &exposure, &placement, prune);
        let origin = Origin { file: Some(source.path().to_owned()), ..Origin::default() };
        let (template, inputs) = (Arc::new(template), Inputs::default());
        DesiredApp {
            name,
            intent,
            template,
            template_digest,
            policy,
            exposure,
            placement,
            inputs,
            prune,
            labels,
            origin,
        }
    });
    if let Some(desired) = &desired {
        unserved(spec, desired, &setting.target, &mut notes);
    }
    let findings = notes.finish();
    let sound = !document.broken && !findings.iter().any(|finding| finding.severity == crate::Severity::Error);
    Lowered {
        desired: desired.filter(|_| sound).map(Arc::new),
        diagnostics: findings.into_iter().map(|finding| finding.within(source)).collect(),
        depends_on,
        secrets,
        routes,
    }
}

/// Why a share of the traffic cannot be sent to some instances, where it cannot.
fn unweighed(target: &TargetSpec) -> Option<&'static str> {
    let platform = target.ingress == IngressKind::Platform;
    platform.then_some("its platform sends as much to each instance as to any other")
}

/// Why two instances cannot stand side by side, for people.
fn spell(why: &Exclusive) -> String {
    match why {
        Exclusive::Volume(name) => format!("the volume `{name}` has one owner at a time"),
        Exclusive::HostPort(port) => format!("the host port {port} has one listener at a time"),
    }
}

/// A field that the target does not serve is an error by name, never ignored.
fn unserved(spec: View<'_>, app: &DesiredApp, target: &TargetSpec, notes: &mut Notes<'_>) {
    for field in target.kind.unserved(app) {
        // `rollout.strategy: canary` names a value of a field.
        let path = field.split(':').next().unwrap_or(field);
        let view = spec.at_path(path);
        let help = match view.span() {
            Some(_) => format!("remove it, or choose another target than `{}`", target.name),
            None => format!("write `{path}: null` to do without it, or choose another target than `{}`", target.name),
        };
        let message = format!("`{field}` is not served by {} targets", target.kind);
        notes.error_at_key(view, "manifest::unserved", message, help);
    }
}

/// The annotation that decides what becomes of a removed app.
const PRUNE: &str = "trueup.dev/prune";

fn prune(metadata: View<'_>, notes: &mut Notes<'_>) -> Prune {
    let annotations = metadata.get("annotations");
    for (key, view) in annotations.entries() {
        if key.starts_with("trueup.dev/") && key != PRUNE {
            let message = format!("there is no annotation `{}`", crate::node::cut(key));
            notes.error_at_key(view, "manifest::annotation", message, suggest::remedy(key, [PRUNE]));
        }
    }
    let prune = annotations.get(PRUNE);
    match prune.node().and_then(Node::text) {
        Some("false") => Prune::Orphan,
        Some("true") | None => Prune::Delete,
        Some(other) => {
            let message = format!("`{PRUNE}` is `{}`", crate::node::cut(other));
            notes.error(prune, "manifest::annotation", message, "write `\"true\"` or `\"false\"`");
            Prune::Delete
        }
    }
}

fn labels(view: View<'_>) -> BTreeMap<String, String> {
    let text = |(key, view): (&str, View<'_>)| Some((key.to_owned(), view.node()?.text()?.to_owned()));
    view.entries().filter_map(text).collect()
}

/// An error for the caller of `app` to place: the app's target or profile is not there.
pub(crate) fn reference(document: &Document, field: &str, message: String, help: String) -> Finding {
    let at = document.spec().and_then(|spec| spec.entry(field)).map(|entry| entry.node.at).unwrap_or_default();
    Finding::error("manifest::reference", at, message).help(help)
}
