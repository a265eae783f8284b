//! Opens listening sockets: one for each thread, sharing an address by `SO_REUSEPORT`.
//!
//! Knows nothing of who accepts on them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::error::EdgeError;
use crate::limits::{BACKLOG, KEEPALIVE_AFTER, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES};

/// Whether somebody else may listen on the address already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody: `SO_REUSEPORT` would silently share it with another edge.
    Exclusive,
    /// We do.
    Joined,
}

/// Opens `count` listeners on an address; with port 0 all get the same free one.
///
/// # Errors
/// [`EdgeError::Listen`] when the address is taken or not ours.
pub(crate) fn open(address: SocketAddr, count: usize, claim: Claim) -> Result<Vec<TcpListener>, EdgeError> {
    open_all(address, count, claim).map_err(|source| EdgeError::Listen { address, source })
}

fn open_all(address: SocketAddr, count: usize, claim: Claim) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of an earlier edge that are in TIME_WAIT do not stand in the way.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        let first = listeners.is_empty() && claim == Claim::Exclusive;
        if !first {
            socket.set_reuse_port(true)?;
        }
        // Accepted connections inherit both: the last piece of a response waits for no acknowledgement, and a client that
        // vanished does not hold its tunnel for ever.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&keepalive())?;
        socket.bind(&address.into())?;
        if first {
            // Bound alone, so nobody else is there; from here on our own threads may join. Set before `listen`, which
            // is when the kernel makes the group.
            socket.set_reuse_port(true)?;
        }
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// How a peer that vanished without a word is found out: within two minutes.
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_RETRIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_an_error_even_when_its_holder_would_share_it() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let ours = open(any, 3, Claim::Exclusive).expect("a free port");
        let address = ours[0].local_addr().expect("it is bound");
        assert!(ours.iter().all(|one| one.local_addr().expect("it is bound") == address));
        let error = open(address, 2, Claim::Exclusive).expect_err("it is taken");
        assert!(error.to_string().contains("another process listens there"), "{error}");
        assert_eq!(open(address, 1, Claim::Joined).expect("we may join ourselves").len(), 1);
        drop(ours);
    }

    #[test]
    fn connections_spread_over_all_listeners_of_an_address() {
        let ours = open(SocketAddr::from(([127, 0, 0, 1], 0)), 2, Claim::Exclusive).expect("a free port");
        let address = ours[0].local_addr().expect("it is bound");
        let clients: Vec<_> = (0..64).map(|_| std::net::TcpStream::connect(address).expect("it is accepted")).collect();
        for listener in &ours {
            assert!(listener.accept().is_ok(), "one of two listeners got none of {}", clients.len());
        }
    }
}
