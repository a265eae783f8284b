//! Is the new release bad?
//!
//! Reads what was seen of its instances and answers with evidence, or nothing. Knows nothing of what follows from it:
//! `passage` decides whether to revert.

use std::collections::BTreeMap;

use trueup_museum::{Bug, planted};
use trueup_types::observed::{ExitWhy, Health, Instance, Phase};
use trueup_types::record::{AppRecord, Evidence};
use trueup_types::template::RestartPolicy;
use trueup_types::time::Stopwatch;
use trueup_types::{InstanceId, Release, RouteSight, Timestamp};

use crate::census::belongs;
use crate::rollout::Scene;
use crate::surge::Surge;

/// The instances of a release, in the order they were seen.
pub(crate) fn of_release<'a>(scene: &Scene<'a>, release: &Release) -> Vec<&'a Instance> {
    scene.observed.instances.iter().filter(|one| belongs(one, release)).collect()
}

/// Whether a release that is not promoted yet has failed, short of its deadlines.
pub(crate) fn fails_fast(record: &AppRecord, scene: &Scene<'_>, release: &Release) -> Option<Evidence> {
    if let Some(evidence) = is_refused(record, release) {
        return Some(evidence);
    }
    let ours = of_release(scene, release);
    if let Some(evidence) = ours.iter().find_map(|one| cannot_start(one)) {
        return Some(evidence);
    }
    let exits = ours.iter().filter_map(|one| record.exits.get(&one.sighting.id).map(|exits| (one, exits)));
    let (mut times, mut newest) = (0, None);
    for (one, exits) in exits {
        times += exits.count;
        if newest.as_ref().is_none_or(|(_, at, _)| *at <= exits.at) {
            newest = Some((one.sighting.id.clone(), exits.at, exits.code));
        }
    }
    let (instance, _, code) = newest?;
    let restart = &release.template.restart;
    let allowed = if restart.policy == RestartPolicy::Never { 0 } else { restart.max_retries };
    (times > allowed).then_some(Evidence::Exited { instance, code, times })
}

/// Whether its target has said for good that it will not have it.
pub(crate) fn is_refused(record: &AppRecord, release: &Release) -> Option<Evidence> {
    let refused = record.refused.as_ref().filter(|refused| refused.revision == release.revision)?;
    Some(Evidence::CannotStart { instance: refused.instance.clone(), detail: refused.why.clone() })
}

fn cannot_start(one: &Instance) -> Option<Evidence> {
    let Phase::Exited { why: ExitWhy::CannotStart { detail }, .. } = &one.sighting.phase else { return None };
    Some(Evidence::CannotStart { instance: one.sighting.id.clone(), detail: detail.clone() })
}

/// Advances the wait of each instance that is not healthy yet; answers the one that has waited too long.
pub(crate) fn waits_too_long(
    waits: &mut BTreeMap<InstanceId, Stopwatch>,
    scene: &Scene<'_>,
    release: &Release,
) -> Option<Evidence> {
    let ours = of_release(scene, release);
    waits.retain(|id, _| ours.iter().any(|one| one.sighting.id == *id));
    let mut late = None;
    for one in ours {
        let passes = matches!(one.health, Health::Passing { .. });
        let up = match &one.sighting.phase {
            // One that was told to go is not late, and one that its host took along begins anew.
            Phase::Exited { why: ExitWhy::Asked, .. } => false,
            Phase::Exited { why: ExitWhy::HostLost, .. } => planted(Bug::BlamesForLostHost),
            Phase::Exited { why: ExitWhy::ByItself | ExitWhy::CannotStart { .. }, .. } => true,
            Phase::Running { .. } | Phase::Starting => true,
            Phase::Created | Phase::Asleep | Phase::Vanishing { .. } => false,
        };
        // What nobody has asked yet, or nobody can ask, has not failed to answer: a daemon that has just begun counts nothing.
        let unasked = one.health == Health::Unknown && matches!(one.sighting.phase, Phase::Running { .. });
        let watch = waits.entry(one.sighting.id.clone()).or_insert_with(|| Stopwatch::started(scene.now));
        if passes || !up {
            *watch = Stopwatch::started(scene.now);
            continue;
        }
        if unasked {
            watch.skip(scene.now);
            continue;
        }
        let sighted = if planted(Bug::CountsTheDark) { Timestamp::ZERO } else { scene.observed.sighted_since };
        watch.advance(sighted, scene.now);
        if late.is_none() && watch.reached(scene.desired.policy.healthy_deadline) {
            let last = match &one.health {
                Health::Failed { last, .. } => Some(last.clone()),
                Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
            };
            late = Some(Evidence::NotHealthyInTime { instance: one.sighting.id.clone(), last });
        }
    }
    late
}

/// What a bake found.
pub(crate) enum Bake {
    /// Nothing wrong.
    Good,
    /// The new release is bad.
    Bad(Evidence),
    /// The new one fails, and the old one with it: evidence of something else.
    BothFail,
    /// The new one fails, and nobody has heard yet how the old one does at the same time.
    Unsure,
}

/// What the old ones say of a failure of the new.
enum Control {
    /// There are none, or one of them passed when the new one failed: the new one is to blame.
    Passes,
    /// They fail too.
    Fails,
    /// None of them was asked at a time that compares.
    Silent,
}

/// Whether a promoted release has failed within its bake; `crashed` is the newest exit by itself of any instance.
///
/// One that began its life within the bake (it was added, or came back from a loss of its host) never passed the gate:
/// it is given the time that the gate gives.
pub(crate) fn bakes(
    scene: &Scene<'_>,
    release: &Release,
    good: Option<&Release>,
    crashed: Option<&Instance>,
    promoted: Option<Timestamp>,
) -> Bake {
    let ours = of_release(scene, release);
    if let Some(evidence) = ours.iter().find_map(|one| cannot_start(one)) {
        return Bake::Bad(evidence);
    }
    let failing = ours.iter().find_map(|one| match &one.health {
        Health::Failed { last, .. } if judged_from(scene, one, promoted).is_some_and(|due| due <= scene.now) => {
            Some(Evidence::FailedInBake { instance: one.sighting.id.clone(), last: last.clone() })
        }
        Health::Failed { .. } | Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
    });
    let crash = crashed.filter(|one| belongs(one, release) && !planted(Bug::MissesCrashInBake));
    let crash = crash.and_then(|one| match &one.sighting.phase {
        Phase::Exited { code, .. } => {
            Some(Evidence::Exited { instance: one.sighting.id.clone(), code: *code, times: 1 })
        }
        Phase::Created | Phase::Starting | Phase::Running { .. } | Phase::Asleep | Phase::Vanishing { .. } => None,
    });
    let Some(evidence) = crash.or(failing) else { return Bake::Good };
    match control(scene, (release, good), &evidence, promoted) {
        Control::Passes => Bake::Bad(evidence),
        Control::Fails => Bake::BothFail,
        Control::Silent => Bake::Unsure,
    }
}

/// From when on a failure within the bake counts against one that fails: it has passed the gate, or has had as long as the
/// gate gives while it is seen. One that came late, or failed when enough of the others had passed, never passed it.
fn judged_from(scene: &Scene<'_>, one: &Instance, promoted: Option<Timestamp>) -> Option<Timestamp> {
    let (Health::Failed { since: failed, .. }, Phase::Running { since }) = (&one.health, &one.sighting.phase) else {
        return None;
    };
    let routes = &scene.observed.routes;
    let routed = matches!(routes, RouteSight::Seen(seen) if seen.share.weight_of(&one.sighting.id) > 0);
    let passed_the_gate = promoted.is_none_or(|promoted| *since <= promoted && (routed || *failed > promoted));
    let seen_since = (*since).max(scene.observed.sighted_since);
    Some(if passed_the_gate { *since } else { seen_since.after(scene.desired.policy.healthy_deadline) })
}

/// When the youngest of those that began their lives within the bake will have lived as long as one: what its host lost, or
/// a third party took, has to be watched anew. Nothing where there are none.
pub(crate) fn youngest_due(scene: &Scene<'_>, release: &Release, promoted: Option<Timestamp>) -> Option<Timestamp> {
    let lives = of_release(scene, release).into_iter().filter_map(|one| match one.sighting.phase {
        Phase::Running { since } => Some(since),
        Phase::Created | Phase::Starting | Phase::Asleep | Phase::Exited { .. } | Phase::Vanishing { .. } => None,
    });
    let young = lives.filter(|since| promoted.is_some_and(|promoted| *since > promoted));
    young.max().map(|since| since.after(scene.desired.policy.bake))
}

/// When the next one that fails, and has not passed the gate, has had its time.
pub(crate) fn next_judged(scene: &Scene<'_>, release: &Release, promoted: Option<Timestamp>) -> Option<Timestamp> {
    let due = of_release(scene, release).into_iter().filter_map(|one| judged_from(scene, one, promoted));
    due.filter(|due| *due > scene.now).min()
}

/// Asks the old ones about a failure of the new.
///
/// What both suffer ends for one of them first: that the old ones pass again says something only once the new one was
/// asked since, and failed. It is not waited for longer than the gate waits for health.
fn control(
    scene: &Scene<'_>,
    (release, good): (&Release, Option<&Release>),
    evidence: &Evidence,
    promoted: Option<Timestamp>,
) -> Control {
    let old = good.map(|release| of_release(scene, release)).unwrap_or_default();
    let running: Vec<_> = old.iter().filter(|one| matches!(one.sighting.phase, Phase::Running { .. })).collect();
    if planted(Bug::BlamesWhatBothSuffer) {
        return Control::Passes;
    }
    // One that failed too long is stopped and started again, where it is kept beside the new one. What it says then is not
    // waited for longer than the gate waits for health.
    let kept = Surge::of(scene.desired, Some(release)).keeps_old;
    let seen_for = |at: Timestamp| scene.now.since(at.max(scene.observed.sighted_since));
    let lately = |at: Timestamp| kept && seen_for(at) < scene.desired.policy.healthy_deadline;
    if running.is_empty() {
        let stopped =
            |one: &&Instance| matches!(one.sighting.phase, Phase::Exited { why: ExitWhy::Asked, at, .. } if lately(at));
        return if old.iter().any(stopped) { Control::Silent } else { Control::Passes };
    }
    let fails = |one: &&Instance| matches!(one.health, Health::Failed { .. });
    if running.iter().all(|one| fails(one)) {
        return Control::Fails;
    }
    if running.iter().all(|one| fails(one) || young_since(one, promoted).is_some_and(lately)) {
        return Control::Silent;
    }
    // An exit is its own doing, whatever anybody was asked.
    let Evidence::FailedInBake { instance, last } = evidence else { return Control::Passes };
    let passed = running.iter().any(|one| matches!(one.health, Health::Passing { since } if since <= last.at));
    let failed_since = scene.observed.instances.iter().filter(|one| one.sighting.id == *instance);
    let failed_since = failed_since.filter_map(|one| match one.health {
        Health::Failed { since, .. } => Some(since),
        Health::Waiting | Health::Passing { .. } | Health::Unknown => None,
    });
    let long = failed_since.min().is_none_or(|since| seen_for(since) >= scene.desired.policy.healthy_deadline);
    if passed || long { Control::Passes } else { Control::Silent }
}

/// Since when one lives that began within the bake and has yet to say how it does.
fn young_since(one: &Instance, promoted: Option<Timestamp>) -> Option<Timestamp> {
    let silent = matches!(one.health, Health::Waiting | Health::Unknown);
    match one.sighting.phase {
        Phase::Running { since } if silent && promoted.is_some_and(|promoted| since > promoted) => Some(since),
        Phase::Running { .. }
        | Phase::Created
        | Phase::Starting
        | Phase::Asleep
        | Phase::Exited { .. }
        | Phase::Vanishing { .. } => None,
    }
}

/// One line of evidence, for people: no body, no log.
#[must_use]
pub fn sentence(evidence: &Evidence) -> String {
    let coded = |code: &Option<i32>| code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
    match evidence {
        Evidence::Exited { instance, code, times: 1 } => format!("{instance} exited with {}", coded(code)),
        Evidence::Exited { instance, code, times } => {
            format!("its instances exited {times} times, last {instance} with {}", coded(code))
        }
        Evidence::CannotStart { instance, detail } => format!("{instance} cannot start: {detail}"),
        Evidence::NotHealthyInTime { instance, last: Some(last) } => {
            format!("{instance} was not healthy in time: probe {}: {}", last.probe, last.detail)
        }
        Evidence::NotHealthyInTime { instance, last: None } => format!("{instance} was not healthy in time"),
        Evidence::FailedInBake { instance, last } => {
            format!("{instance} failed within its bake: probe {}: {}", last.probe, last.detail)
        }
        Evidence::Analysis { name, detail } => format!("analysis {name}: {detail}"),
        Evidence::Hook { task, name, detail, .. } => format!("{} hook {name}: {detail}", task.as_str()),
        Evidence::NoProgress => "it made no progress in time".to_owned(),
        Evidence::Aborted { by } => format!("aborted by {by}"),
    }
}
