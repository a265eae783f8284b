//! Rollouts that wait for their turn or their time, and what a person says of one that failed or is pinned.

use std::time::Duration;

use trueup_sim::behaviour::{EXIT_AFTER_MS, SICK_AFTER_MS};
use trueup_types::order::Order;
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::window::Window;
use trueup_types::{EnvOf, Revision};

use super::scenario::{Act, LONG_BAKE, Script, TURNS_BAD_MS, Variant, live_at};

fn commit(apps: Vec<trueup_sim::AppSketch>) -> Act {
    Act::Commit(apps, Vec::new())
}

/// Three apps of which one may roll at a time; the first in name is the second to be edited, so that a daemon that asks
/// them in turn asks one that waits before the one that rolls.
pub fn capped(v: &Variant) -> Script {
    let apps = ["a", "b", "c"].map(|name| v.app(name));
    let [a, b, c] = apps.clone().map(|app| app.env("VERSION", "v2"));
    let begun: fn(&AppRecord) -> bool = |record| record.highest.0 >= 2;
    let acts = vec![commit(vec![b]), Act::Until("b", begun), commit(vec![a, c])];
    Script { rollouts_max: 1, ..Script::of(apps.to_vec(), acts) }
}

/// Opens each ten minutes, beginning some minutes after what was there before has converged.
fn each_ten_minutes(open: Duration) -> Vec<Window> {
    vec![Window { cron: "*/10 * * * *".to_owned(), time_zone: "UTC".to_owned(), duration: open }]
}

/// An edit outside of the window.
pub fn windowed(v: &Variant) -> Script {
    let mut app = v.app("web");
    app.policy.windows = each_ten_minutes(Duration::from_secs(300));
    let begun: fn(&AppRecord) -> bool = |record| record.highest.0 >= 2;
    let acts = vec![commit(vec![app.clone().env("VERSION", "v2")]), Act::Until("web", begun)];
    Script::of(vec![app], acts)
}

/// What turns bad when the window in which it was begun has long been shut: the way back asks no window.
pub fn windowed_bad(v: &Variant) -> Script {
    let mut app = v.app("web");
    app.policy.windows = each_ten_minutes(Duration::from_secs(30));
    app.policy.bake = LONG_BAKE;
    let rejected: fn(&AppRecord) -> bool = |record| !record.rejected.is_empty();
    let bad = app.clone().env("VERSION", "v2").env(SICK_AFTER_MS, TURNS_BAD_MS);
    // Who forgot that it was found bad tries it once more, when the next window opens.
    let acts = vec![commit(vec![bad]), Act::Until("web", rejected), Act::Rest(Duration::from_secs(900))];
    Script::of(vec![app], acts)
}

/// What failed is tried again by a person, and fails again.
pub fn retried(v: &Variant) -> Script {
    let app = v.app("web");
    let bad = app.clone().env("VERSION", "v2").env(EXIT_AFTER_MS, "0");
    let acts = vec![commit(vec![bad]), Act::Until("web", is_back), Act::Say("web", Order::Retry)];
    Script::of(vec![app], acts)
}

fn is_back(record: &AppRecord) -> bool {
    !record.rejected.is_empty() && matches!(record.rollout, Rollout::Idle)
}

/// A rollback that a person ends: what the manifest says is rolled out again.
pub fn resumed(v: &Variant) -> Script {
    let app = v.app("web");
    let mut next = app.clone().env("VERSION", "v2");
    next.template.args = vec!["--new".to_owned()];
    let back = Order::Rollback { to: Some(Revision(1)), env: EnvOf::Then };
    let acts = vec![
        commit(vec![next]),
        Act::Until("web", |record| live_at(record, 2)),
        Act::Say("web", back),
        // A word that was lost with the store is not waited for.
        Act::Until("web", |record| live_at(record, 3) || record.pin.is_none()),
        Act::Say("web", Order::Resume),
    ];
    Script::of(vec![app], acts)
}
