//! What a person's rollback asks for: a release that was once good, with its own environment or with that of now.
//!
//! `rollout` heads for what is answered here as it heads for the manifest's. With the environment of now it is a release
//! that never was, so it may fail like any other, and be rejected.

use std::sync::Arc;

use trueup_museum::{Bug, planted};
use trueup_types::desired::{DesiredApp, Inputs};
use trueup_types::record::{AppRecord, Pin};
use trueup_types::{EnvOf, Release, Template, TemplateDigest};

/// The release that a pin asks for, where there is a pin and its release is kept; its number is that of then.
pub(crate) fn asked(record: &AppRecord, desired: &DesiredApp) -> Option<Arc<Release>> {
    let pin = record.pin.as_ref().filter(|_| !planted(Bug::UndoesRollback))?;
    record.release(pin.to).map(|then| dressed(then, pin.env, desired))
}

/// A release of then, in the environment that is asked for.
pub(crate) fn dressed(then: &Arc<Release>, env: EnvOf, desired: &DesiredApp) -> Arc<Release> {
    let (own, now) = (&then.template, &desired.template);
    let secrets = &desired.inputs.secret_fingerprints;
    let same = own.env == now.env && own.env_from == now.env_from && then.inputs.secret_fingerprints == *secrets;
    if env == EnvOf::Then || same {
        return Arc::clone(then);
    }
    let template = Template { env: now.env.clone(), env_from: now.env_from.clone(), ..own.clone() };
    let inputs = Inputs { secret_fingerprints: secrets.clone(), ..then.inputs.clone() };
    let digest = Release::digest_of(TemplateDigest::of(&template), &inputs);
    Arc::new(Release { digest, template, inputs, ..Release::clone(then) })
}

/// Ends a pin with the rollout that it led to, which was bad; one that led to what is gone back to holds.
pub(crate) fn end_with_its_rollout(record: &mut AppRecord) {
    let good = record.current;
    let notes = &record.history;
    let led_to_good = |pin: &Pin| {
        let mut later = notes.iter().filter(|note| Some(note.revision) == good && note.started >= pin.word.at);
        later.any(|note| note.again.as_ref().is_some_and(|again| again.of == pin.to))
    };
    if !record.pin.as_ref().is_some_and(led_to_good) {
        record.pin = None;
    }
}
