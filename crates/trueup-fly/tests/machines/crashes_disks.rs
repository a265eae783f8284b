//! Apps with disks, made, updated, put back, taken away, made longer and shorter by daemons that are killed at each of their
//! requests: each disk is where it would be otherwise, and there is no other.

use std::collections::BTreeMap;
use std::time::Duration;

use trueup_fly_sim::{Behaviour, Health, Scenario};
use trueup_sim::AppSketch;

use crate::daemon::Scene;
use crate::disks;
use crate::killed::{Deed, killed_everywhere};
use crate::regions::{self, running, wanted};
use crate::stand::{image, quick};

/// What is done to an app with a disk for each instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disks {
    Create,
    Update,
    Revert,
    Delete,
    Longer,
    Shorter,
}

/// How many in each region.
type Counts = Vec<(&'static str, u32)>;

/// In one region, and in two.
const ONE: &[(&str, u32)] = &[("iad", 2)];
const TWO: &[(&str, u32)] = &[("iad", 1), ("fra", 1)];

/// A deed, and where.
#[derive(Debug, Clone, Copy)]
struct Row {
    deed: Disks,
    regions: &'static [(&'static str, u32)],
}

fn db(image: &str, regions: &[(&str, u32)]) -> AppSketch {
    let mut db = disks::db(image, regions.iter().map(|(_, count)| count).sum());
    db.policy.bake = Duration::from_secs(10);
    // Who was killed while a disk was asked for leaves the next one to wait until lists must show it.
    db.policy.progress_deadline = Duration::from_secs(180);
    db
}

/// The same with one more in the first region.
fn longer(regions: &[(&'static str, u32)]) -> Vec<(&'static str, u32)> {
    let one_more = |(at, (region, count)): (usize, &(&'static str, u32))| (*region, count + u32::from(at == 0));
    regions.iter().enumerate().map(one_more).collect()
}

impl Row {
    fn want(&self, scene: &Scene, image: &str, regions: &[(&str, u32)]) {
        scene.want_in(&db(image, regions), regions);
    }

    /// How many run where, in the end, and how many disks there are.
    fn end(&self) -> (Counts, Counts) {
        let (plain, long) = (self.regions.to_vec(), longer(self.regions));
        match self.deed {
            Disks::Create | Disks::Update | Disks::Revert => (plain.clone(), plain),
            Disks::Delete => (Vec::new(), plain),
            Disks::Longer => (long.clone(), long),
            Disks::Shorter => (plain, long),
        }
    }

    fn image(&self) -> &'static str {
        if self.deed == Disks::Update { "r/db:2" } else { "r/db:1" }
    }
}

impl Deed for Row {
    fn platform(&self) -> Scenario {
        let never = Behaviour { health: Health::Never, ..image("r/db:never") };
        Scenario { images: vec![never], ..quick() }
    }

    async fn prepared(&self, scene: &Scene) {
        let before = match self.deed {
            Disks::Create => return,
            Disks::Update | Disks::Revert | Disks::Delete | Disks::Longer => self.regions.to_vec(),
            Disks::Shorter => longer(self.regions),
        };
        self.want(scene, "r/db:1", &before);
        scene.live("web", 1).await;
        scene.until("all run", |scene| running(scene, "r/db:1") == wanted(&before)).await;
    }

    fn begin(&self, scene: &Scene) {
        match self.deed {
            Disks::Create | Disks::Shorter => self.want(scene, "r/db:1", self.regions),
            Disks::Update => self.want(scene, "r/db:2", self.regions),
            Disks::Revert => self.want(scene, "r/db:never", self.regions),
            Disks::Longer => self.want(scene, "r/db:1", &longer(self.regions)),
            Disks::Delete => scene.drop_app("web"),
        }
    }

    async fn ended(&self, scene: &Scene) {
        match self.deed {
            Disks::Create | Disks::Longer | Disks::Shorter => scene.live("web", 1).await,
            Disks::Update => scene.live("web", 2).await,
            Disks::Revert => scene.rejected("web", 2).await,
            Disks::Delete => {}
        }
        let runs = wanted(&self.end().0);
        let count: u32 = runs.values().sum();
        scene
            .until("all run as wanted, and nobody else", |scene| {
                running(scene, self.image()) == runs && scene.platform.machines().len() == count as usize
            })
            .await;
        scene.until("nothing is under way", |scene| scene.house.settled()).await;
    }

    async fn check(&self, scene: &Scene, why: &str) {
        // An app with disks stays: they are nobody's to destroy.
        let apps = scene.platform.apps();
        assert_eq!(apps.len(), 1, "{why}: one app: {apps:?}");
        assert_eq!(apps[0]["ips"].as_array().map(Vec::len), Some(2), "{why}: one address of each kind: {apps:?}");
        let (runs, lie) = self.end();
        let disks = regions::disks(scene).await;
        assert_eq!(regions::by_region(&disks), wanted(&lie), "{why}: {disks:?}");
        let used = regions::in_use(&disks, self.image());
        let mut by_region: BTreeMap<String, u32> = BTreeMap::new();
        for (_, region) in used {
            *by_region.entry(region).or_default() += 1;
        }
        assert_eq!(by_region, wanted(&runs), "{why}: {disks:?}");
    }
}

/// Kills at each request, or at each second one: one that is lost leaves the platform as the one before it that arrives, so
/// that both together leave it in each of the states in which a daemon may be killed.
async fn killed(deed: Disks, regions: &'static [(&'static str, u32)], step: u64) {
    for arrives in [false, true] {
        killed_everywhere(&Row { deed, regions }, step, arrives, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_with_disks_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Create, ONE, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_with_disks_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Update, ONE, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_with_disks_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Revert, ONE, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_with_disks_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Delete, ONE, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_with_disks_that_grows_while_its_daemon_is_killed_at_any_request_ends_well() {
    killed(Disks::Longer, ONE, 2).await;
    killed(Disks::Longer, TWO, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_with_disks_that_shrinks_while_its_daemon_is_killed_at_any_request_ends_well() {
    killed(Disks::Shorter, ONE, 1).await;
    killed(Disks::Shorter, TWO, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_with_disks_in_two_regions_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Create, TWO, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_with_disks_in_two_regions_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Delete, TWO, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_with_disks_in_two_regions_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Update, TWO, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_with_disks_in_two_regions_that_is_killed_at_any_request_ends_well() {
    killed(Disks::Revert, TWO, 2).await;
}
