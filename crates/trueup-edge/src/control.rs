//! The control socket of an edge: one question, one answer, until the other side hangs up.
//!
//! `run` hands it what it accepted; it asks `edge`. Decides nothing.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::edge::Edge;
use crate::live::Swap;
use crate::wire::{self, Answer, Ask, Outcome};

/// Serves one conversation.
pub(crate) async fn converse(edge: Rc<Edge>, mut stream: UnixStream, permit: OwnedSemaphorePermit) {
    loop {
        let ask = match wire::read::<Ask>(&mut stream).await {
            Ok(ask) => ask,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => {
                tracing::debug!(%error, "a question was not understood");
                let _ = wire::write(&mut stream, &Answer::Refused(format!("not understood: {error}"))).await;
                break;
            }
        };
        if let Err(error) = answer(&edge, &mut stream, ask).await {
            tracing::debug!(%error, "an answer did not get through");
            break;
        }
    }
    drop(permit);
}

async fn answer(edge: &Edge, stream: &mut UnixStream, ask: Ask) -> io::Result<()> {
    let answer = match ask {
        Ask::Observe(known) => {
            let (stamp, table, in_flight) = edge.shared.live.sight(&known);
            Answer::Sight { stamp, table, in_flight }
        }
        Ask::Apply(table) => Answer::Outcome(edge.apply(table).await.into()),
        Ask::Status => Answer::Report(edge.report()),
        Ask::Listen(addresses) => match edge.listen(&addresses, Vec::new()).await {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Refused(error.to_string()),
        },
        Ask::Leave => {
            edge.leave().await;
            Answer::Done
        }
        Ask::HandOver => return hand_over(edge, stream).await,
        Ask::Taken(addresses) => {
            edge.handed_over(&addresses).await;
            Answer::Done
        }
    };
    wire::write(stream, &answer).await
}

async fn hand_over(edge: &Edge, stream: &mut UnixStream) -> io::Result<()> {
    let (addresses, listeners): (Vec<SocketAddr>, Vec<_>) = edge.listeners()?.into_iter().unzip();
    // After the listeners' copies are made, so that no table comes between.
    wire::write(stream, &Answer::Listeners { addresses, table: edge.shared.live.table() }).await?;
    for listener in &listeners {
        wire::send_listener(stream, listener).await?;
    }
    Ok(())
}

impl From<Swap> for Outcome {
    fn from(swap: Swap) -> Self {
        match swap {
            Swap::Done => Self::Done,
            Swap::AlreadyTrue => Self::AlreadyTrue,
            Swap::Superseded => Self::Superseded,
            Swap::Foreign => Self::Foreign,
        }
    }
}
