//! A simulated Fly beside a test, as `trueup sim fly` starts it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::Bench;

/// A simulated Fly, stopped with the test.
pub struct Fly {
    child: Child,
    /// Where it is, as `http://127.0.0.1:4280`.
    pub base: String,
}

impl Fly {
    /// Starts one with further words of the command line, on a port of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(bench: &Bench, words: &[&str]) -> Self {
        Self::start_at(bench, &crate::bench::binary(), words)
    }

    /// The same with a binary elsewhere.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_at(bench: &Bench, program: &Path, words: &[&str]) -> Self {
        let mut command = bench.trueup_at(program);
        let mut child = command
            .args(["sim", "fly", "--listen", "127.0.0.1:0"])
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it is");
        let base = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(base.starts_with("http://127.0.0.1:"), "{line}");
        Self { child, base }
    }

    /// What it answers to a question that takes no token, as `/_sim/calls`.
    ///
    /// # Panics
    /// When it does not answer in JSON.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let answer = reqwest::get(format!("{}{path}", self.base)).await.expect("the platform answers");
            answer.json().await.expect("in JSON")
        })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Fly {
    fn drop(&mut self) {
        // Told to leave, it takes its processes along. It may have ended by itself.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
