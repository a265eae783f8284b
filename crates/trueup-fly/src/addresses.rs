//! By which addresses an app is reached: by the world, by its organisation's private network, or by both.
//!
//! An address is all that makes a registered machine reachable: an app whose ways in are all private must have none in the
//! world. What is there is asked once; after that our own deeds are remembered.

use serde_json::json;
use trueup_types::fly::FlySpec;

use crate::api::Ips;
use crate::apps::CALL;
use crate::client::{Call, encoded};
use crate::fault::Fault;
use crate::runtime::Inner;

/// By whom an app is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// By the world.
    pub public: bool,
    /// By the private network, through the proxy.
    pub private: bool,
}

/// What addresses of the private network begin with.
const PRIVATE_NET: &str = "fdaa:";

impl Reach {
    /// The world's.
    pub(crate) const PUBLIC: Self = Self { public: true, private: false };

    /// That of these hosts.
    pub(crate) fn of<'h>(hosts: impl Iterator<Item = &'h str>) -> Self {
        hosts.fold(Self::default(), |reach, host| {
            let private = FlySpec::is_private(host);
            Self { public: reach.public || !private, private: reach.private || private }
        })
    }

    fn and(self, other: Self) -> Self {
        Self { public: self.public || other.public, private: self.private || other.private }
    }
}

impl Inner {
    /// Gives an app the addresses that it lacks: for the world one for IPv6, and a shared one for IPv4; for the private
    /// network one. They cost nothing.
    pub(crate) async fn ensure_addresses(&self, fly: &str, reach: Reach) -> Result<(), Fault> {
        let known = self.addressed.lock().expect("no holder panics").get(fly).copied().unwrap_or_default();
        if known.and(reach) == known {
            return Ok(());
        }
        self.settle_addresses(fly, reach, false).await?;
        self.addressed.lock().expect("no holder panics").insert(fly.to_owned(), known.and(reach));
        Ok(())
    }

    /// The same, and takes those of the world away from an app that only the private network is to reach.
    pub(crate) async fn keep_addresses(&self, fly: &str, reach: Reach) -> Result<(), Fault> {
        let known = self.addressed.lock().expect("no holder panics").get(fly).copied();
        if known == Some(reach) || reach == Reach::default() {
            return Ok(());
        }
        self.settle_addresses(fly, reach, !reach.public).await?;
        self.addressed.lock().expect("no holder panics").insert(fly.to_owned(), reach);
        Ok(())
    }

    async fn settle_addresses(&self, fly: &str, reach: Reach, alone: bool) -> Result<(), Fault> {
        let path = format!("/v1/apps/{}/ip_assignments", encoded(fly));
        let call = Call::get("App_IPAssignments_list", fly, path.clone()).within(CALL);
        let there: Ips = self.client.read(call).await?;
        let (private, public): (Vec<_>, Vec<_>) = there.ips.iter().partition(|ip| ip.ip.starts_with(PRIVATE_NET));
        let v6 = public.iter().any(|ip| ip.ip.contains(':'));
        let v4 = public.iter().any(|ip| ip.shared || !ip.ip.contains(':'));
        let lacks = [
            ("v6", reach.public && !v6),
            ("shared_v4", reach.public && !v4),
            ("private_v6", reach.private && private.is_empty()),
        ];
        for (kind, _) in lacks.into_iter().filter(|(_, lacks)| *lacks) {
            let call = Call::post("App_IPAssignments_create", fly, path.clone()).json(json!({"type": kind}));
            self.client.tell(call.once_only().within(CALL)).await?;
        }
        for ip in public.iter().filter(|_| alone) {
            if !ip.shared && !ip.ip.contains(':') {
                // One that is paid for was never ours.
                tracing::warn!(
                    fly,
                    ip = ip.ip,
                    "the app is still reached from the world by an address that somebody gave it"
                );
                continue;
            }
            let call = Call::new("DELETE", "App_IPAssignments_delete", fly, format!("{path}/{}", encoded(&ip.ip)));
            match self.client.tell(call.within(CALL)).await {
                Err(fault) if !fault.is_absence() => return Err(fault),
                Ok(()) | Err(_) => tracing::info!(fly, ip = ip.ip, "an address in the world was given back"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_say_who_reaches_an_app() {
        let of = |hosts: &[&str]| Reach::of(hosts.iter().copied());
        assert_eq!(of(&["web-x.fly.dev"]), Reach::PUBLIC);
        assert_eq!(of(&["web-x.flycast"]), Reach { public: false, private: true });
        assert_eq!(of(&["web-x.flycast", "a.example.com"]), Reach { public: true, private: true });
        assert_eq!(of(&[]), Reach::default());
    }
}
