//! Lists and reads a directory: all manifests at one moment, as nearly as a file system allows.
//!
//! Hidden files, `.git` among them, and names starting with `..` are not read. Symlinks are followed, each listing
//! through the root's real path, so that a flipped worktree or a swapped `..data` is seen whole or listed again.
//! Knows nothing of what the texts mean. What is there and cannot be read is said; it is never left out.

use std::collections::BTreeMap;
use std::fs::{DirEntry, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use trueup_museum::{Bug, planted};

use crate::interest::Interest;

/// Largest manifest that is read, in bytes; the largest that Kubernetes stores is 1.5 MiB.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most manifests that are read: twice the 10,000 apps that are ordinary.
pub const FILES_MAX: usize = 20_000;

/// Deepest folder that is read; it also ends a loop of symlinks.
pub const DEPTH_MAX: usize = 32;

/// How often a root that flips while it is listed is listed again at once.
const FLIPS_MAX: usize = 3;

/// How long after its stat was first seen a file must have been read for its stat to vouch for it: longer than a tick
/// of a file system's clock, so that a later write cannot carry the same time.
const STAT_VOUCHES_AFTER: Duration = Duration::from_millis(100);

/// Whether a stat that has not changed says that the content has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Stat,
    Nothing,
}

/// All manifests at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// The device of the root.
    pub device: u64,
    /// The files, by path relative to the root.
    pub files: BTreeMap<String, Seen>,
    /// Paths at or below which something is that could not be seen, and why; `` is the root.
    pub gaps: BTreeMap<String, String>,
    /// What to watch: the folders that were listed, and those that links lead into.
    pub interest: Interest,
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub content: Content,
    stat: Stat,
    stat_since: Instant,
    read_at: Instant,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Text { text: Arc<str>, digest: [u8; 32] },
    Unreadable(String),
}

/// Why there is no listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// The root is not what it should be, in one line.
    Doubt(String),
    /// It was swapped again and again while it was listed.
    Moving,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text { digest, .. }, Self::Text { digest: of_other, .. }) => digest == of_other,
            (Self::Unreadable(why), Self::Unreadable(of_other)) => why == of_other,
            (Self::Text { .. }, Self::Unreadable(_)) | (Self::Unreadable(_), Self::Text { .. }) => false,
        }
    }
}

impl Listing {
    /// Whether both hold the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.device == other.device
            && self.gaps == other.gaps
            && self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(|(a, b)| a.0 == b.0 && a.1.content == b.1.content)
    }

    /// The files that are new or other than in `before`; `None` where anything else differs.
    pub(crate) fn newer_than(&self, before: &Self) -> Option<Vec<&str>> {
        let stays = self.device == before.device
            && self.gaps == before.gaps
            && before.files.keys().all(|file| self.files.contains_key(file));
        let new = |(file, seen): &(&String, &Seen)| {
            before.files.get(*file).is_none_or(|earlier| earlier.content != seen.content)
        };
        stays.then(|| self.files.iter().filter(new).map(|(file, _)| file.as_str()).collect())
    }

    /// Whether nothing at all was seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.gaps.is_empty()
    }
}

/// Lists `root`; texts that were read `before` are shared where they are the same.
pub(crate) fn list(root: &Path, before: Option<&Listing>, trust: Trust, now: Instant) -> Result<Listing, Unseen> {
    let doubt = |why: io::Error| {
        let root = root.display();
        let missing = why.kind() == io::ErrorKind::NotFound;
        Unseen::Doubt(if missing { format!("{root} is missing") } else { format!("{root}: {}", one_line(&why)) })
    };
    for _ in 0..FLIPS_MAX {
        let anchor = anchor(root).map_err(doubt)?;
        let meta = anchor.real.metadata().map_err(doubt)?;
        if !meta.is_dir() {
            return Err(Unseen::Doubt(format!("{} is not a directory", root.display())));
        }
        let entries = std::fs::read_dir(&anchor.real).map_err(doubt)?;
        let listing = Listing { device: meta.dev(), ..Listing::default() };
        let mut walk = Walk { before, trust, now, listing, ancestors: Vec::new() };
        walk.folder(&anchor.real, &meta, entries, "").map_err(doubt)?;
        walk.listing.interest.add_root(root);
        if self::anchor(root).is_ok_and(|after| after == anchor) {
            return Ok(walk.listing);
        }
    }
    Err(Unseen::Moving)
}

/// What a swap of the whole content moves.
#[derive(Debug, PartialEq, Eq)]
struct Anchor {
    real: PathBuf,
    inode: u64,
    data: Option<PathBuf>,
}

fn anchor(root: &Path) -> io::Result<Anchor> {
    let real = root.canonicalize()?;
    let inode = real.metadata()?.ino();
    let data = std::fs::read_link(real.join("..data")).ok();
    Ok(Anchor { real, inode, data })
}

struct Walk<'a> {
    before: Option<&'a Listing>,
    trust: Trust,
    now: Instant,
    listing: Listing,
    /// Device and inode of the folders above, to see a loop.
    ancestors: Vec<(u64, u64)>,
}

impl Walk<'_> {
    /// Lists an open folder at `prefix` (empty, or ending in `/`). An error is that of the listing itself.
    fn folder(&mut self, path: &Path, meta: &Metadata, entries: std::fs::ReadDir, prefix: &str) -> io::Result<()> {
        self.listing.interest.folders.insert(path.to_owned(), meta.ino());
        self.ancestors.push((meta.dev(), meta.ino()));
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with('.') {
                self.entry(&entry, &format!("{prefix}{name}"));
            }
        }
        self.ancestors.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, key: &str) {
        let path = entry.path();
        let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let manifest = is_manifest(key);
        match path.metadata() {
            Ok(meta) if meta.is_dir() => self.descend(&path, &meta, key),
            Ok(_) if !manifest => {}
            Ok(_) if self.listing.files.len() >= FILES_MAX => {
                let why = format!("there are more than {FILES_MAX} manifests; the rest is not read");
                self.listing.gaps.insert(String::new(), why);
            }
            Ok(meta) => {
                if linked && let Ok(real) = path.canonicalize() {
                    self.listing.interest.add_linked(real);
                }
                self.file(&path, &meta, key);
            }
            // Removed since it was listed.
            Err(why) if why.kind() == io::ErrorKind::NotFound && !linked => {}
            Err(_) if planted(Bug::TakesGapForAbsence) => {}
            Err(why) if manifest => {
                self.listing.gaps.insert(key.to_owned(), one_line(&why));
            }
            // A link to nowhere that is no manifest may be a folder of them.
            Err(why) => {
                tracing::debug!(path = %path.display(), %why, "not read");
            }
        }
    }

    fn descend(&mut self, path: &Path, meta: &Metadata, key: &str) {
        if self.ancestors.contains(&(meta.dev(), meta.ino())) {
            return;
        }
        let gap = if self.ancestors.len() >= DEPTH_MAX {
            Some(format!("folders deeper than {DEPTH_MAX} are not read"))
        } else {
            let ancestors = self.ancestors.len();
            let listed = std::fs::read_dir(path);
            let walked = listed.and_then(|entries| self.folder(path, meta, entries, &format!("{key}/")));
            self.ancestors.truncate(ancestors);
            match walked {
                Ok(()) => None,
                Err(why) if why.kind() == io::ErrorKind::NotFound => None,
                Err(why) => Some(one_line(&why)),
            }
        };
        if let Some(why) = gap {
            self.listing.gaps.insert(key.to_owned(), why);
        }
    }

    fn file(&mut self, path: &Path, meta: &Metadata, key: &str) {
        let stat = Stat::of(meta);
        let known = self.before.and_then(|before| before.files.get(key));
        let stat_since = known.filter(|known| known.stat == stat).map_or(self.now, |known| known.stat_since);
        if let Some(known) = known
            && self.trust == Trust::Stat
            && known.stat == stat
            && known.read_at.saturating_duration_since(known.stat_since) >= STAT_VOUCHES_AFTER
        {
            self.listing.files.insert(key.to_owned(), known.clone());
            return;
        }
        let content = match read(path, meta) {
            Ok(text) => {
                let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
                match known.map(|known| &known.content) {
                    Some(same @ Content::Text { digest: of_known, .. }) if *of_known == digest => same.clone(),
                    Some(Content::Text { .. } | Content::Unreadable(_)) | None => {
                        Content::Text { text: text.into(), digest }
                    }
                }
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => return,
            Err(why) => Content::Unreadable(one_line(&why)),
        };
        self.listing.files.insert(key.to_owned(), Seen { content, stat, stat_since, read_at: self.now });
    }
}

impl Stat {
    fn of(meta: &Metadata) -> Self {
        let changed = if planted(Bug::TrustsModificationTime) { (0, 0) } else { (meta.ctime(), meta.ctime_nsec()) };
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed,
        }
    }
}

fn is_manifest(key: &str) -> bool {
    Path::new(key).extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Reads one manifest within its bound.
pub(crate) fn read_file(path: &Path) -> io::Result<String> {
    read(path, &path.metadata()?)
}

fn read(path: &Path, meta: &Metadata) -> io::Result<String> {
    let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if !meta.is_file() {
        // Opening a pipe would wait for its writer.
        return Err(refuse("not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(refuse(format!("larger than {} KiB", FILE_BYTES_MAX / 1024)));
    }
    String::from_utf8(bytes).map_err(|why| refuse(format!("not UTF-8: {why}")))
}

fn one_line(why: &io::Error) -> String {
    why.to_string().lines().next().unwrap_or_default().to_owned()
}
