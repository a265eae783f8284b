//! A token for one app: enough for an app that is there, and told plainly where it is not.

use std::time::Duration;

use serde_json::json;
use trueup_fly_sim::{Answered, Asked, Behaviour, Health, Scenario, Token};
use trueup_seams::Runtime as _;
use trueup_types::step::{Refusal, StepOutcome};

use crate::daemon::Scene;
use crate::stand::{Stand, app, image, quick, release, swift};

/// A token for all, and the daemon's, which is for the app of this name.
pub fn tokens(only: &str) -> Vec<Token> {
    let token = |token: &str, app: Option<&str>| Token {
        token: token.to_owned(),
        org: "personal".to_owned(),
        app: app.map(str::to_owned),
        logs: true,
    };
    vec![token("fm2_all", None), token("fm2_abc", Some(only))]
}

fn scenario(only: &str) -> Scenario {
    let tokens = tokens(only);
    let images = vec![Behaviour { health: Health::Never, ..image("r/app:never") }];
    Scenario { tokens, images, ..quick() }
}

/// What the daemon of a scene calls the app.
pub async fn name() -> String {
    let scene = Scene::new(quick()).await;
    scene.want(&swift("r/app:1"));
    scene.until("it is made", |scene| !scene.platform.apps().is_empty()).await;
    scene.fly_app()
}

#[tokio::test(start_paused = true)]
async fn a_token_for_one_app_is_enough_for_an_app_that_a_person_has_made() {
    let name = name().await;
    let scene = Scene::new(scenario(&name)).await;
    let asked = Asked::new("POST", "/v1/apps").header("authorization", "FlyV1 fm2_all");
    let made = scene.platform.sim.answer(asked.json(&json!({"name": name, "org_slug": "personal"}))).await;
    assert!(matches!(made, Answered::Reply(reply) if reply.status < 300));
    scene.want(&swift("r/app:1"));
    scene.live("web", 1).await;
    let before = scene.serving();
    scene.want(&swift("r/app:never"));
    scene.rejected("web", 2).await;
    assert_eq!(scene.serving(), before);
    scene.want(&swift("r/app:2"));
    scene.live("web", 3).await;
    scene.drop_app("web");
    scene.until("no machine is left", |scene| scene.fleet().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.fly_app(), name, "the app is the person's");
    assert_eq!(scene.platform.sim.calls().get("Apps_create"), Some(&1), "the person's");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_the_token_does_not_open_is_refused_with_what_helps() {
    let stand = Stand::new(scenario("shop"));
    stand.survey().await;
    let outcome = stand.create(&release("web", 1, "a:1"), 0).await;
    let StepOutcome::Refused { why: Refusal::Invalid(why) } = &outcome else { unreachable!("{outcome:?}") };
    assert!(why.contains("the token is for shop alone") && why.contains("`fly tokens create org personal`"), "{why}");
    assert!(why.contains("`fly apps create ampel-web-"), "{why}");
    assert_eq!(stand.calls("Apps_create"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_narrower_token_does_not_open_is_dark_and_never_empty() {
    let stand = Stand::new(scenario("shop"));
    let with = |token: &str| *stand.platform.token.lock().expect("no holder panics") = format!("FlyV1 {token}");
    with("fm2_all");
    stand.up(&release("web", 1, "a:1"), 0).await;
    with("fm2_abc");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let survey = stand.runtime.survey().await;
    let why: Vec<_> = survey.values().filter_map(|sight| sight.as_ref().err()).map(ToString::to_string).collect();
    assert!(why.len() == 1 && why[0].contains("the token is for shop alone, and web is ampel-web-"), "{why:?}");
    with("fm2_all");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(stand.one("web-r1-0").await.is_some(), "it is in sight again");
    assert_eq!(
        stand.runtime.called(&app("web")),
        Some(stand.platform.apps()[0]["name"].as_str().unwrap_or_default().to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn an_organisation_that_opens_to_no_token_is_dark() {
    let refused = trueup_fly_sim::Fault::Answers(trueup_fly_sim::Said::status(403));
    let stand = Stand::new(Scenario { faults: vec![crate::stand::rule("Machines_org_list", 9, refused)], ..quick() });
    let survey = stand.runtime.survey().await;
    assert!(survey.values().any(Result::is_err), "{survey:?}");
}
