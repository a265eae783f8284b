//! The words of the command line. What each does is in the module of its name.

mod platform;
mod reports;
mod simulate;
mod within;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trueup_types::{AppName, OwnerId, Revision};

pub(crate) use platform::{Cost, Export, Foreign, Import};
pub(crate) use reports::{Bundle, Debugging, Why};
pub(crate) use simulate::{SimFly, Simulating};
pub(crate) use within::Exec;
pub(crate) use words::parse;

/// A reconciling daemon: it keeps what runs true to a directory of manifests, and never leaves you on a broken version.
#[derive(Debug, Parser)]
#[command(name = "trueup", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub places: Places,
    #[command(subcommand)]
    pub command: Command,
}

/// Where state and status lie.
#[derive(Debug, Clone, Args)]
pub(crate) struct Places {
    /// The state directory [default: /var/lib/trueup for root, $XDG_STATE_HOME/trueup otherwise]
    #[arg(long, global = true, env = "TRUEUP_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where the status is written, and read [default: status.json in the state directory]
    #[arg(long, global = true, env = "TRUEUP_STATUS_FILE", value_name = "FILE")]
    pub status_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon: keep the apps of DIR true, until told to leave
    Run(Run),
    /// Stop all apps, the edge and the daemon of a state directory
    Down(Yes),
    /// Write a starter config repository
    Init(Folder),
    /// Check every manifest, offline, and report every error
    Validate(Validate),
    /// Show what would change, without changing it: 0 nothing, 1 changes, 2 error
    Plan(PlanArgs),
    /// Show what the apps of DIR cost on Fly, by a dated table of prices
    Cost(Cost),
    /// Make manifests of a fly.toml, and name what is not carried over
    Import(Import),
    /// Make a fly.toml of an app, with what each setting saves
    Export(Export),
    /// Show tables from the status file
    Get(Get),
    /// Show everything about one thing
    Describe {
        #[command(subcommand)]
        what: Describe,
    },
    /// Wait until an app gets there: 0 ready, 1 error or timeout, 3 reverted, 4 awaiting approval
    Wait(Wait),
    /// Follow a rollout
    Rollout {
        #[command(subcommand)]
        what: Rollout,
    },
    /// Show what an app wrote
    Logs(Logs),
    /// Run a command in an instance; its exit code is the command's
    Exec(Exec),
    /// Show what happened, newest last
    Events(Events),
    /// Show the last decisions about an app: what was wanted, seen, remembered, and so decided
    Why(Why),
    /// Go back to a release that was once good, and stay there
    Rollback {
        name: AppName,
        /// The release; the good one before the current when left out
        #[arg(long, value_parser = revision)]
        to: Option<Revision>,
        /// With the environment and secrets of now; those that it had then when left out
        #[arg(long)]
        current_env: bool,
    },
    /// Try a rejected release again
    Retry { name: AppName },
    /// End a rollback or a suspend
    Resume { name: AppName },
    /// Observe and report, change nothing, until `resume`
    Suspend { name: AppName },
    /// Replace every instance, as a rollout
    Restart { name: AppName },
    /// End a bake early, or a canary's step
    Promote {
        name: AppName,
        /// Past all steps of a canary
        #[arg(long)]
        full: bool,
    },
    /// End a rollout: it fails, and goes back
    Abort { name: AppName },
    /// Look at an app now; at all of them when none is named
    Reconcile { name: Option<AppName> },
    /// Say yes to what waits for a person
    Approve {
        #[command(subcommand)]
        what: Approve,
    },
    /// Print the JSON Schema of a kind
    Schema {
        /// app, target or profile; all when left out
        kind: Option<String>,
    },
    /// Explain a field of a manifest, such as app.spec.rollout
    Explain { path: String },
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
    /// Check this host: permissions, limits, disk, clock, targets
    Doctor,
    /// Collect what a report needs
    Debug {
        #[command(subcommand)]
        what: Debugging,
    },
    /// Print a systemd unit for `trueup run`, or install it
    Unit(Unit),
    /// The whole tour, on a bare machine, in under a minute and a half
    Demo(Demo),
    /// A tiny server whose faults are set by its environment, for demos and tests
    DemoApp,
    /// Simulate a platform on this host
    Sim {
        #[command(subcommand)]
        what: Simulating,
    },
    /// The proxy process; `run` starts it
    #[command(hide = true)]
    Edge(Edge),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The directory of manifests
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the edge listens
    #[arg(long, default_value = "127.0.0.1:8080", env = "TRUEUP_LISTEN", value_name = "ADDRESS")]
    pub listen: Vec<SocketAddr>,
    /// Converge, print how it went, and leave: exit codes as those of `wait`
    #[arg(long)]
    pub once: bool,
    /// Do only what this plan shows, as `plan -o json` wrote it; refuse where it would be something else by now
    #[arg(long, value_name = "FILE", requires = "once")]
    pub plan: Option<PathBuf>,
    /// From one routine look at everything to the next
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub resync: Duration,
    /// How long the files must have been still before they count; an eighth of it does for files that were renamed into place
    #[arg(long, default_value = "250ms", value_parser = duration, value_name = "DURATION")]
    pub settle: Duration,
    /// Whose labels are written; another daemon's are never touched
    #[arg(long, default_value = "trueup", value_name = "NAME")]
    pub owner: OwnerId,
    /// Rollouts under way at once
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub max_rollouts: usize,
    /// These options from a YAML file; the command line wins
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Yes {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Folder {
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The directories of manifests
    #[arg(default_value = ".")]
    pub dirs: Vec<PathBuf>,
    #[arg(long, short, value_enum, default_value_t = Text::Text)]
    pub output: Text,
}

/// Text for people, or JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Text {
    Text,
    Json,
}

/// Text for people, JSON for programs, or Markdown for a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Say how a rollout goes until it has ended: 0 ready, 1 error or timeout, 3 reverted, 4 awaiting approval
    Status(RolloutStatus),
}

#[derive(Debug, Args)]
pub(crate) struct RolloutStatus {
    pub name: AppName,
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
    /// Say how it goes now, and leave
    #[arg(long)]
    pub no_watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The directory of manifests
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Compare with DIR as it was at this revision of its Git repository, and with nothing that runs
    #[arg(long, value_name = "REV")]
    pub against: Option<String>,
    /// Whose instances count, where no daemon answers
    #[arg(long, default_value = "trueup", value_name = "NAME")]
    pub owner: OwnerId,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[arg(value_enum)]
    pub what: Table,
    /// Only this one, or what belongs to this app
    pub name: Option<String>,
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Show again whenever it changes
    #[arg(long, short)]
    pub watch: bool,
    /// Leave the headers out
    #[arg(long)]
    pub no_headers: bool,
}

/// What `get` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    #[value(alias = "app")]
    Apps,
    #[value(alias = "instance")]
    Instances,
    #[value(alias = "release")]
    Releases,
    #[value(alias = "event")]
    Events,
    #[value(alias = "route")]
    Routes,
    #[value(alias = "target")]
    Targets,
    #[value(alias = "profile")]
    Profiles,
}

/// How `get` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[value(hide = true)]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Describe {
    /// An app: conditions, instances, releases, evidence
    App { name: AppName },
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// app/NAME
    pub object: String,
    /// What to wait for
    #[arg(long = "for", default_value = "ready", value_parser = ["ready"])]
    pub condition: String,
    /// What becomes of this release, be it not there yet; without it, where the app gets
    #[arg(long, value_parser = revision)]
    pub revision: Option<Revision>,
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// An app's name, or release/NAME@7 for the log of a deploy
    pub name: String,
    /// Go on as more is written
    #[arg(long, short)]
    pub follow: bool,
    /// Only this instance
    #[arg(long, value_name = "NAME")]
    pub instance: Option<trueup_types::InstanceId>,
    /// What a hook of this name wrote when it ran last
    #[arg(long, value_name = "NAME", conflicts_with = "instance")]
    pub hook: Option<String>,
    /// Only what is younger than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub since: Option<Duration>,
    /// At most so many lines of each instance, the newest
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub tail: usize,
    /// Of the life before this one
    #[arg(long, short)]
    pub previous: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on as more happens
    #[arg(long, short)]
    pub watch: bool,
    /// Only about app/NAME
    #[arg(long = "for", value_name = "OBJECT")]
    pub object: Option<String>,
    /// Only of these types, Normal or Warning
    #[arg(long, value_delimiter = ',', value_name = "TYPE")]
    pub types: Vec<String>,
    #[arg(long)]
    pub no_headers: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Approve {
    /// Let the apps go whose manifests vanished all at once
    Prune,
}

#[derive(Debug, Args)]
pub(crate) struct Unit {
    /// The directory of manifests that the unit runs
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the edge listens
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Write it to /etc/systemd/system, enable it, and start it
    #[arg(long)]
    pub install: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Leave everything running at the end, to look around
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Edge {
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub listen: Vec<SocketAddr>,
    #[arg(long)]
    pub owner: OwnerId,
}

/// Parses `30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Parses `7` or `r7`.
pub(crate) fn revision(text: &str) -> Result<Revision, String> {
    let number = text.strip_prefix('r').unwrap_or(text);
    number.parse().map(Revision).map_err(|_| format!("`{text}` is not a release's number such as `7`"))
}
