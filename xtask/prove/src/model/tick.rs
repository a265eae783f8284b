//! The driver's tick over the small world: look, plan, audit, save, act, absorb; whole, or cut off at any step.
//!
//! The planner that is asked is the real one. Every decision and every step is shown to the [`laws`] first.

use std::sync::Arc;

use trueup_plan::{absorb, adopt, explain, plan};
use trueup_types::desired::{Doubt, Permits, Wanted};
use trueup_types::step::{StepOutcome, StepResult};
use trueup_types::verdict::State as Standing;
use trueup_types::{AppRecord, Instance, Observed, Plan, Timestamp, Wake};

use super::effect;
use super::laws;
use super::state::{Ghost, Late, State};
use super::world::{World, web};

/// Which look a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The world as it is.
    Fresh,
    /// The world as it was remembered.
    Old,
    /// The instances as they were remembered, the routes as they are.
    OldListing,
}

/// A decision of the planner, with all that it rests on.
#[derive(Debug)]
pub struct Decided {
    pub sight: Sight,
    pub wanted: Wanted,
    pub observed: Observed,
    pub permits: Permits,
    pub before: Arc<AppRecord>,
    pub plan: Plan,
    /// What is remembered then.
    pub after: Arc<AppRecord>,
    /// The record was made from labels just now.
    pub adopted: bool,
    /// Laws that the decision breaks by itself.
    pub broken: Vec<String>,
}

impl Decided {
    /// Whether nothing follows from it: no step, and no other memory.
    pub fn is_idle(&self) -> bool {
        self.plan.steps.is_empty() && Arc::ptr_eq(&self.before, &self.after)
    }
}

/// How far a tick comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// To its end.
    Whole,
    /// The daemon dies before a step.
    Dies(usize),
    /// It dies before a step, and nothing was saved.
    Unsaved(usize),
    /// A step does not happen, and nobody knows.
    Lost(usize),
    /// A step happens, and nobody knows.
    Landed(usize),
    /// A step will happen later, and nobody knows.
    Late(usize),
}

/// What came to light while something happened.
#[derive(Debug, Default)]
pub struct Notes {
    /// Laws that were broken.
    pub broken: Vec<String>,
    /// What happened, for people; kept only where asked for.
    pub tale: Option<Vec<String>>,
}

impl Notes {
    /// Notes that a law is broken.
    pub fn break_law(&mut self, what: String) {
        self.broken.push(what);
    }

    /// Adds a line to the tale, if one is told.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(tale) = &mut self.tale {
            tale.push(line());
        }
    }
}

/// Asks the planner, with a record of the daemon that asks.
pub fn decide(world: &World, state: &State, sight: Sight, record: &Arc<AppRecord>) -> Decided {
    let wanted = state.wanted(world);
    let permits = state.permits();
    let observed = match (sight, &state.old) {
        (Sight::Fresh, _) | (Sight::Old | Sight::OldListing, None) => state.look(),
        (Sight::Old, Some(old)) => Observed::clone(old),
        (Sight::OldListing, Some(old)) => Observed { routes: state.routes(), ..Observed::clone(old) },
    };
    let adopted = is_older(record, &observed);
    let before = if adopted { Arc::new(recall(record, &observed, state.now)) } else { Arc::clone(record) };
    let plan = plan(&wanted, &observed, &permits, &before, state.now);
    let after = if plan.record == *before { Arc::clone(&before) } else { Arc::new(plan.record.clone()) };
    let broken = Vec::new();
    let mut decided = Decided { sight, wanted, observed, permits, before, plan, after, adopted, broken };
    decided.broken = laws::decision(world, state, &decided);
    decided
}

/// Whether the world is newer than the record, by what the driver goes by.
fn is_older(record: &AppRecord, observed: &Observed) -> bool {
    let forgotten = *record == AppRecord::default();
    all(observed).any(|one| forgotten || one.sighting.id.revision > record.highest)
}

fn all(observed: &Observed) -> impl Iterator<Item = &Instance> {
    observed.instances.iter().chain(&observed.tasks)
}

/// Makes the record anew from labels, as the driver does: of one that was put back it believes what people said, and what
/// the manifest did.
fn recall(record: &AppRecord, observed: &Observed, now: Timestamp) -> AppRecord {
    let seen: Vec<_> = all(observed).cloned().collect();
    let mut next = adopt(&web(), &seen, now);
    if *record != AppRecord::default() {
        next.generation = next.generation.max(record.generation);
        next.homes.extend(record.homes.iter().cloned());
        (next.prune, next.restarts, next.suspended) = (record.prune, record.restarts, record.suspended.clone());
    }
    next
}

/// Carries out a decision, as far as it comes.
pub fn carry_out(world: &World, state: &mut State, decided: &Decided, course: Course, notes: &mut Notes) {
    let plan = &decided.plan;
    tell(decided, state, notes);
    notes.broken.extend_from_slice(&decided.broken);
    let memory = Arc::clone(&state.record);
    let ghost = state.ghost;
    if decided.adopted {
        state.ghost = Ghost { excused: ghost.excused, ..Ghost::default() };
        state.forget_ran();
    }
    laws::remember(world, state, decided);
    state.record = Arc::clone(&decided.after);
    let mut results = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        match course {
            Course::Dies(at) | Course::Unsaved(at) if at == index => break,
            Course::Lost(at) if at == index => {
                results.push(StepResult { step: step.clone(), outcome: unknown() });
                break;
            }
            Course::Late(at) if at == index => {
                state.late = Some(Arc::new(Late { step: step.clone(), tables: state.tables }));
                results.push(StepResult { step: step.clone(), outcome: unknown() });
                break;
            }
            Course::Whole
            | Course::Dies(_)
            | Course::Unsaved(_)
            | Course::Lost(_)
            | Course::Landed(_)
            | Course::Late(_) => {}
        }
        laws::step(world, state, decided, step, notes);
        let tables = state.tables;
        let mut outcome = effect::land(world, state, step, tables);
        if course == Course::Landed(index) {
            outcome = unknown();
        }
        let settled = outcome.settled();
        results.push(StepResult { step: step.clone(), outcome });
        if !settled {
            break;
        }
    }
    match course {
        Course::Dies(_) => state.restart(),
        Course::Unsaved(_) => {
            state.record = memory;
            state.ghost = Ghost { excused: state.ghost.excused, ..ghost };
            state.restart();
        }
        Course::Whole | Course::Lost(_) | Course::Landed(_) | Course::Late(_) => {
            end(state, decided, &results, notes);
        }
    }
}

fn unknown() -> StepOutcome {
    StepOutcome::Unknown { why: Doubt::OutcomeUnknown("no answer".to_owned()) }
}

fn tell(decided: &Decided, state: &State, notes: &mut Notes) {
    let Decided { wanted, observed, permits, before, plan, .. } = decided;
    if decided.is_idle() && !decided.adopted {
        return notes.tell(|| "    nothing to do".to_owned());
    }
    notes.tell(|| format!("    {}", explain(wanted, observed, permits, before, plan, state.now).join("\n    ")));
}

fn end(state: &mut State, decided: &Decided, results: &[StepResult], notes: &mut Notes) {
    let plan = &decided.plan;
    if !results.is_empty() {
        state.record = Arc::new(absorb(plan.record.clone(), results, state.now));
    }
    let left = matches!(plan.verdict.state, Standing::Gone | Standing::Orphaned) && results.is_empty();
    if left {
        // The driver forgets what is gone.
        state.record = Arc::default();
        state.ghost = Ghost { excused: state.ghost.excused, ..Ghost::default() };
    }
    let moved = !results.is_empty() || !Arc::ptr_eq(&state.record, &decided.before) && !left;
    let idle = matches!(plan.wake, Wake::At(at, _) if at <= state.now);
    if !moved && idle && decided.sight == Sight::Fresh {
        notes.break_law("law 11: a wake for nothing, at once and for ever".to_owned());
    }
    state.quiet = (!moved && decided.sight == Sight::Fresh).then_some(plan.wake);
}

impl State {
    /// The daemon begins anew: what it did not watch does not count, and no probe has been asked.
    pub fn restart(&mut self) {
        self.sighted_since = self.now;
        self.blind = true;
        self.quiet = None;
    }
}
