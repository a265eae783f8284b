//! Secrets that apps ask for: a changed value is an edit of what is wanted, and one that cannot be read changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trueup_seams::{Absence, Nudge, Secrets, Snapshot};
use trueup_types::desired::Doubt;
use trueup_types::secret::{SecretFrom, SecretSpec};
use trueup_types::{AppName, Release};

use super::bed::{Bed, NEVER};
use super::toy::name;

/// Takes what a file holds for the fingerprint of it; `unreadable` stands for a mode that is refused.
#[derive(Default)]
struct Plain {
    runs: AtomicUsize,
}

impl Secrets for Plain {
    fn read(&self, spec: &SecretSpec, root: &Path) -> Result<String, String> {
        let file = match &spec.from {
            SecretFrom::File(path) => path,
            SecretFrom::Exec(words) => {
                self.runs.fetch_add(1, Ordering::SeqCst);
                &words[1]
            }
            SecretFrom::Env(_) => return Ok("of the environment".to_owned()),
        };
        let text = std::fs::read_to_string(root.join(file)).map_err(|_| format!("{file} is not there"))?;
        if text == "unreadable" { Err(format!("{file} may be read by others")) } else { Ok(text) }
    }

    fn environment(&self, _: &Release) -> Result<BTreeMap<String, String>, String> {
        Ok(BTreeMap::new())
    }

    fn mark(&self, value: &str) -> String {
        value.to_owned()
    }

    fn values(&self) -> Arc<BTreeSet<String>> {
        Arc::default()
    }

    fn needed(&self, _: &AppName, _: BTreeSet<String>) {}

    fn sweep(&self) {}
}

/// What an app's secret counts as.
fn read(now: &Snapshot, app: &str, secret: &str) -> Option<String> {
    now.apps.get(app).and_then(|app| app.desired.inputs.secret_fingerprints.get(secret).cloned())
}

fn error(now: &Snapshot, app: &str) -> String {
    now.apps.get(app).and_then(|app| app.error.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_changed_value_is_an_edit_of_what_is_wanted() {
    let files = [("web.yaml", "asks web keys\nsecret keys keys.env\napp api v1"), ("keys.env", "one")];
    let bed = Bed::keeping(&files, NEVER, Arc::new(Plain::default()));
    let now = bed.until("it is read", |now| now.scans >= 2 && read(now, "web", "keys").is_some()).await;
    let intent = now.apps["web"].desired.intent;
    assert_eq!(now.secrets.values().collect::<Vec<_>>(), ["one"]);
    bed.until("the file is watched", |_| bed.reader.calls.load(Ordering::SeqCst) > 0).await;
    bed.scans(2).await;
    bed.nudges.lock().expect("nobody panics").clear();

    bed.write("keys.env", "two");
    let now = bed.until("an edit is seen", |now| read(now, "web", "keys").as_deref() == Some("two")).await;
    assert_ne!(now.apps["web"].desired.intent, intent, "its generation moves");
    let woken = bed.nudges.lock().expect("nobody panics").clone();
    assert!(woken.contains(&Nudge::App(name("web"))) && !woken.contains(&Nudge::App(name("api"))), "{woken:?}");

    bed.write("keys.env", "one");
    let now = bed.until("it is as it was", |now| read(now, "web", "keys").as_deref() == Some("one")).await;
    assert_eq!(now.apps["web"].desired.intent, intent, "and wants what it wanted");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_keeps_what_it_was_and_one_that_never_could_holds_its_app() {
    let files = [
        ("web.yaml", "asks web keys\nasks late other\nsecret keys keys.env\nsecret other other.env"),
        ("keys.env", "one"),
    ];
    let bed = Bed::keeping(&files, NEVER, Arc::new(Plain::default()));
    let now = bed.until("the first is read", |now| read(now, "web", "keys").is_some()).await;
    assert!(!now.apps.contains_key("late"), "what it would be given is not known");
    let why = "other.env is not there";
    assert!(matches!(now.absence(&name("late")), Absence::InDoubt(Doubt::ManifestInvalid(told)) if told.contains(why)));
    assert!(now.faults.iter().any(|fault| fault.errors.iter().any(|told| told.contains(why))), "{:?}", now.faults);

    bed.write("keys.env", "unreadable");
    bed.write("other.env", "two");
    let now = bed.until("both are seen", |now| now.apps.contains_key("late") && !error(now, "web").is_empty()).await;
    assert_eq!(read(&now, "web", "keys").as_deref(), Some("one"), "what it was last counts");
    assert!(error(&now, "web").contains("keys.env may be read by others"));
    assert!(now.unread.is_none(), "nothing is in doubt any more: {:?}", now.unread);
    bed.write("keys.env", "three");
    let now = bed.until("it is mended", |now| error(now, "web").is_empty()).await;
    assert_eq!(now.secrets.len(), 2);
}

#[tokio::test]
async fn a_command_is_run_when_a_file_that_it_names_changes_and_not_at_each_look() {
    let keeper = Arc::new(Plain::default());
    let files = [("web.yaml", "asks web keys\nprints keys keys.sealed"), ("keys.sealed", "one")];
    let bed = Bed::keeping(&files, NEVER, Arc::clone(&keeper) as Arc<dyn Secrets>);
    bed.until("it is read", |now| read(now, "web", "keys").as_deref() == Some("one")).await;
    bed.scans(4).await;
    assert_eq!(keeper.runs.load(Ordering::SeqCst), 1, "looks run nothing");
    bed.write("keys.sealed", "two, and longer");
    bed.until("it is run again", |now| read(now, "web", "keys").as_deref() == Some("two, and longer")).await;
    assert_eq!(keeper.runs.load(Ordering::SeqCst), 2);
}
