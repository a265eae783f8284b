//! Which files were renamed into their places: such a file is whole, and nobody need wait whether more of it comes.
//!
//! Editors, `mv`, rsync and most of what writes manifests write aside and rename. Told by events, and so a hint only: what
//! an event does not vouch for has to hold still, like any other file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{Event, EventKind, ModifyKind, RenameMode};

/// Paths that were renamed into and not touched since.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(BTreeSet<PathBuf>);

impl Arrivals {
    /// Takes in one event.
    pub(crate) fn take(&mut self, event: &Event) {
        if event.paths.is_empty() || event.need_rescan() {
            // Nobody knows what was missed.
            return self.0.clear();
        }
        let arrived = match (event.kind, &event.paths[..]) {
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), [to]) => Some(to),
            (EventKind::Modify(ModifyKind::Name(RenameMode::Both)), [_, to]) => Some(to),
            // Of one rename both are told, the parts and the whole.
            _ => None,
        };
        for path in &event.paths {
            self.0.remove(path);
        }
        self.0.extend(arrived.cloned());
    }

    /// Whether a file was renamed into this place, and stands there as it came.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        // What a link leads to may be written to all the same.
        self.0.contains(path) && path.symlink_metadata().is_ok_and(|meta| meta.is_file())
    }

    /// Forgets them: what has come is counted.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, AccessMode, CreateKind, DataChange, Flag};

    use super::*;

    #[test]
    fn only_what_was_renamed_in_and_not_touched_since_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let [aside, file] = ["aside", "web.yaml"].map(|name| dir.path().join(name));
        std::fs::write(&file, "app web v1").expect("writes");
        let event = |kind, paths: &[&PathBuf]| {
            paths.iter().fold(Event::new(kind), |event, path| event.add_path(PathBuf::clone(path)))
        };
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let mut arrivals = Arrivals::default();
        let mut after = |events: &[Event]| {
            events.iter().for_each(|event| arrivals.take(event));
            arrivals.holds(&file)
        };
        assert!(!after(&[event(EventKind::Create(CreateKind::File), &[&file])]));
        assert!(!after(&[
            event(written, &[&file]),
            event(EventKind::Access(AccessKind::Close(AccessMode::Write)), &[&file])
        ]));
        let came = [
            event(renamed(RenameMode::From), &[&aside]),
            event(renamed(RenameMode::To), &[&file]),
            event(renamed(RenameMode::Both), &[&aside, &file]),
        ];
        assert!(after(&came) && after(&[event(written, &[&aside])]));
        assert!(!after(&[event(written, &[&file])]), "it was written to in its place");
        assert!(after(&came));
        assert!(!after(&[Event::new(EventKind::Other).set_flag(Flag::Rescan)]), "events were lost");
        assert!(after(&came));
        std::fs::remove_file(&file).expect("removes");
        std::os::unix::fs::symlink(&aside, &file).expect("links");
        assert!(!after(&came), "what a link leads to may be written to");
    }
}
