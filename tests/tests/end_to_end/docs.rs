//! The documents show commands that work: each one found in them is run here, against a daemon on the quickstart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use trueup_tests::daemon::word;
use trueup_tests::{Bench, Daemon};

/// What becomes of a documented command here.
enum How {
    /// It ends with this code.
    Ends(i32),
    /// It goes on until it is stopped.
    GoesOn,
    /// It cannot be run here, and why.
    Elsewhere(&'static str),
}

use How::{Elsewhere, Ends, GoesOn};

/// Every command that a document may show; one that is not here fails the test.
const KNOWN: &[(&str, How)] = &[
    ("trueup init DIR", Elsewhere("`the_starter_runs_as_it_is` runs it")),
    ("trueup run DIR", Elsewhere("this whole test runs it")),
    ("trueup run examples/canary", Elsewhere("`every_example_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup run examples/docker", Elsewhere("`the_example_runs_on_an_engine` runs it")),
    ("trueup run examples/fly-nitro", Elsewhere("`the_page_of_an_example_is_all_that_one_needs` runs it")),
    ("trueup run examples/fly-stack", Elsewhere("`a_whole_stack_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup run examples/fly-vango", Elsewhere("`a_whole_stack_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup validate examples/fly-nitro", Elsewhere("`the_page_of_an_example_is_all_that_one_needs` runs it")),
    ("trueup plan examples/fly-nitro", Elsewhere("`the_page_of_an_example_is_all_that_one_needs` runs it")),
    ("trueup plan examples/fly-stack", Elsewhere("`a_whole_stack_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup cost examples/fly-nitro", Elsewhere("`the_page_of_an_example_is_all_that_one_needs` runs it")),
    (
        "trueup wait app/hello --for=ready --timeout 5m",
        Elsewhere("`the_page_of_an_example_is_all_that_one_needs` runs it"),
    ),
    ("trueup rollout status hello", Elsewhere("`the_page_of_an_example_is_all_that_one_needs` runs it")),
    ("trueup run examples/migrations", Elsewhere("`every_example_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup run examples/quickstart", Elsewhere("`every_example_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup run examples/rollback", Elsewhere("`every_example_converges_and_then_its_plan_is_empty` runs it")),
    (
        "trueup run examples/windows --max-rollouts 1",
        Elsewhere("`of_two_that_may_not_roll_together_one_waits_for_the_other` runs as much"),
    ),
    (
        "trueup run DIR --max-rollouts 1",
        Elsewhere("`of_two_that_may_not_roll_together_one_waits_for_the_other` runs it"),
    ),
    ("trueup run .", Elsewhere("this whole test runs it")),
    ("trueup run DIR --once", Elsewhere("`once_converges_leaves_and_says_how_it_went` runs it")),
    ("trueup unit /etc/trueup/apps > trueup.service", Ends(0)),
    ("trueup unit /etc/trueup/apps --install", Elsewhere("it would change this host")),
    ("trueup doctor", Ends(0)),
    ("trueup demo", Elsewhere("`the_demo_shows_what_it_promises` runs it")),
    ("trueup validate DIR", Ends(0)),
    ("trueup validate .", Ends(0)),
    ("trueup plan DIR", Ends(0)),
    ("trueup plan", Elsewhere("it is the short form of the one above")),
    ("trueup plan .", Ends(0)),
    (
        "trueup plan DIR --against main -o markdown",
        Elsewhere("`two_versions_of_a_directory_are_compared_without_a_daemon` runs it"),
    ),
    ("trueup plan DIR -o json > plan.json", Ends(0)),
    ("trueup plan DIR -o markdown", Ends(0)),
    ("trueup plan examples/windows", Elsewhere("`every_example_converges_and_then_its_plan_is_empty` runs it")),
    ("trueup run DIR --once --plan plan.json", Elsewhere("`a_plan_that_was_shown_is_done_and_no_other` runs it")),
    ("trueup sim fly", Elsewhere("`the_page_about_the_simulated_fly_is_true` runs it, at a port of its own")),
    ("trueup sim fly --listen 127.0.0.1:0", GoesOn),
    ("trueup sim fly --listen 127.0.0.1:0 --speed 20", GoesOn),
    ("trueup sim fly --listen 127.0.0.1:0 --by-hand", GoesOn),
    ("trueup sim fly --listen 127.0.0.1:0 --run", GoesOn),
    (
        "trueup sim fly --listen 127.0.0.1:0 --scenario storm.yaml",
        Elsewhere("`the_page_about_the_simulated_fly_is_true` runs it, with the scenario of the page"),
    ),
    (
        "trueup sim fly --scenario storm.yaml --check",
        Elsewhere("`the_page_about_the_simulated_fly_is_true` runs it, with the scenario of the page"),
    ),
    (
        "trueup import fly.toml --to DIR",
        Elsewhere("`the_page_about_fly_toml_is_true` runs it, with the file of the page"),
    ),
    (
        "trueup import fly.toml --from-live tide-table",
        Elsewhere("`the_page_about_fly_toml_is_true` runs it, with a Fly"),
    ),
    ("trueup export fly.toml tide-table DIR", Elsewhere("`the_page_about_fly_toml_is_true` runs it")),
    ("trueup cost DIR", Ends(0)),
    ("trueup cost DIR -o json", Ends(0)),
    ("trueup cost --show-prices > prices.yaml", Ends(0)),
    (
        "trueup cost DIR --prices prices.yaml",
        Elsewhere("`the_page_about_cost_is_true` runs it, with the table that it prints"),
    ),
    ("trueup get apps", Ends(0)),
    ("trueup get apps -w", GoesOn),
    ("trueup get apps -o wide", Ends(0)),
    ("trueup get apps -o json", Ends(0)),
    ("trueup get routes", Ends(0)),
    ("trueup events -w --for app/NAME", GoesOn),
    ("trueup get instances", Ends(0)),
    ("trueup get releases", Ends(0)),
    ("trueup get events", Ends(0)),
    ("trueup describe app NAME", Ends(0)),
    ("trueup describe app shop", Ends(0)),
    ("trueup describe app hello", Ends(1)),
    ("trueup describe app office", Ends(1)),
    ("trueup why NAME", Ends(0)),
    ("trueup why shop", Ends(0)),
    ("trueup why NAME -o json", Ends(0)),
    ("trueup why NAME --record web.json", Ends(0)),
    ("trueup why --replay web.json", Ends(0)),
    ("trueup debug bundle", Elsewhere("it would write where this test stands; the next one goes elsewhere")),
    ("trueup debug bundle --output report.tar.gz", Ends(0)),
    ("trueup logs NAME", Ends(0)),
    ("trueup exec NAME -- env", Ends(0)),
    (
        "trueup exec -it NAME -- sh",
        Elsewhere("it takes a terminal; `a_terminal_has_our_size_and_takes_another` does as much"),
    ),
    ("trueup logs shop", Ends(0)),
    ("trueup logs NAME -f", GoesOn),
    ("trueup logs NAME --hook migrate", Ends(1)),
    ("trueup logs shop --hook migrate", Ends(1)),
    (
        "trueup logs jobs --hook migrate",
        Elsewhere("`a_whole_stack_converges_and_then_its_plan_is_empty` runs it, with a Fly"),
    ),
    ("trueup describe app api", Elsewhere("`a_whole_stack_converges_and_then_its_plan_is_empty` runs it, with a Fly")),
    ("trueup logs release/NAME@7", Ends(1)),
    ("trueup wait app/NAME --for=ready --timeout 5m", Ends(0)),
    ("trueup wait app/NAME --revision 7", Elsewhere("it waits for a release that this test does not make")),
    ("trueup wait", Elsewhere("it is the short form of the one above")),
    ("trueup rollout status", Elsewhere("it is the short form of the one below")),
    ("trueup rollout status NAME", Ends(0)),
    ("trueup rollout status shop", Ends(0)),
    ("trueup explain app.spec", Ends(0)),
    ("trueup explain secret.spec", Ends(0)),
    ("trueup explain app.spec.rollout", Ends(0)),
    ("trueup suspend NAME", Ends(0)),
    ("trueup resume NAME", Ends(0)),
    ("trueup resume shop", Elsewhere("it is the one above")),
    ("trueup restart NAME", Ends(0)),
    ("trueup promote NAME", Ends(1)),
    ("trueup promote NAME --full", Ends(1)),
    ("trueup promote shop", Ends(1)),
    ("trueup promote shop --full", Ends(1)),
    ("trueup promote", Elsewhere("it is the short form of the one above")),
    ("trueup abort NAME", Ends(0)),
    ("trueup rollback NAME", Elsewhere("`a_persons_word_is_done_and_shown` runs it")),
    ("trueup rollback shop", Elsewhere("`a_persons_word_is_done_and_shown` runs it")),
    (
        "trueup rollback shop --to 1 --current-env",
        Elsewhere("`the_program_of_then_runs_with_the_environment_of_now` runs as much"),
    ),
    ("trueup rollback NAME --to 5", Ends(1)),
    ("trueup rollback NAME --current-env", Elsewhere("`the_program_of_then_runs_with_the_environment_of_now` runs it")),
    ("trueup rollback NAME --to 5 --current-env", Ends(1)),
    ("trueup retry NAME", Ends(0)),
    ("trueup retry shop", Elsewhere("it is the one above")),
    ("trueup approve prune", Ends(1)),
    ("trueup down", Elsewhere("`a_persons_word_is_done_and_shown` runs it, with --yes")),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

/// Every command in code spans and in indented or fenced blocks, without what a comment says of it.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let blocks = text.lines().filter(|line| line.starts_with("    ") || line.starts_with("trueup "));
    let spans = text.split('`').skip(1).step_by(2);
    let found = blocks.chain(spans).map(|line| line.split('#').next().unwrap_or_default().trim());
    found.filter(|line| line.starts_with("trueup ")).map(str::to_owned).collect()
}

fn documents() -> BTreeMap<PathBuf, String> {
    let mut files = vec![root().join("README.md"), root().join("crates/trueup/starter/README.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("there are docs").flatten().map(|entry| entry.path());
    files.extend(docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    for example in std::fs::read_dir(root().join("examples")).expect("there are examples").flatten() {
        files.push(example.path().join("README.md"));
    }
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).expect("a document"))).collect()
}

#[test]
fn every_command_in_the_documents_works() {
    let shown: Vec<_> = documents()
        .iter()
        .flat_map(|(path, text)| commands(text).into_iter().map(|command| (path.clone(), command)))
        .collect();
    for (path, command) in &shown {
        let known = KNOWN.iter().any(|(known, _)| known == command);
        assert!(known, "{} shows `{command}`, which no test runs", path.display());
    }
    let bench = Bench::new();
    for name in ["shop.yaml", "catalogue.yaml"] {
        let text = std::fs::read_to_string(root().join("examples/quickstart").join(name)).expect("it is there");
        bench.write_text(name, &text);
    }
    let daemon = Daemon::start(&bench);
    daemon.eventually("the quickstart is Ready", Duration::from_secs(60), |status| {
        let apps = status["apps"].as_array().cloned().unwrap_or_default();
        apps.len() == 2 && apps.iter().all(|app| word(app) == "Ready")
    });
    // In the order of the table: it goes from looking to changing.
    for (command, how) in KNOWN.iter().filter(|(known, _)| shown.iter().any(|(_, command)| command == known)) {
        match how {
            Ends(code) => ends(&bench, command, *code),
            GoesOn => goes_on(&bench, command),
            Elsewhere(why) => println!("`{command}`: {why}"),
        }
    }
}

fn words(bench: &Bench, command: &str) -> Vec<String> {
    let command = command.split('>').next().unwrap_or_default();
    let config = bench.config_dir().to_string_lossy().into_owned();
    let word = |word: &str| match word {
        "DIR" | "." => config.clone(),
        file if file.ends_with(".json") || file.ends_with(".tar.gz") => bench.path(file).to_string_lossy().into_owned(),
        other => other.replace("NAME", "shop"),
    };
    command.split_whitespace().skip(1).map(word).collect()
}

fn ends(bench: &Bench, command: &str, code: i32) {
    let words = words(bench, command);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (ended, said, talk) = bench.ask(&words);
    assert_eq!(ended, code, "`{command}` said {said}{talk}");
    assert!(!said.trim().is_empty() || !talk.trim().is_empty(), "`{command}` says something");
}

fn goes_on(bench: &Bench, command: &str) {
    let mut child = bench.trueup();
    let child = child.args(words(bench, command)).stdout(Stdio::piped());
    let mut child = child.spawn().expect("the binary runs");
    let mut first = [0; 4];
    let mut stdout = child.stdout.take().expect("it is piped");
    std::io::Read::read_exact(&mut stdout, &mut first).expect("it shows something at once");
    assert!(child.try_wait().expect("it can be asked").is_none(), "`{command}` goes on");
    child.kill().expect("it can be stopped");
    child.wait().expect("it ends");
}

#[test]
fn the_demo_shows_what_it_promises() {
    let output = std::process::Command::new(trueup_tests::bench::binary()).arg("demo").env("NO_COLOR", "1").output();
    let output = output.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in ["v3 was taken back by itself", "was started again", "shop is live at r4", ", 0 failed."] {
        assert!(said.contains(part), "`{part}` is missing:\n{said}");
    }
}
