//! What seeds beyond those of every CI run have found.

use expect_test::expect;

use crate::support::check;

#[test]
fn what_somebody_altered_in_a_bake_makes_room_while_the_good_ones_serve() {
    check(
        "want 1×v2 | good r1 | baking r2 5s | r1: 0 passing 1h standby | r3=v9: 0 passing 20s routed",
        expect![[r#"
        wanted: 1 × v2 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms, web-r3-0 passing for 20000 ms routed
        remembered: r1 is good, baking r2
        route web to [web-r1-0=1] (rollout)
        baking: r2 is promoted and watched
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn who_has_just_begun_leaves_routed_whoever_may_serve_well() {
    check(
        "want 1×v2 rolling | good r1 | rolling r2 5s | r1: 0 unknown routed | r2: 0 unknown routed",
        expect![[r#"
        wanted: 1 × v2 on local, rolling
        seen: web-r1-0 of unknown health routed, web-r2-0 of unknown health routed
        remembered: r1 is good, rolling to r2
        progressing: r2 is rolled out, 1 of 1 updated
        look again in 300000 ms (deadline)"#]],
    );
}

#[test]
fn what_serves_as_nobody_passes_has_not_met_its_gate() {
    check(
        "want 1×v3 | rolling r2 5s | r2: 0 failing 4s routed",
        expect![[r#"
        wanted: 1 × v3 on local, blueGreen
        seen: web-r2-0 failing (status 503) routed
        remembered: no good release, rolling to r2
        create web-r3-0 (rollout)
        progressing: r3 is rolled out, 0 of 1 updated
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn the_way_back_that_has_failed_too_long_is_started_again_in_a_bake_in_which_nobody_passes() {
    check(
        "want 1×v2 healthyDeadline 60s | good r1 | baking r2 30s | r1: 0 failing 2m | r2: 0 exited 1 1s | exits r2-0 2",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 failing (status 503), web-r2-0 exited 1
            remembered: r1 is good, baking r2
            route web to [] (rollout)
            start web-r2-0 (restart)
            stop web-r1-0 (stale)
            baking: r2 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
    check(
        "want 1×v2 healthyDeadline 60s | good r1 | baking r2 30s | r1: 0 stopped 1s | r2: 0 exited 1 1s | exits r2-0 2",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 exited, web-r2-0 exited 1
            remembered: r1 is good, baking r2
            route web to [] (rollout)
            start web-r1-0 (restart)
            start web-r2-0 (restart)
            baking: r2 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_way_back_that_stays_down_is_not_waited_for_for_ever() {
    check(
        "want 1×v2 healthyDeadline 60s | good r1 | baking r2 30s | r1: 0 stopped 2m | r2: 0 exited 1 1s | exits r2-0 1",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 exited, web-r2-0 exited 1
            remembered: r1 is good, baking r2
            route web to [] (revert)
            start web-r1-0 (restart)
            remove web-r2-0 (revert)
            reverting: r2 failed: web-r2-0 exited with code 1; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn one_too_many_that_failed_when_the_others_passed_is_given_its_time_in_the_bake() {
    check(
        "want 2×v1 healthyDeadline 60s | baking r1 5s | promoted r1 5s | r1: 0 passing 10s routed, 1 failing 10s",
        expect![[r#"
            wanted: 2 × v1 on local, blueGreen
            seen: web-r1-0 passing for 10000 ms routed, web-r1-1 failing (status 503)
            remembered: no good release, baking r1
            baking: r1 is promoted and watched
            look again in 50000 ms (deadline)"#]],
    );
}

#[test]
fn within_a_bake_what_passes_and_will_not_serve_keeps_out_nobody() {
    check(
        "want 1×v3 | r1: 0 failing 5s routed | r2: 0 passing 15s | baking r3 10s",
        expect![[r#"
            wanted: 1 × v3 on local, blueGreen
            seen: web-r1-0 failing (status 503) routed, web-r2-0 passing for 15000 ms
            remembered: no good release, baking r3
            stop web-r2-0 (stale)
            baking: r3 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn within_a_bake_one_that_came_late_has_its_time_while_it_is_seen() {
    check(
        "want 2×v1 healthyDeadline 60s | baking r1 1h | promoted r1 1h | sighted 5s | r1: 0 passing 1h routed, 1 failing 40m",
        expect![[r#"
            wanted: 2 × v1 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 failing (status 503)
            remembered: no good release, baking r1
            baking: r1 is promoted and watched
            look again in 55000 ms (bake)"#]],
    );
}
