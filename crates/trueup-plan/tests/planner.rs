//! The planner's own tests: tables of text worlds, stories told tick by tick, and random histories.

mod history;
mod support;
mod table;
