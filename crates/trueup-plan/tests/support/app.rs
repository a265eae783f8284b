//! Reads a wanted app from words: `2×v2 rolling surge 1 bake 60s`.
//!
//! It is a web app at `web.localhost`, blueGreen with the default policy, unless the words say otherwise. A version is
//! `v1`, `v2`, …; `v2+admin` has a second port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use trueup_types::analysis::{Analysis, Ask};
use trueup_types::desired::{DesiredApp, Inputs, Placement, Prune};
use trueup_types::exposure::{Exposure, Route, Tls};
use trueup_types::policy::{CanaryStep, History, Policy, RevertMode, Strategy};
use trueup_types::release::Origin;
use trueup_types::template::{Hook, Hooks, Port, Protocol, RestartPolicy, Template};
use trueup_types::{
    AppName, InstanceId, Label, Ordinal, Percent, Place, PortName, Quantity, Release, Revision, TargetName,
    TemplateDigest,
};

/// The one app of every world here.
pub fn web() -> AppName {
    AppName::new("web").expect("a literal name")
}

/// The instance `web-rR-O`.
pub fn id(revision: Revision, ordinal: u32) -> InstanceId {
    InstanceId::new(&web(), revision, Ordinal(ordinal))
}

/// Reads `5s`, `250ms`, `10m`, `1h`.
pub fn wait(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(60 * number)),
        "h" => Some(Duration::from_secs(3600 * number)),
        _ => None,
    }
}

/// Reads `r3`.
pub fn revision(text: &str) -> Revision {
    let number = text.strip_prefix('r').and_then(|number| number.parse().ok());
    Revision(number.unwrap_or_else(|| panic!("`{text}` is not a revision")))
}

/// Reads `migrate,seed`: hooks of these names, with a minute each. `none` is none.
fn hooks(names: &str) -> Vec<Hook> {
    let named = |name: &str| Hook {
        name: Label::new(name).expect("a name"),
        command: vec![name.to_owned()],
        timeout: Duration::from_secs(60),
    };
    names.split(',').filter(|name| *name != "none").map(named).collect()
}

/// An app as a test sketches it.
#[derive(Debug, Clone)]
pub struct Sketch {
    pub version: String,
    /// What it is but for its environment: its one argument.
    pub code: String,
    /// A fingerprint of its secret's values.
    pub secret: Option<String>,
    pub replicas: u32,
    pub host: String,
    pub port: String,
    pub routed: bool,
    pub target: TargetName,
    pub restart: RestartPolicy,
    pub retries: u32,
    pub policy: Policy,
    pub prune: Prune,
    pub image: Option<String>,
    pub hooks: Hooks,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            version: "v1".to_owned(),
            code: String::new(),
            secret: None,
            replicas: 1,
            host: "web.localhost".to_owned(),
            port: "http".to_owned(),
            routed: true,
            target: TargetName::local(),
            restart: RestartPolicy::Always,
            retries: 3,
            policy: policy(),
            prune: Prune::Delete,
            image: None,
            hooks: Hooks::default(),
        }
    }
}

fn policy() -> Policy {
    Policy {
        strategy: Strategy::BlueGreen,
        stop_first: None,
        max_surge: Quantity::Share(Percent::ALL),
        max_unavailable: Quantity::Count(0),
        min_healthy: Duration::from_secs(5),
        healthy_deadline: Duration::from_secs(300),
        progress_deadline: Duration::from_secs(600),
        bake: Duration::from_secs(60),
        drain: Duration::from_secs(30),
        revert: RevertMode::Auto,
        steps: Vec::new(),
        by_count: None,
        windows: Vec::new(),
        depends_on: BTreeSet::new(),
        history: History { limit: 10, keep_for: Duration::from_secs(7 * 24 * 3600) },
        suspend: false,
    }
}

impl Sketch {
    /// Changes the sketch by words.
    pub fn change(&mut self, words: &str) {
        let mut words = words.split_whitespace();
        while let Some(word) = words.next() {
            if let Some((count, version)) = word.split_once('×') {
                self.replicas = count.parse().expect("a count before ×");
                version.clone_into(&mut self.version);
                continue;
            }
            if self.flag(word) {
                continue;
            }
            let value = words.next().unwrap_or_else(|| panic!("`{word}` wants a value"));
            self.set(word, value);
        }
    }

    fn flag(&mut self, word: &str) -> bool {
        match word {
            "blueGreen" => self.policy.strategy = Strategy::BlueGreen,
            "rolling" => self.policy.strategy = Strategy::Rolling,
            "recreate" => self.policy.strategy = Strategy::Recreate,
            "stop-first" => self.policy.stop_first = Some("volume data has one owner".to_owned()),
            "hold" => self.policy.revert = RevertMode::Hold,
            "worker" => self.routed = false,
            "never" => self.restart = RestartPolicy::Never,
            "on-failure" => self.restart = RestartPolicy::OnFailure,
            "suspend" => self.policy.suspend = true,
            "counted" => self.policy.by_count = Some("its platform cannot weigh".to_owned()),
            _ => return false,
        }
        true
    }

    fn set(&mut self, word: &str, value: &str) {
        let time = || wait(value).unwrap_or_else(|| panic!("`{value}` is not a wait"));
        match word {
            "steps" => self.canary(value),
            "analysis" => self.analyse(value),
            "code" => value.clone_into(&mut self.code),
            "secret" => self.secret = Some(value.to_owned()),
            "surge" => self.policy.max_surge = value.parse().expect("a quantity"),
            "unavailable" => self.policy.max_unavailable = value.parse().expect("a quantity"),
            "minHealthy" => self.policy.min_healthy = time(),
            "healthyDeadline" => self.policy.healthy_deadline = time(),
            "progressDeadline" => self.policy.progress_deadline = time(),
            "bake" => self.policy.bake = time(),
            "drain" => self.policy.drain = time(),
            "history" => self.policy.history.limit = value.parse().expect("a count"),
            "keepFor" => self.policy.history.keep_for = time(),
            "retries" => self.retries = value.parse().expect("a count"),
            "at" => value.clone_into(&mut self.host),
            "port" => value.clone_into(&mut self.port),
            "pre" => self.hooks.pre_deploy = hooks(value),
            "post" => self.hooks.post_deploy = hooks(value),
            "undo" => self.hooks.on_revert = hooks(value),
            "image" => self.image = Some(value.to_owned()),
            "on" => self.target = TargetName::new(value).expect("a target"),
            _ => panic!("nobody knows what `{word} {value}` wants"),
        }
    }

    /// Reads `10@30s,50@approve`: the steps of a canary.
    fn canary(&mut self, steps: &str) {
        let step = |text: &str| {
            let (weight, rest) = text.split_once('@').expect("a weight and a pause");
            let weight = Percent::new(weight.parse().expect("a weight")).expect("a share");
            CanaryStep {
                weight,
                pause: wait(rest).unwrap_or_default(),
                approve: rest == "approve",
                analysis: Vec::new(),
            }
        };
        self.policy.strategy = Strategy::Canary;
        self.policy.steps = steps.split(',').map(step).collect();
    }

    /// Has an analysis of this name asked at every step of the canary.
    fn analyse(&mut self, name: &str) {
        let analysis = Analysis {
            name: Label::new(name).expect("a name"),
            ask: Ask::Exec { command: vec!["true".to_owned()] },
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            failures: 1,
        };
        self.policy.steps.iter_mut().for_each(|step| step.analysis.push(analysis.clone()));
    }

    /// The template of a version of this app.
    pub fn template(&self, version: &str) -> Template {
        let ports = ["http"].into_iter().chain(version.split('+').skip(1));
        let port = |name| Port { name: PortName::new(name).expect("a port"), port: None, protocol: Protocol::Http };
        let mut template = Template {
            command: vec!["serve".to_owned()],
            args: if self.code.is_empty() { Vec::new() } else { vec![self.code.clone()] },
            env: BTreeMap::from([("VERSION".to_owned(), version.to_owned())]),
            ports: ports.map(port).collect(),
            ..Template::default()
        };
        template.hooks = self.hooks.clone();
        template.restart.policy = self.restart;
        template.restart.max_retries = self.retries;
        template
    }

    fn exposure(&self) -> Exposure {
        let port = PortName::new(&self.port).expect("a port");
        let route = Route { host: self.host.clone(), path: "/".to_owned(), port, tls: Tls::Off };
        Exposure { routes: if self.routed { vec![route] } else { Vec::new() } }
    }

    fn inputs(&self) -> Inputs {
        let images = self.image.iter().map(|digest| ("web".to_owned(), digest.clone())).collect();
        let secret_fingerprints = self.secret.iter().map(|mark| ("shop".to_owned(), mark.clone())).collect();
        Inputs { images, secret_fingerprints, ..Inputs::default() }
    }

    /// The app as a source hands it out.
    pub fn build(&self) -> Arc<DesiredApp> {
        let template = self.template(&self.version);
        let template_digest = TemplateDigest::of(&template);
        let (policy, exposure) = (self.policy.clone(), self.exposure());
        let spread = BTreeMap::from([(Place::here(), self.replicas)]);
        let placement = Placement { target: self.target.clone(), spread };
        Arc::new(DesiredApp {
            name: web(),
            intent: DesiredApp::intent_of(template_digest, &policy, &exposure, &placement, self.prune),
            template: Arc::new(template),
            template_digest,
            policy,
            exposure,
            placement,
            inputs: self.inputs(),
            prune: self.prune,
            labels: BTreeMap::new(),
            origin: Origin::default(),
        })
    }

    /// A release of some version of this app, as it was rolled out before the sketch's routes and target changed.
    pub fn release(&self, revision: Revision, version: &str, target: &TargetName) -> Arc<Release> {
        let template = self.template(version);
        let digest = Release::digest_of(TemplateDigest::of(&template), &Inputs::default());
        let plain = Self { routed: self.routed, ..Self::default() };
        Arc::new(Release {
            app: web(),
            revision,
            digest,
            target: target.clone(),
            template,
            exposure: plain.exposure(),
            stop_first: None,
            inputs: Inputs::default(),
            origin: Origin::default(),
        })
    }
}
