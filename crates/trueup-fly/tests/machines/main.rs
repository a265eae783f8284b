//! The runtime, the ingress and the look inside, over a simulated platform on a clock that is paused: nothing here waits
//! for real. Each request and answer is held against the platform's own specification.

mod around;
mod contract;
mod crashes;
mod crashes_disks;
mod creates;
mod daemon;
mod disks;
mod faults;
mod hooks;
mod killed;
mod leases;
mod names;
mod naps;
mod public;
mod regions;
mod releases;
mod rollouts;
mod scope;
mod secrets;
mod stand;
mod vault;
