//! The project's own chores: `cargo xtask test`, `prove`, `bench`, `schema`, `picture`.

mod behind;
mod bench;
mod components;
mod picture;
mod prove;
mod schema;
mod shell;
mod test;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what the tests need, builds, and runs everything
    Test(test::Options),
    /// Proves what trueup claims, tier by tier, and prints one table
    Prove(prove::Options),
    /// Builds the binary as for a release, and measures it against its figures
    Bench(bench::Options),
    /// Writes the published JSON Schemas
    Schema,
    /// Runs the demo and draws what it printed, for the README
    Picture,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Prove(options) => prove::run(&options.words),
        Chore::Bench(options) => bench::run(&options),
        Chore::Schema => schema::run(),
        Chore::Picture => picture::draw(),
    }
}
