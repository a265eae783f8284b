//! The words of what happens within an instance.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// An app's name; its newest instance is taken
    pub name: String,
    /// What is typed, or comes from a pipe, goes to the command
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// The command gets a terminal, which is ours
    #[arg(long, short, requires = "stdin")]
    pub tty: bool,
    /// This instance
    #[arg(long, value_name = "NAME")]
    pub instance: Option<trueup_types::InstanceId>,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}
