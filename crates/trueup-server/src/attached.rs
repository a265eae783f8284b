//! The other end of a command with somebody at it: what the command line holds.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use trueup_seams::{ControlError, SessionAsked, SessionPiece, TerminalSize};
use trueup_types::TargetName;

use crate::client::{ClientError, ControlClient};
use crate::session::{Asked, ERR, Over, Told};

/// The host is never looked up: the socket is the way.
const ADDRESS: &str = "ws://trueup/v1/session";
/// What is said when nobody is at the other end any more: one that was killed could not end the command.
const GONE: &str = "the daemon has gone, and nobody is at the command any more";

/// What a command under way says. The two ways are apart: who waits until it can write has to read meanwhile.
pub struct AttachedOutput(SplitStream<WebSocketStream<UnixStream>>);

/// What it is told. Dropped with the other, the command is ended.
pub struct AttachedInput(SplitSink<WebSocketStream<UnixStream>, Message>);

impl ControlClient {
    /// Runs a command in an instance, with somebody at it.
    ///
    /// # Errors
    /// When no daemon answers; what it says against the command comes as its first piece.
    pub async fn attach(
        &self,
        target: &TargetName,
        session: SessionAsked,
    ) -> Result<(AttachedInput, AttachedOutput), ClientError> {
        let stream = UnixStream::connect(self.path()).await;
        let stream = stream.map_err(|_| ClientError::NoDaemon { path: self.path().to_owned() })?;
        let (mut socket, _) = tokio_tungstenite::client_async(ADDRESS, stream).await.map_err(cut)?;
        let asked = Asked { target: target.clone(), session };
        let text = serde_json::to_string(&asked).expect("it is plain data");
        socket.send(Message::text(text)).await.map_err(cut)?;
        let (told, said) = socket.split();
        Ok((AttachedInput(told), AttachedOutput(said)))
    }
}

impl AttachedOutput {
    /// What it says next. Cancel safe.
    ///
    /// # Errors
    /// When the command could not be begun, or the daemon has gone.
    pub async fn next(&mut self) -> Result<SessionPiece, ClientError> {
        loop {
            let gone = || failed(GONE);
            match self.0.next().await.ok_or_else(gone)?.map_err(cut)? {
                Message::Binary(bytes) => {
                    let (stream, bytes) = bytes.split_first().ok_or_else(|| failed("an empty message"))?;
                    let bytes = bytes.to_vec();
                    return Ok(if *stream == ERR { SessionPiece::Err(bytes) } else { SessionPiece::Out(bytes) });
                }
                Message::Text(text) => match serde_json::from_str(&text).map_err(|why| failed(&why.to_string()))? {
                    Over::Ended(code) => return Ok(SessionPiece::Ended(code)),
                    Over::Failed(error) => return Err(ClientError::Refused(error)),
                },
                Message::Close(_) => return Err(gone()),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

impl AttachedInput {
    /// Writes to its standard input.
    ///
    /// # Errors
    /// When the daemon has gone.
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<(), ClientError> {
        self.0.send(Message::binary(bytes)).await.map_err(cut)
    }

    /// Ends its standard input.
    ///
    /// # Errors
    /// When the daemon has gone.
    pub async fn end(&mut self) -> Result<(), ClientError> {
        self.tell(&Told::End).await
    }

    /// Tells its terminal another size.
    ///
    /// # Errors
    /// When the daemon has gone.
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), ClientError> {
        self.tell(&Told::Resize(size)).await
    }

    async fn tell(&mut self, told: &Told) -> Result<(), ClientError> {
        let text = serde_json::to_string(told).expect("it is plain data");
        self.0.send(Message::text(text)).await.map_err(cut)
    }
}

fn failed(why: &str) -> ClientError {
    ClientError::Refused(ControlError::Failed(why.to_owned()))
}

fn cut(error: Error) -> ClientError {
    let reset = matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake));
    if reset || matches!(error, Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_)) {
        return failed(GONE);
    }
    failed(&format!("the connection to the daemon: {error}"))
}
