//! Disks in several regions: each lies where its machine is, and counts that change in one region leave the other alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trueup_fly_sim::{Behaviour, Health, Scenario};
use trueup_sim::AppSketch;
use trueup_types::observed::Phase;
use trueup_types::step::{InstanceStep, StepOutcome};
use trueup_types::{InstanceId, Ordinal, Place, Revision};

use crate::daemon::Scene;
use crate::disks::{db, volumes};
use crate::stand::{Stand, app, image, quick};

const TWO_AND_ONE: &[(&str, u32)] = &[("iad", 2), ("fra", 1)];

/// A disk: its region, the region of the machine that it is in, and that machine's image and state; nothing where it is free.
pub type Disk = (String, Option<(String, String)>);

/// Each disk by its id, held against where its machine is.
pub async fn disks(scene: &Scene) -> BTreeMap<String, Disk> {
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let machines = scene.platform.machines();
    let of = |volume: &Value| {
        let holder = word(volume, "attached_machine_id");
        let machine = machines.iter().find(|machine| word(machine, "id") == holder);
        let within = machine.map(|machine| {
            assert_eq!(machine["region"], volume["region"], "a disk and its machine are in one place");
            (word(machine, "image"), word(machine, "state"))
        });
        (word(volume, "id"), (word(volume, "region"), within))
    };
    volumes(scene).await.iter().map(of).collect()
}

/// How many machines of this image run in each region.
pub fn running(scene: &Scene, image: &str) -> BTreeMap<String, u32> {
    let mut regions = BTreeMap::new();
    for machine in scene.platform.machines() {
        if machine["image"] == *image && machine["state"] == "started" && machine["cordoned"] == false {
            *regions.entry(machine["region"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    regions
}

pub fn wanted(regions: &[(&str, u32)]) -> BTreeMap<String, u32> {
    let some = regions.iter().filter(|(_, count)| *count > 0);
    some.map(|(region, count)| ((*region).to_owned(), *count)).collect()
}

/// All run as wanted, and nothing else is there.
pub async fn stands(scene: &Scene, image: &str, regions: &[(&str, u32)]) {
    let count: u32 = regions.iter().map(|(_, count)| count).sum();
    scene
        .until("all run where they are wanted, and nobody else does", |scene| {
            running(scene, image) == wanted(regions) && scene.platform.machines().len() == count as usize
        })
        .await;
    // Every list has heard of it.
    tokio::time::sleep(Duration::from_secs(6)).await;
}

/// The disks that are in machines of an image that run, with their regions.
pub fn in_use(disks: &BTreeMap<String, Disk>, image: &str) -> BTreeSet<(String, String)> {
    let used = disks.iter().filter(|(_, (_, within))| *within == Some((image.to_owned(), "started".to_owned())));
    used.map(|(id, (region, _))| (id.clone(), region.clone())).collect()
}

pub fn by_region(disks: &BTreeMap<String, Disk>) -> BTreeMap<String, u32> {
    let mut regions = BTreeMap::new();
    for (region, _) in disks.values() {
        *regions.entry(region.clone()).or_default() += 1;
    }
    regions
}

fn of_three(image: &str) -> AppSketch {
    db(image, 3)
}

#[tokio::test(start_paused = true)]
async fn each_disk_lies_where_its_machine_is_and_an_update_takes_each_over_where_it_lies() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want_in(&of_three("r/db:1"), TWO_AND_ONE);
    scene.live("web", 1).await;
    stands(&scene, "r/db:1", TWO_AND_ONE).await;
    let (before, from) = (disks(&scene).await, scene.platform.sim.now());
    assert_eq!(by_region(&before), wanted(TWO_AND_ONE));
    for revision in 2..5 {
        let next = format!("r/db:{revision}");
        scene.want_in(&of_three(&next), TWO_AND_ONE);
        scene.live("web", revision).await;
        stands(&scene, &next, TWO_AND_ONE).await;
        let now = disks(&scene).await;
        assert_eq!(in_use(&now, &next).len(), 3, "r{revision}: {now:?}");
        assert_eq!(
            now.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "r{revision}: the same disks, and no other"
        );
    }
    assert!(scene.fewest(from) >= 2, "one at a time");
}

#[tokio::test(start_paused = true)]
async fn a_bad_update_is_put_back_in_each_region_with_the_same_disks() {
    for bad in ["never", "turns"] {
        let images = vec![
            Behaviour { health: Health::Never, ..image("r/db:never") },
            Behaviour { health: Health::FailsAfter(trueup_fly_sim::Span::millis(30_000)), ..image("r/db:turns") },
        ];
        let mut scene = Scene::new(Scenario { images, ..Scenario::default() }).await;
        scene.want_in(&of_three("r/db:1"), TWO_AND_ONE);
        scene.live("web", 1).await;
        stands(&scene, "r/db:1", TWO_AND_ONE).await;
        let before = disks(&scene).await;
        scene.want_in(&of_three(&format!("r/db:{bad}")), TWO_AND_ONE);
        scene.rejected("web", 2).await;
        stands(&scene, "r/db:1", TWO_AND_ONE).await;
        let now = disks(&scene).await;
        assert_eq!(in_use(&now, "r/db:1"), in_use(&before, "r/db:1"), "{bad}");
        assert_eq!(now.len(), 3, "{bad}: and no other was made");
        scene.house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn counts_that_change_in_one_region_leave_the_other_alone() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want_in(&of_three("r/db:1"), TWO_AND_ONE);
    scene.live("web", 1).await;
    stands(&scene, "r/db:1", TWO_AND_ONE).await;
    let ids = |scene: &Scene, region: &str| -> BTreeSet<String> {
        let there = scene.platform.machines().into_iter().filter(|machine| machine["region"] == *region);
        there.map(|machine| machine["id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (iad, first) = (ids(&scene, "iad"), disks(&scene).await);
    // Longer in fra: one more machine there, with a disk of its own.
    let longer: &[(&str, u32)] = &[("iad", 2), ("fra", 2)];
    scene.want_in(&db("r/db:1", 4), longer);
    stands(&scene, "r/db:1", longer).await;
    assert_eq!(ids(&scene, "iad"), iad, "who is in the other region is not touched");
    let second = disks(&scene).await;
    assert_eq!(by_region(&second), wanted(longer));
    assert!(first.keys().all(|id| second.contains_key(id)), "what there was is there");
    // Shorter in iad: one machine goes there, and its disk stays, in nobody.
    let fra = ids(&scene, "fra");
    let shorter: &[(&str, u32)] = &[("iad", 1), ("fra", 2)];
    scene.want_in(&of_three("r/db:1"), shorter);
    stands(&scene, "r/db:1", shorter).await;
    assert_eq!(ids(&scene, "fra"), fra, "who is in the other region is not touched");
    let third = disks(&scene).await;
    assert_eq!(
        third.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>(),
        "no disk was made, and none destroyed"
    );
    assert_eq!(in_use(&third, "r/db:1").len(), 3);
    // And longer again: the disk that was left is taken up.
    scene.want_in(&db("r/db:1", 4), longer);
    stands(&scene, "r/db:1", longer).await;
    let last = disks(&scene).await;
    assert_eq!(in_use(&last, "r/db:1"), in_use(&second, "r/db:1"), "each disk is in use again, and there is no other");
    assert_eq!(last.len(), 4);
}

/// The sum stays, and one is to be elsewhere: what holds it is its disk, which does not move with it. See `docs/fly.md`.
#[tokio::test(start_paused = true)]
async fn nobody_with_a_disk_moves_to_another_region_by_itself() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want_in(&of_three("r/db:1"), TWO_AND_ONE);
    scene.live("web", 1).await;
    stands(&scene, "r/db:1", TWO_AND_ONE).await;
    let before = disks(&scene).await;
    scene.want_in(&of_three("r/db:1"), &[("iad", 1), ("fra", 2)]);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(disks(&scene).await, before, "nobody went, and no disk was made");
    // In two steps it goes: one more there, one fewer here.
    let longer: &[(&str, u32)] = &[("iad", 2), ("fra", 2)];
    scene.want_in(&db("r/db:1", 4), longer);
    stands(&scene, "r/db:1", longer).await;
    let moved: &[(&str, u32)] = &[("iad", 1), ("fra", 2)];
    scene.want_in(&of_three("r/db:1"), moved);
    stands(&scene, "r/db:1", moved).await;
    assert_eq!(by_region(&disks(&scene).await), wanted(longer), "and what it left is where it was");
}

/// The numbers of a row are dealt anew with each release, over all regions: who comes takes over what has just been left where
/// it comes, whatever its number.
#[tokio::test(start_paused = true)]
async fn who_comes_to_a_region_takes_over_the_disk_that_was_just_left_there() {
    let stand = Stand::new(quick());
    let release = |revision: u64| db(&format!("r/db:{revision}"), 3).release(Revision(revision));
    let create = async |region: &str, revision: u64, ordinal: u32| {
        let id = InstanceId::new(&app("web"), Revision(revision), Ordinal(ordinal));
        let place = Place::new(region).expect("a name");
        let made =
            stand.apply(InstanceStep::Create { id: id.clone(), place, release: Arc::new(release(revision)) }).await;
        assert_eq!(made, StepOutcome::Done);
        stand.running(&id.to_string()).await
    };
    create("fra", 1, 0).await;
    create("iad", 1, 1).await;
    let last = create("iad", 1, 2).await;
    let volumes = |stand: &Stand| stand.platform.apps()[0]["volumes"].clone();
    let before = volumes(&stand);
    assert_eq!(stand.apply(Stand::stop(&last)).await, StepOutcome::Done);
    let down = stand.until("web-r1-2", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
    tokio::time::sleep(Duration::from_secs(15)).await;
    create("iad", 2, 0).await;
    assert_eq!(volumes(&stand), before, "no other was made");
    // One more of the same release is nobody's successor.
    create("fra", 2, 3).await;
    assert_eq!(volumes(&stand).as_array().map(Vec::len), Some(4));
}
