//! All files together: apps with their targets and profiles, and what apps must not share.
//!
//! Takes parsed files and hands out desired apps. An app with an error is left out, and its file says why; keeping its
//! last good version is the source's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trueup_types::desired::DesiredApp;
use trueup_types::docker::RegistrySpec;
use trueup_types::secret::SecretSpec;
use trueup_types::{AppName, Label, TargetKind, TargetName, TargetSpec};

use crate::diagnostic::{Finding, ManifestDiagnostic};
use crate::graph::{Waits, circles};
use crate::kind::{Kind, registry, secret, target};
use crate::lower::{self, Lowered, Setting};
use crate::node::Node;
use crate::parse::{Document, ParsedFile};
use crate::profiles::{builtin_profiles, builtin_specs};
use crate::suggest;
use crate::text::Span;

/// Most unknown names that are compared with all known ones, since each comparison walks over all apps.
const GUESSES_MAX: usize = 20;

/// What all files say together.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// The apps without an error.
    pub apps: BTreeMap<AppName, ResolvedApp>,
    /// The targets without an error; `local` is always there.
    pub targets: BTreeMap<TargetName, TargetSpec>,
    /// The secrets without an error.
    pub secrets: BTreeMap<Label, SecretSpec>,
    /// The profiles without an error, the built-in ones among them.
    pub profiles: BTreeMap<String, Profile>,
    /// Every error of every file, by file and place; the warnings of an app that is taken are with the app.
    pub diagnostics: Vec<ManifestDiagnostic>,
    /// By file: the apps that it seems to be about, also where it is broken.
    pub claims: BTreeMap<String, Vec<AppName>>,
}

/// An app with every default applied.
#[derive(Debug, Clone)]
pub struct ResolvedApp {
    /// What is wanted.
    pub desired: Arc<DesiredApp>,
    /// The file it stands in.
    pub file: String,
    /// What someone should look at, though it is taken.
    pub warnings: Vec<ManifestDiagnostic>,
}

/// A profile that apps may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The file it stands in; `None` for a built-in one.
    pub file: Option<String>,
    /// Its manifest.
    pub text: String,
}

/// Resolves all files together.
///
/// `holders` says which app holds each route (`host/path`) in the world: where two apps claim one route, the holder
/// keeps it and the other has the error. The files may be shared between calls, which makes all but the first cheap.
#[must_use]
pub fn resolve(files: &BTreeMap<String, Arc<ParsedFile>>, holders: &BTreeMap<String, AppName>) -> Resolution {
    let mut resolving = Resolving::default();
    for file in files.values() {
        resolving.out.diagnostics.extend_from_slice(file.diagnostics());
        resolving.out.claims.insert(file.path().to_owned(), file.claims().to_vec());
    }
    resolving.targets(files);
    resolving.registries(files);
    resolving.profiles(files);
    resolving.secrets(files);
    let mut apps = resolving.apps(files);
    resolving.ask_secrets(&mut apps);
    resolving.dependencies(&mut apps);
    resolving.routes(&mut apps, holders);
    resolving.finish(apps)
}

type Files = BTreeMap<String, Arc<ParsedFile>>;

/// What is gathered on the way.
#[derive(Default)]
struct Resolving {
    out: Resolution,
    /// Names of targets, profiles and secrets that are there but wrong.
    wrong_targets: BTreeSet<String>,
    wrong_profiles: BTreeSet<String>,
    wrong_secrets: BTreeSet<String>,
    specs: BTreeMap<String, Arc<Node>>,
}

/// An app on its way out.
struct Candidate<'a> {
    file: &'a ParsedFile,
    lowered: Arc<Lowered>,
    desired: Arc<DesiredApp>,
    refused: bool,
}

fn documents(files: &Files, kind: Kind) -> impl Iterator<Item = (&ParsedFile, &Document)> {
    files
        .values()
        .flat_map(|file| file.documents.iter().map(move |document| (&**file, document)))
        .filter(move |(_, d)| d.kind == kind)
}

/// By name: where it stands; more than one place is an error.
type Named<'a> = BTreeMap<&'a str, Vec<(&'a ParsedFile, &'a Document, Span)>>;

impl Resolving {
    fn say(&mut self, file: &ParsedFile, finding: Finding) {
        self.out.diagnostics.push(finding.within(&file.source));
    }

    /// Gathers the documents of a kind by name; a name that stands twice is an error at each place.
    fn named<'a>(&mut self, files: &'a Files, kind: Kind) -> Named<'a> {
        let mut named: Named<'a> = BTreeMap::new();
        for (file, document) in documents(files, kind) {
            if let Some((name, at)) = document.name() {
                named.entry(name).or_default().push((file, document, at));
            }
        }
        for (name, places) in named.iter().filter(|(_, places)| places.len() > 1) {
            for (index, (file, _, at)) in places.iter().enumerate() {
                let (other, _, other_at) = &places[usize::from(index == 0)];
                let (line, _) = other.source.position(other_at.start);
                let message = format!("the {} `{name}` stands in {}:{line} as well", kind.as_str(), other.path());
                let finding = Finding::error("manifest::name::duplicate", *at, message);
                self.say(file, finding.help("rename or remove one: neither is taken, and what runs is kept"));
            }
        }
        named
    }

    fn targets(&mut self, files: &Files) {
        let local = TargetSpec::local();
        self.out.targets.insert(local.name.clone(), local);
        for (name, places) in self.named(files, Kind::Target) {
            let mut findings = Vec::new();
            let (file, document, at) = places[0];
            match target::lower(&document.root, at, &mut findings) {
                Some(spec) if places.len() == 1 && !document.broken => {
                    self.out.targets.insert(spec.name.clone(), spec);
                }
                Some(_) | None => {
                    self.wrong_targets.insert(name.to_owned());
                }
            }
            findings.into_iter().for_each(|finding| self.say(file, finding));
        }
    }

    /// Tells every target of containers who asks which registry. A `Registry` that is wrong makes no target wrong: what
    /// runs needs none.
    fn registries(&mut self, files: &Files) {
        let mut all: Vec<RegistrySpec> = Vec::new();
        for (_, places) in self.named(files, Kind::Registry) {
            let mut findings = Vec::new();
            let (file, document, at) = places[0];
            let lowered = registry::lower(&document.root, &mut findings).filter(|_| places.len() == 1);
            if let Some(spec) = lowered.filter(|_| !document.broken) {
                match all.iter().find(|other| other.host == spec.host) {
                    Some(other) => {
                        let message = format!("the registry `{}` is told of {} as well", other.name, spec.host);
                        let finding = Finding::error("manifest::registry::host", at, message);
                        findings.push(finding.help("keep one of them: a registry is asked by one user"));
                    }
                    None => all.push(spec),
                }
            }
            findings.into_iter().for_each(|finding| self.say(file, finding));
        }
        for target in self.out.targets.values_mut() {
            if let TargetKind::Docker(settings) = &mut target.kind {
                settings.registries.clone_from(&all);
            }
        }
    }

    fn secrets(&mut self, files: &Files) {
        for (name, places) in self.named(files, Kind::Secret) {
            let mut findings = Vec::new();
            let (file, document, at) = places[0];
            match secret::lower(&document.root, at, &mut findings) {
                Some(spec) if places.len() == 1 && !document.broken => {
                    self.out.secrets.insert(spec.name.clone(), spec);
                }
                Some(_) | None => {
                    self.wrong_secrets.insert(name.to_owned());
                }
            }
            findings.into_iter().for_each(|finding| self.say(file, finding));
        }
    }

    /// Refuses apps that ask for a secret which nobody has, or which is wrong.
    fn ask_secrets(&mut self, apps: &mut BTreeMap<AppName, Candidate<'_>>) {
        for app in apps.values_mut() {
            for (name, at) in &app.lowered.secrets {
                let (message, help) = if self.wrong_secrets.contains(name.as_str()) {
                    (format!("the secret `{name}` has errors"), "mend the secret first".to_owned())
                } else if self.out.secrets.contains_key(name.as_str()) {
                    continue;
                } else {
                    let near = suggest::nearest(name.as_str(), self.out.secrets.keys().map(Label::as_str));
                    let add = || format!("add a manifest of `kind: Secret` with `metadata: {{name: {name}}}`");
                    let help = near.map_or_else(add, |near| format!("did you mean `{near}`?"));
                    (format!("there is no secret `{name}`"), help)
                };
                app.refused = true;
                let finding = Finding::error("manifest::reference", *at, message).help(help);
                self.out.diagnostics.push(finding.within(&app.file.source));
            }
        }
    }

    fn profiles(&mut self, files: &Files) {
        for (name, text) in builtin_profiles() {
            self.out.profiles.insert(name, Profile { file: None, text });
        }
        self.specs = builtin_specs().iter().map(|(name, spec)| ((*name).to_owned(), spec.clone())).collect();
        for (name, places) in self.named(files, Kind::Profile) {
            let (file, document, _) = places[0];
            let nested = document.spec().and_then(|spec| spec.entry("profile"));
            if let Some(nested) = nested {
                let finding = Finding::error(
                    "manifest::profile::nested",
                    nested.key_at,
                    "a profile cannot have a profile of its own",
                );
                self.say(file, finding.help("write out what the other one says"));
            }
            let Some(spec) = document.spec() else { continue };
            if places.len() > 1 || document.broken || nested.is_some() {
                self.wrong_profiles.insert(name.to_owned());
                continue;
            }
            self.specs.insert(name.to_owned(), Arc::new(spec.clone()));
            let text = file.source.text();
            let text = text.get(document.root.at.start as usize..document.root.at.end as usize).unwrap_or_default();
            self.out
                .profiles
                .insert(name.to_owned(), Profile { file: Some(file.path().to_owned()), text: format!("{text}\n") });
        }
    }

    fn apps<'a>(&mut self, files: &'a Files) -> BTreeMap<AppName, Candidate<'a>> {
        let mut apps = BTreeMap::new();
        for (_, places) in self.named(files, Kind::App) {
            for (file, document, _) in &places {
                let Some(lowered) = self.lowered(file, document) else { continue };
                match lowered.desired.clone().filter(|_| places.len() == 1) {
                    Some(desired) => {
                        apps.insert(desired.name.clone(), Candidate { file, lowered, desired, refused: false });
                    }
                    None => self.out.diagnostics.extend_from_slice(&lowered.diagnostics),
                }
            }
        }
        apps
    }

    /// The app with its target and profile; `None` when one of them is missing.
    fn lowered(&mut self, file: &ParsedFile, document: &Document) -> Option<Arc<Lowered>> {
        let profile = self.profile_of(document).map_err(|finding| self.say(file, finding));
        let named = profile.as_ref().ok().and_then(Option::as_ref).map(|(_, spec)| &**spec);
        let target = self.target_of(document, named).map_err(|finding| self.say(file, finding));
        let setting = Setting { profile: profile.ok()?, target: target.ok()? };
        Some(lower::app(document, &file.source, &setting))
    }

    fn profile_of(&self, document: &Document) -> Result<Option<(String, Arc<Node>)>, Finding> {
        let name = document.spec().and_then(|spec| spec.entry("profile")).and_then(|entry| entry.node.text());
        let Some(name) = name else { return Ok(None) };
        if self.wrong_profiles.contains(name) {
            let message = format!("the profile `{name}` has errors");
            return Err(lower::reference(document, "profile", message, "mend the profile first".to_owned()));
        }
        match self.specs.get(name) {
            Some(spec) => Ok(Some((name.to_owned(), spec.clone()))),
            None => {
                let help = suggest::remedy(name, self.specs.keys().map(String::as_str));
                Err(lower::reference(document, "profile", format!("there is no profile `{name}`"), help))
            }
        }
    }

    fn target_of(&self, document: &Document, profile: Option<&Node>) -> Result<TargetSpec, Finding> {
        let of = |spec: Option<&Node>| spec.and_then(|spec| spec.entry("target")?.node.text().map(str::to_owned));
        let name = of(document.spec()).or_else(|| of(profile)).unwrap_or_else(|| TargetName::local().to_string());
        if self.wrong_targets.contains(&name) {
            let message = format!("the target `{name}` has errors");
            return Err(lower::reference(document, "target", message, "mend the target first".to_owned()));
        }
        self.out.targets.get(name.as_str()).cloned().ok_or_else(|| {
            let help = suggest::remedy(&name, self.out.targets.keys().map(TargetName::as_str));
            lower::reference(document, "target", format!("there is no target `{name}`"), help)
        })
    }

    /// Refuses apps that wait for nobody's app, or for themselves.
    fn dependencies(&mut self, apps: &mut BTreeMap<AppName, Candidate<'_>>) {
        // An app that is there but broken is no unknown one.
        let known: BTreeSet<AppName> = self.out.claims.values().flatten().cloned().collect();
        let waits: Waits<'_> =
            apps.iter().map(|(name, app)| (name, app.desired.policy.depends_on.iter().collect())).collect();
        let mut refused = Vec::new();
        let circles = circles(&waits);
        for (name, app) in apps.iter() {
            for (other, at) in &app.lowered.depends_on {
                if !known.contains(other) {
                    let guess = refused.len() < GUESSES_MAX;
                    let near =
                        guess.then(|| suggest::nearest(other.as_str(), known.iter().map(AppName::as_str))).flatten();
                    let help = near.map_or_else(
                        || "add its manifest, or remove the dependency".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let finding =
                        Finding::error("manifest::depends::unknown", *at, format!("there is no app `{other}`"));
                    refused.push((name.clone(), app.file, finding.help(help)));
                }
            }
            let Some(circle) = circles.get(name) else { continue };
            let within = |(other, _): &&(AppName, Span)| circles.get(other) == Some(circle);
            let at = app.lowered.depends_on.iter().find(within).map(|(_, at)| *at).unwrap_or_default();
            let finding =
                Finding::error("manifest::depends::circle", at, format!("`{name}` waits for itself: {circle}"));
            refused.push((name.clone(), app.file, finding.help("remove one of these dependencies")));
        }
        for (name, file, finding) in refused {
            self.say(file, finding);
            apps.entry(name).and_modify(|app| app.refused = true);
        }
    }

    /// Refuses apps that claim another's route.
    fn routes(&mut self, apps: &mut BTreeMap<AppName, Candidate<'_>>, holders: &BTreeMap<String, AppName>) {
        let mut claims: BTreeMap<(&str, &str), Vec<(&AppName, Span)>> = BTreeMap::new();
        for (name, app) in apps.iter() {
            for (route, at) in app.desired.exposure.routes.iter().zip(&app.lowered.routes) {
                claims.entry(route.key()).or_default().push((name, *at));
            }
        }
        let mut refused = Vec::new();
        for ((host, path), claimants) in claims.iter().filter(|(_, claimants)| claimants.len() > 1) {
            let route = format!("{host}{path}");
            let holder = holders.get(&route).filter(|holder| claimants.iter().any(|(name, _)| name == holder));
            // With no holder the first by name keeps it: any rule will do that stays the same.
            let keeper = holder.unwrap_or(claimants[0].0);
            for (name, at) in claimants.iter().filter(|(name, _)| *name != keeper) {
                let message = format!("the route {route} belongs to the app `{keeper}`");
                let finding = Finding::error("manifest::routes::taken", *at, message);
                refused.push((
                    (*name).clone(),
                    finding.help("choose another host or path, or remove the other route first"),
                ));
            }
        }
        for (name, finding) in refused {
            if let Some(app) = apps.get_mut(&name) {
                app.refused = true;
                self.out.diagnostics.push(finding.within(&app.file.source));
            }
        }
    }

    fn finish(mut self, apps: BTreeMap<AppName, Candidate<'_>>) -> Resolution {
        let sound = apps.into_iter().filter(|(_, app)| !app.refused);
        self.out.apps = sound
            .map(|(name, app)| {
                let warnings = app.lowered.diagnostics.clone();
                (name, ResolvedApp { desired: app.desired, file: app.file.path().to_owned(), warnings })
            })
            .collect();
        self.out.diagnostics.sort_by(|one, other| one.order().cmp(&other.order()));
        self.out
    }
}
