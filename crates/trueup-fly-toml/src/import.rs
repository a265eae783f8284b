//! A fly.toml becomes manifests: a target, and an app for each process group.

use crate::groups::{Groups, Names};
use crate::left;
use crate::live::Live;
use crate::page::{self, Field, Yaml};
use crate::reader::{Document, Remark, Section};
use crate::services::Services;
use crate::settings::Reading;

/// The target that imported apps are on.
const TARGET: &str = "fly";
/// The organisation of people who never made one.
const ORGANIZATION: &str = "personal";
/// Where Fly puts what says no region: its own default.
const REGION: &str = "iad";

/// What an import is told besides the text.
pub struct Options<'a> {
    /// The organisation's slug, where somebody says it.
    pub organization: Option<String>,
    /// The image, where somebody says it.
    pub image: Option<String>,
    /// The app's name there, where it is not the fly.toml's.
    pub app: Option<String>,
    /// What is live.
    pub live: Option<Live>,
    /// Reads a file that the fly.toml names.
    pub read: &'a dyn Fn(&str) -> Result<String, String>,
}

/// A manifest, and what its file should be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// As `shop.yaml`.
    pub file: String,
    /// What it holds.
    pub text: String,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The target first, then the apps.
    pub manifests: Vec<Manifest>,
    /// Everything that is not carried over, in the order of the text.
    pub remarks: Vec<Remark>,
}

/// Why a text is no fly.toml.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlyTomlError {
    /// It is no TOML.
    #[error("line {line}: {message}")]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Nobody says what the app is called.
    #[error("it names no `app`; say its name")]
    NoApp,
    /// The name is none.
    #[error("`{0}` is no name of an app: lower-case letters, digits and `-`, at most 63 of them")]
    Name(String),
}

/// Makes manifests of a fly.toml.
///
/// # Errors
/// When the text is no TOML, or has no app.
pub fn import(text: &str, options: &Options<'_>) -> Result<Imported, FlyTomlError> {
    let document =
        Document::parse(text).map_err(|wrong| FlyTomlError::Toml { line: wrong.line, message: wrong.message })?;
    let root = document.root();
    let app = named(&root, options)?;
    let groups = Groups::of(&root);
    let names = Names::of(&app, &groups);
    let mut remarks = Vec::new();
    let region = primary_region(&root, options.live.as_ref(), &mut remarks);
    let importing = Importing { root: &root, options, groups: &groups, names: &names, region: &region, app: &app };
    let image = importing.image(&mut remarks);
    let mut apps = Vec::new();
    for group in groups.in_order() {
        apps.push((names.here(&groups, &group), importing.spec(&group, &image, &mut remarks)));
    }
    remarks.extend(left::remarks(document.left()));
    remarks.extend(importing.beyond());
    remarks.sort();
    remarks.dedup();
    let mut manifests = vec![importing.target()];
    for (index, (name, spec)) in apps.into_iter().enumerate() {
        let below = if index == 0 { said(&remarks) } else { Vec::new() };
        let text = page::document("App", &name, &importing.above(index), &spec, &below);
        manifests.push(Manifest { file: format!("{name}.yaml"), text });
    }
    Ok(Imported { manifests, remarks })
}

/// Remarks for people: neighbours of which the same is to be said are one line.
#[must_use]
pub fn told(remarks: &[Remark]) -> Vec<String> {
    let alike = |one: &Remark, other: &Remark| one.what == other.what && (one.line == 0) == (other.line == 0);
    let line = |group: &[Remark]| {
        let mut keys: Vec<&str> = group.iter().map(|remark| remark.key.as_str()).collect();
        keys.dedup();
        let place = match group {
            [first, .., last] if first.line > 0 => format!("lines {} to {}: ", first.line, last.line),
            [only] if only.line > 0 => format!("line {}: ", only.line),
            [..] => String::new(),
        };
        format!("{place}{}: {}", keys.join(", "), group[0].what)
    };
    remarks.chunk_by(alike).map(line).collect()
}

/// The remarks as comments below the manifest, for whoever lives with it.
fn said(remarks: &[Remark]) -> Vec<String> {
    let mut lines = Vec::new();
    if !remarks.is_empty() {
        lines.push("What became of the rest of fly.toml:".to_owned());
    }
    lines.extend(told(remarks).iter().map(|line| format!("- {line}")));
    lines
}

fn named(root: &Section<'_>, options: &Options<'_>) -> Result<String, FlyTomlError> {
    let written = root.text("app").map(|app| app.value);
    let app = options.app.clone().or(written).filter(|app| !app.is_empty()).ok_or(FlyTomlError::NoApp)?;
    let letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let sound = app.len() <= 63 && app.chars().all(letter) && !app.starts_with('-') && !app.ends_with('-');
    if sound { Ok(app) } else { Err(FlyTomlError::Name(app)) }
}

fn primary_region(root: &Section<'_>, live: Option<&Live>, remarks: &mut Vec<Remark>) -> String {
    if let Some(region) = root.text("primary_region").filter(|region| !region.value.is_empty()) {
        return region.value;
    }
    let first = live.and_then(|live| live.machines.first()).map(|machine| machine.region.clone());
    let region = first.unwrap_or_else(|| REGION.to_owned());
    let what = format!("fly.toml does not say it; `{region}` is written");
    remarks.push(Remark { line: 0, key: "primary_region".to_owned(), what });
    region
}

/// One fly.toml being imported.
struct Importing<'a> {
    root: &'a Section<'a>,
    options: &'a Options<'a>,
    groups: &'a Groups,
    names: &'a Names,
    region: &'a str,
    /// The app's name there.
    app: &'a str,
}

impl Importing<'_> {
    fn live(&self) -> Option<&Live> {
        self.options.live.as_ref()
    }

    fn image(&self, remarks: &mut Vec<Remark>) -> Field {
        let written = self.root.section("build").and_then(|build| build.text("image"));
        if let Some(image) = &self.options.image {
            return Field::new("image", Yaml::text(image.clone()));
        }
        if let Some(image) = written {
            return Field::new("image", Yaml::text(image.value));
        }
        let live = self.live().and_then(|live| live.machines.iter().find_map(|machine| machine.image.clone()));
        if let Some(image) = live {
            return Field::new("image", Yaml::text(image)).note("What its machines run.");
        }
        let image = format!("registry.fly.io/{}:latest", self.app);
        let what =
            format!("fly.toml names none, since flyctl builds it; `{image}` is written: mend it before it is used");
        remarks.push(Remark { line: 0, key: "build.image".to_owned(), what });
        let note = "TO MEND: fly.toml names no image. `fly deploy --build-only --push --image-label v1` makes one.";
        Field::new("image", Yaml::text(image)).note(note)
    }

    fn spec(&self, group: &str, image: &Field, remarks: &mut Vec<Remark>) -> Vec<Field> {
        let mut services = Services::of(self.root, self.groups, group, remarks);
        if self.live().is_some_and(Live::is_private) {
            services.hide();
        }
        let public = services.is_public();
        let mut reading =
            Reading { root: self.root, groups: self.groups, group, live: self.options.live.as_ref(), remarks };
        let mut spec = vec![Field::new("target", Yaml::text(TARGET)), image.clone()];
        spec.extend(reading.words());
        spec.extend(reading.env(self.region));
        spec.extend(reading.files(self.options.read));
        let there = format!("{}{}", self.names.prefix, self.names.here(self.groups, group));
        spec.extend(services.fields(&there, self.live().filter(|_| self.groups.is_default(group))));
        spec.push(self.spread(group, reading.remarks));
        spec.push(reading.resources());
        spec.extend(reading.volumes());
        spec.push(reading.restart(public));
        spec.push(reading.stop());
        spec.extend(reading.hooks());
        spec.extend(reading.rollout());
        spec
    }

    /// How many where: what is live, since a fly.toml does not say.
    fn spread(&self, group: &str, remarks: &mut Vec<Remark>) -> Field {
        let live = self.live().map(|live| live.spread(group)).unwrap_or_default();
        if !live.is_empty() {
            let spread = live.into_iter().map(|(region, count)| (region, Yaml::Number(count))).collect();
            return Field::new("regions", Yaml::Map(spread)).note("As its machines are.");
        }
        let one = Yaml::Map(vec![(self.region.to_owned(), Yaml::Number(1))]);
        let field = Field::new("regions", one);
        if self.live().is_some() {
            let what = format!("no machine of the group `{group}` is live; one is written");
            remarks.push(Remark { line: 0, key: "regions".to_owned(), what });
            return field;
        }
        field.note(
            "fly.toml says no counts: `trueup import --from-live APP` reads those of the machines that there are.",
        )
    }

    fn target(&self) -> Manifest {
        let live = self.live().and_then(|live| live.organization.clone());
        let said = self.options.organization.clone().or(live);
        let organization = Yaml::text(said.clone().unwrap_or_else(|| ORGANIZATION.to_owned()));
        let pattern = Yaml::text(format!("{}{{app}}", self.names.prefix));
        let fly = Yaml::map([
            ("organization", organization),
            ("primaryRegion", Yaml::text(self.region)),
            ("appName", pattern),
        ]);
        let mut field = Field::new("fly", fly);
        if said.is_none() {
            field = field.note("fly.toml does not say the organisation.");
        }
        let above = [
            "The apps keep their names there. What flyctl made carries none of trueup's labels: it is never touched, and is \
             yours to destroy once trueup's own machines serve."
                .to_owned(),
            "The token is FLY_API_TOKEN of the daemon's environment.".to_owned(),
        ];
        Manifest { file: format!("{TARGET}.yaml"), text: page::document("Target", TARGET, &above, &[field], &[]) }
    }

    fn above(&self, index: usize) -> Vec<String> {
        let group = self.groups.in_order().get(index).cloned().unwrap_or_default();
        if self.groups.are_several() {
            vec![format!("The process group `{group}` of the fly.toml of `{}`.", self.app)]
        } else {
            vec![format!("The fly.toml of `{}`.", self.app)]
        }
    }

    /// What is about no key of the text.
    fn beyond(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let mut say = |key: &str, what: String| remarks.push(Remark { line: 0, key: key.to_owned(), what });
        if self.groups.are_several() {
            let names: Vec<_> =
                self.groups.in_order().iter().map(|group| self.names.here(self.groups, group)).collect();
            let what = format!(
                "each group is an app of its own, there too: {}; secrets are set for each app",
                names.join(", ")
            );
            say("processes", what);
        }
        if let Some(live) = self.live() {
            if live.is_private() {
                let what = format!(
                    "are private alone, which routes do not serve: none is written, nor what limits and sleep come with \
                     them; its machines answer at {}.internal",
                    self.app
                );
                say("addresses", what);
            }
            if !live.secrets.is_empty() {
                say("secrets", format!("stay with the app there, and reach its machines: {}", live.secrets.join(", ")));
            }
            for address in live.addresses.iter().filter(|address| address.is_dedicated_v4()) {
                say("addresses", format!("{} is the app's own and paid for; routes do with a shared one", address.ip));
            }
            for host in live.hosts.iter().filter(|host| host.contains('*')) {
                say("certificates", format!("{host}: a route names one host"));
            }
        } else {
            say("secrets", "are in no fly.toml; those of the app stay with it there".to_owned());
        }
        remarks
    }
}
