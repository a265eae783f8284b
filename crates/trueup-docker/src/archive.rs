//! What an engine is sent to unpack: the manifest's files, and the folder that an image is built of. One file of ours knows
//! the format.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use trueup_host::Tree;
use trueup_host::tree::EntryKind;
use trueup_types::Template;

/// The archive, to be unpacked at `/`; `None` where there is nothing to write.
pub(crate) fn of(template: &Template) -> std::io::Result<Option<Vec<u8>>> {
    if template.files.is_empty() {
        return Ok(None);
    }
    let (uid, gid) = numbers(template.user.as_deref());
    let mut archive = tar::Builder::new(Vec::new());
    for file in &template.files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(uid);
        header.set_gid(gid);
        archive.append_data(&mut header, file.path.trim_start_matches('/'), file.content.as_bytes())?;
    }
    archive.into_inner().map(Some)
}

/// Packs a folder into a file, as a builder wants it: everything belongs to root, and has the time that it has.
///
/// # Errors
/// When something cannot be read, or has become longer or shorter since it was looked at.
pub(crate) fn pack(root: &Path, tree: &Tree, into: &Path) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(into)?));
    archive.follow_symlinks(false);
    for (path, entry) in tree.entries() {
        let (from, mut header) = (root.join(path), tar::Header::new_gnu());
        header.set_metadata_in_mode(&std::fs::symlink_metadata(&from)?, tar::HeaderMode::Complete);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        match &entry.kind {
            EntryKind::Folder => archive.append_data(&mut header, format!("{path}/"), std::io::empty())?,
            EntryKind::Link(to) => archive.append_link(&mut header, path, to)?,
            // What is longer by now is found out afterwards.
            EntryKind::File(_) => {
                let bytes = header.size()?;
                archive.append_data(&mut header, path, File::open(&from)?.take(bytes))?;
            }
        }
    }
    archive.into_inner()?.flush()
}

/// Whose the files are: the user that the manifest names by number. A name is known only within the image, so that
/// files of such a user belong to root, and are read by the rights that the manifest gives to all.
fn numbers(user: Option<&str>) -> (u64, u64) {
    let (user, group) = user.map_or(("0", "0"), |user| user.split_once(':').unwrap_or((user, user)));
    let uid = user.parse().unwrap_or(0);
    (uid, group.parse().unwrap_or(uid))
}

#[cfg(test)]
mod tests {
    use trueup_types::template::FileSpec;

    use super::*;

    #[test]
    fn files_are_archived_with_their_rights_and_their_owner() {
        let long = format!("/opt/{}/app.conf", "deep/".repeat(40));
        let file = |path: &str, mode| FileSpec { path: path.to_owned(), content: "x = 1\n".to_owned(), mode };
        let template = Template {
            files: vec![file("/etc/app.conf", 0o640), file(&long, 0o755)],
            user: Some("33".to_owned()),
            ..Template::default()
        };
        let bytes = of(&template).expect("it is archived").expect("there are files");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().expect("it is an archive") {
            let mut entry = entry.expect("it reads");
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content).expect("it is text");
            assert_eq!(content, "x = 1\n");
            let header = entry.header();
            let rights =
                (header.mode().expect("a mode"), header.uid().expect("a user"), header.gid().expect("a group"));
            seen.push((entry.path().expect("a path").display().to_string(), rights));
        }
        let expected = [("etc/app.conf".to_owned(), (0o640, 33, 33)), (long[1..].to_owned(), (0o755, 33, 33))];
        assert_eq!(seen, expected);
        assert!(of(&Template::default()).expect("nothing fails").is_none());
        assert_eq!((numbers(Some("7:8")), numbers(Some("www-data")), numbers(None)), ((7, 8), (0, 0), (0, 0)));
    }
}
