//! Folders that images are built of: an edit in one is an edit of what is wanted, once it holds still.

use trueup_seams::{Absence, Nudge, Snapshot, Source as _};
use trueup_source::{read_once, root_of, shipped};
use trueup_types::desired::Doubt;

use super::bed::{Bed, NEVER};
use super::toy::name;

/// What an app's folder comes to.
fn tree(now: &Snapshot, app: &str) -> Option<String> {
    now.apps.get(app).and_then(|app| app.desired.inputs.trees.get("shop").cloned())
}

#[tokio::test]
async fn an_edit_of_what_is_built_is_an_edit_of_what_is_wanted() {
    let bed = Bed::new(&[("web.yaml", "built web shop\napp api v1"), ("shop/Dockerfile", "FROM scratch")]).await;
    let now = bed.source.snapshot();
    let (first, intent) = (tree(&now, "web").expect("it was read"), now.apps["web"].desired.intent);
    assert!(tree(&now, "api").is_none());
    bed.nudges.lock().expect("nobody panics").clear();

    bed.write("shop/deep/main.c", "int main;");
    let now = bed.until("a new file is seen", |now| tree(now, "web").is_some_and(|now| now != first)).await;
    let second = tree(&now, "web");
    assert_ne!(now.apps["web"].desired.intent, intent, "its generation moves");
    assert_eq!(*bed.nudges.lock().expect("nobody panics"), [Nudge::App(name("web"))], "and nobody else is woken");

    // A folder that was not there before is watched, too.
    bed.write("shop/deep/main.c", "int main();");
    let now = bed.until("an edit in a new folder is seen", |now| tree(now, "web") != second).await;
    let third = tree(&now, "web");
    let alone = shipped(&root_of(&bed.root), &now.apps["web"].desired).expect("it reads");
    assert_eq!(alone.inputs.trees.get("shop").cloned(), third, "who looks once sees the same");
    assert!(read_once(&bed.root).is_ok());

    std::fs::remove_file(bed.root.join("shop/deep/main.c")).expect("removes");
    std::fs::remove_dir(bed.root.join("shop/deep")).expect("removes");
    let now = bed.until("it is as it was", |now| tree(now, "web") == Some(first.clone())).await;
    assert_eq!(now.apps["web"].desired.intent, intent, "and wants what it wanted");
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_keeps_what_it_was_and_one_that_never_could_holds_its_app() {
    let bed =
        Bed::start(&[("web.yaml", "built web shop\nbuilt late yard"), ("shop/Dockerfile", "FROM scratch")], NEVER);
    let now = bed.until("the first is read", |now| tree(now, "web").is_some()).await;
    assert!(!now.apps.contains_key("late"), "what it ships is not known");
    assert!(
        matches!(now.absence(&name("late")), Absence::InDoubt(Doubt::ManifestInvalid(why)) if why.contains("yard"))
    );
    let first = tree(&now, "web");

    std::fs::rename(bed.root.join("shop"), bed.root.join("yard")).expect("renames");
    let now = bed.until("both are seen", |now| now.apps.contains_key("late") && now.apps["web"].error.is_some()).await;
    assert_eq!(tree(&now, "web"), first, "what it was last counts");
    assert!(now.apps["web"].error.as_ref().is_some_and(|why| why.contains("shop")));
    assert!(now.unread.is_none(), "nothing is in doubt any more: {:?}", now.unread);
}
