//! How images come to an engine, and what is said of those that do not.

use std::net::TcpListener;
use std::time::Duration;

use trueup_seams::{Asking, Likeness, Runtime as _};
use trueup_types::step::{Refusal, StepOutcome};
use trueup_types::target::DockerSpec;
use trueup_types::{InstanceId, Release, ReleaseDigest};

use crate::support::engine::registry::Registry;
use crate::support::engine::{Engine, engine};
use crate::support::{One, PATIENCE};

/// A port that nobody listens on.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("one is free");
    listener.local_addr().expect("it is bound").port()
}

fn of(image: &str, one: &One, mark: &str) -> Release {
    let mut release = one.release("cat /etc/mark; exec sleep 600");
    release.template.image = Some(image.to_owned());
    release.digest = ReleaseDigest::of(&(image, mark));
    release
}

fn refusal(outcome: StepOutcome) -> String {
    let StepOutcome::Refused { why: Refusal::Invalid(why) } = outcome else { panic!("not refused: {outcome:?}") };
    why
}

/// Makes an image with a mark, puts it into a registry, and leaves no trace of it on the engine.
fn publish(engine: &Engine, registry: &Registry, name: &str, mark: &str) -> String {
    let local = format!("local-{}:{mark}", registry.address.replace(['.', ':'], "-"));
    engine.make_image(&local, mark);
    let full = registry.push(engine, &local, name);
    let _ = engine.ask("DELETE", &format!("/images/{local}"), "");
    full
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_nowhere_is_refused_at_once_and_one_out_of_reach_is_not() {
    let Some(engine) = engine() else { return };
    let registry = Registry::start(engine, "registry-missing", port(), false);
    let one = One::new(engine, "missing");
    let missing = format!("{}/web:nope", registry.address);
    let why = refusal(one.create_in_time(&of(&missing, &one, "")).await.0);
    assert!(why.contains(&missing) && why.contains("manifest unknown"), "{why}");
    let away = format!("127.0.0.1:{}/web:v1", port());
    let outcome = one.create_in_time(&of(&away, &one, "")).await.0;
    assert!(matches!(&outcome, StepOutcome::Retry { why, .. } if why.contains("refused")), "{outcome:?}");
    let why = refusal(one.create(of("Not/An:Image:at-all", &one, "")).await);
    assert!(why.contains("reference"), "{why}");
    assert_eq!(one.seen().await, None, "nothing is left of any of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_keeps_its_image_wherever_its_tag_goes() {
    let Some(engine) = engine() else { return };
    let registry = Registry::start(engine, "registry-pins", port(), false);
    let image = publish(engine, &registry, "web:stable", "first");
    let one = One::new(engine, "pins");
    let release = of(&image, &one, "r1");
    assert_eq!(one.create_in_time(&release).await.0, StepOutcome::Done);
    one.said("first").await;

    // The tag moves on, in the registry and on the engine.
    let _ = publish(engine, &registry, "web:stable", "second");
    let one = one.again();
    let second: InstanceId = "web-r1-1".parse().expect("a name");
    assert_eq!(one.create_as(&second, release.clone()).await, StepOutcome::Done);
    let next: InstanceId = "web-r2-0".parse().expect("a name");
    let _ = engine.ask("POST", &format!("/images/create?fromImage={image}"), "");
    assert_eq!(one.create_as(&next, of(&image, &one, "r2")).await, StepOutcome::Done);
    let image_of = |id: &InstanceId| {
        engine.ask("GET", &format!("/containers/pins-{id}/json"), "")["Image"].as_str().expect("an image").to_owned()
    };
    assert_eq!(image_of(&second), image_of(&one.id), "one more of a release is the same");
    assert_ne!(image_of(&next), image_of(&one.id), "another release takes what the tag says by then");

    // Back to the first, though the engine has lost its image.
    let old = image_of(&one.id);
    for id in [&one.id, &second] {
        let _ = engine.ask("DELETE", &format!("/containers/pins-{id}?force=1"), "");
    }
    let _ = engine.api("DELETE", &format!("/images/{old}?force=1"), &[], b"");
    assert_eq!(one.create_in_time(&release).await.0, StepOutcome::Done);
    assert_eq!(image_of(&one.id), old, "it is fetched by its digest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_is_under_way_until_it_ends() {
    let Some(engine) = engine() else { return };
    // Whoever connects is kept waiting until this goes.
    let silent = TcpListener::bind("127.0.0.1:0").expect("one is free");
    let image = format!("{}/web:v1", silent.local_addr().expect("it is bound"));
    let one = One::new(engine, "underway");
    assert_eq!(one.runtime.underway(), []);
    assert!(matches!(one.create(of(&image, &one, "")).await, StepOutcome::Underway { .. }));
    let now = one.runtime.underway();
    assert_eq!(now.iter().map(|one| one.what.clone()).collect::<Vec<_>>(), [format!("pulling {image}")], "{now:?}");
    drop(silent);
    let outcome = one.create_in_time(&of(&image, &one, "")).await.0;
    assert!(matches!(outcome, StepOutcome::Retry { .. }), "{outcome:?}");
    assert_eq!(one.runtime.underway(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_of_an_image_is_known_by_its_digest_and_what_was_found_is_kept() {
    let Some(engine) = engine() else { return };
    let registry = Registry::start(engine, "registry-alike", port(), false);
    engine.make_image("alike:v1", "alike");
    let [image, same] = ["shop/web:1", "shop/web:stable"].map(|name| registry.push(engine, "alike:v1", name));
    let _ = engine.ask("DELETE", "/images/alike:v1", "");
    let other = publish(engine, &registry, "shop/web:2", "unlike");
    let one = One::new(engine, "alike");
    let release = of(&image, &one, "r1");
    let found = one.runtime.alike(&release, &same, Asking::ForGood).await;
    assert_eq!(found, Likeness::Unknown, "nobody knows what it would begin with");
    assert_eq!(one.create_in_time(&release).await.0, StepOutcome::Done);
    one.said("alike").await;

    assert_eq!(one.runtime.alike(&release, &other, Asking::ToShow).await, Likeness::Other);
    assert_eq!(one.runtime.alike(&release, &same, Asking::ToShow).await, Likeness::Same { anew: true });
    assert_eq!(one.runtime.alike(&release, &same, Asking::ForGood).await, Likeness::Same { anew: true });
    let mut digests = Vec::new();
    for name in [&image, &same, &other] {
        digests.push(one.runtime.resolve(name).await.expect("it is told").expect("names mean something here"));
    }
    assert_eq!(digests[0], digests[1], "one is here, the other in the registry");
    assert!(digests[0] != digests[2] && digests[2].starts_with("sha256:"), "{digests:?}");

    // The name moves on: what was found holds, also for the next daemon.
    let _ = publish(engine, &registry, "shop/web:stable", "moved");
    let one = one.again();
    assert_eq!(one.runtime.alike(&release, &same, Asking::ForGood).await, Likeness::Same { anew: false });
    drop(registry);
    assert_eq!(one.runtime.alike(&release, &other, Asking::ForGood).await, Likeness::Unknown);
    let why = one.runtime.resolve(&other).await.expect_err("the registry is away").detail;
    assert!(why.contains("did not answer a moment ago"), "{why}");
    assert_eq!(one.runtime.alike(&release, &same, Asking::ForGood).await, Likeness::Same { anew: false });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_asks_for_a_password_is_told_the_one_of_the_file() {
    let Some(engine) = engine() else { return };
    let registry = Registry::start(engine, "registry-guarded", port(), true);
    let image = publish(engine, &registry, "web:v1", "guarded");
    let bare = One::new(engine, "stranger");
    let why = refusal(bare.create_in_time(&of(&image, &bare, "")).await.0);
    assert!(why.contains(&registry.address) && why.contains("registryAuthFrom"), "{why}");

    let file = engine.path("docker-config.json");
    let settings = DockerSpec { registry_auth_from: Some(file.display().to_string()), ..DockerSpec::default() };
    let one = One::with(engine, "known", settings);
    let write = |auth: &str| {
        let text = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{auth}\"}}}}}}", registry.address);
        std::fs::write(&file, text).expect("it is written");
    };
    // app:wrong
    write("YXBwOndyb25n");
    let why = refusal(one.create_in_time(&of(&image, &one, "")).await.0);
    assert!(why.contains("`app`") && why.contains("docker-config.json") && !why.contains("wrong"), "{why}");
    // app:secret
    write("YXBwOnNlY3JldA==");
    assert_eq!(one.create_in_time(&of(&image, &one, "")).await.0, StepOutcome::Done);
    one.said("guarded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_comes_back_is_asked_again() {
    let Some(engine) = engine() else { return };
    let port = port();
    let registry = Registry::start(engine, "registry-back", port, false);
    let image = publish(engine, &registry, "web:v1", "back");
    drop(registry);
    let one = One::new(engine, "back");
    let release = of(&image, &one, "");
    assert!(matches!(one.create_in_time(&release).await.0, StepOutcome::Retry { .. }));
    let _registry = Registry::start(engine, "registry-back", port, false);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while one.create(release.clone()).await != StepOutcome::Done {
        assert!(tokio::time::Instant::now() < deadline, "it is not pulled");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.said("back").await;
}
