//! Remembers records, releases and events, and guards against its own engine.
