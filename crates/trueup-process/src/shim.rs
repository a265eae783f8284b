//! The process that stays beside a program: starts it, waits for it, and writes down how it ended.
//!
//! It is handed a life's folder and speaks to nobody: `life.json` says what to start, `stop.json` appears when the
//! program shall go and a [`Bell`] is rung, `exit.json` is its last word. It leads a session of its own, so that no
//! terminal and no death of the daemon reaches the program; it is the reaper of all that the program leaves behind, and
//! stays until nothing is left. A program that ended by itself is told of at once, one that was asked to go when all of it
//! has gone: whoever takes its place finds its ports, its locks and its disk free.
//!
//! Three threads: one waits for children, one for `stop.json`, one for the end of what has been left behind. All that may
//! fail comes before the program begins; from there on nothing makes the shim leave it. Nothing polls.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, setsid, wait};

use crate::bell::Bell;
use crate::identity::Identity;
use crate::moment::BootMillis;
use crate::paths::LifePaths;
use crate::spec::{Asked, Claim, Ended, How, Life, Lived, VERSION};
use trueup_host::World;
use trueup_host::files::{self, Durability};

/// What the shim writes to its standard output once the program is started.
pub(crate) const STARTED: &[u8] = b"started\n";
/// What opens the gate between a program that is ready to begin and its beginning.
pub(crate) const OPEN: &[u8] = b"+";
/// From one look for `stop.json` to the next, where there is no bell.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two rounds of SIGKILL to what still forks.
const KILL_AGAIN: Duration = Duration::from_millis(100);

/// Lives one life, to its end.
#[must_use]
pub fn main(folder: &Path) -> ExitCode {
    // The parent started us in its own group, so we lead none and may lead a session.
    let _ = setsid();
    let paths = LifePaths(folder.to_owned());
    // Another's claim means that this life was called off, or is lived already.
    if !claim(&paths).unwrap_or(false) {
        return ExitCode::SUCCESS;
    }
    match live(&paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let detail = format!("the shim could not start it: {why}");
            // Where even this cannot be written, the daemon finds a claim whose maker is gone.
            let _ = end(&paths, None, How::CannotStart { detail });
            ExitCode::FAILURE
        }
    }
}

/// Decides whose life this is: whoever makes the claim first. Gives back whether it was us. It appears whole.
pub(crate) fn claim(paths: &LifePaths) -> std::io::Result<bool> {
    // Asked first, as a full disk takes no file.
    if paths.claim().exists() {
        return Ok(false);
    }
    let aside = paths.claim_aside();
    let claim = Claim { world: World::here()?, by: Identity::of(getpid())? };
    let made = files::write(&aside, &claim, Durability::ThisBoot);
    let made = made.and_then(|()| std::fs::hard_link(&aside, paths.claim()));
    // One that stays goes with the life's folder.
    let _ = std::fs::remove_file(&aside);
    match made {
        Ok(()) => Ok(true),
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(why) => Err(why),
    }
}

/// Writes down how it ended.
pub(crate) fn end(paths: &LifePaths, code: Option<i32>, how: How) -> std::io::Result<()> {
    let ended = Ended { version: VERSION, world: World::here()?, at: BootMillis::now(), code, how };
    files::write(&paths.exit(), &ended, Durability::ThisBoot)
}

fn live(paths: &LifePaths) -> std::io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let life: Life = files::read(&paths.life())?.ok_or_else(|| std::io::Error::other("there is no life.json"))?;
    // It hangs before anybody can know of this life, and so before anybody can ring.
    let bell = Bell::hang(&paths.bell());
    let begun = aside("stop", {
        let paths = LifePaths(paths.0.clone());
        move || await_stop(&paths, bell)
    })?;
    let ended = aside("linger", move || kill_after(Duration::from_millis(life.linger_ms)))?;
    let (main, gate) = start(paths)?;
    let lived = Lived {
        version: VERSION,
        world: World::here()?,
        shim: Identity::of(getpid())?,
        main: Identity::of(main)?,
        since: BootMillis::now(),
    };
    files::write(&paths.shim(), &lived, Durability::ThisBoot)?;
    // The program begins only once it is written down: it is never there without anybody knowing.
    if let Some(mut gate) = gate {
        // Who waits at the gate may have been killed: then that is how it ended.
        let _ = gate.write_all(OPEN);
    }
    let _ = begun.send(());
    say_started();
    reap(paths, main, &ended);
    Ok(())
}

/// Starts the program, in a group of its own, by way of a process that limits itself and then becomes it.
fn start(paths: &LifePaths) -> std::io::Result<(Pid, Option<ChildStdin>)> {
    let log = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(paths.log())?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("trueup").arg("shim-exec").arg(&paths.0).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    // The child is waited for with all the others, by number.
    let mut child = command.spawn()?;
    Ok((Pid::from_child(&child), child.stdin.take()))
}

fn say_started() {
    // Nobody may be reading: then nobody waits.
    let _ = std::io::stdout().write_all(STARTED).and_then(|()| std::io::stdout().flush());
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Waits for every child until none is left, and writes down how the program ended.
fn reap(paths: &LifePaths, main: Pid, ended: &Sender<()>) {
    let mut owed = None;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == main => {
                let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                let how = how(paths);
                if how == How::Asked {
                    owed = Some((code, how));
                    continue;
                }
                // Where it cannot be written, the daemon finds that nobody is there.
                let _ = end(paths, code, how);
                signal_descendants(Signal::TERM);
                let _ = ended.send(());
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // None is left.
            Err(_) => break,
        }
    }
    if let Some((code, how)) = owed {
        let _ = end(paths, code, how);
    }
}

/// Of whose doing the end of the program was.
fn how(paths: &LifePaths) -> How {
    let refusal = std::fs::read_to_string(paths.refusal()).ok().filter(|text| !text.is_empty());
    match refusal {
        Some(detail) => How::CannotStart { detail },
        None if paths.stop().exists() => How::Asked,
        None => How::ByItself,
    }
}

/// A thread that waits for a word before it does its work.
fn aside(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<Sender<()>> {
    let (word, heard) = channel();
    let wait = move || {
        if heard.recv().is_ok() {
            work();
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(wait)?;
    Ok(word)
}

/// Waits for `stop.json`, then sees to it that all goes.
#[expect(clippy::disallowed_methods, reason = "a thread of the shim, which has nothing else to do than to wait")]
fn await_stop(paths: &LifePaths, mut bell: std::io::Result<Bell>) {
    // Looked for after the bell hangs, so that none slips between.
    while !paths.stop().exists() {
        let heard = bell.as_mut().is_ok_and(|bell| bell.wait().is_ok());
        if !heard {
            // Where no pipe can be made it is looked for.
            std::thread::sleep(LOOK_EVERY);
        }
    }
    let asked: Option<Asked> = files::read_unsynced(&paths.stop()).ok().flatten();
    let signal = asked.as_ref().and_then(|asked| crate::signal::named(&asked.signal)).unwrap_or(Signal::TERM);
    signal_descendants(signal);
    kill_after(Duration::from_millis(asked.map_or(0, |asked| asked.timeout_ms)));
}

/// Kills what is left after a while, again and again; the process ends when nothing is left.
#[expect(clippy::disallowed_methods, reason = "a thread of the shim, which has nothing else to do than to wait")]
fn kill_after(wait: Duration) {
    std::thread::sleep(wait);
    loop {
        signal_descendants(Signal::KILL);
        std::thread::sleep(KILL_AGAIN);
    }
}

fn signal_descendants(signal: Signal) {
    for pid in descendants(getpid()) {
        // It may have gone a moment ago.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Everything below a process; what loses its parent becomes a child of the shim, so nothing escapes.
fn descendants(of: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![of];
    while let Some(parent) = open.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let pids = children.split_whitespace().filter_map(|text| text.parse().ok()).filter_map(Pid::from_raw);
            for pid in pids {
                found.push(pid);
                open.push(pid);
            }
        }
    }
    found
}
