//! A person goes back: to a release as it was, or to what it was with the environment of now.
//!
//! In these worlds `code` is all of a release but its environment, `VERSION` is its environment, and `secret` stands for
//! the values of its secrets.

use expect_test::{Expect, expect};
use trueup_types::record::{AppRecord, ReleaseNote};
use trueup_types::{Release, Timestamp};

use crate::support::ordered;
use crate::support::story::{ended, tell};

/// What the releases of a world are when a script has ended, and what of each is whose.
fn releases(script: &str, expect: Expect) {
    let model = ended(script);
    let record = &model.record;
    let lines: Vec<_> = record.releases.values().map(|release| line(record, release)).collect();
    expect.assert_eq(&format!("{}\npinned: {}", lines.join("\n"), record.pin.is_some()));
}

fn line(record: &AppRecord, release: &Release) -> String {
    let secrets: Vec<_> = release.inputs.secret_fingerprints.values().map(String::as_str).collect();
    let note = record.history.iter().find(|note| note.revision == release.revision);
    let again = note.and_then(|note| note.again.as_ref()).map_or_else(String::new, |again| format!(", {again}"));
    let good = if record.current == Some(release.revision) { ", good" } else { "" };
    let (code, env) = (release.template.args.join(" "), &release.template.env["VERSION"]);
    format!("{} {code} {env} {}{good}{again}", release.revision, secrets.join(" "))
}

const TWO: &str = "want 1×v1 code old secret s1\nsettle\nwant 1×v2 code new secret s2\nsettle\n";

#[test]
fn a_rollback_takes_the_environment_and_the_secrets_of_then() {
    releases(
        &format!("{TWO}order rollback\nsettle"),
        expect![[r#"
            r1 old v1 s1
            r2 new v2 s2
            r3 old v1 s1, good, rollback to r1 by ann
            pinned: true"#]],
    );
}

#[test]
fn with_the_environment_of_now_only_the_rest_is_of_then() {
    releases(
        &format!("{TWO}order rollback now\nsettle"),
        expect![[r#"
            r1 old v1 s1
            r2 new v2 s2
            r3 old v2 s2, good, rollback to r1 by ann, with the environment of now
            pinned: true"#]],
    );
}

#[test]
fn it_is_rolled_out_like_any_other_release_and_holds() {
    let tale = tell(&format!("{TWO}order rollback now\nsettle\ndaemon restarts\nsettle\nwant 2×v2\nsettle"));
    let (_, tale) = tale.split_once("> order").expect("the order is told");
    expect![[r#"
         rollback now
          130.200 create web-r3-0 (rollout); Progressing: r3 is rolled out, 0 of 1 updated
          130.200 Progressing: r3 is rolled out, 1 of 1 updated
          135.200 route web to [web-r3-0=1] (rollout)
          135.200 route web to [web-r3-0=1 web-r2-0=0] (rollout); Baking: r3 is promoted and watched
          195.200 route web to [web-r3-0=1] (reroute); Ready: r3 serves
          195.200 stop web-r2-0 (stale)
          195.400 remove web-r2-0 (stale)
        > daemon restarts
          195.400 Progressing: instances are missing; r3 is being restored, 0 of 1 pass
          195.900 Ready: r3 serves
        > want 2×v2
          200.900 create web-r3-1 (scale up); Progressing: instances are missing; r3 is being restored, 1 of 2 pass
          200.900 Progressing: instances are missing; r3 is being restored, 2 of 2 pass
          205.900 route web to [web-r3-0=1 web-r3-1=1] (reroute)
          205.900 Ready: r3 serves"#]]
    .assert_eq(tale);
}

#[test]
fn one_that_fails_with_the_environment_of_now_is_reverted_and_not_tried_again() {
    releases(
        &format!("{TWO}order rollback now\nwait 6s\ncrash web-r3-0\nsettle"),
        expect![[r#"
            r1 old v1 s1
            r2 new v2 s2, good
            r3 old v2 s2, rollback to r1 by ann, with the environment of now
            pinned: false"#]],
    );
}

#[test]
fn secrets_that_turn_roll_out_under_a_pin_and_what_fails_by_them_leaves_the_pin() {
    let script = format!("{TWO}order rollback now\nsettle\nwant 1×v2 secret s3\ntick\norder abort\nsettle");
    releases(
        &script,
        expect![[r#"
            r1 old v1 s1
            r2 new v2 s2
            r3 old v2 s2, good, rollback to r1 by ann, with the environment of now
            r4 old v2 s3, rollback to r1 by ann, with the environment of now
            pinned: true"#]],
    );
    assert!(tell(&script).ends_with("; r3 serves"), "{}", tell(&script));
}

#[test]
fn an_edit_ends_it_and_the_manifest_is_rolled_out() {
    releases(
        &format!("{TWO}order rollback now\nsettle\nwant 1×v3\nsettle"),
        expect![[r#"
            r1 old v1 s1
            r2 new v2 s2
            r3 old v2 s2, rollback to r1 by ann, with the environment of now
            r4 new v3 s2, good
            pinned: false"#]],
    );
}

#[test]
fn where_only_the_environment_was_another_there_is_nothing_to_go_back_to() {
    ordered(
        "want 2×v2 | good r2 | once-good r1 | r2: 0 passing 1h routed, 1 passing 1h routed",
        "rollback now",
        expect![
            "denied: release r1 differs from what runs only in its environment; with that of now nothing would change"
        ],
    );
}

#[test]
fn what_the_manifest_asks_for_and_was_rejected_is_nothing_to_go_back_to() {
    let denied = expect![
        "denied: release r1 with the environment of now is what the manifest asks for; `trueup retry` tries that again, \
         and `trueup resume` ends a rollback"
    ];
    ordered(
        "want 2×v3 | good r2 | once-good r1 | rejected r3 | r2: 0 passing 1h routed, 1 passing 1h routed",
        "rollback r1 now",
        denied,
    );
}

#[test]
fn a_restart_of_what_is_pinned_is_denied() {
    ordered(
        "want 2×v2 | once-good r2 | good r1 | pin r1 | r1: 0 passing 1h routed, 1 passing 1h routed",
        "restart",
        expect!["denied: it is pinned to r1, and stays as it is; `trueup resume` ends that"],
    );
}

/// What came of each release, and when it ended.
fn outcomes(script: &str) -> String {
    let model = ended(script);
    let told = |note: &ReleaseNote| {
        let ended = note.ended.map(|ended| ended.since(Timestamp::default()).as_millis());
        format!("{} {:?} {ended:?}", note.revision, note.outcome)
    };
    model.record.history.iter().map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_release_is_rolled_back_once_it_is_left_and_ended_when_it_did() {
    expect![[r#"
        r1 Some(Live) Some(1000065000)
        r2 Some(Live) Some(1000130000)
        r3 None None"#]]
    .assert_eq(&outcomes(&format!("{TWO}order rollback\nwait 30s")));
    expect![[r#"
        r1 Some(Live) Some(1000065000)
        r2 Some(RolledBack) Some(1000130000)
        r3 Some(Live) Some(1000195200)"#]]
    .assert_eq(&outcomes(&format!("{TWO}order rollback\nsettle")));
}

#[test]
fn a_rollback_that_is_given_up_rolls_nothing_back() {
    expect![[r#"
        r1 Some(Live) Some(1000065000)
        r2 Some(Live) Some(1000130000)
        r3 Some(Superseded) Some(1000133200)
        r4 Some(Live) Some(1000198400)"#]]
    .assert_eq(&outcomes(&format!("{TWO}order rollback\nwait 3s\nwant 1×v3\nsettle")));
}

#[test]
fn history_is_trimmed_by_count_and_never_below_the_last_good_one() {
    let bad = "v3 exits 1s\nwant 1×v3 history 1\nsettle\nv4 exits 1s\nwant 1×v4 history 1\nsettle";
    expect![[r#"
        r1 Some(Live) Some(1000065000)
        r2 Some(Live) Some(1000130000)
        r4 Some(Reverted) Some(1000138260)"#]]
    .assert_eq(&outcomes(&format!("{TWO}{bad}")));
}

#[test]
fn history_is_trimmed_by_age_too() {
    let later = "want 1×v3 keepFor 1h\nsettle\nwait 2h\nwant 2×v3 keepFor 1h\nsettle";
    expect![[r#"
        r2 Some(Live) Some(1000130000)
        r3 Some(Live) Some(1000195200)"#]]
    .assert_eq(&outcomes(&format!("{TWO}{later}")));
}
