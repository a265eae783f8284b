//! A look inside a container: its log, and a command in its place.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};
use trueup_seams::{BoxFuture, ExecOutput, Inspect, LogLine, LogQuery, ObserveError, Session, SessionAsked};
use trueup_types::InstanceId;

use crate::engine::{Fault, QUICK};
use crate::labels::INSTANCE;
use crate::lift;
use crate::moment::{WallMillis, nanos};
use crate::orphan;
use crate::runtime::{DockerRuntime, Inner};
use crate::seen::Whereabouts;

/// Most output kept of a command.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Longest a log may take: it is read from a file of the engine's.
const LOG_PATIENCE: Duration = Duration::from_secs(10);
/// How much later than the first line of a life its start may be noted, in nanoseconds.
const NOTED_LATE_NANOS: u64 = 1_000_000_000;
/// Lines at the end of a log among which a program that could not be started is named.
const LAST_WORDS: usize = 5;

impl Inspect for DockerRuntime {
    fn logs<'a>(&'a self, query: &'a LogQuery) -> BoxFuture<'a, Result<Vec<LogLine>, ObserveError>> {
        Box::pin(async move {
            let read = tokio::time::timeout(LOG_PATIENCE, self.inner.logs(query)).await;
            read.unwrap_or_else(|_| Err(ObserveError { detail: "the engine does not give the log".to_owned() }))
        })
    }

    fn exec<'a>(
        &'a self,
        instance: &'a InstanceId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ObserveError>> {
        Box::pin(self.inner.exec(instance, command, timeout))
    }

    fn attach<'a>(&'a self, asked: &'a SessionAsked) -> BoxFuture<'a, Result<Session, ObserveError>> {
        Box::pin(self.inner.attach(asked))
    }
}

impl Inner {
    /// The id of an instance's container, for looking only.
    pub(crate) async fn container_of(&self, instance: &InstanceId) -> Result<String, ObserveError> {
        let at = self.seen().whereabouts(instance);
        if let Whereabouts::At(container) = at {
            return Ok(container);
        }
        let mut labels = self.mine.filter();
        labels.push(format!("{INSTANCE}={instance}"));
        let listed = self.list(labels).await?;
        let found = self.the_one(listed, instance).and_then(|entry| entry.id);
        found.ok_or_else(|| ObserveError { detail: format!("{instance} is not on this engine") })
    }

    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogLine>, ObserveError> {
        let id = self.container_of(&query.instance).await?;
        let Some(container) = self.inspected(&id).await? else {
            return Err(ObserveError { detail: format!("{} has just gone", query.instance) });
        };
        // The engine keeps one log for all lives of a container.
        let began = began(&container);
        let since = query.since.map_or(0, |since| self.clocks.wall_of(since).0.saturating_mul(1_000_000));
        let (from, to) = match query.previous {
            true => (since, began),
            false => (since.max(began), u64::MAX),
        };
        let seconds = |nanos: u64| i32::try_from(nanos / 1_000_000_000).unwrap_or(i32::MAX);
        let mut options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true);
        options = options.since(seconds(from.max(query.after.unwrap_or(0))));
        if query.after.is_none() && !query.previous {
            options = options.tail(&query.lines_max.to_string());
        }
        let client = self.engine.client().await?;
        let lines = lines(client.logs(&id, Some(options.build()))).await?;
        let mut kept: Vec<_> = lines.into_iter().filter(|line| (from..to).contains(&line.position)).collect();
        kept.retain(|line| query.after.is_none_or(|after| line.position > after));
        let surplus = kept.len().saturating_sub(query.lines_max);
        // Who follows wants what comes next; who looks, the newest.
        if query.after.is_some() {
            kept.truncate(query.lines_max)
        } else {
            drop(kept.drain(..surplus))
        }
        for line in &mut kept {
            line.at = Some(self.clocks.steady(WallMillis(line.position / 1_000_000)));
        }
        Ok(kept)
    }

    /// What the first process said of a program that it could not start; `None` where the program itself has ended so.
    pub(crate) async fn not_started(&self, container: &str) -> Option<String> {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true);
        let client = self.engine.client().await.ok()?;
        let read = lines(client.logs(container, Some(options.tail(&LAST_WORDS.to_string()).build())));
        let lines = tokio::time::timeout(LOG_PATIENCE, read).await.ok()?.ok()?;
        // The engine's small first process is tini.
        let says = |line: &LogLine| line.text.starts_with("[FATAL tini") && line.text.contains("exec ");
        let line = lines.into_iter().rev().find(says)?;
        Some(line.text.split_once("exec ").map_or(line.text.clone(), |(_, what)| what.to_owned()))
    }

    async fn exec(
        &self,
        instance: &InstanceId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, ObserveError> {
        let container = self.container_of(instance).await?;
        let client = self.engine.client().await?;
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let made = self.engine.within(QUICK, client.create_exec(&container, options)).await?;
        let started = self.engine.within(QUICK, client.start_exec(&made.id, None)).await?;
        let StartExecResults::Attached { mut output, input } = started else {
            return Err(ObserveError { detail: "the engine did not attach us to the command".to_owned() });
        };
        drop(input);
        let mut kept = Vec::new();
        let reading = async {
            while let Some(Ok(piece)) = output.next().await {
                let bytes = piece.into_bytes();
                kept.extend_from_slice(&bytes[..bytes.len().min(OUTPUT_BYTES_MAX - kept.len())]);
            }
        };
        let in_time = tokio::time::timeout(timeout, reading).await.is_ok();
        let ended = self.engine.within(QUICK, client.inspect_exec(&made.id)).await?;
        if !in_time && ended.running == Some(true) {
            // Engines cannot; but the process is on this host.
            ended.pid.and_then(|pid| i32::try_from(pid).ok()).map(|pid| orphan::kill(pid, &container));
        }
        let code = ended.exit_code.and_then(|code| i32::try_from(code).ok()).filter(|_| in_time);
        Ok(ExecOutput { code, output: String::from_utf8_lossy(&kept).into_owned() })
    }
}

/// From when on a log is of the life that a container is in, in nanoseconds since 1970-01-01T00:00:00Z.
///
/// An engine notes a start only after it, when the first lines have been written: the end of the life before is the better
/// bound, and known as long as this one lasts.
fn began(container: &ContainerInspectResponse) -> u64 {
    let state = container.state.as_ref();
    let moment = |text: Option<&String>| text.and_then(|text| nanos(text)).unwrap_or(0);
    let started = moment(state.and_then(|state| state.started_at.as_ref()));
    let finished = moment(state.and_then(|state| state.finished_at.as_ref()));
    if lift::up(container) { finished.min(started) } else { started.saturating_sub(NOTED_LATE_NANOS) }
}

/// The lines of a log, each with its moment as its position: two of one moment follow each other.
async fn lines(
    pieces: impl Stream<Item = Result<LogOutput, bollard::errors::Error>>,
) -> Result<Vec<LogLine>, ObserveError> {
    let mut pieces = std::pin::pin!(pieces);
    let mut lines: Vec<LogLine> = Vec::new();
    while let Some(piece) = pieces.next().await {
        let bytes = piece.map_err(|error| Fault::of(&error))?.into_bytes();
        for text in String::from_utf8_lossy(&bytes).lines() {
            let (at, text) = text.split_once(' ').unwrap_or((text, ""));
            let before = lines.last().map_or(0, |line| line.position);
            let position = nanos(at).unwrap_or(before).max(before + 1);
            lines.push(LogLine { at: None, position, text: text.trim_end_matches('\r').to_owned() });
        }
    }
    Ok(lines)
}
