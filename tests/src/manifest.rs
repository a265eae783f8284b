//! Manifests of the demo server, good and bad.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An app on the demo server.
#[derive(Debug, Clone)]
pub struct DemoApp {
    /// Its name; its host is `<name>.localhost`.
    pub name: String,
    /// What `/` answers as its version.
    pub version: String,
    /// How many.
    pub replicas: u32,
    /// The demo server's knobs.
    pub env: BTreeMap<String, String>,
    /// Lines below `spec.rollout`.
    pub rollout: BTreeMap<String, String>,
    /// Lines below `spec.hooks`.
    pub hooks: BTreeMap<String, String>,
    /// Apps it depends on.
    pub depends_on: Vec<String>,
    /// Whether it has a route.
    pub routed: bool,
}

/// How a release is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Badness {
    /// It exits at once.
    ExitsAtOnce,
    /// It exits after two seconds.
    ExitsAfterTwoSeconds,
    /// It never answers its probe well.
    NeverHealthy,
    /// It is healthy, then fails within the bake.
    FailsInBake,
    /// It runs and opens no port.
    NoListener,
}

/// Every kind of bad release.
pub const BADNESSES: [Badness; 5] = [
    Badness::ExitsAtOnce,
    Badness::ExitsAfterTwoSeconds,
    Badness::NeverHealthy,
    Badness::FailsInBake,
    Badness::NoListener,
];

impl DemoApp {
    /// A good app behind a route, with gates short enough for a test.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        let rollout = [
            ("minHealthy", "300ms"),
            ("healthyDeadline", "4s"),
            ("progressDeadline", "20s"),
            ("bake", "2500ms"),
            ("drain", "6500ms"),
        ];
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            replicas: 2,
            env: BTreeMap::new(),
            rollout: rollout.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            hooks: BTreeMap::new(),
            depends_on: Vec::new(),
            routed: true,
        }
    }

    /// The same at another version.
    #[must_use]
    pub fn at(&self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self.clone() }
    }

    /// The same at another version, and bad.
    #[must_use]
    pub fn bad(&self, version: &str, badness: Badness) -> Self {
        let (key, value) = match badness {
            Badness::ExitsAtOnce => ("DEMO_EXIT_AFTER", "0s"),
            Badness::ExitsAfterTwoSeconds => ("DEMO_EXIT_AFTER", "2s"),
            Badness::NeverHealthy => ("DEMO_UNHEALTHY", "1"),
            Badness::FailsInBake => ("DEMO_UNHEALTHY_AFTER", "1500ms"),
            Badness::NoListener => ("DEMO_NO_LISTEN", "1"),
        };
        let mut bad = self.at(version);
        bad.env.insert(key.to_owned(), value.to_owned());
        bad
    }

    /// With one knob set.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With so many instances.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// With one line of `spec.rollout`.
    #[must_use]
    pub fn rollout(mut self, key: &str, value: &str) -> Self {
        self.rollout.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With one hook of a kind, a shell's command.
    ///
    /// # Panics
    /// When the command holds a single quote.
    #[must_use]
    pub fn hook(mut self, kind: &str, name: &str, command: &str) -> Self {
        assert!(!command.contains('\''), "the command goes between single quotes");
        let hook = format!("[{{name: {name}, command: [sh, -c, '{command}'], timeout: 20s}}]");
        self.hooks.insert(kind.to_owned(), hook);
        self
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> String {
        let mut text = format!(
            "apiVersion: trueup.dev/v1\nkind: App\nmetadata:\n  name: {}\nspec:\n  command: [trueup, demo-app]\n",
            self.name
        );
        let mut line = |line: String| writeln!(text, "{line}").expect("a string takes text");
        line(format!("  replicas: {}", self.replicas));
        line("  ports: [{name: http, protocol: http}]".to_owned());
        if self.routed {
            line(format!("  routes: [{{host: {}.localhost, path: /}}]", self.name));
        }
        if !self.depends_on.is_empty() {
            line(format!("  dependsOn: [{}]", self.depends_on.join(", ")));
        }
        line("  env:".to_owned());
        line(format!("    DEMO_VERSION: \"{}\"", self.version));
        for (key, value) in &self.env {
            line(format!("    {key}: \"{value}\""));
        }
        line("  health:".to_owned());
        line(
            "    - {name: ready, http: {path: /health}, interval: 300ms, timeout: 2s, grace: 2s, failures: 2}"
                .to_owned(),
        );
        line("  stop: {timeout: 8s}".to_owned());
        if !self.hooks.is_empty() {
            line("  hooks:".to_owned());
            self.hooks.iter().for_each(|(kind, hooks)| line(format!("    {kind}: {hooks}")));
        }
        line("  rollout:".to_owned());
        for (key, value) in &self.rollout {
            line(format!("    {key}: {value}"));
        }
        text
    }
}
