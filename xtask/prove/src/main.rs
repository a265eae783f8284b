//! The program `cargo xtask prove` builds and runs; all of it is in the library.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    trueup_prove::run()
}
