//! Puts every instance in exactly one bucket, once.
//!
//! Given what was seen and which release the app heads for, says of each instance what it is to that heading
//! ([`Role`]) and how it does ([`Vigour`]). Everything later asks the census, never the sightings again. Knows nothing
//! of routes, drains or surges.

use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_types::exposure::Exposure;
use trueup_types::observed::{ExitWhy, Health, Instance, Phase};
use trueup_types::template::RestartPolicy;
use trueup_types::{InstanceId, Observed, Release, RouteSight, Timestamp};

/// What an instance is to the release that the app heads for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Of the release that the app heads for.
    Fresh,
    /// Of the last good release, while another is rolled out: the way back.
    Kept,
    /// Of any other release.
    Stale,
}

/// How an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vigour {
    /// Passes, and has for `minHealthy`.
    Steady,
    /// Passes, not yet for `minHealthy`.
    Passing,
    /// Runs; nobody knows its health.
    Unknown,
    /// Runs, or comes up, and has not passed yet.
    Waiting,
    /// Runs and fails its probes.
    Failing,
    /// Has done its work.
    Completed,
    /// Down.
    Down,
    /// Told to go.
    Going,
}

impl Vigour {
    /// Whether it answers well.
    pub(crate) fn passes(self) -> bool {
        match self {
            Self::Steady | Self::Passing => true,
            Self::Unknown | Self::Waiting | Self::Failing | Self::Completed | Self::Down | Self::Going => false,
        }
    }

    /// Whether it takes the place of a running instance.
    pub(crate) fn runs(self) -> bool {
        match self {
            Self::Steady | Self::Passing | Self::Unknown | Self::Waiting | Self::Failing => true,
            Self::Completed | Self::Down | Self::Going => false,
        }
    }
}

/// One instance in its bucket.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// As seen.
    pub seen: &'a Instance,
    /// What it is.
    pub role: Role,
    /// How it does.
    pub vigour: Vigour,
    /// Whether the live table sends it anything.
    pub routed: bool,
    /// How much, relative to the others; the most of any way in.
    pub weight: u32,
    /// Whether the live table names it at all, be it only on standby.
    pub listed: bool,
    /// Requests in flight.
    pub in_flight: u32,
    /// Who may reach what its own release is.
    pub own: Option<&'a Exposure>,
}

impl Member<'_> {
    /// Its name.
    pub(crate) fn id(&self) -> &InstanceId {
        &self.seen.sighting.id
    }

    /// When it went down, if it is down. One that was made and never started is down through nobody's fault.
    pub(crate) fn exited(&self) -> Option<(Option<i32>, Timestamp, &ExitWhy)> {
        match &self.seen.sighting.phase {
            Phase::Exited { code, at, why } => Some((*code, *at, why)),
            Phase::Created => Some((None, self.seen.sighting.created, &ExitWhy::HostLost)),
            Phase::Starting | Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => None,
        }
    }
}

/// All instances of an app, each in one bucket, in name order.
#[derive(Debug, Clone)]
pub(crate) struct Census<'a> {
    pub members: Vec<Member<'a>>,
}

impl<'a> Census<'a> {
    /// Takes the census for a heading; `good` is the last good release, if another is rolled out.
    pub(crate) fn take(
        observed: &'a Observed,
        heading: Option<&'a Release>,
        good: Option<&'a Release>,
        min_healthy: Duration,
        now: Timestamp,
    ) -> Self {
        let is = |one: &Instance, release: Option<&Release>| release.is_some_and(|release| belongs(one, release));
        let role = |one: &Instance| match () {
            () if is(one, heading) => Role::Fresh,
            () if is(one, good) => Role::Kept,
            () => Role::Stale,
        };
        let members: Vec<_> = observed
            .instances
            .iter()
            .map(|one| {
                let (weight, listed, in_flight) = traffic(&observed.routes, one, has_twin(observed, one));
                let since = observed.sighted_since;
                let role = role(one);
                let release = match role {
                    Role::Fresh => heading,
                    Role::Kept => good,
                    Role::Stale => one.sighting.template.as_deref(),
                };
                let vigour = vigour(one, release, min_healthy, since, now);
                let own = release.map(|release| &release.exposure);
                Member { seen: one, role, vigour, routed: weight > 0, weight, listed, in_flight, own }
            })
            .collect();
        Self { members }
    }

    /// Those of one role.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &Member<'a>> + Clone {
        self.members.iter().filter(move |member| member.role == role)
    }

    /// How many of one role there are whose vigour is asked for.
    pub(crate) fn count(&self, role: Role, wanted: impl Fn(Vigour) -> bool) -> u32 {
        u32::try_from(self.of(role).filter(|member| wanted(member.vigour)).count()).unwrap_or(u32::MAX)
    }
}

/// Whether an instance is of a release: its name, its label and its place all say so.
pub(crate) fn belongs(one: &Instance, release: &Release) -> bool {
    one.sighting.id.revision == release.revision
        && (one.sighting.release == release.digest || planted(Bug::KnowsByNameOnly))
        && one.target == release.target
}

/// Whether another of the same name is on another target: memory was lost while that one was out of sight.
fn has_twin(observed: &Observed, one: &Instance) -> bool {
    let id = &one.sighting.id;
    // They lie side by side, in name order.
    let from = observed.instances.partition_point(|other| other.sighting.id < *id);
    observed.instances[from..]
        .iter()
        .take_while(|other| other.sighting.id == *id)
        .any(|other| other.target != one.target)
}

/// A table knows names; of twins the address says which of them is meant.
fn traffic(routes: &RouteSight, one: &Instance, twin: bool) -> (u32, bool, u32) {
    let id = &one.sighting.id;
    let RouteSight::Seen(seen) = routes else { return (0, false, 0) };
    let in_flight = seen.in_flight.get(id).copied().unwrap_or(0);
    if !twin {
        return (seen.share.weight_of(id), seen.share.lists(id), in_flight);
    }
    let here = |address| one.sighting.addresses.values().any(|one| *one == address);
    let backends = seen.share.entries.iter().flat_map(|entry| &entry.backends);
    let ours = backends.filter(|backend| backend.instance == *id && backend.address.is_none_or(here));
    let weight = ours.map(|backend| backend.weight).max();
    (weight.unwrap_or(0), weight.is_some(), in_flight)
}

fn vigour(
    one: &Instance,
    release: Option<&Release>,
    min_healthy: Duration,
    sighted_since: Timestamp,
    now: Timestamp,
) -> Vigour {
    match &one.sighting.phase {
        Phase::Vanishing { .. } => Vigour::Going,
        Phase::Exited { code, why, .. } => match why {
            ExitWhy::ByItself if completed(*code, release) => Vigour::Completed,
            ExitWhy::ByItself | ExitWhy::Asked | ExitWhy::HostLost | ExitWhy::CannotStart { .. } => Vigour::Down,
        },
        Phase::Created => Vigour::Down,
        Phase::Starting => Vigour::Waiting,
        Phase::Asleep => Vigour::Steady,
        Phase::Running { .. } => match &one.health {
            Health::Passing { .. } if planted(Bug::IgnoresMinHealthy) => Vigour::Steady,
            Health::Passing { since } if now.since((*since).max(sighted_since)) >= min_healthy => Vigour::Steady,
            Health::Passing { .. } => Vigour::Passing,
            Health::Failed { .. } => Vigour::Failing,
            Health::Waiting if planted(Bug::CountsUnreadyAsReady) => Vigour::Steady,
            Health::Waiting => Vigour::Waiting,
            Health::Unknown if planted(Bug::TakesUnknownForReady) => Vigour::Steady,
            Health::Unknown if planted(Bug::TakesUnknownForFailing) => Vigour::Down,
            Health::Unknown => Vigour::Unknown,
        },
    }
}

fn completed(code: Option<i32>, release: Option<&Release>) -> bool {
    let policy = release.map_or(RestartPolicy::Always, |release| release.template.restart.policy);
    match policy {
        RestartPolicy::Always => false,
        RestartPolicy::OnFailure | RestartPolicy::Never => code == Some(0),
    }
}
