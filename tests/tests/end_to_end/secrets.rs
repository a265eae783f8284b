//! Values that no manifest holds, on real processes: they reach the instance, and nobody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use trueup_tests::daemon::app_of;
use trueup_tests::manifest::Badness;
use trueup_tests::{Bench, Daemon, DemoApp};

/// Values that nobody else has.
const TOKEN: &str = "tok-correct-horse";
const OLD: &str = "old-battery-staple";
const NEW: &str = "new-tr0ub4dor-and-3";
const SEALED: &str = "unsealed-xyzzy-plugh";

const SECRETS: &str = "\
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: keys}
spec: {fromEnv: {API_TOKEN: SHOP_TOKEN}}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: database}
spec: {fromFile: database.env}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: sealed}
spec: {fromExec: [sed, s/sealed-/unsealed-/, sealed.env]}
";

/// An app that says what it was given, as no app should.
fn written(bench: &Bench, app: &DemoApp) {
    let shell = "[sh, -c, 'echo given $API_TOKEN $PASSWORD $WORD $NOTED; exec trueup demo-app']";
    let asks = "  envFrom: [{secret: keys}, {secret: database}, {secret: sealed}]\n";
    let app = app.clone().env("NOTED", "by the manifest");
    bench.write_text("web.yaml", &(app.manifest().replace("[trueup, demo-app]", shell) + asks));
}

fn private(bench: &Bench, name: &str, text: &str, mode: u32) {
    let aside = bench.config_dir().join(format!(".{name}.aside"));
    std::fs::write(&aside, text).expect("it is written");
    std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    std::fs::rename(&aside, bench.config_dir().join(name)).expect("it is renamed");
}

fn password(bench: &Bench, value: &str) {
    private(bench, "database.env", &format!("# of the database\nPASSWORD='{value}'\nNOTED=overruled\n"), 0o600);
}

/// A bench with all that the secrets are read from, and its app.
fn bench() -> (Bench, DemoApp) {
    let mut bench = Bench::new();
    bench.tell("SHOP_TOKEN", TOKEN);
    password(&bench, OLD);
    private(&bench, "sealed.env", "WORD=sealed-xyzzy-plugh\n", 0o600);
    bench.write_text("secrets.yaml", SECRETS);
    let app = DemoApp::new("web", "v1").replicas(1).rollout("drain", "200ms");
    written(&bench, &app);
    (bench, app)
}

/// What the newest instance of the app was given; nothing where it has just gone.
fn given(bench: &Bench) -> String {
    let (_, said, talk) = bench.ask(&["logs", "web"]);
    said + &talk
}

fn error(status: &Value) -> String {
    app_of(status, "web")["status"]["manifestError"].as_str().unwrap_or_default().to_owned()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path()).collect();
    let (folders, mut all): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|path| path.is_dir() && !path.is_symlink());
    // A pipe would be waited on.
    all.retain(|path| path.is_file());
    all.extend(folders.iter().flat_map(|folder| files(folder)));
    all
}

/// Where a value lies on the disk only the daemon's user may read it, and the store is not where it lies.
fn kept_to_ourselves(bench: &Bench) {
    let held = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        [TOKEN, OLD, NEW, SEALED].iter().any(|value| text.contains(value))
    };
    let mut kinds = Vec::new();
    for path in files(&bench.state_dir()).iter().filter(|path| held(path)) {
        let mode = |path: &Path| path.metadata().map_or(0, |meta| meta.permissions().mode()) & 0o077;
        let shut = path.ancestors().take_while(|one| *one != bench.state_dir()).any(|one| mode(one) == 0);
        assert!(shut, "others can read {}", path.display());
        let first = path.strip_prefix(bench.state_dir()).ok().and_then(|path| path.iter().next());
        kinds.extend(first.map(|first| first.to_string_lossy().into_owned()));
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["instances", "secrets"], "where values lie");
}

/// Nothing that is shown to people holds a value.
fn shown_to_nobody(bench: &Bench) {
    let config = bench.config_dir().to_string_lossy().into_owned();
    let asked: &[&[&str]] = &[
        &["plan", &config],
        &["plan", &config, "-o", "json"],
        &["get", "apps", "-o", "json"],
        &["get", "events"],
        &["describe", "app", "web"],
        &["why", "web"],
        &["why", "web", "-o", "json"],
    ];
    let mut all: Vec<_> = asked.iter().map(|words| (words.join(" "), bench.ask(words))).collect();
    let record = bench.path("web.json").to_string_lossy().into_owned();
    all.push(("why --record".to_owned(), bench.ask(&["why", "web", "--record", &record])));
    let read = |path: &Path| (0, std::fs::read_to_string(path).unwrap_or_default(), String::new());
    all.push(("its record".to_owned(), read(Path::new(&record))));
    all.push(("the status".to_owned(), read(&bench.status_file())));
    all.push(("the daemon's log".to_owned(), read(&bench.path("daemon.log"))));
    all.push(("the evidence".to_owned(), read(&bench.state_dir().join("evidence/web.json"))));
    for (what, (_, said, talk)) in all {
        for value in [TOKEN, OLD, NEW, SEALED] {
            assert!(!said.contains(value) && !talk.contains(value), "`{value}` is in `{what}`:\n{said}{talk}");
        }
    }
}

#[test]
fn values_reach_the_instance_and_a_changed_one_rolls_and_a_rollback_takes_that_of_then() {
    let (bench, app) = bench();
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    let said = given(&bench);
    assert!(said.contains(&format!("given {TOKEN} {OLD} {SEALED} by the manifest")), "{said}");
    let (code, plan, talk) = bench.ask(&["plan", &bench.config_dir().to_string_lossy()]);
    assert_eq!((code, plan.trim()), (0, "Nothing would change."), "{talk}");

    password(&bench, NEW);
    daemon.await_live("web", 2);
    let said = given(&bench);
    assert!(said.contains(&format!("given {TOKEN} {NEW} {SEALED}")), "{said}");

    // What fails with evidence, too.
    written(&bench, &app.bad("v2", Badness::ExitsAtOnce));
    daemon.await_reverted("web", 3);
    kept_to_ourselves(&bench);
    shown_to_nobody(&bench);

    written(&bench, &app);
    daemon.await_live("web", 2);
    let (code, _, talk) = bench.ask(&["rollback", "web", "--to", "1"]);
    assert_eq!(code, 0, "{talk}");
    daemon.eventually("the values of then are back", Duration::from_secs(60), |_| given(&bench).contains(OLD));
    let (code, _, talk) = bench.ask(&["resume", "web"]);
    assert_eq!(code, 0, "{talk}");
    daemon.eventually("and those of now", Duration::from_secs(60), |_| given(&bench).contains(NEW));
}

#[test]
fn what_cannot_be_read_is_told_and_what_runs_goes_on_with_what_it_has() {
    let (mut bench, app) = bench();
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    private(&bench, "database.env", &format!("PASSWORD={NEW}\n"), 0o644);
    daemon.eventually("others may not read it", Duration::from_secs(60), |status| {
        let why = error(status);
        why.contains("the secret `database`: database.env: others may read or write it") && why.contains("chmod 600")
    });
    password(&bench, OLD);
    daemon.eventually("it is mended", Duration::from_secs(60), |status| error(status).is_empty());

    // A daemon that was not given the variable changes nothing of what runs, and says what it lacks.
    daemon.kill();
    bench.tell("SHOP_TOKEN", "");
    let daemon = Daemon::start(&bench);
    daemon.eventually("it says what it lacks", Duration::from_secs(60), |status| {
        status.to_string().contains("the secret `keys`: the variable SHOP_TOKEN is not set in the daemon's environment")
    });
    assert!(given(&bench).contains(TOKEN));
    drop(daemon);
    bench.tell("SHOP_TOKEN", TOKEN);
    let daemon = Daemon::start(&bench);
    daemon.await_live("web", 1);
    written(&bench, &app.at("v2"));
    daemon.await_live("web", 2);
    shown_to_nobody(&bench);
}

#[test]
fn a_plan_without_a_daemon_reads_what_a_daemon_would_and_holds_it() {
    let (bench, _) = bench();
    let config = bench.config_dir().to_string_lossy().into_owned();
    let (code, plan, talk) = bench.ask(&["plan", &config, "-o", "json"]);
    assert_eq!(code, 1, "{talk}");
    let file = bench.path("plan.json");
    std::fs::write(&file, &plan).expect("it is written");
    let listen = bench.listen.to_string();
    let once = ["run", &config, "--once", "--listen", &listen, "--plan", &file.to_string_lossy()];
    let (code, said, talk) = bench.ask(&once);
    assert_eq!(code, 0, "{said}{talk}");
    let (code, plan, talk) = bench.ask(&["plan", &config]);
    assert_eq!((code, plan.trim()), (0, "Nothing would change."), "{talk}");
    password(&bench, NEW);
    let (code, plan, talk) = bench.ask(&["plan", &config]);
    assert!(code == 1 && plan.contains("app/web rolls to a new release"), "{plan}{talk}");
    let (code, _, talk) = bench.ask(&once);
    assert!(code != 0 && talk.contains("app/web would not become what"), "{talk}");
    private(&bench, "database.env", "PASSWORD", 0o600);
    let (code, _, talk) = bench.ask(&["plan", &config]);
    assert!(code == 2 && talk.contains("the secret `database`: database.env: line 1: it has no `=`"), "{talk}");
}

#[test]
fn the_page_about_secrets_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    let page = std::fs::read_to_string(root.join("docs/secrets.md")).expect("it is there");
    let manifests = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has manifests");
    let mut bench = Bench::new();
    bench.tell("SHOP_PAYMENT_KEY", TOKEN);
    private(&bench, "database.env", "export DATABASE_URL=\"postgres://shop@db/shop\" # of the shop\n", 0o600);
    private(&bench, "mail.env", "{\"MAIL_PASSWORD\": \"unsealed-xyzzy-plugh\"}\n", 0o600);
    let tells = "[sh, -c, 'echo given $PAYMENT_KEY $DATABASE_URL $MAIL_PASSWORD $LOG_LEVEL; exec trueup demo-app']";
    bench.write_text("shop.yaml", &manifests.replace("[trueup, demo-app]", tells));
    let daemon = Daemon::start(&bench);
    daemon.await_live("shop", 1);
    let (_, said, talk) = bench.ask(&["logs", "shop"]);
    assert!(said.contains(&format!("given {TOKEN} postgres://shop@db/shop {SEALED} info")), "{said}{talk}");
    private(&bench, "mail.env", "MAIL_PASSWORD=another-one\n", 0o600);
    daemon.await_live("shop", 2);
}
