//! Releases with hooks: all end well, a migration fails, or what looks after the promotion finds something.

use std::time::Duration;

use trueup_sim::behaviour::{EXIT_AFTER_MS, EXIT_CODE};
use trueup_types::Label;
use trueup_types::template::{Hook, Hooks};

use super::scenario::{Act, Script, Variant};

/// How the hooks of a release end: with which codes.
pub struct Codes {
    pre_deploy: &'static [(&'static str, i32)],
    post_deploy: &'static [(&'static str, i32)],
}

/// All end well.
pub const GOOD: Codes = Codes { pre_deploy: &[("migrate", 0), ("seed", 0)], post_deploy: &[("smoke", 0)] };
/// The second migration fails.
pub const FAILING: Codes = Codes { pre_deploy: &[("migrate", 0), ("seed", 3)], post_deploy: &[] };
/// What looks after the promotion finds something.
pub const SMOKING: Codes = Codes { pre_deploy: &[("migrate", 0)], post_deploy: &[("smoke", 1)] };

/// How long each runs, in milliseconds: a daemon may die and come back meanwhile.
const TAKES_MS: u32 = 1_300;
/// Longer than the daemon is dead, and shorter than anybody's patience.
const TIMEOUT: Duration = Duration::from_secs(1_800);

/// An app without hooks, and its next release with them.
pub fn script(v: &Variant, codes: &Codes) -> Script {
    let app = v.app("web");
    let mut next = app.clone().env("VERSION", "v2");
    next.template.hooks = Hooks {
        pre_deploy: hooks(codes.pre_deploy),
        post_deploy: hooks(codes.post_deploy),
        on_revert: hooks(&[("restore", 0)]),
    };
    let acts = vec![Act::Commit(vec![next], Vec::new())];
    Script::of(vec![app], acts)
}

fn hooks(codes: &[(&str, i32)]) -> Vec<Hook> {
    let hook = |(name, code): &(&str, i32)| Hook {
        name: Label::new(name).expect("a literal name"),
        command: vec![format!("{EXIT_AFTER_MS}={TAKES_MS}"), format!("{EXIT_CODE}={code}")],
        timeout: TIMEOUT,
    };
    codes.iter().map(hook).collect()
}
