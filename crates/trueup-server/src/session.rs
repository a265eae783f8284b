//! A command with somebody at it, over a websocket on the control socket.
//!
//! The first message says what is asked. After it, bytes go both ways as binary messages, those from the command with one
//! byte before them that says which stream they are of; sizes, ends and errors are texts.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use trueup_seams::{ControlError, Session, SessionAsked, SessionInput, SessionOutput, SessionPiece, TerminalSize};
use trueup_types::TargetName;

use crate::serve::Served;

type Said = SplitSink<WebSocket, Message>;
type Heard = SplitStream<WebSocket>;

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
        let begun = begin(&served, &mut socket).await;
        let (mut said, heard) = socket.split();
        let over = match begun {
            Ok(Some(session)) => carry(&mut said, heard, session).await,
            Ok(None) => return,
            Err(error) => Some(Over::Failed(error)),
        };
        if let Some(over) = over {
            let text = serde_json::to_string(&over).expect("it is plain data");
            // Who has gone is told nothing.
            let _ = said.send(Message::Text(text.into())).await;
            let _ = said.send(Message::Close(None)).await;
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
///
/// Each way by itself: a command that nobody reads takes nothing in, and would wait for us as we for it.
async fn carry(said: &mut Said, heard: Heard, session: Session) -> Option<Over> {
    let Session { input, output } = session;
    tokio::select! {
        over = speak(said, output) => over,
        () = hear(heard, input) => None,
    }
}

async fn speak(said: &mut Said, mut output: Box<dyn SessionOutput>) -> Option<Over> {
    loop {
        let (stream, mut bytes) = match output.next().await {
            Ok(SessionPiece::Out(bytes)) => (OUT, bytes),
            Ok(SessionPiece::Err(bytes)) => (ERR, bytes),
            Ok(SessionPiece::Ended(code)) => return Some(Over::Ended(code)),
            Err(why) => return Some(Over::Failed(ControlError::Failed(why.detail))),
        };
        bytes.insert(0, stream);
        said.send(Message::Binary(bytes.into())).await.ok()?;
    }
}

/// Ends when nobody is at it any more, or what is said makes no sense.
async fn hear(mut heard: Heard, mut input: Box<dyn SessionInput>) {
    while let Some(Ok(message)) = heard.next().await {
        match message {
            // One that reads no more may still have something to say.
            Message::Binary(bytes) => drop(input.write(&bytes).await),
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(Told::Resize(size)) => input.resize(size).await,
                Ok(Told::End) => input.end().await,
                Err(_) => return,
            },
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return,
        }
    }
}
