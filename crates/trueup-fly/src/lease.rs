//! Leases: while a rollout of an app is under way nobody else changes its machines.
//!
//! ```text
//!  a rollout begins ──► a lease on each machine, for seconds, lengthened again and again ──► given back once it is over
//!                       (a machine that is made is born with one)
//! ```
//!
//! Only where flyctl takes our machines for its own (`flyctlMetadata`): a `fly deploy` takes the lease of every machine
//! before it touches any, and ends at once where somebody holds one. What we hold is sent along with whatever changes the
//! machine. A lease is a courtesy: where none can be had the verbs themselves say whether they may, and nothing waits for
//! it here. One that a dead daemon has left ends by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use trueup_seams::Watch;
use trueup_types::AppName;

use crate::book::AppBook;
use crate::client::{Call, encoded};
use crate::fault::{Fault, RETRY_AFTER};
use crate::runtime::Inner;

/// How long a lease lasts, in seconds, and how soon it is lengthened: as flyctl has it (`internal/machine`, read 2026-08-21).
pub(crate) const TTL_SECONDS: u64 = 13;
const TTL: Duration = Duration::from_secs(TTL_SECONDS);
const LENGTHENED: Duration = Duration::from_secs(4);
/// From one round to the next.
const ROUND: Duration = Duration::from_millis(500);
/// Longest that one of these calls may take.
const CALL: Duration = Duration::from_secs(3);
/// How long they are held on after the last word of a rollout: what it leaves behind is cleared away meanwhile.
const LINGERS: Duration = Duration::from_secs(10);
/// How long they are held after a machine of a new release was asked for, if nobody says that its rollout is under way: the
/// driver says so once its first steps are done, which have thirty seconds each.
const BEGINS: Duration = Duration::from_secs(30);
/// How soon is tried again what is refused for good, by the look of it.
const LATER: Duration = Duration::from_secs(30);

/// All that are held, and whose machines they are wanted for.
#[derive(Default)]
pub(crate) struct Leases(Mutex<Held>);

#[derive(Default)]
struct Held {
    apps: BTreeMap<AppName, Wanted>,
    /// By the machine.
    all: BTreeMap<String, Lease>,
}

/// How long an app's machines are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A rollout is under way.
    On,
    Until(Instant),
}

struct Lease {
    app: AppName,
    fly: String,
    /// What proves that it is ours, and until when at least.
    nonce: Option<(String, Instant)>,
    /// When it is taken, or lengthened.
    due: Instant,
    under_way: bool,
}

impl Leases {
    /// How an app's rollout stands from here on.
    pub(crate) fn watch(&self, app: &AppName, watch: Watch, now: Instant) {
        let mut held = self.held();
        match (watch, held.apps.get(app)) {
            (Watch::Coming(_) | Watch::Baking(_), _) => drop(held.apps.insert(app.clone(), Wanted::On)),
            (Watch::Nobody, Some(Wanted::On)) => {
                held.apps.insert(app.clone(), Wanted::Until(now + LINGERS));
            }
            (Watch::Nobody, Some(Wanted::Until(_)) | None) => {}
        }
    }

    /// A machine of a new release is asked for: a rollout begins, which nobody has told yet.
    pub(crate) fn begins(&self, app: &AppName, now: Instant) {
        let mut held = self.held();
        let wanted = held.apps.entry(app.clone()).or_insert(Wanted::Until(now));
        if *wanted != Wanted::On {
            *wanted = Wanted::Until(now + BEGINS);
        }
    }

    /// Whether an app's machines are held, or ought to be.
    pub(crate) fn wants(&self, app: &AppName, now: Instant) -> bool {
        self.held().apps.get(app).is_some_and(|wanted| wanted.holds(now))
    }

    /// A machine was born with a lease, which was asked for at this moment.
    pub(crate) fn born(&self, app: &AppName, fly: &str, machine: &str, nonce: String, asked: Instant) {
        let (app, fly, nonce) = (app.clone(), fly.to_owned(), Some((nonce, asked + TTL)));
        let lease = Lease { app, fly, nonce, due: asked + LENGTHENED, under_way: false };
        self.held().all.insert(machine.to_owned(), lease);
    }

    /// What proves that a machine's lease is ours, unless it may have ended.
    pub(crate) fn nonce(&self, machine: &str, now: Instant) -> Option<String> {
        let held = self.held();
        let (nonce, until) = held.all.get(machine)?.nonce.as_ref()?;
        (now < *until).then(|| nonce.clone())
    }

    /// Whether it is time to take or to lengthen a machine's lease; it is under way then.
    fn is_due(&self, app: &AppName, fly: &str, machine: &str, now: Instant) -> bool {
        let mut held = self.held();
        let new = || Lease { app: app.clone(), fly: fly.to_owned(), nonce: None, due: now, under_way: false };
        let lease = held.all.entry(machine.to_owned()).or_insert_with(new);
        let due = !lease.under_way && lease.due <= now;
        lease.under_way |= due;
        due
    }

    /// What came of it.
    fn answered(&self, machine: &str, answer: Result<String, Fault>, asked: Instant, now: Instant) {
        let mut held = self.held();
        // It may have gone meanwhile.
        let Some(lease) = held.all.get_mut(machine) else { return };
        lease.under_way = false;
        match answer {
            Ok(nonce) => (lease.nonce, lease.due) = (Some((nonce, asked + TTL)), asked + LENGTHENED),
            // Another has it: ours is gone, and what is not free is waited for.
            Err(fault) if fault.has_status(409) || fault.is_leased() => {
                (lease.nonce, lease.due) = (None, now + RETRY_AFTER);
            }
            // Ours has ended; another is taken. Where the machine itself is gone that is seen by then.
            Err(fault) if fault.is_absence() => {
                lease.due = if lease.nonce.is_some() { now } else { now + RETRY_AFTER };
                lease.nonce = None;
            }
            Err(fault) if fault.is_transient() => lease.due = now + LENGTHENED,
            Err(_) => lease.due = now + LATER,
        }
    }

    /// Forgets those of machines that are not there any more, with nobody to be told.
    fn keep_only(&self, there: &dyn Fn(&str) -> bool) {
        self.held().all.retain(|machine, _| there(machine));
    }

    /// Takes out those of apps whose rollouts are over: the app there, the machine, what proves that it is ours.
    fn over(&self, now: Instant) -> Vec<(String, String, String)> {
        let mut held = self.held();
        held.apps.retain(|_, wanted| wanted.holds(now));
        let Held { apps, all } = &mut *held;
        let free = |lease: &Lease| !lease.under_way && !apps.contains_key(&lease.app);
        let over: Vec<_> = all.iter().filter(|(_, lease)| free(lease)).map(|(machine, _)| machine.clone()).collect();
        let taken = over.into_iter().filter_map(|machine| {
            let lease = all.remove(&machine)?;
            let (nonce, until) = lease.nonce?;
            (now < until).then_some((lease.fly, machine, nonce))
        });
        taken.collect()
    }

    fn apps(&self, now: Instant) -> Vec<AppName> {
        let held = self.held();
        held.apps.iter().filter(|(_, wanted)| wanted.holds(now)).map(|(app, _)| app.clone()).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("no holder panics")
    }
}

impl Wanted {
    fn holds(self, now: Instant) -> bool {
        match self {
            Self::On => true,
            Self::Until(until) => now < until,
        }
    }
}

/// A lease, as it is answered: bare, says the specification; wrapped, says the platform.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Taken {
    nonce: String,
    data: Bare,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bare {
    nonce: String,
}

/// Holds what is to be held until it is aborted, with the runtime.
pub(crate) async fn keep_leases(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(ROUND).await;
        inner.mind_leases();
    }
}

impl Inner {
    /// Takes, lengthens and gives back whatever is due, without waiting for an answer.
    fn mind_leases(self: &Arc<Self>) {
        let (leases, now) = (&self.client.leases, Instant::now());
        let shown: Vec<_> = self.shown();
        leases.keep_only(&|machine| shown.iter().any(|(_, known)| known.machine.id == machine));
        let apps = leases.apps(now);
        for (fly, known) in shown {
            let app = &known.written.id.app;
            let there = known.machine.reached() && !known.ghost && !known.machine.is_going();
            if there && apps.contains(app) && leases.is_due(app, &fly, &known.machine.id, now) {
                let (inner, machine) = (Arc::clone(self), known.machine.id.clone());
                self.handle.spawn(async move { inner.hold(&fly, &machine).await });
            }
        }
        for (fly, machine, nonce) in leases.over(now) {
            let inner = Arc::clone(self);
            self.handle.spawn(async move { inner.give_back(&fly, &machine, nonce).await });
        }
    }

    /// Each machine of ours that is there, and in which app there.
    fn shown(&self) -> Vec<(String, crate::book::Known)> {
        let books = self.books();
        let of = |(fly, book): (&String, &AppBook)| book.shown().map(|known| (fly.clone(), known.clone())).collect();
        books.iter().flat_map::<Vec<_>, _>(of).collect()
    }

    /// Takes a machine's lease, or lengthens ours: whose it is goes with the call.
    async fn hold(&self, fly: &str, machine: &str) {
        let asked = Instant::now();
        let path = format!("/v1/apps/{}/machines/{}/lease", encoded(fly), encoded(machine));
        let body = json!({"ttl": TTL_SECONDS, "description": "trueup rolls out"});
        let call = Call::post("Machines_create_lease", machine, path).json(body).once_only().within(CALL);
        let answer = self.client.read::<Taken>(call).await;
        let answer = answer.and_then(|taken| {
            let nonce = if taken.data.nonce.is_empty() { taken.nonce } else { taken.data.nonce };
            if nonce.is_empty() { Err(Fault::Broken("a lease without a nonce".to_owned())) } else { Ok(nonce) }
        });
        if let Err(fault) = &answer {
            tracing::debug!(machine, %fault, "its lease is not ours");
        }
        self.client.leases.answered(machine, answer, asked, Instant::now());
    }

    /// Gives a lease back; one that nobody takes back ends by itself.
    async fn give_back(&self, fly: &str, machine: &str, nonce: String) {
        let path = format!("/v1/apps/{}/machines/{}/lease", encoded(fly), encoded(machine));
        let call = Call::new("DELETE", "Machines_release_lease", machine, path).proving(nonce).within(CALL);
        if let Err(fault) = self.client.tell(call).await {
            tracing::debug!(machine, %fault, "its lease ends by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use trueup_types::Revision;

    use super::*;
    use crate::fault::Answer;
    use crate::wire::Reply;

    fn app() -> AppName {
        AppName::new("web").expect("a name")
    }

    fn held(now: Instant) -> Leases {
        let leases = Leases::default();
        leases.watch(&app(), Watch::Coming(Revision(2)), now);
        leases.born(&app(), "web-x", "m", "secret".to_owned(), now);
        leases
    }

    fn no(status: u16, message: &str) -> Fault {
        let body = json!({"status": "error", "message": message}).to_string().into_bytes();
        Fault::Answer(Answer::read(&Reply { status, request_id: None, retry_after: None, body }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_ended_by_our_clock_is_not_sent() {
        let now = Instant::now();
        let leases = held(now);
        assert_eq!(leases.nonce("m", now + TTL - ROUND).as_deref(), Some("secret"));
        assert_eq!(leases.nonce("m", now + TTL), None);
        assert!(!leases.is_due(&app(), "web-x", "m", now) && leases.is_due(&app(), "web-x", "m", now + LENGTHENED));
        assert!(!leases.is_due(&app(), "web-x", "m", now + LENGTHENED), "one at a time");
        // It was lengthened from when that was asked for, whenever the answer came.
        let asked = now + LENGTHENED;
        leases.answered("m", Ok("secret".to_owned()), asked, asked + ROUND);
        assert_eq!(leases.nonce("m", asked + TTL - ROUND).as_deref(), Some("secret"));
        assert_eq!(leases.nonce("m", asked + TTL), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_refusal_says_when_to_ask_again_and_whether_it_is_still_ours() {
        let held_by = "machine ID m lease currently held by somebody, expires at 7";
        for (fault, ours, wait) in [
            (no(409, held_by), false, RETRY_AFTER),
            (no(404, "lease not found"), false, Duration::ZERO),
            (no(429, ""), true, LENGTHENED),
            (no(503, "unreachable"), true, LENGTHENED),
            (no(403, ""), true, LATER),
        ] {
            let now = Instant::now();
            let leases = held(now);
            let due = now + LENGTHENED;
            assert!(leases.is_due(&app(), "web-x", "m", due));
            leases.answered("m", Err(fault.clone()), due, due);
            assert_eq!(leases.nonce("m", due).is_some(), ours, "{fault}");
            let early = wait.checked_sub(Duration::from_millis(1)).map(|early| due + early);
            assert!(early.is_none_or(|early| !leases.is_due(&app(), "web-x", "m", early)), "{fault}");
            assert!(leases.is_due(&app(), "web-x", "m", due + wait), "{fault}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_given_back_a_while_after_the_last_word_of_a_rollout() {
        let now = Instant::now();
        let leases = held(now);
        assert!(leases.wants(&app(), now) && leases.over(now).is_empty());
        leases.watch(&app(), Watch::Nobody, now);
        assert!(leases.over(now).is_empty(), "what it leaves behind is cleared away");
        // That it is said again moves nothing.
        leases.watch(&app(), Watch::Nobody, now + LINGERS - ROUND);
        let over = leases.over(now + LINGERS);
        assert_eq!(over, [("web-x".to_owned(), "m".to_owned(), "secret".to_owned())]);
        assert!(!leases.wants(&app(), now + LINGERS) && leases.nonce("m", now + LINGERS).is_none());
    }
}
