//! Builds wanted apps without a manifest: the defaults of MANIFEST.md, and what a test changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use trueup_types::desired::{DesiredApp, Inputs, Placement, Prune};
use trueup_types::exposure::{Exposure, Route, Tls};
use trueup_types::policy::{History, Policy, RevertMode, Strategy};
use trueup_types::release::Origin;
use trueup_types::template::{Check, Port, Probe, Protocol, Template};
use trueup_types::{AppName, Label, Percent, Place, PortName, Quantity, Release, Revision, TargetName, TemplateDigest};

/// A wanted app, as a test sketches it.
#[derive(Debug, Clone)]
pub struct AppSketch {
    /// Its name.
    pub name: AppName,
    /// What an instance is.
    pub template: Template,
    /// How to get there.
    pub policy: Policy,
    /// Who may reach it.
    pub exposure: Exposure,
    /// Where.
    pub target: TargetName,
    /// How many.
    pub replicas: u32,
    /// What becomes of it when its manifest goes.
    pub prune: Prune,
}

impl AppSketch {
    /// An app behind a route at `NAME.localhost`, probed by an exec check, version `v1`.
    ///
    /// # Panics
    /// When `name` is not a name.
    #[must_use]
    pub fn web(name: &str) -> Self {
        let port = PortName::new("http").expect("a literal name");
        let route =
            Route { host: format!("{name}.localhost"), path: "/".to_owned(), port: port.clone(), tls: Tls::Off };
        let mut sketch = Self::worker(name);
        sketch.template.ports = vec![Port { name: port, port: None, protocol: Protocol::Http }];
        sketch.exposure = Exposure { routes: vec![route] };
        sketch.policy.strategy = Strategy::BlueGreen;
        sketch
    }

    /// An app without routes, probed by an exec check, version `v1`.
    ///
    /// # Panics
    /// When `name` is not a name.
    #[must_use]
    pub fn worker(name: &str) -> Self {
        let template = Template {
            command: vec!["serve".to_owned()],
            env: BTreeMap::from([("VERSION".to_owned(), "v1".to_owned())]),
            health: vec![probe()],
            ..Template::default()
        };
        Self {
            name: AppName::new(name).expect("a name"),
            template,
            policy: policy(),
            exposure: Exposure::default(),
            target: TargetName::local(),
            replicas: 1,
            prune: Prune::Delete,
        }
    }

    /// With so many instances.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// With one environment variable set: `VERSION`, or a knob of [`crate::behaviour`].
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.template.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With this strategy.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.policy.strategy = strategy;
        self
    }

    /// Depending on another app.
    ///
    /// # Panics
    /// When `name` is not a name.
    #[must_use]
    pub fn depends_on(mut self, name: &str) -> Self {
        self.policy.depends_on.insert(AppName::new(name).expect("a name"));
        self
    }

    /// A release of it, as a planner begins one.
    #[must_use]
    pub fn release(&self, revision: Revision) -> Release {
        let desired = self.build();
        Release {
            app: self.name.clone(),
            revision,
            digest: desired.release_digest(0),
            target: self.target.clone(),
            template: self.template.clone(),
            exposure: self.exposure.clone(),
            stop_first: self.policy.stop_first.clone(),
            inputs: desired.inputs.clone(),
            origin: desired.origin.clone(),
        }
    }

    /// The app as a source hands it out.
    #[must_use]
    pub fn build(&self) -> Arc<DesiredApp> {
        let template_digest = TemplateDigest::of(&self.template);
        let placement =
            Placement { target: self.target.clone(), spread: BTreeMap::from([(Place::here(), self.replicas)]) };
        Arc::new(DesiredApp {
            name: self.name.clone(),
            intent: DesiredApp::intent_of(template_digest, &self.policy, &self.exposure, &placement, self.prune),
            template: Arc::new(self.template.clone()),
            template_digest,
            policy: self.policy.clone(),
            exposure: self.exposure.clone(),
            placement,
            inputs: Inputs::default(),
            prune: self.prune,
            labels: BTreeMap::new(),
            origin: Origin::default(),
        })
    }
}

fn probe() -> Probe {
    Probe {
        name: Label::new("ready").expect("a literal name"),
        check: Check::Exec { command: vec!["check".to_owned()] },
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        grace: Duration::from_secs(10),
        failures: 3,
        successes: 1,
    }
}

fn policy() -> Policy {
    Policy {
        strategy: Strategy::Rolling,
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
