//! Sessions with a whole daemon, told as scripts with golden answers: how trueup thinks, to be read from the first on.
//!
//! Real manifests, the real driver, planner, queue and guard; only the world and its time are simulated. After a change
//! that is meant, `UPDATE_EXPECT=1 cargo nextest run -p trueup-sim scenarios` writes the answers anew.

mod scenario;

/// One test for each script.
macro_rules! scenarios {
    ($($name:ident)+) => {
        /// Every script that is run.
        const SCRIPTS: &[&str] = &[$(stringify!($name)),+];

        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                scenario::run(stringify!($name)).await;
            }
        )+
    };
}

scenarios! {
    first_deploy
    good_update
    bad_update_crashes
    bad_update_never_healthy
    bad_update_sickens
    bad_update_cannot_start
    crash_loop
    drift
    drain
    scale
    rollback_and_resume
    rollback_with_todays_environment
    dependency
    delete_with_the_guard
    lost_store
    dark_host
    full_disk
    fix_forward
    suspend
    killed_daemon
}

#[test]
fn every_script_is_run_and_listed_in_the_docs() {
    let docs = scenario::folder().join("../../../../docs/scenarios.md");
    let docs = std::fs::read_to_string(docs).expect("docs/scenarios.md can be read");
    let files = std::fs::read_dir(scenario::folder()).expect("the scripts can be listed");
    let mut count = 0;
    for file in files {
        let file = file.expect("an entry").file_name().into_string().expect("a name");
        let name = file.strip_suffix(".scn").unwrap_or_else(|| panic!("{file} is no script"));
        assert!(SCRIPTS.contains(&name), "{name} is not run");
        assert!(docs.contains(&format!("scenarios/{file}")), "{file} is not in docs/scenarios.md");
        count += 1;
    }
    assert_eq!(count, SCRIPTS.len());
}
