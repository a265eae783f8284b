//! A commit that changes what an app is like, and not only its version: its ways in, the name of its port, its disk.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::{NEVER_HEALTHY, SICK_AFTER_MS};
use trueup_types::desired::Doubt;
use trueup_types::policy::Strategy;
use trueup_types::template::Volume;
use trueup_types::{Label, PortName, Quantity};

use super::Told;
use super::stage::{PATIENCE, in_a_house, sure, version, web};

/// Whose only way in is to a port of another name.
fn renamed(app: &AppSketch, port: &str) -> AppSketch {
    let mut app = app.clone();
    let name = PortName::new(port).expect("a literal name");
    app.template.ports.iter_mut().for_each(|port| port.name = name.clone());
    app.exposure.routes.iter_mut().for_each(|route| route.port = name.clone());
    app
}

/// One that has a disk, and so never stands beside another.
fn with_disk(app: &AppSketch) -> AppSketch {
    let mut app = app.clone();
    let name = Label::new("data").expect("a literal name");
    app.template.volumes = vec![Volume { name, path: "/data".to_owned(), size_bytes: None }];
    app.policy.stop_first = Some("the volume `data` has one owner".to_owned());
    app
}

pub fn one_that_had_no_ways_in_goes_back_to_that() -> Told {
    in_a_house(async |stage| {
        stage.begin(&AppSketch::worker("web")).await?;
        stage.put(&version(&web(1), "v2").env(NEVER_HEALTHY, "1"));
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "what runs is not the good release")?;
        stage.still().await
    })
}

pub fn a_port_may_change_its_name() -> Told {
    in_a_house(async |stage| {
        let mut app = web(2).strategy(Strategy::Rolling);
        app.policy.max_surge = Quantity::Count(1);
        stage.begin(&app).await?;
        stage.put(&renamed(&version(&app, "v2"), "front"));
        stage.live("web", 2).await
    })
}

pub fn a_disk_has_one_owner_on_the_way_back() -> Told {
    in_a_house(async |stage| {
        let app = AppSketch::worker("web");
        stage.begin(&with_disk(&app)).await?;
        stage.put(&version(&app, "v2").env(NEVER_HEALTHY, "1"));
        stage.reverted("web").await?;
        let hung = stage.life("web-r1-0");
        stage.sicken(&stage.running("web"), true);
        stage
            .until("it is replaced", PATIENCE, |stage| {
                stage.running("web").len() == 1 && stage.life("web-r1-0") != hung
            })
            .await
    })
}

pub fn a_disk_has_one_owner_though_a_rollout_is_given_up() -> Told {
    in_a_house(async |stage| {
        let app = web(1).strategy(Strategy::Rolling);
        let disk = with_disk(&app);
        stage.begin(&disk).await?;
        // Nothing may go while the manifests are in doubt: what crashes stays beside what takes its place.
        stage.house.source.doubt(Some(Doubt::SourceUnavailable("the directory cannot be read".to_owned())));
        stage.put(&version(&disk, "v2").env(NEVER_HEALTHY, "1"));
        stage.crash("web-r1-0").await?;
        stage.until("the second release runs", PATIENCE, |stage| stage.life("web-r2-0").is_some()).await?;
        stage.put(&version(&app, "v3"));
        stage.house.source.doubt(None);
        stage.live("web", 3).await
    })
}

pub fn a_way_back_without_ways_in_is_woken() -> Told {
    in_a_house(async |stage| {
        let mut app = AppSketch::worker("web").strategy(Strategy::BlueGreen);
        app.policy.bake = Duration::from_secs(300);
        stage.begin(&app).await?;
        stage.sicken(&stage.running("web"), true);
        stage.put(&version(&app, "v2").env(SICK_AFTER_MS, "20000"));
        stage.reverted("web").await?;
        sure(stage.versions("web") == ["v1".to_owned()].into(), "what runs is not the good release")
    })
}

pub fn new_ones_come_before_what_hangs() -> Told {
    in_a_house(async |stage| {
        let app = AppSketch::worker("web").replicas(2).strategy(Strategy::BlueGreen);
        stage.put(&app.clone().env(NEVER_HEALTHY, "1"));
        stage.start().await;
        stage.until("the first release runs", PATIENCE, |stage| stage.running("web").len() == 2).await?;
        // Who has lost its memory takes what is oldest for good.
        stage.kill().await;
        stage.house.store.lose();
        stage.put(&version(&app, "v2"));
        stage.start().await;
        stage.until("the second one runs", PATIENCE, |stage| stage.running("web").len() == 4).await?;
        stage.put(&version(&app, "v3"));
        stage.live("web", 3).await
    })
}
