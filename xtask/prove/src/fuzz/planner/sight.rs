//! What is seen: anything that a look could show, and much that no world would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use trueup_types::desired::{Doubt, Inputs};
use trueup_types::observed::{ExitWhy, Incarnation, ProbeFailure, RouteSeen, Sighting};
use trueup_types::record::Rollout;
use trueup_types::release::Origin;
use trueup_types::route::{AppRoutes, Backend, RouteEntry};
use trueup_types::{
    Health, Instance, InstanceId, Label, Observed, Ordinal, Phase, Place, Release, Revision, RouteSight,
    TemplateDigest, Timestamp,
};

use super::{BEGINNING, Bytes, Life, target_of, template};

/// Most instances of one sight.
const INSTANCES_MAX: usize = 6;

impl Life {
    /// A look at the world that the bytes tell of.
    pub(super) fn look(&self, bytes: &mut Bytes<'_>) -> Observed {
        if self.calm {
            return self.left(bytes);
        }
        let mut names = BTreeSet::new();
        let mut instances: Vec<_> =
            (0..bytes.up_to(u32::try_from(INSTANCES_MAX).expect("few"))).map(|_| self.instance(bytes)).collect();
        // What a name stands for is one thing: a revision lives on one target.
        instances.retain(|one| names.insert(one.sighting.id.clone()));
        let routes = if bytes.rarely(8) {
            RouteSight::Unknown(Doubt::TargetDark("edge".to_owned()))
        } else {
            RouteSight::Seen(self.routes(&instances, bytes))
        };
        let sighted_since = bytes.of(&[Timestamp::ZERO, BEGINNING, self.now]).min(self.now);
        Observed::sorted(self.now, sighted_since, instances, routes)
    }

    /// A look at a world that is as the daemon left it: the release that is good has all of its instances, behind the
    /// routes, and the one that it goes to has some. How many, and how each release fares, the bytes tell.
    fn left(&self, bytes: &mut Bytes<'_>) -> Observed {
        let good = self.record.current.unwrap_or(Revision(1));
        let to = match self.record.rollout {
            Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => to,
            Rollout::Reverting { from, .. } => from,
            Rollout::Idle => good,
        };
        let (mut instances, mut backends) = (Vec::new(), Vec::new());
        for revision in BTreeSet::from([good, to]) {
            let known = self.record.release(revision).cloned();
            let release = known.unwrap_or_else(|| self.release(revision, bytes));
            let count = if revision == good { self.sketch.replicas } else { bytes.up_to(self.sketch.replicas) };
            let since = self.before(bytes);
            let health = health(since, bytes);
            for ordinal in 0..count {
                let id = InstanceId::new(&self.sketch.name, revision, Ordinal(ordinal));
                let phase = Phase::Running { since };
                let sighting = sighting(id.clone(), &release, phase, since, "life-0".to_owned());
                if revision == good {
                    let address = sighting.addresses.values().next().copied();
                    backends.push(Backend { instance: id, address, weight: 1 });
                }
                instances.push(Instance { sighting, target: release.target.clone(), health: health.clone() });
            }
        }
        let mut share = AppRoutes::none(&self.sketch.name);
        if !self.sketch.exposure.routes.is_empty() {
            share.entries.push(RouteEntry { host: "web.localhost".to_owned(), path: "/".to_owned(), backends });
        }
        let routes = RouteSight::Seen(RouteSeen { share, in_flight: BTreeMap::new() });
        Observed { at: self.now, sighted_since: BEGINNING, instances, tasks: Vec::new(), routes }
    }

    fn instance(&self, bytes: &mut Bytes<'_>) -> Instance {
        // Mostly of the newest releases, which matter most.
        let newest = self.record.highest.0;
        let revision = Revision(newest.saturating_sub(u64::from(bytes.up_to(2))).max(1) + u64::from(bytes.rarely(16)));
        let id = InstanceId::new(&self.sketch.name, revision, Ordinal(bytes.up_to(3)));
        let known = self.record.release(revision).cloned().filter(|_| !bytes.rarely(12));
        let release = known.unwrap_or_else(|| self.release(revision, bytes));
        let since = self.before(bytes);
        let phase = phase(since, bytes);
        let health = health(since, bytes);
        let life = format!("life-{}", bytes.up_to(3));
        let mut sighting = sighting(id, &release, phase, since, life);
        sighting.template = sighting.template.filter(|_| !bytes.rarely(6));
        let target = if bytes.rarely(8) { target_of(bytes) } else { release.target.clone() };
        Instance { sighting, target, health }
    }

    fn release(&self, revision: Revision, bytes: &mut Bytes<'_>) -> Arc<Release> {
        let template = template(bytes.of(&["v1", "v2", "v3", "v4", "v9"]));
        let inputs = Inputs::default();
        let digest = Release::digest_of(TemplateDigest::of(&template), &inputs);
        let (app, exposure) = (self.sketch.name.clone(), self.sketch.exposure.clone());
        let (target, origin) = (self.sketch.target.clone(), Origin::default());
        Arc::new(Release { app, revision, digest, target, template, exposure, stop_first: None, inputs, origin })
    }

    fn before(&self, bytes: &mut Bytes<'_>) -> Timestamp {
        let ago = bytes.of(&[0_u64, 500, 5_000, 30_000, 3_600_000]);
        Timestamp::from_millis(self.now.as_millis() - ago)
    }

    fn routes(&self, instances: &[Instance], bytes: &mut Bytes<'_>) -> RouteSeen {
        let mut share = AppRoutes::none(&self.sketch.name);
        let mut in_flight = BTreeMap::new();
        let mut backends = Vec::new();
        for one in instances {
            let id = &one.sighting.id;
            if bytes.yes() {
                let address = one.sighting.addresses.values().next().copied();
                backends.push(Backend { instance: id.clone(), address, weight: bytes.up_to(1) });
            }
            if bytes.rarely(4) {
                in_flight.insert(id.clone(), bytes.up_to(2));
            }
        }
        backends.sort_by(|one, other| one.instance.cmp(&other.instance));
        backends.dedup_by(|one, other| one.instance == other.instance);
        if !backends.is_empty() || bytes.yes() {
            share.entries.push(RouteEntry { host: "web.localhost".to_owned(), path: "/".to_owned(), backends });
        }
        RouteSeen { share, in_flight }
    }
}

/// An instance of a release as its target shows it.
fn sighting(id: InstanceId, release: &Arc<Release>, phase: Phase, since: Timestamp, life: String) -> Sighting {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000));
    Sighting {
        id,
        incarnation: Incarnation(life.into()),
        release: release.digest,
        place: Place::here(),
        phase,
        addresses: release.template.ports.iter().map(|port| (port.name.clone(), address)).collect(),
        checks: None,
        healthcheck: None,
        created: since,
        template: Some(Arc::clone(release)),
    }
}

fn phase(since: Timestamp, bytes: &mut Bytes<'_>) -> Phase {
    let exited = |code, why| Phase::Exited { code, at: since, why };
    bytes.of(&[
        Phase::Running { since },
        Phase::Running { since },
        Phase::Running { since },
        exited(Some(1), ExitWhy::ByItself),
        exited(Some(0), ExitWhy::ByItself),
        exited(None, ExitWhy::Asked),
        exited(None, ExitWhy::HostLost),
        exited(Some(127), ExitWhy::CannotStart { detail: "no such file".to_owned() }),
        Phase::Vanishing { since },
        Phase::Created,
        Phase::Starting,
        Phase::Asleep,
    ])
}

fn health(since: Timestamp, bytes: &mut Bytes<'_>) -> Health {
    let probe = Label::new("ready").expect("a literal name");
    let last = ProbeFailure { probe, at: since, detail: "503".to_owned(), status: Some(503), body: String::new() };
    bytes.of(&[
        Health::Passing { since },
        Health::Passing { since },
        Health::Waiting,
        Health::Failed { since, last },
        Health::Unknown,
    ])
}
