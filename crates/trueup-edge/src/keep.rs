//! The last table, kept on the disk, so that a killed edge comes back with it.
//!
//! Written aside, synced, renamed. A file that does not read is set aside and said so: the daemon hands out the table
//! again. One of before the host was booted keeps its ways in and loses who was behind them: those ports may be another
//! app's by now. Knows nothing else of what a table means.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trueup_host::World;
use trueup_types::OwnerId;
use trueup_types::route::RouteTable;

const NAME: &str = "table.json";

/// What is kept, as it is written.
#[derive(Serialize)]
struct Keeping<'a> {
    world: World,
    #[serde(flatten)]
    table: &'a RouteTable,
}

/// What is kept, as it is read.
#[derive(Deserialize)]
struct Kept {
    /// Those of before 2026-11 do not say.
    world: Option<World>,
    #[serde(flatten)]
    table: RouteTable,
}

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
    match serde_json::from_slice::<Kept>(&bytes) {
        Ok(kept) if kept.table.owner == *owner => Some(here(kept)),
        Ok(Kept { table, .. }) => {
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

/// The table without those that went with another boot.
fn here(Kept { world, mut table }: Kept) -> RouteTable {
    let lasts = world.is_none_or(|world| World::here().is_ok_and(|here| here == world));
    if !lasts {
        for app in &mut table.apps {
            for entry in &mut Arc::make_mut(app).entries {
                entry.backends.clear();
            }
        }
    }
    table
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
    file.write_all(&serde_json::to_vec(&Keeping { world: World::here()?, table })?)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use trueup_types::TableGeneration;
    use trueup_types::route::{AppRoutes, Backend, RouteEntry};

    use super::*;

    fn table() -> RouteTable {
        let address = Some(([127, 0, 0, 1], 20_001).into());
        let backend = Backend { instance: "web-r1-0".parse().expect("a name"), address, weight: 1 };
        let entry = RouteEntry { host: "web.test".to_owned(), path: "/".to_owned(), backends: vec![backend] };
        let app = AppRoutes { app: "web".parse().expect("a name"), entries: vec![entry] };
        RouteTable {
            owner: OwnerId::new("test").expect("a name"),
            generation: TableGeneration(u64::MAX),
            apps: vec![Arc::new(app)],
        }
    }

    #[test]
    fn a_table_of_this_boot_comes_back_whole_and_one_of_another_without_who_was_behind_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = table();
        save(folder.path(), &kept).expect("it is kept");
        assert_eq!(load(folder.path(), &kept.owner), Some(kept.clone()));
        let path = folder.path().join(NAME);
        let mut value: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).expect("it reads")).expect("it is JSON");
        value["world"]["bootId"] = "another".into();
        fs::write(&path, value.to_string()).expect("it is written");
        let left = load(folder.path(), &kept.owner).expect("its ways in are still known");
        let ways_in: Vec<_> = left.apps.iter().flat_map(|app| &app.entries).collect();
        assert_eq!((left.generation, ways_in.len(), ways_in[0].backends.len()), (kept.generation, 1, 0));
    }

    #[test]
    fn a_table_that_does_not_say_of_which_boot_it_is_comes_back_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = table();
        fs::write(folder.path().join(NAME), serde_json::to_vec(&kept).expect("JSON")).expect("it is written");
        assert_eq!(load(folder.path(), &kept.owner), Some(kept));
    }
}
