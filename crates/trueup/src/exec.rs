//! `trueup exec`: a command in an instance, with or without a person at it; its exit code is ours.

use std::convert::Infallible;
use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use trueup_seams::{SessionAsked, SessionPiece, TerminalSize};
use trueup_server::{AttachedInput, AttachedOutput, ClientError, ControlClient};
use trueup_types::AppName;

use crate::cli::{Exec, Places};
use crate::config;

/// Most of what is typed that waits to be sent, in pieces.
const TYPED_MAX: usize = 16;
/// Most bytes of a piece.
const PIECE_BYTES: usize = 8 * 1024;
/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: i32 = 128;

/// Runs `trueup exec`.
pub(crate) async fn run(places: &Places, asked: &Exec) -> anyhow::Result<ExitCode> {
    let app = AppName::new(asked.name.strip_prefix("app/").unwrap_or(&asked.name))?;
    if asked.tty && !std::io::stdin().is_terminal() {
        bail!("standard input is no terminal; leave out -t");
    }
    let client = ControlClient::new(&config::state_dir(places))?;
    let mut all = client.instances(&app).await?.into_iter();
    let wanted = |id: &trueup_types::InstanceId| asked.instance.as_ref().map_or(id.task.is_none(), |only| only == id);
    let Some((instance, target)) = all.find(|(id, _)| wanted(id)) else {
        bail!("app/{app} has no such instance; `trueup get instances {app}` lists them");
    };
    let terminal = asked.tty.then(size);
    let session = SessionAsked { instance, command: asked.command.clone(), stdin: asked.stdin, terminal };
    let (told, said) = client.attach(&target, session).await?;
    let told_to_end = told_to_end()?;
    let raw = if asked.tty { Some(Raw::begin()?) } else { None };
    let code = tokio::select! {
        code = hear(said) => code,
        never = tell(told, asked) => match never? {},
        code = told_to_end => Ok(Some(code)),
    };
    drop(raw);
    let code = code?.context("it was killed, or nobody knows how it ended")?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The exit code of one that is told to end: the command goes with us, and the terminal is put back first.
fn told_to_end() -> std::io::Result<impl Future<Output = i32>> {
    let (mut term, mut hup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    Ok(async move {
        let signal = tokio::select! {
            _ = term.recv() => SignalKind::terminate(),
            _ = hup.recv() => SignalKind::hangup(),
        };
        SIGNALLED + signal.as_raw_value()
    })
}

/// Prints what it says; its exit code.
async fn hear(mut said: AttachedOutput) -> anyhow::Result<Option<i32>> {
    loop {
        match said.next().await? {
            SessionPiece::Out(bytes) => write(&mut std::io::stdout().lock(), &bytes),
            SessionPiece::Err(bytes) => write(&mut std::io::stderr().lock(), &bytes),
            SessionPiece::Ended(code) => return Ok(code),
        }
    }
}

/// Tells it what is typed. Whether anybody listens, and why not, the other way says.
async fn tell(mut told: AttachedInput, asked: &Exec) -> anyhow::Result<Infallible> {
    let mut typed = asked.stdin.then(typed);
    let mut resized = signal(SignalKind::window_change())?;
    let mut heard: Result<(), ClientError> = Ok(());
    while heard.is_ok() {
        heard = tokio::select! {
            bytes = next(&mut typed) => match bytes {
                Some(bytes) => told.write(bytes).await,
                None => {
                    typed = None;
                    told.end().await
                }
            },
            _ = resized.recv(), if asked.tty => told.resize(size()).await,
        };
    }
    std::future::pending().await
}

async fn next(typed: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// What is typed, read by a thread that ends with us: a read from a terminal cannot be broken off.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel(TYPED_MAX);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(bytes @ 1..) = std::io::stdin().read(&mut piece) {
            if tell.blocking_send(piece[..bytes].to_vec()).is_err() {
                break;
            }
        }
    });
    told
}

fn write(stream: &mut impl std::io::Write, bytes: &[u8]) {
    // A reader that has gone away has had enough.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}

/// The size of our terminal; the custom's where it does not say.
fn size() -> TerminalSize {
    let known = tcgetwinsize(std::io::stdin()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    known
        .map_or(TerminalSize { rows: 24, columns: 80 }, |size| TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Our terminal hands every key through, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("the terminal does not say how it is set")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).context("the terminal cannot be set")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
