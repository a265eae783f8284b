//! Who is to blame when the new one fails within its bake.

use expect_test::expect;

use crate::support::check;

#[test]
fn the_new_one_is_blamed_while_the_old_one_passes() {
    check(
        "want 1×v2 | good r1 | r1: 0 passing 10s standby | baking r2 20s | r2: 0 failing 5s routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 10000 ms, web-r2-0 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r1-0=1] (revert)
            reverting: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn nobody_is_blamed_for_what_both_suffer() {
    check(
        "want 1×v2 | good r1 | r1: 0 failing 5s standby | baking r2 20s | r2: 0 failing 5s routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 failing (status 503), web-r2-0 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r2-0=1] (rollout)
            baking: r2 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn an_old_one_that_has_just_recovered_says_nothing_until_the_new_one_was_asked_since() {
    check(
        "want 1×v2 | good r1 | r1: 0 passing 1s standby | baking r2 20s | r2: 0 failing 5s routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 1000 ms, web-r2-0 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r1-0=1] (rollout)
            baking: r2 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn an_old_one_that_was_not_asked_yet_says_nothing() {
    check(
        "want 1×v2 | good r1 | r1: 0 unknown standby | baking r2 20s | r2: 0 failing 5s routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 of unknown health, web-r2-0 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r2-0=1 web-r1-0=0] (rollout)
            baking: r2 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn an_old_one_is_not_waited_for_longer_than_the_gate_waits() {
    check(
        "want 1×v2 | good r1 | r1: 0 unknown standby | baking r2 10m | r2: 0 failing 5m routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 of unknown health, web-r2-0 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r1-0=1] (revert)
            reverting: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; going back to r1
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn one_that_came_up_within_the_bake_is_judged_when_it_has_had_its_time() {
    check(
        "want 1×v2 | good r1 | r1: 0 passing 1h routed | baking r2 10m | promoted r2 10m | r2: 0 failing 20s",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r2-0 failing (status 503)
            remembered: r1 is good, baking r2
            baking: r2 is promoted and watched
            look again in 40000 ms (bake)"#]],
    );
}

#[test]
fn what_its_host_lost_within_the_bake_is_watched_for_a_bake_anew() {
    check(
        "want 1×v2 | good r1 | baking r2 1h | promoted r2 1h | r1: 0 passing 1h | r2: 0 passing 20s routed",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms, web-r2-0 passing for 20000 ms routed
            remembered: r1 is good, baking r2
            route web to [web-r2-0=1 web-r1-0=0] (rollout)
            baking: r2 is promoted and watched
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_fix_does_not_wait_for_a_bake_in_which_both_fail() {
    check(
        "want 1×v3 | good r1 | baking r2 20s | promoted r2 20s | r1: 0 failing 1m | r2: 0 failing 1m routed",
        expect![[r#"
            wanted: 1 × v3 on local, blueGreen
            seen: web-r1-0 failing (status 503), web-r2-0 failing (status 503) routed
            remembered: r1 is good, baking r2
            route web to [web-r1-0=1] (rollout)
            progressing: r3 is rolled out, 0 of 1 updated
            look again in 0 ms (look again)"#]],
    );
}
