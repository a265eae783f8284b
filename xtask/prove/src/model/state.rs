//! One state of a small world: what there is, what the daemon remembers, and what is left to go wrong.
//!
//! A state is small and cheap to copy: all that is big is shared. Who looks gets an [`Observed`] as the driver would
//! make it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use trueup_types::desired::{Cause, Doubt, Hold, Permits, Prune, Readiness, Wanted};
use trueup_types::observed::{ExitWhy, Health, Incarnation, Instance, Phase, ProbeFailure, RouteSeen, RouteSight};
use trueup_types::step::Step;
use trueup_types::{AppName, AppRecord, AppRoutes, InstanceId, Label, Observed, Place, Release, Sighting};
use trueup_types::{TargetName, Timestamp, Wake};

use super::world::{World, web};

/// When a world begins: long after the beginning of time, so that ages of an hour are moments too.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_000_000_000);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A version, so many times; both by their place in the world's lists.
    Present { version: u8, size: u8 },
    /// The manifest is gone.
    Gone,
}

/// What holds the app back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Destroy,
    Rollout,
    Dependency,
}

/// A hook that began, ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub id: InstanceId,
    /// It ended well.
    pub well: bool,
}

/// One instance, as it truly is.
#[derive(Debug, Clone)]
pub struct Being {
    pub id: InstanceId,
    pub release: Arc<Release>,
    pub version: u8,
    pub life: u32,
    pub incarnation: Incarnation,
    /// This life's beginning.
    pub since: Timestamp,
    pub doing: Doing,
    /// A long request is on its way to it.
    pub busy: bool,
    /// Since when it has been out of the live table.
    pub unrouted: Timestamp,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Waiting,
    Well { since: Timestamp },
    Sick { since: Timestamp },
    Going,
    Down { at: Timestamp, why: End },
}

/// Of whose doing an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A hook's, when it has done its work.
    Finished,
    ItsOwn,
    Asked,
    HostLost,
    CannotStart,
}

/// A call that takes effect later.
#[derive(Debug, Clone)]
pub struct Late {
    pub step: Step,
    /// The table at that moment: a newer one shuts out an older one.
    pub tables: u32,
}

/// What a second daemon is about to do.
#[derive(Debug, Clone)]
pub struct Second {
    pub steps: Vec<Step>,
    pub next: usize,
    pub tables: u32,
}

/// What the laws remember by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ghost {
    /// Versions that were promoted, as bits.
    pub good: u8,
    /// Digests that were rejected, as bits of their numbers.
    pub rejected: u32,
    /// Versions that something happened to which may be held against them, as bits.
    pub excused: u8,
    /// A revert has begun since the wish last changed.
    pub reverted: bool,
    /// The wish that was last acted on.
    pub seen: Option<(u8, u8)>,
}

/// One state of a world.
#[derive(Debug, Clone)]
pub struct State {
    pub now: Timestamp,
    pub wish: Wish,
    /// The manifests cannot be read.
    pub doubt: bool,
    pub held: Option<Held>,
    /// What the daemon remembers, in its head and in the store.
    pub record: Arc<AppRecord>,
    /// In name order.
    pub beings: Vec<Being>,
    pub share: Arc<AppRoutes>,
    /// How many tables were taken.
    pub tables: u32,
    pub dark: bool,
    pub sighted_since: Timestamp,
    /// The daemon has not asked any probe yet.
    pub blind: bool,
    /// The store was lost, and not every target seen since.
    pub rebuilt: bool,
    /// The daemon has nothing to do at this moment, and will look again then.
    pub quiet: Option<Wake>,
    pub late: Option<Arc<Late>>,
    pub old: Option<Arc<Observed>>,
    pub second: Option<Arc<Second>>,
    /// Edits, faults and words that are left.
    pub left: [u8; 3],
    pub ghost: Ghost,
    /// The hooks that began, as long as anybody could know of them.
    pub ran: Arc<Vec<Ran>>,
    pub lives: u32,
}

impl Being {
    /// Whether it is there to serve, and not to run a hook.
    pub fn serves(&self) -> bool {
        self.id.task.is_none()
    }

    /// Whether it answers well.
    pub fn passes(&self) -> bool {
        matches!(self.doing, Doing::Well { .. })
    }

    /// Whether a process of it is there.
    pub fn runs(&self) -> bool {
        match self.doing {
            Doing::Waiting | Doing::Well { .. } | Doing::Sick { .. } | Doing::Going => true,
            Doing::Down { .. } => false,
        }
    }

    /// Whether it runs and was not told to go.
    pub fn up(&self) -> bool {
        self.runs() && self.doing != Doing::Going
    }

    /// Where it answers in this life.
    pub fn address(&self) -> SocketAddr {
        let port = 20_000 + u16::try_from(self.life % 10_000).expect("below 10,000");
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn phase(&self) -> Phase {
        match self.doing {
            Doing::Waiting | Doing::Well { .. } | Doing::Sick { .. } => Phase::Running { since: self.since },
            Doing::Going => Phase::Vanishing { since: self.since },
            Doing::Down { at, why } => {
                let (code, why) = match why {
                    End::Finished => (Some(0), ExitWhy::ByItself),
                    End::ItsOwn => (Some(1), ExitWhy::ByItself),
                    End::Asked => (Some(143), ExitWhy::Asked),
                    End::HostLost => (None, ExitWhy::HostLost),
                    End::CannotStart => (None, ExitWhy::CannotStart { detail: "no such command".to_owned() }),
                };
                Phase::Exited { code, at, why }
            }
        }
    }

    /// Its health as the probes found it; one that fails has just been asked again.
    fn health(&self, blind: bool, now: Timestamp) -> Health {
        match self.doing {
            Doing::Going | Doing::Down { .. } => Health::Unknown,
            Doing::Waiting | Doing::Well { .. } | Doing::Sick { .. } if !self.serves() => Health::Unknown,
            Doing::Waiting | Doing::Well { .. } | Doing::Sick { .. } if blind => Health::Unknown,
            Doing::Waiting => Health::Waiting,
            Doing::Well { since } => Health::Passing { since },
            Doing::Sick { since } => Health::Failed { since, last: failure(now) },
        }
    }

    fn sighting(&self) -> Sighting {
        let ports = self.release.template.ports.iter();
        Sighting {
            id: self.id.clone(),
            incarnation: self.incarnation.clone(),
            release: self.release.digest,
            place: Place::here(),
            phase: self.phase(),
            addresses: ports.map(|port| (port.name.clone(), self.address())).collect(),
            checks: None,
            healthcheck: None,
            created: self.since,
            template: Some(Arc::clone(&self.release)),
        }
    }
}

fn failure(at: Timestamp) -> ProbeFailure {
    let probe = Label::new("ready").expect("a literal name");
    ProbeFailure { probe, at, detail: "status 500".to_owned(), status: Some(500), body: String::new() }
}

impl State {
    /// A world in which nothing is there, and the first version is wanted.
    pub fn empty(world: &World) -> Self {
        Self {
            now: BEGINNING,
            wish: Wish::Present { version: 0, size: 0 },
            doubt: false,
            held: None,
            record: Arc::default(),
            beings: Vec::new(),
            share: Arc::new(AppRoutes::none(&web())),
            tables: 0,
            dark: false,
            sighted_since: BEGINNING,
            blind: false,
            rebuilt: false,
            quiet: None,
            late: None,
            old: None,
            second: None,
            left: world.scenario.purses,
            ghost: Ghost::default(),
            ran: Arc::default(),
            lives: 0,
        }
    }

    /// What the source hands out.
    pub fn wanted(&self, world: &World) -> Wanted {
        match self.wish {
            Wish::Present { .. } | Wish::Gone if self.doubt => {
                Wanted::Held { why: Doubt::SourceUnavailable("the root cannot be read".to_owned()) }
            }
            Wish::Present { version, size } => Wanted::Present(Arc::clone(world.app(version, size))),
            Wish::Gone => Wanted::Gone { cause: Cause::Removed, prune: Prune::Delete },
        }
    }

    /// What the driver permits.
    pub fn permits(&self) -> Permits {
        let mut permits = Permits::all();
        match self.held {
            None => {}
            Some(Held::Destroy) => permits.destroy = Err(Hold::PruneBlocked { waiting: 1 }),
            Some(Held::Rollout) => permits.start_rollout = Err(Hold::RolloutCap { limit: 1 }),
            Some(Held::Dependency) => {
                let other = AppName::new("db").expect("a literal name");
                permits.dependencies = BTreeMap::from([(other, Readiness::NotReady)]);
            }
        }
        if self.rebuilt {
            permits.destroy = Err(Hold::InDoubt(Doubt::StoreRebuilt));
        }
        if self.doubt {
            permits.destroy = Err(Hold::InDoubt(Doubt::SourceUnavailable("the root cannot be read".to_owned())));
        }
        permits
    }

    /// What a look sees.
    pub fn look(&self) -> Observed {
        let instances = self.beings.iter().map(|being| Instance {
            sighting: being.sighting(),
            target: TargetName::local(),
            health: being.health(self.blind, self.now),
        });
        Observed::sorted(self.now, self.sighted_since, instances.collect(), self.routes())
    }

    /// What the edge shows.
    pub fn routes(&self) -> RouteSight {
        if self.dark {
            return RouteSight::Unknown(Doubt::TargetDark("the edge does not answer".to_owned()));
        }
        let busy = self.beings.iter().filter(|being| being.busy).map(|being| (being.id.clone(), 1));
        RouteSight::Seen(RouteSeen { share: AppRoutes::clone(&self.share), in_flight: busy.collect() })
    }

    /// The wanted number of instances; none when the app is gone.
    pub fn replicas(&self, world: &World) -> u32 {
        match self.wish {
            Wish::Present { size, .. } => world.shape.sizes[usize::from(size)],
            Wish::Gone => 0,
        }
    }

    /// Memory is lost: what a hook left nothing of, nobody can know of any more.
    pub fn forget_ran(&mut self) {
        let there = |id: &InstanceId| self.beings.iter().any(|being| being.id == *id);
        if !self.ran.iter().all(|ran| there(&ran.id)) {
            self.ran = Arc::new(self.ran.iter().filter(|ran| there(&ran.id)).cloned().collect());
        }
    }

    /// The instances that are there to serve.
    pub fn serving(&self) -> impl Iterator<Item = &Being> {
        self.beings.iter().filter(|being| being.serves())
    }

    /// Where an instance of this name is, if there is one.
    pub fn find(&self, id: &InstanceId) -> Option<usize> {
        self.beings.iter().position(|being| being.id == *id)
    }
}
