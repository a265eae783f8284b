//! Writes the status document: aside, then renamed, at most ten times a second, with a heartbeat.
//!
//! A reader never sees half of it. A disk that refuses is said in the document itself, and tried again; the control
//! socket answers all the same.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::publish;

/// From one writing to the next.
const PACE: Duration = Duration::from_millis(100);
/// The same for a document that takes long to write.
const PACE_LARGE: Duration = Duration::from_secs(1);
/// A document of so many bytes is large.
const LARGE_BYTES: usize = 1 << 20;
/// From one heartbeat to the next; readers warn after three.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// Longest the first writing waits for a look at everything.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// From one question whether that has happened to the next.
const GLANCE: Duration = Duration::from_millis(10);

/// Writes until the daemon leaves, and once more then.
pub(crate) async fn run(engine: Arc<Engine>, leave: CancellationToken) {
    if engine.parts.status_files.is_empty() {
        return leave.cancelled().await;
    }
    tokio::select! {
        // A reader shall not see apps missing that are only not looked at yet.
        _ = tokio::time::timeout(FIRST_LOOK, looked(&engine)) => {}
        () = leave.cancelled() => {}
    }
    write(&engine).await;
    loop {
        let beat = tokio::select! {
            () = engine.dirty.notified() => false,
            () = tokio::time::sleep(HEARTBEAT) => true,
            () = leave.cancelled() => break,
        };
        let faulty = engine.status_fault.lock().expect("no holder panics").is_some();
        if beat && !faulty {
            engine.parts.status_files.iter().for_each(|path| touch(path));
            continue;
        }
        let pace = if write(&engine).await > LARGE_BYTES { PACE_LARGE } else { PACE };
        tokio::select! {
            () = tokio::time::sleep(pace) => {}
            () = leave.cancelled() => break,
        }
    }
    write(&engine).await;
}

/// Waits until the manifests have been read and every app that is remembered has been looked at.
async fn looked(engine: &Engine) {
    loop {
        let snapshot = engine.snapshot();
        let cells: Vec<_> = engine.cells.lock().expect("no holder panics").values().cloned().collect();
        let all = cells.iter().all(|cell| cell.shown.lock().expect("no holder panics").status.is_some());
        if all && (snapshot.scans > 0 || snapshot.doubt.is_some()) {
            return;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Writes the document to every place; answers its size in bytes.
async fn write(engine: &Arc<Engine>) -> usize {
    let engine = Arc::clone(engine);
    let writing = tokio::task::spawn_blocking(move || {
        let text = publish::spelled(&engine);
        let mut fault = None;
        for path in &engine.parts.status_files {
            if let Err(error) = replace(path, text.as_bytes(), 0o644) {
                fault = Some(format!("{} cannot be written: {error}", path.display()));
            }
        }
        let mut known = engine.status_fault.lock().expect("no holder panics");
        if *known != fault {
            if let Some(why) = &fault {
                tracing::warn!(why, "status degraded");
            }
            *known = fault;
        }
        text.len()
    });
    writing.await.unwrap_or(0)
}

/// Replaces a file with text, wholly or not at all.
///
/// # Errors
/// Those of the file system.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
    file.write_all(text)?;
    fs::rename(&aside, path)
}

fn touch(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    if let Ok(file) = File::options().append(true).open(path) {
        // A heartbeat that is late is seen by its reader.
        let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
    }
}
