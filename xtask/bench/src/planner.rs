//! How many plans a second: the pure planner, one app at a time, on one core.
//!
//! The app is made by a whole daemon in the simulated world, so that record and sight are what they are in life.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use trueup_sim::{AppSketch, House};
use trueup_types::{
    AppRecord, AppRoutes, Health, Instance, Observed, Permits, RouteSeen, RouteSight, TargetName, Timestamp, Wanted,
};

use crate::measure::Setting;
use crate::noop::paused;
use crate::row::Row;
use crate::samples::Samples;

/// One sample.
const BATCH: Duration = Duration::from_millis(200);
/// Plans between two looks at the clock.
const STRIDE: u32 = 64;

struct Scene {
    wanted: Wanted,
    observed: Observed,
    record: AppRecord,
    now: Timestamp,
}

/// Measures plans a second on a converged app and on a changed one.
///
/// # Errors
/// When the simulated app does not converge, or the planner does not do what is measured.
pub fn run(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let converged = converged()?;
    let permits = Permits::all();
    let plan = |scene: &Scene| trueup_plan::plan(&scene.wanted, &scene.observed, &permits, &scene.record, scene.now);
    ensure!(plan(&converged).steps.is_empty(), "a converged app gets no steps");
    let changed = changed(&converged, plan(&Scene { wanted: next(), ..converged.copy() }).record);
    ensure!(!plan(&changed).steps.is_empty(), "a changed app gets steps");
    let mut rows = Vec::new();
    for (name, scene, note) in [
        ("planner-converged", &converged, "two instances, routed, nothing to do"),
        ("planner-changed", &changed, "a rollout under way: creates the new release"),
    ] {
        let rates = (0..setting.samples(15, 5)).map(|_| rate(|| drop(black_box(plan(black_box(scene))))));
        let rates = Samples::of(rates.collect());
        rows.push(Row::new(name, rates.median(), "plans/s", rates.count()).note(note));
    }
    Ok(rows)
}

impl Scene {
    fn copy(&self) -> Self {
        let Self { wanted, observed, record, now } = self;
        Self { wanted: wanted.clone(), observed: observed.clone(), record: record.clone(), now: *now }
    }
}

fn app() -> AppSketch {
    AppSketch::web("web").replicas(2)
}

fn next() -> Wanted {
    Wanted::Present(app().env("VERSION", "v2").build())
}

fn changed(converged: &Scene, record: AppRecord) -> Scene {
    Scene { wanted: next(), record, ..converged.copy() }
}

fn converged() -> anyhow::Result<Scene> {
    paused()?.block_on(async {
        let mut house = House::new();
        house.source.put(app().build());
        house.start().await;
        house.until_live("web", 1).await;
        let desired = app().build();
        let now = house.world.now();
        let record = house.store.copy().apps.remove(&desired.name).context("the app is remembered")?;
        let state = house.world.lock();
        let target = TargetName::local();
        let seen = state.instances.get(&target).into_iter().flatten();
        let instances = seen.map(|(id, one)| Instance {
            sighting: one.sighting(id, now),
            target: target.clone(),
            health: Health::Passing { since: one.started },
        });
        let share = state.table.apps.iter().find(|share| share.app == desired.name).context("it is routed")?;
        let share = AppRoutes::clone(share);
        let routes = RouteSight::Seen(RouteSeen { share, in_flight: std::collections::BTreeMap::new() });
        let sighted_since = Timestamp::from_millis(0);
        let observed = Observed::sorted(now, sighted_since, instances.collect(), routes);
        Ok(Scene { wanted: Wanted::Present(Arc::clone(&desired)), observed, record, now })
    })
}

fn rate(once: impl Fn()) -> f64 {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < BATCH {
        (0..STRIDE).for_each(|_| once());
        count += STRIDE;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}
