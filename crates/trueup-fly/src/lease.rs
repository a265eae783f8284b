//! The right to change a machine, held by one at a time: short, refreshed while it is needed, and given back.
//!
//! Taken where a machine is destroyed, so that nobody starts or updates it between the look that says that it is down and
//! the deed. One that another holds is waited for; one that a daemon leaves behind ends by itself within seconds, for it is
//! long leases that lock people out of their own machines.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::AbortHandle;

use crate::api::Leased;
use crate::client::{Call, encoded};
use crate::fault::Fault;
use crate::runtime::Inner;

/// How long a lease lasts, in seconds; flyctl's are as long.
const TTL_SECONDS: u64 = 13;
/// From one refresh to the next: three fit into a lease.
const REFRESH: Duration = Duration::from_secs(4);
/// Longest that taking one may take.
const CALL: Duration = Duration::from_secs(6);

/// A lease that is held, and refreshed until it is dropped.
pub(crate) struct Lease {
    inner: Arc<Inner>,
    path: String,
    machine: String,
    nonce: String,
    refreshing: AbortHandle,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.refreshing.abort();
    }
}

impl Inner {
    /// Takes the lease of a machine.
    pub(crate) async fn lease(self: &Arc<Self>, fly: &str, machine: &str) -> Result<Lease, Fault> {
        let path = format!("/v1/apps/{}/machines/{}/lease", encoded(fly), encoded(machine));
        // Told twice, the second would meet the first.
        let leased: Leased = self.client.read(take(&path, machine, None).once_only()).await?;
        let nonce = leased.data.nonce;
        let refreshing = {
            let (inner, path, machine, nonce) = (Arc::clone(self), path.clone(), machine.to_owned(), nonce.clone());
            self.handle.spawn(async move {
                loop {
                    tokio::time::sleep(REFRESH).await;
                    if let Err(fault) = inner.client.tell(take(&path, &machine, Some(&nonce))).await {
                        tracing::debug!(machine, %fault, "a lease was not refreshed");
                    }
                }
            })
        };
        let refreshing = refreshing.abort_handle();
        Ok(Lease { inner: Arc::clone(self), path, machine: machine.to_owned(), nonce, refreshing })
    }
}

fn take(path: &str, machine: &str, nonce: Option<&str>) -> Call {
    let body = json!({"ttl": TTL_SECONDS, "description": "trueup"});
    let mut call = Call::post("Machines_create_lease", machine, path.to_owned()).json(body).within(CALL);
    call.nonce = nonce.map(str::to_owned);
    call
}

impl Lease {
    /// What lets its holder change the machine.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Gives it back; one that is not given back ends by itself.
    pub(crate) async fn release(self) {
        self.refreshing.abort();
        let mut call = Call::new("DELETE", "Machines_release_lease", &self.machine, self.path.clone()).within(CALL);
        call.nonce = Some(self.nonce.clone());
        if let Err(fault) = self.inner.client.tell(call).await {
            tracing::debug!(machine = self.machine, %fault, "a lease was not given back");
        }
    }
}
