//! What an app is called there: pure.
//!
//! Names are shared by all of the platform's customers. The random part of a pattern is drawn from who we are and which app
//! it is, so that the same app is called the same by a daemon that has forgotten all, and a name that is taken by somebody
//! else leads to the same next one.

use sha2::{Digest as _, Sha256};
use trueup_types::AppName;
use trueup_types::fly::FlySpec;

use crate::labels::Mine;

/// Names that are tried for one app before a person must say.
pub(crate) const CANDIDATES_MAX: u32 = 8;
/// What the random part is written in: no two of these look alike.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What an app may be called there, the first being the one that is wanted.
pub(crate) fn candidates(mine: &Mine, settings: &FlySpec, app: &AppName) -> Vec<String> {
    let tries = if settings.app_name_is_derived() { 1 } else { CANDIDATES_MAX };
    (0..tries).map(|turn| fitted(&settings.app_name(app, &random(mine, settings, app, turn)))).collect()
}

fn random(mine: &Mine, settings: &FlySpec, app: &AppName, turn: u32) -> String {
    let text = format!("{}/{}/{}/{app}/{turn}", settings.organization, mine.owner, mine.target);
    let digest = Sha256::digest(text.as_bytes());
    let letters =
        digest.iter().take(FlySpec::RANDOM_CHARACTERS).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    letters.collect()
}

/// A name within the limit: what is too long loses its middle, for its end is what tells it from others.
fn fitted(name: &str) -> String {
    let most = FlySpec::APP_NAME_BYTES_MAX;
    if name.len() <= most {
        return name.to_owned();
    }
    let end = FlySpec::RANDOM_CHARACTERS + 1;
    let (start, tail) = (&name[..most - end], &name[name.len() - end..]);
    format!("{}{tail}", start.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use trueup_types::{OwnerId, TargetName};

    use super::*;

    fn named(pattern: &str, app: &str, owner: &str) -> Vec<String> {
        let mine =
            Mine { owner: OwnerId::new(owner).expect("a name"), target: TargetName::new("prod").expect("a name") };
        let settings = FlySpec { app_name: pattern.to_owned(), ..crate::sample::settings() };
        candidates(&mine, &settings, &AppName::new(app).expect("a name"))
    }

    #[test]
    fn an_app_is_called_the_same_for_ever_and_otherwise_than_any_other() {
        let names = named("ampel-{app}-{random6}", "api", "ours");
        assert_eq!(names.len(), 8);
        assert!(names.iter().all(|name| name.starts_with("ampel-api-") && name.len() == 16), "{names:?}");
        assert_eq!(names[0], "ampel-api-w3vstw");
        assert_eq!(names, named("ampel-{app}-{random6}", "api", "ours"));
        let mut all = names;
        all.extend(named("ampel-{app}-{random6}", "api", "theirs"));
        all.extend(named("ampel-{app}-{random6}", "web", "ours"));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 24, "no two are alike");
        assert_eq!(named("ampel-{app}", "api", "ours"), ["ampel-api"]);
    }

    #[test]
    fn a_name_fits_into_a_label_of_the_dns() {
        let long = "a-very-long-name-of-an-app-that-is-full";
        for name in named("an-organisation-with-a-long-name-{app}-{random6}", long, "ours") {
            assert!(name.len() <= 63, "{name}");
            assert!(!name.contains("--"), "{name}");
        }
    }
}
