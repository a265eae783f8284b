//! How a canary gets its share, step by step, and how it loses it.

use expect_test::expect;

use crate::support::{check, ordered, story};

const UP: &str = "want 2×v1 steps 10@30s,50@60s\nsettle\nwant 2×v2\n";

#[test]
fn each_step_is_watched_before_the_next_and_the_last_promotes() {
    let script = format!("{UP}settle");
    story(
        &script,
        expect![[r#"
        > want 2×v1 steps 10@30s,50@60s
            0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
            0.000 Progressing: r1 is rolled out, 2 of 2 updated
            5.000 route web to [web-r1-0=1 web-r1-1=1] (rollout)
            5.000 Baking: r1 is promoted and watched
           65.000 Ready: r1 serves
        > want 2×v2
           65.000 create web-r2-0 (rollout); create web-r2-1 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
           65.000 Progressing: r2 is rolled out, 2 of 2 updated
           70.000 route web to [web-r1-0=9 web-r1-1=9 web-r2-0=1 web-r2-1=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 2, watched for 30s
          100.000 route web to [web-r1-0=1 web-r1-1=1 web-r2-0=1 web-r2-1=1] (rollout); Progressing: r2 gets 50 % of the traffic, step 2 of 2, watched for 1m
          160.000 route web to [web-r2-0=1 web-r2-1=1] (rollout); Progressing: r2 is rolled out, 2 of 2 updated
          160.000 route web to [web-r2-0=1 web-r2-1=1 web-r1-0=0 web-r1-1=0] (rollout); Baking: r2 is promoted and watched
          220.000 route web to [web-r2-0=1 web-r2-1=1] (reroute); Ready: r2 serves
          220.000 stop web-r1-0 (stale); stop web-r1-1 (stale)
          220.200 remove web-r1-0 (stale); remove web-r1-1 (stale)"#]],
    );
}

#[test]
fn what_fails_at_a_step_is_reverted_at_once() {
    let script = format!("{UP}wait 50s\nsicken web-r2-1\nsettle");
    story(
        &script,
        expect![[r#"
        > want 2×v1 steps 10@30s,50@60s
            0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
            0.000 Progressing: r1 is rolled out, 2 of 2 updated
            5.000 route web to [web-r1-0=1 web-r1-1=1] (rollout)
            5.000 Baking: r1 is promoted and watched
           65.000 Ready: r1 serves
        > want 2×v2
           65.000 create web-r2-0 (rollout); create web-r2-1 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
           65.000 Progressing: r2 is rolled out, 2 of 2 updated
           70.000 route web to [web-r1-0=9 web-r1-1=9 web-r2-0=1 web-r2-1=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 2, watched for 30s
          100.000 route web to [web-r1-0=1 web-r1-1=1 web-r2-0=1 web-r2-1=1] (rollout); Progressing: r2 gets 50 % of the traffic, step 2 of 2, watched for 1m
        > sicken web-r2-1
          115.000 route web to [web-r1-0=1 web-r1-1=1] (revert); Reverting: r2 failed: web-r2-1 failed within its bake: probe ready: status 503; going back to r1
          115.000 stop web-r2-0 (revert); stop web-r2-1 (revert)
          115.200 remove web-r2-0 (revert); remove web-r2-1 (revert)
          115.200 Ready: r2 failed: web-r2-1 failed within its bake: probe ready: status 503; r1 serves"#]],
    );
}

#[test]
fn an_approval_waits_for_as_long_as_a_person_takes() {
    story(
        "given 1×v1 steps 10@approve,50@10s\nwant 1×v2\nwait 1h\norder promote\nsettle",
        expect![[r#"
            > given 1×v1 steps 10@approve,50@10s
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=9 web-r2-0=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 2; it waits for `trueup promote`
            > order promote
             3665.000 route web to [web-r1-0=1 web-r2-0=1] (rollout); Progressing: r2 gets 50 % of the traffic, step 2 of 2, watched for 10s
             3675.000 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
             3675.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
             3735.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
             3735.000 stop web-r1-0 (stale)
             3735.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_person_may_promote_past_all_steps() {
    story(
        "given 1×v1 steps 10@approve,50@1h\nwant 1×v2\nwait 60s\norder promote fully\nsettle",
        expect![[r#"
            > given 1×v1 steps 10@approve,50@1h
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=9 web-r2-0=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 2; it waits for `trueup promote`
            > order promote fully
              125.000 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
              125.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              185.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              185.000 stop web-r1-0 (stale)
              185.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_first_release_and_a_rollback_take_no_steps() {
    story(
        "want 1×v1 steps 10@approve\nsettle\nwant 1×v2 \nwait 60s\norder promote\nsettle\norder rollback\nsettle",
        expect![[r#"
            > want 1×v1 steps 10@approve
                0.000 route web to [] (rollout); create web-r1-0 (rollout); Progressing: r1 is rolled out, 0 of 1 updated
                0.000 Progressing: r1 is rolled out, 1 of 1 updated
                5.000 route web to [web-r1-0=1] (rollout)
                5.000 Baking: r1 is promoted and watched
               65.000 Ready: r1 serves
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=9 web-r2-0=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 1; it waits for `trueup promote`
            > order promote
              125.000 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
              125.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              185.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              185.000 stop web-r1-0 (stale)
              185.200 remove web-r1-0 (stale)
            > order rollback
              185.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
              185.200 Progressing: r3 is rolled out, 1 of 1 updated
              190.200 route web to [web-r3-0=1] (rollout)
              190.200 route web to [web-r3-0=1 web-r2-0=0] (rollout); Baking: r3 is promoted and watched
              250.200 route web to [web-r3-0=1] (reroute); Ready: r3 serves
              250.200 stop web-r2-0 (stale)
              250.400 remove web-r2-0 (stale)"#]],
    );
}

#[test]
fn a_canary_that_has_not_met_its_gate_is_not_promoted() {
    ordered(
        "want 1×v2 steps 10@30s | good r1 | rolling r2 5s | r1: 0 passing 1h routed | r2: 0 waiting 5s",
        "promote",
        expect!["denied: the rollout has not met its gate yet; `promote` ends a bake, or a step of a canary"],
    );
}

#[test]
fn a_bad_answer_to_an_analysis_reverts_and_silence_only_waits() {
    let script = "given 1×v1 steps 10@30s analysis errors\nwant 1×v2\nwait 60s\n\
                  answer errors nothing connection refused\nwait 10m\nanswer errors good\nsettle\n\
                  want 1×v3\nwait 60s\nanswer errors good\nanswer errors bad it is 3\nsettle";
    story(
        script,
        expect![[r#"
            > given 1×v1 steps 10@30s analysis errors
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=9 web-r2-0=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 1; analysis errors: no answer yet
            > answer errors nothing connection refused
              125.000 Progressing: r2 gets 10 % of the traffic, step 1 of 1; analysis errors: connection refused
            > answer errors good
              725.000 route web to [web-r2-0=1] (rollout); Progressing: r2 is rolled out, 1 of 1 updated
              725.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              785.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              785.000 stop web-r1-0 (stale)
              785.200 remove web-r1-0 (stale)
            > want 1×v3
              785.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
              785.200 Progressing: r3 is rolled out, 1 of 1 updated
              790.200 route web to [web-r2-0=9 web-r3-0=1] (rollout); Progressing: r3 gets 10 % of the traffic, step 1 of 1; analysis errors: no answer yet
            > answer errors good
            > answer errors bad it is 3
              845.200 route web to [web-r2-0=1] (revert); Reverting: r3 failed: analysis errors: it is 3; going back to r2
              845.200 stop web-r3-0 (revert)
              845.400 remove web-r3-0 (revert)
              845.400 Ready: r3 failed: analysis errors: it is 3; r2 serves"#]],
    );
}

#[test]
fn a_canary_that_has_nobody_to_share_with_is_watched_at_all_of_the_traffic() {
    story(
        "given 1×v1 steps 10@30s\nwant 1×v2\nvanish web-r1-0\nsettle",
        expect![[r#"
            > given 1×v1 steps 10@30s
            > want 1×v2
            > vanish web-r1-0
               65.000 route web to [] (rollout); create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r2-0=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 1, watched for 30s
              100.000 Baking: r2 is promoted and watched
              160.000 Ready: r2 serves"#]],
    );
}

#[test]
fn a_canary_beside_one_that_fails_is_watched_at_all_of_the_traffic() {
    story(
        "given 1×v1 steps 10@30s\nsicken web-r1-0\nwant 1×v2\nsettle",
        expect![[r#"
            > given 1×v1 steps 10@30s
            > sicken web-r1-0
            > want 1×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               65.000 Progressing: r2 is rolled out, 1 of 1 updated
               70.000 route web to [web-r1-0=9 web-r2-0=1] (rollout); Progressing: r2 gets 10 % of the traffic, step 1 of 1, watched for 30s
               70.000 route web to [web-r2-0=1] (rollout)
              100.000 Baking: r2 is promoted and watched
              160.000 stop web-r1-0 (stale); Ready: r2 serves
              160.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn where_an_ingress_cannot_weigh_whole_instances_make_the_share() {
    story(
        "given 4×v1 counted steps 25@30s,50@30s\nwant 4×v2\nsettle",
        expect![[r#"
        > given 4×v1 counted steps 25@30s,50@30s
        > want 4×v2
           65.000 create web-r2-0 (rollout); create web-r2-1 (rollout); create web-r2-2 (rollout); create web-r2-3 (rollout); Progressing: r2 is rolled out, 0 of 4 updated
           65.000 Progressing: r2 is rolled out, 4 of 4 updated
           70.000 route web to [web-r1-0=1 web-r1-1=1 web-r1-2=1 web-r2-0=1] (rollout); Progressing: r2 gets whole instances for 25 % of the traffic, step 1 of 2, watched for 30s
          100.000 route web to [web-r1-0=1 web-r1-1=1 web-r1-2=1 web-r1-3=1 web-r2-0=1 web-r2-1=1 web-r2-2=1 web-r2-3=1] (rollout); Progressing: r2 gets whole instances for 50 % of the traffic, step 2 of 2, watched for 30s
          130.000 route web to [web-r2-0=1 web-r2-1=1 web-r2-2=1 web-r2-3=1] (rollout); Progressing: r2 is rolled out, 4 of 4 updated
          130.000 route web to [web-r2-0=1 web-r2-1=1 web-r2-2=1 web-r2-3=1 web-r1-0=0 web-r1-1=0 web-r1-2=0 web-r1-3=0] (rollout); Baking: r2 is promoted and watched
          190.000 route web to [web-r2-0=1 web-r2-1=1 web-r2-2=1 web-r2-3=1] (reroute); Ready: r2 serves
          190.000 stop web-r1-0 (stale); stop web-r1-1 (stale); stop web-r1-2 (stale); stop web-r1-3 (stale)
          190.200 remove web-r1-0 (stale); remove web-r1-1 (stale); remove web-r1-2 (stale); remove web-r1-3 (stale)"#]],
    );
}

#[test]
fn whole_instances_go_back_as_any_canary() {
    story(
        "given 4×v1 counted steps 25@30s,50@30s\nv2 sick 20s\nwant 4×v2\nsettle",
        expect![[r#"
        > given 4×v1 counted steps 25@30s,50@30s
        > v2 sick 20s
        > want 4×v2
           65.000 create web-r2-0 (rollout); create web-r2-1 (rollout); create web-r2-2 (rollout); create web-r2-3 (rollout); Progressing: r2 is rolled out, 0 of 4 updated
           65.000 Progressing: r2 is rolled out, 4 of 4 updated
           70.000 route web to [web-r1-0=1 web-r1-1=1 web-r1-2=1 web-r2-0=1] (rollout); Progressing: r2 gets whole instances for 25 % of the traffic, step 1 of 2, watched for 30s
           85.000 route web to [web-r1-0=1 web-r1-1=1 web-r1-2=1 web-r1-3=1] (revert); stop web-r2-1 (revert); stop web-r2-2 (revert); stop web-r2-3 (revert); Reverting: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; going back to r1
           85.000 stop web-r2-0 (revert)
           85.200 remove web-r2-0 (revert); remove web-r2-1 (revert); remove web-r2-2 (revert); remove web-r2-3 (revert)
           85.200 Ready: r2 failed: web-r2-0 failed within its bake: probe ready: status 503; r1 serves"#]],
    );
}

#[test]
fn of_whole_instances_none_goes_while_nobody_knows_who_passes() {
    check(
        "want 2×v2 counted steps 50@30s | good r1 | rolling r2 1m | r1: 0 unknown 1h, 1 unknown 1h | r2: 0 unknown 1m routed, 1 unknown 1m routed",
        expect![[r#"
            wanted: 2 × v2 on local, canary
            seen: web-r1-0 of unknown health, web-r1-1 of unknown health, web-r2-0 of unknown health routed, web-r2-1 of unknown health routed
            remembered: r1 is good, rolling to r2
            progressing: r2 is rolled out, 2 of 2 updated
            look again in 300000 ms (deadline)"#]],
    );
}

#[test]
fn of_whole_instances_no_more_go_than_may_be_missed_where_the_old_ones_have_become_few() {
    // Memory was lost when the old ones were on their way out.
    check(
        "want 3×v2 counted steps 20@30s,50@30s | good r1 | rolling r2 1m | r1: 2 passing 1h | r2: 0 passing 1m routed, 1 passing 1m routed, 2 passing 1m routed",
        expect![[r#"
            wanted: 3 × v2 on local, canary
            seen: web-r1-2 passing for 3600000 ms, web-r2-0 passing for 60000 ms routed, web-r2-1 passing for 60000 ms routed, web-r2-2 passing for 60000 ms routed
            remembered: r1 is good, rolling to r2
            route web to [web-r1-2=1 web-r2-0=1 web-r2-1=1] (rollout)
            progressing: r2 gets whole instances for 20 % of the traffic, step 1 of 2, watched for 30s
            look again in 250 ms (look again)"#]],
    );
}
