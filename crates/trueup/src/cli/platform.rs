//! The words of what helps people to a platform that bills, and away from it: `import`, `export` and `cost`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trueup_types::AppName;

use super::Text;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The fly.toml
    #[arg(value_name = "FILE", default_value = "fly.toml")]
    pub file: PathBuf,
    /// Read counts, regions, sizes, image, hosts and addresses of this app's machines from the Machines API, with the token
    /// in FLY_API_TOKEN
    #[arg(long, value_name = "APP")]
    pub from_live: Option<String>,
    /// The app's name there, where the file does not say it, or another
    #[arg(long, value_name = "NAME", conflicts_with = "from_live")]
    pub app: Option<String>,
    /// The organisation's slug [default: the live app's, or personal]
    #[arg(long, value_name = "SLUG")]
    pub organization: Option<String>,
    /// The image, where flyctl would build it
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Write the manifests into this directory, one file each; overwrites nothing
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What is made of it
    #[arg(value_enum)]
    pub format: Foreign,
    /// The app
    pub app: AppName,
    /// The directory of manifests
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// A table of prices in place of the one that is built in
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
}

/// What an app can be made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Foreign {
    /// What flyctl reads
    #[value(name = "fly.toml")]
    FlyToml,
}

#[derive(Debug, Args)]
pub(crate) struct Cost {
    /// The directory of manifests
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    #[arg(long, short, value_enum, default_value_t = Text::Text)]
    pub output: Text,
    /// A table of prices in place of the one that is built in
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// How large the root file system of a machine is that sleeps: as large as its image
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = size)]
    pub rootfs: u64,
    /// Print the table of prices that is built in, to begin another with
    #[arg(long, conflicts_with = "prices")]
    pub show_prices: bool,
}

/// Parses `512Mi`, in bytes.
fn size(text: &str) -> Result<u64, String> {
    trueup_manifest::size(text).map_err(|why| format!("`{text}` {why}; write it like `512Mi`"))
}
