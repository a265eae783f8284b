//! Whether an edit of an image's name is an edit of the image.
//!
//! Before the planner is asked, a name that is new is held against the releases that it would take the place of: where one
//! of them was begun with the very image that the name means, the app is wanted as that release says it, and nothing rolls.
//! Only the target knows what a name means. One that does not say, since a registry is down, keeps nobody: then the edit
//! rolls like any other.

use std::sync::Arc;

use trueup_seams::{Asking, Likeness, Runtime, Snapshot};
use trueup_types::desired::{DesiredApp, Wanted};
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::status::EventKind;
use trueup_types::{AppName, Release, Template, TemplateDigest};

use crate::engine::Engine;
use crate::wanted;

/// An app as the planner is to want it, and what was found if it was asked for the first time.
pub(crate) struct Meant {
    pub desired: Arc<DesiredApp>,
    /// One line for people, where the name is new and the image is not.
    pub told: Option<String>,
    /// Whether that was found out just now.
    pub anew: bool,
}

/// What is wanted of an app, where only its image's name is new in the words of the release that has that very image.
pub(crate) async fn wanted(engine: &Engine, snapshot: &Snapshot, app: &AppName, record: &AppRecord) -> Wanted {
    let wanted = wanted::wanted(engine, snapshot, app, record);
    let Wanted::Present(desired) = &wanted else { return wanted };
    let Some(target) = engine.target(&desired.placement.target) else { return wanted };
    let meant = meant(target.runtime.as_ref(), desired, record, Asking::ForGood).await;
    if let (true, Some(told)) = (meant.anew, meant.told) {
        engine.note(EventKind::Normal, "SameImage", Some(app), record.current, told);
    }
    Wanted::Present(meant.desired)
}

/// The app in the words of the release that has its image already, else in its own.
pub(crate) async fn meant(
    runtime: &dyn Runtime,
    desired: &Arc<DesiredApp>,
    record: &AppRecord,
    asking: Asking,
) -> Meant {
    let own = Meant { desired: Arc::clone(desired), told: None, anew: false };
    let Some(image) = &desired.template.image else { return own };
    // A person's rollback is from this very template, and ends with any other.
    if record.pin.as_ref().is_some_and(|pin| pin.holds(desired.template_digest)) {
        return own;
    }
    let known = releases(record, desired);
    if known.iter().any(|release| release.template == *desired.template) {
        return own;
    }
    for release in known {
        let template = Template { image: release.template.image.clone(), ..Template::clone(&desired.template) };
        if template != release.template {
            continue;
        }
        match runtime.alike(release, image, asking).await {
            Likeness::Same { anew } => {
                let told = format!("{image} is the image that {} was begun with: nothing rolls", release.revision);
                let template_digest = TemplateDigest::of(&template);
                let desired =
                    DesiredApp { template: Arc::new(template), template_digest, ..DesiredApp::clone(desired) };
                return Meant { desired: Arc::new(desired), told: Some(told), anew };
            }
            Likeness::Other | Likeness::Unknown => {}
        }
    }
    own
}

/// The releases that an edit is held against: where the app is heading, where it is, and what is not to be tried again.
fn releases<'r>(record: &'r AppRecord, desired: &DesiredApp) -> Vec<&'r Arc<Release>> {
    let heading = match &record.rollout {
        Rollout::Underway { to, .. } | Rollout::Baking { to, .. } => Some(*to),
        Rollout::Idle | Rollout::Reverting { .. } => None,
    };
    let rejected = record.rejected.values().map(|rejection| rejection.revision);
    let revisions = heading.into_iter().chain(record.current).chain(rejected);
    let inputs = desired.inputs_with(record.restarts);
    let near = |release: &&Arc<Release>| release.target == desired.placement.target && release.inputs == inputs;
    revisions.filter_map(|revision| record.release(revision)).filter(near).collect()
}
