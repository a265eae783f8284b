//! What runs a `.scn` script: [`script`] reads it, [`session`] carries it out.

pub mod script;
pub mod session;

use std::path::{Path, PathBuf};

use script::Piece;
use session::Session;

/// Most lines of a script: one has to be read.
const LINES_MAX: usize = 60;

/// Where the scripts lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Runs a script, and expects the answers that stand in it; or writes them down, with `UPDATE_EXPECT=1`.
pub async fn run(name: &str) {
    let path = folder().join(format!("{name}.scn"));
    let text = std::fs::read_to_string(&path).expect("the script can be read");
    let pieces = script::read(&text);
    let mut session = Session::begin().await;
    let mut answers = Vec::new();
    for piece in &pieces {
        if let Piece::Command(command) = piece {
            answers.push(session.carry_out(command).await);
        }
    }
    let violations = session.violations();
    assert!(violations.is_empty(), "{violations:#?}");
    let told = script::spell(&pieces, &answers);
    let lines = told.lines().count();
    expect_test::expect_file![&path].assert_eq(&told);
    assert!(lines <= LINES_MAX, "{name}.scn has {lines} lines, most is {LINES_MAX}");
}
