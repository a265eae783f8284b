//! Both YAML readers give one answer, or the text is refused.

use std::fs;
use std::path::Path;

use super::{report, resolved};
use crate::scan::{self, VALUES_MAX, scan};
use crate::yaml;

fn corpus(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let read = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).expect("the file reads");
        (entry.file_name().to_string_lossy().into_owned(), text)
    };
    let mut files: Vec<_> = fs::read_dir(folder).expect("the folder is there").flatten().map(read).collect();
    files.sort();
    assert!(files.len() > 5, "a corpus this small proves nothing");
    files
}

#[test]
fn both_readers_give_the_same_answer() {
    let mut documents = 0;
    for (name, text) in corpus("same") {
        for scanned in scan(&text, VALUES_MAX) {
            assert!(scanned.whole && scanned.findings.is_empty(), "{name}: {:?}", scanned.findings);
            let root = scanned.root.as_ref().expect("only documents with content are handed out");
            let node = yaml::read(&text, &scanned, root).unwrap_or_else(|finding| panic!("{name}: {finding:?}"));
            let part = &text[scanned.at.start as usize..scanned.at.end as usize];
            let (meaning, other) = (yaml::to_json(part), scan::plain(part));
            assert!(meaning.is_some(), "{name}");
            assert_eq!(meaning, other, "{name}: the readers differ");
            assert_eq!(Some(super::trips::json_of(&node)), meaning, "{name}: and the tree is what they say");
            documents += 1;
        }
    }
    assert!(documents >= 12, "{documents} documents were compared");
}

#[test]
fn places_are_those_of_the_text() {
    let (_, text) = corpus("same").into_iter().find(|(name, _)| name == "styles.yaml").expect("it is there");
    let scanned = scan(&text, VALUES_MAX).remove(0);
    let node = yaml::read(&text, &scanned, scanned.root.as_ref().expect("it has content")).expect("it is sound");
    for entry in node.entries() {
        let at = |span: crate::text::Span| &text[span.start as usize..span.end as usize];
        assert!(at(entry.key_at).trim_matches(['"', '\'']) == &*entry.key, "{} is at {}", entry.key, at(entry.key_at));
        let (written, read) = (at(entry.node.at), entry.node.text().unwrap_or_default());
        let first = read.split_whitespace().next().unwrap_or_default();
        assert!(written.contains(first) || first.contains('\''), "{written} is {read}");
        assert!(!written.ends_with('\n'), "a mark would underline the next line: {written:?}");
    }
}

#[test]
fn what_could_mislead_is_refused() {
    for (name, text) in corpus("refused") {
        let code = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("it begins with its code");
        let resolution = resolved(&[(&name, &text)]);
        let errors: Vec<_> = resolution.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
        assert!(errors.iter().any(|error| error.code == code), "{name}: not {code}:\n{}", report(&resolution));
        assert!(errors.iter().all(|error| error.help.is_some()), "{name}: no remedy:\n{}", report(&resolution));
        assert!(resolution.apps.is_empty(), "{name} was taken");
    }
}
