//! Apps and what lies beside machines.

use serde_json::{Value, json};
use trueup_fly_sim::{Asked, Lag, Latency, Scenario, Span, Token};

use crate::stand::{Court, Stand, service, unlimited, word};

pub async fn apps_are_made_shown_and_deleted_with_all_they_have(court: Court) {
    let stand = Stand::bare(&court, unlimited());
    let made = stand.post("/v1/apps", &json!({"name": "web", "org_slug": "personal", "network": "blue"})).await;
    assert_eq!(made.status, 201);
    assert!(made.json["created_at"].is_u64());
    let app = stand.get("/v1/apps/web").await.well();
    assert_eq!((word(&app, "status"), word(&app, "network")), ("pending", "blue"));
    let id = stand.started(&service("r/web:1")).await;
    stand.post("/v1/apps/web/volumes", &json!({"name": "data"})).await.well();
    let app = stand.get("/v1/apps/web").await.well();
    assert_eq!(word(&app, "status"), "deployed");
    assert_eq!((&app["machine_count"], &app["volume_count"]), (&json!(1), &json!(1)));
    let list = stand.get("/v1/apps?org_slug=personal").await.well();
    assert_eq!((&list["total_apps"], word(&list["apps"][0], "name")), (&json!(1), "web"));
    let gone = stand.ask(Asked::new("DELETE", "/v1/apps/web?force=true")).await;
    assert_eq!((gone.status, gone.text.as_str()), (202, ""));
    stand.get("/v1/apps/web").await.refused(404);
    stand.get(&format!("/v1/apps/web/machines/{id}")).await.refused(404);
    assert_eq!(stand.get("/v1/orgs/personal/machines").await.well()["machines"], json!([]));
}

pub async fn names_of_apps_are_taken_once(court: Court) {
    let stand = Stand::new(&court).await;
    let taken = stand.post("/v1/apps", &json!({"name": "web", "org_slug": "personal"})).await;
    assert_eq!((taken.status, word(&taken.json, "status")), (422, "name_taken"));
    stand.post("/v1/apps", &json!({"name": "No Name", "org_slug": "personal"})).await.refused(422);
    stand.post("/v1/apps", &json!({"name": "a".repeat(64), "org_slug": "personal"})).await.refused(422);
    stand.post("/v1/apps", &json!({"name": "other", "org_slug": "nobody"})).await.refused(404);
    stand.post("/v1/apps", &json!({"name": "other"})).await.refused(400);
    stand.get("/v1/apps?org_slug=nobody").await.refused(404);
    stand.get("/v1/apps").await.refused(400);
}

pub async fn tokens_of_both_schemes_open_what_is_theirs(court: Court) {
    let token = |token: &str, org: &str, app: Option<&str>| Token {
        token: token.to_owned(),
        org: org.to_owned(),
        app: app.map(str::to_owned),
        logs: true,
    };
    let tokens = vec![
        token("fm2_abc", "personal", None),
        token("oauth", "other", None),
        token("fm2_one", "personal", Some("web")),
    ];
    let orgs = vec!["personal".to_owned(), "other".to_owned()];
    let mut stand = Stand::with(&court, Scenario { tokens, orgs, ..unlimited() }).await;
    stand.post("/v1/apps", &json!({"name": "second", "org_slug": "personal"})).await.well();
    for good in ["Bearer fm2_abc", "FlyV1 fm2_abc", "FlyV1 fm2_abc,fm2_unknown"] {
        stand.token = good;
        stand.get("/v1/apps/web").await.well();
    }
    for bad in ["Bearer nonsense", "fm2_abc", "FlyV1 ", "Basic fm2_abc", "Bearer FlyV1 fm2_abc"] {
        stand.token = bad;
        let text = stand.get("/v1/apps/web").await.refused(401);
        assert_eq!(text, "Authenticate: token validation error", "{bad}");
    }
    stand.token = "Bearer oauth";
    stand.get("/v1/apps/web").await.refused(403);
    stand.get("/v1/orgs/personal/machines").await.refused(404);
    let said = stand.get("/v1/tokens/current").await.well();
    assert_eq!(word(&said["tokens"][0], "org_slug"), "other");
    stand.token = "FlyV1 fm2_one";
    stand.get("/v1/apps/web").await.well();
    stand.get("/v1/apps/second").await.refused(403);
    stand.get("/v1/orgs/personal/machines").await.refused(403);
    stand.post("/v1/apps", &json!({"name": "third", "org_slug": "personal"})).await.refused(403);
    let listed = stand.get("/v1/apps?org_slug=personal").await.well();
    assert_eq!((&listed["total_apps"], word(&listed["apps"][0], "name")), (&json!(1), "web"), "it sees its own");
    assert_eq!(stand.get("/v1/tokens/current").await.well()["tokens"][0]["apps"], json!(["web"]));
    let made = stand.post("/v1/apps/web/deploy_token", &json!({"expiry": "24h"})).await.well();
    assert!(word(&made, "token").starts_with("FlyV1 fm2_"));
    stand.token = Box::leak(word(&made, "token").to_owned().into_boxed_str());
    stand.get("/v1/apps/web").await.well();
    stand.get("/v1/apps/second").await.refused(403);
    let mut open = Stand::new(&court).await;
    for (token, status) in [("Bearer whatever", 200), ("Bearer FlyV1 fm2_abc", 401)] {
        open.token = token;
        assert_eq!(open.get("/v1/apps/web").await.status, status, "{token}: a scheme within a scheme is no token");
    }
    let nobody = Asked::new("GET", "/v1/apps/web");
    let said = stand.sim.answer(nobody).await;
    assert!(matches!(said, trueup_fly_sim::Answered::Reply(reply) if reply.status == 401));
}

pub async fn volumes_are_bound_to_one_machine(court: Court) {
    let stand = Stand::new(&court).await;
    let base = "/v1/apps/web/volumes";
    let made = stand
        .post(base, &json!({"name": "data", "region": "fra", "size_gb": 10, "snapshot_retention": 7}))
        .await
        .well();
    let id = word(&made, "id").to_owned();
    assert!(id.starts_with("vol_") && made["attached_machine_id"].is_null());
    stand.post(base, &json!({"region": "fra"})).await.refused(400);
    stand.post(base, &json!({"name": "data", "region": "mars"})).await.refused(400);
    stand.post(base, &json!({"name": "data", "snapshot_retention": 99})).await.refused(400);
    let mount = json!({"image": "r/db:1", "mounts": [{"volume": id, "path": "/data"}]});
    stand.post("/v1/apps/web/machines", &json!({"config": mount, "region": "iad"})).await.refused(400);
    let machine = stand.create(&json!({"config": mount, "region": "fra"})).await;
    assert_eq!(word(&stand.get(&format!("{base}/{id}")).await.well(), "attached_machine_id"), machine);
    let text = stand.post("/v1/apps/web/machines", &json!({"config": mount, "region": "fra"})).await.refused(412);
    assert!(text.ends_with(&format!("volume already claimed by machine {machine}")), "{text}");
    let text = stand.delete(&format!("{base}/{id}")).await.refused(412);
    assert!(text.ends_with(&format!("volume is currently bound to machine: {machine}")), "{text}");
    stand.wait(&machine, "").await.well();
    stand.update(&machine, &json!({"config": {"image": "r/db:2"}})).await.refused(400);
    stand.update(&machine, &json!({"config": mount})).await.well();
    let extended = stand.put(&format!("{base}/{id}/extend"), &json!({"size_gb": 20})).await.well();
    assert_eq!((&extended["volume"]["size_gb"], &extended["needs_restart"]), (&json!(20), &json!(true)));
    stand.put(&format!("{base}/{id}/extend"), &json!({"size_gb": 5})).await.refused(400);
    let updated = stand
        .put(&format!("{base}/{id}"), &json!({"snapshot_retention": 9, "auto_backup_enabled": false}))
        .await
        .well();
    assert_eq!(updated["snapshot_retention"], 9);
    let snapshot = Asked::new("POST", &format!("{base}/{id}/snapshots"));
    stand.ask(snapshot.clone()).await.well();
    let text = stand.ask(snapshot).await.refused(412);
    assert!(text.contains("snapshot is already scheduled at "), "{text}");
    assert_eq!(word(&stand.get(&format!("{base}/{id}/snapshots")).await.well()[0], "status"), "pending");
    stand.delete(&format!("/v1/apps/web/machines/{machine}?force=true")).await.well();
    stand.advance(2_000);
    stand.delete(&format!("{base}/{id}")).await.well();
    stand.get(&format!("{base}/{id}")).await.refused(404);
    assert_eq!(stand.get(base).await.well(), json!([]));
}

pub async fn secrets_have_versions_and_digests(court: Court) {
    let stand = Stand::new(&court).await;
    let base = "/v1/apps/web/secrets";
    let said = stand.post(base, &json!({"values": {"A": "1", "B": "2"}})).await.well();
    assert_eq!((&said["version"], &said["Version"]), (&json!(1), &json!(1)));
    let first = word(&said["secrets"][0], "digest").to_owned();
    assert!(said["secrets"][0].get("value").is_none(), "values are not read back");
    let created = word(&said["secrets"][0], "created_at").to_owned();
    stand.advance(1_000);
    let said = stand.post(&format!("{base}/A"), &json!({"value": "other"})).await;
    assert_eq!(word(&said.json, "created_at"), created);
    assert_ne!(word(&said.json, "updated_at"), created);
    assert_eq!((said.status, &said.json["version"]), (201, &json!(2)));
    assert_ne!(word(&said.json, "digest"), first);
    let again = stand.post(&format!("{base}/A"), &json!({"value": "1"})).await.well();
    assert_eq!(word(&again, "digest"), first, "the same value has the same digest");
    assert_eq!(stand.post(base, &json!({"values": {"B": null}})).await.well()["version"], 4);
    let list = stand.get(&format!("{base}?min_version=4")).await.well();
    assert_eq!(list["secrets"].as_array().map(Vec::len), Some(1));
    stand.get(&format!("{base}?min_version=5")).await.refused(412);
    let shown = stand.get(&format!("{base}/A?show_secrets=true")).await.well();
    assert_eq!(word(&shown, "value"), "1");
    stand.get(&format!("{base}/B")).await.refused(404);
    assert_eq!(stand.delete(&format!("{base}/A")).await.well()["version"], 5);
    stand.delete(&format!("{base}/A")).await.refused(404);
    stand.post(base, &json!({})).await.refused(400);
    stand.post(&format!("{base}/A"), &json!({})).await.refused(400);
    let config = json!({"image": "r/web:1"});
    stand.post("/v1/apps/web/machines", &json!({"config": config, "min_secrets_version": 6})).await.refused(412);
    stand.create(&json!({"config": config, "min_secrets_version": 5})).await;
}

pub async fn a_host_that_hears_of_secrets_late_waits_for_the_version_that_it_is_told(court: Court) {
    let lag = Lag { secrets: Span::millis(30_000), ..Lag::default() };
    let stand = Stand::with(&court, Scenario { lag, ..unlimited() }).await;
    for value in ["old", "new"] {
        stand.advance(60_000);
        stand.post("/v1/apps/web/secrets", &json!({"values": {"TOKEN": value}})).await.well();
    }
    let config = json!({"image": "r/web:1"});
    let found = async |body: Value| {
        let id = stand.create(&body).await;
        stand.wait(&id, "state=started").await.well();
        let ran =
            stand.post(&format!("/v1/apps/web/machines/{id}/exec"), &json!({"command": ["printenv"]})).await.well();
        let lines = word(&ran, "stdout").lines().find_map(|line| line.strip_prefix("TOKEN=")).map(str::to_owned);
        lines.unwrap_or_default()
    };
    assert_eq!(found(json!({"config": config, "min_secrets_version": 2})).await, "new");
    assert_eq!(found(json!({"config": config})).await, "old", "another host has not heard yet");
    stand.advance(30_000);
    assert_eq!(found(json!({"config": config})).await, "new");
}

pub async fn certificates_are_issued_once_proven(court: Court) {
    let latency = Latency { certificate: None, ..Latency::default() };
    let stand = Stand::with(&court, Scenario { latency, ..unlimited() }).await;
    let base = "/v1/apps/web/certificates";
    let made = stand.post(&format!("{base}/acme"), &json!({"hostname": "www.example.com"})).await;
    assert_eq!((made.status, word(&made.json, "status")), (201, "pending_validation"));
    let wanted = &made.json["dns_requirements"];
    assert_eq!((word(wanted, "cname"), wanted["aaaa"].as_array().map(Vec::len)), ("web.fly.dev", Some(1)));
    stand.advance(3_600_000);
    let host = format!("{base}/www.example.com");
    let checked = stand.ask(Asked::new("POST", &format!("{host}/check"))).await.well();
    assert_eq!(checked["validation_errors"].as_array().map(Vec::len), Some(1));
    stand.do_to(&json!({"prove": {"app": "web", "hostname": "www.example.com"}}));
    let shown = stand.get(&host).await.well();
    assert_eq!((word(&shown, "status"), &shown["configured"]), ("active", &json!(true)));
    stand.post(&format!("{base}/acme"), &json!({"hostname": "*.example.org"})).await.well();
    assert_eq!(word(&stand.get(&format!("{base}/%2A.example.org")).await.well(), "hostname"), "*.example.org");
    let page = stand.get(&format!("{base}?limit=1")).await.well();
    assert_eq!((word(&page["certificates"][0], "hostname"), &page["total_count"]), ("*.example.org", &json!(2)));
    let page = stand.get(&format!("{base}?limit=1&cursor={}", word(&page, "next_cursor"))).await.well();
    assert_eq!(word(&page["certificates"][0], "hostname"), "www.example.com");
    assert_eq!(stand.get(&format!("{base}?filter=org")).await.well()["total_count"], 1);
    stand.post(&format!("{base}/acme"), &json!({"hostname": "nonsense"})).await.refused(422);
    let custom = json!({"hostname": "c.example.com", "fullchain": "-----BEGIN CERTIFICATE-----", "private_key": "-----BEGIN KEY-----"});
    stand.post(&format!("{base}/custom"), &custom).await.well();
    stand.post(&format!("{base}/custom"), &json!({"hostname": "c.example.com"})).await.refused(422);
    let left = stand.delete(&format!("{base}/c.example.com/custom")).await.well();
    assert_eq!(left["certificates"], json!([]));
    stand.delete(&format!("{host}/acme")).await.well();
    stand.delete(&host).await.well();
    stand.get(&host).await.refused(404);
    let stand = Stand::new(&court).await;
    stand.post(&format!("{base}/acme"), &json!({"hostname": "www.example.com"})).await.well();
    stand.advance(30_000);
    assert_eq!(word(&stand.get(&host).await.well(), "status"), "active", "by itself, where the scenario says when");
}

pub async fn addresses_are_given_and_taken_back(court: Court) {
    let stand = Stand::bare(&court, unlimited());
    stand.do_to(&json!({"app": {"name": "web"}}));
    let base = "/v1/apps/web/ip_assignments";
    for (kind, shared, looks) in [
        ("v4", false, "149.248."),
        ("v6", false, "2a09:"),
        ("shared_v4", true, "66.241."),
        ("private_v6", false, "fdaa:"),
    ] {
        let ip = stand.post(base, &json!({"type": kind})).await.well();
        assert!(word(&ip, "ip").starts_with(looks) && ip["shared"] == shared, "{ip}");
    }
    stand.post(base, &json!({"type": "shared_v4"})).await.well();
    let list = stand.get(base).await.well();
    assert_eq!(list["ips"].as_array().map(Vec::len), Some(4), "the shared one is given once");
    stand.post(base, &json!({"type": "v5"})).await.refused(400);
    let ip = word(&list["ips"][1], "ip").to_owned();
    let gone = stand.delete(&format!("{base}/{ip}")).await;
    assert_eq!(gone.status, 204);
    stand.delete(&format!("{base}/{ip}")).await.refused(404);
}

pub async fn regions_are_in_capitals(court: Court) {
    let stand = Stand::new(&court).await;
    let said = stand.get("/v1/platform/regions").await.well();
    assert_eq!(word(&said, "Nearest"), "iad");
    assert!(said["Regions"].as_array().is_some_and(|rows| rows.iter().any(|row| row["code"] == "fra")));
    let placed = stand.post("/v1/platform/placements", &json!({"org_slug": "personal", "count": 12})).await.well();
    let sum: u64 = placed["Regions"].as_array().expect("rows").iter().filter_map(|row| row["Count"].as_u64()).sum();
    assert_eq!(sum, 12);
    stand.ask_wrongly(Asked::new("POST", "/v1/platform/placements").json(&json!({}))).await.refused(400);
}

pub async fn releases_are_bookkeeping(court: Court) {
    let stand = Stand::new(&court).await;
    stand.get("/api/v1/apps/web/releases/current").await.refused(404);
    let body = json!({"app_name": "web", "image": "r/web:1", "strategy": "BLUEGREEN", "definition": {}});
    let made = stand.post("/api/v1/releases", &body).await.well();
    let id = word(&made["release"], "id").to_owned();
    assert_eq!(made["release"]["version"], 1);
    let patch = Asked::new("PATCH", &format!("/api/v1/releases/{id}")).json(&json!({"status": "complete"}));
    assert_eq!(stand.ask(patch).await.well()["stable"], true);
    stand.post("/api/v1/releases", &body).await.well();
    let list = stand.get("/api/v1/apps/web/releases?limit=1").await.well();
    assert_eq!(list["releases"][0]["version"], 2);
    assert_eq!(stand.get("/api/v1/apps/web/releases/current").await.well()["version"], 2);
    // An older flyctl asks for the same in another way.
    let query = "query($appName: String!, $limit: Int!) { app(name: $appName) { releases: releasesUnprocessed(first: $limit) { nodes { id version status } } } }";
    let said = graphql(&stand, query, json!({"appName": "web", "limit": 2})).await;
    let nodes = said["data"]["app"]["releases"]["nodes"].as_array().expect("they are listed").clone();
    let told: Vec<_> = nodes.iter().map(|node| (node["version"].clone(), word(node, "status").to_owned())).collect();
    assert_eq!(told, [(json!(2), "pending".to_owned()), (json!(1), "complete".to_owned())]);
    assert_eq!((word(&nodes[1], "id"), word(&nodes[1], "imageRef")), (id.as_str(), "r/web:1"));
    let query = "query { app(name: \"web\") { releases: releasesUnprocessed(first: 1) { nodes { id } } } }";
    let said = graphql(&stand, query, json!({"name": "web"})).await;
    assert_eq!(said["data"]["app"]["releases"]["nodes"].as_array().map(Vec::len), Some(1));
    let nobody = Asked::new("PATCH", "/api/v1/releases/rel_99").json(&json!({"status": "failed"}));
    stand.ask(nobody).await.refused(404);
}

async fn graphql(stand: &Stand, query: &str, variables: Value) -> Value {
    stand.post("/graphql", &json!({"query": query, "variables": variables})).await.well()
}

pub async fn graphql_knows_what_clients_ask(court: Court) {
    let stand = Stand::new(&court).await;
    let allocate =
        "mutation($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) { ipAddress { id address } } }";
    let said = graphql(&stand, allocate, json!({"input": {"appId": "web", "type": "v4"}})).await;
    let address = word(&said["data"]["allocateIpAddress"]["ipAddress"], "address").to_owned();
    assert!(address.starts_with("149.248."));
    let app = "query($name: String!) { app(name: $name) { name status organization { name slug } ipAddresses { nodes { type } } } }";
    let said = graphql(&stand, app, json!({"name": "web"})).await;
    assert_eq!(said["data"]["app"]["ipAddresses"]["nodes"].as_array().map(Vec::len), Some(2), "{said}");
    assert!(said["data"]["app"]["sharedIpAddress"].is_string());
    let release = "mutation($input: ReleaseIPAddressInput!) { releaseIpAddress(input: $input) { app { name } } }";
    let id = said["data"]["app"]["ipAddresses"]["nodes"][0]["id"].clone();
    graphql(&stand, release, json!({"input": {"appId": "web", "ip": address}})).await;
    let said = graphql(&stand, release, json!({"input": {"ipAddressId": id}})).await;
    assert_eq!(word(&said["data"]["releaseIpAddress"]["app"], "name"), "web");
    let set = "mutation($input: SetSecretsInput!) { setSecrets(input: $input) { release { id version } } }";
    graphql(
        &stand,
        set,
        json!({"input": {"appId": "web", "secrets": [{"key": "A", "value": "1"}, {"key": "B", "value": "2"}]}}),
    )
    .await;
    let unset = "mutation($input: UnsetSecretsInput!) { unsetSecrets(input: $input) { release { id } } }";
    graphql(&stand, unset, json!({"input": {"appId": "web", "keys": ["A"]}})).await;
    let left = stand.get("/v1/apps/web/secrets").await.well();
    assert_eq!(word(&left["secrets"][0], "name"), "B");
    graphql(&stand, set, json!({"input": {"appId": "web", "secrets": [], "replaceAll": true}})).await;
    assert_eq!(stand.get("/v1/apps/web/secrets").await.well()["secrets"], json!([]));
    let said = graphql(&stand, "query { platform { requestRegion regions { name code } } }", json!({})).await;
    assert_eq!(said["data"]["platform"]["requestRegion"], "iad");
    let org = "query($slug: String!) { organization(slug: $slug) { id slug } }";
    assert_eq!(graphql(&stand, org, json!({"slug": "personal"})).await["data"]["organization"]["slug"], "personal");
    let said = graphql(&stand, org, json!({"slug": "nobody"})).await;
    assert!(said["errors"][0]["message"].is_string(), "an error is answered with 200");
    let said = graphql(&stand, "query { organizations { nodes { slug } } }", json!({})).await;
    assert_eq!(said["data"]["organizations"]["nodes"][0]["slug"], "personal");
    let said = graphql(&stand, "query($name: String!) { canPerformBluegreenDeployment(name: $name) }", json!({})).await;
    assert_eq!(said["data"]["canPerformBluegreenDeployment"], true);
    let add = "mutation($appId: ID!, $hostname: String!) { addCertificate(appId: $appId, hostname: $hostname) { certificate { hostname } } }";
    let named = json!({"appId": "web", "hostname": "a.example.com"});
    graphql(&stand, add, named.clone()).await;
    let drop = "mutation($appId: ID!, $hostname: String!) { deleteCertificate(appId: $appId, hostname: $hostname) { app { name } } }";
    graphql(&stand, drop, named.clone()).await;
    assert!(graphql(&stand, drop, named).await["errors"].is_array());
    assert!(graphql(&stand, "query { viewer { id } }", json!({})).await["errors"].is_array());
    assert!(graphql(&stand, app, json!({"name": "nobody"})).await["errors"].is_array());
}

pub async fn loose_inputs_are_understood(court: Court) {
    let stand = Stand::new(&court).await;
    let create = Asked::new("POST", "/v1/apps?wait=true").json(&json!({"app_name": "second", "org_slug": "personal"}));
    stand.ask(create).await.well();
    let id = stand.started(&service("r/web:1")).await;
    let base = format!("/v1/apps/web/machines/{id}");
    stand.ask(Asked::new("POST", &format!("{base}/restart?force_stop=true&timeout=5"))).await.well();
    stand.wait(&id, "state=started").await.well();
    stand.ask(Asked::new("POST", &format!("{base}/signal")).json(&json!({"signal": 10}))).await.well();
    stand
        .ask(Asked::new("POST", &format!("{base}/exec")).json(&json!({"command": ["ls"], "machine": true})))
        .await
        .well();
    let durations = json!({"image": "r/web:1", "services": [{"internal_port": 1, "autostop": true,
        "checks": [{"type": "tcp", "interval": 15_000_000_000_u64}]}], "stop_config": {"timeout": 30_000_000_000_u64}});
    let other = stand.create(&json!({"config": durations})).await;
    let config = stand.show(&other).await["config"].clone();
    assert_eq!(config["services"][0]["checks"][0]["interval"], "15s");
    assert_eq!(config["stop_config"]["timeout"], "30s");
    assert_eq!(config["services"][0]["autostop"], true);
    // Fields that nobody knows are dropped without a word.
    let mistaken =
        json!({"config": {"image": "r/web:1", "services": [{"internal_port": 1, "auto_stop_machines": "stop"}]}});
    let made = stand.ask_wrongly(Asked::new("POST", "/v1/apps/web/machines").json(&mistaken)).await.well();
    assert_eq!(made["config"]["services"][0], json!({"internal_port": 1}));
    stand.ask(Asked::new("DELETE", &format!("{base}?kill=true"))).await.well();
    stand.ask_wrongly(Asked::new("GET", "/v1/nothing")).await.refused(404);
}

/// What `fly-admin` 1.6.1 sends, call by call; it was also run against the binary by hand.
pub async fn what_an_independent_client_sends_is_understood(court: Court) {
    let latency = Latency { settle: Span::default(), ..Latency::default() };
    let mut stand = Stand::bare(&court, Scenario { latency, ..unlimited() });
    stand.token = "Bearer any-token";
    stand.post("/v1/apps", &json!({"app_name": "web", "org_slug": "personal"})).await.well();
    stand.get("/v1/apps?org_slug=personal").await.well();
    let id = stand.create(&json!({"name": "one", "config": {"image": "r/web:1", "size": "shared-cpu-1x"}})).await;
    let base = format!("/v1/apps/web/machines/{id}");
    stand.get("/v1/apps/web/machines").await.well();
    stand.get(&format!("{base}/wait?state=started&timeout=60")).await.well();
    stand.post(&format!("{base}/stop"), &json!({"signal": "SIGTERM"})).await.well();
    let version = word(&stand.show(&id).await, "instance_id").to_owned();
    stand.get(&format!("{base}/wait?instance_id={version}&state=stopped")).await.well();
    stand.verb(&id, "start").await.well();
    stand.wait(&id, "state=started").await.well();
    let asked = Asked::new("POST", &format!("{base}/restart")).json(&json!({}));
    stand.ask_wrongly(asked).await.well();
    stand.delete(&format!("{base}?kill=true")).await.well();
    stand.get(&format!("{base}/wait?state=destroyed")).await.well();
    stand.delete("/v1/apps/web").await.well();
}
