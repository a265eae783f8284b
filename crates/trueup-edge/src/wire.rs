//! What is said on the control socket: a question and an answer, each a length and JSON; and listeners, handed over as
//! descriptors.
//!
//! Two builds of the edge must understand each other here: fields are only ever added.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use trueup_types::route::RouteTable;
use trueup_types::{InstanceId, TableGeneration};

use crate::limits::MESSAGE_BYTES_MAX;

/// What an edge is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ask {
    /// The live table, unless it is one of those that are known already, and what is in flight.
    Observe(Vec<Stamp>),
    /// Make this table live.
    Apply(RouteTable),
    /// Listen on these, and on no others.
    Listen(Vec<SocketAddr>),
    /// How do you stand?
    Status,
    /// Go, when what is in flight has ended.
    Leave,
    /// Send your listeners.
    HandOver,
    /// The listeners of these addresses were taken over: accept no longer, on any.
    Taken(Vec<SocketAddr>),
}

/// What an edge answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    /// To `Observe`.
    Sight {
        /// Which table it is.
        stamp: Stamp,
        /// The table, unless it is known already: it is large, and seldom new.
        table: Option<RouteTable>,
        /// What is in flight, by instance; zeros are left out.
        in_flight: Vec<(InstanceId, u32)>,
    },
    /// To `Apply`.
    Outcome(Outcome),
    /// To `Status`.
    Report(EdgeReport),
    /// To `HandOver`: as many descriptors follow as there are addresses.
    Listeners {
        /// The address of each.
        addresses: Vec<SocketAddr>,
        /// The live table.
        table: RouteTable,
    },
    /// It is done.
    Done,
    /// It cannot be done, in one line.
    Refused(String),
}

/// Tells one live table from every other: a number drawn at the start of its process, and its own in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stamp {
    pub(crate) process: u64,
    pub(crate) epoch: u64,
}

/// What became of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    Done,
    AlreadyTrue,
    Superseded,
    Foreign,
}

/// How one edge process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeReport {
    /// Its process.
    pub pid: u32,
    /// Grows with each edge that takes over from another.
    pub sequence: u64,
    /// The identity of its binary.
    pub build: String,
    /// Whether it accepts connections; an edge that does not stays for those it has.
    pub accepting: bool,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The generation of its table.
    pub generation: TableGeneration,
    /// Open connections and tunnels.
    pub connections: usize,
    /// Why its table is not on the disk, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
}

/// Writes one message.
pub(crate) async fn write<T: Serialize>(stream: &mut UnixStream, message: &T) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&bytes).await
}

/// Reads one message.
pub(crate) async fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let length = stream.read_u32().await? as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other(format!("a message of {length} bytes is over the bound")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Sends a listener, riding on one byte.
pub(crate) async fn send_listener(stream: &UnixStream, listener: &TcpListener) -> io::Result<()> {
    let send = || {
        let descriptors = [listener.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)), "the space is made for one descriptor");
        let sent = rustix::net::sendmsg(stream, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
        if sent == 1 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    };
    stream.async_io(Interest::WRITABLE, send).await
}

/// Receives a listener.
pub(crate) async fn receive_listener(stream: &UnixStream) -> io::Result<TcpListener> {
    let receive = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        descriptors.pop().ok_or_else(|| io::Error::other("a listener was announced and did not come"))
    };
    stream.async_io(Interest::READABLE, receive).await.map(TcpListener::from)
}
