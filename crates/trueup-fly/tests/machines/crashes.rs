//! A daemon that is killed at each of its requests, before it arrives and after: whoever comes next brings everything to
//! the same end, and nothing is left over.

use std::sync::Arc;
use std::time::Duration;

use trueup_fly_sim::{Behaviour, Health, Latency, Scenario, Span};
use trueup_sim::AppSketch;
use trueup_types::template::BakeKeep;

use crate::daemon::Scene;
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

/// What is done, from one state of the world to the next.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Create,
    Update,
    Revert,
    /// A revert within the bake, to machines that were stopped for its time.
    Wake,
    Delete,
}

impl Deed {
    /// Brings the world to where the deed begins.
    async fn prepared(self, scene: &Scene) {
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

    fn begin(self, scene: &Scene) {
        match self {
            Self::Create => scene.want(&swift("r/app:1")),
            Self::Update => scene.want(&swift("r/app:2")),
            Self::Revert => scene.want(&swift("r/app:never")),
            Self::Wake => scene.want(&stopping("r/app:turns")),
            Self::Delete => scene.drop_app("web"),
        }
    }

    async fn ended(self, scene: &Scene) {
        match self {
            Self::Create => scene.live("web", 1).await,
            Self::Update => scene.live("web", 2).await,
            Self::Revert | Self::Wake => scene.rejected("web", 2).await,
            Self::Delete => scene.until("nothing is left", |scene| scene.platform.apps().is_empty()).await,
        }
    }

    /// Whether the world is as it is where nobody was killed.
    fn check(self, scene: &Scene, why: &str) {
        let apps = scene.platform.apps();
        if matches!(self, Self::Delete) {
            assert!(apps.is_empty(), "{why}: {apps:?}");
            return;
        }
        assert_eq!(apps.len(), 1, "{why}: one app: {apps:?}");
        assert_eq!(apps[0]["ips"].as_array().map(Vec::len), Some(2), "{why}: one address of each kind: {apps:?}");
        assert_eq!(apps[0]["volumes"].as_array().map(Vec::len), Some(0), "{why}: {apps:?}");
        let image = if matches!(self, Self::Update) { "r/app:2" } else { "r/app:1" };
        let fleet = scene.fleet();
        let as_wanted = |(_, there, state, cordoned): &(String, String, String, bool)| {
            there == image && state == "started" && !cordoned
        };
        assert!(fleet.len() == 1 && fleet.iter().all(as_wanted), "{why}: {fleet:?}");
    }
}

/// Kills a daemon at one of its requests, and sees the next one through; answers whether it asked so often at all.
async fn killed_at(deed: Deed, at: u64, arrives: bool, forgetful: bool) -> bool {
    let mut scene = Scene::new(platform()).await;
    deed.prepared(&scene).await;
    scene.cut_at(at, arrives);
    deed.begin(&scene);
    let reached = Arc::clone(&scene.reached);
    let reached = tokio::select! {
        () = reached.notified() => true,
        () = deed.ended(&scene) => false,
    };
    if reached {
        // What stood at this request stands no longer.
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.killed(forgetful).await;
        deed.ended(&scene).await;
    }
    deed.check(
        &scene,
        &format!("{deed:?}, killed at request {at}, which {}", if arrives { "arrives" } else { "is lost" }),
    );
    // Each leaves with its daemon: it would go on asking.
    scene.house.kill().await;
    reached
}

/// Most requests of one deed at which a daemon is killed: there are fewer, or it never ends.
const REQUESTS_MAX: u64 = 400;

/// Kills a daemon at each of its requests, or at each so manieth.
async fn killed_everywhere(deed: Deed, step: u64, arrives: bool, forgetful: bool) {
    let mut at = 0;
    while killed_at(deed, at, arrives, forgetful).await {
        at += step;
        assert!(at < REQUESTS_MAX, "{deed:?} asks for ever");
    }
    assert!(at > 3 * step, "{deed:?} was killed at {} of its requests", at / step);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_killed_at_any_request_ends_well() {
    for arrives in [false, true] {
        killed_everywhere(Deed::Create, 1, arrives, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_killed_before_any_request_ends_well() {
    killed_everywhere(Deed::Update, 1, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_killed_after_any_request_ends_well() {
    killed_everywhere(Deed::Update, 1, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_is_killed_before_any_request_ends_well() {
    killed_everywhere(Deed::Revert, 1, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_is_killed_after_any_request_ends_well() {
    killed_everywhere(Deed::Revert, 1, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_to_stopped_machines_that_is_killed_before_any_request_ends_well() {
    killed_everywhere(Deed::Wake, 2, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_revert_to_stopped_machines_that_is_killed_after_any_request_ends_well() {
    killed_everywhere(Deed::Wake, 2, true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_killed_at_any_request_ends_well() {
    for arrives in [false, true] {
        killed_everywhere(Deed::Delete, 1, arrives, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_killed_and_loses_its_folder_ends_as_well() {
    for deed in [Deed::Create, Deed::Update, Deed::Revert, Deed::Wake, Deed::Delete] {
        for arrives in [false, true] {
            killed_everywhere(deed, 3, arrives, true).await;
        }
    }
}
