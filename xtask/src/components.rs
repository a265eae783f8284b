//! The real components that tests need beyond Rust, and where Debian has them.

use std::process::Command;

use anyhow::bail;

use crate::shell::{has, run, say};

/// A program, and the Debian package that brings it.
pub struct Component {
    /// The program, as it is called.
    pub program: &'static str,
    /// The package.
    pub package: &'static str,
    /// What needs it.
    pub needed_for: &'static str,
}

/// What the tests need.
pub const FOR_TESTS: &[Component] = &[
    Component { program: "cc", package: "gcc", needed_for: "linking" },
    Component { program: "mount", package: "mount", needed_for: "tests of a full disk on a small tmpfs" },
    Component { program: "dockerd", package: "docker.io", needed_for: "tests of containers" },
    Component { program: "docker-registry", package: "docker-registry", needed_for: "tests of images that are pulled" },
    Component { program: "busybox", package: "busybox-static", needed_for: "the image that tests of containers run" },
    Component { program: "podman", package: "podman", needed_for: "the contract of containers on another engine" },
    Component { program: "catatonit", package: "catatonit", needed_for: "the first process of podman's containers" },
    Component { program: "node", package: "nodejs", needed_for: "the test of another client on the simulated Fly" },
    Component { program: "npm", package: "npm", needed_for: "the package of that client" },
    Component { program: "strace", package: "strace", needed_for: "the proof's stores whose writes fail late" },
];

/// What the bench compares the edge with.
pub const FOR_BENCH: &[Component] = &[
    Component { program: "haproxy", package: "haproxy", needed_for: "the edge's figures" },
    Component { program: "nginx", package: "nginx-light", needed_for: "the edge's backend, and as its peer" },
    Component { program: "wrk", package: "wrk", needed_for: "loading the edge" },
    Component { program: "dockerd", package: "docker.io", needed_for: "the figures of containers" },
    Component { program: "docker-registry", package: "docker-registry", needed_for: "the engine of the bench" },
    Component { program: "busybox", package: "busybox-static", needed_for: "the images of the bench" },
    Component { program: "docker-compose", package: "docker-compose", needed_for: "the peer of containers" },
];

/// Installs what is missing, as root; else says what is left out, which under `CI=true` is an error.
///
/// # Errors
/// When apt-get fails, or when something is missing under `CI=true` and cannot be installed.
pub fn install(components: &[Component], ci: bool) -> anyhow::Result<()> {
    let missing: Vec<_> = components.iter().filter(|component| !has(component.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|component| component.package).collect();
    if has("apt-get") && is_root() {
        let apt = |words: &[&str]| {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
            command
        };
        run(&mut apt(&["update", "-qq"]))?;
        return run(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(&packages));
    }
    for component in &missing {
        say(&format!("LEFT OUT: {} is not installed; needed for {}", component.program, component.needed_for));
    }
    if ci {
        bail!("install these and run again: {}", packages.join(" "));
    }
    Ok(())
}

fn is_root() -> bool {
    crate::shell::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
