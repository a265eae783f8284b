//! An ingress over the world: one live table, and the requests that a test says are in flight.

use trueup_seams::{BoxFuture, Ingress, ObserveError};
use trueup_types::desired::Doubt;
use trueup_types::route::{RouteTable, TableSight};
use trueup_types::step::{Refusal, StepOutcome};

use crate::laws;
use crate::world::World;

/// The world's ingress.
pub struct SimIngress {
    world: World,
}

impl SimIngress {
    /// The ingress of this world.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone() }
    }

    fn swap(&self, table: &RouteTable) -> StepOutcome {
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
        laws::before_route(&mut state, table, now);
        state.table = table.clone();
        state.note(now, &format!("table {}", table.generation));
        StepOutcome::Done
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
        Box::pin(async { self.swap(table) })
    }
}
