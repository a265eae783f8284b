//! What is there and fails is replaced, one at a time and for as long as it takes; what nobody remembers is read from the table.

use expect_test::expect;

use crate::support::check;

#[test]
fn a_replacement_that_fails_at_first_has_as_long_as_any_other() {
    check(
        "want 3×v1 rolling | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed, 2 failing 1h, 3 failing 1s",
        expect![[r#"
            wanted: 3 × v1 on local, rolling
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r1-2 failing (status 503), web-r1-3 failing (status 503)
            remembered: r1 is good
            progressing: web-r1-2 fails its probes; r1 is being restored, 2 of 3 pass
            look again in 299000 ms (deadline)"#]],
    );
}

#[test]
fn a_replacement_that_failed_as_long_makes_room_for_the_next() {
    check(
        "want 3×v1 rolling | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed, 2 failing 1h, 3 failing 10m",
        expect![[r#"
            wanted: 3 × v1 on local, rolling
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r1-2 failing (status 503), web-r1-3 failing (status 503)
            remembered: r1 is good
            stop web-r1-3 (replace)
            progressing: web-r1-2 fails its probes; r1 is being restored, 2 of 3 pass
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn on_the_way_back_too_one_is_replaced_in_its_place_where_two_never_run_side_by_side() {
    check(
        "want 1×v2 recreate | good r1 | rejected r2 | reverting r2 10s | r1: 0 failing 1h routed",
        expect![[r#"
        wanted: 1 × v2 on local, recreate
        seen: web-r1-0 failing (status 503) routed
        remembered: r1 is good, going back from r2, 1 rejected
        route web to [] (revert)
        reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_the_table_alone_knows_to_have_met_its_gate_is_watched_before_it_is_superseded() {
    check(
        "want 2×v2 | rolling r1 5s | r1: 0 unknown 1h routed, 1 unknown 1h routed",
        expect![[r#"
        wanted: 2 × v2 on local, blueGreen
        seen: web-r1-0 of unknown health routed, web-r1-1 of unknown health routed
        remembered: no good release, rolling to r1
        baking: r1 is promoted and watched; a newer release waits for the end of the bake, or for `promote`
        look again in 0 ms (look again)"#]],
    );
}

#[test]
fn what_has_only_begun_to_take_over_is_superseded_at_once() {
    check(
        "want 2×v2 | rolling r1 5s | r1: 0 passing 1h routed, 1 waiting 1s",
        expect![[r#"
        wanted: 2 × v2 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 waiting
        remembered: no good release, rolling to r1
        create web-r2-0 (rollout)
        create web-r2-1 (rollout)
        stop web-r1-1 (stale)
        progressing: r2 is rolled out, 0 of 2 updated
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_bake_of_which_nothing_is_left_keeps_nothing_out() {
    check(
        "want 2×v3 recreate | good r1 | baking r2 20s | promoted r2 20s | r1: 0 passing 1h routed, 1 passing 1h routed",
        expect![[r#"
            wanted: 2 × v3 on local, recreate
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
            remembered: r1 is good, baking r2
            route web to [] (rollout)
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn nobody_is_unrouted_for_a_smaller_number_while_nobody_knows_who_passes() {
    check(
        "want 1×v2 rolling | good r1 | r1: 0 unknown 1h routed, 1 unknown 1h routed, 2 unknown 1h routed",
        expect![[r#"
            wanted: 1 × v2 on local, rolling
            seen: web-r1-0 of unknown health routed, web-r1-1 of unknown health routed, web-r1-2 of unknown health routed
            remembered: r1 is good
            progressing: r2 is rolled out, 0 of 1 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn where_all_of_the_old_ones_fail_none_is_started_again_in_place_of_another() {
    check(
        "want 2×v2 | good r1 | rolling r2 10s | r2: 0 passing 1s | r1: 0 failing 1h, 1 failing 1h, 2 stopped 1s",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r2-0 passing for 1000 ms, web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r1-2 exited
            remembered: r1 is good, rolling to r2
            route web to [] (rollout)
            create web-r2-1 (rollout)
            remove web-r1-2 (stale)
            progressing: r2 is rolled out, 1 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_good_one_that_is_slow_does_not_keep_out_what_comes_after_a_superseded_one() {
    check(
        "want 1×v3 | good r1 | rolling r3 1m | r1: 0 waiting 1m | r2: 0 passing 1h routed",
        expect![[r#"
            wanted: 1 × v3 on local, blueGreen
            seen: web-r1-0 waiting, web-r2-0 passing for 3600000 ms routed
            remembered: r1 is good, rolling to r3
            stop web-r1-0 (stale)
            progressing: r3 is rolled out, 0 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_good_one_that_is_down_stays_so_until_what_comes_after_a_superseded_one_has_its_place() {
    check(
        "want 1×v3 | good r1 | rolling r3 1m | r1: 0 exited 1m | r2: 0 passing 1h routed",
        expect![[r#"
            wanted: 1 × v3 on local, blueGreen
            seen: web-r1-0 exited, web-r2-0 passing for 3600000 ms routed
            remembered: r1 is good, rolling to r3
            create web-r3-0 (rollout)
            progressing: r3 is rolled out, 0 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_good_one_that_is_down_is_started_when_what_comes_after_a_superseded_one_has_its_place() {
    check(
        "want 2×v3 | good r1 | rolling r3 1m | r1: 0 exited 1m | r2: 0 passing 1h routed | r3: 0 waiting 1m, 1 waiting 1m",
        expect![[r#"
            wanted: 2 × v3 on local, blueGreen
            seen: web-r1-0 exited, web-r2-0 passing for 3600000 ms routed, web-r3-0 waiting, web-r3-1 waiting
            remembered: r1 is good, rolling to r3
            start web-r1-0 (restart)
            progressing: r3 is rolled out, 2 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}
