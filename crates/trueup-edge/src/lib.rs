//! The built-in reverse proxy: makes a whole route table true.
//!
//! [`run()`] is the edge process: threads that share nothing but tables and counters, started by the daemon and outliving
//! it. [`EdgeClient`] is the daemon's side: all live edges of a directory as one ingress. Between them is a Unix socket
//! with JSON, over which a new edge also takes the listeners of an old one.
//!
//! Read in this order: `run` and `edge` (the process), `worker` and `connection` (a thread, a client), `proxy` (a
//! request) with `headers`, `body`, `upstream` and `tunnel`; `live` with `routes`, `flight` and `keep` (the table);
//! `control`, `wire`, `sockets` and `client` (how it is told).
//!
//! Knows nothing of revisions, health or rollouts: who gets traffic was decided before.

mod access;
pub mod answer;
mod body;
mod client;
mod client_io;
mod clock;
mod connection;
mod control;
mod edge;
mod error;
mod flight;
mod forwarded;
mod headers;
mod keep;
pub mod limits;
mod listen;
mod live;
mod proxy;
mod routes;
mod run;
mod sockets;
mod tried;
mod tunnel;
mod upstream;
mod wire;
mod worker;

pub use client::{EdgeClient, EdgeStatus, live_edges};
pub use error::EdgeError;
pub use limits::Limits;
pub use run::{EdgeConfig, run, run_within};
pub use wire::EdgeReport;
