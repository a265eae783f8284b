//! A real edge: which tables it takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trueup_edge::{EdgeClient, EdgeConfig};
use trueup_museum::Carried;
use trueup_seams::Ingress as _;
use trueup_types::route::RouteTable;
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::{OwnerId, TableGeneration};

use super::Told;
use super::stage::sure;
use crate::waiting::real;

/// Longest that an edge may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn an_older_table_is_refused() -> Told {
    let dir = tempfile::tempdir().map_err(|why| why.to_string())?;
    let owner = OwnerId::new("story").expect("a literal name");
    let config = EdgeConfig {
        dir: dir.path().to_owned(),
        owner: owner.clone(),
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        threads: 1,
        build: "story".to_owned(),
        access_log: false,
    };
    let bugs = Carried::here();
    let edge = std::thread::spawn(move || {
        bugs.plant();
        trueup_edge::run(config)
    });
    let client = EdgeClient::new(dir.path().to_owned(), owner.clone());
    let table = |generation| RouteTable { owner: owner.clone(), generation: TableGeneration(generation), apps: vec![] };
    let outcome = real(async {
        let begun = Instant::now();
        while client.apply(&table(5)).await != StepOutcome::Done {
            sure(begun.elapsed() < PATIENCE, "the edge does not take a first table")?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let older = client.apply(&table(4)).await;
        client.leave_all().await.map_err(|why| why.to_string())?;
        Ok::<_, String>(older)
    })?;
    edge.join().map_err(|_| "the edge panicked".to_owned())?.map_err(|why| why.to_string())?;
    sure(
        outcome == StepOutcome::Refused { why: Refusal::Superseded },
        &format!("a table of generation 4 after one of 5: {outcome:?}"),
    )
}
