//! Where each exhibit hangs: the story that walks straight to it, and breaks with it.

use trueup_museum::Bug;

use super::stories::{
    Story, driving, edge, health, hooks, leaving, manifests, memory, orders, parts, refusals, reverts, rollouts,
    seeing, shapes, sources, stores,
};

/// Declares which story catches which bug.
macro_rules! hang {
    ($($bug:ident: $place:ident::$story:ident;)+) => {
        /// The story that breaks with a bug.
        pub const fn story_of(bug: Bug) -> Story {
            match bug {
                $(Bug::$bug => Story { name: stringify!($story), tell: $place::$story },)+
            }
        }
    };
}

hang! {
    RetriesRejected: reverts::a_rejected_release_is_left_alone;
    RevertsTwice: reverts::an_edit_is_reverted_once;
    PromotesUnbaked: reverts::a_release_that_turns_bad_in_its_bake_goes_back;
    MissesCrashInBake: reverts::a_crash_in_the_bake_goes_back;
    BlamesWhatBothSuffer: reverts::what_both_suffer_is_not_blamed_on_the_new;
    RevertReplacesHealthy: reverts::a_revert_touches_no_healthy_instance;
    RevertKillsFirst: reverts::what_serves_stays_until_the_good_ones_are_back;
    RevertWaitsForPermits: reverts::a_revert_waits_for_nobody;
    IgnoresUpdateLimits: reverts::an_update_keeps_to_its_limits;
    RollsBackToBad: orders::a_rollback_goes_to_what_was_good;
    UndoesRollback: orders::a_rollback_holds;
    PinOutlivesEdit: orders::an_edit_ends_a_rollback;
    FinishesSuperseded: orders::a_fix_does_not_wait_for_what_it_mends;
    CountsExitTwice: rollouts::an_exit_is_counted_once;
    CountsTheDark: rollouts::time_in_the_dark_counts_for_nothing;
    IgnoresMinHealthy: rollouts::the_gate_is_time_and_not_a_moment;
    CountsUnreadyAsReady: rollouts::what_comes_up_gets_nothing;
    TakesUnknownForReady: rollouts::what_was_never_asked_gets_nothing;
    TakesUnknownForFailing: health::a_restart_of_the_daemon_moves_no_traffic;
    UnroutesEverybody: health::when_nobody_passes_somebody_is_asked_still;
    ForgetsInFlight: leaving::requests_are_let_end;
    DrainsForever: leaving::a_drain_has_an_end;
    StopsRouted: leaving::what_is_routed_runs;
    CountsOldDrain: leaving::a_drain_begins_anew_with_one_that_was_routed_again;
    AsksWantedRoutes: shapes::one_that_had_no_ways_in_goes_back_to_that;
    TakesOnePortForAll: shapes::a_port_may_change_its_name;
    ForgetsWhoseDisk: shapes::a_disk_has_one_owner_on_the_way_back;
    RestartsHungBeforeNew: shapes::new_ones_come_before_what_hangs;
    KeepsHungWorker: shapes::a_way_back_without_ways_in_is_woken;
    StartsSecondOwner: shapes::a_disk_has_one_owner_though_a_rollout_is_given_up;
    TellsWhatWaited: leaving::what_waited_for_long_is_looked_at_again;
    TellsWhatWasNotTaken: leaving::what_was_not_taken_is_told_by_nobody_else;
    StopsWhatCameBack: leaving::what_goes_is_in_no_table_that_others_bring;
    SurgesUnbounded: rollouts::a_surge_is_a_bound;
    TrustsListingOrder: seeing::a_listing_in_any_order_says_the_same;
    KnowsByNameOnly: seeing::the_same_name_is_not_the_same_thing;
    ReusesRevision: rollouts::a_number_is_given_out_once;
    ReusesNameOfTheGoing: leaving::a_name_is_free_when_its_holder_is_gone;
    TrimsLastGood: leaving::history_forgets_nothing_that_serves;
    AdoptsNewest: memory::what_is_oldest_was_good;
    TakesStepBack: rollouts::a_share_that_was_given_is_kept;
    SharesBelowCapacity: rollouts::a_share_leaves_enough_to_serve;
    IgnoresDependencies: rollouts::what_it_depends_on_comes_first;
    TakesHeldRoute: leaving::a_way_in_is_handed_over_when_it_is_free;
    ForgetsWrittenSuspend: orders::what_is_suspended_outlives_its_manifest;
    IgnoresSuspend: orders::what_is_suspended_is_left_alone;
    RunsHookAgain: hooks::a_hook_that_was_cut_off_is_not_run_again;
    TakesGoneHookForDone: hooks::a_hook_that_is_gone_is_not_done;
    DeletesOrphans: orders::an_orphan_is_left_running;
    NeverForgivesExits: health::a_long_life_is_forgiven_its_past;
    CrashLoopsHot: health::a_crash_loop_is_given_more_and_more_time;
    IgnoresRetryAfter: rollouts::a_platform_is_asked_when_it_says;
    TakesErrorForEmpty: seeing::a_dark_target_is_not_an_empty_one;
    TakesPartForWhole: parts::half_a_target_is_not_a_target;
    LooksOnlyAtEvents: seeing::what_no_event_tells_is_found;
    ForgetsAskDuringLook: driving::what_is_asked_during_a_look_comes_after_it;
    OverlapsLooks: driving::looks_at_one_app_do_not_overlap;
    StarvesRoutine: driving::what_waits_long_enough_has_its_turn;
    SavesAfterActing: memory::nothing_is_younger_than_memory;
    KeepsHealthOfLastLife: health::a_new_life_proves_itself_anew;
    FailsAtFirstAnswer: health::one_bad_answer_is_no_failure;
    DeletesInMasses: leaving::masses_are_not_deleted_without_a_word;
    ForgetsOthersRoutes: memory::a_restart_keeps_the_routes_of_others;
    ForgetsWhatMayLand: leaving::nobody_goes_whom_a_table_may_bring_back;
    ReusesTableNumber: memory::a_number_that_memory_forgot_is_given_to_no_other_table;
    LooksAgainAtOnce: leaving::who_may_not_go_yet_is_looked_at_later;
    ForgetsNeeds: memory::what_an_orphan_needed_may_go;
    TrustsOlderMemory: memory::what_the_table_names_is_looked_for_everywhere;
    RestartsTableNumbers: memory::tables_go_on_from_the_live_number;
    RetriesRefusedHot: parts::what_is_refused_is_asked_for_less_and_less;
    BlamesForLostHost: health::what_its_host_took_along_has_as_long_anew;
    RefusedStartStarves: refusals::a_fix_does_not_wait_for_what_cannot_be_started;
    BackoffOutlivesRelease: refusals::a_fix_does_not_wait_as_long_as_what_it_mends;
    BakesRefused: refusals::what_is_watched_and_refused_goes_back;
    FreesUncertainPlace: refusals::what_may_run_holds_its_place;
    IgnoresRolloutCap: rollouts::no_more_rollouts_than_may_be_at_once;
    LeaksRolloutPlace: rollouts::a_place_is_given_back;
    ForgetsRolloutPlaces: rollouts::a_place_is_kept_over_a_restart;
    TrustsWallClock: parts::a_step_of_the_wall_clock_moves_nothing;
    KeepsAllEvents: parts::events_are_bounded;
    ReadsHalfWritten: sources::half_a_file_is_not_a_file;
    TrustsModificationTime: sources::an_edit_that_keeps_its_time_is_seen;
    MissesSymlinkSwap: sources::a_swapped_link_is_followed;
    TrustsEmptyRoot: sources::an_emptied_root_is_doubted;
    DropsPathlessRescan: sources::lost_events_lead_to_a_listing;
    TrustsEventsAlone: sources::an_edit_without_an_event_is_found;
    ForgetsLastGood: sources::a_broken_file_keeps_its_apps;
    TakesGapForAbsence: sources::what_cannot_be_read_is_not_gone;
    DeletesAtFirstMiss: sources::gone_once_may_be_a_moment;
    SharesRoute: sources::a_route_has_one_holder;
    BelievesOldStore: stores::an_earlier_store_is_not_believed;
    AcknowledgesUnwritten: stores::what_is_acknowledged_is_written;
    ForgetsWhatIsDown: memory::what_is_down_is_remembered;
    ObeysRefusedWord: memory::a_word_that_is_refused_is_not_obeyed;
    CommitsUnderOneLock: stores::no_store_waits_for_the_engine_of_another;
    TellsLossOnce: stores::a_loss_is_said_until_it_is_settled;
    TakesLastDuplicate: manifests::a_key_is_written_once;
    IgnoresUnknownKeys: manifests::a_mistyped_key_is_an_error;
    AcceptsCircles: manifests::a_circle_is_an_error;
    AcceptsOlderTable: edge::an_older_table_is_refused;
}
