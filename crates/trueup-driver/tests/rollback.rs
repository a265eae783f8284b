//! A rollback with the environment of now, with the daemon dying at every call to the world that it makes.

use std::sync::Arc;
use std::time::Duration;

use trueup_sim::{AppSketch, CallKind, Cut, House, Moment};
use trueup_types::order::{EnvOf, Order};
use trueup_types::policy::Strategy;
use trueup_types::{AppName, DesiredApp, Template, TemplateDigest};

/// Longest that anything takes here.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// When in a call it dies. That a disk forgets what it has acknowledged is another story: there memory is made anew from
/// labels, and a person's word is lost with it.
const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Effect, Moment::Answer];

fn web() -> AppName {
    AppName::new("web").expect("a name")
}

/// The app with a program of its own beside its environment.
fn running(program: &str, version: &str) -> Arc<DesiredApp> {
    let mut sketch = AppSketch::web("web").strategy(Strategy::BlueGreen).env("VERSION", version);
    sketch.policy.bake = Duration::from_secs(5);
    let desired = sketch.build();
    let template = Template { args: vec![program.to_owned()], ..Template::clone(&desired.template) };
    let template_digest = TemplateDigest::of(&template);
    let parts = (&desired.policy, &desired.exposure, &desired.placement);
    let intent = DesiredApp::intent_of(template_digest, parts.0, parts.1, parts.2, desired.prune);
    Arc::new(DesiredApp { template: Arc::new(template), template_digest, intent, ..DesiredApp::clone(&desired) })
}

async fn at_the_second_release() -> House {
    let mut house = House::new();
    house.source.put(running("old", "v1"));
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(running("new", "v2"));
    house.until_live("web", 2).await;
    house.until("the first one is gone", PATIENCE, House::settled).await;
    house
}

/// Gives the order; whoever asks a daemon that dies over it gets no answer.
async fn ordered(house: &House) -> bool {
    let control = house.control();
    let name = web();
    let order = control.order(&name, Order::Rollback { to: None, env: EnvOf::Now }, "ann");
    tokio::time::timeout(Duration::from_secs(5), order).await.is_ok_and(|said| said.is_ok())
}

/// What runs: program, environment, and whose release it is once more.
fn there(house: &House) -> Vec<String> {
    let state = house.world.lock();
    let all = state.instances.values().flatten();
    let line = |(id, one): (&trueup_types::InstanceId, &trueup_sim::world::SimInstance)| {
        format!("{id} {} {}", one.release.template.args.join(" "), one.release.template.env["VERSION"])
    };
    all.map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_dies_anywhere_in_a_rollback_ends_it_and_makes_nothing_twice() {
    let house = at_the_second_release().await;
    house.tether().arm(None, false);
    assert!(ordered(&house).await);
    house.until_live("web", 3).await;
    house.until("it has come to rest", PATIENCE, House::settled).await;
    let kinds = [CallKind::Step, CallKind::Table, CallKind::Save];
    let counts = kinds.map(|kind| house.tether().count(kind));
    assert!(counts.iter().all(|count| *count > 1), "{counts:?}");
    let mut deaths = 0;
    for (kind, count) in kinds.into_iter().zip(counts) {
        for (number, moment) in (0..count).flat_map(|number| MOMENTS.map(|moment| (number, moment))) {
            let mut house = at_the_second_release().await;
            house.tether().arm(Some(Cut { kind, number, moment }), false);
            let heard = ordered(&house).await;
            let died = tokio::time::timeout(PATIENCE, house.tether().died()).await.is_ok();
            deaths += u32::from(died);
            house.kill().await;
            house.start().await;
            house.until("the daemon has looked", PATIENCE, |house| house.app("web").is_some()).await;
            let pinned = house.app("web").is_some_and(|app| app.status.pin.is_some());
            let what = format!("{kind:?} {number} {moment:?}, heard {heard}\n{}", house.story());
            assert!(pinned || !heard, "what was acknowledged is kept: {what}");
            if !pinned {
                assert!(ordered(&house).await, "{what}");
            }
            house.until_live("web", 3).await;
            house.until("it has come to rest", PATIENCE, House::settled).await;
            let what = format!("{what}\n{}", house.story());
            assert_eq!(there(&house), ["web-r3-0 old v2"], "{what}");
            let state = house.world.lock();
            assert_eq!(state.creates[&web()], 3, "one for each release: {what}");
            assert!(state.violations.is_empty(), "{:?} {what}", state.violations);
        }
    }
    assert!(deaths > 20, "{deaths}");
}
