//! In which order each strategy goes.

use expect_test::expect;

use crate::support::story;

#[test]
fn blue_green_shifts_at_once_keeps_the_old_on_standby_through_the_bake_and_then_drains_them() {
    story(
        "want 2×v1\nsettle\nwant 2×v2\nsettle",
        expect![[r#"
        > want 2×v1
            0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
            0.000 Progressing: r1 is rolled out, 2 of 2 updated
            5.000 route web to [web-r1-0=1 web-r1-1=1] (rollout)
            5.000 Baking: r1 is promoted and watched
           65.000 Ready: r1 serves
        > want 2×v2
           65.000 create web-r2-0 (rollout); create web-r2-1 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
           65.000 Progressing: r2 is rolled out, 2 of 2 updated
           70.000 route web to [web-r2-0=1 web-r2-1=1] (rollout)
           70.000 route web to [web-r2-0=1 web-r2-1=1 web-r1-0=0 web-r1-1=0] (rollout); Baking: r2 is promoted and watched
          130.000 route web to [web-r2-0=1 web-r2-1=1] (reroute); Ready: r2 serves
          130.000 stop web-r1-0 (stale); stop web-r1-1 (stale)
          130.200 remove web-r1-0 (stale); remove web-r1-1 (stale)"#]],
    );
}

#[test]
fn rolling_goes_one_by_one_within_its_surge() {
    story(
        "want 2×v1 rolling surge 1\nsettle\nwant 2×v2\nsettle",
        expect![[r#"
            > want 2×v1 rolling surge 1
                0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
                0.000 Progressing: r1 is rolled out, 2 of 2 updated
                5.000 route web to [web-r1-0=1 web-r1-1=1] (rollout)
                5.000 Baking: r1 is promoted and watched
               65.000 Ready: r1 serves
            > want 2×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
               65.000 Progressing: r2 is rolled out, 1 of 2 updated
               70.000 route web to [web-r1-0=1 web-r2-0=1] (rollout)
               70.000 stop web-r1-1 (stale)
               70.200 create web-r2-1 (rollout); remove web-r1-1 (stale)
               70.200 Progressing: r2 is rolled out, 2 of 2 updated
               75.200 route web to [web-r2-0=1 web-r2-1=1] (rollout)
               75.200 stop web-r1-0 (stale)
               75.200 Baking: r2 is promoted and watched
               75.400 remove web-r1-0 (stale)
              135.200 Ready: r2 serves"#]],
    );
}

#[test]
fn rolling_without_surge_lets_one_be_missing() {
    story(
        "want 3×v1 rolling surge 0 unavailable 1\nsettle\nwant 3×v2\nsettle",
        expect![[r#"
        > want 3×v1 rolling surge 0 unavailable 1
            0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); create web-r1-2 (rollout); Progressing: r1 is rolled out, 0 of 3 updated
            0.000 Progressing: r1 is rolled out, 3 of 3 updated
            5.000 route web to [web-r1-0=1 web-r1-1=1 web-r1-2=1] (rollout)
            5.000 Baking: r1 is promoted and watched
           65.000 Ready: r1 serves
        > want 3×v2
           65.000 route web to [web-r1-0=1 web-r1-1=1] (rollout); Progressing: r2 is rolled out, 0 of 3 updated
           65.000 stop web-r1-2 (stale)
           65.200 create web-r2-0 (rollout); remove web-r1-2 (stale)
           65.200 Progressing: r2 is rolled out, 1 of 3 updated
           70.200 route web to [web-r1-0=1 web-r2-0=1] (rollout)
           70.200 stop web-r1-1 (stale)
           70.400 create web-r2-1 (rollout); remove web-r1-1 (stale)
           70.400 Progressing: r2 is rolled out, 2 of 3 updated
           75.400 route web to [web-r2-0=1 web-r2-1=1] (rollout)
           75.400 stop web-r1-0 (stale)
           75.600 create web-r2-2 (rollout); remove web-r1-0 (stale)
           75.600 Progressing: r2 is rolled out, 3 of 3 updated
           80.600 route web to [web-r2-0=1 web-r2-1=1 web-r2-2=1] (rollout); Baking: r2 is promoted and watched
          140.600 Ready: r2 serves"#]],
    );
}

#[test]
fn recreate_stops_all_before_it_starts_any() {
    story(
        "want 2×v1 recreate\nsettle\nwant 2×v2\nsettle",
        expect![[r#"
        > want 2×v1 recreate
            0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
            0.000 Progressing: r1 is rolled out, 2 of 2 updated
            5.000 route web to [web-r1-0=1 web-r1-1=1] (rollout)
            5.000 Baking: r1 is promoted and watched
           65.000 Ready: r1 serves
        > want 2×v2
           65.000 route web to [] (rollout); Progressing: r2 is rolled out, 0 of 2 updated
           65.000 stop web-r1-0 (stale); stop web-r1-1 (stale)
           65.200 create web-r2-0 (rollout); create web-r2-1 (rollout); remove web-r1-0 (stale); remove web-r1-1 (stale)
           65.200 Progressing: r2 is rolled out, 2 of 2 updated
           70.200 route web to [web-r2-0=1 web-r2-1=1] (rollout)
           70.200 Baking: r2 is promoted and watched
          130.200 Ready: r2 serves"#]],
    );
}

#[test]
fn stop_first_replaces_in_place_where_two_cannot_stand_side_by_side() {
    story(
        "want 2×v1 rolling stop-first\nsettle\nwant 2×v2\nsettle",
        expect![[r#"
            > want 2×v1 rolling stop-first
                0.000 route web to [] (rollout); create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
                0.000 Progressing: r1 is rolled out, 2 of 2 updated
                5.000 route web to [web-r1-0=1 web-r1-1=1] (rollout)
                5.000 Baking: r1 is promoted and watched
               65.000 Ready: r1 serves
            > want 2×v2
               65.000 route web to [web-r1-0=1] (rollout); Progressing: r2 is rolled out, 0 of 2 updated
               65.000 stop web-r1-1 (stale)
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
fn a_worker_without_routes_rolls_by_the_same_order() {
    story(
        "want 2×v1 worker rolling surge 1\nsettle\nwant 2×v2\nsettle",
        expect![[r#"
            > want 2×v1 worker rolling surge 1
                0.000 create web-r1-0 (rollout); create web-r1-1 (rollout); Progressing: r1 is rolled out, 0 of 2 updated
                0.000 Progressing: r1 is rolled out, 2 of 2 updated
                5.000 Baking: r1 is promoted and watched
               65.000 Ready: r1 serves
            > want 2×v2
               65.000 create web-r2-0 (rollout); Progressing: r2 is rolled out, 0 of 2 updated
               65.000 Progressing: r2 is rolled out, 1 of 2 updated
               70.000 stop web-r1-1 (stale)
               70.200 create web-r2-1 (rollout); remove web-r1-1 (stale)
               70.200 Progressing: r2 is rolled out, 2 of 2 updated
               75.200 stop web-r1-0 (stale)
               75.200 Baking: r2 is promoted and watched
               75.400 remove web-r1-0 (stale)
              135.200 Ready: r2 serves"#]],
    );
}
