//! A person's word, carried to the app that it is for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trueup_museum::{Bug, planted};
use trueup_seams::{
    AppPreview, BoxFuture, Control, ControlError, DaemonRecord, LogLine, LogQuery, Receipt, Session, SessionAsked,
};
use trueup_types::decision::RecordedDecision;
use trueup_types::desired::DesiredApp;
use trueup_types::order::Order;
use trueup_types::record::Word;
use trueup_types::status::{EventKind, EvidenceFile, StatusDocument};
use trueup_types::{AppName, Instance, InstanceId, Observed, TargetName};

use crate::engine::Engine;
use crate::queue::Priority;
use crate::{evidence, mask, preview, publish};

/// Longest `down` waits for the apps to go.
const DOWN_PATIENCE: Duration = Duration::from_secs(120);
/// From one look at what is left to the next, while going down.
const DOWN_GLANCE: Duration = Duration::from_millis(50);

/// The daemon, as people reach it.
pub(crate) struct Handle {
    pub engine: Arc<Engine>,
}

impl Handle {
    async fn give(&self, app: &AppName, order: Order, by: &str) -> Result<Receipt, ControlError> {
        let engine = &self.engine;
        let cell = engine.find(app).ok_or_else(|| ControlError::NoSuchApp(app.clone()))?;
        let snapshot = engine.snapshot();
        let desired = snapshot.apps.get(app).map(|found| Arc::clone(&found.desired));
        let at = {
            let mut memory = cell.memory.lock().await;
            // No tick of the app is under way now.
            let at = engine.now();
            let next = trueup_plan::command(&memory.record, desired.as_deref(), &order, by, at)?;
            if next != memory.record {
                let saved = engine.parts.store.save(app, &next).await;
                saved.map_err(|error| ControlError::Failed(error.to_string()))?;
                memory.record = next;
                memory.saved = true;
            }
            at
        };
        let message = format!("app/{app} {}", said(&order));
        if order != Order::Reconcile {
            engine.note(EventKind::Normal, "Ordered", Some(app), None, format!("{} by {by}", ordered(&order)));
        }
        engine.ask(app, Priority::Edit, "a person's word");
        Ok(Receipt { message, at })
    }

    async fn look_and_plan(&self, wanted: Vec<DesiredApp>) -> Result<Vec<AppPreview>, ControlError> {
        let engine = &self.engine;
        if let Some(why) = wanted.iter().find_map(DesiredApp::beyond) {
            return Err(ControlError::Denied(why));
        }
        let snapshot = engine.snapshot();
        let mut after: BTreeMap<_, _> =
            wanted.into_iter().map(|app| (app.name.clone(), snapshot.with_secrets(app))).collect();
        let mut names: std::collections::BTreeSet<_> = snapshot.apps.keys().cloned().collect();
        names.extend(after.keys().cloned());
        names.extend(engine.cells.lock().expect("no holder panics").keys().cloned());
        let mut previews = Vec::new();
        for name in names {
            let before = snapshot.apps.get(&name).map(|found| found.desired.as_ref());
            let next = after.remove(&name);
            if before.is_none() && next.is_none() {
                continue;
            }
            let record = match engine.find(&name) {
                Some(cell) => cell.memory.lock().await.record.clone(),
                None => trueup_types::AppRecord::default(),
            };
            let observed = self.see(&name, &record).await?;
            let target = next.as_ref().and_then(|next| engine.target(&next.placement.target));
            let runtime = target.as_ref().map(|target| target.runtime.as_ref());
            let scene = (&name, &observed, &record);
            previews.push(preview::looked_up(runtime, before, next, scene, engine.now()).await);
        }
        Ok(previews)
    }

    async fn see(&self, app: &AppName, record: &trueup_types::AppRecord) -> Result<Observed, ControlError> {
        let engine = &self.engine;
        let epoch = engine.epoch.current();
        let mut seen = Vec::new();
        for name in &record.homes {
            let Some(target) = engine.target(name) else { continue };
            let sight = target.sight(epoch, &engine.epoch, engine.parts.clock.as_ref()).await;
            let apps = sight.apps.as_ref().map_err(|why| ControlError::Failed(format!("{name}: {why}")))?;
            let ours = apps.get(app).into_iter().flatten();
            seen.extend(ours.map(|one| (name.clone(), one.clone(), target.inspect.clone())));
        }
        let release =
            |one: &trueup_types::Sighting| record.release(one.id.revision).cloned().or_else(|| one.template.clone());
        let healths = engine.probes.observe(app, &seen, release);
        let together = seen.into_iter().zip(healths);
        let instances = together.map(|((target, sighting, _), health)| Instance { sighting, target, health }).collect();
        let (routes, _) = engine.routes.sight(app, &record.homes, epoch, &engine.epoch).await;
        let now = engine.now();
        Ok(Observed::sorted(now, engine.started_at, instances, routes))
    }

    /// Changes what the daemon remembers of itself: it holds once it is saved, and not where it is refused.
    async fn remember(&self, change: impl Fn(&mut DaemonRecord)) -> Result<(), ControlError> {
        let engine = &self.engine;
        let changed = || {
            let mut record = engine.daemon.lock().expect("no holder panics").clone();
            change(&mut record);
            record
        };
        let record = changed();
        if planted(Bug::ObeysRefusedWord) {
            *engine.daemon.lock().expect("no holder panics") = record.clone();
        }
        let saved = engine.parts.store.save_daemon(&record).await;
        saved.map_err(|error| ControlError::Failed(error.to_string()))?;
        // What else has changed meanwhile may have been saved without this; the next chores save both.
        *engine.daemon.lock().expect("no holder panics") = changed();
        Ok(())
    }

    async fn take_down(&self, by: &str) -> Result<(), ControlError> {
        let engine = &self.engine;
        let word = Word { by: by.to_owned(), at: engine.now() };
        self.remember(|daemon| daemon.down = Some(word.clone())).await?;
        engine.note(EventKind::Normal, "Down", None, None, format!("all apps are taken down by {by}"));
        engine.ask_all(Priority::Edit, "down");
        let deadline = tokio::time::Instant::now() + DOWN_PATIENCE;
        while !engine.cells.lock().expect("no holder panics").is_empty() {
            if tokio::time::Instant::now() >= deadline {
                let left: Vec<_> = engine.cells.lock().expect("no holder panics").keys().cloned().collect();
                let names: Vec<_> = left.iter().map(AppName::as_str).collect();
                return Err(ControlError::Failed(format!(
                    "still there after {} s: {}",
                    DOWN_PATIENCE.as_secs(),
                    names.join(", ")
                )));
            }
            tokio::time::sleep(DOWN_GLANCE).await;
        }
        Ok(())
    }
}

/// The order as the events tell it.
fn ordered(order: &Order) -> String {
    match order {
        Order::Rollback { to: Some(to), env } => format!("rollback to {to}{}", env.told()),
        Order::Rollback { to: None, env } => format!("rollback{}", env.told()),
        Order::Retry
        | Order::Resume
        | Order::Suspend
        | Order::Restart
        | Order::Promote
        | Order::PromoteFully
        | Order::Abort
        | Order::Reconcile => order.verb().to_owned(),
    }
}

fn said(order: &Order) -> String {
    match order {
        Order::Rollback { to: Some(to), env } => format!("rolls back to {to}{}", env.told()),
        Order::Rollback { to: None, env } => format!("rolls back to the release before{}", env.told()),
        Order::Retry => "is tried again".to_owned(),
        Order::Resume => "is resumed".to_owned(),
        Order::Suspend => "is suspended".to_owned(),
        Order::Restart => "is restarted, as a rollout".to_owned(),
        Order::Promote => "is promoted".to_owned(),
        Order::PromoteFully => "is promoted past all steps".to_owned(),
        Order::Abort => "is aborted".to_owned(),
        Order::Reconcile => "is looked at".to_owned(),
    }
}

impl Control for Handle {
    fn order<'a>(
        &'a self,
        app: &'a AppName,
        order: Order,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Receipt, ControlError>> {
        Box::pin(self.give(app, order, by))
    }

    fn approve_prune<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Result<Vec<AppName>, ControlError>> {
        Box::pin(async move {
            let engine = &self.engine;
            let approved = engine.prune.lock().expect("no holder panics").blocked();
            if approved.is_empty() {
                return Err(ControlError::Denied("nothing waits for approval".to_owned()));
            }
            let word = Word { by: by.to_owned(), at: engine.now() };
            let change = |daemon: &mut DaemonRecord| {
                daemon.prune_approved = Some(word.clone());
                daemon.prune_apps.clone_from(&approved);
                daemon.prune_strict = false;
            };
            self.remember(change).await?;
            engine.prune.lock().expect("no holder panics").approve(&approved);
            engine.note(
                EventKind::Normal,
                "PruneApproved",
                None,
                None,
                format!("{} apps may go, says {by}", approved.len()),
            );
            for app in &approved {
                engine.ask(app, Priority::Edit, "a person's word");
            }
            Ok(approved)
        })
    }

    fn relist(&self) {
        self.engine.parts.source.relist();
        self.engine.ask_all(Priority::Edit, "a person's word");
    }

    fn down<'a>(&'a self, by: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(self.take_down(by))
    }

    fn status(&self) -> StatusDocument {
        publish::document(&self.engine)
    }

    fn evidence<'a>(&'a self, app: &'a AppName) -> BoxFuture<'a, Result<Vec<EvidenceFile>, ControlError>> {
        Box::pin(async move {
            let Some(state_dir) = &self.engine.parts.state_dir else { return Ok(Vec::new()) };
            Ok(evidence::read(state_dir, app))
        })
    }

    fn decisions(&self, app: &AppName) -> Result<Vec<RecordedDecision>, ControlError> {
        let _known = self.engine.find(app).ok_or_else(|| ControlError::NoSuchApp(app.clone()))?;
        Ok(mask::masked_beside(&self.engine.recorder.of(app), &self.engine.parts.secrets.values()))
    }

    fn preview(&self, wanted: Vec<DesiredApp>) -> BoxFuture<'_, Result<Vec<AppPreview>, ControlError>> {
        Box::pin(self.look_and_plan(wanted))
    }

    fn instances(&self, app: &AppName) -> Vec<(InstanceId, TargetName)> {
        let Some(cell) = self.engine.find(app) else { return Vec::new() };
        let status = cell.shown.lock().expect("no holder panics").status.clone();
        let Some(status) = status else { return Vec::new() };
        let target = status.status.target.clone();
        let mut all: Vec<_> = status.status.instances.iter().map(|one| (one.name.clone(), target.clone())).collect();
        all.sort_by_key(|(id, _)| (std::cmp::Reverse(id.revision), id.ordinal));
        all.extend(status.status.hooks.iter().map(|one| (one.instance.clone(), target.clone())));
        all
    }

    fn logs<'a>(
        &'a self,
        target: &'a TargetName,
        query: &'a LogQuery,
    ) -> BoxFuture<'a, Result<Vec<LogLine>, ControlError>> {
        Box::pin(async move {
            let found = self.engine.target(target).and_then(|target| target.inspect.clone());
            let none = || ControlError::Failed(format!("target {target} shows no logs"));
            let lines = found.ok_or_else(none)?.logs(query).await;
            lines.map_err(|error| ControlError::Failed(error.detail))
        })
    }

    fn attach<'a>(
        &'a self,
        target: &'a TargetName,
        asked: &'a SessionAsked,
    ) -> BoxFuture<'a, Result<Session, ControlError>> {
        Box::pin(async move {
            let found = self.engine.target(target).and_then(|target| target.inspect.clone());
            let none = || ControlError::Failed(format!("target {target} runs no commands"));
            let session = found.ok_or_else(none)?.attach(asked).await;
            session.map_err(|error| ControlError::Failed(error.detail))
        })
    }
}
