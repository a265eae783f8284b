//! What a plan leaves out because it may not do it, and how it says so.

use std::time::Duration;

use expect_test::expect;

use crate::support::{check, check_permitted_after};

#[test]
fn nothing_is_created_while_the_store_is_degraded() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed | may not create: store",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed
        remembered: r1 is good
        may not create: the store cannot save; new rollouts wait
        progressing: instances are missing; r1 is being restored, 1 of 2 pass"#]],
    );
}

#[test]
fn nothing_is_destroyed_while_a_prune_waits() {
    check(
        "gone | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | may not destroy: prune",
        expect![[r#"
        wanted: gone
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        may not destroy: 9 apps vanished at once; `trueup approve prune` lets them go
        waiting: its manifest is gone; 9 apps vanished at once; `trueup approve prune` lets them go
        look again in 2000 ms (permit)"#]],
    );
}

#[test]
fn a_rollout_waits_for_its_turn() {
    check(
        "want 2×v2 | edited | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | may not roll: cap",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
            remembered: r1 is good
            may not roll: 4 rollouts are under way, the most at a time
            waiting: 4 rollouts are under way, the most at a time; r1 stays
            look again in 30000 ms (permit)"#]],
    );
}

#[test]
fn a_rollout_waits_for_its_window() {
    check(
        "want 1×v2 | edited | good r1 | r1: 0 passing 1h routed | may not roll: window in 1h",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed
            remembered: r1 is good
            may not roll: rollouts may begin at 1970-01-12T14:46:40.000Z
            waiting: rollouts may begin at 1970-01-12T14:46:40.000Z; r1 stays
            look again in 30000 ms (permit)"#]],
    );
}

#[test]
fn a_rollout_under_way_and_a_revert_ask_no_window() {
    check(
        "want 1×v2 | good r1 | r1: 0 passing 1h routed | rolling r2 5s | r2: 0 passing 5s | may not roll: window",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r2-0 passing for 5000 ms
            remembered: r1 is good, rolling to r2
            may not roll: rollouts may not begin, and no window ever opens
            route web to [web-r2-0=1] (rollout)
            progressing: r2 is rolled out, 1 of 1 updated
            look again in 250 ms (look again)"#]],
    );
    check(
        "want 1×v2 | good r1 | r1: 0 passing 1h | baking r2 5s | r2: 0 exited 1 0s | exits r2-0 4 | may not roll: window",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms, web-r2-0 exited 1
            remembered: r1 is good, baking r2
            may not roll: rollouts may not begin, and no window ever opens
            route web to [web-r1-0=1] (revert)
            remove web-r2-0 (revert)
            reverting: r2 failed: web-r2-0 exited with code 1; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_revert_waits_for_no_turn() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 1h | r2: 0 waiting, 1 waiting | may not roll: cap",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            may not roll: 4 rollouts are under way, the most at a time
            stop web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r2 failed: web-r2-0 was not healthy in time; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn an_app_waits_for_what_it_depends_on() {
    check(
        "want 2×v1 | needs db missing",
        expect![[r#"
            wanted: 2 × v1 on local, blueGreen
            seen: nothing
            remembered: no good release
            route web to [] (reroute)
            waiting: not Ready yet: db; nothing of it runs yet
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn an_app_goes_on_when_what_it_depends_on_is_ready() {
    check(
        "want 2×v1 | needs db ready",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: nothing
        remembered: no good release
        route web to [] (rollout)
        create web-r1-0 (rollout)
        create web-r1-1 (rollout)
        progressing: r1 is rolled out, 0 of 2 updated
        look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_route_that_another_holds_is_waited_for() {
    check(
        "want 1×v1 | may not roll: route",
        expect![[r#"
            wanted: 1 × v1 on local, blueGreen
            seen: nothing
            remembered: no good release
            may not roll: the route web.localhost/ is still held by other
            route web to [] (reroute)
            waiting: the route web.localhost/ is still held by other; nothing of it runs yet
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_nobody_knows_is_left_as_it_is() {
    check(
        "held | good r1 | r1: 0 passing 1h routed, 1 exited 1 5s",
        expect![[r#"
        wanted: unknown, the source is unavailable: no such directory
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 exited 1
        remembered: r1 is good
        unknown: the source is unavailable: no such directory; nothing is changed"#]],
    );
}

#[test]
fn what_is_gone_leaves_the_table_first() {
    check(
        "gone | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        expect![[r#"
        wanted: gone
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        route web to [] (gone)
        removing: its manifest is gone; it is taken down
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_is_gone_and_out_of_the_table_is_stopped() {
    check(
        "gone | good r1 | r1: 0 passing 1h, 1 passing 1h | unrouted r1-0 1h | unrouted r1-1 1h",
        expect![[r#"
        wanted: gone
        seen: web-r1-0 passing for 3600000 ms, web-r1-1 passing for 3600000 ms
        remembered: r1 is good
        stop web-r1-0 (gone)
        stop web-r1-1 (gone)
        removing: its manifest is gone; it is taken down
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_is_orphaned_runs_on() {
    check(
        "gone orphan | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        expect![[r#"
        wanted: gone
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        orphaned: its manifest is gone; it is left running and forgotten"#]],
    );
}

#[test]
fn a_release_is_not_late_for_what_passed_while_nothing_might_go() {
    check_permitted_after(
        "want 1×v2 rolling stop-first progressDeadline 60s | good r1 | r1: 0 passing 1h | rolling r2 1s | may not destroy: prune",
        Duration::from_secs(60),
        expect![[r#"
            wanted: 1 × v2 on local, rolling
            seen: web-r1-0 passing for 3660000 ms
            remembered: r1 is good, rolling to r2
            route web to [] (rollout)
            stop web-r1-0 (stale)
            progressing: r2 is rolled out, 0 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}
