//! Leases.

use serde_json::json;
use trueup_fly_sim::Asked;

use crate::stand::{Court, Said, Stand, word};

const NONCE: &str = "fly-machine-lease-nonce";

async fn lease(stand: &Stand, method: &str, id: &str, nonce: Option<&str>) -> Said {
    let asked = Asked::new(method, &format!("/v1/apps/web/machines/{id}/lease"));
    let asked = if method == "POST" { asked.json(&json!({"ttl": 10, "description": "deploy"})) } else { asked };
    stand.ask(nonce.map_or(asked.clone(), |nonce| asked.header(NONCE, nonce))).await
}

pub async fn a_lease_is_held_refreshed_and_released(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    lease(&stand, "GET", &id, None).await.refused(404);
    let taken = lease(&stand, "POST", &id, None).await;
    assert_eq!(taken.status, 201);
    assert_eq!(word(&taken.json, "status"), "success");
    let data = &taken.json["data"];
    let nonce = word(data, "nonce").to_owned();
    assert_eq!(data["expires_at"].as_u64(), Some(stand.now().seconds() + 10));
    assert!(word(data, "owner").ends_with("@tokens.fly.io"));
    let refused = lease(&stand, "POST", &id, None).await;
    assert_eq!(refused.status, 409);
    let expected = format!("machine ID {id} lease currently held by {}, expires at ", word(data, "owner"));
    assert!(word(&refused.json, "message").starts_with(&expected), "{}", refused.text);
    assert_eq!((word(&refused.json, "status"), word(&refused.json, "code")), ("error", "invalid"));
    let wrong = lease(&stand, "POST", &id, Some("nonsense")).await;
    assert_eq!(wrong.status, 409, "only its holder refreshes it");
    stand.advance(8_000);
    let refreshed = lease(&stand, "POST", &id, Some(&nonce)).await.well();
    assert_eq!(word(&refreshed["data"], "nonce"), nonce, "the same nonce");
    stand.advance(8_000);
    assert_eq!(word(&lease(&stand, "GET", &id, None).await.well()["data"], "nonce"), nonce);
    lease(&stand, "DELETE", &id, Some("nonsense")).await.refused(400);
    let missing = Asked::new("DELETE", &format!("/v1/apps/web/machines/{id}/lease"));
    stand.ask(missing).await.refused(400);
    assert_eq!(lease(&stand, "DELETE", &id, Some(&nonce)).await.well()["data"]["ok"], true);
    lease(&stand, "DELETE", &id, Some(&nonce)).await.refused(404);
    // flyctl puts the time into the query; it ends by itself.
    let asked = Asked::new("POST", &format!("/v1/apps/web/machines/{id}/lease?ttl=5"));
    let taken = stand.ask(asked).await.well();
    stand.advance(5_000);
    lease(&stand, "GET", &id, None).await.refused(404);
    lease(&stand, "POST", &id, Some(word(&taken["data"], "nonce"))).await.refused(404);
}

pub async fn a_leased_machine_obeys_its_holder_only(court: Court) {
    let stand = Stand::new(&court).await;
    let id = stand.started(&json!({"image": "r/web:1"})).await;
    let nonce = word(&lease(&stand, "POST", &id, None).await.well()["data"], "nonce").to_owned();
    let base = format!("/v1/apps/web/machines/{id}");
    for verb in ["start", "stop", "suspend", "restart", "cordon", "uncordon"] {
        let text = stand.verb(&id, verb).await.refused(409);
        assert!(text.contains("lease currently held by"), "{verb}: {text}");
    }
    stand.update(&id, &json!({"config": {"image": "r/web:2"}})).await.refused(409);
    stand.delete(&format!("{base}?force=true")).await.refused(409);
    stand.post(&format!("{base}/signal"), &json!({"signal": "SIGTERM"})).await.refused(409);
    let held = |asked: Asked| asked.header(NONCE, &nonce);
    stand.ask(held(Asked::new("POST", &format!("{base}/cordon")))).await.well();
    stand.ask(held(Asked::new("POST", &base).json(&json!({"config": {"image": "r/web:2"}})))).await.well();
    stand.advance(9_000);
    stand.ask(held(Asked::new("DELETE", &format!("{base}?force=true")))).await.well();
}

pub async fn a_machine_can_be_born_leased(court: Court) {
    let stand = Stand::new(&court).await;
    let made =
        stand.post("/v1/apps/web/machines", &json!({"config": {"image": "r/web:1"}, "lease_ttl": 30})).await.well();
    let (id, nonce) = (word(&made, "id"), word(&made, "nonce"));
    assert!(!nonce.is_empty());
    assert!(stand.show(id).await.get("nonce").is_none(), "it is shown once");
    let shown = stand.get(&format!("/v1/apps/web/machines/{id}?include_leases=true")).await.well();
    assert_eq!(word(&shown, "nonce"), nonce);
    let list = stand.get("/v1/apps/web/machines?include_leases=true").await.well();
    assert_eq!(word(&list[0], "nonce"), nonce);
    lease(&stand, "POST", id, None).await.refused(409);
}
