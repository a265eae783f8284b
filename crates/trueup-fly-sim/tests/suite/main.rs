//! The simulator's own tests: scenes on a clock that is turned by hand, each request and answer held against the
//! specification. Each scene is a test; the last test plays them all, and looks at what the specification's known gaps
//! were needed for.

mod gaps;
mod scenes;
mod sockets;
mod stand;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use stand::Court;

type Scene = fn(Court) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! scenes {
    ($($room:ident { $($scene:ident;)* })*) => {
        /// All scenes, by name.
        const SCENES: &[(&str, Scene)] = &[$($(
            (stringify!($scene), |court| Box::pin(scenes::$room::$scene(court))),
        )*)*];
        $(mod $room { $(
            #[tokio::test]
            async fn $scene() {
                crate::scenes::$room::$scene(crate::stand::Court::open()).await;
            }
        )* })*
    };
}

scenes! {
    life {
        a_machine_passes_through_its_states_at_its_own_pace;
        a_machine_that_skips_its_launch_rests_once_it_is_prepared;
        verbs_are_refused_in_states_that_do_not_fit;
        what_was_just_stopped_is_not_started_at_once;
        a_program_that_ignores_the_signal_is_killed;
        suspended_machines_wake_and_lose_their_memory_when_stopped;
        a_restart_keeps_the_version;
        a_machine_is_seen_destroyed_for_a_while_and_then_by_nobody;
        an_image_that_cannot_be_pulled_fails_the_launch;
        a_failing_program_is_started_again_until_it_is_not;
        a_program_without_a_policy_rests_or_destroys_itself;
        signals_end_programs;
        an_ephemeral_machine_runs_a_command_once;
        a_command_of_which_nobody_says_anything_ends_well;
    }
    updates {
        an_update_replaces_the_machine_in_place;
        a_stopped_machine_stays_stopped_with_its_new_version;
        an_update_that_cannot_be_pulled_puts_the_old_version_back;
        an_update_is_refused_for_another_version_and_in_passing;
        configs_are_spelled_the_platforms_way;
        configs_that_make_no_sense_are_refused;
        metadata_changes_neither_version_nor_state;
        the_documented_create_is_answered_as_documented;
    }
    watching {
        checks_are_empty_then_critical_then_passing;
        checks_go_as_their_image_says;
        wait_is_answered_when_the_state_is_reached_or_with_408;
        wait_is_for_a_version_and_for_several_states;
        lists_filter_and_lag;
        the_organisations_list_is_paged_and_late;
        what_machines_write_is_read_page_by_page;
        commands_see_the_environment_of_the_start;
    }
    leases {
        a_lease_is_held_refreshed_and_released;
        a_leased_machine_obeys_its_holder_only;
        a_machine_can_be_born_leased;
    }
    proxy {
        a_patient_blue_green_never_leaves_nobody;
        a_hasty_one_does;
        who_answers_is_asked_before_who_does_not;
        an_update_in_place_leaves_nobody;
        a_revert_puts_the_old_back_without_a_gap;
        failing_checks_take_a_machine_out_and_never_restart_it;
        requests_wake_what_sleeps;
        nobody_is_reached_without_an_address;
    }
    faults {
        too_many_calls_of_a_kind_are_refused;
        a_create_may_succeed_and_say_that_it_did_not;
        answers_may_be_wrong_late_or_never;
        what_was_just_made_may_not_be_found_yet;
        an_unreachable_host_hides_its_machines;
        a_full_region_takes_nothing;
        somebody_else_may_hold_the_lease;
        the_proxy_may_stop_a_machine_in_the_middle_of_a_wait;
        machines_change_behind_everybodys_back;
        a_timeline_happens_by_itself;
        a_run_can_be_made_again;
    }
    resources {
        apps_are_made_shown_and_deleted_with_all_they_have;
        names_of_apps_are_taken_once;
        tokens_of_both_schemes_open_what_is_theirs;
        volumes_are_bound_to_one_machine;
        secrets_have_versions_and_digests;
        a_host_that_hears_of_secrets_late_waits_for_the_version_that_it_is_told;
        certificates_are_issued_once_proven;
        addresses_are_given_and_taken_back;
        regions_are_in_capitals;
        releases_are_bookkeeping;
        graphql_knows_what_clients_ask;
        loose_inputs_are_understood;
        what_an_independent_client_sends_is_understood;
    }
}

/// Operations of the specification that are not simulated, and why.
const NOT_SIMULATED: &[(&str, &str)] = &[
    ("Machines_get_memory", "the balloon is of no use to a deployer"),
    ("Machines_set_memory_limit", "the balloon is of no use to a deployer"),
    ("Machines_reclaim_memory", "the balloon is of no use to a deployer"),
    ("Secretkeys_list", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_get", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_set", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_delete", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_generate", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_encrypt", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_decrypt", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_sign", "a KMS, which has nothing to do with the secrets of apps"),
    ("Secretkey_verify", "a KMS, which has nothing to do with the secrets of apps"),
    ("Tokens_authenticate", "for services that are given tokens by others"),
    ("Tokens_authorize", "for services that are given tokens by others"),
    ("Tokens_request_Kms", "only from within a machine"),
    ("Tokens_request_OIDC", "only from within a machine"),
];

#[tokio::test]
async fn every_operation_is_crossed_and_every_gap_is_needed() {
    let court = Court::open();
    for (name, scene) in SCENES {
        println!("{name}");
        scene(court.clone()).await;
    }
    let contract = court.contract();
    let expected: BTreeSet<_> = NOT_SIMULATED.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(
        contract.uncrossed(),
        expected,
        "operations that nothing has asked for, against those that are not simulated"
    );
    assert_eq!(contract.unneeded(), Vec::<&str>::new(), "gaps that nothing needed: the list or the scenes are wrong");
}
