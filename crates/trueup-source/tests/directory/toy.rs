//! Manifests of one line each, and who reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trueup_source::{FileOutcome, Reader, Resolved};
use trueup_types::desired::{DesiredApp, Inputs, Placement, Prune};
use trueup_types::exposure::{Exposure, Route, Tls};
use trueup_types::policy::{History, Policy, RevertMode, Strategy};
use trueup_types::release::Origin;
use trueup_types::secret::{SecretFrom, SecretSpec};
use trueup_types::template::{Build, EnvFrom};
use trueup_types::{
    AppName, IntentDigest, Label, Percent, Place, PortName, Quantity, TargetName, Template, TemplateDigest,
};

/// Reads lines: `app NAME COMMAND [HOST/PATH]`, `built NAME FOLDER`, `asks NAME SECRET`, `secret NAME FILE`, `prints NAME
/// FILE`, `profile NAME`, `uses PROFILE`, and `only THING`, which is an error of every file that holds it when two do;
/// anything else is an error.
#[derive(Default)]
pub struct Toy {
    pub calls: AtomicUsize,
}

impl Reader for Toy {
    fn resolve(&self, files: &BTreeMap<String, Arc<str>>) -> Resolved {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let lines = |text: &Arc<str>| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let profiles: BTreeSet<String> = files
            .values()
            .flat_map(lines)
            .filter_map(|line| line.strip_prefix("profile ").map(str::to_owned))
            .collect();
        let mut resolved = Resolved::default();
        for (file, text) in files {
            let mut outcome = FileOutcome::default();
            for line in text.lines().filter(|line| !line.is_empty()) {
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["app", name, command] => outcome.apps.push(desired(name, command, None)),
                    ["app", name, command, route] => outcome.apps.push(desired(name, command, Some(route))),
                    ["asks", name, secret] => outcome.apps.push(asking(name, secret)),
                    ["secret", name, file] => {
                        let spec = secret(name, SecretFrom::File(file.to_owned()));
                        resolved.secrets.insert(spec.name.clone(), spec);
                    }
                    ["prints", name, file] => {
                        let spec = secret(name, SecretFrom::Exec(vec!["cat".to_owned(), file.to_owned()]));
                        resolved.secrets.insert(spec.name.clone(), spec);
                    }
                    ["built", name, context] => outcome.apps.push(built(name, context)),
                    ["profile", _] => {}
                    ["only", _]
                        if files.values().filter(|text| text.lines().any(|other| other == line)).count() > 1 =>
                    {
                        outcome.errors.push(format!("{line} stands twice"));
                    }
                    ["only", _] => {}
                    ["uses", profile] if profiles.contains(profile) => {}
                    ["uses", profile] => outcome.errors.push(format!("no profile `{profile}`\nsecond line")),
                    _ => outcome.errors.push(format!("`{line}` is nothing\nsecond line")),
                }
            }
            outcome.claims = outcome.apps.iter().map(|app| app.name.clone()).collect();
            resolved.files.insert(file.clone(), outcome);
        }
        resolved
    }
}

fn secret(name: &str, from: SecretFrom) -> SecretSpec {
    SecretSpec { name: Label::new(name).expect("a label"), from }
}

/// An app that asks for a secret.
fn asking(app: &str, secret: &str) -> Arc<DesiredApp> {
    let mut made = DesiredApp::clone(&desired(app, "serve", None));
    let asked = EnvFrom { secret: Label::new(secret).expect("a label") };
    let template = Template { env_from: vec![asked], ..Template::clone(&made.template) };
    made.template_digest = TemplateDigest::of(&template);
    made.template = Arc::new(template);
    Arc::new(made)
}

/// An app whose image is built of a folder.
fn built(app: &str, context: &str) -> Arc<DesiredApp> {
    let mut made = DesiredApp::clone(&desired(app, context, None));
    let build = Build { context: context.to_owned(), dockerfile: None, args: BTreeMap::new(), target: None };
    let template = Template { build: Some(build), ..Template::default() };
    made.template_digest = TemplateDigest::of(&template);
    made.template = Arc::new(template);
    Arc::new(made)
}

pub fn desired(app: &str, command: &str, route: Option<&str>) -> Arc<DesiredApp> {
    let template = Arc::new(Template { command: vec![command.to_owned()], ..Template::default() });
    let route = route.and_then(|route| route.split_once('/')).map(|(host, path)| Route {
        host: host.to_owned(),
        path: format!("/{path}"),
        port: PortName::new("http").expect("a label"),
        tls: Tls::Off,
    });
    let wait = Duration::from_secs(1);
    let policy = Policy {
        strategy: Strategy::Rolling,
        stop_first: None,
        max_surge: Quantity::Share(Percent::ALL),
        max_unavailable: Quantity::Count(0),
        min_healthy: wait,
        healthy_deadline: wait,
        progress_deadline: wait,
        bake: wait,
        drain: wait,
        revert: RevertMode::Auto,
        steps: Vec::new(),
        by_count: None,
        windows: Vec::new(),
        depends_on: BTreeSet::new(),
        history: History { limit: 10, keep_for: wait },
        suspend: false,
    };
    Arc::new(DesiredApp {
        name: name(app),
        intent: IntentDigest::of(&(command, &route)),
        template_digest: TemplateDigest::of(template.as_ref()),
        template,
        policy,
        exposure: Exposure { routes: route.into_iter().collect() },
        placement: Placement { target: TargetName::local(), spread: [(Place::here(), 1)].into() },
        inputs: Inputs::default(),
        prune: Prune::Delete,
        labels: BTreeMap::new(),
        origin: Origin::default(),
    })
}

pub fn name(text: &str) -> AppName {
    AppName::new(text).expect("a label")
}
