//! What is done about what befalls an app that stood well.

use expect_test::expect;

use crate::support::check;

#[test]
fn one_that_exited_is_started_again() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 exited 1 5s",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 exited 1
        remembered: r1 is good
        start web-r1-1 (restart)
        progressing: web-r1-1 is down and is started again; r1 is being restored, 1 of 2 pass
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn one_that_exits_often_waits_longer_each_time() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 exited 1 1s | exits r1-1 12",
        expect![[r#"
            wanted: 2 × v1 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 exited 1
            remembered: r1 is good
            progressing: web-r1-1 is down and is started again; r1 is being restored, 1 of 2 pass
            look again in 19480 ms (back-off)"#]],
    );
}

#[test]
fn one_that_vanished_is_made_anew() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed
        remembered: r1 is good
        create web-r1-1 (scale up)
        progressing: instances are missing; r1 is being restored, 1 of 2 pass
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn one_too_many_leaves_the_table_first() {
    check(
        "want 1×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        route web to [web-r1-0=1] (reroute)
        ready: r1 serves
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn one_with_requests_in_flight_is_drained_before_it_is_stopped() {
    check(
        "want 1×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h serving 3 | unrouted r1-1 1s",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms
        remembered: r1 is good
        ready: r1 serves
        look again in 250 ms (drain)"#]],
    );
}

#[test]
fn one_whose_drain_is_over_is_stopped() {
    check(
        "want 1×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h serving 3 | unrouted r1-1 1h",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms
        remembered: r1 is good
        stop web-r1-1 (scale down)
        ready: r1 serves
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn one_that_fails_its_probes_leaves_the_table_while_another_serves() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 failing 5s routed",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 failing (status 503) routed
        remembered: r1 is good
        route web to [web-r1-0=1] (reroute)
        progressing: web-r1-1 fails its probes; r1 is being restored, 1 of 2 pass
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn the_last_one_stays_in_the_table_though_it_fails() {
    check(
        "want 1×v1 | good r1 | r1: 0 failing 5s routed",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 failing (status 503) routed
        remembered: r1 is good
        progressing: web-r1-0 fails its probes; r1 is being restored, 0 of 1 pass
        look again in 295000 ms (deadline)"#]],
    );
}

#[test]
fn one_of_a_release_that_nobody_wants_is_replaced() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed | r9: 1 passing 1h routed",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r9-1 passing for 3600000 ms routed
        remembered: r1 is good
        create web-r1-1 (scale up)
        ready: r1 serves
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_converged_needs_nothing() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        ready: r1 serves"#]],
    );
}

#[test]
fn a_dark_edge_lets_nothing_go_that_it_may_still_send_to() {
    check(
        "want 1×v1 | good r1 | r1: 0 passing 1h, 1 passing 1h | edge dark",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms, web-r1-1 passing for 3600000 ms
        remembered: r1 is good
        progressing: instances are missing; r1 is being restored, 2 of 1 pass"#]],
    );
}

#[test]
fn one_that_was_made_and_never_begun_is_started() {
    check(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 created",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 created
        remembered: r1 is good
        start web-r1-1 (restart)
        progressing: web-r1-1 is down and is started again; r1 is being restored, 1 of 2 pass
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_rollout_goes_on_with_what_it_had_made_when_memory_was_lost() {
    check(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | r2: 0 passing 1s, 1 waiting",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 passing for 1000 ms, web-r2-1 waiting
            remembered: r1 is good
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_revision_that_is_seen_is_not_given_out_again_by_an_older_memory() {
    check(
        "want 1×v3 | r2: 0 passing 1h routed | good r1 | r1: 0 passing 1h",
        expect![[r#"
        wanted: 1 × v3 on local, blueGreen
        seen: web-r2-0 passing for 3600000 ms routed, web-r1-0 passing for 3600000 ms
        remembered: r1 is good
        route web to [web-r1-0=1] (rollout)
        progressing: r3 is rolled out, 0 of 1 updated
        look again in 0 ms (look again)"#]],
    );
}

#[test]
fn what_bears_a_good_name_where_the_good_release_never_was_is_not_the_good_release() {
    check(
        "want 1×v2 | good r1 | rolling r2 5s | r1: 0 failing 5s routed | r1 on other: 1 passing 1h",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 failing (status 503) routed, web-r1-1 passing for 3600000 ms
            remembered: r1 is good, rolling to r2
            stop web-r1-1 (stale)
            progressing: r2 is rolled out, 0 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn the_old_one_that_passes_stays_until_it_serves_though_there_is_no_room_for_the_new() {
    check(
        "want 1×v2 | good r1 | rolling r2 5s | sighted 1s | r1: 0 passing 1h, 1 unknown routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms, web-r1-1 of unknown health routed
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 0 of 1 updated
            look again in 4000 ms (health gate)"#]],
    );
}

#[test]
fn what_a_held_rollout_left_behind_gives_way_to_a_replacement_of_the_good_one() {
    check(
        "want 1×v2 hold | good r1 | failed r2 | r1: 0 failing 10m routed | r2: 0 waiting",
        expect![[r#"
        wanted: 1 × v2 on local, blueGreen
        seen: web-r1-0 failing (status 503) routed, web-r2-0 waiting
        remembered: r1 is good, 1 rejected
        stop web-r2-0 (stale)
        stalled: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; reverting is off, r1 serves and the rest waits for you
        look again in 250 ms (look again)"#]],
    );
}
