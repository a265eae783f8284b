//! When a release is found bad, and what happens then.

use expect_test::expect;

use crate::support::check;

#[test]
fn a_release_that_exits_too_often_is_rejected_and_reverted() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 5s | r2: 0 exited 1 1s, 1 starting | exits r2-0 9",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 exited 1, web-r2-1 starting
            remembered: r1 is good, rolling to r2
            remove web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r2 failed: its instances exited 10 times, last web-r2-0 with code 1; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_release_past_its_progress_deadline_is_reverted() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 1h | r2: 0 waiting, 1 waiting",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            stop web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r2 failed: web-r2-0 was not healthy in time; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_release_within_its_deadline_is_waited_for() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 5s | r2: 0 waiting, 1 waiting",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 295000 ms (deadline)"#]],
    );
}

#[test]
fn a_release_that_cannot_start_is_reverted_at_once() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 1s | r2: 0 cannot-start, 1 starting",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 exited, web-r2-1 starting
            remembered: r1 is good, rolling to r2
            remove web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r2 failed: web-r2-0 cannot start: no such command; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_release_that_fails_within_its_bake_is_reverted_to_what_stands_by() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h standby, 1 passing 1h standby | baking r2 10s | r2: 0 failing 5s routed, 1 failing 5s routed",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms, web-r1-1 passing for 3600000 ms, web-r2-0 failing (status 503) routed, web-r2-1 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r1-0=1 web-r1-1=1] (revert)
            reverting: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_first_release_that_is_bad_has_nothing_to_go_back_to() {
    check(
        "want 2×v1 | rolling r1 1h | r1: 0 waiting, 1 waiting",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 waiting, web-r1-1 waiting
        remembered: no good release, rolling to r1
        route web to [] (reroute)
        stop web-r1-0 (replace)
        stop web-r1-1 (replace)
        stalled: r1 failed: web-r1-0 was not healthy in time; there is no good release to go back to
        look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_release_that_nobody_can_ask_runs_out_of_time_as_any_other() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 1h | r2: 0 unknown, 1 unknown",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 of unknown health, web-r2-1 of unknown health
            remembered: r1 is good, rolling to r2
            stop web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r2 failed: it made no progress in time; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_host_that_was_lost_says_nothing_against_its_release() {
    check(
        "want 2×v2 | good r1 | r1: 0 lost, 1 lost | baking r2 10s | r2: 0 lost, 1 lost",
        expect![[r#"
        wanted: 2 × v2 on local, blueGreen
        seen: web-r1-0 exited, web-r1-1 exited, web-r2-0 exited, web-r2-1 exited
        remembered: r1 is good, baking r2
        route web to [] (rollout)
        start web-r1-0 (restart)
        start web-r1-1 (restart)
        start web-r2-0 (restart)
        start web-r2-1 (restart)
        baking: r2 is promoted and watched
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_rejected_release_is_not_tried_again() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rejected r2",
        expect![[r#"
        wanted: 2 × v2 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good, 1 rejected
        ready: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; r1 serves"#]],
    );
}

#[test]
fn a_held_app_is_not_taken_back() {
    check(
        "want 2×v2 hold | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 1h | r2: 0 waiting, 1 waiting",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            stalled: r2 failed: web-r2-0 was not healthy in time; reverting is off, r1 serves and the rest waits for you
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_rollout_is_left_for_a_newer_manifest() {
    check(
        "want 2×v3 | edited | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 5s | r2: 0 waiting, 1 waiting",
        expect![[r#"
            wanted: 2 × v3 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            stop web-r2-0 (stale)
            stop web-r2-1 (stale)
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_manifest_put_back_goes_on_with_what_serves() {
    check(
        "want 2×v1 | edited | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 5s | r2: 0 waiting, 1 waiting",
        expect![[r#"
            wanted: 2 × v1 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            stop web-r2-0 (stale)
            stop web-r2-1 (stale)
            ready: r1 serves
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_daemon_that_just_came_back_gives_no_verdict_before_its_first_look() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 1h | r2: 0 unknown, 1 unknown | sighted 1s",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 of unknown health, web-r2-1 of unknown health
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 4000 ms (health gate)"#]],
    );
}
