//! `docs/museum.md`: the exhibits, where each was seen, and what catches it.

use std::path::{Path, PathBuf};

use trueup_museum::Bug;

use super::kept::Kept;
use super::{catcher, exhibit};

/// Where the page lies.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/museum.md")
}

/// The page as it should be.
pub fn text(kept: &Kept) -> String {
    let count = Bug::ALL.len();
    let met = Bug::ALL.iter().filter(|bug| !kept.tiers(**bug).is_empty()).count();
    let mut text = format!(
        "<!-- Written by `cargo xtask prove --only museum --replay write-docs`; what does not agree with it fails. -->\n\
         # The museum of bugs\n\n\
         {count} mistakes that real systems made, each planted where this house could make it, behind a switch that is\n\
         closed in everything that ships. Each proof plants them one at a time, and has to catch every one.\n\n\
         A *story* is a scenario that walks straight to the bug; it breaks with the bug and holds without. The other tiers\n\
         (`cargo xtask prove --list`) know nothing of the bugs: {met} of them they meet by themselves, in a bounded sample\n\
         of what they run. The first case in which they did is kept, and played again in each run, with the bug and without.\n\n\
         `cargo xtask prove --only museum` does all this. With `--replay NAME` it plants one bug and tries every tier on it;\n\
         with `--replay NAME:TIER` it plays the case that is kept. Issue numbers are those of the system's own tracker.\n\n\
         | bug | what it does | seen in | caught by | story |\n|---|---|---|---|---|\n"
    );
    for bug in Bug::ALL {
        let tiers = kept.tiers(*bug).into_iter().chain([catcher::STORY]).collect::<Vec<_>>().join(", ");
        let story = exhibit::story_of(*bug).name.replace('_', " ");
        text += &format!("| `{}` | {} | {} | {tiers} | {story} |\n", bug.name(), bug.story(), bug.seen());
    }
    text
}

/// Writes the page.
///
/// # Errors
/// Those of the file system.
pub fn write(kept: &Kept) -> std::io::Result<()> {
    std::fs::write(path(), text(kept))
}

/// Whether the page is as it should be.
pub fn up_to_date(kept: &Kept) -> bool {
    std::fs::read_to_string(path()).is_ok_and(|there| there == text(kept))
}
