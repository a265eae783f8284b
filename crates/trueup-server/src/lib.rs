//! The control API: a person's word over HTTP on a Unix socket, and the client that speaks it.
//!
//! [`serve`] carries requests to a [`trueup_seams::Control`]; [`ControlClient`] is what the command line holds. The socket
//! lies in the state directory and only its owner may open it: whoever can read the directory may give orders. Knows no
//! planner and no adapter.

mod api;
mod attached;
mod client;
mod serve;
mod session;

pub use attached::{AttachedInput, AttachedOutput};
pub use client::{ClientError, ControlClient};
pub use serve::{ServeError, router, serve, socket_path};
