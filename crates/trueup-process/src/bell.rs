//! A bell beside each life: the daemon rings it when it has written down that the life is to stop, and the shim waits for
//! it.
//!
//! A named pipe costs nobody anything. Watching the folder would: a user has 128 inotify instances in all, so the 129th
//! app could not be stopped, and apps of the same user would find none left for themselves.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};

/// A bell that hangs, and can be waited for.
pub(crate) struct Bell(File);

impl Bell {
    /// Hangs it up.
    pub(crate) fn hang(path: &Path) -> std::io::Result<Self> {
        match rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(why) => return Err(why.into()),
        }
        // Open for both: it neither waits for somebody to ring, nor ends when he has gone.
        Ok(Self(File::options().read(true).write(true).open(path)?))
    }

    /// Waits until somebody rings.
    pub(crate) fn wait(&mut self) -> std::io::Result<()> {
        self.0.read_exact(&mut [0])
    }
}

/// Rings; where nobody waits, nobody hears it, and that is no error.
pub(crate) fn ring(path: &Path) {
    let opened = rustix::fs::open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    // A pipe that is full has been rung.
    let _ = opened.and_then(|bell| rustix::io::write(bell, &[1]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_heard_though_it_rang_before_anybody_waited() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bell");
        ring(&path);
        let mut bell = Bell::hang(&path).expect("it hangs");
        ring(&path);
        bell.wait().expect("it rang");
        let mut again = Bell::hang(&path).expect("it hangs already");
        ring(&path);
        again.wait().expect("it rang");
    }
}
