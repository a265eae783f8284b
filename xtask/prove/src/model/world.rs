//! One small world's frame, which never changes: an app's policy, its versions and how they behave, and what may go
//! wrong in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use trueup_types::desired::{DesiredApp, Inputs, Placement, Prune};
use trueup_types::exposure::{Exposure, Route, Tls};
use trueup_types::number::Percent;
use trueup_types::policy::{CanaryStep, History, Policy, RevertMode, Strategy};
use trueup_types::release::Origin;
use trueup_types::template::{Hook, Hooks, Port, Protocol, Template};
use trueup_types::{AppName, Label, Place, PortName, Quantity, ReleaseDigest, TargetName, Task, TemplateDigest};

use super::deed::Deed;
use super::state::Being;

/// Time goes in steps of so long, so that equal moments are equal states. Every wait of a policy is a multiple.
pub const GRAIN: Duration = Duration::from_secs(5);
/// Health must hold so long.
pub const MIN_HEALTHY: Duration = GRAIN;
/// An instance may take so long to become healthy.
pub const HEALTHY_DEADLINE: Duration = Duration::from_secs(30);
/// A rollout may go so long without progress.
pub const PROGRESS_DEADLINE: Duration = Duration::from_secs(60);
/// The watch after promotion.
pub const BAKE: Duration = Duration::from_secs(20);
/// Requests may take so long to end.
pub const DRAIN: Duration = Duration::from_secs(10);
/// A version that sickens does it so long after its start: after its gate, within its bake.
pub const SICKENS_AFTER: Duration = Duration::from_secs(10);
/// A hook may run so long.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(20);
/// Exits that a rollout bears.
pub const RETRIES: u32 = 1;
/// Restarts that digests are known for.
const RESTARTS_MAX: u32 = 3;

/// How the instances of a version behave, or what runs one of its hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They come up and pass; a hook ends well.
    Good,
    /// They never answer a probe; a hook never ends.
    NeverPasses,
    /// They answer their probes badly.
    Fails,
    /// They pass, and turn bad within the bake.
    Sickens,
    /// They pass, and exit within the bake, in each life.
    Collapses,
    /// They exit soon after each start, be it after they passed; a hook fails.
    Dies,
    /// They cannot be started.
    CannotStart,
    /// Their target refuses to make them.
    Refused,
}

impl Kind {
    /// Whether one that passes turns bad by itself within the bake.
    pub fn turns_bad(self) -> bool {
        matches!(self, Self::Sickens | Self::Collapses)
    }
}

/// The policy of a world's app.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// In names of worlds.
    pub name: &'static str,
    pub strategy: Strategy,
    /// How many instances: the first at the beginning, the others by an edit.
    pub sizes: &'static [u32],
    pub surge: u32,
    pub unavailable: u32,
    pub routed: bool,
    pub stop_first: bool,
    pub revert: RevertMode,
    /// A canary's steps: how many percent, for how many grains.
    pub steps: &'static [(u8, u32)],
}

/// A hook of every version.
#[derive(Debug, Clone, Copy)]
pub struct Hooked {
    /// What it runs for.
    pub task: Task,
    /// How it behaves, version by version.
    pub kinds: &'static [Kind],
}

/// What may happen in a world beside what happens by itself.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// In names of worlds.
    pub name: &'static str,
    /// Version by version; the first is the one that runs at the beginning.
    pub kinds: &'static [Kind],
    /// The hooks that every version has; those of one kind in the order in which they run.
    pub hooks: &'static [Hooked],
    /// Edits, faults and words that may happen at all.
    pub deeds: &'static [Deed],
    /// How many edits, faults and words.
    pub purses: [u8; 3],
    /// It begins with nothing there, instead of the first version serving.
    pub empty: bool,
}

/// The frame of a world.
#[derive(Debug)]
pub struct World {
    /// Names it for `--replay`.
    pub name: String,
    pub shape: Shape,
    pub scenario: Scenario,
    /// By version, then by size.
    apps: Vec<Vec<Arc<DesiredApp>>>,
    digests: Vec<(ReleaseDigest, u8)>,
}

/// The one app of every world here.
pub fn web() -> AppName {
    AppName::new("web").expect("a literal name")
}

impl World {
    /// A world of this shape in which this may happen.
    pub fn new(shape: Shape, scenario: Scenario) -> Self {
        let versions = u8::try_from(scenario.kinds.len()).expect("few versions");
        let hooks = hooks(scenario.hooks);
        let build = |version| {
            let app = |size: &u32| Arc::new(app(&shape, &hooks, version, *size));
            shape.sizes.iter().map(app).collect::<Vec<_>>()
        };
        let apps: Vec<_> = (0..versions).map(build).collect();
        let digest = |version: u8, restarts| {
            let number = version + versions * u8::try_from(restarts).expect("few restarts");
            (apps[usize::from(version)][0].release_digest(restarts), number)
        };
        let digests = (0..=RESTARTS_MAX).flat_map(|restarts| (0..versions).map(move |one| (one, restarts)));
        let digests = digests.map(|(version, restarts)| digest(version, restarts)).collect();
        Self { name: format!("{}/{}", shape.name, scenario.name), shape, scenario, apps, digests }
    }

    /// The wanted app of a version and a size.
    pub fn app(&self, version: u8, size: u8) -> &Arc<DesiredApp> {
        &self.apps[usize::from(version)][usize::from(size)]
    }

    /// A number for a digest: the version, and beyond the versions how often it was restarted by a person.
    pub fn number(&self, digest: ReleaseDigest) -> u8 {
        let known = self.digests.iter().find(|(one, _)| *one == digest);
        known.map(|(_, number)| *number).expect("every release is of a version of this world")
    }

    /// The version that a digest is of.
    pub fn version(&self, digest: ReleaseDigest) -> u8 {
        self.number(digest) % u8::try_from(self.scenario.kinds.len()).expect("few versions")
    }

    /// How the instances of a version behave.
    pub fn kind(&self, version: u8) -> Kind {
        self.scenario.kinds[usize::from(version)]
    }

    /// How an instance behaves, be it one that runs a hook.
    pub fn nature(&self, being: &Being) -> Kind {
        let Some(task) = being.id.task else { return self.kind(being.version) };
        let place = usize::try_from(being.id.ordinal.0).expect("few");
        let hook = self.scenario.hooks.iter().filter(|hook| hook.task == task).nth(place);
        hook.expect("a hook of its release").kinds[usize::from(being.version)]
    }

    /// Whether nothing is wrong with a version, nor with the hooks that decide on it.
    pub fn is_good(&self, version: u8) -> bool {
        let version_at = usize::from(version);
        let mut decisive = self.scenario.hooks.iter().filter(|hook| hook.task != Task::OnRevert);
        self.kind(version) == Kind::Good && decisive.all(|hook| hook.kinds[version_at] == Kind::Good)
    }

    /// Old and new never run side by side.
    pub fn alone(&self) -> bool {
        self.shape.stop_first || self.shape.strategy == Strategy::Recreate
    }

    /// The longest of a canary's pauses.
    pub fn pause(&self) -> Duration {
        GRAIN * self.shape.steps.iter().map(|(_, grains)| *grains).max().unwrap_or(0)
    }

    /// How many have to serve at least while so many are wanted, by the shape; none where they make room for each other.
    pub fn least(&self, replicas: u32) -> u32 {
        let sole = replicas == 1 && self.shape.surge == 0 && self.shape.unavailable > 0;
        if self.alone() || sole { 0 } else { replicas.saturating_sub(self.shape.unavailable) }
    }

    /// Whether this may happen here.
    pub fn allows(&self, deed: Deed) -> bool {
        self.scenario.deeds.contains(&deed)
    }
}

fn hooks(all: &[Hooked]) -> Hooks {
    let hook = |place: usize, task: Task| Hook {
        name: Label::new(&format!("{}{place}", task.as_str().to_lowercase())).expect("a literal name"),
        command: vec!["run".to_owned(), place.to_string()],
        timeout: HOOK_TIMEOUT,
    };
    let of = |task| {
        let number = all.iter().filter(|one| one.task == task).count();
        (0..number).map(|place| hook(place, task)).collect()
    };
    Hooks { pre_deploy: of(Task::PreDeploy), post_deploy: of(Task::PostDeploy), on_revert: of(Task::OnRevert) }
}

fn app(shape: &Shape, hooks: &Hooks, version: u8, replicas: u32) -> DesiredApp {
    let port = PortName::new("http").expect("a literal name");
    let mut template = Template {
        command: vec!["serve".to_owned()],
        env: BTreeMap::from([("VERSION".to_owned(), format!("v{}", version + 1))]),
        ports: vec![Port { name: port.clone(), port: None, protocol: Protocol::Http }],
        hooks: hooks.clone(),
        ..Template::default()
    };
    template.restart.max_retries = RETRIES;
    let route = Route { host: "web.localhost".to_owned(), path: "/".to_owned(), port, tls: Tls::Off };
    let exposure = Exposure { routes: if shape.routed { vec![route] } else { Vec::new() } };
    let placement = Placement { target: TargetName::local(), spread: BTreeMap::from([(Place::here(), replicas)]) };
    let (policy, template_digest) = (policy(shape), TemplateDigest::of(&template));
    DesiredApp {
        name: web(),
        intent: DesiredApp::intent_of(template_digest, &policy, &exposure, &placement, Prune::Delete),
        template: Arc::new(template),
        template_digest,
        policy,
        exposure,
        placement,
        inputs: Inputs::default(),
        prune: Prune::Delete,
        labels: BTreeMap::new(),
        origin: Origin::default(),
    }
}

fn step(&(percent, grains): &(u8, u32)) -> CanaryStep {
    let weight = Percent::new(percent).expect("a share");
    CanaryStep { weight, pause: GRAIN * grains, approve: false, analysis: Vec::new() }
}

fn policy(shape: &Shape) -> Policy {
    Policy {
        strategy: shape.strategy,
        stop_first: shape.stop_first.then(|| "a volume has one owner".to_owned()),
        max_surge: Quantity::Count(shape.surge),
        max_unavailable: Quantity::Count(shape.unavailable),
        min_healthy: MIN_HEALTHY,
        healthy_deadline: HEALTHY_DEADLINE,
        progress_deadline: PROGRESS_DEADLINE,
        bake: BAKE,
        drain: DRAIN,
        revert: shape.revert,
        windows: Vec::new(),
        steps: shape.steps.iter().map(step).collect(),
        by_count: None,
        depends_on: BTreeSet::new(),
        history: History { limit: 10, keep_for: Duration::from_secs(7 * 24 * 3_600) },
        suspend: false,
    }
}
