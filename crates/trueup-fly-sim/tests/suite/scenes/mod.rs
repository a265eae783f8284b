//! The scenes, a room for each part of the platform.

pub mod faults;
pub mod leases;
pub mod life;
pub mod proxy;
pub mod resources;
pub mod updates;
pub mod watching;
