//! Certificates for names of one's own: asked for once, issued by the platform when the DNS is as it should be.
//!
//! Nothing waits for one: an app answers under its name there from the first moment. Which records the DNS needs is the
//! platform's to say, and is told in the log until a certificate is there.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use trueup_types::Release;
use trueup_types::exposure::Tls;

use crate::api::{Certificate, Certificates};
use crate::client::{Call, encoded};
use crate::fault::Fault;
use crate::runtime::Inner;

/// Longest that one of these calls may take.
const CALL: Duration = Duration::from_secs(5);
/// Most certificates that are listed at once: the most of a page.
const PAGE: usize = 500;
/// Ends of names for which nobody issues anything, or the platform does by itself.
const NOT_OURS: [&str; 6] = [".fly.dev", ".flycast", ".internal", ".localhost", ".local", ".test"];

/// The names of a release for which a certificate is wanted.
fn wanted(release: &Release) -> BTreeSet<String> {
    let routes = release.exposure.routes.iter().filter(|route| route.tls == Tls::Auto);
    let public = |host: &&String| host.contains('.') && !NOT_OURS.iter().any(|end| host.ends_with(end));
    routes.map(|route| &route.host).filter(public).cloned().collect()
}

impl Inner {
    /// Asks for the certificates of a release that are not there; what cannot be asked for is asked for with the next.
    pub(crate) async fn ask_certificates(&self, fly: &str, release: &Release) {
        let wanted = wanted(release);
        if wanted.is_empty() {
            return;
        }
        if let Err(fault) = self.ask_for(fly, wanted).await {
            tracing::warn!(fly, %fault, "a certificate was not asked for");
        }
    }

    async fn ask_for(&self, fly: &str, wanted: BTreeSet<String>) -> Result<(), Fault> {
        let path = format!("/v1/apps/{}/certificates", encoded(fly));
        let list = Call::get("App_Certificates_list", fly, format!("{path}?limit={PAGE}")).within(CALL);
        let there: Certificates = self.client.read(list).await?;
        let known: BTreeSet<_> = there.certificates.into_iter().map(|one| one.hostname).collect();
        for hostname in wanted.difference(&known) {
            let call = Call::post("App_Certificates_acme_create", fly, format!("{path}/acme")).within(CALL);
            let made: Certificate = self.client.read(call.json(json!({"hostname": hostname}))).await?;
            let dns = made.dns_requirements;
            tracing::info!(fly, hostname, a = ?dns.a, aaaa = ?dns.aaaa, cname = dns.cname,
                "a certificate was asked for: it comes once the DNS has these records");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use trueup_sim::AppSketch;
    use trueup_types::{Revision, Route};

    use super::*;

    #[test]
    fn names_of_ones_own_are_certified_where_the_manifest_says_so() {
        let mut sketch = AppSketch::web("web");
        let route = |host: &str, tls| Route { host: host.to_owned(), tls, ..sketch.exposure.routes[0].clone() };
        sketch.exposure.routes = vec![
            route("shop.example.com", Tls::Auto),
            route("plain.example.com", Tls::Off),
            route("web-x.fly.dev", Tls::Auto),
            route("web.localhost", Tls::Auto),
        ];
        assert_eq!(wanted(&sketch.release(Revision(1))).into_iter().collect::<Vec<_>>(), ["shop.example.com"]);
    }
}
