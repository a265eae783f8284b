//! Says what happened: one event for each turn that an operator would want to know of.

use trueup_types::record::{AppRecord, Outcome, ReleaseNote, Rollout};
use trueup_types::status::EventKind;
use trueup_types::step::{InstanceStep, StepAction, StepOutcome, StepResult, TargetStep};
use trueup_types::verdict::State;
use trueup_types::{AppName, Revision, Verdict};

use crate::engine::{Cell, Engine};
use crate::tick::Scene;

/// Events of a decision: what the record and the verdict turned into.
pub(crate) fn of_plan(
    engine: &Engine,
    scene: &Scene<'_>,
    before: &AppRecord,
    after: &AppRecord,
    verdict: &Verdict,
    cell: &Cell,
) {
    let app = scene.app;
    for (id, exits) in &after.exits {
        if before.exits.get(id).is_none_or(|old| old.last != exits.last) {
            let code = exits.code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
            let message = format!("{id} exited with {code}, {} in all", exits.count);
            engine.note(EventKind::Warning, "InstanceExited", Some(app), Some(id.revision), message);
        }
    }
    rollout(engine, app, before, after);
    for note in &after.history {
        let old = before.history.iter().find(|one| one.revision == note.revision).and_then(|one| one.outcome);
        if note.outcome == old {
            continue;
        }
        let (kind, message) = match note.outcome {
            Some(Outcome::Live) => (EventKind::Normal, format!("{} is live", note.revision)),
            Some(Outcome::Superseded) => (EventKind::Normal, format!("{} gave way to a newer one", note.revision)),
            Some(Outcome::RolledBack) => (EventKind::Normal, format!("{} was rolled back", note.revision)),
            Some(Outcome::Reverted | Outcome::Failed) => (
                EventKind::Warning,
                format!("{} failed: {}", note.revision, note.cause.as_deref().unwrap_or("unknown")),
            ),
            None => continue,
        };
        let reason = note.outcome.map_or_else(String::new, |outcome| format!("{outcome:?}"));
        engine.note(kind, &reason, Some(app), Some(note.revision), message);
    }
    standing(engine, app, verdict, cell);
}

fn rollout(engine: &Engine, app: &AppName, before: &AppRecord, after: &AppRecord) {
    match (&before.rollout, &after.rollout) {
        (Rollout::Underway { to: old, .. }, Rollout::Underway { to, .. }) if old == to => {}
        (_, Rollout::Underway { to, .. }) => {
            engine.note(EventKind::Normal, "RolloutStarted", Some(app), Some(*to), begun(*to, after));
        }
        (Rollout::Underway { .. }, Rollout::Baking { to, .. }) => {
            engine.note(EventKind::Normal, "Promoted", Some(app), Some(*to), format!("{to} is promoted and watched"));
        }
        (Rollout::Reverting { .. }, Rollout::Idle) => {
            let to = after.current;
            let name = to.map_or_else(String::new, |to| to.to_string());
            engine.note(EventKind::Normal, "RevertDone", Some(app), to, format!("{name} serves alone again"));
        }
        (
            Rollout::Idle | Rollout::Underway { .. } | Rollout::Baking { .. } | Rollout::Reverting { .. },
            Rollout::Idle | Rollout::Baking { .. } | Rollout::Reverting { .. },
        ) => {}
    }
}

/// That a rollout begins, and which release it is once more: each try has a number of its own.
fn begun(to: Revision, record: &AppRecord) -> String {
    let note = record.history.iter().find(|note| note.revision == to);
    let earlier = |note: &ReleaseNote| {
        let same = record.history.iter().filter(|one| one.revision < to && one.digest == note.digest);
        same.map(|one| one.revision).max()
    };
    match note.map(|note| (&note.again, earlier(note))) {
        Some((Some(again), _)) => format!("the rollout of {to} begins: {again}"),
        Some((None, Some(earlier))) => format!("the rollout of {to} begins: {earlier} is tried again"),
        Some((None, None)) | None => format!("the rollout of {to} begins"),
    }
}

/// Turns of the standing against what was last shown.
fn standing(engine: &Engine, app: &AppName, verdict: &Verdict, cell: &Cell) {
    let last = cell.shown.lock().expect("no holder panics").status.clone();
    let old = last.as_ref().map(|status| &status.status.verdict);
    let degraded = old.and_then(|old| old.degraded.as_deref());
    match (&verdict.degraded, degraded) {
        (Some(why), known) if known != Some(why.as_str()) => {
            engine.note(EventKind::Warning, "Degraded", Some(app), verdict.revision, why.clone());
        }
        (None, Some(_)) if verdict.serving => {
            engine.note(EventKind::Normal, "Recovered", Some(app), verdict.revision, "it is well again".to_owned());
        }
        (Some(_) | None, _) => {}
    }
    let same = old.is_some_and(|old| std::mem::discriminant(&old.state) == std::mem::discriminant(&verdict.state));
    if same {
        return;
    }
    let (kind, reason) = match &verdict.state {
        State::Stalled(_) => (EventKind::Warning, "Stalled"),
        State::Waiting(_) => (EventKind::Normal, "Waiting"),
        State::Suspended => (EventKind::Normal, "Suspended"),
        State::Removing => (EventKind::Normal, "Removing"),
        State::Completed => (EventKind::Normal, "Completed"),
        State::Unknown(_) => (EventKind::Warning, "Unknown"),
        State::Ready | State::Progressing | State::Baking | State::Reverting | State::Gone | State::Orphaned => return,
    };
    engine.note(kind, reason, Some(app), verdict.revision, verdict.message.clone());
}

/// Events of what was done.
pub(crate) fn of_steps(engine: &Engine, app: &AppName, outcomes: &[StepResult]) {
    for result in outcomes {
        let StepAction::Target { step: TargetStep::Instance(step), .. } = &result.step.action else {
            routed(engine, app, result);
            continue;
        };
        let revision = Some(step.id().revision);
        match &result.outcome {
            StepOutcome::Done => {
                let reason = match step {
                    InstanceStep::Create { .. } => "InstanceCreated",
                    InstanceStep::Start { .. } => "InstanceStarted",
                    InstanceStep::Stop { .. } => "InstanceStopping",
                    InstanceStep::Remove { .. } => "InstanceRemoved",
                };
                engine.note(
                    EventKind::Normal,
                    reason,
                    Some(app),
                    revision,
                    format!("{} ({})", step.id(), result.step.why),
                );
            }
            StepOutcome::AlreadyTrue => {}
            StepOutcome::Underway { said, .. } => {
                for line in said {
                    engine.note(EventKind::Normal, "Underway", Some(app), revision, line.clone());
                }
            }
            StepOutcome::Retry { why, .. } => {
                let message = format!("{} {}: {why}", step.verb(), step.id());
                engine.note(EventKind::Warning, "StepRetried", Some(app), revision, message);
            }
            StepOutcome::Refused { why } => {
                let message = format!("{} {}: {why}", step.verb(), step.id());
                engine.note(EventKind::Warning, "StepRefused", Some(app), revision, message);
            }
            StepOutcome::Unknown { why } => {
                let message = format!("{} {}: {why}", step.verb(), step.id());
                engine.note(EventKind::Warning, "StepUnknown", Some(app), revision, message);
            }
        }
    }
}

fn routed(engine: &Engine, app: &AppName, result: &StepResult) {
    match &result.outcome {
        StepOutcome::Done => {
            let message = format!("{} ({})", result.step.action, result.step.why);
            engine.note(EventKind::Normal, "Routed", Some(app), None, message);
        }
        StepOutcome::AlreadyTrue | StepOutcome::Underway { .. } => {}
        StepOutcome::Retry { why, .. } => {
            engine.note(EventKind::Warning, "StepRetried", Some(app), None, format!("route: {why}"));
        }
        StepOutcome::Refused { why } => {
            engine.note(EventKind::Warning, "StepRefused", Some(app), None, format!("route: {why}"));
        }
        StepOutcome::Unknown { why } => {
            engine.note(EventKind::Warning, "StepUnknown", Some(app), None, format!("route: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use trueup_types::order::EnvOf;
    use trueup_types::record::Again;
    use trueup_types::{ReleaseDigest, Timestamp};

    use super::*;

    fn note(revision: u64, digest: &str, again: Option<Again>) -> ReleaseNote {
        ReleaseNote {
            revision: Revision(revision),
            digest: ReleaseDigest::of(digest),
            started: Timestamp::ZERO,
            ended: None,
            outcome: None,
            phases: Vec::new(),
            cause: None,
            again,
        }
    }

    #[test]
    fn a_rollout_that_begins_is_named_with_what_it_is_once_more() {
        let again = Again { of: Revision(1), env: EnvOf::Then, by: "ann".to_owned() };
        let history = vec![note(1, "a", None), note(2, "b", None), note(3, "b", None), note(4, "a", Some(again))];
        let record = AppRecord { history, ..AppRecord::default() };
        let told = |to| begun(Revision(to), &record);
        assert_eq!(told(2), "the rollout of r2 begins");
        assert_eq!(told(3), "the rollout of r3 begins: r2 is tried again");
        assert_eq!(told(4), "the rollout of r4 begins: rollback to r1 by ann");
    }
}
