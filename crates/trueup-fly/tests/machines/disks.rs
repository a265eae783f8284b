//! Apps with disks: one machine at a time makes room for the next, which takes its disk over; what turns out bad is put back
//! with the same disk.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use trueup_fly_sim::{Answered, Asked, Behaviour, Body, Exits, Fault, Health, Lag, Reply, Said, Scenario, Span};
use trueup_sim::AppSketch;
use trueup_types::Label;
use trueup_types::policy::Strategy;
use trueup_types::step::StepOutcome;
use trueup_types::template::Volume;

use crate::daemon::Scene;
use crate::stand::{Stand, image, quick, rule, sketch};

pub fn db(image: &str, replicas: u32) -> AppSketch {
    let mut db = sketch("web", image).replicas(replicas);
    let name = Label::new("data").expect("a name");
    db.template.volumes = vec![Volume { name, path: "/data".to_owned(), size_bytes: Some(3 << 30) }];
    db.policy.strategy = Strategy::Rolling;
    db.policy.stop_first = Some("the volume `data` has one owner".to_owned());
    db.policy.bake = Duration::from_secs(20);
    db.policy.healthy_deadline = Duration::from_secs(40);
    db.policy.progress_deadline = Duration::from_secs(120);
    db
}

fn images() -> Vec<Behaviour> {
    let crash = Exits { after: Span::millis(500), code: 3, ..Exits::default() };
    vec![
        Behaviour { health: Health::Never, ..image("r/db:never") },
        Behaviour { exits: Some(crash), ..image("r/db:crash") },
        Behaviour { unpullable: Some(trueup_fly_sim::Unpullable::Failed), ..image("r/db:gone") },
        Behaviour { health: Health::FailsAfter(Span::millis(30_000)), ..image("r/db:turns") },
    ]
}

/// The disks of the only app, as the platform lists them.
pub async fn volumes(scene: &Scene) -> Vec<Value> {
    let path = format!("/v1/apps/{}/volumes", scene.fly_app());
    let asked = Asked::new("GET", &path).header("authorization", "Bearer any");
    let Answered::Reply(Reply { body: Body::Json(Value::Array(volumes)), .. }) = scene.platform.sim.answer(asked).await
    else {
        unreachable!("disks are listed")
    };
    volumes
}

/// Each disk of the app, with the image of the machine that it is in.
async fn disks(scene: &Scene) -> BTreeSet<(String, String)> {
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let fleet = scene.fleet();
    let of = |volume: &Value| {
        let machine = word(volume, "attached_machine_id");
        let found = fleet.iter().find(|(id, ..)| *id == machine);
        (word(volume, "id"), found.map_or_else(String::new, |(_, image, state, _)| format!("{image} {state}")))
    };
    volumes(scene).await.iter().map(of).collect()
}

/// The same disks, all in machines of an image that run.
fn all_in(before: &BTreeSet<(String, String)>, image: &str) -> BTreeSet<(String, String)> {
    before.iter().map(|(id, _)| (id.clone(), format!("{image} started"))).collect()
}

#[tokio::test(start_paused = true)]
async fn an_update_takes_the_disks_over_one_machine_at_a_time() {
    for replicas in [1, 3] {
        let scene = Scene::new(Scenario::default()).await;
        scene.want(&db("r/db:1", replicas));
        scene.live("web", 1).await;
        scene.until("all serve", |scene| scene.serving().len() == replicas as usize).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let (before, from) = (disks(&scene).await, scene.platform.sim.now());
        assert_eq!((before.len(), &before), (replicas as usize, &all_in(&before, "r/db:1")));
        scene.want(&db("r/db:2", replicas));
        scene.live("web", 2).await;
        scene.until("the old are gone", |scene| scene.fleet().len() == replicas as usize).await;
        assert_eq!(
            disks(&scene).await,
            all_in(&before, "r/db:2"),
            "each disk is in a new machine, and there is no other"
        );
        assert!(scene.fewest(from) + 1 >= replicas as usize, "one at a time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_update_is_put_back_with_the_same_disks() {
    for (replicas, bad) in [(1, "never"), (1, "crash"), (1, "gone"), (1, "turns"), (3, "never"), (3, "turns")] {
        let mut scene = Scene::new(Scenario { images: images(), ..Scenario::default() }).await;
        scene.want(&db("r/db:1", replicas));
        scene.live("web", 1).await;
        scene.until("all serve", |scene| scene.serving().len() == replicas as usize).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let (before, from) = (disks(&scene).await, scene.platform.sim.now());
        scene.want(&db(&format!("r/db:{bad}"), replicas));
        scene.rejected("web", 2).await;
        scene.until("all serve again", |scene| scene.serving().len() == replicas as usize).await;
        let all = |scene: &Scene| scene.fleet().len() == replicas as usize;
        scene.until("nothing of the bad one is left", all).await;
        assert_eq!(disks(&scene).await, all_in(&before, "r/db:1"), "{bad}: the same disks, in machines of the old");
        if bad == "never" {
            assert!(scene.fewest(from) + 1 >= replicas as usize, "{bad}: only one made room");
        }
        scene.house.kill().await;
    }
}

/// The disks that are in a machine.
fn used(disks: &BTreeSet<(String, String)>) -> BTreeSet<(String, String)> {
    disks.iter().filter(|(_, holder)| !holder.is_empty()).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_disk_of_a_longer_row_is_nobodys_however_an_update_goes() {
    for (before, after) in [(2, 1), (3, 2)] {
        let scene = Scene::new(Scenario::default()).await;
        scene.want(&db("r/db:1", before));
        scene.live("web", 1).await;
        scene.until("all serve", |scene| scene.serving().len() == before as usize).await;
        scene.want(&db("r/db:1", after));
        scene.until("one has gone", |scene| scene.fleet().len() == after as usize).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let in_use = used(&disks(&scene).await);
        assert_eq!(in_use.len(), after as usize);
        scene.want(&db("r/db:2", after));
        scene.live("web", 2).await;
        scene.until("the old are gone", |scene| scene.fleet().len() == after as usize).await;
        let now = disks(&scene).await;
        assert_eq!(used(&now), all_in(&in_use, "r/db:2"), "the same disks as before, and none of another day");
        assert_eq!(now.len(), before as usize, "and no other was made");
        // Once more, as the row is dealt otherwise by now; and longer again.
        scene.want(&db("r/db:3", after));
        scene.live("web", 3).await;
        scene.until("the old are gone again", |scene| scene.fleet().len() == after as usize).await;
        assert_eq!(used(&disks(&scene).await), all_in(&in_use, "r/db:3"));
        scene.want(&db("r/db:3", before));
        scene.until("all serve again", |scene| scene.serving().len() == before as usize).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(used(&disks(&scene).await), all_in(&now, "r/db:3"), "the one that was left is taken up again");
    }
}

/// The new one finds its disk in use, and nobody makes room while there is room: see `docs/fly.md`.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_updated_and_grows_at_once_is_put_back_and_loses_nothing() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want(&db("r/db:1", 2));
    scene.live("web", 1).await;
    scene.until("both serve", |scene| scene.serving().len() == 2).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let before = disks(&scene).await;
    scene.want(&db("r/db:2", 3));
    scene.rejected("web", 2).await;
    scene.until("all three serve", |scene| scene.serving().len() == 3 && scene.fleet().len() == 3).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let now = disks(&scene).await;
    assert_eq!(now.len(), 3, "one more for the third, and no other");
    assert!(before.is_subset(&now), "what there was is where it was: {now:?}");
}

/// A disk that nobody answers for may be there, and two of one name may be there too: nobody asks for a second one before lists
/// must show the first.
#[tokio::test(start_paused = true)]
async fn a_disk_that_was_made_without_a_word_is_made_once_though_every_list_is_late() {
    let lag = Lag { list: Span::millis(8_000), ..Lag::default() };
    for fault in [Fault::CommitsThenAnswers(Said::status(502)), Fault::CommitsThenCut, Fault::CommitsThenHangs] {
        let stand = Stand::new(Scenario { lag, faults: vec![rule("Volumes_create", 1, fault.clone())], ..quick() });
        let release = db("r/db:1", 1).release(trueup_types::Revision(1));
        let began = tokio::time::Instant::now();
        while !stand.create(&release, 0).await.settled() {
            assert!(began.elapsed() < Duration::from_secs(120), "it never settles");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        stand.running("web-r1-0").await;
        assert_eq!(stand.platform.apps()[0]["volumes"].as_array().map(Vec::len), Some(1), "{fault:?}");
        assert_eq!(stand.calls("Volumes_create"), 1, "{fault:?}");
    }
}

/// One whose machine could not be made at once is found again by what it is called there, though no list shows it yet.
#[tokio::test(start_paused = true)]
async fn a_disk_that_was_made_for_a_machine_that_was_not_is_found_though_lists_are_late() {
    let lag = Lag { list: Span::millis(20_000), ..Lag::default() };
    let full = Fault::Answers(Said { error: Some("insufficient resources".to_owned()), ..Said::status(412) });
    let stand = Stand::new(Scenario { lag, faults: vec![rule("Machines_create", 2, full)], ..quick() });
    let release = db("r/db:1", 1).release(trueup_types::Revision(1));
    for _ in 0..2 {
        assert!(matches!(stand.create(&release, 0).await, StepOutcome::Retry { .. }));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(stand.create(&release, 0).await, StepOutcome::Done);
    assert_eq!(stand.platform.apps()[0]["volumes"].as_array().map(Vec::len), Some(1));
}
