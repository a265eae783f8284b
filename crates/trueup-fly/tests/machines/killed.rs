//! A daemon that is killed at each of its requests, before it arrives and after: whoever comes next brings everything to
//! the same end, and nothing is left over.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use trueup_fly_sim::Scenario;

use crate::daemon::Scene;

/// What is done, from one state of the world to the next.
pub trait Deed: Debug {
    /// Where it is done.
    fn platform(&self) -> Scenario;
    /// Brings the world to where the deed begins.
    async fn prepared(&self, scene: &Scene);
    fn begin(&self, scene: &Scene);
    async fn ended(&self, scene: &Scene);
    /// Whether the world is as it is where nobody was killed.
    async fn check(&self, scene: &Scene, why: &str);
}

/// Kills a daemon at one of its requests, and sees the next one through; answers whether it asked so often at all.
async fn killed_at(deed: &impl Deed, at: u64, arrives: bool, forgetful: bool) -> bool {
    let mut scene = Scene::new(deed.platform()).await;
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
    let how = if arrives { "arrives" } else { "is lost" };
    deed.check(&scene, &format!("{deed:?}, killed at request {at}, which {how}")).await;
    // Each leaves with its daemon: it would go on asking.
    scene.house.kill().await;
    reached
}

/// Most requests of one deed at which a daemon is killed: there are fewer, or it never ends.
const REQUESTS_MAX: u64 = 400;

/// Kills a daemon at each of its requests, or at each so manieth.
pub async fn killed_everywhere(deed: &impl Deed, step: u64, arrives: bool, forgetful: bool) {
    let mut at = 0;
    while killed_at(deed, at, arrives, forgetful).await {
        at += step;
        assert!(at < REQUESTS_MAX, "{deed:?} asks for ever");
    }
    assert!(at > 3 * step, "{deed:?} was killed at {} of its requests", at / step);
}
