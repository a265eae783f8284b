//! What leaves: unrouted first, drained, and not for ever; and what must not leave at all.

use std::sync::Arc;
use std::time::Duration;

use trueup_driver::route_book::{Leave, RouteBook, SeenShare};
use trueup_driver::survey::Epoch;
use trueup_sim::behaviour::CANNOT_START;
use trueup_sim::faults::CallFault;
use trueup_sim::{AppSketch, SimIngress};
use trueup_types::order::Order;
use trueup_types::policy::Strategy;
use trueup_types::route::{AppRoutes, Backend, RouteEntry};
use trueup_types::{OwnerId, RouteSight, StepOutcome, TableGeneration};

use super::Told;
use super::stage::{PATIENCE, Stage, in_a_house, instance, name, sure, version, web};

pub fn a_way_in_is_handed_over_when_it_is_free() -> Told {
    in_a_house(async |stage| {
        let app = web(1);
        stage.begin(&app).await?;
        stage.order("web", Order::Suspend).await?;
        stage.remove(&[name("web")]);
        let mut heir = AppSketch::web("api");
        heir.exposure.clone_from(&app.exposure);
        stage.put(&heir);
        let alone = |stage: &Stage| stage.running("api").is_empty() && stage.routes_to("web-r1-0");
        stage.wait(2).await?;
        stage.all_the_while("the one that has it keeps it", Duration::from_secs(120), alone).await?;
        stage.order("web", Order::Resume).await?;
        stage.live("api", 1).await
    })
}

/// Rolls to a second version while a request is in flight to one of the first that does not end.
async fn roll_while_busy(stage: &mut Stage) -> Told {
    let app = web(2).strategy(Strategy::Rolling);
    stage.begin(&app).await?;
    stage.house.world.lock().in_flight.insert(instance("web-r1-0"), 1);
    stage.put(&version(&app, "v2"));
    stage
        .until("the new ones serve", PATIENCE, |stage| stage.routes_to("web-r2-0") && stage.routes_to("web-r2-1"))
        .await
}

pub fn requests_are_let_end() -> Told {
    in_a_house(async |stage| {
        roll_while_busy(stage).await?;
        stage.wait(60).await
    })
}

pub fn a_drain_has_an_end() -> Told {
    in_a_house(async |stage| {
        roll_while_busy(stage).await?;
        stage
            .until("the busy one is gone", Duration::from_secs(120), |stage| !stage.running("web").contains("web-r1-0"))
            .await
    })
}

pub fn what_is_routed_runs() -> Told {
    in_a_house(async |stage| {
        let app = web(2).strategy(Strategy::Rolling);
        stage.begin(&app).await?;
        stage.put(&version(&app, "v2"));
        stage.live("web", 2).await
    })
}

pub fn what_goes_is_in_no_table_that_others_bring() -> Told {
    in_a_house(async |stage| {
        stage.house.pace.save = Duration::from_millis(400);
        stage.begin(&web(2)).await?;
        // An ingress forgets all; another app is about to tell it everything again while this one is decided upon.
        stage.house.world.lock().table.apps.clear();
        stage.put(&AppSketch::web("api"));
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.remove(&[name("web")]);
        stage.live("api", 1).await?;
        stage.until("it is gone", PATIENCE, |stage| stage.app("web").is_none() && stage.running("web").is_empty()).await
    })
}

pub fn nobody_goes_whom_a_table_may_bring_back() -> Told {
    in_a_house(async |stage| {
        let (app, epoch) = (name("web"), Epoch::default());
        let backends = vec![Backend { instance: instance("web-r1-0"), address: None, weight: 1 }];
        let entry = RouteEntry { host: "web.localhost".to_owned(), path: "/".to_owned(), backends };
        let share = AppRoutes { app: app.clone(), entries: vec![entry] };
        let ingress = Arc::new(SimIngress::new(&stage.house.world));
        let owner = OwnerId::new("sim").expect("a literal name");
        let book = RouteBook::new(owner, Some(ingress), TableGeneration::default());
        drop(book.sight(&app, epoch.next(), &epoch).await);
        // It is told, its answer is lost, and it lands five seconds later.
        stage.house.world.lock().faults.script_tables([Some(CallFault::Late(Duration::from_secs(5)))]);
        let told = book.apply(&share, SeenShare { share: None, epoch: 0 }, &epoch).await;
        sure(matches!(told, StepOutcome::Unknown { .. }), "nobody knows whether it was taken")?;
        let (RouteSight::Seen(seen), at) = book.sight(&app, epoch.next(), &epoch).await else {
            return Err("the table is seen".to_owned());
        };
        sure(seen.share == AppRoutes::none(&app), "it has not landed yet")?;
        sure(book.withdraw(&seen.share, at) == Leave::InDoubt, "one may go whom a table is about to name")
    })
}

pub fn who_may_not_go_yet_is_looked_at_later() -> Told {
    in_a_house(async |stage| {
        stage.house.pace.table = Duration::from_secs(2);
        stage.begin(&web(2)).await?;
        stage.house.world.lock().exempt.insert(name("web"));
        // An ingress forgets all while it is told everything again for another app; just then this one is to go.
        stage.put(&AppSketch::web("api"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.house.world.lock().table.apps.clear();
        stage.remove(&[name("web")]);
        stage.until("it is gone", PATIENCE, |stage| stage.running("web").is_empty()).await?;
        stage.house.tether().restless().map_or(Ok(()), Err)
    })
}

pub fn what_was_not_taken_is_told_by_nobody_else() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(1)).await?;
        // It crashes, and the ingress does not hear that nobody serves; then nobody sees the ingress for a while.
        stage.house.world.lock().faults.script_tables([Some(CallFault::LostBefore)]);
        stage.crash("web-r1-0").await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.house.world.lock().ingress_dark = true;
        tokio::time::sleep(Duration::from_secs(15)).await;
        stage.put(&AppSketch::web("api"));
        stage.house.world.lock().ingress_dark = false;
        stage.live("api", 1).await?;
        stage.until("both serve", PATIENCE, |stage| stage.routes_to("web-r1-0") && stage.routes_to("api-r1-0")).await
    })
}

pub fn what_waited_for_long_is_looked_at_again() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2);
        let probe = &mut app.template.health[0];
        (probe.interval, probe.failures) = (Duration::from_secs(1), 1);
        stage.begin(&app).await?;
        // The table of another app gets no answer for ten seconds; meanwhile one fails its probes, and is well again.
        stage.house.world.lock().faults.script_tables([Some(CallFault::Hangs)]);
        stage.put(&AppSketch::web("api"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.house.world.sicken(&instance("web-r1-0"), true);
        tokio::time::sleep(Duration::from_secs(4)).await;
        stage.house.world.sicken(&instance("web-r1-0"), false);
        stage.live("api", 1).await?;
        stage.until("all serve", PATIENCE, |stage| stage.routes_to("web-r1-0") && stage.routes_to("api-r1-0")).await
    })
}

pub fn a_drain_begins_anew_with_one_that_was_routed_again() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(1)).await?;
        // Somebody empties the table while it is taken down with a request in flight, and puts it back.
        let table = {
            let mut world = stage.house.world.lock();
            world.in_flight.insert(instance("web-r1-0"), 1);
            std::mem::take(&mut world.table.apps)
        };
        stage.remove(&[name("web")]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        stage.house.world.lock().table.apps = table;
        stage.until("it is gone", PATIENCE, |stage| stage.running("web").is_empty()).await
    })
}

pub fn a_name_is_free_when_its_holder_is_gone() -> Told {
    in_a_house(async |stage| {
        let app = web(2);
        stage.begin(&app).await?;
        stage.put(&app.clone().replicas(1));
        // It takes a moment to go: just then a second one is wanted again.
        while !stage.told("stop web-r1-1") {
            sure(stage.passed() < PATIENCE, "nothing is stopped")?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stage.put(&app);
        stage.until("two run", PATIENCE, |stage| stage.running("web").len() == 2 && stage.house.settled()).await
    })
}

pub fn history_forgets_nothing_that_serves() -> Told {
    in_a_house(async |stage| {
        let mut app = web(1);
        app.policy.history.limit = 2;
        stage.begin(&app).await?;
        for number in 2..6 {
            stage.put(&version(&app, &format!("v{number}")).env(CANNOT_START, "1"));
            let rejected = number - 1;
            stage
                .until("it is rejected", PATIENCE, |stage| {
                    stage.app("web").is_some_and(|app| app.rejected.len() == rejected && app.verdict.reverted)
                        && stage.house.settled()
                })
                .await?;
        }
        sure(stage.versions("web") == ["v1".to_owned()].into(), "the good release is gone")?;
        let kept = stage.house.store.with_record(&name("web"), |record| record.current_release().is_some());
        sure(kept == Some(true), "the release that serves is forgotten")
    })
}

pub fn masses_are_not_deleted_without_a_word() -> Told {
    in_a_house(async |stage| {
        let names: Vec<_> = (0..10).map(|number| format!("app-{number}")).collect();
        for app in &names {
            stage.put(&AppSketch::worker(app));
        }
        stage.start().await;
        for app in &names {
            stage.live(app, 1).await?;
        }
        stage.remove(&names.iter().map(|app| name(app)).collect::<Vec<_>>());
        stage
            .all_the_while("they run until somebody says so", Duration::from_secs(120), |stage| {
                names.iter().filter(|app| !stage.running(app).is_empty()).count() >= 7
            })
            .await
    })
}
