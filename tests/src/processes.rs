//! What really runs for a state directory: read from the process table, not from anything that trueup says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// One process that belongs to a state directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its id.
    pub pid: i32,
    /// Its start time in clock ticks since boot, so that a reused id is noticed.
    pub start: u64,
    /// Its command line.
    pub command: String,
    /// The instance it is, from its environment.
    pub instance: Option<String>,
}

/// Every process whose command line, environment or working directory names this state directory.
#[must_use]
pub fn of_state(state_dir: &Path) -> Vec<Found> {
    let needle = state_dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let (command, environment) = (lossy(&read("cmdline")), lossy(&read("environ")));
        let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let ours = [&command, &environment, &folder.to_string_lossy().into_owned()];
        if !ours.iter().any(|text| text.contains(&needle)) || u32::try_from(pid) == Ok(std::process::id()) {
            continue;
        }
        let Some(start) = start_time(&lossy(&read("stat"))) else { continue };
        let instance = environment.split('\0').find_map(|pair| pair.strip_prefix("TRUEUP_INSTANCE="));
        found.push(Found { pid, start, command: command.replace('\0', " "), instance: instance.map(str::to_owned) });
    }
    found.sort();
    found
}

/// The demo servers of a state directory, by instance: exactly one process each, or more where something is wrong.
#[must_use]
pub fn demo_servers(state_dir: &Path) -> BTreeMap<String, Vec<i32>> {
    let mut servers: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for one in of_state(state_dir) {
        let server = one.command.contains("demo-app") && !one.command.contains("shim");
        if let (true, Some(instance)) = (server, one.instance) {
            servers.entry(instance).or_default().push(one.pid);
        }
    }
    servers
}

/// Ends everything that belongs to a state directory.
pub fn kill_all(state_dir: &Path) {
    // Shims first see their apps go, so a few rounds find what the first one missed.
    for _ in 0..5 {
        let left = of_state(state_dir);
        if left.is_empty() {
            return;
        }
        for one in left {
            if let Some(pid) = Pid::from_raw(one.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Prints what runs, for a test that failed.
pub fn dump(state_dir: &Path) {
    for one in of_state(state_dir) {
        println!("still there: {one:?}");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Field 22 of `/proc/<pid>/stat`, counted behind the command's closing parenthesis; `None` for a zombie.
fn start_time(stat: &str) -> Option<u64> {
    let behind = stat.rsplit_once(')')?.1;
    let fields: Vec<_> = behind.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}
