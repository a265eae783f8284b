//! Runs a command, moves a file: here, or later over SSH.
