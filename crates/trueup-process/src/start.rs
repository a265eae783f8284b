//! Begins a life: its folder, its ports, its limits, and then its shim. Blocking: the runtime calls it on a thread for that.

use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use trueup_types::template::FileSpec;

use crate::paths::{InstancePaths, LifePaths};
use crate::shim::STARTED;
use crate::spec::{Life, Spec, User};
use trueup_host::files::{self, Durability};

/// Longest a start waits for the shim's word. It usually comes within 10 ms; where it does not, the instance is
/// `Starting` and the next survey sees how it went on.
const SHIM_SECONDS_MAX: i64 = 2;

/// Makes an instance's folder under another name, so that it appears whole.
pub(crate) fn make_folder(aside: &Path, spec: &Spec, user: Option<&User>) -> std::io::Result<()> {
    match std::fs::remove_dir_all(aside) {
        Ok(()) => {}
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
        Err(why) => return Err(why),
    }
    let paths = InstancePaths(aside.to_owned());
    make_dir(aside)?;
    make_dir(&paths.root())?;
    for file in &spec.release.template.files {
        write_file(&paths.root(), file, user)?;
    }
    own(&paths.root(), user)?;
    files::write(&paths.spec(), spec, Durability::Synced)
}

fn make_dir(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// Writes one of the manifest's files below the root; its path was checked to stay there.
fn write_file(root: &Path, file: &FileSpec, user: Option<&User>) -> std::io::Result<()> {
    use std::io::Write as _;
    let path = inside(root, &file.path)?;
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        for folder in folder.ancestors().take_while(|folder| *folder != root) {
            own(folder, user)?;
        }
    }
    let mut handle = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(file.mode).open(&path)?;
    handle.write_all(file.content.as_bytes())?;
    own(&path, user)
}

fn inside(root: &Path, text: &str) -> std::io::Result<PathBuf> {
    use std::path::Component;
    let path = Path::new(text);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays {
        return Ok(root.join(path));
    }
    let what = format!("the file `{text}` would lie outside the instance's own folder");
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what))
}

fn own(path: &Path, user: Option<&User>) -> std::io::Result<()> {
    user.map_or(Ok(()), |user| std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)))
}

/// Writes a life and starts its shim; waits a little for its word.
pub(crate) fn begin(program: &Path, paths: &LifePaths, life: &Arc<Life>) -> std::io::Result<Child> {
    make_dir(&paths.0)?;
    files::write(&paths.life(), life.as_ref(), Durability::ThisBoot)?;
    let mut command = Command::new(program);
    command.arg0("trueup").arg("shim").arg(&paths.0).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut word) = child.stdout.take() {
        let patience = Timespec { tv_sec: SHIM_SECONDS_MAX, tv_nsec: 0 };
        let mut fds = [PollFd::new(&word, PollFlags::IN)];
        if poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0) {
            let mut said = [0; STARTED.len()];
            // A shim that leaves without a word has written down why, or has found another's claim.
            let _ = word.read_exact(&mut said);
        }
    }
    Ok(child)
}
