//! How a target of Fly.io Machines is reached: with the token and the addresses that the environment says, where the
//! manifest leaves them open.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trueup_driver::{Clock as _, RuntimeParts};
use trueup_fly::{FlyConfig, FlyRuntime, Network, WallMillis, token_source};
use trueup_seams::{Ingress, Inspect, Nudges, Runtime};
use trueup_types::TargetName;
use trueup_types::fly::FlySpec;

use super::wiring::Ground;
use crate::config;

/// The runtime of a target of machines, with a folder of its own.
pub(crate) fn open(
    target: &TargetName,
    settings: &FlySpec,
    folder: PathBuf,
    ground: &Ground,
) -> std::io::Result<FlyRuntime> {
    let settings = reached(settings);
    let clock = Arc::clone(&ground.clock);
    FlyRuntime::open(FlyConfig {
        folder,
        owner: ground.owner.clone(),
        target: target.clone(),
        token: token_source(&settings.token_from, config::variable),
        secrets: Arc::clone(&ground.secrets),
        wire: Arc::new(Network::open()),
        propagation: settings.propagation(),
        apps_at: apps_at(&settings),
        settings,
        now: Arc::new(move || clock.now()),
        wall: Arc::new(WallMillis::now),
    })
}

/// Whether a target has ever been used from here: who only looks asks no other.
pub(crate) fn was_used(folder: &Path) -> bool {
    folder.exists()
}

/// The settings with the addresses that the environment says, in flyctl's words, where the manifest says none.
fn reached(settings: &FlySpec) -> FlySpec {
    let mut settings = settings.clone();
    if settings.api_url.is_none() {
        settings.api_url = config::variable("FLY_FLAPS_BASE_URL");
        settings.web_url = settings.web_url.or_else(|| config::variable("FLY_API_BASE_URL"));
    }
    settings
}

/// Where apps answer to their names when the platform is a simulated one: at the same address of this host as its API.
fn apps_at(settings: &FlySpec) -> Option<String> {
    let base = settings.api_url();
    let authority = base.strip_prefix("http://")?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let here = host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    here.then(|| base.to_owned())
}

/// The platform behind each of the seams: it routes to its machines by itself.
pub(crate) fn parts(runtime: FlyRuntime) -> RuntimeParts {
    let runtime = Arc::new(runtime);
    RuntimeParts {
        runtime: Arc::clone(&runtime) as Arc<dyn Runtime>,
        inspect: Some(Arc::clone(&runtime) as Arc<dyn Inspect>),
        nudges: Some(Arc::clone(&runtime) as Arc<dyn Nudges>),
        ingress: Some(runtime as Arc<dyn Ingress>),
    }
}
