//! What whole runs from seeds found, each at the moment of its decision.

use expect_test::expect;

use crate::support::{check, story};

#[test]
fn one_too_many_stays_while_nobody_knows_who_of_them_passes() {
    check(
        "want 2×v1 rolling | good r1 | r1: 0 unknown 1h routed, 1 unknown 1h routed, 2 unknown 1h",
        expect![[r#"
            wanted: 2 × v1 on local, rolling
            seen: web-r1-0 of unknown health routed, web-r1-1 of unknown health routed, web-r1-2 of unknown health
            remembered: r1 is good
            progressing: instances are missing; r1 is being restored, 0 of 2 pass"#]],
    );
}

#[test]
fn one_too_many_goes_when_enough_others_pass_and_the_failing_one_first() {
    check(
        "want 2×v1 rolling | good r1 | r1: 0 passing 1h routed, 1 failing 1h, 2 passing 1m routed",
        expect![[r#"
            wanted: 2 × v1 on local, rolling
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 failing (status 503), web-r1-2 passing for 60000 ms routed
            remembered: r1 is good
            stop web-r1-1 (replace)
            ready: web-r1-1 fails its probes; r1 serves
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn of_two_that_fail_too_long_one_goes_when_another_has_taken_its_place() {
    check(
        "want 2×v1 rolling | good r1 | r1: 0 failing 1h, 1 failing 1h, 2 passing 1m routed",
        expect![[r#"
            wanted: 2 × v1 on local, rolling
            seen: web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r1-2 passing for 60000 ms routed
            remembered: r1 is good
            stop web-r1-1 (replace)
            progressing: web-r1-0 fails its probes; r1 is being restored, 1 of 2 pass
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn the_next_is_replaced_when_the_first_has_gone() {
    check(
        "want 2×v1 rolling | good r1 | r1: 1 failing 1h, 2 passing 1m routed",
        expect![[r#"
            wanted: 2 × v1 on local, rolling
            seen: web-r1-1 failing (status 503), web-r1-2 passing for 60000 ms routed
            remembered: r1 is good
            create web-r1-0 (replace)
            progressing: web-r1-1 fails its probes; r1 is being restored, 1 of 2 pass
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_is_added_within_a_bake_is_given_the_time_of_the_gate() {
    check(
        "want 2×v2 | good r1 | baking r2 20s | promoted r2 20s | r2: 0 passing 30s routed, 1 failing 10s",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r2-0 passing for 30000 ms routed, web-r2-1 failing (status 503)
            remembered: r1 is good, baking r2
            baking: r2 is promoted and watched
            look again in 50000 ms (bake)"#]],
    );
}

#[test]
fn what_passed_the_gate_is_not() {
    check(
        "want 2×v2 | good r1 | baking r2 20s | promoted r2 20s | r2: 0 passing 30s routed, 1 failing 30s routed",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r2-0 passing for 30000 ms routed, web-r2-1 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r2-0=1] (revert)
            create web-r1-0 (revert)
            create web-r1-1 (revert)
            reverting: r2 failed: web-r2-1 failed within its bake: probe ready: status 503; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn what_is_gone_is_not_forgotten_while_nobody_sees_the_table() {
    check(
        "gone | good r1 | edge dark",
        expect![[r#"
        wanted: gone
        seen: nothing
        remembered: r1 is good
        removing: its manifest is gone; it is taken down
        look again in 2000 ms (look again)"#]],
    );
}

#[test]
fn where_all_fail_what_was_never_good_makes_room() {
    check(
        "want 2×v3 rolling worker | good r1 | rolling r3 5s | r1: 0 failing 1h, 1 failing 1h | r2: 0 failing 1h, 1 failing 1h",
        expect![[r#"
            wanted: 2 × v3 on local, rolling
            seen: web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r2-0 failing (status 503), web-r2-1 failing (status 503)
            remembered: r1 is good, rolling to r3
            stop web-r2-0 (stale)
            stop web-r2-1 (stale)
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn where_all_fail_and_nothing_was_good_no_more_stay_than_are_wanted() {
    check(
        "want 2×v3 rolling worker | rolling r3 5s | r1: 0 failing 1h, 1 failing 1h | r2: 0 failing 1h, 1 failing 1h",
        expect![[r#"
            wanted: 2 × v3 on local, rolling
            seen: web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r2-0 failing (status 503), web-r2-1 failing (status 503)
            remembered: no good release, rolling to r3
            stop web-r2-0 (stale)
            stop web-r2-1 (stale)
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn on_the_way_back_what_fails_and_was_never_good_makes_room() {
    check(
        "want 2×v3 rolling worker | good r1 | reverting r3 5s | rejected r3 | r1: 0 failing 1h, 1 failing 1h | r2: 0 failing 1h, 1 failing 1h",
        expect![[r#"
            wanted: 2 × v3 on local, rolling
            seen: web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r2-0 failing (status 503), web-r2-1 failing (status 503)
            remembered: r1 is good, going back from r3, 1 rejected
            stop web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r3 failed: its instances exited 4 times, last web-r3-0 with code 1; going back to r1
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_a_rollout_that_was_left_has_brought_in_stays_while_nobody_knows_how_the_good_ones_do() {
    check(
        "want 2×v3 rolling worker surge 1 | good r1 | rolling r3 0s | r1: 0 unknown, 1 unknown | r2: 0 unknown",
        expect![[r#"
            wanted: 2 × v3 on local, rolling
            seen: web-r1-0 of unknown health, web-r1-1 of unknown health, web-r2-0 of unknown health
            remembered: r1 is good, rolling to r3
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 600000 ms (deadline)"#]],
    );
}

#[test]
fn what_serves_keeps_its_own_routes_while_those_of_the_next_lead_nowhere() {
    check(
        "knows r1 | want 1×v2+admin port admin | rolling r2=v2+admin 10s | r1: 0 passing 1h routed",
        expect![[r#"
            wanted: 1 × v2+admin on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed
            remembered: no good release, rolling to r2
            create web-r2-0 (rollout)
            progressing: r2 is rolled out, 0 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn the_only_one_makes_room_where_more_than_there_are_may_be_missing() {
    story(
        "given 1×v1 rolling surge 0 unavailable 2\nwant 1×v2\nsettle",
        expect![[r#"
        > given 1×v1 rolling surge 0 unavailable 2
        > want 1×v2
           65.000 route web to [] (rollout); Progressing: r2 is rolled out, 0 of 1 updated
           65.000 stop web-r1-0 (stale)
           65.200 create web-r2-0 (rollout); remove web-r1-0 (stale)
           65.200 Progressing: r2 is rolled out, 1 of 1 updated
           70.200 route web to [web-r2-0=1] (rollout)
           70.200 Baking: r2 is promoted and watched
          130.200 Ready: r2 serves"#]],
    );
}
