//! An ingress over the world: one live table, and the requests that a test says are in flight.

use std::time::Duration;

use trueup_seams::{BoxFuture, Ingress, ObserveError};
use trueup_types::desired::Doubt;
use trueup_types::route::{RouteTable, TableSight};
use trueup_types::step::{Refusal, StepOutcome};

use crate::faults::CallFault;
use crate::laws;
use crate::world::World;

/// How long a call that hangs takes, which is longer than any deadline of the driver.
const HANG: Duration = Duration::from_secs(3_600);

/// The world's ingress.
#[derive(Clone)]
pub struct SimIngress {
    world: World,
}

impl SimIngress {
    /// The ingress of this world.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone() }
    }

    fn swap(&self, table: &RouteTable, judged: bool) -> StepOutcome {
        let now = self.world.now();
        let mut state = self.world.lock();
        if state.ingress_dark {
            return StepOutcome::Unknown { why: Doubt::OutcomeUnknown("the ingress does not answer".to_owned()) };
        }
        if table.owner != state.table.owner {
            return StepOutcome::Refused { why: Refusal::Foreign };
        }
        if table.generation < state.table.generation {
            return StepOutcome::Refused { why: Refusal::Superseded };
        }
        if table.generation == state.table.generation {
            let same = *table == state.table;
            return if same { StepOutcome::AlreadyTrue } else { StepOutcome::Refused { why: Refusal::Superseded } };
        }
        // One that lands long after it was called for is what the world does.
        if judged {
            laws::before_route(&mut state, table, now);
        }
        laws::note_unrouted(&mut state, table, now);
        state.table = table.clone();
        state.note(now, &format!("table {}", table.generation));
        drop(state);
        self.world.changed.notify_one();
        StepOutcome::Done
    }

    async fn swap_or_fail(&self, table: &RouteTable) -> StepOutcome {
        let fault = self.world.lock().faults.next_route();
        let unknown = |why: &str| StepOutcome::Unknown { why: Doubt::OutcomeUnknown(why.to_owned()) };
        match fault {
            None => self.swap(table, true),
            Some(CallFault::RefusedForNow | CallFault::LostBefore | CallFault::Limited(_)) => unknown("not connected"),
            // What engines do to instances, no ingress does to tables.
            Some(CallFault::Underway | CallFault::Halfway) => unknown("not connected"),
            Some(CallFault::LostAfter) => {
                let _ = self.swap(table, true);
                unknown("connection reset")
            }
            Some(CallFault::BusyAfter) => {
                let _ = self.swap(table, true);
                StepOutcome::Retry { after: Duration::from_millis(500), why: "internal error".to_owned() }
            }
            Some(CallFault::ConflictAfter) => {
                let _ = self.swap(table, true);
                StepOutcome::Refused { why: Refusal::Superseded }
            }
            Some(CallFault::HangsAfter) => {
                let _ = self.swap(table, true);
                tokio::time::sleep(HANG).await;
                unknown("timed out")
            }
            Some(CallFault::Late(wait)) => {
                let (late, table) = (self.clone(), table.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = late.swap(&table, false);
                });
                unknown("timed out")
            }
            Some(CallFault::Hangs) => {
                tokio::time::sleep(HANG).await;
                unknown("timed out")
            }
        }
    }
}

impl Ingress for SimIngress {
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>> {
        Box::pin(async {
            let state = self.world.lock();
            if state.ingress_dark {
                return Err(ObserveError { detail: "the ingress does not answer".to_owned() });
            }
            let in_flight = state.in_flight.iter().filter(|(_, count)| **count > 0);
            let in_flight = in_flight.map(|(id, count)| (id.clone(), *count)).collect();
            Ok(TableSight { table: state.table.clone(), in_flight })
        })
    }

    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome> {
        Box::pin(self.swap_or_fail(table))
    }
}
