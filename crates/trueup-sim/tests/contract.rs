//! The simulated world keeps the contract that it holds others to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use trueup_sim::contract::{ingress, runtime};
use trueup_sim::{AppSketch, SimIngress, SimRuntime, World};
use trueup_types::{OwnerId, Place, TargetName};

fn owner() -> OwnerId {
    OwnerId::new("test").expect("a literal name")
}

#[tokio::test(start_paused = true)]
async fn the_simulated_runtime_keeps_the_contract() {
    let world = World::new(owner());
    let fixture = runtime::RuntimeFixture {
        runtime: Arc::new(SimRuntime::new(&world, &TargetName::local())),
        place: Place::here(),
        release: Box::new(|app, revision| Arc::new(AppSketch::web(app.as_str()).release(revision))),
        done: vec!["done".to_owned()],
    };
    runtime::check(&fixture).await;
    assert!(world.lock().violations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_simulated_ingress_keeps_the_contract() {
    let world = World::new(owner());
    let fixture = ingress::IngressFixture {
        ingress: Arc::new(SimIngress::new(&world)),
        owner: owner(),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000)),
    };
    ingress::check(&fixture).await;
}
