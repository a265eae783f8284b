//! What is seen, and what is not.

use std::sync::Arc;
use std::time::Duration;

use trueup_sim::faults::SightFault;
use trueup_types::{Release, ReleaseDigest, TargetName};

use super::Told;
use super::stage::{PATIENCE, in_a_house, instance, web};

pub fn a_dark_target_is_not_an_empty_one() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(2)).await?;
        stage.darken(true);
        stage
            .all_the_while("both serve on", Duration::from_secs(120), |stage| {
                stage.routes_to("web-r1-0") && stage.routes_to("web-r1-1")
            })
            .await?;
        stage.darken(false);
        stage.still().await
    })
}

pub fn what_no_event_tells_is_found() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(2)).await?;
        stage.house.world.steal(&instance("web-r1-1"));
        stage.until("there are two again", Duration::from_secs(60), |stage| stage.running("web").len() == 2).await
    })
}

pub fn a_listing_in_any_order_says_the_same() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(4)).await?;
        let doubled = std::iter::repeat_n(Some(SightFault::Doubled), 10_000);
        stage.house.world.lock().faults.script_sights(doubled);
        stage.wait(60).await?;
        stage.house.world.steal(&instance("web-r1-1"));
        stage.until("there are four again", Duration::from_secs(120), |stage| stage.running("web").len() == 4).await
    })
}

pub fn the_same_name_is_not_the_same_thing() -> Told {
    in_a_house(async |stage| {
        stage.begin(&web(2)).await?;
        let good = {
            let mut state = stage.house.world.lock();
            let all = state.instances.get_mut(&TargetName::local());
            let one = all.and_then(|all| all.get_mut(&instance("web-r1-1"))).ok_or("web-r1-1 is not there")?;
            let good = one.release.digest;
            // Somebody puts another thing in its place, and keeps the name.
            one.release = Arc::new(Release { digest: ReleaseDigest::of(&"another"), ..Release::clone(&one.release) });
            good
        };
        stage
            .until("both are of the release again", PATIENCE, |stage| {
                let state = stage.house.world.lock();
                let all: Vec<_> = state.instances.values().flatten().map(|(_, one)| one.release.digest).collect();
                all.len() == 2 && all.iter().all(|digest| *digest == good)
            })
            .await
    })
}
