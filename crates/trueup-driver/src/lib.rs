//! The loop: queue, tick, execute, probe, publish.
