//! A manifest that is being written: set a field, take it out again, and have the real parser read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use trueup_manifest::{FileText, parse_file, resolve, to_yaml};
use trueup_types::desired::DesiredApp;
use trueup_types::probe::Check;
use trueup_types::{AppName, TargetSpec, TemplateDigest};

/// What the source holds beside the app: a dependency, and targets to move to.
const BESIDE: &str = "apiVersion: trueup.dev/v1
kind: App
metadata: {name: db}
spec:
  command: [serve]
  rollout: {minHealthy: 1s, bake: 0s}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: spare}
spec: {process: {}}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: keys}
spec: {fromEnv: {KEY: KEY}}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: locks}
spec: {fromEnv: {LOCK: LOCK}}
---
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: quiet}
spec: {process: {}, ingress: none}
";

/// The key that stands for any key of a free map.
const ANY_KEY: &str = "VERSION";

/// A manifest that is being written.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft(Value);

/// What the parser made of all the files.
#[derive(Debug, Clone)]
pub struct Read {
    /// The apps, as a simulated world runs them.
    pub apps: BTreeMap<AppName, Arc<DesiredApp>>,
    /// The targets.
    pub targets: Vec<TargetSpec>,
}

impl Draft {
    /// The manifest that every sequence begins with.
    pub fn base() -> Self {
        Self(json!({
            "apiVersion": "trueup.dev/v1",
            "kind": "App",
            "metadata": {"name": "web"},
            "spec": {
                "command": ["serve"],
                "env": {"VERSION": "1"},
                "ports": [{"name": "http"}],
                "routes": [{"host": "web.example.com"}],
                "replicas": 2,
                "health": [{"name": "ready", "exec": {"command": ["check"]}}],
                "rollout": {"minHealthy": "1s", "bake": "5s", "drain": "1s"},
            },
        }))
    }

    /// With these fields of the spec in place of its own.
    pub fn framed(mut self, frame: &str) -> Self {
        let frame: Map<String, Value> = serde_json::from_str(frame).expect("a frame is a map");
        self.0["spec"].as_object_mut().expect("the spec is a map").extend(frame);
        self
    }

    /// What it says at a path, where it says anything.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut at = &self.0;
        for step in steps(path) {
            at = match step {
                Step::Key(key) => at.get(key)?,
                Step::First => at.get(0)?,
            };
        }
        Some(at)
    }

    /// With a value at a path; what lies on the way is made.
    pub fn with(mut self, path: &str, value: Value) -> Self {
        let mut at = &mut self.0;
        for step in steps(path) {
            match step {
                Step::Key(key) => {
                    if !at.is_object() {
                        *at = json!({});
                    }
                    at = at.as_object_mut().expect("just made").entry(key).or_insert(Value::Null);
                }
                Step::First => {
                    if at.as_array().is_none_or(Vec::is_empty) {
                        *at = json!([null]);
                    }
                    at = at.get_mut(0).expect("just made");
                }
            }
        }
        *at = value;
        self
    }

    /// Without what it says at a path.
    pub fn without(mut self, path: &str) -> Self {
        let mut steps = steps(path);
        let Some(last) = steps.pop() else { return self };
        let mut at = &mut self.0;
        for step in steps {
            let next = match step {
                Step::Key(key) => at.get_mut(key),
                Step::First => at.get_mut(0),
            };
            match next {
                Some(next) => at = next,
                None => return self,
            }
        }
        match last {
            Step::Key(key) => drop(at.as_object_mut().and_then(|map| map.remove(&key))),
            Step::First => drop(at.as_array_mut().filter(|list| !list.is_empty()).map(|list| list.remove(0))),
        }
        self
    }

    /// Its text.
    pub fn text(&self) -> String {
        to_yaml(&self.0)
    }

    /// What the real parser makes of it and of what lies beside it.
    ///
    /// # Errors
    /// Every error, in a line each.
    pub fn read(&self) -> Result<Read, String> {
        let files = [("web.yaml", self.text()), ("beside.yaml", BESIDE.to_owned())];
        let parsed = files.map(|(path, text)| {
            let parsed = parse_file(&FileText { path: path.to_owned(), text: text.into() });
            (path.to_owned(), Arc::new(parsed))
        });
        let resolution = resolve(&BTreeMap::from(parsed), &BTreeMap::new());
        let errors: Vec<_> =
            resolution.diagnostics.iter().filter(|one| one.is_error()).map(|one| one.brief()).collect();
        if !errors.is_empty() {
            return Err(errors.join("; "));
        }
        let apps = resolution.apps.into_iter().map(|(name, app)| (name, Arc::new(simulated(&app.desired))));
        Ok(Read { apps: apps.collect(), targets: resolution.targets.into_values().collect() })
    }
}

/// The same app with each question asked by a command: a simulated world has no network to ask over.
fn simulated(desired: &DesiredApp) -> DesiredApp {
    let mut template = desired.template.as_ref().clone();
    for probe in &mut template.health {
        let question = match &probe.check {
            Check::Exec { .. } => continue,
            Check::Http { path, port, status } => {
                vec!["http".to_owned(), path.clone(), port.to_string(), format!("{status:?}")]
            }
            Check::Tcp { port } => vec!["tcp".to_owned(), port.to_string()],
            Check::Websocket { path, port } => vec!["websocket".to_owned(), path.clone(), port.to_string()],
        };
        probe.check = Check::Exec { command: question };
    }
    let template_digest = TemplateDigest::of(&template);
    let intent =
        DesiredApp::intent_of(template_digest, &desired.policy, &desired.exposure, &desired.placement, desired.prune);
    DesiredApp { template: Arc::new(template), template_digest, intent, ..desired.clone() }
}

enum Step {
    Key(String),
    First,
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let name = part.trim_end_matches("[]");
        let name = if name == "*" { ANY_KEY } else { name };
        steps.push(Step::Key(name.to_owned()));
        steps.extend(part.strip_suffix("[]").map(|_| Step::First));
    }
    steps
}
