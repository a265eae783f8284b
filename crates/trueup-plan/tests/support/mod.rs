//! What the tests of the planner share. `check`, `ordered` and `story` are the only ones that touch the API.
//!
//! `scene` reads a world at one moment from a line of text, `model` is a small world of `being`s that lives on from
//! tick to tick, `laws` watches it by means of its own, `story` tells what happened in it.

pub mod app;
pub mod being;
pub mod laws;
pub mod model;
pub mod orders;
pub mod scene;
pub mod story;

use std::time::Duration;

use expect_test::Expect;
use trueup_plan::{audit, command, explain, plan};
use trueup_types::desired::Permits;

use scene::Scene;

/// Plans for a world told in words, and expects the explanation; the plan is lawful and the same each time.
pub fn check(world: &str, expect: Expect) {
    expect.assert_eq(&decision(&Scene::read(world)));
}

/// The same, and once more so long after that, when all is permitted again.
pub fn check_permitted_after(world: &str, wait: Duration, expect: Expect) {
    let mut scene = Scene::read(world);
    let Scene { wanted, observed, permits, record, now } = &scene;
    scene.record = plan(wanted, observed, permits, record, *now).record;
    scene.permits = Permits::all();
    scene.now = scene.now.after(wait);
    scene.observed.at = scene.now;
    expect.assert_eq(&decision(&scene));
}

/// Gives an order to an app in a world told in words, and expects the denial, or what is planned then.
pub fn ordered(world: &str, order: &str, expect: Expect) {
    let mut scene = Scene::read(world);
    let order = orders::order(order);
    match command(&scene.record, scene.desired().as_deref(), &order, "ann", scene.now) {
        Err(denial) => expect.assert_eq(&format!("denied: {denial}")),
        Ok(next) => {
            scene.record = next;
            expect.assert_eq(&decision(&scene));
        }
    }
}

/// Tells what happens in a small world, and expects the tale.
pub fn story(script: &str, expect: Expect) {
    expect.assert_eq(&story::tell(script));
}

fn decision(scene: &Scene) -> String {
    let Scene { wanted, observed, permits, record, now } = scene;
    let decided = plan(wanted, observed, permits, record, *now);
    assert_eq!(decided, plan(wanted, observed, permits, record, *now), "the same world gives the same plan");
    let broken = audit(record, wanted, observed, permits, &decided);
    assert!(broken.is_empty(), "the plan breaks {broken:?}: {decided:#?}");
    let lines = explain(wanted, observed, permits, record, &decided, *now);
    scene.in_words(&lines.join("\n"))
}
