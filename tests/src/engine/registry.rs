//! A registry of images beside the tests' engine, which may ask for a password.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Engine, until};

/// A registry of the tests' own, on this host.
pub struct Registry {
    /// Where it listens: the first part of the names of its images.
    pub address: String,
    child: Child,
}

impl Registry {
    /// Starts one beside an engine, in a folder of that name; with a user and a password it asks for them (`app` and
    /// `secret`, as htpasswd writes them).
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(engine: &Engine, name: &str, port: u16, guarded: bool) -> Self {
        Self::start_in(&engine.path(name), port, guarded)
    }

    /// The same in a folder, beside no engine of ours.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_in(folder: &Path, port: u16, guarded: bool) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let address = format!("127.0.0.1:{port}");
        let at = folder.display();
        let auth = if guarded {
            format!("auth: {{htpasswd: {{realm: tests, path: {at}/htpasswd}}}}\n")
        } else {
            String::new()
        };
        // `secret`, hashed with bcrypt once, as every registry wants it.
        let line = "app:$2b$05$HcUltDcJSQ9ayNlOMqQokuS65cZTrQ/z5y/rl/4sMlQvD1/rZ1Uqq\n";
        std::fs::write(folder.join("htpasswd"), line).expect("it is written");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\nhttp: {{addr: '{address}'}}\n{auth}"
        );
        std::fs::write(folder.join("config.yml"), config).expect("it is written");
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(folder.join("config.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("it is shared")).stderr(log);
        let child = command.spawn().expect("docker-registry starts");
        let registry = Self { address: address.clone(), child };
        until("the registry answers", &folder.join("log"), || std::net::TcpStream::connect(&address).is_ok());
        registry
    }

    /// Puts an image of the engine into it, and takes its name from the engine; answers what it is called here.
    ///
    /// # Panics
    /// When the engine or the registry refuses.
    #[must_use]
    pub fn push(&self, engine: &Engine, image: &str, as_name: &str) -> String {
        let (repository, tag) = as_name.rsplit_once(':').expect("a name with a tag");
        let full = format!("{}/{repository}", self.address);
        let _ = engine.ask("POST", &format!("/images/{image}/tag?repo={full}&tag={tag}"), "");
        // {"username":"app","password":"secret"}
        let auth = "X-Registry-Auth: eyJ1c2VybmFtZSI6ImFwcCIsInBhc3N3b3JkIjoic2VjcmV0In0=";
        let (code, said) = engine.api("POST", &format!("/images/{full}/push?tag={tag}"), &[auth], b"");
        assert!(code == 200 && !said.contains("\"error\""), "{as_name} is pushed: {code} {said}");
        let _ = engine.ask("DELETE", &format!("/images/{full}:{tag}?noprune=true"), "");
        format!("{full}:{tag}")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
