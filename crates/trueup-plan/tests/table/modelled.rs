//! What the model of the planner found, kept as stories.

use expect_test::expect;

use crate::support::{check, story};

#[test]
fn an_aborted_rollback_is_taken_back_with_its_pin() {
    story(
        "given 1×v1\nwant 1×v2\nsettle\norder rollback\ntick\norder abort\nsettle",
        expect![[r#"
            > given 1×v1
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r2-0=1] (rollout)
               70.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              130.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              130.000 stop web-r1-0 (stale)
              130.200 remove web-r1-0 (stale)
            > order rollback
              130.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
            > order abort
              130.200 stop web-r3-0 (revert); Reverting: r3 failed: aborted by ann; going back to r2
              130.400 remove web-r3-0 (revert)
              130.400 Ready: r2 serves"#]],
    );
}

#[test]
fn a_rollback_tries_again_what_was_good_once_and_rejected_since() {
    story(
        "given 1×v1\nwant 1×v2\nsettle\nv1 exits 1s\nwant 1×v1\nsettle\nv1 passes 0s\norder rollback\nsettle",
        expect![[r#"
            > given 1×v1
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r2-0=1] (rollout)
               70.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              130.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              130.000 stop web-r1-0 (stale)
              130.200 remove web-r1-0 (stale)
            > v1 exits 1s
            > want 1×v1
              130.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
              130.200 Progressing: r3 is rolled out, 1 of 1 updated
              131.200 start web-r3-0 (restart); Progressing: r3 is rolled out, 0 of 1 updated; web-r3-0 exited with code 1
              131.200 Progressing: r3 is rolled out, 1 of 1 updated
              132.200 Progressing: r3 is rolled out, 0 of 1 updated; web-r3-0 exited with code 1, 2 times
              132.210 start web-r3-0 (restart)
              132.210 Progressing: r3 is rolled out, 1 of 1 updated
              133.210 Progressing: r3 is rolled out, 0 of 1 updated; web-r3-0 exited with code 1, 3 times
              133.230 start web-r3-0 (restart)
              133.230 Progressing: r3 is rolled out, 1 of 1 updated
              134.230 remove web-r3-0 (revert); Reverting: r3 failed: its instances exited 4 times, last web-r3-0 with code 1; going back to r2
              134.230 Ready: r3 failed: its instances exited 4 times, last web-r3-0 with code 1; r2 serves
            > v1 passes 0s
            > order rollback
              134.230 create web-r4-0 (rollout); Progressing: r4 is rolled out, 0 of 1 updated
              134.230 Progressing: r4 is rolled out, 1 of 1 updated
              139.230 route web to [web-r4-0=1] (rollout)
              139.230 route web to [web-r4-0=1 web-r2-0=0] (rollout); Baking: r4 is promoted and watched
              199.230 route web to [web-r4-0=1] (reroute); Ready: r4 serves
              199.230 stop web-r2-0 (stale)
              199.430 remove web-r2-0 (stale)"#]],
    );
}

#[test]
fn the_good_release_is_restored_on_the_way_back_too() {
    story(
        "given 1×v1\nv2 never passes\nwant 1×v2\ntick\nsicken web-r1-0\nsettle",
        expect![[r#"
            > given 1×v1
            > v2 never passes
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
            > sicken web-r1-0
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
              365.000 stop web-r2-0 (revert); Reverting: r2 failed: web-r2-0 was not healthy in time; going back to r1
              365.200 create web-r1-1 (revert); remove web-r2-0 (revert)
              365.200 route web to [web-r1-1=1] (reroute); Progressing: web-r1-0 fails its probes; r1 is being restored, 1 of 1 pass
              365.200 stop web-r1-0 (replace); Ready: r2 failed: web-r2-0 was not healthy in time; r1 serves
              365.400 remove web-r1-0 (replace)"#]],
    );
}

#[test]
fn the_good_release_serves_at_once_where_nothing_does_though_another_is_rolled_out() {
    story(
        "given 1×v1\nv2 passes 20s\nwant 1×v2\ntick\nhost lost\nsettle",
        expect![[r#"
            > given 1×v1
            > v2 passes 20s
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
            > host lost
               65.000 route web to [] (rollout); start web-r1-0 (restart); start web-r2-0 (restart)
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               65.500 route web to [web-r1-0=1] (rollout)
               90.000 route web to [web-r2-0=1] (rollout)
               90.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              150.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              150.000 stop web-r1-0 (stale)
              150.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_replacement_that_fails_as_long_as_what_it_was_to_replace_makes_room_for_the_next() {
    check(
        "want 1×v1 | good r1 | r1: 0 failing 1h routed, 1 failing 1h",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 failing (status 503) routed, web-r1-1 failing (status 503)
        remembered: r1 is good
        stop web-r1-1 (replace)
        progressing: web-r1-0 fails its probes; r1 is being restored, 0 of 1 pass
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn one_that_has_just_failed_is_given_its_time() {
    check(
        "want 1×v1 | good r1 | r1: 0 failing 1h routed, 1 failing 10s",
        expect![[r#"
        wanted: 1 × v1 on local, blueGreen
        seen: web-r1-0 failing (status 503) routed, web-r1-1 failing (status 503)
        remembered: r1 is good
        progressing: web-r1-0 fails its probes; r1 is being restored, 0 of 1 pass
        look again in 290000 ms (deadline)"#]],
    );
}

#[test]
fn of_workers_that_all_fail_no_more_stay_than_are_wanted() {
    check(
        "want 2×v1 rolling worker | good r1 | r1: 0 failing 1h, 1 failing 1h, 2 failing 1h",
        expect![[r#"
            wanted: 2 × v1 on local, rolling
            seen: web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r1-2 failing (status 503)
            remembered: r1 is good
            stop web-r1-2 (replace)
            progressing: web-r1-0 fails its probes; r1 is being restored, 0 of 2 pass
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn who_was_not_asked_is_not_rejected_for_its_silence() {
    check(
        "want 1×v2 | good r1 | r1: 0 passing 1h routed | rolling r2 400s | r2: 0 unknown 400s",
        expect![[r#"
            wanted: 1 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r2-0 of unknown health
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 1 of 1 updated
            look again in 200000 ms (deadline)"#]],
    );
}

#[test]
fn what_was_left_in_its_bake_makes_room_for_its_fix_where_all_fail() {
    check(
        "want 1×v3 | good r1 | rolling r3 5s | r1: 0 failing 1m | r2: 0 failing 1m routed",
        expect![[r#"
        wanted: 1 × v3 on local, blueGreen
        seen: web-r1-0 failing (status 503), web-r2-0 failing (status 503) routed
        remembered: r1 is good, rolling to r3
        route web to [web-r1-0=1] (rollout)
        progressing: r3 is rolled out, 0 of 1 updated
        look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_canary_that_fails_like_all_the_others_keeps_the_traffic_that_nobody_else_can_take() {
    story(
        "given 1×v1 steps 20@30s,50@10s\nwant 1×v2\nwait 10s\nsicken web-r1-0\nwait 5s\nsicken web-r2-0\nwait 5s\nheal web-r1-0\nsettle",
        expect![[r#"
            > given 1×v1 steps 20@30s,50@10s
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=4 web-r2-0=1] (rollout); Progressing: r2 gets 20 % of the traffic, step 1 of 2, watched for 30s
            > sicken web-r1-0
               75.000 route web to [web-r2-0=1] (rollout)
            > sicken web-r2-0
               80.000 Progressing: r2 gets 20 % of the traffic, step 1 of 2, watched for 30s; web-r2-0 fails its probes: status 503
            > heal web-r1-0
               85.000 route web to [web-r1-0=1] (revert); Reverting: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; going back to r1
               85.000 stop web-r2-0 (revert)
               85.200 remove web-r2-0 (revert)
               85.200 Ready: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; r1 serves"#]],
    );
}

#[test]
fn a_rollback_whose_pin_is_taken_back_goes_on_without_the_hooks_that_it_never_ran() {
    story(
        "given 1×v1 pre migrate\ngiven 1×v2\nwant 1×v1\norder rollback r1\ntick\norder resume\nsettle",
        expect![[r#"
            > given 1×v1 pre migrate
            > given 1×v2
            > want 1×v1
            > order rollback r1
              132.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
            > order resume
              132.200 Progressing: r3 is rolled out, 1 of 1 updated
              137.200 route web to [web-r3-0=1] (rollout)
              137.200 route web to [web-r3-0=1 web-r2-0=0] (rollout); Baking: r3 is promoted and watched
              197.200 route web to [web-r3-0=1] (reroute); Ready: r3 serves
              197.200 stop web-r2-0 (stale)
              197.400 remove web-r2-0 (stale)"#]],
    );
}

#[test]
fn in_place_what_fails_alone_keeps_the_traffic_that_nobody_else_can_take() {
    story(
        "given 2×v1 rolling surge 0 unavailable 1\nwant 2×v2\ntick\ntick\nsicken web-r1-0\nsettle",
        expect![[r#"
            > given 2×v1 rolling surge 0 unavailable 1
            > want 2×v2
               65.000 route web to [web-r1-0=1] (rollout); Progressing: r2 is rolled out, 0 of 2 updated
               65.000 stop web-r1-1 (stale)
            > sicken web-r1-0
               65.200 create web-r2-0 (rollout); remove web-r1-1 (stale)
               65.200 Progressing: r2 is rolled out, 1 of 2 updated
               70.200 route web to [web-r2-0=1] (rollout)
               70.200 stop web-r1-0 (stale)
               70.400 create web-r2-1 (rollout); remove web-r1-0 (stale)
               70.400 Progressing: r2 is rolled out, 2 of 2 updated
               75.400 route web to [web-r2-0=1 web-r2-1=1] (rollout); Baking: r2 is promoted and watched
              135.400 Ready: r2 serves"#]],
    );
}

#[test]
fn a_canary_that_had_everything_keeps_it_when_memory_is_lost() {
    story(
        "given 1×v1 steps 20@30s\nwant 1×v2\nwait 45s\nstore lost\nsettle",
        expect![[r#"
            > given 1×v1 steps 20@30s
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=4 web-r2-0=1] (rollout); Progressing: r2 gets 20 % of the traffic, step 1 of 1, watched for 30s
              100.000 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
              100.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
            > store lost
              110.000 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
              115.500 route web to [web-r1-0=4 web-r2-0=1] (rollout); Progressing: r2 gets 20 % of the traffic, step 1 of 1, watched for 30s
              145.500 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
              145.500 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              205.500 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              205.500 stop web-r1-0 (stale)
              205.700 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_canary_that_alone_is_left_is_watched_at_whatever_step_it_stands() {
    story(
        "given 1×v1 steps 20@30s,50@10s\nwant 1×v2\nwait 7s\ncrash web-r1-0\nwant 1×v3\nsettle",
        expect![[r#"
        > given 1×v1 steps 20@30s,50@10s
        > want 1×v2
           65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
           65.000 Progressing: r2 is rolled out, 1 of 1 updated
           70.000 route web to [web-r1-0=4 web-r2-0=1] (rollout); Progressing: r2 gets 20 % of the traffic, step 1 of 2, watched for 30s
        > crash web-r1-0
        > want 1×v3
           72.000 route web to [web-r2-0=1] (rollout); start web-r1-0 (restart); Baking: r2 is promoted and watched; a newer release waits for the end of the bake, or for `promote`
           72.000 route web to [web-r2-0=1 web-r1-0=0] (rollout)
          132.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
          132.000 stop web-r1-0 (stale); Progressing: r3 is rolled out, 0 of 1 updated
          132.200 create web-r3-0 (rollout); remove web-r1-0 (stale)
          132.200 Progressing: r3 is rolled out, 1 of 1 updated
          137.200 route web to [web-r2-0=4 web-r3-0=1] (rollout); Progressing: r3 gets 20 % of the traffic, step 1 of 2, watched for 30s
          167.200 route web to [web-r2-0=1 web-r3-0=1] (rollout); Progressing: r3 gets 50 % of the traffic, step 2 of 2, watched for 10s
          177.200 route web to [web-r3-0=1] (rollout); Progressing: r3 is rolled out, 1 of 1 updated
          177.200 route web to [web-r3-0=1 web-r2-0=0] (rollout); Baking: r3 is promoted and watched
          237.200 route web to [web-r3-0=1] (reroute); Ready: r3 serves
          237.200 stop web-r2-0 (stale)
          237.400 remove web-r2-0 (stale)"#]],
    );
}

#[test]
fn what_is_superseded_and_passes_makes_room_for_the_replacement_that_is_down() {
    check(
        "want 1×v1 | good r1 | r1: 0 failing 1h routed, 1 stopped | rolling r2 1s | r2: 0 passing 1s",
        expect![[r#"
            wanted: 1 × v1 on local, blueGreen
            seen: web-r1-0 failing (status 503) routed, web-r1-1 exited, web-r2-0 passing for 1000 ms
            remembered: r1 is good, rolling to r2
            stop web-r2-0 (stale)
            progressing: web-r1-0 fails its probes; r1 is being restored, 1 of 1 pass
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_canary_keeps_its_share_where_an_old_one_comes_back() {
    check(
        "want 1×v3 steps 20@10s,50@5s | good r1 | rolling r3 5s | r1: 0 failing 1h routed, 1 passing 0s | r3: 0 passing 5s routed",
        expect![[r#"
            wanted: 1 × v3 on local, canary
            seen: web-r1-0 failing (status 503) routed, web-r1-1 passing for 0 ms, web-r3-0 passing for 5000 ms routed
            remembered: r1 is good, rolling to r3
            route web to [web-r1-1=4 web-r3-0=1] (rollout)
            progressing: r3 gets 20 % of the traffic, step 1 of 2, watched for 10s
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_bake_of_what_was_taken_away_ends_where_the_good_one_has_come_back_in_its_place() {
    check(
        "want 1×v3 rolling stop-first | good r2 | baking r3 5s | r2: 0 passing 5s routed",
        expect![[r#"
            wanted: 1 × v3 on local, rolling
            seen: web-r2-0 passing for 5000 ms routed
            remembered: r2 is good, baking r3
            route web to [] (rollout)
            progressing: r4 is rolled out, 0 of 1 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn on_the_way_back_what_was_left_makes_room_though_nobody_knows_yet_how_it_does() {
    check(
        "want 2×v2 rolling worker | good r1 | rejected r2 | reverting r2 5s | r1: 0 failing 1h, 1 failing 1h | r2: 0 waiting",
        expect![[r#"
            wanted: 2 × v2 on local, rolling
            seen: web-r1-0 failing (status 503), web-r1-1 failing (status 503), web-r2-0 waiting
            remembered: r1 is good, going back from r2, 1 rejected
            create web-r1-2 (revert)
            stop web-r2-0 (revert)
            reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn what_its_host_took_in_a_bake_makes_way_where_the_good_one_has_come_back_in_its_place() {
    check(
        "want 1×v3 rolling stop-first | good r2 | baking r3 5s | r2: 0 passing 5s routed | r3: 0 lost 5s",
        expect![[r#"
            wanted: 1 × v3 on local, rolling
            seen: web-r2-0 passing for 5000 ms routed, web-r3-0 exited
            remembered: r2 is good, baking r3
            route web to [] (rollout)
            remove web-r3-0 (stale)
            progressing: r4 is rolled out, 0 of 1 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_canary_of_which_nothing_is_remembered_does_not_take_over_from_what_is_routed_beside_it() {
    check(
        "want 1×v3 steps 20@10s,50@5s | good r1 | rolling r3 5s | r1: 0 stopped | r2: 0 passing 0s routed | r3: 0 passing 0s routed",
        expect![[r#"
            wanted: 1 × v3 on local, canary
            seen: web-r1-0 exited, web-r2-0 passing for 0 ms routed, web-r3-0 passing for 0 ms routed
            remembered: r1 is good, rolling to r3
            route web to [web-r2-0=1] (rollout)
            progressing: r3 is rolled out, 1 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn one_that_was_told_to_go_is_not_late() {
    check(
        "want 1×v2 rolling healthyDeadline 30s | good r1 | r1: 0 passing 1h | rolling r2 40s | r2: 0 passing 35s, 1 stopped",
        expect![[r#"
            wanted: 1 × v2 on local, rolling
            seen: web-r1-0 passing for 3600000 ms, web-r2-0 passing for 35000 ms, web-r2-1 exited
            remembered: r1 is good, rolling to r2
            route web to [web-r2-0=1] (rollout)
            stop web-r1-0 (stale)
            remove web-r2-1 (replace)
            progressing: r2 is rolled out, 1 of 1 updated
            look again in 250 ms (look again)"#]],
    );
}
