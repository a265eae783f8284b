//! The contract of an ingress: whole tables, never an older one, never another owner's.

use std::net::SocketAddr;
use std::sync::Arc;

use trueup_seams::Ingress;
use trueup_types::route::{AppRoutes, Backend, RouteEntry, RouteTable};
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{AppName, InstanceId, Ordinal, OwnerId, Revision, TableGeneration};

/// What the suite needs of an adapter.
pub struct IngressFixture {
    /// The adapter, with nothing routed.
    pub ingress: Arc<dyn Ingress>,
    /// The owner whose tables it takes.
    pub owner: OwnerId,
    /// An address that a backend may have.
    pub address: SocketAddr,
}

/// Runs the whole suite.
///
/// # Panics
/// When a promise is broken.
pub async fn check(fixture: &IngressFixture) {
    let ingress = &fixture.ingress;
    let start = ingress.observe().await.expect("the ingress is in sight").table.generation;
    let (older, newer) = (TableGeneration(start.0 + 5), TableGeneration(start.0 + 6));

    let first = fixture.table(older, "one");
    assert_eq!(ingress.apply(&first).await, StepOutcome::Done, "a newer table becomes live");
    assert_eq!(fixture.live().await, first, "and is what is observed");
    assert_eq!(ingress.apply(&first).await, StepOutcome::AlreadyTrue, "the same table again is already true");

    let second = fixture.table(newer, "two");
    assert_eq!(ingress.apply(&second).await, StepOutcome::Done);
    let superseded = StepOutcome::Refused { why: Refusal::Superseded };
    assert_eq!(ingress.apply(&first).await, superseded, "an older table is refused");
    let forged = RouteTable { generation: newer, ..first.clone() };
    assert_eq!(ingress.apply(&forged).await, superseded, "another table of the same generation is refused");
    assert_eq!(fixture.live().await, second, "and the live one is untouched");

    let foreign = RouteTable {
        owner: OwnerId::new("somebody-else").expect("a literal name"),
        generation: TableGeneration(newer.0 + 1),
        ..second.clone()
    };
    let refused = StepOutcome::Refused { why: Refusal::Foreign };
    assert_eq!(ingress.apply(&foreign).await, refused, "another owner's table is refused");

    let empty = RouteTable { generation: TableGeneration(newer.0 + 1), apps: Vec::new(), ..second };
    assert_eq!(ingress.apply(&empty).await, StepOutcome::Done, "an empty table is a table");
    assert!(fixture.live().await.apps.is_empty());
}

impl IngressFixture {
    async fn live(&self) -> RouteTable {
        self.ingress.observe().await.expect("the ingress is in sight").table
    }

    fn table(&self, generation: TableGeneration, app: &str) -> RouteTable {
        let app = AppName::new(app).expect("a literal name");
        let instance = InstanceId::new(&app, Revision(1), Ordinal(0));
        let backend = Backend { instance, address: Some(self.address), weight: 1 };
        let entry = RouteEntry { host: format!("{app}.localhost"), path: "/".to_owned(), backends: vec![backend] };
        let share = AppRoutes { app, entries: vec![entry] };
        RouteTable { owner: self.owner.clone(), generation, apps: vec![Arc::new(share)] }
    }
}
