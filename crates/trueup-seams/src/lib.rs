//! The small traits between decision and effect.
//!
//! The driver speaks to the world through these, and to nothing else: [`Runtime`] and [`Ingress`] make things true,
//! [`Inspect`] and [`Nudges`] are optional, [`Source`] says what is wanted, [`Store`] remembers, [`Secrets`] keeps what nobody else may see. The simulated world
//! implements all of them. Knows no tokio and no vendor.

pub mod control;
pub mod runtime;
pub mod secrets;
pub mod session;
pub mod source;
pub mod store;

use std::future::Future;
use std::pin::Pin;

pub use control::{AppPreview, Change, Control, ControlError, Receipt};
pub use runtime::{
    Asking, ExecOutput, Ingress, Inspect, Likeness, LogLine, LogQuery, Nudge, NudgeSink, Nudges, ObserveError, Runtime,
    Sight, Survey, Underway, Watch,
};
pub use secrets::{NoSecrets, Secrets};
pub use session::{Session, SessionAsked, SessionInput, SessionOutput, SessionPiece, TerminalSize};
pub use source::{Absence, Snapshot, Source, SourceApp};
pub use store::{DaemonRecord, Memory, Store, StoreError, StoreHealth};

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
