//! Makes what is shown of each app, and of the daemon: the status document.
//!
//! An app's part is made at the end of its tick, and spelled when the document is put together, once for each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use trueup_seams::{Snapshot, StoreHealth};
use trueup_types::fly::FlySpec;
use trueup_types::observed::{Health, Phase};
use trueup_types::policy::CanaryStep;
use trueup_types::record::{AppRecord, HookRun, Rollout};
use trueup_types::status::{
    AppMetadata, AppState, AppStatus, Condition, ConditionStatus, DaemonStatus, Decision, HookStatus, InstanceStatus,
    RejectedStatus, ReleaseContent, ReleaseStatus, RouteStatus, STATUS_VERSION, StatusDocument, TargetStatus,
};
use trueup_types::verdict::State;
use trueup_types::{
    AppName, Certificate, Generation, Instance, InstanceId, Observed, Revision, RouteSight, TargetName, Timestamp,
    Verdict,
};

use crate::engine::{Cell, DECISIONS_MAX, Engine, Shown};
use crate::{certificates, conditions};

/// Releases shown of an app's history; BEHAVIOUR.md says 10.
const HISTORY_MAX: usize = 10;

/// Remembers a decision, for `trueup why`.
pub(crate) fn decision(cell: &Cell, at: Timestamp, woke_by: &str, lines: Vec<String>) {
    let mut shown = cell.shown.lock().expect("no holder panics");
    shown.decisions.push_front(Arc::new(Decision { at, woke_by: woke_by.to_owned(), lines }));
    shown.decisions.truncate(DECISIONS_MAX);
}

/// Makes what is shown of one app, and wakes those that wait for it.
pub(crate) fn app(
    engine: &Engine,
    app: &AppName,
    cell: &Cell,
    snapshot: &Snapshot,
    record: &AppRecord,
    verdict: &Verdict,
    observed: &Observed,
) {
    let now = engine.now();
    let mut shown = cell.shown.lock().expect("no holder panics");
    let old = shown.status.clone();
    let found = snapshot.apps.get(app);
    let error = found.and_then(|found| found.error.clone());
    let before = old.as_ref().map(|old| old.status.conditions.as_slice()).unwrap_or_default();
    let desired = found.map(|found| found.desired.as_ref());
    let steps = desired.map(|desired| desired.policy.steps.as_slice()).unwrap_or_default();
    // A look that saw nothing shows what was last seen.
    let unseen = matches!(verdict.state, State::Unknown(_)) && observed.instances.is_empty();
    let instances = match &old {
        Some(old) if unseen => old.status.instances.clone(),
        Some(_) | None => observed.instances.iter().map(|one| instance(one, record, observed)).collect(),
    };
    let certificates = certificates::of(engine, app, record);
    let mut all = conditions::conditions(verdict, record, steps, error.as_deref(), before, now);
    all.extend(certificates::condition(&certificates, verdict.generation, before, now));
    let status = AppStatus {
        metadata: AppMetadata {
            name: app.clone(),
            generation: record.generation,
            labels: desired.map(|desired| desired.labels.clone()).unwrap_or_default(),
        },
        status: AppState {
            observed_generation: verdict.generation,
            conditions: all,
            word: conditions::word(verdict, record, steps, error.as_deref()),
            verdict: verdict.clone(),
            target: desired.map_or_else(|| last_home(record), |desired| desired.placement.target.clone()),
            called: called(engine, app, record),
            replicas: verdict.counts,
            instances,
            routes: routes(engine, app, record, observed, &certificates),
            release: release(record, verdict, steps),
            last_good: record.current,
            rejected: rejected(record),
            history: record.history.iter().rev().take(HISTORY_MAX).cloned().collect(),
            hooks: hooks(record),
            contents: contents(record),
            pin: record.pin.clone(),
            drift: drift(verdict, record),
            manifest_error: error,
            decisions: shown.decisions.iter().cloned().collect(),
            since: record.history.first().map_or(now, |note| note.started),
        },
    };
    let ready = verdict.serving && !verdict.reverted && matches!(verdict.state, State::Ready)
        || verdict.state == State::Completed;
    let turned = shown.ready != ready;
    shown.ready = ready;
    shown.awaits = conditions::awaits_approval(verdict, record, steps);
    shown.settled = shown.awaits || settled(verdict, record);
    if old.as_deref() != Some(&status) {
        shown.json = None;
        shown.status = Some(Arc::new(status));
        engine.dirty.notify_one();
    }
    drop(shown);
    if turned {
        wake_dependents(engine, snapshot, app);
    }
}

/// What ran once for each release of the history that is shown, and for the newest, as far as it is kept: it names the hook.
fn hooks(record: &AppRecord) -> Vec<HookStatus> {
    let oldest =
        record.history.iter().rev().take(HISTORY_MAX).map(|note| note.revision).min().unwrap_or(record.highest);
    let status = |(id, run): (&InstanceId, &HookRun)| {
        let hook = record.release(id.revision)?.hook(id)?;
        Some(HookStatus {
            revision: id.revision,
            task: id.task?,
            name: hook.name.clone(),
            instance: id.clone(),
            ended: run.ended.as_ref().map(|end| end.at),
            failure: run.ended.as_ref().and_then(|end| end.failure.clone()),
        })
    };
    let shown = record.hooks.iter().filter(|(id, _)| id.revision >= oldest);
    let mut all: Vec<_> = shown.filter_map(status).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.revision));
    all
}

/// What has come away from what was converged, while it is being mended.
fn drift(verdict: &Verdict, record: &AppRecord) -> Option<String> {
    let mending = matches!(record.rollout, Rollout::Idle) && record.current.is_some();
    (mending && verdict.state == State::Progressing).then(|| verdict.message.clone())
}

/// Whether nothing is under way that ends by itself.
fn settled(verdict: &Verdict, record: &AppRecord) -> bool {
    let idle = matches!(record.rollout, Rollout::Idle);
    match &verdict.state {
        State::Ready | State::Completed => idle && record.draining.is_empty(),
        State::Stalled(_) | State::Suspended | State::Waiting(_) => true,
        State::Progressing
        | State::Baking
        | State::Reverting
        | State::Removing
        | State::Gone
        | State::Orphaned
        | State::Unknown(_) => false,
    }
}

fn wake_dependents(engine: &Engine, snapshot: &Snapshot, app: &AppName) {
    for (name, found) in &snapshot.apps {
        if found.desired.policy.depends_on.contains(app) {
            engine.ask(name, crate::queue::Priority::Rollout, "a dependency turned");
        }
    }
}

fn instance(one: &Instance, record: &AppRecord, observed: &Observed) -> InstanceStatus {
    let sighting = &one.sighting;
    let phase = match &sighting.phase {
        Phase::Created => "Created",
        Phase::Starting => "Starting",
        Phase::Running { .. } => "Running",
        Phase::Asleep => "Asleep",
        Phase::Exited { .. } => "Exited",
        Phase::Vanishing { .. } => "Stopping",
    };
    let (health, detail) = match &one.health {
        Health::Waiting => ("Waiting", None),
        Health::Passing { .. } => ("Passing", None),
        Health::Failed { last, .. } => ("Failed", Some(format!("probe {}: {}", last.probe, last.detail))),
        Health::Unknown => ("Unknown", None),
    };
    let in_flight = match &observed.routes {
        RouteSight::Seen(seen) => seen.in_flight.get(&sighting.id).copied().unwrap_or(0),
        RouteSight::Unknown(_) => 0,
    };
    let release = record.release(sighting.id.revision).or(sighting.template.as_ref());
    let first = release.and_then(|release| release.template.ports.first());
    let address = first.and_then(|port| sighting.addresses.get(&port.name));
    InstanceStatus {
        name: sighting.id.clone(),
        revision: sighting.id.revision,
        phase: phase.to_owned(),
        health: health.to_owned(),
        health_detail: detail,
        restarts: record.exits.get(&sighting.id).map_or(0, |exits| exits.count),
        place: sighting.place.clone(),
        address: address.map(ToString::to_string),
        incarnation: sighting.incarnation.to_string(),
        in_flight,
        created: sighting.created,
    }
}

/// What an app is called where it lives: where a platform chose part of the name, only its adapter knows it.
fn called(engine: &Engine, app: &AppName, record: &AppRecord) -> Option<String> {
    record.homes.iter().find_map(|home| engine.target(home)?.runtime.called(app))
}

fn routes(
    engine: &Engine,
    app: &AppName,
    record: &AppRecord,
    observed: &Observed,
    certificates: &[Certificate],
) -> Vec<RouteStatus> {
    let RouteSight::Seen(seen) = &observed.routes else { return Vec::new() };
    let host = |host: &str| match host.split_once(FlySpec::RANDOM).and_then(|_| called(engine, app, record)) {
        Some(called) => host.split_once('.').map_or(called.clone(), |(_, domain)| format!("{called}.{domain}")),
        None => host.to_owned(),
    };
    let entry = |entry: &trueup_types::RouteEntry| RouteStatus {
        host: host(&entry.host),
        path: entry.path.clone(),
        backends: entry.backends.iter().map(|one| format!("{}={}", one.instance, one.weight)).collect(),
        certificate: certificates.iter().find(|one| one.host == entry.host).map(|one| one.state.clone()),
    };
    seen.share.entries.iter().map(entry).collect()
}

fn release(record: &AppRecord, verdict: &Verdict, steps: &[CanaryStep]) -> Option<ReleaseStatus> {
    let release = record.release(verdict.revision?)?;
    let note = record.history.iter().find(|note| note.revision == release.revision);
    let phase = match &record.rollout {
        Rollout::Idle | Rollout::Reverting { .. } => "Live".to_owned(),
        Rollout::Underway { stage, .. } => format!("{stage:?}"),
        Rollout::Baking { .. } => "Bake".to_owned(),
    };
    Some(ReleaseStatus {
        number: release.revision,
        digest: release.digest,
        image: carried(release),
        origin: release.origin.clone(),
        phase,
        share: conditions::share(record, steps),
        started_at: note.map_or(Timestamp::ZERO, |note| note.started),
    })
}

fn carried(release: &trueup_types::Release) -> String {
    release.template.image.clone().unwrap_or_else(|| release.template.command.join(" "))
}

fn contents(record: &AppRecord) -> BTreeMap<Revision, ReleaseContent> {
    let shown = record.history.iter().rev().take(HISTORY_MAX).filter_map(|note| record.release(note.revision));
    let content = |release: &Arc<trueup_types::Release>| {
        let content = ReleaseContent { image: carried(release), commit: release.origin.commit.clone() };
        (release.revision, content)
    };
    shown.map(content).collect()
}

fn rejected(record: &AppRecord) -> Vec<RejectedStatus> {
    let one =
        |((digest, _), rejection): (&(trueup_types::ReleaseDigest, TargetName), &trueup_types::record::Rejection)| {
            let cause = trueup_plan::sentence(&rejection.evidence);
            RejectedStatus { revision: rejection.revision, digest: *digest, at: rejection.at, cause }
        };
    let mut all: Vec<_> = record.rejected.iter().map(one).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.revision));
    all
}

/// The whole document, as a value.
pub(crate) fn document(engine: &Engine) -> StatusDocument {
    let cells: Vec<_> = engine.cells.lock().expect("no holder panics").values().cloned().collect();
    let status = |cell: &Arc<Cell>| cell.shown.lock().expect("no holder panics").status.clone();
    let apps = cells.iter().filter_map(status).map(|status| AppStatus::clone(&status)).collect();
    StatusDocument {
        version: STATUS_VERSION,
        written_at: engine.now(),
        daemon: daemon(engine),
        apps,
        targets: targets(engine),
        events: engine.events.all(),
    }
}

/// The whole document, spelled: parts that did not change are spelled already.
pub(crate) fn spelled(engine: &Engine) -> String {
    let cells: Vec<_> = engine.cells.lock().expect("no holder panics").values().cloned().collect();
    let part = |value: serde_json::Result<String>| value.expect("a status always becomes JSON");
    let parts: Vec<_> =
        cells.iter().filter_map(|cell| json(&mut cell.shown.lock().expect("no holder panics"))).collect();
    let size: usize = parts.iter().map(|part| part.len() + 2).sum();
    let mut text = String::with_capacity(size + 4_096);
    text.push_str(&format!(
        "{{\"version\":{STATUS_VERSION},\"writtenAt\":{},\"daemon\":{},\"targets\":{},\"apps\":[",
        engine.now().as_millis(),
        part(serde_json::to_string(&daemon(engine))),
        part(serde_json::to_string(&targets(engine))),
    ));
    let mut first = true;
    for part in &parts {
        if !std::mem::take(&mut first) {
            text.push_str(",\n");
        }
        text.push_str(part);
    }
    text.push_str("],\"events\":");
    text.push_str(&part(serde_json::to_string(&engine.events.all())));
    text.push_str("}\n");
    text
}

/// An app's part, where it has been looked at.
fn json(shown: &mut Shown) -> Option<Arc<str>> {
    if shown.json.is_none() {
        let status = shown.status.as_ref()?;
        shown.json = Some(serde_json::to_string(status.as_ref()).expect("a status always becomes JSON").into());
    }
    shown.json.clone()
}

fn daemon(engine: &Engine) -> DaemonStatus {
    let snapshot = engine.snapshot();
    let about = &engine.parts.about;
    DaemonStatus {
        pid: std::process::id(),
        version: about.version.clone(),
        owner: engine.parts.owner.clone(),
        started_at: engine.started_at,
        source: about.source.clone(),
        listen: about.listen.clone(),
        conditions: daemon_conditions(engine, &snapshot),
        faults: snapshot.faults.clone(),
    }
}

fn daemon_conditions(engine: &Engine, snapshot: &Snapshot) -> Vec<Condition> {
    let now = engine.now();
    let abnormal = |kind: &str, message: String| Condition {
        kind: kind.to_owned(),
        status: ConditionStatus::True,
        reason: kind.to_owned(),
        message,
        last_transition_time: now,
        observed_generation: Generation(0),
    };
    let mut all = snapshot.conditions.clone();
    if let Some(word) = &engine.daemon.lock().expect("no holder panics").down {
        all.push(abnormal("Down", format!("all apps are taken down by {}; the next run brings them back", word.by)));
    }
    let waiting = engine.prune.lock().expect("no holder panics").waiting();
    if waiting > 0 {
        let message = format!("{waiting} apps vanished at once; `trueup approve prune` lets them go");
        all.push(abnormal("PruneBlocked", message));
    }
    if let Some(why) = engine.rebuilt.lock().expect("no holder panics").clone() {
        let seen = if engine.surveyed.load(Ordering::SeqCst) {
            "deletions wait for approval"
        } else {
            "nothing is destroyed yet"
        };
        all.push(abnormal("StateStoreRebuilt", format!("{why}; memory was rebuilt from labels, {seen}")));
    }
    if let StoreHealth::Degraded { why } = engine.parts.store.health() {
        all.push(abnormal("StateStoreDegraded", format!("{why}; what runs is kept, new rollouts wait")));
    }
    if let Some(why) = engine.parts.edge_fault.lock().expect("no holder panics").clone() {
        all.push(abnormal("EdgeDegraded", why));
    }
    if let Some(why) = engine.status_fault.lock().expect("no holder panics").clone() {
        all.push(abnormal("StatusDegraded", why));
    }
    engine.onsets.lock().expect("no holder panics").stamp(&mut all, now);
    all
}

/// Where an app was that is wanted nowhere any more.
fn last_home(record: &AppRecord) -> TargetName {
    let release = record.current_release().map(|release| release.target.clone());
    release.or_else(|| record.homes.first().cloned()).unwrap_or_else(TargetName::local)
}

fn targets(engine: &Engine) -> Vec<TargetStatus> {
    let targets: Vec<_> = engine.targets.lock().expect("no holder panics").values().cloned().collect();
    let status = |target: &Arc<crate::survey::Target>| {
        let last = target.last();
        let seen = last.as_ref().and_then(|sight| sight.apps.as_ref().ok());
        let count = seen.map_or(0, |apps| apps.values().map(Vec::len).sum());
        TargetStatus {
            name: target.spec.name.clone(),
            kind: target.spec.kind.to_string(),
            reachable: last.as_ref().is_none_or(|sight| sight.apps.is_ok()),
            message: last.as_ref().and_then(|sight| sight.apps.as_ref().err().cloned()),
            instances: u32::try_from(count).unwrap_or(u32::MAX),
            seen_at: last.as_ref().filter(|sight| sight.apps.is_ok()).map(|sight| sight.at),
        }
    };
    targets.iter().map(status).collect()
}
