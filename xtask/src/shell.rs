//! Runs commands, saying each before it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Runs a command at the root, and fails when it does.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    say(&format!("$ {}", spelled(command)));
    let status = command.current_dir(root()).status().with_context(|| format!("cannot run {}", spelled(command)))?;
    ensure!(status.success(), "{} failed: {status}", spelled(command));
    Ok(())
}

/// Runs a command at the root, and answers its standard output.
pub fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command.current_dir(root()).output().with_context(|| format!("cannot run {}", spelled(command)))?;
    ensure!(output.status.success(), "{} failed: {}", spelled(command), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Cargo, as the one that runs us.
pub fn cargo() -> Command {
    Command::new(option_env!("CARGO").unwrap_or("cargo"))
}

/// Whether a program is in the path.
pub fn has(program: &str) -> bool {
    let probe = Command::new("sh").arg("-c").arg(format!("command -v {program}")).output();
    probe.is_ok_and(|output| output.status.success())
}

/// Says a line to the person at the terminal.
#[expect(clippy::print_stderr, reason = "chores talk to a person, on standard error")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

fn spelled(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}
