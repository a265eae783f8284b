//! What differs, field by field, without what may be a secret: a plan ends in the log of a pipeline, or on a pull request.
//!
//! A manifest's environment is text, and says of none of its values that it is secret; names do. What is struck out here
//! still decides whether a plan is the one that was shown: that compares the digest of what is wanted.

use trueup_driver::mask::Masker;
use trueup_manifest::{FieldChange, field_diff};
use trueup_seams::AppPreview;

/// How a word of a name ends whose value is nobody's business.
const SECRET: [&str; 9] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "CREDENTIAL", "CREDENTIALS", "DSN"];
/// Where names of that kind stand.
const NAMED: [&str; 2] = ["env.", "build.args."];
/// How a key in a file begins.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";
/// What stands in its place.
const MASKED: &str = "[masked]";

/// The fields that a plan changes.
pub(super) fn changed(preview: &AppPreview) -> Vec<FieldChange> {
    let mut fields = field_diff(preview.before.as_ref(), preview.after.as_ref());
    for field in &mut fields {
        let secret = is_secret(&field.path);
        for value in [&mut field.before, &mut field.after].into_iter().flatten() {
            let hidden = secret || value.contains(PRIVATE_KEY);
            *value = if hidden { MASKED.to_owned() } else { Masker::default().strike(value) };
        }
    }
    fields
}

fn is_secret(path: &str) -> bool {
    let name = NAMED.iter().find_map(|above| path.strip_prefix(above));
    let words = name.unwrap_or_default().split(|letter: char| !letter.is_ascii_alphanumeric());
    words.map(str::to_ascii_uppercase).any(|word| SECRET.iter().any(|secret| word.ends_with(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret() {
        for path in ["env.TOKEN", "env.API_KEY", "env.DB_PASSWORD_OLD", "env.githubToken", "build.args.NPM_TOKEN"] {
            assert!(is_secret(path), "{path}");
        }
        for path in ["env.DEMO_VERSION", "env.KEYBOARD", "env.TOKENS_MAX", "command", "routes[key].host"] {
            assert!(!is_secret(path), "{path}");
        }
    }
}
