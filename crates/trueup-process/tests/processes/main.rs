//! Real processes: the contract of a runtime, and what happens at their ends.

mod contract;
mod endings;
mod stage;
