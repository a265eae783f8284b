//! Reads a world at one moment from clauses parted by `|`.
//!
//! | clause | says |
//! |---|---|
//! | `want 2×v2 rolling` | the manifest; see [`super::app`] |
//! | `gone`, `gone orphan`, `held` | instead of a manifest |
//! | `r1: 0 passing 1h routed, 1 exited 1 5s` | instances of revision 1, which is version `v1` unless `r1=v2:` says so |
//! | `good r1`, `knows r3=v3` | the last good release; a release that is remembered |
//! | `rolling r2 30s`, `baking r2 10s`, `reverting r2 5s` | the passage, and for how long |
//! | `promoted r2 10s` | when its bake began, as its note tells |
//! | `rejected r2`, `failed r2` | a rejected digest, with or without a revert |
//! | `exits r2-0 3`, `unrouted r1-0 5s`, `backoff 5s`, `pin r1`, `suspended`, `edited`, `reverted` | more memory |
//! | `may not roll: cap`, `needs db`, `sighted 5s`, `edge dark`, `edge 503` | permits and sight |

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use trueup_types::desired::{Cause, DesiredApp, Doubt, Hold, Permits, Prune, Readiness, Wanted};
use trueup_types::observed::{
    ExitWhy, Health, Incarnation, Instance, Phase, ProbeFailure, RouteSeen, RouteSight, Sighting,
};
use trueup_types::order::EnvOf;
use trueup_types::record::{
    AppRecord, CanaryAt, DeployPhase, Evidence, Exits, Outcome, PhaseNote, Pin, Rejection, ReleaseNote, Rollout, Stage,
    Word,
};
use trueup_types::route::{AppRoutes, Backend, RouteEntry};
use trueup_types::time::Stopwatch;
use trueup_types::{AppName, Generation, InstanceId, Label, Observed, Place, Release, Revision, TargetName, Timestamp};

use super::app::{Sketch, id, revision, wait, web};

/// The moment of every scene.
pub const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

/// A world at one moment.
#[derive(Debug, Clone)]
pub struct Scene {
    pub wanted: Wanted,
    pub observed: Observed,
    pub permits: Permits,
    pub record: AppRecord,
    pub now: Timestamp,
}

/// The moment so long before now.
fn ago(time: Duration) -> Timestamp {
    let millis = u64::try_from(time.as_millis()).expect("a short wait");
    Timestamp::from_millis(NOW.as_millis() - millis)
}

/// Where an instance's port answers, in every world here.
pub fn address(id: &InstanceId, life: u32) -> SocketAddr {
    let port = 20_000 + id.revision.0 * 100 + u64::from(id.ordinal.0) * 10 + u64::from(life % 10);
    SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap_or(u16::MAX)))
}

struct Reader {
    sketch: Sketch,
    scene: Scene,
    backends: Vec<Backend>,
    in_flight: BTreeMap<InstanceId, u32>,
    answers: bool,
    dark: bool,
    edited: bool,
}

impl Scene {
    /// Reads a world.
    pub fn read(text: &str) -> Self {
        let scene = Self {
            wanted: Wanted::Held { why: Doubt::SourceUnavailable("no such directory".to_owned()) },
            observed: Observed {
                at: NOW,
                sighted_since: Timestamp::ZERO,
                instances: Vec::new(),
                tasks: Vec::new(),
                routes: RouteSight::Unknown(Doubt::TargetDark("edge".to_owned())),
            },
            permits: Permits::all(),
            record: AppRecord { generation: Generation(1), ..AppRecord::default() },
            now: NOW,
        };
        let mut reader = Reader {
            sketch: Sketch::default(),
            scene,
            backends: Vec::new(),
            in_flight: BTreeMap::new(),
            answers: false,
            dark: false,
            edited: false,
        };
        for clause in text.split('|').map(str::trim) {
            reader.clause(clause);
        }
        reader.finish()
    }

    /// The wanted app, if one is wanted.
    pub fn desired(&self) -> Option<Arc<DesiredApp>> {
        match &self.wanted {
            Wanted::Present(desired) => Some(Arc::clone(desired)),
            Wanted::Gone { .. } | Wanted::Held { .. } => None,
        }
    }

    /// A text with the version in place of its digest.
    pub fn in_words(&self, text: &str) -> String {
        let Some(desired) = self.desired() else { return text.to_owned() };
        let digest = desired.release_digest(self.record.restarts).short();
        text.replace(&digest, &desired.template.env["VERSION"])
    }
}

impl Reader {
    fn clause(&mut self, clause: &str) {
        let (verb, rest) = clause.split_once(' ').unwrap_or((clause, ""));
        match verb {
            "want" => {
                self.sketch.change(rest);
                self.scene.wanted = Wanted::Present(self.sketch.build());
            }
            "gone" => {
                let prune = if rest == "orphan" { Prune::Orphan } else { Prune::Delete };
                self.scene.wanted = Wanted::Gone { cause: Cause::Removed, prune };
            }
            "held" => {}
            "edge" => (self.dark, self.answers) = (rest == "dark", rest == "503"),
            "sighted" => self.scene.observed.sighted_since = ago(wait(rest).expect("a wait")),
            "may" => self.may_not(rest),
            "needs" => self.needs(rest),
            "edited" => self.edited = true,
            _ if clause.contains(": ") => self.instances(clause),
            _ => self.memory(verb, rest),
        }
    }

    fn may_not(&mut self, rest: &str) {
        let (what, why) = rest.strip_prefix("not ").and_then(|rest| rest.split_once(": ")).expect("may not X: Y");
        let hold = match why {
            "cap" => Hold::RolloutCap { limit: 4 },
            "window" => Hold::Window { opens: None },
            "window in 1h" => Hold::Window { opens: Some(NOW.after(Duration::from_secs(3_600))) },
            "prune" => Hold::PruneBlocked { waiting: 9 },
            "route" => Hold::RouteHeld {
                route: "web.localhost/".to_owned(),
                by: AppName::new("other").expect("a literal name"),
            },
            "store" => Hold::StoreDegraded,
            "doubt" => Hold::InDoubt(Doubt::StoreRebuilt),
            _ => panic!("nobody knows the hold `{why}`"),
        };
        let permits = &mut self.scene.permits;
        match what {
            "create" => permits.create = Err(hold),
            "destroy" => permits.destroy = Err(hold),
            "roll" => permits.start_rollout = Err(hold),
            _ => panic!("nobody knows the permit `{what}`"),
        }
    }

    fn needs(&mut self, rest: &str) {
        let (app, how) = rest.split_once(' ').unwrap_or((rest, ""));
        let readiness = match how {
            "ready" => Readiness::Ready,
            "missing" => Readiness::Missing,
            _ => Readiness::NotReady,
        };
        self.scene.permits.dependencies.insert(AppName::new(app).expect("a name"), readiness);
    }

    /// Remembers a release: `r1`, or `r1=v7` where its version is another.
    fn release(&mut self, text: &str, target: &TargetName) -> Arc<Release> {
        let (number, version) = text.split_once('=').unwrap_or((text, ""));
        let number = revision(number);
        let version = if version.is_empty() { format!("v{}", number.0) } else { version.to_owned() };
        let record = &mut self.scene.record;
        let made = self.sketch.release(number, &version, target);
        record.highest = record.highest.max(number);
        record.homes.insert(target.clone());
        Arc::clone(record.releases.entry(number).or_insert(made))
    }

    fn note(&mut self, release: &Release, outcome: Option<Outcome>) {
        let ended = outcome.map(|_| ago(Duration::from_secs(3600)));
        self.scene.record.history.retain(|note| note.revision != release.revision);
        self.scene.record.history.push(ReleaseNote {
            revision: release.revision,
            digest: release.digest,
            started: ago(Duration::from_secs(7200)),
            ended,
            outcome,
            phases: Vec::new(),
            cause: None,
            again: None,
        });
        self.scene.record.history.sort_by_key(|note| note.revision);
    }

    fn memory(&mut self, verb: &str, rest: &str) {
        let mut words = rest.split_whitespace();
        let first = words.next().unwrap_or("");
        let second = words.next().unwrap_or("0s");
        let since = || ago(wait(second).unwrap_or_else(|| panic!("`{second}` is not a wait")));
        let local = TargetName::local();
        match verb {
            "good" | "once-good" => {
                let release = self.release(first, &local);
                self.note(&release, Some(Outcome::Live));
                if verb == "good" {
                    self.scene.record.current = Some(release.revision);
                }
            }
            "knows" => drop(self.release(first, &local)),
            "rolling" | "baking" | "reverting" => {
                let target = self.sketch.target.clone();
                let release = self.release(first, &target);
                self.note(&release, (verb == "reverting").then_some(Outcome::Reverted));
                self.scene.record.rollout = passage(verb, release.revision, since());
            }
            "promoted" => self.promote(revision(first), since()),
            "rejected" | "failed" => self.reject(first, verb),
            "exits" => {
                let count = second.parse().expect("a count");
                let exits = Exits { count, last: life(9), at: ago(Duration::from_secs(60)), code: Some(1) };
                self.scene.record.exits.insert(named(first), exits);
            }
            "unrouted" => drop(self.scene.record.draining.insert(named(first), since())),
            "backoff" => {
                let backoff = &mut self.scene.record.backoff;
                (backoff.failures, backoff.until) = (3, wait(first).map(|time| NOW.after(time)));
            }
            "pin" => self.pin(first),
            "suspended" => self.scene.record.suspended = Some(word()),
            "reverted" => self.scene.record.reverted_generation = Some(self.scene.record.generation),
            _ => panic!("nobody knows what `{verb} {rest}` says"),
        }
    }

    fn promote(&mut self, number: Revision, started: Timestamp) {
        let note = self.scene.record.history.iter_mut().find(|note| note.revision == number);
        let note = note.expect("a note of what is baked");
        note.phases.push(PhaseNote { phase: DeployPhase::Bake, started, ended: None });
    }

    fn reject(&mut self, text: &str, verb: &str) {
        let release = self.release(text, &TargetName::local());
        self.note(&release, Some(if verb == "failed" { Outcome::Failed } else { Outcome::Reverted }));
        let evidence = Evidence::Exited { instance: id(release.revision, 0), code: Some(1), times: 4 };
        let rejection = Rejection { revision: release.revision, at: ago(Duration::from_secs(600)), evidence };
        self.scene.record.rejected.insert((release.digest, release.target.clone()), rejection);
    }

    fn pin(&mut self, text: &str) {
        let template = self.scene.desired().map(|desired| desired.template_digest);
        self.scene.record.pin = Some(Pin { to: revision(text), template, env: EnvOf::Then, word: word() });
    }

    fn instances(&mut self, clause: &str) {
        let (head, all) = clause.split_once(": ").expect("asked before");
        let (text, target) = head.split_once(" on ").unwrap_or((head, "local"));
        let target = TargetName::new(target).expect("a target");
        let release = self.release(text, &target);
        for one in all.split(',').map(str::trim) {
            self.instance(&release, &target, one);
        }
    }

    fn instance(&mut self, release: &Arc<Release>, target: &TargetName, text: &str) {
        let words: Vec<_> = text.split_whitespace().collect();
        let id = id(release.revision, words[0].parse().expect("an ordinal"));
        let time = words.iter().find_map(|word| wait(word));
        let (phase, health) = condition(words[1], words.get(2).and_then(|code| code.parse().ok()), time);
        let addresses: BTreeMap<_, _> =
            release.template.ports.iter().map(|port| (port.name.clone(), address(&id, 1))).collect();
        let weight = match () {
            () if words.contains(&"routed") => Some(1),
            () if words.contains(&"standby") => Some(0),
            () => None,
        };
        let at = Some(address(&id, 1));
        self.backends.extend(weight.map(|weight| Backend { instance: id.clone(), address: at, weight }));
        if let Some(index) = words.iter().position(|word| *word == "serving") {
            self.in_flight.insert(id.clone(), words[index + 1].parse().expect("a count"));
        }
        let sighting = Sighting {
            id,
            incarnation: life(1),
            release: release.digest,
            place: Place::here(),
            phase,
            addresses,
            checks: None,
            healthcheck: None,
            created: ago(Duration::from_secs(3600)),
            template: (!words.contains(&"bare")).then(|| Arc::clone(release)),
        };
        self.scene.observed.instances.push(Instance { sighting, target: target.clone(), health });
    }

    fn finish(mut self) -> Scene {
        if !self.edited {
            self.scene.record.intent = self.scene.desired().map(|desired| desired.intent);
        }
        if self.dark {
            return self.scene;
        }
        let mut share = AppRoutes::none(&web());
        self.backends.sort_by(|a, b| a.instance.cmp(&b.instance));
        if self.answers || !self.backends.is_empty() {
            share.entries.push(RouteEntry {
                host: "web.localhost".to_owned(),
                path: "/".to_owned(),
                backends: self.backends,
            });
        }
        self.scene.observed.routes = RouteSight::Seen(RouteSeen { share, in_flight: self.in_flight });
        self.scene
    }
}

fn word() -> Word {
    Word { by: "ann".to_owned(), at: ago(Duration::from_secs(600)) }
}

fn life(number: u32) -> Incarnation {
    Incarnation(format!("life-{number}").into())
}

/// Reads `r2-0`.
fn named(text: &str) -> InstanceId {
    let (number, ordinal) = text.split_once('-').expect("rN-M");
    id(revision(number), ordinal.parse().expect("an ordinal"))
}

fn passage(verb: &str, to: Revision, since: Timestamp) -> Rollout {
    let watch = Stopwatch::started(since);
    match verb {
        "rolling" => Rollout::Underway {
            to,
            stage: Stage::Start,
            began: since,
            progress: watch,
            passed: 0,
            waits: (0..4).map(|ordinal| (id(to, ordinal), watch)).collect(),
            canary: CanaryAt::default(),
        },
        "baking" => Rollout::Baking { to, began: since, bake: watch },
        _ => Rollout::Reverting { from: to, since, spent: watch },
    }
}

/// How an instance does; it does so for an hour unless said otherwise.
fn condition(word: &str, code: Option<i32>, time: Option<Duration>) -> (Phase, Health) {
    let since = ago(time.unwrap_or(Duration::from_secs(3600)));
    let running = Phase::Running { since };
    let exited = |why| Phase::Exited { code, at: since, why };
    let last = failure(since);
    match word {
        "passing" => (running, Health::Passing { since }),
        "waiting" => (running, Health::Waiting),
        "failing" => (running, Health::Failed { since, last }),
        "unknown" => (running, Health::Unknown),
        "starting" => (Phase::Starting, Health::Unknown),
        "created" => (Phase::Created, Health::Unknown),
        "asleep" => (Phase::Asleep, Health::Unknown),
        "going" => (Phase::Vanishing { since }, Health::Unknown),
        "exited" => (exited(ExitWhy::ByItself), Health::Unknown),
        "stopped" => (exited(ExitWhy::Asked), Health::Unknown),
        "lost" => (exited(ExitWhy::HostLost), Health::Unknown),
        "cannot-start" => {
            let detail = "no such command".to_owned();
            (exited(ExitWhy::CannotStart { detail }), Health::Unknown)
        }
        _ => panic!("nobody knows how one is when `{word}`"),
    }
}

/// What a failing probe got, in every world here.
pub fn failure(at: Timestamp) -> ProbeFailure {
    ProbeFailure {
        probe: Label::new("ready").expect("a literal name"),
        at,
        detail: "status 503".to_owned(),
        status: Some(503),
        body: String::new(),
    }
}
