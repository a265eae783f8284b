//! A look inside an instance: its log, and a command in its place.

use std::time::Duration;

use trueup_host::{Command, Host as _};
use trueup_seams::{BoxFuture, ExecOutput, Inspect, LogLine, LogQuery, ObserveError};
use trueup_types::InstanceId;

use crate::logs;
use crate::runtime::ProcessRuntime;

/// Most output kept of a command.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

impl Inspect for ProcessRuntime {
    fn logs<'a>(&'a self, query: &'a LogQuery) -> BoxFuture<'a, Result<Vec<LogLine>, ObserveError>> {
        Box::pin(async move {
            let Some((paths, newest)) = self.inner.newest_life(&query.instance) else {
                return Err(ObserveError { detail: format!("{} is not on this host", query.instance) });
            };
            let number = if query.previous { newest - 1 } else { newest };
            let (paths, query) = (paths.life(number), query.clone());
            if !paths.0.exists() {
                return Err(ObserveError { detail: format!("{} has not lived before", query.instance) });
            }
            let read = tokio::task::spawn_blocking(move || logs::read(&paths, &query)).await;
            let lines = read.map_err(std::io::Error::other).and_then(|lines| lines);
            lines.map_err(|why| ObserveError { detail: why.to_string() })
        })
    }

    fn exec<'a>(
        &'a self,
        instance: &'a InstanceId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ObserveError>> {
        Box::pin(async move {
            let Some((paths, number)) = self.inner.newest_life(instance) else {
                return Err(ObserveError { detail: format!("{instance} is not on this host") });
            };
            let folder = paths.life(number).0.to_string_lossy().into_owned();
            let words = ["shim-exec".to_owned(), folder, "--".to_owned()];
            let command = Command {
                program: self.inner.program.to_string_lossy().into_owned(),
                args: words.into_iter().chain(command.iter().cloned()).collect(),
                env: Vec::new(),
                workdir: None,
                stdin: Vec::new(),
                timeout,
                output_max: OUTPUT_BYTES_MAX,
            };
            let output = self.inner.host.exec(&command).await;
            let output = output.map_err(|why| ObserveError { detail: why.to_string() })?;
            let both = [output.stdout, output.stderr].concat();
            Ok(ExecOutput { code: output.code, output: String::from_utf8_lossy(&both).into_owned() })
        })
    }
}
