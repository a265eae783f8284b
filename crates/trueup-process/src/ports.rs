//! Ports of instances, chosen anew for each life.
//!
//! From 20000 to 29999: below the range from which the system takes ports for outgoing connections, which could
//! otherwise hold one that an instance has just been told to listen on.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use trueup_types::template::{Port, Protocol};

/// The first port of the range.
const FIRST: u16 = 20_000;
/// How many there are.
const COUNT: u16 = 10_000;

/// Ports that lives hold, and where to look next.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: BTreeSet<u16>,
    next: u16,
}

impl Ports {
    /// Begins looking somewhere else than another daemon on this host would, or this one did before the host was booted:
    /// a table of then may still send requests to the ports of then.
    pub(crate) fn starting_at(seed: u64) -> Self {
        Self { held: BTreeSet::new(), next: u16::try_from(seed % u64::from(COUNT)).unwrap_or(0) }
    }

    /// Takes a port that nobody listens on, or the fixed one.
    pub(crate) fn take(&mut self, port: &Port) -> Option<u16> {
        if let Some(fixed) = port.port.filter(|fixed| *fixed != 0) {
            return Some(fixed);
        }
        for _ in 0..COUNT {
            let candidate = FIRST + self.next;
            self.next = (self.next + 1) % COUNT;
            if !self.held.contains(&candidate) && free(candidate, port.protocol) {
                self.held.insert(candidate);
                return Some(candidate);
            }
        }
        None
    }

    /// Notes what a life of before holds.
    pub(crate) fn hold(&mut self, port: u16) {
        self.held.insert(port);
    }

    /// Gives one back.
    pub(crate) fn release(&mut self, port: u16) {
        self.held.remove(&port);
    }
}

/// Whether it can be bound on all addresses, where a program may want it.
fn free(port: u16, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Http | Protocol::Tcp => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok(),
        Protocol::Udp => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_that_is_taken() {
        let port = Port { name: "http".parse().expect("a name"), port: None, protocol: Protocol::Http };
        let mut ports = Ports::starting_at(777);
        let first = ports.take(&port).expect("one is free");
        let second = ports.take(&port).expect("one is free");
        assert_ne!(first, second);
        let listener = (0..100).find_map(|_| {
            let candidate = ports.take(&port)?;
            ports.release(candidate);
            ports.next = candidate - FIRST;
            TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)).ok()
        });
        let taken = listener.as_ref().expect("one can be bound").local_addr().expect("it is bound").port();
        assert_ne!(ports.take(&port), Some(taken));
        assert_eq!(ports.take(&Port { port: Some(8_080), ..port }), Some(8_080), "a fixed one is what it is");
    }
}
