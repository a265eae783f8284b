//! What runs once for a release: before its first instance, after its promotion, and when it is undone.

use expect_test::expect;

use crate::support::story;

#[test]
fn nothing_of_a_release_is_created_before_its_hooks_have_ended_well() {
    story(
        "want 1×v1 pre migrate,seed post smoke\nsettle\nwant 1×v2\nsettle",
        expect![[r#"
        > want 1×v1 pre migrate,seed post smoke
            0.000 route web to [] (reroute); create web-r1-pre0 (hook); Progressing: r1 waits for its preDeploy hook migrate
            1.000 create web-r1-pre1 (hook); Progressing: r1 waits for its preDeploy hook seed
            2.000 create web-r1-0 (rollout); Progressing: r1 is rolled out, 0 of 1 updated
            2.000 Progressing: r1 is rolled out, 1 of 1 updated
            7.000 route web to [web-r1-0=1] (rollout)
            7.000 Baking: r1 is promoted and watched
            7.000 create web-r1-post0 (hook); Baking: r1 is promoted and watched, with its postDeploy hook smoke
            8.000 Baking: r1 is promoted and watched
           67.000 Ready: r1 serves
        > want 1×v2
           67.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
           68.000 create web-r2-pre1 (hook); Progressing: r2 waits for its preDeploy hook seed; r1 stays as it is
           69.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
           69.000 Progressing: r2 is rolled out, 1 of 1 updated
           74.000 route web to [web-r2-0=1] (rollout)
           74.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
           74.000 create web-r2-post0 (hook); Baking: r2 is promoted and watched, with its postDeploy hook smoke
           75.000 Baking: r2 is promoted and watched
          134.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
          134.000 stop web-r1-0 (stale)
          134.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_migration_that_fails_fails_the_release_and_touches_nothing_that_runs() {
    story(
        "given 1×v1\nmigrate exits 2s\nwant 1×v2 pre migrate undo restore\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate exits 2s
            > want 1×v2 pre migrate undo restore
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
               67.000 Reverting: r2 failed: preDeploy hook migrate: it exited with code 1; going back to r1
               67.000 create web-r2-undo0 (hook); Reverting: r2 failed: preDeploy hook migrate: it exited with code 1; back at r1, and waiting for its onRevert hook restore
               68.000 Ready: r2 failed: preDeploy hook migrate: it exited with code 1; r1 serves"#]],
    );
}

#[test]
fn a_hook_that_takes_too_long_is_stopped() {
    story(
        "given 1×v1\nmigrate never passes\nwant 1×v2 pre migrate\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate never passes
            > want 1×v2 pre migrate
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
              125.000 stop web-r2-pre0 (hook); Reverting: r2 failed: preDeploy hook migrate: it ran longer than 1m; going back to r1
              125.000 Ready: r2 failed: preDeploy hook migrate: it ran longer than 1m; r1 serves"#]],
    );
}

#[test]
fn what_is_found_after_the_promotion_reverts_and_what_undoes_it_runs_when_traffic_is_back() {
    story(
        "given 1×v1\nsmoke exits 2s\nwant 1×v2 pre migrate post smoke undo restore\nsettle\nwant 1×v3 post none\nsettle",
        expect![[r#"
            > given 1×v1
            > smoke exits 2s
            > want 1×v2 pre migrate post smoke undo restore
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
               66.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               66.000 Progressing: r2 is rolled out, 1 of 1 updated
               71.000 route web to [web-r2-0=1] (rollout)
               71.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
               71.000 create web-r2-post0 (hook); Baking: r2 is promoted and watched, with its postDeploy hook smoke
               73.000 route web to [web-r1-0=1] (revert); Reverting: r2 failed: postDeploy hook smoke: it exited with code 1; going back to r1
               73.000 stop web-r2-0 (revert)
               73.200 remove web-r2-0 (revert)
               73.200 create web-r2-undo0 (hook); Reverting: r2 failed: postDeploy hook smoke: it exited with code 1; back at r1, and waiting for its onRevert hook restore
               74.200 Ready: r2 failed: postDeploy hook smoke: it exited with code 1; r1 serves
            > want 1×v3 post none
               74.200 create web-r3-pre0 (hook); Progressing: r3 waits for its preDeploy hook migrate; r1 stays as it is
               75.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
               75.200 Progressing: r3 is rolled out, 1 of 1 updated
               80.200 route web to [web-r3-0=1] (rollout)
               80.200 route web to [web-r3-0=1 web-r1-0=0] (rollout); Baking: r3 is promoted and watched
              140.200 route web to [web-r3-0=1] (reroute); Ready: r3 serves
              140.200 stop web-r1-0 (stale)
              140.400 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_hook_that_was_cut_off_with_its_host_is_not_run_again() {
    story(
        "given 1×v1\nmigrate exits 20s\nwant 1×v2 pre migrate\nwait 5s\nhost lost\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate exits 20s
            > want 1×v2 pre migrate
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
            > host lost
               70.000 route web to [] (revert); start web-r1-0 (restart); Reverting: r2 failed: preDeploy hook migrate: its host went down while it ran; going back to r1
               70.500 route web to [web-r1-0=1] (revert)
               70.500 Ready: r2 failed: preDeploy hook migrate: its host went down while it ran; r1 serves"#]],
    );
}

#[test]
fn a_lost_store_runs_no_hook_again() {
    story(
        "given 1×v1\nmigrate completes 20s\nwant 1×v2 pre migrate,seed\nwait 5s\nstore lost\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate completes 20s
            > want 1×v2 pre migrate,seed
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
            > store lost
               85.000 create web-r2-pre1 (hook); Progressing: r2 waits for its preDeploy hook seed; r1 stays as it is
               86.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               86.000 Progressing: r2 is rolled out, 1 of 1 updated
               91.000 route web to [web-r2-0=1] (rollout)
               91.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              151.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              151.000 stop web-r1-0 (stale)
              151.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn a_newer_release_waits_for_the_hook_of_the_one_before() {
    story(
        "given 1×v1\nmigrate completes 20s\nwant 1×v2 pre migrate\nwait 5s\nwant 1×v3\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate completes 20s
            > want 1×v2 pre migrate
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
            > want 1×v3
               70.000 Progressing: r3 waits for its preDeploy hook migrate; r1 stays as it is
               85.000 create web-r3-pre0 (hook)
              105.000 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
              105.000 Progressing: r3 is rolled out, 1 of 1 updated
              110.000 route web to [web-r3-0=1] (rollout)
              110.000 route web to [web-r3-0=1 web-r1-0=0] (rollout); Baking: r3 is promoted and watched
              170.000 route web to [web-r3-0=1] (reroute); Ready: r3 serves
              170.000 stop web-r1-0 (stale)
              170.200 remove web-r1-0 (stale)"#]],
    );
}

#[test]
fn an_aborted_release_takes_its_hook_with_it() {
    story(
        "given 1×v1\nmigrate completes 20s\nwant 1×v2 pre migrate undo restore\nwait 5s\norder abort\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate completes 20s
            > want 1×v2 pre migrate undo restore
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
            > order abort
               70.000 stop web-r2-pre0 (hook); Reverting: r2 failed: aborted by ann; back at r1, and waiting for its onRevert hook restore
               70.200 create web-r2-undo0 (hook)
               71.200 Ready: r2 failed: aborted by ann; r1 serves"#]],
    );
}

#[test]
fn a_rollback_runs_no_hooks() {
    story(
        "given 1×v1 pre migrate\nwant 1×v2\nsettle\norder rollback r1\nsettle",
        expect![[r#"
            > given 1×v1 pre migrate
            > want 1×v2
               66.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
               67.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               67.000 Progressing: r2 is rolled out, 1 of 1 updated
               72.000 route web to [web-r2-0=1] (rollout)
               72.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
              132.000 route web to [web-r2-0=1] (reroute); Ready: r2 serves
              132.000 stop web-r1-0 (stale)
              132.200 remove web-r1-0 (stale)
            > order rollback r1
              132.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
              132.200 Progressing: r3 is rolled out, 1 of 1 updated
              137.200 route web to [web-r3-0=1] (rollout)
              137.200 route web to [web-r3-0=1 web-r2-0=0] (rollout); Baking: r3 is promoted and watched
              197.200 route web to [web-r3-0=1] (reroute); Ready: r3 serves
              197.200 stop web-r2-0 (stale)
              197.400 remove web-r2-0 (stale)"#]],
    );
}

#[test]
fn a_hook_that_its_target_refuses_fails_the_release() {
    story(
        "given 1×v1\nmigrate is refused\nwant 1×v2 pre migrate\nsettle",
        expect![[r#"
            > given 1×v1
            > migrate is refused
            > want 1×v2 pre migrate
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
               65.000 Reverting: r2 failed: preDeploy hook migrate: no such user; going back to r1
               65.000 Ready: r2 failed: preDeploy hook migrate: no such user; r1 serves"#]],
    );
}

#[test]
fn an_app_that_goes_takes_its_hooks_with_it() {
    story(
        "given 1×v1 pre migrate\ngone\nsettle",
        expect![[r#"
            > given 1×v1 pre migrate
            > gone
               66.000 route web to [] (gone); remove web-r1-pre0 (gone); Removing: its manifest is gone; it is taken down
               66.000 stop web-r1-0 (gone)
               66.200 remove web-r1-0 (gone)
               66.200 Gone: nothing of it is left"#]],
    );
}

#[test]
fn what_was_undone_is_begun_anew_though_memory_is_lost() {
    story(
        "given 1×v1\nsmoke exits 2s\nwant 1×v2 pre migrate post smoke undo restore\nwait 60s\nsmoke completes 1s\n\
         store lost\nsettle",
        expect![[r#"
            > given 1×v1
            > smoke exits 2s
            > want 1×v2 pre migrate post smoke undo restore
               65.000 create web-r2-pre0 (hook); Progressing: r2 waits for its preDeploy hook migrate; r1 stays as it is
               66.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 1 updated
               66.000 Progressing: r2 is rolled out, 1 of 1 updated
               71.000 route web to [web-r2-0=1] (rollout)
               71.000 route web to [web-r2-0=1 web-r1-0=0] (rollout); Baking: r2 is promoted and watched
               71.000 create web-r2-post0 (hook); Baking: r2 is promoted and watched, with its postDeploy hook smoke
               73.000 route web to [web-r1-0=1] (revert); Reverting: r2 failed: postDeploy hook smoke: it exited with code 1; going back to r1
               73.000 stop web-r2-0 (revert)
               73.200 remove web-r2-0 (revert)
               73.200 create web-r2-undo0 (hook); Reverting: r2 failed: postDeploy hook smoke: it exited with code 1; back at r1, and waiting for its onRevert hook restore
               74.200 Ready: r2 failed: postDeploy hook smoke: it exited with code 1; r1 serves
            > smoke completes 1s
            > store lost
              125.000 create web-r3-pre0 (hook); Progressing: r3 waits for its preDeploy hook migrate; r1 stays as it is
              126.000 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
              126.000 Progressing: r3 is rolled out, 1 of 1 updated
              131.000 route web to [web-r3-0=1] (rollout)
              131.000 route web to [web-r3-0=1 web-r1-0=0] (rollout); Baking: r3 is promoted and watched
              131.000 create web-r3-post0 (hook); Baking: r3 is promoted and watched, with its postDeploy hook smoke
              132.000 Baking: r3 is promoted and watched
              191.000 route web to [web-r3-0=1] (reroute); Ready: r3 serves
              191.000 stop web-r1-0 (stale)
              191.200 remove web-r1-0 (stale)"#]],
    );
}
