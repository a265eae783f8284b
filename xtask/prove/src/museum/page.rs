//! `docs/museum.md`: the exhibits, where each was seen, and what catches it.

use std::path::{Path, PathBuf};

use trueup_museum::Bug;

use super::{catcher, exhibit};

/// Where the page lies.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/museum.md")
}

/// The page as it should be.
pub fn text() -> String {
    let count = Bug::ALL.len();
    let mut text = format!(
        "<!-- Written by `cargo xtask prove --only museum --replay write-docs`; what does not agree with it fails. -->\n\
         # The museum of bugs\n\n\
         {count} mistakes that real systems made, each planted where this house could make it, behind a switch that is\n\
         closed in everything that ships. Each proof plants them one at a time, and has to catch every one.\n\n\
         `cargo xtask prove --only museum` does so; `cargo xtask prove --only museum --replay NAME` plants one, tries every\n\
         tier on it, and shows what each found. A *story* is a scenario that walks straight to the bug; the other tiers\n\
         (`cargo xtask prove --list`) meet it by themselves. Issue numbers are those of the system's own tracker.\n\n\
         | bug | what it does | seen in | caught by | story |\n|---|---|---|---|---|\n"
    );
    for bug in Bug::ALL {
        let exhibit = exhibit::of(*bug);
        let tiers = exhibit.tiers.iter().copied().chain([catcher::STORY]).collect::<Vec<_>>().join(", ");
        let story = exhibit.story.name.replace('_', " ");
        text += &format!("| `{}` | {} | {} | {tiers} | {story} |\n", bug.name(), bug.story(), bug.seen());
    }
    text
}

/// Writes the page.
///
/// # Errors
/// Those of the file system.
pub fn write() -> std::io::Result<()> {
    std::fs::write(path(), text())
}

/// Whether the page is as it should be.
pub fn up_to_date() -> bool {
    std::fs::read_to_string(path()).is_ok_and(|there| there == text())
}
