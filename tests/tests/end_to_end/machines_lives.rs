//! The life of an app on machines, on a real daemon, over HTTP, to a platform that is simulated: it is made, updated, put
//! back from a bad update, and taken down. In each of these the daemon can be killed at one of its requests.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trueup_tests::daemon::{condition, word};
use trueup_tests::relay::Stop;
use trueup_tests::{Bench, Daemon, Fly, Relay};

/// Longest that anything takes here.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// From one look at the platform to the next.
pub const GLANCE: Duration = Duration::from_millis(100);

/// A platform in a hurry: what takes it seconds takes it moments, in the same order.
const SCENARIO: &str = "\
latency: {pull: 100ms, boot: 100ms, stop: 50ms, destroy: 50ms, linger: 1s}
edges: [100ms, 300ms, 600ms]
lag: {machine: 200ms, app: 100ms, list: 500ms, org: 300ms}
images:
  - {image: \"*:never\", health: never}
  - {image: \"*:turns\", health: {failsAfter: 6s}}
";

/// Everything but the app, with what each of its versions keeps secret.
const AROUND: &str = "\
apiVersion: trueup.dev/v1
kind: Target
metadata: {name: prod}
spec:
  fly: {organization: personal, primaryRegion: iad, appName: \"shop-{app}-{random6}\", propagation: 1s}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: v1}
spec: {fromFile: v1.env}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: v2}
spec: {fromFile: v2.env}
---
apiVersion: trueup.dev/v1
kind: Secret
metadata: {name: bad}
spec: {fromFile: bad.env}
";

/// What is done, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Create,
    Update,
    Revert,
    Delete,
}

pub const DEEDS: [Deed; 4] = [Deed::Create, Deed::Update, Deed::Revert, Deed::Delete];

/// What lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Two machines in two regions, asked by the world; a bad one turns bad when it serves.
    Web,
    /// One with a volume, which makes room for the next; a bad one never passes.
    Disk,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Disk => "disk",
        }
    }

    fn manifest(self, deed: Deed) -> String {
        let version = match (deed, self) {
            (Deed::Create | Deed::Delete, _) => "v1",
            (Deed::Update, _) => "v2",
            (Deed::Revert, Self::Web) => "turns",
            (Deed::Revert, Self::Disk) => "never",
        };
        let secret = if deed == Deed::Revert { "bad" } else { version };
        let own = match self {
            Self::Web => "regions: {iad: 1, fra: 1}\n  routes: [{}, {host: shop.example.com, tls: auto}]",
            Self::Disk => "volumes: [{name: data, path: /data, size: 1Gi}]",
        };
        // Whoever turns bad does so while it is watched.
        let bake = if deed == Deed::Revert { "30s" } else { "1s" };
        let deadline = if deed == Deed::Revert { "5s" } else { "10s" };
        format!(
            "\
apiVersion: trueup.dev/v1
kind: App
metadata: {{name: web}}
spec:
  target: prod
  image: demo:{version}
  {own}
  ports: [{{name: http}}]
  env: {{DEMO_VERSION: {version}}}
  envFrom: [{{secret: {secret}}}]
  health: [{{name: ready, http: {{path: /health}}, interval: 2s, timeout: 1s, grace: 1s, failures: 2}}]
  rollout: {{minHealthy: 300ms, bake: {bake}, drain: 500ms, healthyDeadline: {deadline}, progressDeadline: 60s}}
"
        )
    }
}

/// A platform, who carries to it, and a daemon.
pub struct Life {
    kind: Kind,
    bench: Bench,
    fly: Fly,
    pub relay: Relay,
    daemon: Option<Daemon>,
    runtime: tokio::runtime::Runtime,
}

impl Life {
    pub fn begin(kind: Kind) -> Self {
        let mut bench = Bench::new();
        let file = bench.path("hurry.yaml");
        std::fs::write(&file, SCENARIO).expect("it is written");
        let fly = Fly::start(&bench, &["--scenario", &file.to_string_lossy()]);
        let relay = Relay::start(&fly.base);
        bench.tell("FLY_FLAPS_BASE_URL", &relay.base);
        bench.tell("FLY_API_BASE_URL", &relay.base);
        bench.tell("FLY_API_TOKEN", "any");
        for version in ["v1", "v2", "bad"] {
            let file = bench.config_dir().join(format!("{version}.env"));
            std::fs::write(&file, format!("TOKEN=of-{version}\nFOR_{version}=yes\n")).expect("it is written");
            // Who keeps secrets lets nobody else read them.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
        bench.write_text("around.yaml", AROUND);
        let daemon = Some(Daemon::start(&bench));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { kind, bench, fly, relay, daemon, runtime }
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("one lives")
    }

    /// What the platform answers, beside the carrier.
    fn get(&self, path: &str) -> Value {
        self.runtime.block_on(async {
            let asked = reqwest::Client::new().get(format!("{}{path}", self.fly.base)).bearer_auth("any");
            asked.send().await.expect("the platform answers").json().await.unwrap_or_default()
        })
    }

    fn start(&self, deed: Deed) {
        match deed {
            Deed::Delete => std::fs::remove_file(self.bench.config_dir().join("web.yaml")).expect("it was there"),
            _ => self.bench.write_text("web.yaml", &self.kind.manifest(deed)),
        }
    }

    /// Whether the daemon says that a deed is done, and the platform has what it should and nothing else.
    fn ended(&self, deed: Deed) -> bool {
        let app = self.daemon().app("web");
        let good = app["status"]["lastGood"].as_u64();
        let told = match deed {
            Deed::Create => word(&app) == "Ready" && good == Some(1),
            Deed::Update => word(&app) == "Ready" && good == Some(2),
            Deed::Revert => word(&app) == "Reverted" && good == Some(2) && condition(&app, "Reconciling") != "True",
            Deed::Delete => app.is_null(),
        };
        told && self.there(deed)
    }

    fn there(&self, deed: Deed) -> bool {
        let sim = self.get("/_sim");
        let apps = list(&sim["apps"]);
        let (machines, volumes, ips) = match (self.kind, deed) {
            (Kind::Web, Deed::Delete) => return apps.is_empty(),
            (Kind::Disk, Deed::Delete) => (0, 1, 0),
            (Kind::Web, _) => (2, 0, 2),
            (Kind::Disk, _) => (1, 1, 0),
        };
        let [app] = apps else { return false };
        let image = if deed == Deed::Create { "demo:v1" } else { "demo:v2" };
        let count = |what: &str| list(&app[what]).len();
        let as_wanted = |one: &Value| {
            // Of what has no service, the proxy is never told.
            let cordoned = self.kind == Kind::Disk;
            one["image"] == image && one["state"] == "started" && one["cordoned"] == cordoned
        };
        (count("machines"), count("volumes"), count("ips")) == (machines, volumes, ips)
            && list(&app["machines"]).iter().all(as_wanted)
    }

    /// What there is, without what is another's in each life: ids, moments, digests.
    pub fn picture(&self) -> Value {
        let sim = self.get("/_sim");
        list(&sim["apps"]).iter().map(|app| self.pictured(app)).collect()
    }

    fn pictured(&self, app: &Value) -> Value {
        let name = text(&app["name"]);
        let of = |what: &str| self.get(&format!("/v1/apps/{name}/{what}"));
        let names: BTreeMap<_, _> =
            list(&app["machines"]).iter().map(|one| (text(&one["id"]), one["name"].clone())).collect();
        let volumes = of("volumes");
        let disks: BTreeMap<_, _> = list(&volumes).iter().map(|one| (text(&one["id"]), one["name"].clone())).collect();
        let configs = of("machines");
        let machine = |one: &Value| {
            let mut shown = json!({});
            for what in ["name", "region", "image", "state", "cordoned", "starts"] {
                shown[what] = one[what].clone();
            }
            // A listing that is late shows for a while what was.
            let mut config = list(&configs).iter().find(|config| config["id"] == one["id"])?["config"].clone();
            for digest in ["trueup_digest", "trueup_operation"] {
                config["metadata"][digest].take();
            }
            for file in config["files"].as_array_mut().into_iter().flatten() {
                file["raw_value"].take();
            }
            for mount in config["mounts"].as_array_mut().into_iter().flatten() {
                mount["volume"] = disks.get(&text(&mount["volume"])).cloned().unwrap_or_default();
            }
            shown["config"] = config;
            Some(shown)
        };
        let volume = |one: &Value| {
            json!({"name": one["name"], "region": one["region"], "state": one["state"],
                "in": names.get(&text(&one["attached_machine_id"]))})
        };
        let secret = |one: &Value| (text(&one["name"]), one["value"].clone());
        json!({
            "name": name.trim_end_matches(|letter: char| letter.is_ascii_alphanumeric()),
            "machines": sorted(list(&app["machines"]).iter().filter_map(machine)),
            "volumes": sorted(list(&volumes).iter().map(volume)),
            "secrets": list(&of("secrets?show_secrets=true")["secrets"]).iter().map(secret).collect::<BTreeMap<_, _>>(),
            "ips": sorted(list(&of("ip_assignments")["ips"]).iter().map(|one| one["shared"].clone())),
            "certificates": sorted(list(&of("certificates")["certificates"]).iter().map(|one| one["hostname"].clone())),
        })
    }

    /// Whether the commands show what there is, and nothing else.
    pub fn agrees(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(why) = self.shown() {
            assert!(Instant::now() < deadline, "{why}");
            std::thread::sleep(GLANCE);
        }
    }

    fn shown(&self) -> Result<(), String> {
        let (code, said, talk) = self.bench.ask(&["get", "instances"]);
        let rows: Vec<_> = said.lines().skip(1).collect();
        let sim = self.get("/_sim");
        let machines: Vec<_> = list(&sim["apps"]).iter().flat_map(|app| list(&app["machines"])).collect();
        let row = |one: &&Value| {
            let (name, id) = (format!("{} ", text(&one["name"])), format!(" {}", text(&one["id"])));
            rows.iter().any(|row| row.starts_with(&name) && row.contains(" Passing ") && row.ends_with(&id))
        };
        let all = code == 0 && rows.len() == machines.len() && machines.iter().all(row);
        if all { Ok(()) } else { Err(format!("{said}{talk}{sim}")) }
    }

    /// Does one deed, and kills its daemon where it is to; answers whether it came by there.
    pub fn live(&mut self, deed: Deed, stop: Option<&Stop>) -> bool {
        self.relay.begin(stop.cloned());
        self.start(deed);
        let mut reached = self.relay.await_stop(PATIENCE, || self.ended(deed));
        let stopped = reached == Some(true);
        if stopped {
            self.daemon.take().expect("one lives").kill();
            self.relay.reopen();
            self.daemon = Some(Daemon::start(&self.bench));
            reached = self.relay.await_stop(PATIENCE, || self.ended(deed));
        }
        if reached.is_none() {
            let (crossed, sim) = (self.relay.crossings(), self.get("/_sim"));
            let app = serde_json::to_string_pretty(&self.daemon().app("web")).unwrap_or_default();
            panic!(
                "{deed:?} {stop:?}: not within {PATIENCE:?}; crossed: {crossed:#?}; {sim}\n{app}\n{}",
                self.daemon().tail()
            );
        }
        stopped
    }

    /// Whether there was always one who could answer, since there was any.
    pub fn always_served(&self) {
        let sim = self.get("/_sim");
        let traffic = self.get(&format!("/_sim/traffic/{}", text(&sim["apps"][0]["name"])));
        let healthy = list(&traffic).iter().map(|moment| moment["healthy"].as_u64().unwrap_or(0));
        let mut since: Vec<_> = healthy.skip_while(|count| *count == 0).collect();
        since.dedup();
        assert!(!since.is_empty() && !since.contains(&0), "{traffic}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn sorted(values: impl Iterator<Item = Value>) -> Value {
    let mut values: Vec<_> = values.collect();
    values.sort_by_key(Value::to_string);
    Value::Array(values)
}
