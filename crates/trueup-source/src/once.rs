//! Reads a directory at one moment, for those who judge manifests and do not follow them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use crate::walk::{self, Content, Trust, Unseen};

/// Reads all manifests below a directory, by path relative to it; or one file, by its name.
///
/// # Errors
/// One line for each thing that cannot be read: part of a directory is never taken for the whole.
pub fn read_once(path: &Path) -> Result<BTreeMap<String, Arc<str>>, String> {
    if path.metadata().is_ok_and(|meta| meta.is_file()) {
        let text = walk::read_file(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(BTreeMap::from([(name, text.into())]));
    }
    let listing = walk::list(path, None, Trust::Nothing, Instant::now()).map_err(|unseen| match unseen {
        Unseen::Doubt(why) => why,
        Unseen::Moving => format!("{} changes while it is read", path.display()),
    })?;
    let mut wrong: Vec<String> = listing.gaps.iter().map(|(gap, why)| told(path, gap, why)).collect();
    let mut texts = BTreeMap::new();
    for (file, seen) in listing.files {
        match seen.content {
            Content::Text { text, .. } => {
                texts.insert(file, text);
            }
            Content::Unreadable(why) => wrong.push(told(path, &file, &why)),
        }
    }
    if wrong.is_empty() { Ok(texts) } else { Err(wrong.join("\n")) }
}

fn told(root: &Path, file: &str, why: &str) -> String {
    format!("{}: {why}", root.join(file).display())
}
