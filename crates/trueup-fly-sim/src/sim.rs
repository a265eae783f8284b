//! The platform with its clock, behind a lock: what a socket, a test or a person talks to.
//!
//! Nothing runs behind anybody's back: time passes when a call comes in, when somebody turns the clock, or, in
//! [`FlySim::keep_time`], by itself. A call that waits is asked again whenever anything has changed.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::Traffic;
use crate::call::{Asked, Reply};
use crate::clock::{Clock, Pace};
use crate::cloud::Cloud;
use crate::deed::Deed;
use crate::knobs::Scenario;
use crate::time::Moment;
use crate::visit::{FOREVER, Step, Visit};

/// A request and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The operation's id in the specification, where it is one.
    pub operation: Option<&'static str>,
    /// What was asked.
    pub asked: Asked,
    /// What was answered; `None` where the connection was cut.
    pub reply: Option<Reply>,
}

/// Is told of each exchange.
pub type Tap = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// What comes back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// An answer.
    Reply(Reply),
    /// The connection is cut, without one.
    Cut,
}

/// A simulated platform.
pub struct FlySim {
    cloud: Mutex<Held>,
    changes: watch::Sender<u64>,
    clock: Clock,
    tap: Option<Tap>,
}

struct Held {
    cloud: Cloud,
    /// How far the clock was turned ahead of where it flows.
    turned: Duration,
}

impl FlySim {
    /// A platform as a scenario describes it.
    #[must_use]
    pub fn new(scenario: Scenario, pace: Pace) -> Self {
        let clock = Clock::start(pace);
        let cloud = Cloud::new(scenario, clock.began);
        let held = Held { cloud, turned: Duration::ZERO };
        Self { cloud: Mutex::new(held), changes: watch::Sender::new(0), clock, tap: None }
    }

    /// With somebody who is told of each exchange.
    #[must_use]
    pub fn tapped(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Answers a request, however long that takes on the platform's clock.
    ///
    /// # Cancel safety
    /// Dropped, it is as if the caller had gone away: what was done is done.
    pub async fn answer(&self, asked: Asked) -> Answered {
        let mut changes = self.changes.subscribe();
        if let Some(reply) = self.administer(&asked) {
            return Answered::Reply(reply);
        }
        let mut visit = Visit::new(asked);
        loop {
            changes.borrow_and_update();
            let (step, next) = self.with(|cloud| (cloud.visit(&mut visit), cloud.agenda.next()));
            let reply = match step {
                Step::Answered(reply) => Some(reply),
                Step::Cut => None,
                Step::Later(until) => {
                    self.pass(until.min(next.unwrap_or(FOREVER)), &mut changes).await;
                    continue;
                }
            };
            self.changed();
            let exchange = Exchange { operation: visit.operation, asked: visit.asked, reply };
            if let Some(tap) = &self.tap {
                tap(&exchange);
            }
            return exchange.reply.map_or(Answered::Cut, Answered::Reply);
        }
    }

    /// Waits until something changes, or a moment has come.
    async fn pass(&self, until: Moment, changes: &mut watch::Receiver<u64>) {
        // The sender is ours: it lives as long as we do.
        let changed = async {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if !self.clock.flows() || until == FOREVER {
            return changed.await;
        }
        let wait = self.clock.real(until.since(self.now()));
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Lets what is due happen when it is due, for as long as it is polled; needs a flowing clock to be of use.
    pub async fn keep_time(&self) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let next = self.with(|cloud| cloud.agenda.next()).unwrap_or(FOREVER);
            self.pass(next, &mut changes).await;
        }
    }

    /// What time it is on the platform.
    pub fn now(&self) -> Moment {
        self.with(|cloud| cloud.now)
    }

    /// Turns the clock ahead; what is due on the way happens at its own time.
    pub fn advance(&self, by: Duration) {
        {
            let mut held = self.held();
            if self.clock.flows() {
                held.turned += by;
            }
            let to = held.cloud.now.after(by);
            held.cloud.advance(to);
        }
        self.changed();
    }

    /// Turns the clock from one thing that is due to the next until a future is ready; `None` when it is not by then.
    ///
    /// For a clock that is turned by hand, and futures that wait for nothing but this platform.
    pub async fn drive<T>(&self, within: Duration, future: impl Future<Output = T>) -> Option<T> {
        let end = self.now().after(within);
        // The runtime's own fairness would look like a future that waits.
        let mut future = pin!(tokio::task::unconstrained(future));
        poll_fn(|context| {
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Some(output));
                }
                let now = self.now();
                let next = self.with(|cloud| cloud.agenda.next()).unwrap_or(FOREVER);
                if next > end {
                    return Poll::Ready(None);
                }
                self.advance(next.since(now));
            }
        })
        .await
    }

    /// Does something from outside the API, and says what came of it.
    pub fn carry_out(&self, deed: Deed) -> Value {
        let done = self.with(|cloud| cloud.carry_out(deed));
        self.changed();
        done
    }

    /// Who could answer an app's requests, segment by segment, oldest first.
    pub fn traffic(&self, app: &str) -> Vec<Traffic> {
        self.with(|cloud| cloud.apps.get(app).map(|app| app.traffic.iter().copied().collect()).unwrap_or_default())
    }

    /// How often each operation was asked for, refused ones too.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.with(|cloud| cloud.counted.clone())
    }

    /// What there is, for people and tests: apps, with their machines, volumes and addresses.
    pub fn inventory(&self) -> Value {
        self.with(|cloud| {
            let machines = |app: &str| -> Vec<Value> {
                let live = cloud.machines_of(app).filter(|machine| Cloud::is_live(machine.state));
                live.map(|machine| {
                    json!({"id": machine.id, "name": machine.name, "state": machine.state.word(), "region": machine.region,
                        "image": machine.config().acted.image, "version": machine.instance,
                        "cordoned": machine.cordoned, "edges": machine.believed, "starts": machine.boots})
                })
                .collect()
            };
            let app = |app: &crate::app::App| {
                json!({"name": app.name, "org": app.org, "machines": machines(&app.name),
                    "volumes": app.volumes.values().filter(|volume| volume.gone.is_none()).map(|volume| &volume.id).collect::<Vec<_>>(),
                    "ips": app.ips.iter().map(|ip| &ip.ip).collect::<Vec<_>>()})
            };
            json!({"now": cloud.now.rfc3339(), "apps": cloud.apps.values().map(app).collect::<Vec<_>>()})
        })
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Works on the cloud at the moment that it is.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Cloud) -> T) -> T {
        let mut held = self.held();
        if let Some(now) = self.clock.now(held.turned) {
            let due = held.cloud.agenda.next().is_some_and(|next| next <= now);
            held.cloud.advance(now);
            if due {
                self.changed();
            }
        }
        work(&mut held.cloud)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A handler that panicked is a bug that its own test shows; the others go on.
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
