//! Helpers of the end-to-end tests: a real daemon on real processes, a load that counts every failure, and a census of
//! what runs.
//!
//! A test writes manifests into a [`Bench`], starts a [`daemon::Daemon`] on it, keeps a [`load::Load`] on its edge, and
//! then asks the status file, the process table and the load what happened.

pub mod bench;
pub mod daemon;
pub mod engine;
pub mod fly;
pub mod load;
pub mod manifest;
pub mod processes;
pub mod relay;
pub mod terminal;

pub use bench::Bench;
pub use daemon::Daemon;
pub use fly::Fly;
pub use load::{Load, Mix};
pub use manifest::DemoApp;
pub use relay::Relay;
