//! What follows a change of protocols: bytes both ways, as they come, until either side ends.
//!
//! A side that ends only its half is passed on as such; the other half may go on for as long as it moves.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::limits::{TUNNEL_BUFFER_BYTES, TUNNEL_LINGER};

/// Joins the two sides once both have changed over, and returns when the tunnel has ended.
pub(crate) async fn run(client: OnUpgrade, backend: OnUpgrade) {
    let (client, backend): (Upgraded, Upgraded) = match tokio::try_join!(client, backend) {
        Ok(sides) => sides,
        Err(error) => {
            tracing::debug!(%error, "a tunnel broke off before it stood");
            return;
        }
    };
    join(TokioIo::new(client), TokioIo::new(backend)).await;
}

async fn join(client: impl AsyncRead + AsyncWrite, backend: impl AsyncRead + AsyncWrite) {
    let (client_reads, client_writes) = tokio::io::split(client);
    let (backend_reads, backend_writes) = tokio::io::split(backend);
    let (up_moved, down_moved) = (Cell::new(0), Cell::new(0));
    let mut up = pin!(pump(client_reads, backend_writes, &up_moved));
    let mut down = pin!(pump(backend_reads, client_writes, &down_moved));
    tokio::select! {
        ended = &mut up => if ended.is_ok() { finish(down, &down_moved).await },
        ended = &mut down => if ended.is_ok() { finish(up, &up_moved).await },
    }
}

/// Lets the second half go on while it moves.
async fn finish(mut half: impl Future<Output = io::Result<()>> + Unpin, moved: &Cell<u64>) {
    loop {
        let before = moved.get();
        if timeout(TUNNEL_LINGER, &mut half).await.is_ok() || moved.get() == before {
            return;
        }
    }
}

async fn pump(reader: impl AsyncRead, writer: impl AsyncWrite, moved: &Cell<u64>) -> io::Result<()> {
    let (mut reader, mut writer) = (pin!(reader), pin!(writer));
    let mut buffer = vec![0; TUNNEL_BUFFER_BYTES];
    loop {
        let read = reader.read(&mut buffer).await?;
        if read == 0 {
            return writer.shutdown().await;
        }
        writer.write_all(&buffer[..read]).await?;
        writer.flush().await?;
        moved.set(moved.get() + read as u64);
    }
}
