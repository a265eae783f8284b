//! A command in a container with somebody at it, over one connection that the engine hands through.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use trueup_seams::{
    BoxFuture, ObserveError, Session, SessionAsked, SessionInput, SessionOutput, SessionPiece, TerminalSize,
};

use crate::engine::QUICK;
use crate::orphan;
use crate::runtime::Inner;

/// Looks at a command that has said its last word, until the engine knows of its end; and from one to the next.
const END_TRIES: u32 = 40;
const END_AGAIN: Duration = Duration::from_millis(50);

impl Inner {
    pub(crate) async fn attach(self: &Arc<Self>, asked: &SessionAsked) -> Result<Session, ObserveError> {
        let container = self.container_of(&asked.instance).await?;
        let client = self.engine.client().await?;
        let tty = asked.terminal.is_some();
        let options = CreateExecOptions {
            cmd: Some(asked.command.clone()),
            attach_stdin: Some(asked.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(tty),
            ..CreateExecOptions::default()
        };
        let made = self.engine.within(QUICK, client.create_exec(&container, options)).await?;
        let start = StartExecOptions { detach: false, tty, output_capacity: None };
        let started = self.engine.within(QUICK, client.start_exec(&made.id, Some(start))).await?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(ObserveError { detail: "the engine did not attach us to the command".to_owned() });
        };
        let run = Run { inner: Arc::clone(self), id: made.id, container };
        let mut input = Input { run: run.clone(), pipe: asked.stdin.then_some(input) };
        if let Some(size) = asked.terminal {
            input.resize(size).await;
        }
        Ok(Session {
            input: Box::new(input),
            output: Box::new(Output { run, pieces: output, silent: false, ended: false }),
        })
    }
}

/// Which command of which container.
#[derive(Clone)]
struct Run {
    inner: Arc<Inner>,
    id: String,
    container: String,
}

impl Run {
    async fn code(&self) -> Result<Option<i32>, ObserveError> {
        let client = self.inner.engine.client().await?;
        for _ in 0..END_TRIES {
            let now = self.inner.engine.within(QUICK, client.inspect_exec(&self.id)).await?;
            if now.running != Some(true) {
                return Ok(now.exit_code.and_then(|code| i32::try_from(code).ok()));
            }
            tokio::time::sleep(END_AGAIN).await;
        }
        Ok(None)
    }

    /// Ends what runs on though nobody is at it any more. Engines cannot; but where they are on this host, we can.
    async fn kill(self) {
        let Ok(client) = self.inner.engine.client().await else { return };
        for _ in 0..END_TRIES {
            let Ok(now) = self.inner.engine.within(QUICK, client.inspect_exec(&self.id)).await else { return };
            let pid = now.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
            if let (Some(true), Some(pid)) = (now.running, pid) {
                orphan::kill(pid, &self.container);
                return;
            }
            if now.exit_code.is_some() {
                return;
            }
            // An engine hands through what it says before it knows that it runs.
            tokio::time::sleep(END_AGAIN).await;
        }
    }
}

struct Input {
    run: Run,
    /// Closed once its end was told.
    pipe: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl SessionInput for Input {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), ObserveError>> {
        Box::pin(async move {
            let Some(pipe) = &mut self.pipe else { return Ok(()) };
            let detail = |why: std::io::Error| ObserveError { detail: why.to_string() };
            pipe.write_all(bytes).await.map_err(detail)?;
            pipe.flush().await.map_err(detail)
        })
    }

    fn end(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(mut pipe) = self.pipe.take() {
                // One that has ended reads no end.
                let _ = pipe.shutdown().await;
            }
        })
    }

    fn resize(&mut self, size: TerminalSize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Ok(client) = self.run.inner.engine.client().await else { return };
            let size = ResizeExecOptions { height: size.rows, width: size.columns };
            let told = self.run.inner.engine.within(QUICK, client.resize_exec(&self.run.id, size)).await;
            if let Err(fault) = told {
                tracing::debug!(%fault, "a terminal keeps its size");
            }
        })
    }
}

struct Output {
    run: Run,
    pieces: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    /// It has said its last word; how it ended may still be asked.
    silent: bool,
    ended: bool,
}

impl SessionOutput for Output {
    fn next(&mut self) -> BoxFuture<'_, Result<SessionPiece, ObserveError>> {
        Box::pin(async move {
            let piece = if self.silent { None } else { self.pieces.next().await };
            match piece {
                Some(Ok(LogOutput::StdErr { message })) => Ok(SessionPiece::Err(message.to_vec())),
                Some(Ok(piece)) => Ok(SessionPiece::Out(piece.into_bytes().to_vec())),
                Some(Err(error)) => Err(ObserveError { detail: format!("the engine broke off: {error}") }),
                None => {
                    self.silent = true;
                    let code = self.run.code().await?;
                    self.ended = true;
                    Ok(SessionPiece::Ended(code))
                }
            }
        })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.ended {
            self.run.inner.handle.spawn(self.run.clone().kill());
        }
    }
}
