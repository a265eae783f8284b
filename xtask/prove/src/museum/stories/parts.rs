//! Other parts of the driver, as values.

use std::collections::BTreeMap;
use std::sync::Arc;

use trueup_driver::clock::{Clock, SteadyClock};
use trueup_driver::events::{About, EVENTS_MAX, Events};
use trueup_driver::survey::{Epoch, Target};
use trueup_seams::{BoxFuture, DaemonRecord, ObserveError, Runtime, Sight, Survey};
use trueup_sim::AppSketch;
use trueup_types::desired::Doubt;
use trueup_types::record::AppRecord;
use trueup_types::status::EventKind;
use trueup_types::step::{InstanceStep, Refusal, Step, StepAction, StepOutcome, StepResult, TargetStep, Why};
use trueup_types::target::TargetSpec;
use trueup_types::{InstanceId, Ordinal, Place, Revision, TargetName, Timestamp};

use super::Told;
use super::stage::sure;
use crate::waiting::real;

pub fn a_step_of_the_wall_clock_moves_nothing() -> Told {
    let anchor = Timestamp::from_millis(1_234);
    let mut record = DaemonRecord { clock_anchor: anchor, boot_id: "same".to_owned(), ..DaemonRecord::default() };
    let _ = SteadyClock::continued(&mut record, "same");
    sure(record.clock_anchor == anchor, "within one boot a restart has moved the clock")
}

pub fn events_are_bounded() -> Told {
    let events = Events::default();
    for number in 0..3 * EVENTS_MAX {
        let about = About { app: None, revision: None };
        events.note(EventKind::Normal, "Story", about, number.to_string(), Timestamp::from_millis(1));
    }
    let kept = events.all().len();
    sure(kept <= EVENTS_MAX, &format!("{kept} events are kept, at most {EVENTS_MAX} should be"))
}

pub fn what_is_refused_is_asked_for_less_and_less() -> Told {
    let release = AppSketch::web("web").release(Revision(1));
    let id = InstanceId::new(&release.app, release.revision, Ordinal(1));
    let create = InstanceStep::Create { id, place: Place::here(), release: Arc::new(release) };
    let action = StepAction::Target { target: TargetName::local(), step: TargetStep::Instance(create) };
    let why = Refusal::Invalid("the organisation has no machine left".to_owned());
    let step = Step { action, why: Why::ScaleUp };
    let refused = [StepResult { step, outcome: StepOutcome::Refused { why } }];
    let mut record = AppRecord { current: Some(Revision(1)), ..AppRecord::default() };
    let mut waits = Vec::new();
    for now in [0, 1_000_000, 2_000_000].map(Timestamp::from_millis) {
        record = trueup_plan::absorb(record, &refused, now);
        waits.push(record.backoff.until.map_or(0, |until| until.since(now).as_millis()));
    }
    sure(waits[0] > 0 && waits.is_sorted_by(|a, b| a < b), &format!("it is asked for again after {waits:?} ms"))?;
    sure(record.backoff.why.is_some_and(|why| why.contains("no machine left")), "nobody is told why")
}

/// A target of two places, one of which does not answer.
struct Halved;

impl Runtime for Halved {
    fn survey(&self) -> BoxFuture<'_, Survey> {
        Box::pin(async {
            let dark = ObserveError { detail: "no answer".to_owned() };
            let east = Place::new("east").expect("a literal name");
            BTreeMap::from([(Place::here(), Ok(Sight::default())), (east, Err(dark))])
        })
    }

    fn apply<'a>(&'a self, _step: &'a TargetStep) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async { StepOutcome::Unknown { why: Doubt::TargetDark("no answer".to_owned()) } })
    }
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1)
    }
}

pub fn half_a_target_is_not_a_target() -> Told {
    let target = Target::new(TargetSpec::local(), Arc::new(Halved), None, true);
    let sight = real(target.sight(0, &Epoch::default(), &Still));
    sure(sight.apps.is_err(), "a listing without one of its places is taken for the whole")
}
