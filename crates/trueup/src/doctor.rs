//! `trueup doctor`: what this host allows, and what to do where it does not.

use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Access, access};
use trueup_process::cgroup::Cgroups;
use trueup_server::ControlClient;

use crate::cli::Places;
use crate::table::{counted, render};
use crate::terminal::{Tone, out, toned};
use crate::{config, private};

/// Below this many free bytes a store and its logs have little room.
const FREE_BYTES_MIN: u64 = 500 * 1024 * 1024;
/// Watches that a directory with many folders needs; each folder takes one.
const WATCHES_MIN: u64 = 8_192;
/// Open files that a thousand apps need.
const OPEN_FILES_MIN: u64 = 4_096;

struct Finding {
    what: &'static str,
    grade: Grade,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    /// Something works less well.
    Warning,
    /// Something does not work.
    Bad,
}

/// Runs `trueup doctor`: 0 when nothing is bad.
pub(crate) async fn run(places: &Places) -> ExitCode {
    let findings = findings(places).await;
    out(&table(&findings, &toned));
    let bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The same as text without colours, for a report.
pub(crate) async fn report(places: &Places) -> String {
    table(&findings(places).await, &|word, _| word.to_owned()) + "\n"
}

async fn findings(places: &Places) -> Vec<Finding> {
    let state_dir = config::state_dir(places);
    vec![
        state(&state_dir),
        disk(&state_dir),
        daemon(&state_dir).await,
        limits(),
        inotify(),
        cgroups(),
        clock(),
        pidfd(),
    ]
}

fn table(findings: &[Finding], toned: &dyn Fn(&str, Tone) -> String) -> String {
    let rows = findings.iter().map(|finding| {
        let grade = match finding.grade {
            Grade::Good => toned("ok", Tone::Good),
            Grade::Warning => toned("warning", Tone::Busy),
            Grade::Bad => toned("bad", Tone::Bad),
        };
        vec![finding.what.to_owned(), grade, finding.detail.clone()]
    });
    render(&["CHECK", "RESULT", "DETAIL"], rows.collect(), false)
}

fn finding(what: &'static str, grade: Grade, detail: impl Into<String>) -> Finding {
    Finding { what, grade, detail: detail.into() }
}

/// Changes nothing: where there is no state directory, the folder that it would be made in is looked at.
fn state(dir: &Path) -> Finding {
    let what = "state directory";
    let shown = dir.display();
    let Ok(metadata) = dir.metadata() else {
        let folder = there(dir);
        return match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => finding(what, Grade::Good, format!("{shown} is not there yet; `trueup run` makes it")),
            Err(why) => {
                let detail = format!("{shown} cannot be made: {}: {why}; --state-dir says another", folder.display());
                finding(what, Grade::Bad, detail)
            }
        };
    };
    let trial = dir.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::write(&trial, "").and_then(|()| std::fs::remove_file(&trial));
    if let Err(why) = written {
        return finding(what, Grade::Bad, format!("{shown} cannot be written: {why}; --state-dir says another"));
    }
    match private::open_to(&metadata) {
        None => finding(what, Grade::Good, shown.to_string()),
        Some(mode) => finding(what, Grade::Warning, format!("{}; `chmod 700 {shown}`", private::told(dir, mode))),
    }
}

/// The directory, or the nearest above it that exists.
fn there(dir: &Path) -> &Path {
    dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

fn disk(dir: &Path) -> Finding {
    let what = "disk space";
    let dir = there(dir);
    match rustix::fs::statvfs(dir) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let mebibytes = free / (1024 * 1024);
            let grade = if free < FREE_BYTES_MIN { Grade::Warning } else { Grade::Good };
            finding(what, grade, format!("{mebibytes} MiB free for {}", dir.display()))
        }
        Err(why) => finding(what, Grade::Bad, format!("{}: {why}", dir.display())),
    }
}

async fn daemon(dir: &Path) -> Finding {
    let what = "daemon";
    let status = match ControlClient::new(dir) {
        Ok(client) => client.status().await,
        Err(error) => Err(error),
    };
    match status {
        Ok(status) => {
            let dark: Vec<_> = status.targets.iter().filter(|target| !target.reachable).collect();
            let names: Vec<_> = dark.iter().map(|target| target.name.as_str()).collect();
            let apps = counted(status.apps.len(), "app");
            let detail = format!("pid {} runs {apps} of {}", status.daemon.pid, status.daemon.source);
            if dark.is_empty() {
                return finding(what, Grade::Good, detail);
            }
            finding(what, Grade::Bad, format!("{detail}; targets out of sight: {}", names.join(", ")))
        }
        Err(error) => finding(what, Grade::Warning, error.to_string()),
    }
}

fn limits() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let grade = if limit < OPEN_FILES_MIN { Grade::Warning } else { Grade::Good };
    finding("open files", grade, format!("at most {limit}; one for each instance, and each connection"))
}

fn inotify() -> Finding {
    let path = "/proc/sys/fs/inotify/max_user_watches";
    let what = "file watches";
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match text.trim().parse::<u64>() {
        Ok(watches) if watches >= WATCHES_MIN => finding(what, Grade::Good, format!("{watches} allowed")),
        Ok(watches) => finding(what, Grade::Warning, format!("{watches} allowed; beyond them folders are polled")),
        Err(_) => finding(what, Grade::Warning, format!("{path} cannot be read; folders may have to be polled")),
    }
}

fn cgroups() -> Finding {
    let what = "memory and pids limits";
    match Cgroups::detect() {
        Cgroups::V2 { parent } => finding(what, Grade::Good, format!("control groups (v2) below {}", parent.display())),
        Cgroups::V1 { memory, .. } => {
            finding(what, Grade::Good, format!("control groups (v1) below {}", memory.display()))
        }
        Cgroups::Unavailable(why) => {
            finding(what, Grade::Warning, format!("resources.memory and resources.pids are not enforced: {why}"))
        }
    }
}

fn clock() -> Finding {
    let what = "clock";
    match trueup_driver::clock::boot_id() {
        Ok(boot) => finding(what, Grade::Good, format!("boot {boot}")),
        Err(why) => finding(what, Grade::Bad, format!("the boot id cannot be read: {why}")),
    }
}

fn pidfd() -> Finding {
    let what = "process handles";
    let opened = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    match opened {
        Ok(_) => finding(what, Grade::Good, "pidfd is there"),
        Err(why) => finding(what, Grade::Bad, format!("pidfd_open: {why}; Linux 5.3 or later is needed")),
    }
}
