//! `cargo xtask bench`: builds the binary and the bench as for a release, and runs the bench.
//!
//! The two are built apart: built together they would share features, and what is measured would not be what is shipped.

use std::path::PathBuf;

use clap::Args;

use crate::components::{self, FOR_BENCH};
use crate::shell::{self, cargo};

#[derive(Args)]
pub struct Options {
    /// Only this measure or row, such as `noop` or `edge-1t-rps`; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fewer samples: minutes instead of a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// Where the JSON is written
    #[arg(long, default_value = "target/bench.json", value_name = "FILE")]
    out: PathBuf,
    /// Name the measures and leave
    #[arg(long)]
    list: bool,
    /// Install what the edge is compared with and loaded by, as root
    #[arg(long)]
    install: bool,
}

/// Builds and measures.
///
/// # Errors
/// When something does not build, or a measurement itself fails; a figure that is not met is no error.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.install {
        components::install(FOR_BENCH, false)?;
    }
    let dist = ["--locked", "--profile", "dist", "--package"];
    shell::run(cargo().arg("build").args(dist).arg("trueup"))?;
    let mut bench = cargo();
    bench.arg("run").args(dist).arg("trueup-bench").arg("--").arg("--out").arg(&options.out);
    for name in &options.only {
        bench.args(["--only", name]);
    }
    if options.quick {
        bench.arg("--quick");
    }
    if options.list {
        bench.arg("--list");
    }
    shell::run(&mut bench)
}
