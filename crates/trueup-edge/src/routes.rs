//! A table, compiled for the hot path: host, then the longest path prefix, then a weighted choice.
//!
//! `live` hands it a [`RouteTable`] and gets an immutable [`Routes`]; `proxy` asks it where a request goes. Knows
//! nothing of connections, and of counting only that each backend has lanes.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use trueup_types::InstanceId;
use trueup_types::route::{RouteEntry, RouteTable};

use crate::flight::{Lanes, Ledger};
use crate::tried::Tried;

/// A compiled table.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Counts the tables of this process: which one this is.
    pub(crate) epoch: u64,
    /// What it was compiled from.
    pub(crate) table: RouteTable,
    hosts: HashMap<Box<str>, Vec<Entry>>,
    addresses: HashSet<SocketAddr>,
}

/// One way in.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The prefix without its last `/`; empty takes every path.
    prefix: Box<str>,
    backends: Vec<Backend>,
    /// Those of weight 0: asked when none of the others is left to ask.
    standby: Vec<Backend>,
}

/// One usable backend: it has an address.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    /// Its counters.
    pub(crate) lanes: Arc<Lanes>,
    weight: u32,
}

// === impl Routes ===

impl Routes {
    /// Compiles a table; of two entries with one host and path the first counts that leads to anybody, as while a route is
    /// handed over.
    pub(crate) fn compile(table: RouteTable, epoch: u64, ledger: &mut Ledger) -> Self {
        let mut hosts: HashMap<Box<str>, Vec<Entry>> = HashMap::new();
        let mut addresses = HashSet::new();
        for entry in table.apps.iter().flat_map(|share| &share.entries) {
            let compiled = Entry::compile(entry, ledger);
            addresses.extend(compiled.backends.iter().chain(&compiled.standby).map(|backend| backend.address));
            let host = hosts.entry(entry.host.trim_end_matches('.').to_ascii_lowercase().into()).or_default();
            // Longest prefix first; of equal ones those that lead to anybody, and of these the earlier.
            let rank = |entry: &Entry| (entry.prefix.len(), entry.leads());
            let place = host.partition_point(|other| rank(other) >= rank(&compiled));
            host.insert(place, compiled);
        }
        Self { epoch, table, hosts, addresses }
    }

    /// The way in for a host (as the client wrote it) and a path.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Entry> {
        let host = bare_host(host);
        let entries = match self.hosts.get(host) {
            Some(entries) => entries,
            None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.hosts.get(host.to_ascii_lowercase().as_str())?
            }
            None => return None,
        };
        entries.iter().find(|entry| entry.takes(path))
    }

    /// Whether any entry of the table dials this address.
    pub(crate) fn dials(&self, address: &SocketAddr) -> bool {
        self.addresses.contains(address)
    }

    /// Whether the table names this instance at all, with whatever weight.
    pub(crate) fn names(&self) -> HashSet<&InstanceId> {
        let entries = self.table.apps.iter().flat_map(|share| &share.entries);
        entries.flat_map(|entry| &entry.backends).map(|backend| &backend.instance).collect()
    }
}

/// The host without its port and its final dot.
fn bare_host(host: &str) -> &str {
    let name = match host.rfind(':') {
        // `[::1]` has colons of its own.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

// === impl Entry ===

impl Entry {
    fn compile(entry: &RouteEntry, ledger: &mut Ledger) -> Self {
        let usable = entry.backends.iter().filter_map(|backend| {
            let lanes = ledger.lanes(&backend.instance);
            backend.address.map(|address| Backend { address, lanes, weight: backend.weight })
        });
        let (backends, standby) = usable.partition(|backend: &Backend| backend.weight > 0);
        Self { prefix: entry.path.trim_end_matches('/').into(), backends, standby }
    }

    /// Whether it leads to anybody.
    fn leads(&self) -> bool {
        !self.backends.is_empty() || !self.standby.is_empty()
    }

    fn takes(&self, path: &str) -> bool {
        match path.as_bytes().strip_prefix(self.prefix.as_bytes()) {
            Some(rest) => self.prefix.is_empty() || rest.first().is_none_or(|next| *next == b'/'),
            None => false,
        }
    }

    /// One backend by weight that was not tried, else one on standby; `draw` is given the sum of the weights and answers
    /// a number below it.
    pub(crate) fn pick(&self, tried: &Tried, draw: impl FnOnce(u64) -> u64) -> Option<&Backend> {
        if let ([only], true) = (self.backends.as_slice(), tried.is_empty()) {
            return Some(only);
        }
        let usable = || self.backends.iter().filter(|backend| !tried.contains(backend.address));
        let total: u64 = usable().map(|backend| u64::from(backend.weight)).sum();
        if total == 0 {
            return self.standby.iter().find(|backend| !tried.contains(backend.address));
        }
        let mut drawn = draw(total);
        for backend in usable() {
            match drawn.checked_sub(u64::from(backend.weight)) {
                Some(rest) => drawn = rest,
                None => return Some(backend),
            }
        }
        unreachable!("a draw lies below the sum of the weights")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trueup_types::route::{AppRoutes, Backend as Wanted};
    use trueup_types::{AppName, OwnerId, TableGeneration};

    use super::*;

    fn compile(ways: &[(&str, &str)]) -> Routes {
        let entries = ways.iter().map(|(host, path)| entry(host, path, &[]));
        table(entries.collect())
    }

    fn entry(host: &str, path: &str, backends: &[(&str, u32)]) -> RouteEntry {
        let backends = backends.iter().enumerate().map(|(n, (name, weight))| Wanted {
            instance: name.parse().expect("an instance name"),
            address: Some(SocketAddr::from(([127, 0, 0, 1], 20000 + u16::try_from(n).expect("few")))),
            weight: *weight,
        });
        RouteEntry { host: host.to_owned(), path: path.to_owned(), backends: backends.collect() }
    }

    #[test]
    fn who_leads_to_nobody_hides_nobody() {
        let routes = table(vec![entry("a.example", "/", &[]), entry("a.example", "/", &[("web-r1-0", 1)])]);
        let found = routes.find("a.example", "/").expect("there is a way in");
        assert_eq!(found.backends.len(), 1);
    }

    fn table(entries: Vec<RouteEntry>) -> Routes {
        let app = AppName::new("web").expect("a literal name");
        let owner = OwnerId::new("me").expect("a literal name");
        let table =
            RouteTable { owner, generation: TableGeneration(1), apps: vec![Arc::new(AppRoutes { app, entries })] };
        Routes::compile(table, 1, &mut Ledger::new(1))
    }

    fn found<'a>(routes: &'a Routes, host: &str, path: &str) -> Option<&'a str> {
        routes.find(host, path).map(|entry| &*entry.prefix)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let routes = compile(&[("a.test", "/"), ("a.test", "/api/"), ("a.test", "/api/v2"), ("b.test", "/only")]);
        assert_eq!(found(&routes, "a.test", "/"), Some(""));
        assert_eq!(found(&routes, "a.test", "/apix"), Some(""));
        assert_eq!(found(&routes, "a.test", "/api"), Some("/api"));
        assert_eq!(found(&routes, "a.test", "/api/v2x"), Some("/api"));
        assert_eq!(found(&routes, "a.test", "/api/v2/y"), Some("/api/v2"));
        assert_eq!(found(&routes, "b.test", "/"), None);
        assert_eq!(found(&routes, "c.test", "/"), None);
    }

    #[test]
    fn hosts_match_whatever_their_case_port_or_final_dot() {
        let routes = compile(&[("a.test", "/"), ("[::1]", "/")]);
        for host in ["a.test", "A.Test:8080", "a.test.", "a.test.:80", "[::1]", "[::1]:8080"] {
            assert!(routes.find(host, "/").is_some(), "{host} was not found");
        }
        assert!(routes.find("xa.test", "/").is_none());
        assert!(routes.find("", "/").is_none());
    }

    #[test]
    fn weights_are_kept_and_weight_zero_is_asked_last() {
        let routes = table(vec![entry("a.test", "/", &[("web-r1-0", 3), ("web-r2-0", 0), ("web-r2-1", 1)])]);
        let entry = routes.find("a.test", "/").expect("it is there");
        let ports: Vec<_> =
            (0..4).map(|n| entry.pick(&Tried::default(), |_| n).expect("a backend").address.port()).collect();
        assert_eq!(ports, vec![20000, 20000, 20000, 20002]);
        let mut tried = Tried::default();
        tried.add(SocketAddr::from(([127, 0, 0, 1], 20000)));
        assert_eq!(entry.pick(&tried, |_| 0).expect("the other").address.port(), 20002);
        tried.add(SocketAddr::from(([127, 0, 0, 1], 20002)));
        assert_eq!(entry.pick(&tried, |_| 0).expect("the one on standby").address.port(), 20001);
        tried.add(SocketAddr::from(([127, 0, 0, 1], 20001)));
        assert!(entry.pick(&tried, |_| 0).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn finding_agrees_with_the_plain_definition(
            prefixes in proptest::collection::vec("(/[ab]{1,2}){0,3}", 1..8),
            path in "(/[ab]{0,2}){1,4}",
        ) {
            let ways: Vec<_> = prefixes.iter().map(|p| ("a.test", if p.is_empty() { "/" } else { p.as_str() })).collect();
            let routes = compile(&ways);
            let segments = |text: &str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
            let of_path = segments(&path);
            let fitting = prefixes.iter().filter(|prefix| of_path.starts_with(&segments(prefix)));
            let longest = fitting.max_by_key(|prefix| prefix.len()).map(String::as_str);
            prop_assert_eq!(found(&routes, "a.test", &path), longest);
        }
    }
}
