//! The loop: queue, tick, execute, probe, publish.
//!
//! [`Driver`] takes who is due from the [`queue`] and runs a `tick` for each: what is `wanted`, what a shared
//! [`survey`], the [`probe_book`] and the [`route_book`] of each ingress (`routing`) see, what a new image turns out to be (`images`), what the planner decides, and what
//! came of it. What stands around an app goes when it does (`retire`). What happened goes to [`events`], how things stand to
//! the status document (`publish`, [`conditions`], `status_writer`), and what a failed release left behind to `evidence`.
//! Each decision is kept by the `recorder` for a while, [`mask`]ed when it leaves the daemon, and made again by [`replay`].
//! People reach it through `control`.
//!
//! Knows the world only through the seams; knows no concrete adapter.

mod analyst;
mod certificates;
pub mod clock;
pub mod conditions;
mod control;
pub mod deeds;
mod dependents;
mod discover;
mod driver;
mod engine;
pub mod events;
mod evidence;
pub mod guard;
mod heartbeat;
mod images;
mod jitter;
mod kept;
mod look;
pub mod mask;
mod notices;
mod pending;
pub mod preview;
pub mod probe;
pub mod probe_book;
mod prober;
mod publish;
pub mod queue;
mod recorder;
pub mod replay;
mod retire;
pub mod retry;
pub mod route_book;
mod routing;
mod secrets;
mod status_writer;
pub mod survey;
mod table_index;
mod tick;
mod underway;
mod wanted;

pub use clock::{Clock, SteadyClock};
pub use driver::{Driver, Settled};
pub use engine::{DriverParts, Identity, RuntimeFactory, RuntimeParts};
pub use status_writer::HEARTBEAT;
