//! Fly.io Machines.
//!
//! The driver hands us a step; we hand back an outcome, and a survey of what is there. What an instance is lies on its
//! machine, in labels and a file of its config, so that a daemon that has forgotten all finds it again. The platform routes
//! by itself: who is registered with its proxy gets requests, and our ingress says who is.
//!
//! Read in this order: [`config`] and [`lower()`] (a release becomes a machine), `labels` (what is written on it), `lift`,
//! `checks` and `drift` (what the platform says becomes a sighting), `wire`, `token`, `pace`, `fault` and `client` (one
//! call), `api` (what is answered), `memory` and `book` (what is known), `apps` and `secrets` (what stands around an app), `scope` (what the token opens), `runtime`,
//! `survey`, `create`, `steps`, `ingress`, `standby`, `naps`, `public`, and beside flyctl `record`, `fate` and `lease`.
//!
//! Knows nothing of plans, gates or routes' meaning, and touches nothing that does not carry our owner's label.

mod addresses;
mod api;
mod apps;
mod book;
mod certificates;
mod checks;
mod client;
pub mod config;
mod create;
mod drift;
mod due;
mod fate;
mod fault;
mod ingress;
mod inspect;
mod labels;
mod lease;
mod lift;
mod lower;
mod memory;
mod moment;
mod names;
mod naps;
mod pace;
mod public;
mod record;
mod retry;
mod runtime;
#[cfg(test)]
mod sample;
mod scope;
mod secrets;
mod standby;
mod steps;
mod survey;
mod token;
mod volumes;
mod watch;
mod wire;

pub use config::MachineConfig;
pub use lower::{RELEASE_PATH, lower};
pub use moment::{Clock, WallMillis};
pub use runtime::{FlyConfig, FlyRuntime, PROPAGATION};
pub use token::{TokenSource, header as token_header, token_source};
pub use wire::{Lost, Network, Reply, Request, Wire};
