//! The names under which an app is reached, and their certificates.

use std::time::Duration;

use serde_json::json;
use trueup_fly_sim::{Asked, Deed, Fault, Rule, Said, Scenario};
use trueup_sim::AppSketch;
use trueup_types::status::{Condition, ConditionStatus};
use trueup_types::{Certified, Tls};

use crate::daemon::Scene;
use crate::stand::{app, sketch};

/// An app with these names of its own beside its first.
fn web(names: &[&str]) -> AppSketch {
    let mut web = sketch("web", "r/app:1");
    let first = web.exposure.routes[0].clone();
    for name in names {
        web.exposure.routes.push(trueup_types::Route { host: (*name).to_owned(), tls: Tls::Auto, ..first.clone() });
    }
    web
}

fn condition(scene: &Scene) -> Option<Condition> {
    let shown = scene.house.app("web")?;
    shown.status.conditions.into_iter().find(|one| one.kind == "CertificateReady")
}

fn calls(scene: &Scene, verb: &str) -> u64 {
    scene.platform.sim.calls().get(format!("App_Certificates_{verb}").as_str()).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_certified_when_it_comes_and_given_back_when_it_goes_and_no_machine_is_touched() {
    let mut scene = Scene::new(Scenario::default()).await;
    scene.want(&web(&[]));
    scene.live("web", 1).await;
    assert!(condition(&scene).is_none(), "nothing of it is to be certified");
    let machines = scene.fleet();
    scene.want(&web(&["shop.example.com"]));
    scene
        .until("the DNS is waited for", |scene| {
            condition(scene).is_some_and(|one| one.status == ConditionStatus::False)
        })
        .await;
    let told = condition(&scene).expect("it is there");
    let cname = format!("or CNAME {}.fly.dev", scene.fly_app());
    assert!(
        told.reason == "AwaitingDns" && told.message.contains("A 66.241.124.1") && told.message.contains(&cname),
        "{told:?}"
    );
    let route = |scene: &Scene| {
        let routes = scene.house.app("web").expect("it is there").status.routes;
        routes.into_iter().find(|route| route.host == "shop.example.com")
    };
    scene.until("the route is there", |scene| route(scene).is_some()).await;
    let certificate = route(&scene).and_then(|route| route.certificate);
    assert!(matches!(certificate, Some(Certified::Pending { .. })), "{certificate:?}");
    scene.killed(false).await;
    scene
        .until("it is issued", |scene| {
            condition(scene).is_some_and(|one| one.status == ConditionStatus::True && one.reason == "Issued")
        })
        .await;
    assert_eq!(calls(&scene, "acme_create"), 1, "once, whoever comes after");
    scene.want(&web(&[]));
    scene.until("it is given back", |scene| calls(scene, "delete") == 1 && condition(scene).is_none()).await;
    assert_eq!(scene.fleet(), machines);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_asked_for_keeps_nobody_from_serving() {
    let operation = "App_Certificates_*".to_owned();
    let fault = Fault::Answers(Said::status(403));
    let rule = Rule { operation, app: None, machine: None, times: None, skip: 0, permille: 1_000, fault };
    let scene = Scene::new(Scenario { faults: vec![rule], ..Scenario::default() }).await;
    scene.want(&web(&["shop.example.com"]));
    scene.live("web", 1).await;
    scene
        .until("it says why", |scene| {
            condition(scene).is_some_and(|one| one.status == ConditionStatus::Unknown && one.message.contains("403"))
        })
        .await;
    scene.platform.sim.carry_out(Deed::NoFaults {});
    scene.until("it is issued", |scene| condition(scene).is_some_and(|one| one.status == ConditionStatus::True)).await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_a_person_brought_is_used_and_stays() {
    let scene = Scene::new(Scenario::default()).await;
    scene.want(&web(&[]));
    scene.live("web", 1).await;
    let path = format!("/v1/apps/{}/certificates/acme", scene.fly_app());
    let asked = Asked::new("POST", &path).header("authorization", "Bearer any");
    scene.platform.sim.answer(asked.json(&json!({"hostname": "shop.example.com"}))).await;
    scene.want(&web(&["shop.example.com"]));
    scene.until("it is used", |scene| condition(scene).is_some_and(|one| one.status == ConditionStatus::True)).await;
    scene.want(&web(&[]));
    scene.until("the name is gone", |scene| condition(scene).is_none()).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!((calls(&scene, "acme_create"), calls(&scene, "delete")), (1, 0), "only the person asked");
}

/// What a request for an app's name is answered with.
async fn asked(scene: &Scene, domain: &str) -> u16 {
    let request = Asked::new("GET", "/").header("host", &format!("{}.{domain}", scene.fly_app()));
    match scene.platform.sim.answer(request).await {
        trueup_fly_sim::Answered::Reply(reply) => reply.status,
        trueup_fly_sim::Answered::Cut => 0,
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_ways_in_are_all_private_has_no_address_in_the_world() {
    let mut scene = Scene::new(Scenario::default()).await;
    let private = |beside: bool| {
        let mut web = sketch("web", "r/app:1");
        let public = web.exposure.routes[0].clone();
        web.exposure.routes[0].host = scene.platform.settings().private_host(&app("web"));
        web.exposure.routes.extend(beside.then_some(public));
        web
    };
    let (alone, beside) = (private(false), private(true));
    scene.want(&alone);
    scene.live("web", 1).await;
    let addresses = |scene: &Scene| {
        let ips = scene.platform.apps()[0]["ips"].as_array().cloned().unwrap_or_default();
        let private = |ip: &serde_json::Value| ip.as_str().is_some_and(|ip| ip.starts_with("fdaa:"));
        let (private, public): (Vec<_>, Vec<_>) = ips.into_iter().partition(private);
        (private.len(), public.len())
    };
    assert_eq!(addresses(&scene), (1, 0));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((asked(&scene, "flycast").await, asked(&scene, "fly.dev").await), (200, 503));
    let shown = scene.house.app("web").expect("it is there").status.routes[0].host.clone();
    assert_eq!(shown, format!("{}.flycast", scene.fly_app()));
    let machines = scene.fleet();
    scene.want(&beside);
    scene.until("the world reaches it too", |scene| addresses(scene) == (1, 2)).await;
    scene.killed(false).await;
    scene.want(&alone);
    scene.until("the world reaches it no more", |scene| addresses(scene) == (1, 0)).await;
    assert_eq!(scene.fleet(), machines, "no machine was touched for it");
}
