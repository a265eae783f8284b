//! A command with somebody at it, over a websocket on the control socket.
//!
//! The first message says what is asked. After it, bytes go both ways as binary messages, those from the command with one
//! byte before them that says which stream they are of; sizes, ends and errors are texts.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use trueup_seams::{ControlError, Session, SessionAsked, SessionPiece, TerminalSize};
use trueup_types::TargetName;

use crate::serve::Served;

/// What stands before the bytes of a stream.
pub(crate) const OUT: u8 = 1;
pub(crate) const ERR: u8 = 2;

/// What is asked first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub target: TargetName,
    pub session: SessionAsked,
}

/// A text from whoever is at it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Told {
    Resize(TerminalSize),
    /// The end of standard input.
    End,
}

/// A text from the command's side, the last of all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Over {
    Ended(Option<i32>),
    Failed(ControlError),
}

pub(crate) async fn serve(State(served): State<Served>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        let over = match begin(&served, &mut socket).await {
            Ok(Some(session)) => carry(&mut socket, session).await,
            Ok(None) => return,
            Err(error) => Some(Over::Failed(error)),
        };
        if let Some(over) = over {
            let text = serde_json::to_string(&over).expect("it is plain data");
            // Who has gone is told nothing.
            let _ = socket.send(Message::Text(text.into())).await;
            let _ = socket.send(Message::Close(None)).await;
        }
    })
}

/// Begins what the first message asks for; nothing where nobody asks.
async fn begin(served: &Served, socket: &mut WebSocket) -> Result<Option<Session>, ControlError> {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return Ok(None) };
    let asked: Asked = serde_json::from_str(&text).map_err(|why| ControlError::Denied(why.to_string()))?;
    served.control.attach(&asked.target, &asked.session).await.map(Some)
}

/// Carries both ways until the command ends, or nobody is at it any more: then it is dropped.
async fn carry(socket: &mut WebSocket, session: Session) -> Option<Over> {
    let Session { mut input, mut output } = session;
    loop {
        tokio::select! {
            piece = output.next() => match piece {
                Ok(SessionPiece::Out(bytes)) => send(socket, OUT, bytes).await?,
                Ok(SessionPiece::Err(bytes)) => send(socket, ERR, bytes).await?,
                Ok(SessionPiece::Ended(code)) => return Some(Over::Ended(code)),
                Err(why) => return Some(Over::Failed(ControlError::Failed(why.detail))),
            },
            message = socket.recv() => match message?.ok()? {
                // One that reads no more may still have something to say.
                Message::Binary(bytes) => drop(input.write(&bytes).await),
                Message::Text(text) => match serde_json::from_str(&text).ok()? {
                    Told::Resize(size) => input.resize(size).await,
                    Told::End => input.end().await,
                },
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) => return None,
            },
        }
    }
}

async fn send(socket: &mut WebSocket, stream: u8, mut bytes: Vec<u8>) -> Option<()> {
    bytes.insert(0, stream);
    socket.send(Message::Binary(bytes.into())).await.ok()
}
