//! What a target refuses for good: a release on trial is judged by it, one that was good goes on and says why it is short.

use expect_test::expect;

use crate::support::story;

#[test]
fn a_release_on_trial_that_its_target_refuses_fails_at_once() {
    story(
        "given 1×v1\nv2 is refused\nwant 1×v2\nsettle",
        expect![[r#"
        > given 1×v1
        > v2 is refused
        > want 1×v2
           65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
           65.000 Reverting: r2 failed: web-r2-0 cannot start: no such user; going back to r1
           65.000 Ready: r2 failed: web-r2-0 cannot start: no such user; r1 serves"#]],
    );
}

#[test]
fn another_instance_of_a_good_release_that_is_refused_is_asked_for_ever_less_often_and_says_why() {
    story(
        "given 1×v1\nv1 is refused\nwant 2×v1\nwait 20s\nv1 passes 1s\nsettle",
        expect![[r#"
        > given 1×v1
        > v1 is refused
        > want 2×v1
           65.000 create web-r1-1 (scale up); Progressing: instances are missing; r1 is being restored, 1 of 2 pass
           65.000 Progressing: instances are missing; r1 is being restored, 1 of 2 pass; create web-r1-1: no such user
           65.100 create web-r1-1 (scale up)
           65.300 create web-r1-1 (scale up)
           65.700 create web-r1-1 (scale up)
           66.500 create web-r1-1 (scale up)
           68.100 create web-r1-1 (scale up)
           71.300 create web-r1-1 (scale up)
           77.700 create web-r1-1 (scale up)
        > v1 passes 1s
           90.500 create web-r1-1 (scale up)
           90.500 Progressing: instances are missing; r1 is being restored, 1 of 2 pass
           91.500 Progressing: instances are missing; r1 is being restored, 2 of 2 pass
           96.500 route web to [web-r1-0=1 web-r1-1=1] (reroute)
           96.500 Ready: r1 serves"#]],
    );
}

#[test]
fn a_way_back_that_is_refused_says_so() {
    story(
        "given 1×v1\nv2 exits 1s\nwant 1×v2 recreate\nv1 is refused\nwait 10m\nv1 passes 1s\nsettle",
        expect![[r#"
        > given 1×v1
        > v2 exits 1s
        > want 1×v2 recreate
        > v1 is refused
           65.000 route web to [] (rollout); Progressing: r2 is rolled out, 0 of 1 updated
           65.000 stop web-r1-0 (stale)
           65.200 create web-r2-0 (rollout); remove web-r1-0 (stale)
           65.200 Progressing: r2 is rolled out, 1 of 1 updated
           66.200 start web-r2-0 (restart); Progressing: r2 is rolled out, 0 of 1 updated; web-r2-0 exited with code 1
           66.200 Progressing: r2 is rolled out, 1 of 1 updated
           67.200 Progressing: r2 is rolled out, 0 of 1 updated; web-r2-0 exited with code 1, 2 times
           67.210 start web-r2-0 (restart)
           67.210 Progressing: r2 is rolled out, 1 of 1 updated
           68.210 Progressing: r2 is rolled out, 0 of 1 updated; web-r2-0 exited with code 1, 3 times
           68.230 start web-r2-0 (restart)
           68.230 Progressing: r2 is rolled out, 1 of 1 updated
           69.230 create web-r1-0 (revert); Reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1
           69.230 remove web-r2-0 (revert); Reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1; create web-r1-0: no such user
           69.230 create web-r1-0 (revert); Reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1
           69.230 Reverting: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1; create web-r1-0: no such user
           69.330 create web-r1-0 (revert)
           69.530 create web-r1-0 (revert)
           69.930 create web-r1-0 (revert)
           70.730 create web-r1-0 (revert)
           72.330 create web-r1-0 (revert)
           75.530 create web-r1-0 (revert)
           81.930 create web-r1-0 (revert)
           94.730 create web-r1-0 (revert)
          120.330 create web-r1-0 (revert)
          171.530 create web-r1-0 (revert)
          273.930 create web-r1-0 (revert)
          478.730 create web-r1-0 (revert)
        > v1 passes 1s
          669.230 Stalled(RevertFailed): r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1 does not end, holding; create web-r1-0: no such user
          778.730 create web-r1-0 (revert)
          778.730 Stalled(RevertFailed): r2 failed: its instances exited 4 times, last web-r2-0 with code 1; going back to r1 does not end, holding
          779.730 route web to [web-r1-0=1] (revert)
          779.730 Ready: r2 failed: its instances exited 4 times, last web-r2-0 with code 1; r1 serves"#]],
    );
}

#[test]
fn good_ones_that_cannot_be_started_again_keep_a_fix_from_nothing() {
    story(
        "given 2×v1\nv1 is refused\nhost lost\nwait 20s\nwant 2×v2\nsettle",
        expect![[r#"
            > given 2×v1
            > v1 is refused
            > host lost
               65.000 route web to [] (reroute); start web-r1-0 (restart); Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass
               65.000 start web-r1-1 (restart); Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-0: no such user
               65.000 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-1: no such user
               65.100 start web-r1-0 (restart)
               65.100 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-0: no such user
               65.200 start web-r1-1 (restart)
               65.200 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-1: no such user
               65.500 start web-r1-0 (restart)
               65.500 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-0: no such user
               66.000 start web-r1-1 (restart)
               66.000 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-1: no such user
               67.100 start web-r1-0 (restart)
               67.100 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-0: no such user
               69.200 start web-r1-1 (restart)
               69.200 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-1: no such user
               73.500 start web-r1-0 (restart)
               73.500 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-0: no such user
               82.000 start web-r1-1 (restart)
               82.000 Progressing: web-r1-0 is down and is started again; r1 is being restored, 0 of 2 pass; start web-r1-1: no such user
            > want 2×v2
               85.000 create web-r2-0 (rollout); create web-r2-1 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
               85.000 Progressing: r2 is rolled out, 2 of 2 updated
               90.000 route web to [web-r2-0=1 web-r2-1=1] (rollout)
               90.000 Baking: r2 is promoted and watched
               99.100 start web-r1-0 (restart)
               99.200 start web-r1-0 (restart)
               99.400 start web-r1-0 (restart)
               99.800 start web-r1-0 (restart)
              100.600 start web-r1-0 (restart)
              102.200 start web-r1-0 (restart)
              105.400 start web-r1-0 (restart)
              111.800 start web-r1-0 (restart)
              124.600 start web-r1-0 (restart)
              133.200 start web-r1-1 (restart)
              150.000 remove web-r1-0 (stale); remove web-r1-1 (stale); Ready: r2 serves"#]],
    );
}

#[test]
fn what_was_refused_of_the_good_release_keeps_the_next_one_waiting_for_nothing() {
    story(
        "given 1×v1\nv1 is refused\nwant 2×v1\nwait 2m\nwant 2×v2\nsettle",
        expect![[r#"
        > given 1×v1
        > v1 is refused
        > want 2×v1
           65.000 create web-r1-1 (scale up); Progressing: instances are missing; r1 is being restored, 1 of 2 pass
           65.000 Progressing: instances are missing; r1 is being restored, 1 of 2 pass; create web-r1-1: no such user
           65.100 create web-r1-1 (scale up)
           65.300 create web-r1-1 (scale up)
           65.700 create web-r1-1 (scale up)
           66.500 create web-r1-1 (scale up)
           68.100 create web-r1-1 (scale up)
           71.300 create web-r1-1 (scale up)
           77.700 create web-r1-1 (scale up)
           90.500 create web-r1-1 (scale up)
          116.100 create web-r1-1 (scale up)
          167.300 create web-r1-1 (scale up)
        > want 2×v2
          185.000 create web-r2-0 (rollout); create web-r2-1 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
          185.000 Progressing: r2 is rolled out, 2 of 2 updated
          190.000 route web to [web-r2-0=1 web-r2-1=1] (rollout)
          190.000 route web to [web-r2-0=1 web-r2-1=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
          250.000 route web to [web-r2-0=1 web-r2-1=1] (reroute); Ready: r2 serves
          250.000 stop web-r1-0 (stale)
          250.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_release_under_watch_that_its_target_refuses_goes_back() {
    story(
        "given 1×v1\nwant 1×v2\nwait 20s\nv2 is refused\nvanish web-r2-0\nsettle",
        expect![[r#"
            > given 1×v1
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r2-0=1] (rollout)
               70.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
            > v2 is refused
            > vanish web-r2-0
               85.000 route web to [web-r1-0=1] (rollout); create web-r2-0 (scale up)
               85.000 Reverting: r2 failed: web-r2-0 cannot start: no such user; going back to r1
               85.000 Ready: r2 failed: web-r2-0 cannot start: no such user; r1 serves"#]],
    );
}

#[test]
fn one_on_trial_that_its_target_will_not_start_again_goes_back() {
    story(
        "given 1×v1\nv2 passes 4m\nwant 1×v2\nwait 1m\nv2 is refused\nhost lost\nsettle",
        expect![[r#"
        > given 1×v1
        > v2 passes 4m
        > want 1×v2
           65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
           65.000 Progressing: r2 is rolled out, 1 of 1 updated
        > v2 is refused
        > host lost
          125.000 route web to [] (rollout); start web-r1-0 (restart); start web-r2-0 (restart); Progressing: r2 is rolled out, 0 of 1 updated
          125.000 remove web-r2-0 (revert); Reverting: r2 failed: web-r2-0 cannot start: no such user; going back to r1
          125.500 route web to [web-r1-0=1] (revert)
          125.500 Ready: r2 failed: web-r2-0 cannot start: no such user; r1 serves"#]],
    );
}
