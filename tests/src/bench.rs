//! The place of one test: a config directory, a state directory, a free port, and the binary.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::manifest::DemoApp;
use crate::processes;

/// One test's place; dropped, it stops whatever still runs for it.
pub struct Bench {
    folder: TempDir,
    /// Where the edge listens.
    pub listen: SocketAddr,
    /// What every command finds in its environment, beside its place.
    env: Vec<(String, String)>,
}

impl Bench {
    /// A fresh place.
    ///
    /// # Panics
    /// When the disk refuses.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("tu-").tempdir().expect("a temporary folder");
        let bench = Self { folder, listen: free_port(), env: Vec::new() };
        std::fs::create_dir(bench.config_dir()).expect("a config folder");
        bench
    }

    /// Where the manifests are.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Where the daemon keeps its state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where the daemon writes its status.
    #[must_use]
    pub fn status_file(&self) -> PathBuf {
        self.folder.path().join("status.json")
    }

    /// Another path in the place, for what a test needs besides.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes one app's manifest, as an editor does: aside, then renamed.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn write(&self, app: &DemoApp) {
        self.write_text(&format!("{}.yaml", app.name), &app.manifest());
    }

    /// Writes any file of the config directory.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn write_text(&self, name: &str, text: &str) {
        let aside = self.config_dir().join(format!(".{name}.aside"));
        std::fs::write(&aside, text).expect("the file is written");
        std::fs::rename(&aside, self.config_dir().join(name)).expect("the file is renamed");
    }

    /// A command of the binary, told which state it is about.
    #[must_use]
    pub fn trueup(&self) -> Command {
        self.trueup_at(&binary())
    }

    /// The same with a binary elsewhere.
    #[must_use]
    pub fn trueup_at(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("TRUEUP_STATE_DIR", self.state_dir()).env("TRUEUP_STATUS_FILE", self.status_file());
        command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Has every command from here on find a variable in its environment.
    pub fn tell(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Runs a command of the binary to its end: exit code, standard output, standard error.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.trueup().args(words).output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            processes::dump(&self.state_dir());
        }
        processes::kill_all(&self.state_dir());
    }
}

/// The binary under test, built first unless `TRUEUP_BUILT` says that it has been.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary() -> PathBuf {
    static BUILT: Once = Once::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    // This executable is in <target>/<profile>/deps.
    let ours = std::env::current_exe().expect("the test knows itself");
    let profile = ours.ancestors().nth(2).expect("tests run from <target>/<profile>/deps").to_owned();
    let program = profile.join("trueup");
    BUILT.call_once(|| {
        // Whoever built everything did so with another choice of features: this would build half of it again.
        if std::env::var_os("TRUEUP_BUILT").is_some() {
            return;
        }
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let status = Command::new(cargo).args(["build", "--locked", "--package", "trueup"]).current_dir(root).status();
        assert!(status.is_ok_and(|status| status.success()), "the binary builds");
    });
    assert!(program.exists(), "{} was not built", program.display());
    program
}

/// A port below the ephemeral range and beside that of instances, that nobody listens on.
///
/// # Panics
/// When all are taken.
#[must_use]
pub fn free_port() -> SocketAddr {
    // No two calls of one process try the same one first: who is given one listens there only a moment later.
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id() % 4_000 + CALLS.fetch_add(1, Ordering::Relaxed) * 101;
    for offset in 0..4_000 {
        let port = u16::try_from(12_000 + (start + offset * 7) % 7_000).expect("below 20000");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port between 12000 and 19000");
}
