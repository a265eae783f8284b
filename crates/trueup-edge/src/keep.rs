//! The last table, kept on the disk, so that a killed edge comes back with it.
//!
//! Written aside, synced, renamed. A file that does not read is set aside and said so: the daemon hands out the table
//! again. Knows nothing of what a table means.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use trueup_types::OwnerId;
use trueup_types::route::RouteTable;

const NAME: &str = "table.json";

/// The kept table, if there is one of this owner that reads.
pub(crate) fn load(dir: &Path, owner: &OwnerId) -> Option<RouteTable> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the kept route table cannot be read; starting with none");
            return None;
        }
    };
    match serde_json::from_slice::<RouteTable>(&bytes) {
        Ok(table) if table.owner == *owner => Some(table),
        Ok(table) => {
            tracing::warn!(owner = %table.owner, "the kept route table is another owner's; starting with none");
            None
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the kept route table is damaged; it is set aside");
            let _ = fs::rename(&path, dir.join("table.json.damaged"));
            None
        }
    }
}

/// Keeps a table; returns when it is on the disk.
pub(crate) fn save(dir: &Path, table: &RouteTable) -> io::Result<()> {
    // Two edges of one directory may save at once, in one process too when tested.
    let aside = dir.join(format!("{NAME}.{:016x}", fastrand::u64(..)));
    let written = write_synced(&aside, table).and_then(|()| fs::rename(&aside, dir.join(NAME)));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written.and_then(|()| File::open(dir)?.sync_all())
}

fn write_synced(path: &Path, table: &RouteTable) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&serde_json::to_vec(table)?)?;
    file.sync_all()
}
