//! Every number of the planner that is not in a manifest, with its reason.

use std::time::Duration;

/// First wait before a crash-looping instance is started again; shorter than anyone notices.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(10);
/// Longest wait before it is started again, as Kubernetes' `MaxContainerBackOff`.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Health that lasts so long clears the count of exits, as Kubernetes' container back-off.
pub const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// First wait after a step that asked to be tried again.
pub const RETRY_FIRST: Duration = Duration::from_millis(100);
/// How soon a tick that took steps looks at what they did, when no event comes first.
pub const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How soon a held app asks again for its permit.
pub const PERMIT_AGAIN: Duration = Duration::from_secs(2);
/// The same for one that waits for a place among the rollouts: it is told when one is free, and a thousand may wait.
pub const PLACE_AGAIN: Duration = Duration::from_secs(30);
/// What a hook may take of which nothing is known any more but that it runs; the default of `timeout` in a manifest.
pub const HOOK_UNKNOWN: Duration = Duration::from_secs(300);
/// How soon a bake looks again at probes that have yet to answer: further bad answers are no event.
pub const ANSWER_AGAIN: Duration = Duration::from_secs(1);

/// `first` doubled once for each failure after the first, at most `most`.
#[must_use]
pub fn doubled(first: Duration, failures: u32, most: Duration) -> Duration {
    let exponent = failures.saturating_sub(1).min(30);
    first.saturating_mul(1 << exponent).min(most)
}
