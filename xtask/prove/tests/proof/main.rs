//! The proof's own tests: what it would not notice is no proof.

mod bites;
mod cases;
mod corpus;
mod mutation;
mod search;

/// A test inside the library would never be run: it is compiled for the program alone.
#[test]
fn no_test_lies_where_nobody_runs_it() {
    let mut open = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("it can be read");
                assert!(!text.contains("#[test]"), "{} belongs into tests/proof", path.display());
            }
        }
    }
}
