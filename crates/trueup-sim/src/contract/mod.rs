//! What every adapter keeps, real or simulated.
//!
//! A new adapter runs the suite with a dozen lines: it makes a fixture and awaits [`runtime::check`] or
//! [`ingress::check`]. A broken promise panics with the sentence that was promised.

pub mod ingress;
pub mod runtime;
