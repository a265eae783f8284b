//! The moment between the shim and the program: limits itself, changes its user, and becomes the program.
//!
//! What fails here is written to the life's `refusal`, opened before the user changes, so that "it cannot be started"
//! is never taken for an exit of the program.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Gid, Resource, Rlimit, Uid, chdir, setrlimit};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::paths::LifePaths;
use crate::spec::{Life, User};
use trueup_host::files;

/// What a shell answers for a command that cannot be run.
const CANNOT_RUN: u8 = 127;

/// Becomes the program of a life, or with `instead` another command in its place: for exec probes and for people.
#[must_use]
pub fn main(folder: &Path, instead: &[String]) -> ExitCode {
    let paths = LifePaths(folder.to_owned());
    let refusal = if instead.is_empty() {
        std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(paths.refusal()).ok()
    } else {
        None
    };
    if instead.is_empty() && !gate_opens() {
        return ExitCode::from(CANNOT_RUN);
    }
    let why = become_it(&paths, instead);
    match refusal {
        Some(mut file) => {
            // Its reader takes an empty one for "it ran".
            let _ = file.write_all(why.as_bytes());
        }
        None => {
            let _ = writeln!(std::io::stderr(), "{why}");
        }
    }
    ExitCode::from(CANNOT_RUN)
}

/// Waits until the shim has written down who we are; `false` when it died before.
fn gate_opens() -> bool {
    use std::io::Read as _;
    let mut byte = [0];
    let opened = std::io::stdin().read_exact(&mut byte).is_ok();
    let null = std::fs::File::open("/dev/null");
    opened && null.is_ok_and(|null| rustix::stdio::dup2_stdin(null).is_ok())
}

/// Returns only what went wrong.
fn become_it(paths: &LifePaths, instead: &[String]) -> String {
    let life: Life = match files::read(&paths.life()) {
        Ok(Some(life)) => life,
        Ok(None) => return "there is no life.json".to_owned(),
        Err(why) => return why.to_string(),
    };
    if let Err(why) = settle(&life) {
        return why;
    }
    let words = if instead.is_empty() { &life.command } else { instead };
    let Some((program, args)) = words.split_first() else { return "the command is empty".to_owned() };
    let why = Command::new(program).args(args).env_clear().envs(life.env).exec();
    format!("`{program}` cannot be run: {why}")
}

fn settle(life: &Life) -> Result<(), String> {
    for procs in &life.cgroups {
        let joined = std::fs::write(procs, std::process::id().to_string());
        joined.map_err(|why| format!("{} cannot be joined: {why}", procs.display()))?;
    }
    if let Some((soft, hard)) = life.open_files {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        let set = setrlimit(Resource::Nofile, limit);
        set.map_err(|why| format!("the limit of open files cannot be set to {soft}: {why}"))?;
    }
    let moved = chdir(&life.workdir);
    moved.map_err(|why| format!("{} cannot be the working directory: {why}", life.workdir.display()))?;
    life.user.as_ref().map_or(Ok(()), |user| {
        change(user).map_err(|why| format!("user {} and group {} cannot be taken: {why}", user.uid, user.gid))
    })
}

/// This process has one thread, so its thread's user is its user.
fn change(user: &User) -> rustix::io::Result<()> {
    let groups: Vec<_> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}
