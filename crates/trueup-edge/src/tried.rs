//! The backends that a request has been to in vain.

use std::net::SocketAddr;

/// Most backends that one request is taken to: two of a release that dies under it, and two that are proven.
pub(crate) const TRIES_MAX: usize = 4;

/// Where a request need not be taken again; small enough to live on the stack.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tried {
    addresses: [Option<SocketAddr>; TRIES_MAX],
    count: usize,
}

impl Tried {
    /// Adds one; answers whether another may be tried.
    pub(crate) fn add(&mut self, address: SocketAddr) -> bool {
        if let Some(free) = self.addresses.get_mut(self.count) {
            *free = Some(address);
            self.count += 1;
        }
        self.count < TRIES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn contains(&self, address: SocketAddr) -> bool {
        self.addresses[..self.count].contains(&Some(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_tried_and_no_more() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut tried = Tried::default();
        assert!(tried.is_empty());
        let more: Vec<_> = (1..=5).map(|port| tried.add(at(port))).collect();
        assert_eq!(more, [true, true, true, false, false]);
        assert!(tried.contains(at(4)) && !tried.contains(at(5)));
    }
}
