//! Images that are built of a folder: once for each content, by the engine, with a log that says what went wrong.

use std::collections::BTreeMap;
use std::path::Path;

use trueup_host::Tree;
use trueup_seams::Runtime as _;
use trueup_types::docker::{DockerSpec, OldImages};
use trueup_types::step::{InstanceStep, Refusal, StepOutcome};
use trueup_types::template::Build;
use trueup_types::{InstanceId, Release, ReleaseDigest};

use crate::support::One;
use crate::support::engine::{Engine, IMAGE, engine};

/// A folder with a recipe, as a release is planned with it.
fn shop(one: &One, recipe: &str, revision: &str) -> Release {
    let root = one.folder.path().join("shop");
    std::fs::create_dir_all(&root).expect("a folder");
    std::fs::write(root.join("Dockerfile"), recipe).expect("it is written");
    planned(one, &root, revision)
}

fn planned(one: &One, root: &Path, revision: &str) -> Release {
    let mut release = one.release("cat /shop/mark; exec sleep 600");
    let args = BTreeMap::from([("COLOUR".to_owned(), "green".to_owned())]);
    let target = Some("final".to_owned());
    release.template.image = None;
    release.template.build = Some(Build { context: "shop".to_owned(), dockerfile: None, args, target });
    let tree = Tree::read(root, Some("Dockerfile"), None, tokio::time::Instant::now().into_std()).expect("it reads");
    release.inputs.trees.insert("shop".to_owned(), tree.digest());
    release.digest = ReleaseDigest::of(&(tree.digest(), revision));
    release
}

fn recipe(run: &str) -> String {
    format!(
        "FROM {IMAGE} AS first\nARG COLOUR\nCOPY . /shop\nRUN {run}\nFROM first AS final\nRUN echo final >> /shop/mark\n\
         FROM first AS unwanted\nRUN false\n"
    )
}

fn image_of(engine: &Engine, container: &str) -> String {
    engine.ask("GET", &format!("/containers/{container}/json"), "")["Config"]["Image"]
        .as_str()
        .expect("a name")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_built_once_for_each_content() {
    let Some(engine) = engine() else { return };
    let one = One::new(engine, "builds");
    let release = shop(&one, &recipe("echo built $COLOUR > /shop/mark"), "r1");
    let (outcome, said) = one.create_in_time(&release).await;
    assert_eq!(outcome, StepOutcome::Done, "{said:?}");
    let log = one.said("final").await;
    assert!(log.iter().any(|line| line.text == "built green"), "{log:?}");
    let first = image_of(engine, &one.container());
    assert!(first.starts_with("builds-build/web:"), "{first}");

    // The same content is the same image, and nothing is built: the recipe would fail by now.
    let id: InstanceId = "web-r2-0".parse().expect("a name");
    let base = engine.ask("GET", &format!("/images/{first}/json"), "")["Id"].clone();
    let again = planned(&one, &one.folder.path().join("shop"), "r2");
    assert_eq!(one.create_as(&id, again).await, StepOutcome::Done, "what is there is not built again");
    assert_eq!(image_of(engine, "builds-web-r2-0"), first);
    assert_eq!(engine.ask("GET", &format!("/images/{first}/json"), "")["Id"], base);

    // Planned with one content, and found with another: what changes is another release.
    let stale = shop(&one, &recipe("echo other"), "r3");
    std::fs::write(one.folder.path().join("shop/new"), "x").expect("it is written");
    let id: InstanceId = "web-r3-0".parse().expect("a name");
    let outcome = one.create_as(&id, stale).await;
    assert!(matches!(&outcome, StepOutcome::Retry { why, .. } if why.contains("planned with")), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_fails_is_refused_with_the_end_of_its_log() {
    let Some(engine) = engine() else { return };
    let one = One::new(engine, "breaks");
    let refused = async |recipe: &str| {
        let (outcome, said) = one.create_in_time(&shop(&one, recipe, "r1")).await;
        let StepOutcome::Refused { why: Refusal::Invalid(why) } = outcome else { panic!("{outcome:?} {said:?}") };
        why
    };
    let why = refused(&recipe("echo now it comes; echo the colour is odd; exit 3")).await;
    assert!(why.contains("the colour is odd") && why.contains("returned a non-zero code: 3"), "{why}");
    let why = refused("FORM scratch\n").await;
    assert!(why.contains("FORM"), "{why}");
    let missing = Release { inputs: Default::default(), ..shop(&one, &recipe("true"), "r2") };
    let (outcome, _) = one.create_in_time(&missing).await;
    assert!(matches!(outcome, StepOutcome::Refused { .. }), "{outcome:?}");
    assert_eq!(one.seen().await, None, "nothing is left of any of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_images_go_when_no_release_that_is_kept_needs_them_and_foreign_ones_never() {
    let Some(engine) = engine() else { return };
    let settings = DockerSpec { old_images: OldImages::Prune, ..DockerSpec::default() };
    let one = One::with(engine, "pruned", settings);
    let there = |image: &str| engine.api("GET", &format!("/images/{image}/json"), &[], b"").0 == 200;
    let mut made = Vec::new();
    for round in 1..=3 {
        let release = shop(&one, &recipe(&format!("echo {round} > /shop/mark")), "x");
        let (outcome, said) = one.create_in_time(&release).await;
        assert_eq!(outcome, StepOutcome::Done, "{said:?}");
        made.push((release, image_of(engine, &one.container())));
        if round < 3 {
            let _ = engine.ask("DELETE", &format!("/containers/{}?force=1", one.container()), "");
        }
    }
    // The first has been given another name by somebody; the foreign image was here before.
    let _ = engine.ask("POST", &format!("/images/{}/tag?repo=somebody&tag=kept", made[0].1), "");
    let mut foreign = one.release("exec sleep 600");
    foreign.digest = ReleaseDigest::of("foreign");
    let id: InstanceId = "web-r9-0".parse().expect("a name");
    assert_eq!(one.create_as(&id, foreign).await, StepOutcome::Done);

    let last = std::sync::Arc::new(made[2].0.clone());
    let kept = [last];
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while there(&made[1].1) {
        // An engine that is busy with a container of it says no; it is told again with each removal.
        one.runtime.keep(&one.id.app, &kept).await;
        assert!(tokio::time::Instant::now() < deadline, "the second image stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(there(&made[2].1), "what is kept needs the third");
    assert!(there("somebody:kept") && there(IMAGE), "what somebody named, and what was here before us, stays");

    // Nor does what a container is made of go while it is there.
    assert_eq!(one.runtime.retire(&one.id.app).await, StepOutcome::AlreadyTrue);
    let step = InstanceStep::Start { id: one.id.clone(), ended: one.running().await.incarnation };
    assert_eq!(one.apply(step).await, StepOutcome::AlreadyTrue);
    assert!(there(&made[2].1));
}
