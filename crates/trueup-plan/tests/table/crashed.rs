//! What killing the daemon at every boundary has found: each case kept, as a scene or a story.

use expect_test::expect;

use trueup_plan::adopt;

use crate::support::app::web;
use crate::support::scene::{NOW, Scene};
use crate::support::{check, story};

#[test]
fn one_that_waits_to_be_started_again_holds_its_place_in_the_surge() {
    check(
        "want 3×v2 rolling surge 1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed, 2 passing 1h routed | rolling r2 1s | r2: 0 exited 1 0s | exits r2-0 2",
        expect![[r#"
            wanted: 3 × v2 on local, rolling
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r1-2 passing for 3600000 ms routed, web-r2-0 exited 1
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 0 of 3 updated; web-r2-0 exited with code 1, 3 times
            look again in 20 ms (back-off)"#]],
    );
}

#[test]
fn nobody_makes_room_while_it_is_not_known_how_those_do_that_serve_on() {
    check(
        "want 2×v2 rolling surge 0 unavailable 1 | good r1 | r1: 0 unknown routed, 1 unknown | rolling r2 1s | r2: 1 unknown routed",
        expect![[r#"
            wanted: 2 × v2 on local, rolling
            seen: web-r1-0 of unknown health routed, web-r1-1 of unknown health, web-r2-1 of unknown health routed
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 1 of 2 updated
            look again in 300000 ms (deadline)"#]],
    );
}

#[test]
fn what_made_room_for_something_newer_is_the_way_back_though_memory_is_lost() {
    story(
        "given 1×v1 rolling surge 1\nv2 sick 20s\nwant 1×v2\nwait 5s\nstore lost\nsettle",
        expect![[r#"
            > given 1×v1 rolling surge 1
            > v2 sick 20s
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r2-0=1] (rollout)
               70.000 stop web-r1-0 (stale)
               70.000 Baking: r2 is promoted and watched
            > store lost
               70.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.200 remove web-r1-0 (stale)
               75.500 Baking: r2 is promoted and watched
               85.000 create web-r1-0 (revert); Reverting: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; going back to r1
               85.000 route web to [web-r1-0=1] (revert)
               85.000 stop web-r2-0 (revert)
               85.200 remove web-r2-0 (revert)
               85.200 Ready: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; r1 serves"#]],
    );
}

#[test]
fn what_is_oldest_was_good_be_it_that_it_went_for_something_newer_but_not_that_it_died() {
    for (lying_there, good) in [
        ("r1: 0 going 1s | r2: 0 unknown 5s", Some(1)),
        ("r1: 0 stopped 1s | r2: 0 unknown 5s", Some(1)),
        ("r1: 0 exited 1 1s | r2: 0 unknown 5s", Some(2)),
        ("r1: 0 unknown 1h | r2: 0 going 1s", Some(1)),
        ("r1: 0 stopped 1s", None),
    ] {
        let seen = Scene::read(&format!("held | {lying_there}")).observed.instances;
        assert_eq!(adopt(&web(), &seen, NOW).current.map(|revision| revision.0), good, "{lying_there}");
    }
}

#[test]
fn a_first_release_that_was_stopped_is_not_good_because_memory_is_lost() {
    story(
        "v1 never passes\nwant 1×v1\nsettle\nstore lost\nsettle",
        expect![[r#"
        > v1 never passes
        > want 1×v1
            0.000 route web to [] (rollout); create web-r1-0 (rollout); Progressing: r1 is rolled out, 0 of 1 updated
            0.000 Progressing: r1 is rolled out, 1 of 1 updated
          300.000 stop web-r1-0 (replace); Stalled(NothingToRevertTo): r1 failed: web-r1-0 was not healthy in time; there is no good release to go back to
        > store lost
          300.200 start web-r1-0 (restart); Progressing: r1 is rolled out, 0 of 1 updated
          300.200 Progressing: r1 is rolled out, 1 of 1 updated
          600.200 stop web-r1-0 (replace); Stalled(NothingToRevertTo): r1 failed: web-r1-0 was not healthy in time; there is no good release to go back to"#]],
    );
}

#[test]
fn a_canary_whose_steps_nobody_remembers_gets_no_more_than_it_has_while_nobody_was_asked() {
    check(
        "want 2×v2 steps 20@3s,50@4s | good r1 | r1: 0 unknown routed, 1 unknown routed | rolling r2 1s | r2: 0 unknown routed, 1 unknown routed",
        expect![[r#"
            wanted: 2 × v2 on local, canary
            seen: web-r1-0 of unknown health routed, web-r1-1 of unknown health routed, web-r2-0 of unknown health routed, web-r2-1 of unknown health routed
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 300000 ms (deadline)"#]],
    );
    check(
        "want 2×v2 steps 20@3s,50@4s | good r1 | r1: 0 passing 1s routed, 1 passing 1s routed | rolling r2 1s | r2: 0 passing 1s routed, 1 unknown routed",
        expect![[r#"
            wanted: 2 × v2 on local, canary
            seen: web-r1-0 passing for 1000 ms routed, web-r1-1 passing for 1000 ms routed, web-r2-0 passing for 1000 ms routed, web-r2-1 of unknown health routed
            remembered: r1 is good, rolling to r2
            route web to [web-r1-0=1 web-r1-1=1] (rollout)
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn a_canary_whose_share_was_given_and_never_saved_keeps_it_though_its_gate_is_to_be_met_again() {
    check(
        "want 2×v2 steps 50@30s | good r1 | r1: 0 passing 20ms routed, 1 unknown routed | rolling r2 1s | r2: 0 passing 20ms routed, 1 unknown routed",
        expect![[r#"
            wanted: 2 × v2 on local, canary
            seen: web-r1-0 passing for 20 ms routed, web-r1-1 of unknown health routed, web-r2-0 passing for 20 ms routed, web-r2-1 of unknown health routed
            remembered: r1 is good, rolling to r2
            progressing: r2 gets 50 % of the traffic, step 1 of 1, watched for 30s
            look again in 4980 ms (health gate)"#]],
    );
    check(
        "want 2×v2 steps 50@30s | good r1 | r1: 0 failing 1s routed | rolling r2 1s | r2: 0 passing 20ms routed, 1 waiting 1s",
        expect![[r#"
            wanted: 2 × v2 on local, canary
            seen: web-r1-0 failing (status 503) routed, web-r2-0 passing for 20 ms routed, web-r2-1 waiting
            remembered: r1 is good, rolling to r2
            route web to [web-r2-0=1] (rollout)
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn on_the_way_back_nobody_goes_while_it_is_not_known_who_passes() {
    check(
        "want 2×v2 worker rolling surge 1 | good r1 | r1: 0 unknown 0s | r2: 0 unknown 50s, 1 unknown 40s | reverting r2 0s | rejected r2",
        expect![[r#"
            wanted: 2 × v2 on local, rolling
            seen: web-r1-0 of unknown health, web-r2-0 of unknown health, web-r2-1 of unknown health
            remembered: r1 is good, going back from r2, 1 rejected
            reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1
            look again in 600000 ms (deadline)"#]],
    );
    check(
        "want 2×v2 worker rolling surge 1 | good r1 | r1: 0 waiting 1s | r2: 0 failing 1s, 1 passing 1s | reverting r2 1s | rejected r2",
        expect![[r#"
            wanted: 2 × v2 on local, rolling
            seen: web-r1-0 waiting, web-r2-0 failing (status 503), web-r2-1 passing for 1000 ms
            remembered: r1 is good, going back from r2, 1 rejected
            stop web-r2-0 (revert)
            reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn nobody_of_a_held_rollout_goes_while_it_is_not_known_who_passes() {
    check(
        "want 2×v2 worker rolling surge 1 hold | good r1 | r1: 0 unknown 0s | r2: 0 unknown 50s, 1 unknown 40s | failed r2",
        expect![[r#"
            wanted: 2 × v2 on local, rolling
            seen: web-r1-0 of unknown health, web-r2-0 of unknown health, web-r2-1 of unknown health
            remembered: r1 is good, 1 rejected
            stalled: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; reverting is off, r1 serves and the rest waits for you"#]],
    );
}

#[test]
fn what_its_host_takes_along_has_as_long_anew() {
    story(
        "given 1×v1\nv2 passes 4m\nwant 1×v2\nwait 2m\ntick\nhost lost\nsettle",
        expect![[r#"
            > given 1×v1
            > v2 passes 4m
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
            > host lost
              185.000 route web to [] (rollout); start web-r1-0 (restart); start web-r2-0 (restart); Progressing: r2 is rolled out, 0 of 1 updated
              185.000 Progressing: r2 is rolled out, 1 of 1 updated
              185.500 route web to [web-r1-0=1] (rollout)
              430.000 route web to [web-r2-0=1] (rollout)
              430.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              490.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              490.000 stop web-r1-0 (stale)
              490.200 remove web-r1-0 (stale)"#]],
    );
}
