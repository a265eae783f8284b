//! Counts what is in flight, by instance, over all threads.
//!
//! Each thread counts on a line of its own, so that no two threads write to one place; the control side sums. A
//! [`Flight`] is one request or tunnel: it counts from its making to its drop. Counts live longer than tables: an
//! instance that comes back in the next table goes on with the same counter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use trueup_types::InstanceId;

/// One instance's count on one thread, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Lane {
    count: AtomicU32,
    instance: InstanceId,
}

/// One instance's counts, a lane for each thread.
#[derive(Debug)]
pub(crate) struct Lanes(Box<[Arc<Lane>]>);

/// Something in flight to an instance; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    lane: Arc<Lane>,
}

/// The counts of every instance that is routed or still has something in flight.
#[derive(Debug)]
pub(crate) struct Ledger {
    threads: usize,
    lanes: BTreeMap<InstanceId, Arc<Lanes>>,
}

// === impl Lanes ===

impl Lanes {
    fn new(instance: &InstanceId, threads: usize) -> Self {
        let lane = || Arc::new(Lane { count: AtomicU32::new(0), instance: instance.clone() });
        Self((0..threads).map(|_| lane()).collect())
    }

    /// Counts one more on this thread's lane.
    pub(crate) fn enter(&self, thread: usize) -> Flight {
        let lane = Arc::clone(&self.0[thread]);
        // Sequentially consistent, as is the look at the table's number that follows it: see `Live::admit`.
        lane.count.fetch_add(1, Ordering::SeqCst);
        Flight { lane }
    }

    fn sum(&self) -> u32 {
        self.0.iter().map(|lane| lane.count.load(Ordering::SeqCst)).sum()
    }
}

// === impl Flight ===

impl Flight {
    /// To which instance.
    pub(crate) fn instance(&self) -> &InstanceId {
        &self.lane.instance
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.lane.count.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, lanes: BTreeMap::new() }
    }

    /// The lanes of an instance: those it had, or new ones.
    pub(crate) fn lanes(&mut self, instance: &InstanceId) -> Arc<Lanes> {
        let threads = self.threads;
        Arc::clone(self.lanes.entry(instance.clone()).or_insert_with(|| Arc::new(Lanes::new(instance, threads))))
    }

    /// Forgets instances that no table holds and nothing flies to.
    pub(crate) fn prune(&mut self, routed: impl Fn(&InstanceId) -> bool) {
        self.lanes.retain(|instance, lanes| routed(instance) || lanes.sum() > 0);
    }

    /// What is in flight; zeros are left out.
    pub(crate) fn in_flight(&self) -> Vec<(InstanceId, u32)> {
        let sums = self.lanes.iter().map(|(instance, lanes)| (instance.clone(), lanes.sum()));
        sums.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_counts_until_it_is_dropped_and_over_a_change_of_tables() {
        let web: InstanceId = "web-r1-0".parse().expect("a literal name");
        let mut ledger = Ledger::new(2);
        let first = ledger.lanes(&web).enter(0);
        let second = ledger.lanes(&web).enter(1);
        assert_eq!(ledger.in_flight(), vec![(web.clone(), 2)]);
        ledger.prune(|_| false);
        assert_eq!(ledger.in_flight(), vec![(web.clone(), 2)], "what flies is not forgotten");
        drop(first);
        assert_eq!(ledger.lanes(&web).sum(), 1, "an instance that comes back goes on counting");
        drop(second);
        ledger.prune(|_| false);
        assert!(ledger.lanes.is_empty());
    }
}
