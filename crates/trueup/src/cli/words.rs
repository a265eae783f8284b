//! Reads the words that the program was given, and says what is wrong with them.

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use crate::config;

/// What the program is asked; ends it where that cannot be understood, or is only a question for help.
pub(crate) fn parse() -> Cli {
    let said = deaf(Cli::command(), &|arg| arg.get_env().is_some_and(config::is_empty));
    let read = said.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    read.unwrap_or_else(|error| {
        // The usage that comes with an error shows all that was given as if it had to be, and what the environment says was
        // given by nobody who reads it.
        if error.use_stderr()
            && let Err(plain) = deaf(Cli::command(), &|_| true).try_get_matches()
        {
            plain.exit();
        }
        error.exit()
    })
}

/// The same words, where these arguments do not ask the environment.
fn deaf(command: Command, which: &dyn Fn(&Arg) -> bool) -> Command {
    let silence = |arg: Arg| if which(&arg) { arg.env(None::<&'static str>) } else { arg };
    command.mut_args(silence).mut_subcommands(|command| deaf(command, which))
}
