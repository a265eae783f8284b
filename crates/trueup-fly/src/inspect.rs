//! A look inside a machine: its log, by asking for it, and a command in its place.

use std::time::Duration;

use serde_json::json;
use trueup_seams::{BoxFuture, ExecOutput, Inspect, LogLine, LogQuery, ObserveError};
use trueup_types::InstanceId;

use crate::api::{LogPage, Ran};
use crate::book::Known;
use crate::client::{Call, encoded};
use crate::moment::WallMillis;
use crate::runtime::{FlyRuntime, Inner};

/// Most output kept of a command, in bytes.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Most pages read of one log; the platform keeps some days of it, and hands out a hundred lines at a time.
const PAGES_MAX: usize = 50;
/// Longest that a log may take.
const LOG_PATIENCE: Duration = Duration::from_secs(12);
/// How much later than the first line of a life its start may be noted.
const NOTED_LATE: u64 = 2_000;
/// Longest that the platform runs a command for us.
const EXEC_MAX: Duration = Duration::from_secs(60);
/// How much longer than its command a call may take.
const EXEC_SLACK: Duration = Duration::from_secs(5);

impl Inspect for FlyRuntime {
    fn logs<'a>(&'a self, query: &'a LogQuery) -> BoxFuture<'a, Result<Vec<LogLine>, ObserveError>> {
        Box::pin(self.inner.logs(query))
    }

    fn exec<'a>(
        &'a self,
        instance: &'a InstanceId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ObserveError>> {
        Box::pin(self.inner.exec(instance, command, timeout))
    }
}

impl Inner {
    /// The machine of an instance, for looking only.
    async fn machine_of(self: &std::sync::Arc<Self>, id: &InstanceId) -> Result<(String, Known), ObserveError> {
        let absent = || ObserveError { detail: format!("{id} is not there") };
        let fly = self.home(&id.app).await?.ok_or_else(absent)?;
        if self.book(&fly, |book| book.read.is_none()) {
            self.refresh(&fly, LOG_PATIENCE).await.map_err(|detail| ObserveError { detail })?;
        }
        let known = self.book(&fly, |book| book.find(id).cloned());
        known.map(|known| (fly, known)).ok_or_else(absent)
    }

    async fn logs(self: &std::sync::Arc<Self>, query: &LogQuery) -> Result<Vec<LogLine>, ObserveError> {
        let (fly, known) = self.machine_of(&query.instance).await?;
        // The platform keeps one log for all lives of a machine, and notes a start after its first lines.
        let began = known.started.map_or(0, |started| started.saturating_sub(NOTED_LATE)) * 1_000_000;
        let since = query.since.map_or(0, |since| self.clocks.wall_of(since).0.saturating_mul(1_000_000));
        let span = if query.previous { since..began } else { since.max(began)..u64::MAX };
        let mut kept: Vec<LogLine> = Vec::new();
        let (mut token, mut position) = (String::new(), 0);
        for _ in 0..PAGES_MAX {
            let page = self.log_page(&fly, &known.machine.id, &token).await?;
            let done = page.data.is_empty() || page.meta.next_token.is_empty() || page.meta.next_token == token;
            for line in page.data.into_iter().map(|entry| entry.attributes) {
                if !line.instance.is_empty() && line.instance != known.machine.id {
                    continue;
                }
                let at = nanos(&line.timestamp).unwrap_or(position);
                position = at.max(position + 1);
                if span.contains(&position) && query.after.is_none_or(|after| position > after) {
                    let moment = Some(self.clocks.steady(WallMillis(position / 1_000_000)));
                    kept.push(LogLine {
                        at: moment,
                        position,
                        text: line.message.trim_end_matches(['\n', '\r']).to_owned(),
                    });
                }
            }
            if done {
                break;
            }
            token = page.meta.next_token;
        }
        // Who follows wants what comes next; who looks, the newest.
        if query.after.is_some() {
            kept.truncate(query.lines_max);
        } else {
            drop(kept.drain(..kept.len().saturating_sub(query.lines_max)));
        }
        Ok(kept)
    }

    async fn log_page(&self, fly: &str, machine: &str, token: &str) -> Result<LogPage, ObserveError> {
        let mut path = format!("/api/v1/apps/{}/logs?instance={}", encoded(fly), encoded(machine));
        if !token.is_empty() {
            path.push_str(&format!("&next_token={}", encoded(token)));
        }
        let page = self.client.read(Call::get("logs", machine, path).within(LOG_PATIENCE)).await;
        page.map_err(|fault: crate::fault::Fault| ObserveError { detail: format!("the log of {machine}: {fault}") })
    }

    async fn exec(
        self: &std::sync::Arc<Self>,
        id: &InstanceId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, ObserveError> {
        let (fly, known) = self.machine_of(id).await?;
        let within = timeout.min(EXEC_MAX);
        let path = format!("/v1/apps/{}/machines/{}/exec", encoded(&fly), encoded(&known.machine.id));
        let body = json!({"command": command, "timeout": within.as_secs().max(1)});
        let mut call = Call::post("Machines_exec", &known.machine.id, path).json(body).once_only();
        call.patience = within + EXEC_SLACK;
        call.once = within + EXEC_SLACK;
        match self.client.read::<Ran>(call).await {
            Ok(ran) => {
                let signal = ran.exit_signal.filter(|signal| *signal > 0).map(|signal| 128 + signal);
                let mut output = ran.stdout.unwrap_or_default();
                output.push_str(&ran.stderr.unwrap_or_default());
                output.truncate(output.floor_char_boundary(OUTPUT_BYTES_MAX));
                Ok(ExecOutput { code: signal.or(ran.exit_code), output })
            }
            // The platform's own word for a command that took too long.
            Err(fault) if fault.has_status(408) || matches!(fault, crate::fault::Fault::Late(_)) => {
                Ok(ExecOutput { code: None, output: String::new() })
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z of a moment as the platform writes it.
fn nanos(text: &str) -> Option<u64> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    at.timestamp_nanos_opt().and_then(|at| u64::try_from(at).ok())
}
