//! An app becomes a fly.toml, its cost settings as fields with what each saves, and what a fly.toml cannot say as remarks.

use trueup_types::desired::DesiredApp;
use trueup_types::fly::{FlySpec, Guest};
use trueup_types::policy::{RevertMode, Strategy};
use trueup_types::probe::{Check, Probe};
use trueup_types::template::{AutostopMode, ConcurrencyKind, CpuKind, Port, Protocol, RestartPolicy, Template};
use trueup_types::{Place, Quantity};

use crate::reader::Remark;
use crate::toml_page::{Toml, TomlPage};
use crate::units;
use crate::words;

/// What each setting saves, in a sentence, where somebody knows prices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Savings {
    /// Of `auto_stop_machines`.
    pub autostop: Option<String>,
    /// Of `min_machines_running`.
    pub min_running: Option<String>,
    /// Of the machine's size.
    pub size: Option<String>,
    /// Of the volume's size.
    pub volume: Option<String>,
    /// Of how many machines there are, and where.
    pub machines: Option<String>,
}

/// What came of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The fly.toml.
    pub text: String,
    /// What it cannot say.
    pub remarks: Vec<Remark>,
}

/// Makes a fly.toml of an app.
#[must_use]
pub fn export(app: &DesiredApp, spec: &FlySpec, savings: &Savings) -> Exported {
    let mut exporting = Exporting { app, spec, savings, page: TomlPage::default(), remarks: Vec::new() };
    exporting.head();
    exporting.build();
    exporting.deploy();
    exporting.env();
    exporting.words();
    let web = exporting.web().cloned();
    if let Some(web) = &web {
        exporting.http_service(web);
    }
    exporting.other_ports(web.as_ref());
    exporting.checks(web.as_ref());
    exporting.files();
    exporting.mounts();
    exporting.vm();
    exporting.restart();
    exporting.beyond();
    Exported { text: exporting.page.into_text(), remarks: exporting.remarks }
}

/// One app being exported.
struct Exporting<'a> {
    app: &'a DesiredApp,
    spec: &'a FlySpec,
    savings: &'a Savings,
    page: TomlPage,
    remarks: Vec<Remark>,
}

impl Exporting<'_> {
    fn template(&self) -> &Template {
        &self.app.template
    }

    fn left(&mut self, key: &str, what: impl Into<String>) {
        self.remarks.push(Remark { line: 0, key: key.to_owned(), what: what.into() });
    }

    fn head(&mut self) {
        let (app, spec) = (self.app, self.spec);
        self.page.comment(&format!("Exported by trueup from the app {}.", app.name));
        let counts = app.placement.spread.iter();
        let counts: Vec<_> = counts.map(|(place, count)| format!("fly scale count {count} --region {place}")).collect();
        self.page.comment(&format!("A fly.toml says no counts: {}.", counts.join("; ")));
        if let Some(machines) = &self.savings.machines {
            self.page.comment(machines);
        }
        let there = spec.app_name(&app.name, FlySpec::RANDOM);
        if !spec.app_name_is_derived() {
            let what = format!(
                "`{}` in it is chosen once: write the name that `trueup get apps -o wide` shows",
                FlySpec::RANDOM
            );
            self.left("app", what);
        }
        self.page.key("app", &Toml::text(there));
        self.page.key("primary_region", &Toml::text(self.primary().as_str()));
        self.page.key("kill_signal", &Toml::text(app.template.stop.signal.clone()));
        self.page.key("kill_timeout", &Toml::text(units::spelled(app.template.stop.timeout)));
    }

    /// The target's, where the app has machines there; else the first of its own.
    fn primary(&self) -> Place {
        let spread = &self.app.placement.spread;
        let own = spread.keys().next().filter(|place| **place != Place::here());
        let target = &self.spec.primary_region;
        if spread.contains_key(target) { target.clone() } else { own.unwrap_or(target).clone() }
    }

    fn build(&mut self) {
        let Some(image) = self.template().image.clone() else { return };
        self.page.section(&["build"]);
        self.page.key("image", &Toml::text(image));
    }

    fn deploy(&mut self) {
        let policy = &self.app.policy;
        let strategy = match policy.strategy {
            Strategy::BlueGreen => "bluegreen",
            Strategy::Rolling | Strategy::Recreate => "rolling",
            Strategy::Canary => "canary",
        };
        self.page.section(&["deploy"]);
        self.page.key("strategy", &Toml::text(strategy));
        match policy.max_unavailable {
            Quantity::Count(0) => {}
            Quantity::Count(count) => self.page.key("max_unavailable", &Toml::Number(u64::from(count))),
            Quantity::Share(share) => {
                let share = f64::from(share.get()) / 100.0;
                self.page.key("max_unavailable", &Toml::Share(share));
            }
        }
        self.page.key("wait_timeout", &Toml::text(units::spelled(policy.healthy_deadline)));
        let hooks = &self.app.template.hooks;
        if let Some(first) = hooks.pre_deploy.first() {
            self.page.key("release_command", &Toml::text(words::join(&first.command)));
            self.page.key("release_command_timeout", &Toml::text(units::spelled(first.timeout)));
        }
    }

    fn env(&mut self) {
        let env = self.app.template.env.clone();
        if env.is_empty() {
            return;
        }
        self.page.section(&["env"]);
        env.into_iter().for_each(|(name, value)| self.page.key(&name, &Toml::Text(value)));
    }

    /// A command takes the place of all that the image says, as `exec` does; arguments follow its entry point.
    fn words(&mut self) {
        let (command, args) = (self.template().command.clone(), self.template().args.clone());
        if !command.is_empty() {
            self.page.section(&["experimental"]);
            self.page.key("exec", &Toml::Texts(command.into_iter().chain(args).collect()));
        } else if !args.is_empty() {
            self.page.section(&["processes"]);
            self.page.key("app", &Toml::text(words::join(&args)));
        }
    }

    /// The port that the routes lead to.
    fn web(&self) -> Option<&Port> {
        let route = self.app.exposure.routes.first()?;
        self.app.template.port(&route.port)
    }

    fn http_service(&mut self, web: &Port) {
        let autostop = self.template().autostop.clone();
        let mode = match autostop.as_ref().map(|autostop| autostop.mode) {
            Some(AutostopMode::Stop) => "stop",
            Some(AutostopMode::Suspend) => "suspend",
            Some(AutostopMode::Off) | None => "off",
        };
        self.page.section(&["http_service"]);
        self.page.key("internal_port", &Toml::Number(number(web)));
        self.page.key("force_https", &Toml::Truth(self.app.template.force_https.unwrap_or(true)));
        self.page.told("auto_stop_machines", &Toml::text(mode), self.savings.autostop.as_deref());
        self.page.key("auto_start_machines", &Toml::Truth(mode != "off"));
        let least = autostop.map_or(0, |autostop| u64::from(autostop.min_running));
        self.page.told("min_machines_running", &Toml::Number(least), self.savings.min_running.as_deref());
        if let Some(limits) = self.template().concurrency.clone() {
            let kind = match limits.kind {
                ConcurrencyKind::Requests => "requests",
                ConcurrencyKind::Connections => "connections",
            };
            self.page.section(&["http_service", "concurrency"]);
            self.page.key("type", &Toml::text(kind));
            self.page.key("soft_limit", &Toml::Number(u64::from(limits.soft)));
            self.page.key("hard_limit", &Toml::Number(u64::from(limits.hard)));
        }
        for probe in self.app.template.health.iter().filter(|probe| asks(probe, web) && is_http(probe)) {
            self.page.item(&["http_service", "checks"]);
            self.check(probe);
        }
    }

    /// Ports that nobody outside reaches: services without published ports.
    fn other_ports(&mut self, web: Option<&Port>) {
        for port in self.app.template.ports.iter().filter(|port| Some(*port) != web) {
            let protocol = if port.protocol == Protocol::Udp { "udp" } else { "tcp" };
            self.page.item(&["services"]);
            self.page.key("internal_port", &Toml::Number(number(port)));
            self.page.key("protocol", &Toml::text(protocol));
            let probes = self.app.template.health.iter().filter(|probe| asks(probe, port));
            for probe in probes {
                self.page.item(&["services", if is_http(probe) { "http_checks" } else { "tcp_checks" }]);
                self.check(probe);
            }
        }
    }

    /// Probes of the routed port by connecting: `[http_service]` has no such checks.
    fn checks(&mut self, web: Option<&Port>) {
        for probe in &self.app.template.health {
            let connects = matches!(&probe.check, Check::Tcp { .. } | Check::Websocket { .. });
            if let Some(web) = web.filter(|web| connects && asks(probe, web)) {
                self.page.section(&["checks", probe.name.as_str()]);
                self.page.key("type", &Toml::text("tcp"));
                self.page.key("port", &Toml::Number(number(web)));
                self.check(probe);
            }
            self.judged(probe);
        }
    }

    fn check(&mut self, probe: &Probe) {
        if let Check::Http { path, .. } = &probe.check {
            self.page.key("method", &Toml::text("GET"));
            self.page.key("path", &Toml::text(path.clone()));
        }
        for (key, time) in [("interval", probe.interval), ("timeout", probe.timeout), ("grace_period", probe.grace)] {
            self.page.key(key, &Toml::text(units::spelled(time)));
        }
    }

    /// What a check cannot ask, and how it cannot count.
    fn judged(&mut self, probe: &Probe) {
        let key = format!("health.{}", probe.name);
        match &probe.check {
            Check::Exec { .. } => self.left(&key, "the platform runs no command as a check"),
            Check::Websocket { .. } => self.left(&key, "the platform's check only connects"),
            Check::Http { status, .. } if *status != Check::any_success() => {
                self.left(&key, "the platform's check takes any status from 200 to 299");
            }
            Check::Http { .. } | Check::Tcp { .. } => {}
        }
        if (probe.failures, probe.successes) != (3, 1) {
            self.left(&key, "the platform's check counts neither failures nor successes in a row");
        }
    }

    fn files(&mut self) {
        for file in self.app.template.files.clone() {
            self.page.item(&["files"]);
            self.page.key("guest_path", &Toml::text(file.path));
            self.page.key("raw_value", &Toml::text(file.content));
        }
    }

    fn mounts(&mut self) {
        for volume in self.app.template.volumes.clone() {
            self.page.item(&["mounts"]);
            // Names of volumes there hold no `-`.
            self.page.key("source", &Toml::text(volume.name.as_str().replace('-', "_")));
            self.page.key("destination", &Toml::text(volume.path));
            let gib = volume.size_bytes.map(|bytes| bytes.div_ceil(1 << 30));
            if let Some(gib) = gib {
                self.page.told("initial_size", &Toml::text(format!("{gib}gb")), self.savings.volume.as_deref());
            }
        }
    }

    fn vm(&mut self) {
        let Ok(guest) = Guest::of(&self.template().resources) else { return };
        let size = match guest.cpu_kind {
            CpuKind::Shared => format!("shared-cpu-{}x", guest.cpus),
            CpuKind::Performance => format!("performance-{}x", guest.cpus),
        };
        self.page.item(&["vm"]);
        self.page.told("size", &Toml::text(size), self.savings.size.as_deref());
        self.page.key("memory", &Toml::text(format!("{}mb", guest.memory_mib)));
    }

    fn restart(&mut self) {
        let restart = self.template().restart.clone();
        let policy = match restart.policy {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Never => "never",
        };
        self.page.item(&["restart"]);
        self.page.key("policy", &Toml::text(policy));
        self.page.key("retries", &Toml::Number(u64::from(restart.max_retries)));
    }

    /// What no fly.toml says.
    fn beyond(&mut self) {
        let (app, policy, hooks) = (self.app, &self.app.policy, &self.app.template.hooks);
        for route in app.exposure.routes.iter().filter(|route| !route.host.ends_with(".fly.dev")) {
            let what = format!("`fly certs add {}` makes it answer", route.host);
            self.left(&format!("routes.{}", route.host), what);
        }
        for one in &app.template.env_from {
            let what = format!("`fly secrets set` gives it its keys: trueup reads them by the Secret `{}`", one.secret);
            self.left("envFrom", what);
        }
        if hooks.pre_deploy.len() > 1 {
            self.left("hooks.preDeploy", "flyctl runs one release command; the first is written");
        }
        if !hooks.post_deploy.is_empty() {
            self.left("hooks.postDeploy", "flyctl runs nothing after a deploy");
        }
        if !hooks.on_revert.is_empty() || policy.revert == RevertMode::Auto {
            self.left(
                "rollout.revert",
                "flyctl takes no release back once it serves; nobody watches it through a bake",
            );
        }
        match policy.strategy {
            Strategy::Canary => self.left("rollout.steps", "flyctl's canary is one machine first, without weights"),
            Strategy::Recreate => self.left("rollout.strategy", "flyctl has none that stops all first; it is rolling"),
            Strategy::BlueGreen if app.template.health.is_empty() => {
                self.left("rollout.strategy", "flyctl's bluegreen wants a check, and there is no probe");
            }
            Strategy::BlueGreen | Strategy::Rolling => {}
        }
        if !policy.windows.is_empty() {
            self.left("rollout.windows", "flyctl deploys whenever it is told to");
        }
        if !policy.depends_on.is_empty() {
            self.left("dependsOn", "flyctl knows one app at a time");
        }
    }
}

/// The number of a port; 8080 where a manifest names none, as in every container.
fn number(port: &Port) -> u64 {
    u64::from(port.port.filter(|port| *port != 0).unwrap_or(8_080))
}

fn is_http(probe: &Probe) -> bool {
    matches!(&probe.check, Check::Http { .. })
}

/// Whether a probe asks this port.
fn asks(probe: &Probe, of: &Port) -> bool {
    match &probe.check {
        Check::Http { port, .. } | Check::Tcp { port } | Check::Websocket { port, .. } => *port == of.name,
        Check::Exec { .. } => false,
    }
}
