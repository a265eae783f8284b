//! Containers of a Docker engine.
//!
//! The driver hands us a step; we hand back an outcome, and a survey of what runs. What an instance is lies in the labels
//! of its container, so that a daemon that has forgotten all finds it again; which lives were told to stop, and which
//! image a release was begun with, lie in a small folder of ours, since an engine remembers neither.
//!
//! Read in this order: [`labels`] (what is written on a container), [`lower`] (a release becomes a container), [`lift`]
//! (what the engine says becomes a sighting, with the image's own
//! [`health`] check), [`engine`] (one call, its deadline, its faults), [`images`] (how an image
//! comes to the engine: [`pull`], [`build`], each a [`work`] that takes long; what its name means:
//! [`names`]), [`runtime`] and [`steps`], with what an engine has forgotten ([`orphan`]).
//!
//! Knows nothing of plans, gates or routes, and touches nothing that does not carry our owner's label.

mod archive;
mod asked;
mod bell;
mod build;
mod credentials;
mod engine;
mod health;
mod images;
mod inspect;
mod known;
mod labels;
mod lift;
mod lower;
mod moment;
mod names;
mod network;
mod orphan;
mod pull;
mod runtime;
mod seen;
mod session;
mod steps;
mod work;

pub use credentials::Env;
pub use runtime::{DockerConfig, DockerRuntime};
