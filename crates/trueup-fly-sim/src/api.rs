//! The operations, each a function from the cloud and a call to an answer; [`crate::routes`] says which path is whose.

mod apps;
mod certificates;
mod graphql;
mod ips;
mod lease;
mod logs;
mod machines;
mod metadata;
mod org;
mod platform;
mod releases;
mod secrets;
mod shown;
mod verbs;
mod volumes;
mod wait;
