//! What a target refuses: for good, or it says so.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::faults::{CallFault, SightFault};
use trueup_types::Revision;
use trueup_types::number::Quantity;
use trueup_types::observed::ExitWhy;
use trueup_types::order::Order;
use trueup_types::policy::Strategy;
use trueup_types::verdict::State;

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, instance, name, version, web};

/// From here on nothing is made or started of an app's releases up to this one.
fn refuse(stage: &Stage, app: &AppSketch, newest: u64) {
    stage.house.world.lock().faults.refuse(&app.name, Some(Revision(newest)));
}

pub fn a_fix_does_not_wait_for_what_cannot_be_started() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        refuse(stage, &app, 1);
        let now = stage.house.world.now();
        for all in stage.house.world.lock().instances.values_mut() {
            all.values_mut().for_each(|one| one.end = Some((now, None, ExitWhy::HostLost)));
        }
        stage.order("web", Order::Reconcile).await?;
        stage.wait(60).await?;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await
    })
}

pub fn a_fix_does_not_wait_as_long_as_what_it_mends() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        refuse(stage, &app, 1);
        stage.put(&app.clone().replicas(2));
        stage.wait(600).await?;
        let mut next = version(&app, "v2").replicas(2);
        next.policy.progress_deadline = Duration::from_secs(60);
        stage.put(&next);
        stage.live("web", 2).await
    })
}

pub fn what_is_watched_and_refused_goes_back() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        let baking = |stage: &Stage| stage.app("web").is_some_and(|app| app.verdict.state == State::Baking);
        stage.until("it is promoted", PATIENCE, baking).await?;
        refuse(stage, &app, 2);
        stage.house.world.steal(&instance("web-r2-0"));
        stage.house.world.nudge(&app.target, &name("web"));
        stage.reverted("web").await
    })
}

pub fn what_may_run_holds_its_place() -> Told {
    in_a_house(async |stage| {
        let mut app = web(3).strategy(Strategy::Rolling);
        app.policy.max_surge = Quantity::Count(1);
        stage.begin(&app).await?;
        // Listings show what was at the crash, and nothing older.
        stage.wait(12).await?;
        {
            let mut state = stage.house.world.lock();
            state.faults.script_calls([Some(CallFault::BusyAfter)]);
            state.faults.script_sights([None, Some(SightFault::Older), Some(SightFault::Older)]);
        }
        stage.crash("web-r1-0").await?;
        stage.until("it is started again", PATIENCE, |stage| stage.told("start web-r1-0")).await?;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await
    })
}
