//! A local Machines API, as faithful as what is publicly known allows, with its faults as knobs.
//!
//! [`FlySim`] is the platform with its clock; [`Scenario`] says how it behaves; [`serve()`] puts it on a socket. A test
//! turns the clock ([`FlySim::advance`], [`FlySim::drive`]) and so waits for nothing; [`Contract`] holds what crosses it
//! against the platform's own specification.
//!
//! Read in this order: `machine` and `life` (what a machine is, and becomes), `replace` (an update in place), `checks`,
//! `proxy`; `call`, `routes`, `visit` and `api` (a request's way); `knobs`, `faults`, `deed` and `admin` (what can be set
//! and done); `sim` and `serve`; `run`, `real` and `forward` (machines that are processes of this host).
//!
//! Knows nothing of trueup: neither who asks, nor why.

mod admin;
mod agenda;
mod api;
mod app;
mod call;
mod checks;
mod clock;
mod cloud;
mod config;
mod contract;
mod deed;
mod faults;
mod forward;
mod ids;
mod knobs;
mod life;
mod limits;
mod machine;
mod over;
mod proxy;
mod real;
mod replace;
mod routes;
mod run;
mod serve;
mod shape;
mod sim;
mod time;
mod tokens;
mod visit;

pub use app::Traffic;
pub use call::{Asked, Body, Reply};
pub use clock::Pace;
pub use contract::{Contract, Gap};
pub use deed::{Deed, Planned, Room, Verb, Which};
pub use faults::{Fault, Rule, Said};
pub use knobs::{Behaviour, Edges, Exits, Habits, Health, Lag, Latency, Limits, Ran, Scenario, Token, Unpullable};
pub use machine::Host;
pub use over::Over;
pub use proxy::Met;
pub use serve::{Machines, serve};
pub use sim::{Answered, Exchange, FlySim, Tap};
pub use time::{Moment, Span};
