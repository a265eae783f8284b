//! Certificates for names of one's own: asked for when a route brings the name, looked after until they are there, and given
//! back when the name goes.
//!
//! ```text
//!  a name that is wanted ──► asked for ──► checked again and again ──► issued, looked at each hour
//!  one that is not       ──► given back, where it was us who asked
//! ```
//!
//! Nothing waits for one: an app answers under its name there from the first moment. Which records the DNS needs is the
//! platform's to say. What we asked for is written down before, so that nobody takes away what a person brought.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use trueup_seams::Nudge;
use trueup_types::exposure::Tls;
use trueup_types::{AppName, Certificate, Certified, Route};

use crate::addresses::Reach;
use crate::api::{self, Certificates};
use crate::client::{Call, encoded};
use crate::fault::Fault;
use crate::runtime::Inner;

/// Longest that one of these calls may take.
const CALL: Duration = Duration::from_secs(10);
/// Most certificates that are listed at once: the most of a page.
const PAGE: usize = 500;
/// Ends of names for which nobody issues anything, or the platform does by itself.
const NOT_OURS: [&str; 6] = [".fly.dev", ".flycast", ".internal", ".localhost", ".local", ".test"];
/// From one check to the next where a name has waited for no longer than this: a person who sets records looks on at first.
const PACE: [(Duration, Duration); 2] =
    [(Duration::from_secs(300), Duration::from_secs(15)), (Duration::from_secs(3_600), Duration::from_secs(60))];
/// From one check to the next after that.
const SLOW: Duration = Duration::from_secs(600);
/// From one look to the next at those that are there: they are renewed by the platform.
const ISSUED: Duration = Duration::from_secs(3_600);
/// How soon is tried again what could not be asked.
const AGAIN: Duration = Duration::from_secs(30);
/// The same, where the app is not there yet.
const NOT_YET: Duration = Duration::from_secs(5);

/// What is known of each app's certificates.
#[derive(Debug, Default)]
pub(crate) struct Keeper(Mutex<BTreeMap<AppName, Named>>);

#[derive(Debug)]
struct Named {
    wanted: BTreeSet<String>,
    known: BTreeMap<String, Certified>,
    /// Since when something is waited for.
    since: Instant,
    due: Instant,
    under_way: bool,
}

/// The names among some ways in for which a certificate is wanted.
fn wanted(routes: &[Route]) -> BTreeSet<String> {
    let routes = routes.iter().filter(|route| route.tls == Tls::Auto);
    let public = |host: &&String| host.contains('.') && !NOT_OURS.iter().any(|end| host.ends_with(end));
    routes.map(|route| &route.host).filter(public).cloned().collect()
}

impl Keeper {
    /// These are an app's ways in from here on.
    pub(crate) fn want(&self, app: &AppName, routes: &[Route]) {
        let (wanted, now) = (wanted(routes), Instant::now());
        let mut all = self.all();
        let fresh =
            || Named { wanted: BTreeSet::new(), known: BTreeMap::new(), since: now, due: now, under_way: false };
        // One that had names before this daemon may have some to give back.
        let named = all.entry(app.clone()).or_insert_with(fresh);
        if named.wanted != wanted {
            named.known.retain(|host, _| wanted.contains(host));
            (named.wanted, named.since, named.due) = (wanted, now, now);
        }
    }

    /// How it stands with each name that an app wants certified.
    pub(crate) fn of(&self, app: &AppName) -> Vec<Certificate> {
        let all = self.all();
        let Some(named) = all.get(app) else { return Vec::new() };
        let unknown = || Certified::Unknown { why: "it is not asked for yet".to_owned() };
        let state = |host: &String| named.known.get(host).cloned().unwrap_or_else(unknown);
        named.wanted.iter().map(|host| Certificate { host: host.clone(), state: state(host) }).collect()
    }

    /// Something has come into being for which was waited, perhaps.
    pub(crate) fn hurry(&self, app: &AppName) {
        if let Some(named) = self.all().get_mut(app).filter(|named| named.known.len() < named.wanted.len()) {
            named.due = Instant::now();
        }
    }

    pub(crate) fn forget(&self, app: &AppName) {
        self.all().remove(app);
    }

    /// Those whose turn it is; it is theirs alone until they are done.
    fn begin(&self, now: Instant) -> Vec<(AppName, BTreeSet<String>)> {
        let mut all = self.all();
        let due = all.iter_mut().filter(|(_, named)| !named.under_way && named.due <= now);
        let begun = due.map(|(app, named)| {
            (named.under_way, named.due) = (true, now + ISSUED);
            (app.clone(), named.wanted.clone())
        });
        begun.collect()
    }

    /// What was found; answers whether anything has turned.
    fn done(&self, app: &AppName, found: Result<BTreeMap<String, Certified>, Fault>, now: Instant) -> bool {
        let mut all = self.all();
        let Some(named) = all.get_mut(app) else { return false };
        named.under_way = false;
        let before = named.known.clone();
        let next = match found {
            Ok(found) => {
                named.known.extend(found.into_iter().filter(|(host, _)| named.wanted.contains(host)));
                let waits = named.known.values().any(|state| *state != Certified::Issued);
                if waits { pace(now - named.since) } else { ISSUED }
            }
            Err(fault) => {
                let why = fault.to_string();
                for host in named.wanted.iter().filter(|host| !before.contains_key(*host)) {
                    named.known.insert(host.clone(), Certified::Unknown { why: why.clone() });
                }
                AGAIN
            }
        };
        // Other names may have come meanwhile: those are due at once.
        named.due = named.due.min(now + next);
        named.known != before
    }

    fn later(&self, app: &AppName, now: Instant) {
        if let Some(named) = self.all().get_mut(app) {
            (named.under_way, named.due) = (false, now + NOT_YET);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<AppName, Named>> {
        self.0.lock().expect("no holder panics")
    }
}

fn pace(waited: Duration) -> Duration {
    PACE.iter().find(|(until, _)| waited < *until).map_or(SLOW, |(_, every)| *every)
}

impl Inner {
    /// Looks after whatever is due, without waiting for it.
    pub(crate) fn mind_certificates(self: &Arc<Self>) {
        for (app, wanted) in self.certified.begin(Instant::now()) {
            let owed = self.memory.look(|kept| kept.certified.get(&app).is_some_and(|asked| !asked.is_subset(&wanted)));
            if !wanted.is_empty() || owed {
                let inner = Arc::clone(self);
                self.handle.spawn(async move { inner.mind(app, wanted).await });
            } else {
                self.certified.done(&app, Ok(BTreeMap::new()), Instant::now());
            }
        }
    }

    async fn mind(&self, app: AppName, wanted: BTreeSet<String>) {
        let home = self.memory.look(|kept| kept.homes.get(&app).map(|home| home.fly.clone()));
        let Some(fly) = home.filter(|fly| self.books().contains_key(fly)) else {
            return self.certified.later(&app, Instant::now());
        };
        let found = self.certify(&app, &fly, &wanted).await;
        if let Err(fault) = &found {
            tracing::warn!(%app, fly, %fault, "its certificates cannot be looked after");
        }
        let turned = self.certified.done(&app, found, Instant::now());
        if let Some(sink) = self.sink.get().filter(|_| turned) {
            sink(Nudge::App(app));
        }
    }

    /// Asks for what is not there, gives back what is wanted no more, and says how it stands with the rest.
    async fn certify(
        &self,
        app: &AppName,
        fly: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Certified>, Fault> {
        self.drop_certificates(app, fly, wanted).await?;
        let mut found = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        // The records that it takes name the app's addresses.
        self.ensure_addresses(fly, Reach::PUBLIC).await?;
        let path = format!("/v1/apps/{}/certificates", encoded(fly));
        let list = Call::get("App_Certificates_list", fly, format!("{path}?limit={PAGE}")).within(CALL);
        let there: Certificates = self.client.read(list).await?;
        for host in wanted {
            let known = there.certificates.iter().find(|one| one.hostname == *host);
            let one = match known {
                Some(one) if one.is_there() => one.clone(),
                Some(_) => {
                    let path = format!("{path}/{}/check", encoded(host));
                    self.client.read(Call::post("App_Certificates_check", fly, path).within(CALL)).await?
                }
                None => self.ask_certificate(app, fly, &path, host).await?,
            };
            found.insert(host.clone(), state(&one));
        }
        Ok(found)
    }

    async fn ask_certificate(
        &self,
        app: &AppName,
        fly: &str,
        path: &str,
        host: &str,
    ) -> Result<api::Certificate, Fault> {
        let noted = self.memory.change(|kept| kept.certified.entry(app.clone()).or_default().insert(host.to_owned()));
        noted.map_err(|error| Fault::Unsent(format!("its folder cannot be written: {error}")))?;
        let call = Call::post("App_Certificates_acme_create", fly, format!("{path}/acme")).within(CALL);
        let made: api::Certificate = self.client.read(call.json(json!({"hostname": host}))).await?;
        tracing::info!(%app, fly, host, needs = records(&made), "a certificate was asked for");
        Ok(made)
    }

    /// Gives back the certificates that we asked for, but for those of these names.
    pub(crate) async fn drop_certificates(
        &self,
        app: &AppName,
        fly: &str,
        spared: &BTreeSet<String>,
    ) -> Result<(), Fault> {
        let asked = self.memory.look(|kept| kept.certified.get(app).cloned().unwrap_or_default());
        for host in asked.difference(spared) {
            let path = format!("/v1/apps/{}/certificates/{}", encoded(fly), encoded(host));
            match self.client.tell(Call::new("DELETE", "App_Certificates_delete", fly, path).within(CALL)).await {
                Err(fault) if !fault.is_absence() => return Err(fault),
                Ok(()) | Err(_) => tracing::info!(%app, fly, host, "a certificate was given back"),
            }
            // Unwritten, it is given back once more, which does no harm.
            let _ = self.memory.change(|kept| kept.certified.get_mut(app).is_some_and(|asked| asked.remove(host)));
        }
        Ok(())
    }
}

fn state(one: &api::Certificate) -> Certified {
    if one.is_there() { Certified::Issued } else { Certified::Pending { records: records(one) } }
}

/// What the owner of a name must set in its DNS: one line.
fn records(one: &api::Certificate) -> String {
    let dns = &one.dns_requirements;
    let of = |kind: &'static str, values: &[String]| -> Vec<String> {
        values.iter().map(|value| format!("{kind} {value}")).collect()
    };
    let direct = [of("A", &dns.a), of("AAAA", &dns.aaaa)].concat().join(" and ");
    let mut ways = vec![direct];
    if !dns.cname.is_empty() {
        ways.push(format!("CNAME {}", dns.cname));
    }
    ways.retain(|way| !way.is_empty());
    let mut told = vec![format!("set {}", ways.join(", or "))];
    if ways.is_empty() {
        told = vec!["the platform does not say yet which records it needs".to_owned()];
    }
    if !dns.acme_challenge.name.is_empty() {
        let challenge = &dns.acme_challenge;
        told.push(format!("to have it before the traffic, CNAME {} to {}", challenge.name, challenge.target));
    }
    if one.status == "pending_ownership" {
        told.push(format!("to prove that it is yours, TXT {} with {}", dns.ownership.name, dns.ownership.app_value));
    }
    if !one.rate_limited_until.is_empty() {
        told.push(format!("nothing is issued before {}", one.rate_limited_until));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use trueup_sim::AppSketch;

    use super::*;

    fn routes(of: &[(&str, Tls)]) -> Vec<Route> {
        let one = AppSketch::web("web").exposure.routes[0].clone();
        of.iter().map(|(host, tls)| Route { host: (*host).to_owned(), tls: *tls, ..one.clone() }).collect()
    }

    #[test]
    fn names_of_ones_own_are_certified_where_the_manifest_says_so() {
        let all = routes(&[
            ("shop.example.com", Tls::Auto),
            ("plain.example.com", Tls::Off),
            ("web-x.fly.dev", Tls::Auto),
            ("web.localhost", Tls::Auto),
        ]);
        assert_eq!(wanted(&all).into_iter().collect::<Vec<_>>(), ["shop.example.com"]);
    }

    #[test]
    fn what_the_dns_needs_is_told_in_one_line() {
        let value = json!({"hostname": "shop.example.com", "status": "pending_ownership", "dns_requirements": {
            "a": ["66.241.124.1"], "aaaa": ["2a09::1"], "cname": "web-x.fly.dev",
            "acme_challenge": {"name": "_acme-challenge.shop.example.com", "target": "shop.flydns.net"},
            "ownership": {"name": "_fly-ownership.shop.example.com", "app_value": "app-1"}}});
        let one: api::Certificate = serde_json::from_value(value).expect("it is one");
        let wanted = "set A 66.241.124.1 and AAAA 2a09::1, or CNAME web-x.fly.dev; to have it before the traffic, CNAME \
            _acme-challenge.shop.example.com to shop.flydns.net; to prove that it is yours, TXT \
            _fly-ownership.shop.example.com with app-1";
        assert_eq!(records(&one), wanted);
    }

    #[test]
    fn one_that_waits_is_checked_less_and_less_often_and_one_that_is_there_each_hour() {
        let minutes = |minutes: u64| pace(Duration::from_secs(60 * minutes)).as_secs();
        assert_eq!([minutes(0), minutes(5), minutes(60), minutes(9_000)], [15, 60, 600, 600]);
        let (keeper, now) = (Keeper::default(), Instant::now());
        let app = AppName::new("web").expect("a name");
        keeper.want(&app, &routes(&[("shop.example.com", Tls::Auto)]));
        let now = now + Duration::from_secs(1);
        assert_eq!(keeper.begin(now).len(), 1);
        assert_eq!(keeper.begin(now).len(), 0, "one at a time");
        let found = |state| Ok(BTreeMap::from([("shop.example.com".to_owned(), state)]));
        assert!(keeper.done(&app, found(Certified::Pending { records: String::new() }), now));
        assert_eq!(keeper.begin(now + Duration::from_secs(14)).len(), 0);
        assert_eq!(keeper.begin(now + Duration::from_secs(15)).len(), 1);
        assert!(keeper.done(&app, found(Certified::Issued), now));
        assert_eq!(keeper.begin(now + Duration::from_secs(3_599)).len(), 0);
        keeper.want(&app, &routes(&[("other.example.com", Tls::Auto)]));
        assert_eq!(keeper.begin(now).len(), 1, "another name is asked for at once");
    }
}
