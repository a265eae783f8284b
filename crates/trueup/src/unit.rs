//! `trueup unit`: a systemd unit whose restart touches no app.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cli::Unit;
use crate::config;
use crate::terminal::{out, say};

const TEMPLATE: &str = include_str!("../starter/trueup.service");
const PATH: &str = "/etc/systemd/system/trueup.service";

/// Prints the unit, or installs it.
pub(crate) fn run(asked: &Unit) -> anyhow::Result<()> {
    let text = text(asked)?;
    if !asked.install {
        out(&text);
        return Ok(());
    }
    ensure!(config::is_root(), "only root may write {PATH}; without --install the unit is printed");
    ensure!(
        Path::new("/run/systemd/system").exists(),
        "systemd does not run here; without --install the unit is printed"
    );
    std::fs::write(PATH, text).with_context(|| format!("{PATH} cannot be written"))?;
    for words in [vec!["daemon-reload"], vec!["enable", "--now", "trueup.service"]] {
        let status = Command::new("systemctl").args(&words).status().context("systemctl cannot be run")?;
        ensure!(status.success(), "systemctl {} failed: {status}", words.join(" "));
    }
    say(&format!("{PATH} is written, enabled and started; `systemctl status trueup` shows it"));
    Ok(())
}

fn text(asked: &Unit) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("our own program cannot be found")?;
    let dir = config::absolute(&asked.dir);
    for path in [&program, &dir] {
        ensure!(
            !path.to_string_lossy().contains(char::is_whitespace),
            "systemd cannot take `{}`: it has blanks",
            path.display()
        );
    }
    let text = TEMPLATE.replace("@PROGRAM@", &program.to_string_lossy());
    let text = text.replace("@DIR@", &dir.to_string_lossy());
    Ok(text.replace("@LISTEN@", &asked.listen.to_string()))
}
