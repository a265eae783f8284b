//! The live table: swapped whole, numbered, kept on the disk; and the promise that a drain never reads zero too early.
//!
//! The control side calls [`Live::apply`] and [`Live::sight`]; every thread calls [`Live::admit`]. Knows nothing of
//! HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use trueup_museum::{Bug, planted};
use trueup_types::route::RouteTable;
use trueup_types::{InstanceId, OwnerId, TableGeneration};

use crate::flight::{Flight, Ledger};
use crate::keep;
use crate::routes::Routes;
use crate::tried::Tried;
use crate::wire::Stamp;

/// The live table of one edge process.
#[derive(Debug)]
pub(crate) struct Live {
    /// Drawn anew by each process.
    process: u64,
    routes: ArcSwap<Routes>,
    /// The number of the newest table, written after the table itself.
    epoch: AtomicU64,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    ledger: Ledger,
    dir: PathBuf,
    /// Whether tables are kept on the disk: of two edges in one directory only the newer one keeps.
    keeps: bool,
    /// Why the newest table is not on the disk, if it is not.
    unsaved: Option<String>,
}

/// What became of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swap {
    /// It is live.
    Done,
    /// It was live already.
    AlreadyTrue,
    /// A newer one, or another of the same generation, is live.
    Superseded,
    /// It is another owner's.
    Foreign,
}

/// Where a request may go.
#[derive(Debug)]
pub(crate) enum Admission {
    /// To this address, and it counts already.
    To { address: SocketAddr, flight: Flight, epoch: u64 },
    /// No entry takes its host and path.
    NoRoute,
    /// An entry does, but nobody is behind it.
    NoBackend,
}

impl Live {
    /// The table that was kept in `dir`, or an empty one of generation 0.
    pub(crate) fn load(dir: PathBuf, owner: &OwnerId, threads: usize) -> Self {
        let empty = RouteTable { owner: owner.clone(), generation: TableGeneration(0), apps: Vec::new() };
        let table = keep::load(&dir, owner).unwrap_or(empty);
        let mut ledger = Ledger::new(threads);
        let routes = Routes::compile(table, 1, &mut ledger);
        let control = Mutex::new(Control { ledger, dir, keeps: true, unsaved: None });
        Self { process: fastrand::u64(..), routes: ArcSwap::from_pointee(routes), epoch: AtomicU64::new(1), control }
    }

    /// Makes a whole table live and keeps it on the disk, unless a newer one is.
    pub(crate) fn apply(&self, table: RouteTable) -> Swap {
        let mut control = self.lock();
        let old = self.routes.load_full();
        if table.owner != old.table.owner {
            return Swap::Foreign;
        }
        if table.generation < old.table.generation && !planted(Bug::AcceptsOlderTable) {
            return Swap::Superseded;
        }
        if table.generation == old.table.generation {
            return if table == old.table { Swap::AlreadyTrue } else { Swap::Superseded };
        }
        let routes = Arc::new(Routes::compile(table, old.epoch + 1, &mut control.ledger));
        self.routes.store(Arc::clone(&routes));
        self.epoch.store(routes.epoch, Ordering::SeqCst);
        let named = routes.names();
        control.ledger.prune(|instance| named.contains(instance));
        // A full disk must not keep a dead instance in the table: live first, kept second.
        if control.keeps {
            control.unsaved = keep::save(&control.dir, &routes.table).err().map(|error| error.to_string());
            if let Some(why) = &control.unsaved {
                tracing::warn!(why, "the route table is live but could not be kept");
            }
        }
        tracing::info!(generation = routes.table.generation.0, "route table swapped");
        Swap::Done
    }

    /// The live table, unless it is `known`, and what is in flight.
    pub(crate) fn sight(&self, known: &[Stamp]) -> (Stamp, Option<RouteTable>, Vec<(InstanceId, u32)>) {
        let control = self.lock();
        let routes = self.routes.load();
        let stamp = Stamp { process: self.process, epoch: routes.epoch };
        let table = (!known.contains(&stamp)).then(|| routes.table.clone());
        (stamp, table, control.ledger.in_flight())
    }

    /// The live table.
    pub(crate) fn table(&self) -> RouteTable {
        self.routes.load().table.clone()
    }

    /// The generation of the live table.
    pub(crate) fn generation(&self) -> TableGeneration {
        self.routes.load().table.generation
    }

    /// Why the live table is not on the disk, if it is not.
    pub(crate) fn unsaved(&self) -> Option<String> {
        self.lock().unsaved.clone()
    }

    /// Leaves the table on the disk to a newer edge.
    pub(crate) fn keep_no_longer(&self) {
        self.lock().keeps = false;
    }

    /// Chooses a backend and counts the request, in one: counted before the table is looked at again, so that whoever
    /// swaps a table and then reads zero knows that nobody is on the way to an instance that the table left out.
    pub(crate) fn admit(&self, thread: usize, host: &str, path: &str, tried: &Tried) -> Admission {
        self.admit_drawn(thread, host, path, tried, |sum| fastrand::u64(..sum))
    }

    fn admit_drawn(
        &self,
        thread: usize,
        host: &str,
        path: &str,
        tried: &Tried,
        mut draw: impl FnMut(u64) -> u64,
    ) -> Admission {
        loop {
            let routes = self.routes.load();
            let Some(entry) = routes.find(host, path) else { return Admission::NoRoute };
            let Some(backend) = entry.pick(tried, &mut draw) else { return Admission::NoBackend };
            let flight = backend.lanes.enter(thread);
            if self.epoch.load(Ordering::SeqCst) <= routes.epoch {
                return Admission::To { address: backend.address, flight, epoch: routes.epoch };
            }
        }
    }

    /// Whether a connection to `address`, chosen in the table of `epoch`, may serve again.
    pub(crate) fn still_dials(&self, address: &SocketAddr, epoch: u64) -> bool {
        self.epoch.load(Ordering::Relaxed) == epoch || self.routes.load().dials(address)
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().expect("nobody panics while holding the control lock")
    }
}

#[cfg(test)]
mod tests {
    use trueup_types::AppName;
    use trueup_types::route::{AppRoutes, Backend, RouteEntry};

    use super::*;

    fn table(generation: u64, instances: &[&str]) -> RouteTable {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 20000)));
        let backend = |name: &&str| Backend { instance: name.parse().expect("an instance name"), address, weight: 1 };
        let backends = instances.iter().map(backend).collect();
        let entries = vec![RouteEntry { host: "a.test".to_owned(), path: "/".to_owned(), backends }];
        let app = AppName::new("web").expect("a literal name");
        let apps = vec![Arc::new(AppRoutes { app, entries })];
        RouteTable { owner: OwnerId::new("me").expect("a literal name"), generation: TableGeneration(generation), apps }
    }

    #[test]
    fn a_swap_between_choice_and_count_sends_nobody_to_what_it_left_out() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let live = Live::load(dir.path().to_owned(), &OwnerId::new("me").expect("a literal name"), 1);
        assert_eq!(live.apply(table(1, &["web-r1-0", "web-r1-1"])), Swap::Done);
        let mut swapped = false;
        let draw = |_| {
            // The choice has fallen on the old table; before the request is counted the drain looks, and reads zero.
            if !std::mem::replace(&mut swapped, true) {
                assert_eq!(live.apply(table(2, &["web-r2-0", "web-r2-1"])), Swap::Done);
                assert_eq!(live.sight(&[]).2, vec![]);
            }
            0
        };
        let Admission::To { flight, .. } = live.admit_drawn(0, "a.test", "/", &Tried::default(), draw) else {
            panic!("the route went away");
        };
        assert_eq!(flight.instance().to_string(), "web-r2-0", "zero was read, so nobody may come any more");
        let counts = live.sight(&[]).2;
        assert_eq!(counts, vec![("web-r2-0".parse().expect("an instance name"), 1)]);
    }
}
