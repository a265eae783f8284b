//! One daemon for each state directory.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};

use crate::private;

/// Makes the state directory and takes its lock, which the kernel gives back when we die.
pub(crate) fn take(state_dir: &Path) -> anyhow::Result<File> {
    private::make(state_dir).with_context(|| format!("the state directory {} cannot be made", state_dir.display()))?;
    let path = state_dir.join("lock");
    let opened = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.with_context(|| format!("{} cannot be opened", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // Its holder may have just begun and written nothing yet.
        let _ = file.read_to_string(&mut holder);
        let holder =
            if holder.trim().is_empty() { "another process".to_owned() } else { format!("pid {}", holder.trim()) };
        bail!("{holder} runs trueup on {} already; stop it, or say another --state-dir", state_dir.display());
    }
    // On a full disk the lock holds all the same; only its holder's name is missing.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
