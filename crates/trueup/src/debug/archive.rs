//! One `tar.gz`, written aside and renamed: there is a whole one, or none.

use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};
use tempfile::NamedTempFile;
use trueup_types::Timestamp;

/// Everything lies below one folder, so that unpacking litters nothing.
const FOLDER: &str = "trueup-debug";
/// Only whoever unpacked it reads it.
const MODE: u32 = 0o600;

/// An archive in the making.
pub(crate) struct Archive {
    builder: Builder<GzEncoder<NamedTempFile>>,
    now: Timestamp,
    count: usize,
}

impl Archive {
    /// Begins one that will lie in `folder`; it is readable by nobody else.
    pub(crate) fn begin(folder: &Path, now: Timestamp) -> io::Result<Self> {
        // Its own words name a file that nobody has heard of.
        let aside = NamedTempFile::new_in(folder).map_err(|error| io::Error::from(error.kind()))?;
        let builder = Builder::new(GzEncoder::new(aside, Compression::default()));
        Ok(Self { builder, now, count: 0 })
    }

    /// Puts a file into it.
    pub(crate) fn put(&mut self, name: &str, content: &str) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(self.now.as_millis() / 1_000);
        self.count += 1;
        self.builder.append_data(&mut header, format!("{FOLDER}/{name}"), content.as_bytes())
    }

    /// Ends it, and gives it its name; answers how many files are in it.
    pub(crate) fn finish(self, path: &Path) -> io::Result<usize> {
        let mut aside = self.builder.into_inner()?.finish()?;
        aside.flush()?;
        aside.persist(path).map_err(|error| error.error)?;
        Ok(self.count)
    }
}
