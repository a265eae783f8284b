//! What a person's order comes to.

use expect_test::expect;

use crate::support::ordered;

#[test]
fn a_rollback_goes_to_the_last_other_good_release() {
    ordered(
        "want 2×v2 | good r2 | once-good r1 | r2: 0 passing 1h routed, 1 passing 1h routed",
        "rollback",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r2-0 passing for 3600000 ms routed, web-r2-1 passing for 3600000 ms routed
            remembered: r2 is good, pinned to r1
            create web-r3-0 (rollout)
            create web-r3-1 (rollout)
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn a_rollback_to_what_was_never_good_is_denied() {
    ordered(
        "want 2×v2 | good r2 | failed r1 | r2: 0 passing 1h routed, 1 passing 1h routed",
        "rollback r1",
        expect!["denied: release r1 never met its gate; a rollback goes only to a release that was once good"],
    );
}

#[test]
fn a_rollback_to_what_is_not_kept_is_denied() {
    ordered(
        "want 2×v2 | good r2 | r2: 0 passing 1h routed, 1 passing 1h routed",
        "rollback r1",
        expect!["denied: release r1 is not in the history; `trueup get releases` lists what is"],
    );
}

#[test]
fn a_rollback_to_what_serves_is_denied() {
    ordered(
        "want 2×v2 | good r2 | r2: 0 passing 1h routed, 1 passing 1h routed",
        "rollback r2",
        expect![[r#"
        wanted: 2 × v2 on local, blueGreen
        seen: web-r2-0 passing for 3600000 ms routed, web-r2-1 passing for 3600000 ms routed
        remembered: r2 is good, pinned to r2
        ready: r2 serves"#]],
    );
}

#[test]
fn resume_ends_a_pin() {
    ordered(
        "want 2×v2 | once-good r2 | good r1 | pin r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        "resume",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
            remembered: r1 is good
            create web-r3-0 (rollout)
            create web-r3-1 (rollout)
            progressing: r3 is rolled out, 0 of 2 updated
            look again in 0 ms (look again)"#]],
    );
}

#[test]
fn resume_without_anything_held_is_denied() {
    ordered(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        "resume",
        expect!["denied: it is neither pinned nor suspended by a person; there is nothing to resume"],
    );
}

#[test]
fn retry_tries_a_rejected_release_once_more() {
    ordered(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rejected r2",
        "retry",
        expect![[r#"
        wanted: 2 × v2 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        create web-r3-0 (rollout)
        create web-r3-1 (rollout)
        progressing: r3 is rolled out, 0 of 2 updated
        look again in 0 ms (look again)"#]],
    );
}

#[test]
fn retry_without_a_rejection_is_denied() {
    ordered(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        "retry",
        expect!["denied: nothing is rejected; there is nothing to retry"],
    );
}

#[test]
fn suspend_leaves_everything_as_it_is() {
    ordered(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 exited 1 5s",
        "suspend",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 exited 1
        remembered: r1 is good
        suspended: suspended; it is left as it is"#]],
    );
}

#[test]
fn restart_rolls_the_same_release_out_anew() {
    ordered(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        "restart",
        expect![[r#"
        wanted: 2 × v1 on local, blueGreen
        seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed
        remembered: r1 is good
        create web-r2-0 (rollout)
        create web-r2-1 (rollout)
        progressing: r2 is rolled out, 0 of 2 updated
        look again in 0 ms (look again)"#]],
    );
}

#[test]
fn abort_takes_a_rollout_back() {
    ordered(
        "want 2×v2 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed | rolling r2 5s | r2: 0 waiting, 1 waiting",
        "abort",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms routed, web-r1-1 passing for 3600000 ms routed, web-r2-0 waiting, web-r2-1 waiting
            remembered: r1 is good, going back from r2, 1 rejected
            stop web-r2-0 (revert)
            stop web-r2-1 (revert)
            reverting: r2 failed: aborted by ann; going back to r1
            look again in 250 ms (look again)"#]],
    );
}

#[test]
fn abort_without_a_rollout_is_denied() {
    ordered(
        "want 2×v1 | good r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        "abort",
        expect!["denied: no rollout is under way"],
    );
}

#[test]
fn promote_ends_a_bake() {
    ordered(
        "want 2×v2 | good r1 | r1: 0 passing 1h standby, 1 passing 1h standby | baking r2 10s | r2: 0 passing 20s routed, 1 passing 20s routed",
        "promote",
        expect![[r#"
            wanted: 2 × v2 on local, blueGreen
            seen: web-r1-0 passing for 3600000 ms, web-r1-1 passing for 3600000 ms, web-r2-0 passing for 20000 ms routed, web-r2-1 passing for 20000 ms routed
            remembered: r2 is good
            route web to [web-r2-0=1 web-r2-1=1] (reroute)
            ready: r2 serves
            look again in 250 ms (look again)"#]],
    );
}
