//! Work behind other work: at the lowest priority, and what it prints is kept until it is waited for.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::shell::{root, say};

/// A command under way; dropped, it is ended.
pub struct Behind {
    spelled: String,
    child: Child,
    log: PathBuf,
}

impl Behind {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(words: &[String]) -> anyhow::Result<Self> {
        let spelled = words.join(" ");
        let log = root().join("target/behind.log");
        // What is built may lie elsewhere.
        log.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("nice");
        // Each of these becomes the next, so that ending this process ends the work.
        command.args(["-n", "19"]).args(words).current_dir(root()).stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot run {spelled}"))?;
        say(&format!("$ {spelled} (behind what follows; its output comes after it)"));
        Ok(Self { spelled, child, log })
    }

    /// Waits for its end, and says what it said.
    ///
    /// # Errors
    /// When it failed.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        say(std::fs::read_to_string(&self.log)?.trim_end());
        ensure!(status.success(), "{} failed: {status}", self.spelled);
        Ok(())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // It may have ended, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
