//! Everything that takes a real daemon, in one program: its tests run side by side, each in a place of its own.
//!
//! They wait far more than they compute, and what is promised here holds on a busy host too.

mod bundles;
mod canaries;
mod cli;
mod containers;
mod containers_apart;
mod containers_brought;
mod containers_killed;
mod containers_within;
mod decisions;
mod docs;
mod fly;
mod fly_admin;
mod fly_people;
mod hooks;
mod machines;
mod machines_killed;
mod machines_lives;
mod memory;
mod plans;
mod rollbacks;
mod rollouts;
mod secrets;
mod service;
mod source;
mod standing;
mod watching;
