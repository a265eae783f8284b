//! The source on a real directory: what is seen counts once it holds still, and what is not seen is not gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trueup_seams::{Absence, Snapshot, Source as _};
use trueup_sim::AppSketch;
use trueup_source::{DirectorySource, FileOutcome, Reader, Resolved, SourceConfig};

use super::Told;
use super::stage::{name, sure};
use crate::waiting::real;

/// Short, so that the stories are.
const SETTLE: Duration = Duration::from_millis(20);
/// Longer than any story: what happens is caused by events.
const NEVER: Duration = Duration::from_secs(3_600);
/// After this what was waited for will not come.
const PATIENCE: Duration = Duration::from_secs(6);
/// From a listing on, how long a file's stat needs to vouch for it, and some more.
const VOUCHED: Duration = Duration::from_millis(150);

/// Reads lines: `NAME VERSION [HOST]`.
struct Lines;

impl Reader for Lines {
    fn resolve(&self, files: &BTreeMap<String, Arc<str>>) -> Resolved {
        let mut resolved = Resolved::default();
        for (file, text) in files {
            let mut outcome = FileOutcome::default();
            for line in text.lines() {
                let sketch = match line.split(' ').collect::<Vec<_>>()[..] {
                    [app, version] => AppSketch::worker(app).env("VERSION", version),
                    [app, version, host] => {
                        let mut sketch = AppSketch::web(app).env("VERSION", version);
                        sketch.exposure.routes.iter_mut().for_each(|route| host.clone_into(&mut route.host));
                        sketch
                    }
                    _ => {
                        outcome.errors.push(format!("`{line}` is nothing"));
                        continue;
                    }
                };
                outcome.apps.push(sketch.build());
            }
            outcome.claims = outcome.apps.iter().map(|app| app.name.clone()).collect();
            resolved.files.insert(file.clone(), outcome);
        }
        resolved
    }
}

/// A directory with a source on it.
struct Bed {
    dir: tempfile::TempDir,
    source: Arc<DirectorySource>,
    /// Each snapshot that somebody was woken for.
    seen: Arc<Mutex<Vec<Arc<Snapshot>>>>,
}

impl Bed {
    fn root(&self) -> PathBuf {
        self.dir.path().join("manifests")
    }

    fn write(&self, file: &str, text: &str) -> Told {
        std::fs::write(self.root().join(file), text).map_err(|why| why.to_string())
    }

    /// A path beside the root, on the same file system.
    fn beside(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Result<Arc<Snapshot>, String> {
        let begun = Instant::now();
        loop {
            let now = self.source.snapshot();
            if holds(&now) {
                return Ok(now);
            }
            sure(begun.elapsed() < PATIENCE, &format!("not within {} s: {what}", PATIENCE.as_secs()))?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lists until so many more scans are counted.
    async fn scans(&self, more: u64) -> Told {
        let wanted = self.source.snapshot().scans + more;
        self.until("more scans", |now| {
            self.source.relist();
            now.scans >= wanted
        })
        .await
        .map(drop)
    }
}

/// Plays a story on a directory that is laid out first, once absence can be told.
fn on_a_directory(
    config: (Duration, Duration),
    lay: impl FnOnce(&Path) -> std::io::Result<()>,
    story: impl AsyncFnOnce(&Bed) -> Told,
) -> Told {
    real(async {
        let dir = tempfile::tempdir().map_err(|why| why.to_string())?;
        let root = dir.path().join("manifests");
        std::fs::create_dir(&root).and_then(|()| lay(&root)).map_err(|why| why.to_string())?;
        let (settle, rescan) = config;
        let source = DirectorySource::start(
            SourceConfig { root, settle, rescan },
            Arc::new(Lines),
            Arc::new(trueup_seams::NoSecrets),
        );
        let seen: Arc<Mutex<Vec<Arc<Snapshot>>>> = Arc::default();
        let (of, kept) = (Arc::downgrade(&source), Arc::clone(&seen));
        source.listen(Arc::new(move |_| {
            let snapshot = of.upgrade().map(|source| source.snapshot());
            kept.lock().expect("nobody panics").extend(snapshot);
        }));
        let bed = Bed { dir, source, seen };
        bed.until("absence can be told", |now| now.scans >= 2).await?;
        story(&bed).await
    })
}

fn runs(now: &Snapshot, app: &str, version: &str) -> bool {
    let found = now.apps.get(&name(app));
    found.is_some_and(|app| app.desired.template.env.get("VERSION").is_some_and(|there| there == version))
}

pub fn half_a_file_is_not_a_file() -> Told {
    let slowly = (Duration::from_millis(300), NEVER);
    on_a_directory(
        slowly,
        |root| std::fs::write(root.join("all.yaml"), "web v1\napi v1\n"),
        async |bed| {
            bed.write("all.yaml", "web v2\n")?;
            tokio::time::sleep(Duration::from_millis(80)).await;
            bed.write("all.yaml", "web v2\napi v2\n")?;
            bed.until("the whole", |now| runs(now, "api", "v2")).await?;
            let seen = bed.seen.lock().expect("nobody panics");
            sure(seen.iter().all(|now| now.apps.len() == 2), "an app was missing while its file was being written")
        },
    )
}

/// Writes to a file of the root by another name of it, of which no event tells.
fn write_unseen(bed: &Bed, text: &str) -> std::io::Result<()> {
    std::fs::write(bed.beside("another-name"), text)
}

fn linked(root: &Path) -> std::io::Result<()> {
    std::fs::write(root.join("web.yaml"), "web v1\n")?;
    std::fs::hard_link(root.join("web.yaml"), root.with_file_name("another-name"))
}

pub fn an_edit_that_keeps_its_time_is_seen() -> Told {
    on_a_directory((SETTLE, NEVER), linked, async |bed| {
        tokio::time::sleep(VOUCHED).await;
        bed.scans(2).await?;
        let io = |why: std::io::Error| why.to_string();
        let path = bed.beside("another-name");
        let modified = path.metadata().and_then(|meta| meta.modified()).map_err(io)?;
        write_unseen(bed, "web v2\n").map_err(io)?;
        std::fs::File::options().write(true).open(path).and_then(|file| file.set_modified(modified)).map_err(io)?;
        bed.until("an edit of the same length and time", |now| {
            bed.source.relist();
            runs(now, "web", "v2")
        })
        .await
        .map(drop)
    })
}

pub fn an_edit_without_an_event_is_found() -> Told {
    on_a_directory((SETTLE, Duration::from_millis(200)), linked, async |bed| {
        write_unseen(bed, "web v2\n").map_err(|why| why.to_string())?;
        bed.until("an edit of which no event tells", |now| runs(now, "web", "v2")).await.map(drop)
    })
}

pub fn a_swapped_link_is_followed() -> Told {
    use std::os::unix::fs::symlink;
    let lay = |root: &Path| {
        std::fs::create_dir(root.join("..1"))?;
        std::fs::write(root.join("..1/web.yaml"), "web v1\n")?;
        symlink("..1", root.join("..data"))?;
        symlink("..data/web.yaml", root.join("web.yaml"))
    };
    on_a_directory((SETTLE, NEVER), lay, async |bed| {
        let root = bed.root();
        let swap = || {
            std::fs::create_dir(root.join("..2"))?;
            std::fs::write(root.join("..2/web.yaml"), "web v2\n")?;
            symlink("..2", root.join("..next"))?;
            std::fs::rename(root.join("..next"), root.join("..data"))
        };
        swap().map_err(|why| why.to_string())?;
        bed.until("the swap", |now| runs(now, "web", "v2")).await.map(drop)
    })
}

pub fn an_emptied_root_is_doubted() -> Told {
    on_a_directory(
        (SETTLE, NEVER),
        |root| std::fs::write(root.join("web.yaml"), "web v1\n"),
        async |bed| {
            std::fs::remove_file(bed.root().join("web.yaml")).map_err(|why| why.to_string())?;
            let gone = |now: &Snapshot| {
                !now.apps.contains_key(&name("web")) && now.absence(&name("web")) == Absence::Confirmed
            };
            let now = bed.until("a word on the emptied root", |now| now.doubt.is_some() || gone(now)).await?;
            sure(now.doubt.is_some(), "every app is gone since the directory is empty")
        },
    )
}

pub fn lost_events_lead_to_a_listing() -> Told {
    on_a_directory(
        (SETTLE, NEVER),
        |root| std::fs::write(root.join("web.yaml"), "web v0\n"),
        async |bed| {
            for round in 1..=8 {
                let version = format!("v{round}");
                flood(&bed.root(), || {
                    std::fs::write(bed.root().join(".aside"), format!("web {version}\n"))?;
                    std::fs::rename(bed.root().join(".aside"), bed.root().join("web.yaml"))
                })?;
                bed.until("an edit whose event was lost", |now| runs(now, "web", &version)).await?;
            }
            Ok(())
        },
    )
}

/// Edits while so many events come of what no listing reads that the queue of the kernel overflows.
fn flood(root: &Path, edit: impl FnOnce() -> std::io::Result<()>) -> Told {
    let over = AtomicBool::new(false);
    let noise = |number: u32| -> std::io::Result<()> {
        use std::io::{Seek as _, Write as _};
        let open = |half: u32| std::fs::File::create(root.join(format!(".noise-{number}-{half}")));
        // Two files in turn: the kernel folds an event that repeats the one before.
        let mut files = [open(0)?, open(1)?];
        while !over.load(Ordering::Relaxed) {
            for file in &mut files {
                file.rewind()?;
                file.write_all(b".")?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..3).map(|number| scope.spawn(move || noise(number))).collect();
        std::thread::sleep(Duration::from_millis(120));
        let edited = edit();
        std::thread::sleep(Duration::from_millis(20));
        over.store(true, Ordering::Relaxed);
        let made: Vec<_> = makers.into_iter().map(|maker| maker.join()).collect();
        edited.map_err(|why| why.to_string())?;
        made.into_iter().try_for_each(|made| made.map_err(|_| "a thread panicked")?.map_err(|_| "no noise"))?;
        Ok(())
    })
}

pub fn a_broken_file_keeps_its_apps() -> Told {
    on_a_directory(
        (SETTLE, NEVER),
        |root| std::fs::write(root.join("web.yaml"), "web v1\n"),
        async |bed| {
            bed.write("web.yaml", "nonsense\n")?;
            let now = bed.until("a word on the broken file", |now| !now.faults.is_empty()).await?;
            sure(runs(&now, "web", "v1"), "a file that does not parse has taken its app along")
        },
    )
}

pub fn what_cannot_be_read_is_not_gone() -> Told {
    let lay = |root: &Path| {
        std::fs::write(root.join("api.yaml"), "api v1\n")?;
        std::fs::write(root.with_file_name("elsewhere"), "web v1\n")?;
        std::os::unix::fs::symlink("../elsewhere", root.join("web.yaml"))
    };
    on_a_directory((SETTLE, NEVER), lay, async |bed| {
        std::fs::remove_file(bed.beside("elsewhere")).map_err(|why| why.to_string())?;
        let gone =
            |now: &Snapshot| !now.apps.contains_key(&name("web")) && now.absence(&name("web")) == Absence::Confirmed;
        let now = bed.until("a word on what cannot be read", |now| {
            bed.source.relist();
            !now.faults.is_empty() || gone(now)
        });
        sure(!gone(&now.await?.as_ref().clone()), "an app is gone since its manifest cannot be read")
    })
}

pub fn gone_once_may_be_a_moment() -> Told {
    let lay = |root: &Path| {
        std::fs::write(root.join("api.yaml"), "api v1\n")?;
        std::fs::write(root.join("web.yaml"), "web v1\n")
    };
    on_a_directory((SETTLE, NEVER), lay, async |bed| {
        std::fs::remove_file(bed.root().join("web.yaml")).map_err(|why| why.to_string())?;
        bed.until("the removal", |now| !now.apps.contains_key(&name("web"))).await?;
        let seen = bed.seen.lock().expect("nobody panics");
        let first = seen.iter().find(|now| !now.apps.contains_key(&name("web")));
        let first = first.map(|now| now.absence(&name("web")));
        sure(first != Some(Absence::Confirmed), "one listing without it was enough to call an app gone")
    })
}

pub fn a_route_has_one_holder() -> Told {
    on_a_directory(
        (SETTLE, NEVER),
        |root| std::fs::write(root.join("a.yaml"), "a v1 x.test\n"),
        async |bed| {
            bed.write("b.yaml", "b v1 x.test\n")?;
            let now = bed.until("a word on the second", |now| !now.faults.is_empty() || now.apps.len() == 2).await?;
            let holders =
                now.apps.values().filter(|app| app.desired.exposure.routes.iter().any(|route| route.host == "x.test"));
            let holders = holders.count();
            sure(holders == 1, &format!("{holders} apps hold one route"))
        },
    )
}
