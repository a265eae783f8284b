//! Values that no manifest holds: read from where it says, kept by what they are, handed to whoever makes an instance.
//!
//! `read` takes them from the daemon's environment, from a file or from a command, `lines` being how they are written
//! there. [`Vault`] gives each set of values a fingerprint (`keyed`), under which a release names it and finds it again,
//! be it long after the value was changed. What lies on the disk only the daemon's own user may read.
//!
//! No value is in an error, and none in what `Debug` prints. Knows no manifest's text, no plan and no platform.

mod keyed;
mod lines;
mod read;
mod vault;

pub use vault::{Looking, Vault};

use std::collections::BTreeMap;

/// The daemon's environment: what variables hold, and what commands are run with.
pub type Variables = BTreeMap<String, String>;

/// The values of a secret, by key.
pub(crate) type Values = BTreeMap<String, String>;
