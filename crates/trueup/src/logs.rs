//! `trueup logs`: what instances wrote, through the daemon; and the log of a deploy, from the status file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use trueup_driver::{Clock as _, SteadyClock};
use trueup_seams::LogQuery;
use trueup_server::ControlClient;
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use crate::cli::{Logs, Places, revision};
use crate::config;
use crate::status_reader;
use crate::terminal::out;

/// From one question to the next, while following.
const GLANCE: Duration = Duration::from_millis(300);
/// So often is looked whether one that does not answer has gone.
const GLANCES_MAX: usize = 7;

/// Runs `trueup logs`.
pub(crate) async fn run(places: &Places, asked: &Logs) -> anyhow::Result<()> {
    if let Some(release) = asked.name.strip_prefix("release/") {
        return deploy(places, release);
    }
    let app = AppName::new(asked.name.strip_prefix("app/").unwrap_or(&asked.name))?;
    let hook = asked.hook.as_ref().map(|hook| hook_run(places, &app, hook)).transpose()?;
    let only = hook.as_ref().or(asked.instance.as_ref());
    let client = ControlClient::new(&config::state_dir(places))?;
    let since = asked.since.map(|ago| before(SteadyClock::fresh().now(), ago));
    let mut positions: BTreeMap<InstanceId, u64> = BTreeMap::new();
    let mut first = true;
    loop {
        let instances = chosen(client.instances(&app).await?, only);
        if instances.is_empty() && first {
            bail!("app/{app} has no such instance; `trueup get instances {app}` lists them");
        }
        let many = instances.len() > 1;
        for (instance, target) in instances {
            let after = positions.get(&instance).copied();
            // What appears while we follow is shown from its beginning.
            let after = if first { None } else { Some(after.unwrap_or(0)) };
            let query = LogQuery {
                instance: instance.clone(),
                since: since.filter(|_| first),
                lines_max: asked.tail,
                previous: asked.previous,
                after,
            };
            let lines = match client.logs(&target, &query).await {
                Ok(lines) => lines,
                // One that has just gone has nothing more to say.
                Err(_) if !first => continue,
                Err(_) if only.is_none() && has_gone(&client, &app, &instance).await => continue,
                Err(error) => return Err(error.into()),
            };
            for line in lines {
                positions.insert(instance.clone(), line.position);
                out(&if many { format!("{instance} | {}", line.text) } else { line.text });
            }
        }
        first = false;
        if !asked.follow {
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Whether one that does not answer has left the app meanwhile: what is told of an app follows its instances by a moment.
async fn has_gone(client: &ControlClient, app: &AppName, instance: &InstanceId) -> bool {
    for _ in 0..GLANCES_MAX {
        if client.instances(app).await.is_ok_and(|all| all.iter().all(|(id, _)| id != instance)) {
            return true;
        }
        tokio::time::sleep(GLANCE).await;
    }
    false
}

fn before(now: Timestamp, ago: Duration) -> Timestamp {
    let millis = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

/// What ran a hook of this name last.
fn hook_run(places: &Places, app: &AppName, hook: &str) -> anyhow::Result<InstanceId> {
    let status = status_reader::read(places)?;
    let hooks = status.app(app.as_str()).map(|app| app.status.hooks.iter()).into_iter().flatten();
    let last = hooks.filter(|one| one.name.as_str() == hook).max_by_key(|one| (one.revision, one.task));
    let found =
        last.with_context(|| format!("app/{app} has run no hook `{hook}`; `trueup describe app {app}` lists them"))?;
    Ok(found.instance.clone())
}

/// The one that is asked for, or all that serve.
fn chosen(all: Vec<(InstanceId, TargetName)>, only: Option<&InstanceId>) -> Vec<(InstanceId, TargetName)> {
    let wanted = |id: &InstanceId| only.map_or(id.task.is_none(), |only| only == id);
    all.into_iter().filter(|(id, _)| wanted(id)).collect()
}

/// `release/NAME@7`: the phases of a deploy and the events that named it.
fn deploy(places: &Places, release: &str) -> anyhow::Result<()> {
    let (name, number) = release.split_once('@').context("a release is written release/NAME@7")?;
    let number = revision(number).map_err(anyhow::Error::msg)?;
    let status = status_reader::read(places)?;
    let Some(app) = status.app(name) else { bail!("there is no app `{name}`; `trueup get apps` lists them") };
    let note = app.status.history.iter().find(|note| note.revision == number);
    let note =
        note.with_context(|| format!("{number} is not in the history; `trueup get releases {name}` lists it"))?;
    let mut entries = vec![(note.started, "Begun".to_owned(), format!("{number} {}", note.digest.short()))];
    for phase in &note.phases {
        entries.push((phase.started, format!("{:?}", phase.phase), "begun".to_owned()));
        entries.extend(phase.ended.map(|ended| (ended, format!("{:?}", phase.phase), "ended".to_owned())));
    }
    let ours =
        status.document.events.iter().filter(|event| {
            event.revision == Some(number) && event.app.as_ref().is_some_and(|app| app.as_str() == name)
        });
    entries.extend(ours.map(|event| (event.first, event.reason.clone(), event.message.clone())));
    if let (Some(ended), Some(outcome)) = (note.ended, note.outcome) {
        entries.push((ended, format!("{outcome:?}"), note.cause.clone().unwrap_or_default()));
    }
    entries.sort_by_key(|(at, ..)| *at);
    let mut text = String::new();
    for (at, phase, message) in entries {
        let _ = writeln!(text, "{at}  {phase:<10} {message}");
    }
    out(text.trim_end());
    Ok(())
}
