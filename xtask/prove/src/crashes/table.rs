//! The scenarios.

use std::time::Duration;

use trueup_sim::AppSketch;
use trueup_sim::behaviour::{ANALYSE, ANALYSED_BAD, CANNOT_START, EXIT_AFTER_MS, NEVER_HEALTHY, SICK_AFTER_MS};
use trueup_types::analysis::{Analysis, Ask};
use trueup_types::order::Order;
use trueup_types::policy::RevertMode;
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::{EnvOf, Label, Revision, TargetName};

use super::scenario::{Act, LONG_BAKE, Scenario, Script, Shape, TURNS_BAD_MS, Variant, live_at};
use super::{hooked, paced};

use Shape::{BlueGreen, Canary, Counted, GiveWay, Recreate, Rolling, StopFirst, Worker};

const EVERY: &[Shape] = &[BlueGreen, Rolling, GiveWay, Recreate, StopFirst, Worker, Canary];
/// All of them, and a canary by whole instances.
const MORE: &[Shape] = &[BlueGreen, Rolling, GiveWay, Recreate, StopFirst, Worker, Canary, Counted];
const MAIN: &[Shape] = &[BlueGreen, Rolling, Recreate, Worker];
const ROUTED: &[Shape] = &[BlueGreen, Rolling, Recreate];
const SIDE_BY_SIDE: &[Shape] = &[BlueGreen, Rolling, Worker];

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "create", shapes: EVERY, script: create },
    Scenario { name: "update", shapes: MORE, script: |v| edit(v, |app| app.env("VERSION", "v2")) },
    Scenario { name: "bad-exits", shapes: EVERY, script: |v| bad(v, EXIT_AFTER_MS, "0") },
    Scenario { name: "bad-never", shapes: EVERY, script: |v| bad(v, NEVER_HEALTHY, "1") },
    Scenario { name: "bad-sickens", shapes: MORE, script: |v| bad(v, SICK_AFTER_MS, TURNS_BAD_MS) },
    Scenario { name: "bad-dies", shapes: EVERY, script: |v| bad(v, EXIT_AFTER_MS, TURNS_BAD_MS) },
    Scenario { name: "bad-start", shapes: EVERY, script: |v| bad(v, CANNOT_START, "1") },
    Scenario { name: "bad-held", shapes: MAIN, script: held },
    Scenario { name: "bad-first", shapes: MAIN, script: bad_first },
    Scenario {
        name: "scale-up",
        shapes: MAIN,
        script: |v| {
            edit(v, |app| {
                let n = app.replicas;
                app.replicas(n + 2)
            })
        },
    },
    Scenario { name: "scale-down", shapes: MAIN, script: scale_down },
    Scenario { name: "scale-none", shapes: MAIN, script: |v| edit(v, |app| app.replicas(0)) },
    Scenario { name: "rename", shapes: MAIN, script: rename },
    Scenario { name: "delete", shapes: MAIN, script: delete },
    Scenario { name: "delete-both", shapes: SIDE_BY_SIDE, script: delete_both },
    Scenario { name: "reborn", shapes: MAIN, script: reborn },
    Scenario { name: "revert", shapes: MAIN, script: revert },
    Scenario { name: "fix-forward", shapes: MAIN, script: fix_forward },
    Scenario { name: "overtaken", shapes: SIDE_BY_SIDE, script: overtaken },
    Scenario { name: "suspend", shapes: MAIN, script: suspend },
    Scenario { name: "depends", shapes: MAIN, script: depends },
    Scenario { name: "moved", shapes: SIDE_BY_SIDE, script: moved },
    Scenario { name: "rollback", shapes: MAIN, script: |v| rollback(v, EnvOf::Then) },
    Scenario { name: "rollback-now", shapes: MAIN, script: |v| rollback(v, EnvOf::Now) },
    Scenario { name: "restart", shapes: MAIN, script: restart },
    Scenario { name: "abort", shapes: SIDE_BY_SIDE, script: abort },
    Scenario { name: "reroute", shapes: ROUTED, script: reroute },
    Scenario { name: "exchange", shapes: ROUTED, script: exchange },
    Scenario { name: "approved", shapes: &[Canary], script: |v| at_a_step(v, Order::Promote) },
    Scenario { name: "promoted-fully", shapes: &[Canary], script: |v| at_a_step(v, Order::PromoteFully) },
    Scenario { name: "aborted-step", shapes: &[Canary], script: |v| at_a_step(v, Order::Abort) },
    Scenario { name: "analysed", shapes: &[Canary], script: |v| analysed(v, |app| app) },
    Scenario { name: "migrated", shapes: MAIN, script: |v| hooked::script(v, &hooked::GOOD) },
    Scenario { name: "migration-fails", shapes: SIDE_BY_SIDE, script: |v| hooked::script(v, &hooked::FAILING) },
    Scenario { name: "smoke-fails", shapes: ROUTED, script: |v| hooked::script(v, &hooked::SMOKING) },
    Scenario { name: "capped", shapes: &[BlueGreen, Rolling], script: paced::capped },
    Scenario { name: "windowed", shapes: &[BlueGreen, Rolling], script: paced::windowed },
    Scenario { name: "windowed-bad", shapes: &[BlueGreen], script: paced::windowed_bad },
    Scenario { name: "retried", shapes: &[BlueGreen, Worker], script: paced::retried },
    Scenario { name: "resumed", shapes: &[BlueGreen, Worker], script: paced::resumed },
    Scenario { name: "condemned", shapes: &[Canary], script: |v| analysed(v, |app| app.env(ANALYSED_BAD, "1")) },
];

fn put(app: AppSketch) -> Act {
    Act::Commit(vec![app], Vec::new())
}

fn edit(v: &Variant, change: impl FnOnce(AppSketch) -> AppSketch) -> Script {
    let app = v.app("web");
    Script::of(vec![app.clone()], vec![put(change(app))])
}

fn bad(v: &Variant, key: &str, value: &str) -> Script {
    let app = baked_long(v);
    Script::of(vec![app.clone()], vec![put(app.env("VERSION", "v2").env(key, value))])
}

/// An app whose bake is long enough for its next release to turn bad in it.
fn baked_long(v: &Variant) -> AppSketch {
    let mut app = v.app("web");
    app.policy.bake = LONG_BAKE;
    app
}

fn held(v: &Variant) -> Script {
    let mut app = baked_long(v);
    app.policy.revert = RevertMode::Hold;
    let next = app.clone().env("VERSION", "v2").env(SICK_AFTER_MS, TURNS_BAD_MS);
    Script { keeps_bad: true, ..Script::of(vec![app], vec![put(next)]) }
}

fn create(v: &Variant) -> Script {
    Script::of(Vec::new(), vec![put(v.app("web"))])
}

fn bad_first(v: &Variant) -> Script {
    let app = v.app("web");
    let fallen: fn(&AppRecord) -> bool = |record| !record.rejected.is_empty();
    let bad = app.clone().env("VERSION", "v0").env(EXIT_AFTER_MS, "0");
    Script::of(Vec::new(), vec![put(bad), Act::Until("web", fallen), put(app)])
}

fn scale_down(v: &Variant) -> Script {
    let app = v.app("web");
    Script::of(vec![app.clone().replicas(v.replicas + 2)], vec![put(app)])
}

fn rename(v: &Variant) -> Script {
    let mut next = v.app("site");
    next.exposure.clone_from(&v.app("web").exposure);
    Script::of(vec![v.app("web")], vec![Act::Commit(vec![next], vec!["web"])])
}

fn delete(v: &Variant) -> Script {
    Script::of(vec![v.app("web"), v.app("other")], vec![Act::Commit(Vec::new(), vec!["web"])])
}

/// An app and the one that depends on it, which goes first.
fn delete_both(v: &Variant) -> Script {
    let (db, api) = (v.app("db"), v.app("api").depends_on("db"));
    Script::of(vec![db, api, v.app("other")], vec![Act::Commit(Vec::new(), vec!["db", "api"])])
}

/// Deleted, and wanted again while it goes.
fn reborn(v: &Variant) -> Script {
    let gone = Act::Commit(Vec::new(), vec!["web"]);
    let again = put(v.app("web").env("VERSION", "v2"));
    let acts = vec![gone, Act::Rest(Duration::from_millis(90)), again];
    Script { races: true, ..Script::of(vec![v.app("web"), v.app("other")], acts) }
}

/// An edit, and the edit taken back.
fn revert(v: &Variant) -> Script {
    let app = v.app("web");
    let acts =
        vec![put(app.clone().env("VERSION", "v2")), Act::Until("web", |record| live_at(record, 2)), put(app.clone())];
    Script::of(vec![app], acts)
}

fn fix_forward(v: &Variant) -> Script {
    let app = baked_long(v);
    let reverting: fn(&AppRecord) -> bool =
        |record| matches!(record.rollout, Rollout::Reverting { .. }) || !record.rejected.is_empty();
    let acts = vec![
        put(app.clone().env("VERSION", "v2").env(SICK_AFTER_MS, TURNS_BAD_MS)),
        Act::Until("web", reverting),
        put(app.clone().env("VERSION", "v3")),
    ];
    Script { races: true, ..Script::of(vec![app], acts) }
}

/// An edit that is overtaken by the next before it is through.
fn overtaken(v: &Variant) -> Script {
    let app = v.app("web");
    let acts = vec![
        put(app.clone().env("VERSION", "v2")),
        Act::Rest(Duration::from_millis(4_200)),
        put(app.clone().env("VERSION", "v3")),
    ];
    Script { races: true, ..Script::of(vec![app], acts) }
}

fn suspend(v: &Variant) -> Script {
    let app = v.app("web");
    let acts = vec![
        Act::Say("web", Order::Suspend),
        put(app.clone().env("VERSION", "v2")),
        Act::Rest(Duration::from_secs(20)),
        Act::Say("web", Order::Resume),
    ];
    Script::of(vec![app], acts)
}

/// Two apps at once, one of which waits for the other.
fn depends(v: &Variant) -> Script {
    let (db, api) = (v.app("db"), v.app("api").depends_on("db"));
    let next = vec![db.clone().env("VERSION", "v2"), api.clone().env("VERSION", "v2"), v.app("new").depends_on("api")];
    Script::of(vec![db, api], vec![Act::Commit(next, Vec::new())])
}

fn moved(v: &Variant) -> Script {
    edit(v, |mut app| {
        app.target = TargetName::new("there").expect("a literal name");
        app
    })
}

fn rollback(v: &Variant, env: EnvOf) -> Script {
    let app = v.app("web");
    let mut next = app.clone().env("VERSION", "v2");
    next.template.args = vec!["--new".to_owned()];
    let acts = vec![
        put(next),
        Act::Until("web", |record| live_at(record, 2)),
        Act::Say("web", Order::Rollback { to: Some(Revision(1)), env }),
    ];
    Script::of(vec![app], acts)
}

fn restart(v: &Variant) -> Script {
    Script::of(vec![v.app("web")], vec![Act::Say("web", Order::Restart)])
}

fn abort(v: &Variant) -> Script {
    let app = v.app("web");
    let begun: fn(&AppRecord) -> bool = |record| record.highest.0 >= 2;
    let acts = vec![
        put(app.clone().env("VERSION", "v2")),
        Act::Until("web", begun),
        Act::Rest(Duration::from_millis(1_300)),
        Act::Say("web", Order::Abort),
    ];
    Script { races: true, ..Script::of(vec![app], acts) }
}

fn reroute(v: &Variant) -> Script {
    edit(v, |mut app| {
        app.exposure.routes[0].host = "elsewhere.localhost".to_owned();
        app
    })
}

/// Two apps exchange their routes.
fn exchange(v: &Variant) -> Script {
    let (a, b) = (v.app("a"), v.app("b"));
    let (mut next_a, mut next_b) = (a.clone(), b.clone());
    std::mem::swap(&mut next_a.exposure, &mut next_b.exposure);
    Script::of(vec![a, b], vec![Act::Commit(vec![next_a, next_b], Vec::new())])
}

/// A canary whose first step waits for a person, who says something of it.
fn at_a_step(v: &Variant, word: Order) -> Script {
    let mut app = v.app("web");
    app.policy.steps[0].approve = true;
    let shared: fn(&AppRecord) -> bool =
        |record| matches!(&record.rollout, Rollout::Underway { canary, .. } if canary.begun());
    let acts = vec![put(app.clone().env("VERSION", "v2")), Act::Until("web", shared), Act::Say("web", word)];
    Script::of(vec![app], acts)
}

/// A canary that is analysed at each step.
fn analysed(v: &Variant, change: impl FnOnce(AppSketch) -> AppSketch) -> Script {
    let mut app = v.app("web");
    let analysis = Analysis {
        name: Label::new("errors").expect("a literal name"),
        ask: Ask::Exec { command: vec![ANALYSE.to_owned()] },
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        failures: 2,
    };
    app.policy.steps.iter_mut().for_each(|step| step.analysis = vec![analysis.clone()]);
    Script::of(vec![app.clone()], vec![put(change(app.env("VERSION", "v2")))])
}
