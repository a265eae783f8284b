//! The suites that every adapter passes.

use std::sync::Arc;
use std::time::Duration;

use trueup_fly_sim::{Behaviour, Exits, Scenario, Span};
use trueup_seams::{Ingress, Runtime};
use trueup_sim::contract::{ingress, runtime};
use trueup_types::step::StepOutcome;
use trueup_types::{OwnerId, Place};

use crate::stand::{Stand, at_once, image, release, sketch};

fn hooks_end() -> Vec<Behaviour> {
    let exits = Some(Exits { after: Span::millis(100), code: 0, ..Exits::default() });
    let env = [("TRUEUP_HOOK".to_owned(), "preDeploy/done".to_owned())].into();
    vec![Behaviour { exits, env, ..image("*") }]
}

#[tokio::test(start_paused = true)]
async fn the_runtime_keeps_the_contract() {
    let stand = Stand::new(Scenario { images: hooks_end(), ..Scenario::default() });
    let fixture = runtime::RuntimeFixture {
        runtime: Arc::new(stand.runtime) as Arc<dyn Runtime>,
        place: Place::new("iad").expect("a name"),
        release: Box::new(|app, revision| Arc::new(sketch(app.as_str(), "registry/app:1").release(revision))),
        done: vec!["true".to_owned()],
    };
    runtime::check(&fixture).await;
}

#[tokio::test(start_paused = true)]
async fn the_ingress_keeps_the_contract() {
    let scenario = Scenario { edges: at_once(), ..Scenario::default() };
    let stand = Stand::with(scenario, Duration::ZERO);
    let mut address = None;
    for app in ["one", "two"] {
        let one = stand.up(&release(app, 1, "registry/app:1"), 0).await;
        address = one.addresses.values().next().copied();
    }
    let fixture = ingress::IngressFixture {
        ingress: Arc::new(stand.runtime) as Arc<dyn Ingress>,
        owner: OwnerId::new("ours").expect("a name"),
        address: address.expect("it has an address"),
    };
    ingress::check(&fixture).await;
}

#[tokio::test(start_paused = true)]
async fn an_app_is_made_once_and_found_again_by_a_daemon_that_has_forgotten_all() {
    let mut stand = Stand::new(Scenario::default());
    let made = stand.up(&release("web", 1, "registry/app:1"), 0).await;
    let there = stand.platform.apps();
    assert_eq!(there.len(), 1);
    let name = there[0]["name"].as_str().unwrap_or_default().to_owned();
    assert!(name.starts_with("ampel-web-") && name.len() == 16, "{name}");
    assert_eq!(there[0]["ips"].as_array().map(Vec::len), Some(2), "one address of each kind");

    stand.restarted(true);
    let again = stand.running("web-r1-0").await;
    assert_eq!((again.incarnation.clone(), again.release), (made.incarnation, made.release));
    assert_eq!(again.template.as_deref(), Some(&release("web", 1, "registry/app:1")), "the whole release comes back");
    assert_eq!(stand.create(&release("web", 1, "registry/app:1"), 0).await, StepOutcome::AlreadyTrue);
    assert_eq!(stand.create(&release("web", 1, "registry/app:1"), 1).await, StepOutcome::Done);
    assert_eq!(stand.platform.apps().len(), 1, "no other app is made");

    stand.restarted(true);
    for ordinal in ["web-r1-0", "web-r1-1"] {
        let one = stand.running(ordinal).await;
        assert_eq!(stand.apply(Stand::stop(&one)).await, StepOutcome::Done);
        let down = stand
            .until(ordinal, "it is down", |one| {
                !matches!(one.phase, trueup_types::Phase::Running { .. } | trueup_types::Phase::Vanishing { .. })
            })
            .await;
        assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
    }
    stand.restarted(true);
    let web = crate::stand::app("web");
    assert_eq!(stand.runtime.retire(&web).await, StepOutcome::Done, "found by its name alone");
    assert_eq!(stand.platform.apps().len(), 0);
    assert_eq!(stand.runtime.retire(&web).await, StepOutcome::AlreadyTrue);
}
