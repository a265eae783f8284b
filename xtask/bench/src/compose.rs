//! docker-compose on the same engine, for the same work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use trueup_tests::engine::Engine;

/// One project of docker-compose; dropped, it is taken down.
pub struct Compose {
    file: PathBuf,
    host: String,
}

impl Compose {
    /// A project in a folder.
    ///
    /// # Errors
    /// Why it cannot be had, for whoever reads the report.
    pub fn new(engine: &Engine, folder: &Path) -> Result<Self, String> {
        if !installed("docker-compose") {
            return Err("docker-compose is not installed: apt-get install docker-compose".to_owned());
        }
        Ok(Self { file: folder.join("docker-compose.yml"), host: engine.host() })
    }

    /// Makes a file of services true.
    ///
    /// # Errors
    /// When it says so.
    pub fn up(&self, services: &str) -> anyhow::Result<()> {
        std::fs::write(&self.file, format!("version: \"3.7\"\nservices:\n{services}"))?;
        self.run(&["up", "-d", "--timeout", "8"])
    }

    fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("docker-compose");
        command.arg("--project-name").arg("beside").arg("--file").arg(&self.file).args(words);
        // A bound on what it does at a time makes this version of it wait for ever.
        command.env("DOCKER_HOST", &self.host).stdin(Stdio::null());
        let output = command.output().context("docker-compose cannot be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker-compose {words:?}: {}", said.lines().last().unwrap_or_default());
        Ok(())
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // What stays goes with the engine.
        let _ = self.run(&["down", "--timeout", "1"]);
    }
}

/// Whether a program is there.
#[must_use]
pub fn installed(program: &str) -> bool {
    ["/usr/bin", "/usr/local/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// One service on a port of this host.
#[must_use]
pub fn service(name: &str, image: &str, command: &str, version: &str, at: Option<SocketAddr>) -> String {
    let ports = at.map_or_else(|| "\"127.0.0.1::8080\"".to_owned(), |at| format!("\"{at}:8080\""));
    format!(
        "  {name}:\n    image: {image}\n    init: true\n    command: {command}\n    ports: [{ports}]\n    environment: \
         {{DEMO_VERSION: {version}, DEMO_ADDRESS: 0.0.0.0, PORT: \"8080\"}}\n"
    )
}
