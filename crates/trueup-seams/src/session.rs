//! A command in an instance with somebody at it: what is typed goes in, what it writes comes out, until it ends.

use serde::{Deserialize, Serialize};
use trueup_types::InstanceId;

use crate::BoxFuture;
use crate::runtime::{ExecOutput, ObserveError};

/// What is to be run, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionAsked {
    /// In which instance.
    pub instance: InstanceId,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether anything is written to it.
    pub stdin: bool,
    /// The terminal that it gets, of this size at first; none where it is unset.
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// A command under way, in two halves that are used side by side. Dropped before it has ended, it is killed where that can be
/// done.
pub struct Session {
    /// Toward it.
    pub input: Box<dyn SessionInput>,
    /// From it.
    pub output: Box<dyn SessionOutput>,
}

/// What goes to a command.
pub trait SessionInput: Send {
    /// Writes to its standard input.
    ///
    /// # Errors
    /// When it reads no more.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), ObserveError>>;

    /// Ends its standard input.
    fn end(&mut self) -> BoxFuture<'_, ()>;

    /// Tells its terminal another size. A hint: one that cannot be told stays as it was.
    fn resize(&mut self, size: TerminalSize) -> BoxFuture<'_, ()>;
}

/// What comes from a command.
pub trait SessionOutput: Send {
    /// The next piece; after the end nothing more is to be asked.
    ///
    /// # Errors
    /// When it is cut off.
    fn next(&mut self) -> BoxFuture<'_, Result<SessionPiece, ObserveError>>;
}

/// A piece of what a command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionPiece {
    /// Of its standard output, or of its terminal.
    Out(Vec<u8>),
    /// Of its standard error.
    Err(Vec<u8>),
    /// It has ended, with this code where one is known.
    Ended(Option<i32>),
}

/// A command that nobody was at, and that has ended.
pub(crate) fn over(output: ExecOutput) -> Session {
    let said = vec![SessionPiece::Ended(output.code), SessionPiece::Out(output.output.into_bytes())];
    Session { input: Box::new(Nobody), output: Box::new(Said(said)) }
}

struct Nobody;

impl SessionInput for Nobody {
    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), ObserveError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn end(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn resize(&mut self, _: TerminalSize) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The pieces, the last first.
struct Said(Vec<SessionPiece>);

impl SessionOutput for Said {
    fn next(&mut self) -> BoxFuture<'_, Result<SessionPiece, ObserveError>> {
        let piece = self.0.pop().unwrap_or(SessionPiece::Ended(None));
        Box::pin(std::future::ready(Ok(piece)))
    }
}
