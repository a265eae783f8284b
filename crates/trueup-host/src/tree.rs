//! A folder that is shipped: what is in it, and what all of it comes to.
//!
//! A source reads one to know whether a release is another; a runtime reads it again to ship it, and holds it to what was
//! read first. The digest is of names, kinds, rights and contents: neither times nor owners count, nor the order in which
//! a file system lists. The folder `.git` at its root is never part of it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::ignore::Ignore;

/// Most files and folders of one tree: ten times a large one.
pub const ENTRIES_MAX: usize = 200_000;
/// Deepest folder.
pub const DEPTH_MAX: usize = 64;
/// What names the files that are left out.
const IGNORE_FILE: &str = ".dockerignore";
/// What is left out of every tree.
const NEVER: &str = ".git";
/// How much is read of a file at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a file's stat must have been the same before it vouches for the content: clocks of file systems are coarse.
const STAT_VOUCHES_AFTER: Duration = Duration::from_secs(2);

/// All of a folder that is shipped, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
    folders: BTreeMap<PathBuf, u64>,
}

/// One thing of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its permission bits.
    pub mode: u32,
}

/// What a thing of a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A link to somewhere.
    Link(PathBuf),
    /// A file.
    File(Content),
}

/// What a file of a tree holds.
#[derive(Debug, Clone)]
pub struct Content {
    digest: [u8; 32],
    stat: Stat,
    stat_since: Instant,
    read_at: Instant,
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
        self.digest == other.digest
    }
}

impl Eq for Content {}

impl Tree {
    /// Reads a folder. Files that `known` vouches for, by their stat, are not read again.
    ///
    /// `recipe` is the path of the Dockerfile within it: it is part of the tree even where it is left out by name, as is
    /// the `.dockerignore`; one that stands beside the recipe (`Dockerfile.dockerignore`) is taken in place of the folder's.
    ///
    /// # Errors
    /// One line, naming the path: what cannot be read wholly is not read at all.
    pub fn read(root: &Path, recipe: Option<&str>, known: Option<&Self>, now: Instant) -> Result<Self, String> {
        let meta = std::fs::metadata(root).map_err(|why| told(root, &why))?;
        if !meta.is_dir() {
            return Err(format!("{} is not a folder", root.display()));
        }
        let own = recipe.map(|recipe| format!("{recipe}{IGNORE_FILE}"));
        let own = own.filter(|own| root.join(own).is_file()).unwrap_or_else(|| IGNORE_FILE.to_owned());
        let ignore = match std::fs::read_to_string(root.join(&own)) {
            Ok(text) => Ignore::read(&text),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ignore::default(),
            Err(why) => return Err(told(&root.join(&own), &why)),
        };
        let kept = [Some(own.as_str()), recipe].into_iter().flatten().map(str::to_owned).collect();
        let mut walk = Walk { ignore, kept, known, now, tree: Self::default() };
        walk.tree.folders.insert(root.to_owned(), meta.ino());
        walk.folder(root, "", 0)?;
        Ok(walk.tree)
    }

    /// What all of it comes to, in 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (path, entry) in &self.entries {
            let (kind, content) = match &entry.kind {
                EntryKind::Folder => ("folder", Vec::new()),
                EntryKind::Link(to) => ("link", to.as_os_str().as_encoded_bytes().to_vec()),
                EntryKind::File(content) => ("file", content.digest.to_vec()),
            };
            // No name holds a NUL, so that no two trees are spelled alike.
            sum.update(format!("{path}\0{kind}\0{:o}\0{}\0", entry.mode, content.len()));
            sum.update(content);
        }
        let bytes: [u8; 32] = sum.finalize().into();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its things by path from the root, folders before what is in them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Its folders with their inodes, the root among them: what to watch.
    pub fn folders(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.folders.iter().map(|(path, inode)| (path.as_path(), *inode))
    }
}

struct Walk<'a> {
    ignore: Ignore,
    /// What is shipped whatever is left out.
    kept: Vec<String>,
    known: Option<&'a Tree>,
    now: Instant,
    tree: Tree,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, prefix: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("{} is deeper than {DEPTH_MAX} folders", path.display()));
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|why| told(path, &why))? {
            names.push(entry.map_err(|why| told(path, &why))?.file_name());
        }
        names.sort();
        for name in names {
            let Some(text) = name.to_str() else {
                return Err(format!("{} is not named in UTF-8", path.join(&name).display()));
            };
            self.entry(&path.join(&name), format!("{prefix}{text}"), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, key: String, depth: usize) -> Result<(), String> {
        if key == NEVER {
            return Ok(());
        }
        let meta = match std::fs::symlink_metadata(path) {
            Ok(meta) => meta,
            // Removed since it was listed.
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(told(path, &why)),
        };
        let out = self.ignore.leaves_out(&key) && !self.kept.contains(&key);
        let holds_kept = || self.kept.iter().any(|kept| kept.starts_with(&format!("{key}/")));
        if out && !(meta.is_dir() && (self.ignore.may_take_back() || holds_kept())) {
            return Ok(());
        }
        if self.tree.entries.len() >= ENTRIES_MAX {
            return Err(format!("there are more than {ENTRIES_MAX} files; leave some out in {IGNORE_FILE}"));
        }
        let mode = meta.mode() & 0o7777;
        if meta.is_dir() {
            self.tree.folders.insert(path.to_owned(), meta.ino());
            if !out {
                self.tree.entries.insert(key.clone(), Entry { kind: EntryKind::Folder, mode });
            }
            return self.folder(path, &format!("{key}/"), depth + 1);
        }
        let kind = if meta.is_symlink() {
            EntryKind::Link(std::fs::read_link(path).map_err(|why| told(path, &why))?)
        } else if meta.is_file() {
            EntryKind::File(self.file(path, &meta, &key)?)
        } else {
            // A socket or a pipe cannot be shipped, and opening one may wait for ever.
            return Ok(());
        };
        // The rights of a link mean nothing.
        let mode = if meta.is_symlink() { 0o777 } else { mode };
        self.tree.entries.insert(key, Entry { kind, mode });
        Ok(())
    }

    fn file(&self, path: &Path, meta: &Metadata, key: &str) -> Result<Content, String> {
        let stat = Stat::of(meta);
        let known = self.known.and_then(|known| match &known.entries.get(key)?.kind {
            EntryKind::File(content) => Some(content).filter(|content| content.stat == stat),
            EntryKind::Folder | EntryKind::Link(_) => None,
        });
        if let Some(known) = known
            && known.read_at.saturating_duration_since(known.stat_since) >= STAT_VOUCHES_AFTER
        {
            return Ok(known.clone());
        }
        let stat_since = known.map_or(self.now, |known| known.stat_since);
        let digest = sum(path).map_err(|why| told(path, &why))?;
        Ok(Content { digest, stat, stat_since, read_at: self.now })
    }
}

impl Stat {
    fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

fn sum(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let (mut sum, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(sum.finalize().into()),
            count => sum.update(&chunk[..count]),
        }
    }
}

fn told(path: &Path, why: &io::Error) -> String {
    let why = why.to_string();
    format!("{}: {}", path.display(), why.lines().next().unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the clock of these tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("folders are made");
        std::fs::write(path, text).expect("it is written");
    }

    fn digest(root: &Path) -> String {
        Tree::read(root, Some("Dockerfile"), None, Instant::now()).expect("it reads").digest()
    }

    fn paths(root: &Path) -> Vec<String> {
        let tree = Tree::read(root, Some("Dockerfile"), None, Instant::now()).expect("it reads");
        tree.entries().map(|(path, _)| path.to_owned()).collect()
    }

    #[test]
    fn what_is_shipped_decides_and_neither_time_nor_what_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        write(root, "Dockerfile", "FROM scratch\n");
        write(root, "src/main.rs", "fn main() {}\n");
        write(root, "target/out", "much");
        write(root, ".git/HEAD", "ref");
        write(root, ".dockerignore", "target\nDockerfile\n");
        let first = digest(root);
        assert_eq!(paths(root), [".dockerignore", "Dockerfile", "src", "src/main.rs"]);
        write(root, "target/out", "other");
        write(root, ".git/HEAD", "another");
        write(root, "src/main.rs", "fn main() {}\n");
        assert_eq!(digest(root), first, "the same is the same, whenever it was written");
        write(root, "src/main.rs", "fn main() { }\n");
        let changed = digest(root);
        assert_ne!(changed, first);
        let rights = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.join("src/main.rs"), rights).expect("its rights are set");
        assert_ne!(digest(root), changed, "a program that may be run is another");
    }

    #[test]
    fn what_is_taken_back_in_is_found_in_a_folder_that_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "out/deep/kept", "x");
        write(folder.path(), "out/gone", "x");
        write(folder.path(), ".dockerignore", "out\n!out/deep/kept\n");
        assert_eq!(paths(folder.path()), [".dockerignore", "out/deep/kept"]);
    }

    #[test]
    fn a_stat_vouches_for_a_content_only_when_it_is_old_enough() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "file", "one");
        let start = Instant::now();
        let read = |known: Option<&Tree>, after: u64| {
            Tree::read(folder.path(), None, known, start + Duration::from_secs(after)).expect("it reads")
        };
        let first = read(None, 0);
        let second = read(Some(&first), 3);
        let content = |tree: &Tree| match &tree.entries["file"].kind {
            EntryKind::File(content) => (content.stat_since, content.read_at),
            EntryKind::Folder | EntryKind::Link(_) => panic!("it is a file"),
        };
        assert_eq!(content(&second), (start, start + Duration::from_secs(3)), "it was read once more");
        let third = read(Some(&second), 9);
        assert_eq!(content(&third), content(&second), "and then no more");
        write(folder.path(), "file", "two");
        assert_ne!(read(Some(&third), 10).digest(), first.digest());
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("nowhere");
        let why = Tree::read(&missing, None, None, Instant::now()).expect_err("it is not there");
        assert!(why.contains("nowhere"), "{why}");
        write(folder.path(), "file", "x");
        let why = Tree::read(&folder.path().join("file"), None, None, Instant::now()).expect_err("it is a file");
        assert!(why.contains("not a folder"), "{why}");
    }
}
