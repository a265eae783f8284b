//! What people do in a run: they commit and say words as the script has it, patiently, and look before they repeat
//! themselves.

use std::time::Duration;

use tokio::time::Instant;
use trueup_sim::AppSketch;
use trueup_types::AppName;
use trueup_types::order::Order;
use trueup_types::record::{AppRecord, Rollout};

use super::play::Play;
use super::scenario::Act;

/// Longest that a person waits for an answer: as a tick may hold the app for some calls that hang, one after the other.
const ANSWER_MAX: Duration = Duration::from_secs(300);

/// What came of asking the daemon for something.
enum Asked<T> {
    /// It answered.
    Answer(T),
    /// It died over it.
    Died,
    /// It did neither.
    Silence,
}

impl Play<'_> {
    /// Does whatever can be done now.
    pub(super) async fn act(&mut self) {
        while let Some(act) = self.acts.pop_front() {
            let done = match &act {
                Act::Commit(apps, gone) => {
                    self.commit(apps, gone);
                    true
                }
                Act::Say(app, order) => {
                    self.promoted = Some(*app).filter(|_| matches!(order, Order::Promote | Order::PromoteFully));
                    self.say(app, order.clone()).await
                }
                Act::Until(app, shows) => {
                    let app = AppName::new(app).expect("a literal name");
                    self.house.store.with_record(&app, shows).unwrap_or(false)
                }
                Act::Rest(time) => {
                    let end = *self.rest.get_or_insert_with(|| Instant::now() + *time);
                    end <= Instant::now()
                }
            };
            if !done {
                self.acts.push_front(act);
                break;
            }
            self.rest = None;
        }
        if self.rebuilt {
            // A store that lost something asks before it lets anything go; a person says yes.
            let control = self.house.control();
            if let Asked::Silence = self.ask(control.approve_prune("a person")).await {
                self.wrong.push(format!("law 11: no answer to an approval in {} s", ANSWER_MAX.as_secs()));
            }
            // Nor does it know that a canary may go on, which a person sees it wait for.
            if let Some(app) = self.promoted.filter(|app| self.waits_to_be_promoted(app)) {
                self.say(app, Order::Promote).await;
            }
        }
    }

    /// Commits manifests, and takes others away.
    pub(super) fn commit(&mut self, apps: &[AppSketch], gone: &[&'static str]) {
        self.learn();
        let names: Vec<_> = gone.iter().map(|name| AppName::new(name).expect("a literal name")).collect();
        self.house.source.commit(apps.iter().map(AppSketch::build), &names);
        let said = apps.iter().map(|app| app.name.as_str()).chain(gone.iter().copied()).collect::<Vec<_>>().join(" ");
        self.note(&format!("commit {said}"));
        self.learn();
    }

    /// Tells the world what is wanted, for its laws.
    pub(super) fn learn(&self) {
        let snapshot = trueup_seams::Source::snapshot(self.house.source.as_ref());
        let now = self.house.world.now();
        let mut state = self.house.world.lock();
        for (app, found) in &snapshot.apps {
            state.wants.learn(app, Some(&found.desired), now);
        }
        for app in snapshot.vanished.keys() {
            state.wants.learn(app, None, now);
        }
    }

    /// Says a word; answers whether it is said and done with.
    async fn say(&mut self, app: &str, order: Order) -> bool {
        let app = AppName::new(app).expect("a literal name");
        // Who got no answer looks before he says again what would be done twice.
        if self.said && self.house.store.with_record(&app, |record| heard(record, &order)).unwrap_or(false) {
            return true;
        }
        self.note(&format!("say {} to {app}", order.verb()));
        let control = self.house.control();
        match self.ask(control.order(&app, order, "a person")).await {
            Asked::Answer(Ok(_)) => true,
            // The word was heard before the daemon died, or lost with the store.
            Asked::Answer(Err(_)) if self.said || self.rebuilt => true,
            Asked::Answer(Err(error)) => {
                self.wrong.push(format!("the word is denied: {error}"));
                true
            }
            Asked::Died => {
                self.said = true;
                false
            }
            Asked::Silence => {
                self.wrong.push(format!("law 11: no answer to a word in {} s", ANSWER_MAX.as_secs()));
                true
            }
        }
    }

    fn waits_to_be_promoted(&self, app: &str) -> bool {
        let app = AppName::new(app).expect("a literal name");
        let waits = |record: &AppRecord| match &record.rollout {
            Rollout::Underway { canary, .. } => canary.shared.is_some() && canary.step == 0 && !canary.promoted,
            Rollout::Idle | Rollout::Baking { .. } | Rollout::Reverting { .. } => false,
        };
        self.house.store.with_record(&app, waits).unwrap_or(false)
    }

    /// Waits for an answer for as long as there is somebody to give it, and not for ever.
    async fn ask<T>(&self, answer: impl Future<Output = T>) -> Asked<T> {
        let tether = self.house.tether();
        tokio::select! {
            biased;
            answer = answer => Asked::Answer(answer),
            () = tether.died() => Asked::Died,
            () = tokio::time::sleep(ANSWER_MAX) => Asked::Silence,
        }
    }
}

/// Whether memory shows that a word was heard, where saying it again would do it twice.
fn heard(record: &AppRecord, order: &Order) -> bool {
    match order {
        Order::Restart => record.restarts > 0,
        Order::Promote | Order::PromoteFully => match &record.rollout {
            Rollout::Underway { canary, .. } => canary.promoted || canary.step > 0,
            Rollout::Idle | Rollout::Baking { .. } | Rollout::Reverting { .. } => true,
        },
        // What failed once is forgotten, or tried under another number.
        Order::Retry => record.rejected.is_empty() || record.highest.0 >= 3,
        Order::Rollback { .. } | Order::Resume | Order::Suspend | Order::Abort | Order::Reconcile => false,
    }
}
