//! Reads the words that the program was given, and says what is wrong with them.

use clap::{Command, CommandFactory as _, Parser as _};

use super::Cli;

/// What the program is asked; ends it where that cannot be understood, or is only a question for help.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr()
            && let Err(plain) = bare(Cli::command()).try_get_matches()
        {
            plain.exit();
        }
        error.exit()
    })
}

/// The same words, deaf to the environment: the usage that comes with an error shows all that was given as if it had to
/// be, and what the environment says was given by nobody who reads it.
fn bare(command: Command) -> Command {
    command.mut_args(|arg| arg.env(None::<&'static str>)).mut_subcommands(bare)
}
