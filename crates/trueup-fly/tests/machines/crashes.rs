//! Apps without disks, with a token of the organisation and with one for the app alone: made, updated, put back and taken
//! away by daemons that are killed at each of their requests.

use std::time::Duration;

use trueup_fly_sim::{Behaviour, Health, Latency, Scenario, Span};
use trueup_sim::AppSketch;
use trueup_types::template::BakeKeep;

use crate::daemon::Scene;
use crate::killed::{Deed, killed_everywhere};
use crate::scope;
use crate::stand::{image, quick, swift};

/// One whose bake stops what it keeps.
fn stopping(image: &str) -> AppSketch {
    let mut web = swift(image);
    web.template.bake_keep = Some(BakeKeep::Stopped);
    web.policy.bake = Duration::from_secs(60);
    web
}

fn platform() -> Scenario {
    let never = Behaviour { health: Health::Never, ..image("r/app:never") };
    let latency = Latency { interval: Span::millis(2_000), ..quick().latency };
    let turns = Behaviour { health: Health::FailsAfter(Span::millis(35_000)), ..image("r/app:turns") };
    Scenario { images: vec![never, turns], latency, ..quick() }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Create,
    Update,
    Revert,
    /// A revert within the bake, to machines that were stopped for its time.
    Wake,
    Delete,
}

impl Deed for Plain {
    fn platform(&self) -> Scenario {
        platform()
    }

    async fn prepared(&self, scene: &Scene) {
        match self {
            Self::Create => {}
            Self::Update | Self::Revert | Self::Delete => {
                scene.want(&swift("r/app:1"));
                scene.live("web", 1).await;
            }
            Self::Wake => {
                scene.want(&stopping("r/app:1"));
                scene.live("web", 1).await;
            }
        }
    }

    fn begin(&self, scene: &Scene) {
        match self {
            Self::Create => scene.want(&swift("r/app:1")),
            Self::Update => scene.want(&swift("r/app:2")),
            Self::Revert => scene.want(&swift("r/app:never")),
            Self::Wake => scene.want(&stopping("r/app:turns")),
            Self::Delete => scene.drop_app("web"),
        }
    }

    async fn ended(&self, scene: &Scene) {
        match self {
            Self::Create => scene.live("web", 1).await,
            Self::Update => scene.live("web", 2).await,
            Self::Revert | Self::Wake => scene.rejected("web", 2).await,
            Self::Delete => scene.until("nothing is left", |scene| scene.platform.apps().is_empty()).await,
        }
    }

    async fn check(&self, scene: &Scene, why: &str) {
        let apps = scene.platform.apps();
        if *self == Self::Delete {
            assert!(apps.is_empty(), "{why}: {apps:?}");
            return;
        }
        self.serves(scene, why);
    }
}

impl Plain {
    /// One app, with its addresses, no disk, and one machine of the image that is to run.
    fn serves(self, scene: &Scene, why: &str) {
        let apps = scene.platform.apps();
        assert_eq!(apps.len(), 1, "{why}: one app: {apps:?}");
        assert_eq!(apps[0]["ips"].as_array().map(Vec::len), Some(2), "{why}: one address of each kind: {apps:?}");
        assert_eq!(apps[0]["volumes"].as_array().map(Vec::len), Some(0), "{why}: {apps:?}");
        let image = if self == Self::Update { "r/app:2" } else { "r/app:1" };
        let fleet = scene.fleet();
        let as_wanted = |(_, there, state, cordoned): &(String, String, String, bool)| {
            there == image && state == "started" && !cordoned
        };
        assert!(fleet.len() == 1 && fleet.iter().all(as_wanted), "{why}: {fleet:?}");
    }
}

/// The same with a token for one app, which a person has made.
#[derive(Debug, Clone)]
struct Scoped {
    deed: Plain,
    app: String,
}

impl Deed for Scoped {
    fn platform(&self) -> Scenario {
        let first = vec![trueup_fly_sim::Deed::App { name: self.app.clone(), org: None }];
        Scenario { tokens: scope::tokens(&self.app), first, ..platform() }
    }

    async fn prepared(&self, scene: &Scene) {
        self.deed.prepared(scene).await;
    }

    fn begin(&self, scene: &Scene) {
        self.deed.begin(scene);
    }

    async fn ended(&self, scene: &Scene) {
        if self.deed == Plain::Delete {
            scene
                .until("no machine is left", |scene| scene.platform.machines().is_empty() && scene.house.settled())
                .await;
        } else {
            self.deed.ended(scene).await;
        }
    }

    async fn check(&self, scene: &Scene, why: &str) {
        assert_eq!(scene.fly_app(), self.app, "{why}: the person's, and no other");
        if self.deed == Plain::Delete {
            assert_eq!(scene.platform.machines(), Vec::<serde_json::Value>::new(), "{why}");
        } else {
            self.deed.serves(scene, why);
        }
        assert_eq!(scene.platform.sim.calls().get("Apps_create"), None, "{why}: no app was made");
    }
}

/// At each request, or at each second one, which is enough: one that is lost leaves the platform as the one before it that
/// arrives.
async fn scoped_killed_everywhere(deed: Plain, step: u64) {
    let app = scope::name().await;
    for arrives in [false, true] {
        killed_everywhere(&Scoped { deed, app: app.clone() }, step, arrives, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_killed_at_any_request_ends_well() {
    for arrives in [false, true] {
        killed_everywhere(&Plain::Create, 1, arrives, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_killed_before_any_request_ends_well() {
    killed_everywhere(&Plain::Update, 1, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_killed_after_any_request_ends_well() {
    killed_everywhere(&Plain::Update, 1, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_is_killed_before_any_request_ends_well() {
    killed_everywhere(&Plain::Revert, 1, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_is_killed_after_any_request_ends_well() {
    killed_everywhere(&Plain::Revert, 1, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_to_stopped_machines_that_is_killed_before_any_request_ends_well() {
    killed_everywhere(&Plain::Wake, 2, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_to_stopped_machines_that_is_killed_after_any_request_ends_well() {
    killed_everywhere(&Plain::Wake, 2, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_killed_at_any_request_ends_well() {
    for arrives in [false, true] {
        killed_everywhere(&Plain::Delete, 1, arrives, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_killed_and_loses_its_folder_ends_as_well() {
    for deed in [Plain::Create, Plain::Update, Plain::Revert, Plain::Wake, Plain::Delete] {
        for arrives in [false, true] {
            killed_everywhere(&deed, 3, arrives, true).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_with_a_token_for_one_app_that_is_killed_at_any_request_ends_well() {
    scoped_killed_everywhere(Plain::Create, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_with_a_token_for_one_app_that_is_killed_at_any_request_ends_well() {
    scoped_killed_everywhere(Plain::Update, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_with_a_token_for_one_app_that_is_killed_at_any_request_ends_well() {
    scoped_killed_everywhere(Plain::Revert, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_with_a_token_for_one_app_that_is_killed_at_any_request_ends_well() {
    scoped_killed_everywhere(Plain::Delete, 1).await;
}
