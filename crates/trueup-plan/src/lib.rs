//! Decides: plan, absorb, command, audit, explain. Pure.
