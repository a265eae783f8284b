//! Decisions of a whole daemon, recorded, masked, and made again.

use std::sync::Arc;
use std::time::Duration;

use trueup_driver::mask::masked;
use trueup_driver::replay::replay;
use trueup_sim::behaviour::EXIT_AFTER_MS;
use trueup_sim::{AppSketch, House};
use trueup_types::decision::{DECISIONS_VERSION, DecisionsFile, RecordedDecision};
use trueup_types::desired::{Doubt, Hold, Wanted};
use trueup_types::order::{EnvOf, Order};
use trueup_types::template::FileSpec;
use trueup_types::{AppName, DesiredApp, Template, TemplateDigest, Violation};

const PASSWORD: &str = "correct-horse-battery";
const KEY: &str = "-----BEGIN KEY-----\nstaple\n";

fn web() -> AppName {
    AppName::new("web").expect("a name")
}

/// The app with a password in its environment, a key in a file, and the password again in its command.
fn keeper(sketch: &AppSketch) -> Arc<DesiredApp> {
    let desired = sketch.clone().env("PASSWORD", PASSWORD).build();
    let mut template = Template::clone(&desired.template);
    template.files = vec![FileSpec { path: "key.pem".to_owned(), content: KEY.to_owned(), mode: 0o600 }];
    template.args = vec![format!("--url=http://ann:{PASSWORD}@db/")];
    let template_digest = TemplateDigest::of(&template);
    let intent =
        DesiredApp::intent_of(template_digest, &desired.policy, &desired.exposure, &desired.placement, desired.prune);
    Arc::new(DesiredApp { template: Arc::new(template), template_digest, intent, ..DesiredApp::clone(&desired) })
}

/// A life with a good update, one that fails and is reverted, a restart, and a rollback with the environment of now.
async fn lived() -> House {
    let mut house = House::new();
    let app = AppSketch::web("web").replicas(2);
    house.source.put(keeper(&app));
    house.start().await;
    house.until_live("web", 1).await;
    house.control().order(&web(), Order::Restart, "ann").await.expect("it runs");
    house.until_live("web", 2).await;
    let bad = app.clone().env("VERSION", "v2").env(EXIT_AFTER_MS, "0");
    house.source.put(keeper(&bad));
    let reverted = |house: &House| house.app("web").is_some_and(|app| app.status.word == "Reverted");
    house.until("it is reverted", Duration::from_secs(600), reverted).await;
    house
}

fn decisions(house: &House) -> Vec<RecordedDecision> {
    let decisions = house.control().decisions(&web()).expect("it is known");
    let text = serde_json::to_string(&DecisionsFile {
        version: DECISIONS_VERSION,
        trueup: "0".to_owned(),
        app: web(),
        decisions,
    });
    let text = text.expect("it becomes JSON");
    for secret in [PASSWORD, "staple", "ann:"] {
        assert!(!text.contains(secret), "`{secret}` is in {text}");
    }
    let file: DecisionsFile = serde_json::from_str(&text).expect("it is read back");
    assert!(!file.decisions.is_empty() && file.decisions.len() <= 10, "{}", file.decisions.len());
    file.decisions
}

fn same_again(decisions: &[RecordedDecision]) {
    for decision in decisions {
        let replayed = replay(decision);
        assert!(replayed.differs.is_empty(), "{:#?}\n{:#?}", replayed.told, replayed.differs);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_decision_is_made_the_same_way_and_holds_no_secret() {
    let house = lived().await;
    let all = decisions(&house);
    assert!(all.is_sorted_by(|newer, older| newer.given.now >= older.given.now), "newest first");
    same_again(&all);
    let steps = all.iter().map(|one| one.answered.steps.len()).sum::<usize>();
    assert!(steps > 0 && all.iter().any(|one| !one.answered.remembered.record().rejected.is_empty()));
    // What is pinned with the environment of now has a digest that nobody wrote down.
    let app = AppSketch::web("web").replicas(2).env("VERSION", "v3").env("COLOUR", "green");
    let mut other = DesiredApp::clone(&keeper(&app));
    let mut template = Template::clone(&other.template);
    template.args.push("--more".to_owned());
    other.template_digest = TemplateDigest::of(&template);
    other.template = Arc::new(template);
    other.intent = keeper(&app.clone().env("COLOUR", "red")).intent;
    house.source.put(Arc::new(other));
    house.until_live("web", 4).await;
    house.control().order(&web(), Order::Rollback { to: None, env: EnvOf::Now }, "ann").await.expect("r2 is good");
    house.until_live("web", 5).await;
    let all = decisions(&house);
    assert!(all.iter().any(|one| one.answered.remembered.record().pin.is_some()));
    same_again(&all);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_differs_is_told_with_where() {
    let house = lived().await;
    let mut decision = decisions(&house).remove(0);
    "another".clone_into(&mut decision.answered.verdict.message);
    let differs = replay(&decision).differs;
    assert!(differs.len() == 2 && differs[0] == "- verdict.message: \"another\"", "{differs:?}");
    assert!(differs[1].starts_with("+ verdict.message: "), "{differs:?}");

    let mut decision = decisions(&house).remove(0);
    decision.given.observed.instances.clear();
    assert!(!replay(&decision).differs.is_empty(), "another sight, another answer");

    let mut decision = decisions(&house).remove(0);
    decision.answered.violations.push(Violation { law: 4, detail: "somebody would serve nobody".to_owned() });
    let replayed = replay(&decision);
    let told = replayed.told.last().expect("it is told");
    assert_eq!(told, "not done, since it would break law 4: somebody would serve nobody");
    assert!(replayed.differs.iter().all(|line| line.starts_with("- violations[0].")), "{:?}", replayed.differs);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_a_manifests_error_quotes_is_masked_too() {
    let house = lived().await;
    let mut decision = decisions(&house).remove(0);
    let why = Doubt::ManifestInvalid("web.yaml:9:5 env.PIN is not text: `0123456789`".to_owned());
    decision.given.permits.destroy = Err(Hold::InDoubt(why.clone()));
    decision.given.wanted = Wanted::Held { why };
    let text = serde_json::to_string(&masked(&[Arc::new(decision)])).expect("it becomes JSON");
    assert!(!text.contains("0123456789") && text.contains("env.PIN is not text: `[masked]`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_app_that_is_busy_takes_no_more_than_its_share() {
    let house = lived().await;
    for _ in 0..20 {
        house.control().order(&web(), Order::Suspend, "ann").await.expect("it runs");
        house.control().order(&web(), Order::Resume, "ann").await.expect("it is suspended");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(decisions(&house).len() <= 10);
    let nobody = AppName::new("nobody").expect("a name");
    assert!(house.control().decisions(&nobody).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_a_word_of_ours_leaves_that_word_alone() {
    let mut house = House::new();
    house.source.put(AppSketch::web("body").build());
    let mut app = AppSketch::web("web").replicas(2).env("MODE", "rollout").env("GOAL", "revert").env("WAY", "byItself");
    app.policy.depends_on.insert(AppName::new("body").expect("a name"));
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    house.source.put(app.clone().env("VERSION", "v2").env(EXIT_AFTER_MS, "0").build());
    let reverted = |house: &House| house.app("web").is_some_and(|app| app.status.word == "Reverted");
    house.until("it is reverted", Duration::from_secs(600), reverted).await;
    same_again(&decisions(&house));
}
