//! Local processes that outlive the daemon.
//!
//! The driver hands us a step; we hand back an outcome, and a survey of what runs. Each instance has a folder; each of
//! its lives is a [`shim`] that starts the program, stays beside it and writes down how it ended, so that the exit is
//! known though the daemon was dead when it happened. Between us and the shim there are only files.
//!
//! Read in this order: [`paths`] (the folders), [`spec`] (what is written in them), [`lower`] (a release becomes a life),
//! [`shim`] and [`shim_exec`] (a life, lived), [`entry`] (what we know of an instance), [`runtime`] (the steps).
//!
//! Knows nothing of plans, gates or routes.

mod bell;
pub mod cgroup;
mod deputy;
mod entry;
mod identity;
mod inspect;
mod lift;
mod logs;
mod lower;
mod moment;
mod paths;
mod ports;
mod runtime;
pub mod shim;
pub mod shim_exec;
mod signal;
mod spec;
mod start;
mod steps;
mod user;

pub use logs::LOG_BYTES_MAX;
pub use runtime::{ProcessConfig, ProcessRuntime};
