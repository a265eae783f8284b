//! Apps: made, shown, listed, and deleted with all that lies under them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::app::App;
use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;
use crate::machine::State;

/// Longest name of an app: a label of the DNS.
const NAME_MAX: usize = 63;

impl Cloud {
    pub(crate) fn create_app(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let word = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let org = word("org_slug").ok_or_else(|| Refusal::new(400, "invalid_argument: org_slug is required"))?;
        if !self.knobs.orgs.contains(&org) || !call.token.sees(&org) {
            return Err(Refusal::new(404, format!("Could not find Organization \"{org}\"")));
        }
        if !call.token.is_whole() {
            return Err(Refusal::new(403, format!("You are not authorized to create apps in \"{org}\"")));
        }
        let name = word("name").or_else(|| word("app_name")).unwrap_or_else(|| self.dice.name());
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(sound) {
            return Err(Refusal::new(
                422,
                "Validation failed: Name may only contain numbers, lowercase letters and dashes",
            ));
        }
        if self.apps.contains_key(&name) {
            return Err(Refusal::coded(422, "Validation failed: Name has already been taken", "name_taken"));
        }
        self.found_app(&name, &org, &word("network").unwrap_or_default());
        let app = &self.apps[&name];
        let shown = json!({
            "id": app.id,
            "created_at": app.created.millis(),
            "name": app.name,
            "organization": {"name": app.org, "slug": app.org},
        });
        Ok(Reply::json(201, shown).into())
    }

    /// Makes an app, where there is none of its name.
    pub(crate) fn found_app(&mut self, name: &str, org: &str, network: &str) {
        let number = u64::from(self.dice.number(9_000_000)) + 1_000_000;
        let app = App {
            id: self.dice.letters(12),
            number,
            name: name.to_owned(),
            org: org.to_owned(),
            network: if network.is_empty() { "default".to_owned() } else { network.to_owned() },
            created: self.now,
            deployed: false,
            machines: BTreeSet::new(),
            secrets: BTreeMap::new(),
            secrets_version: 0,
            secrets_before: VecDeque::new(),
            volumes: BTreeMap::new(),
            certificates: BTreeMap::new(),
            ips: Vec::new(),
            lines: VecDeque::new(),
            first_line: 0,
            traffic: VecDeque::new(),
            releases: Vec::new(),
        };
        self.apps.entry(name.to_owned()).or_insert(app);
    }

    pub(crate) fn list_apps(&mut self, call: &Call) -> Answer {
        let org = call.asked.param("org_slug").unwrap_or_default().to_owned();
        if org.is_empty() {
            return Err(Refusal::new(400, "invalid_argument: org_slug is required"));
        }
        if !self.knobs.orgs.contains(&org) || !call.token.sees(&org) {
            return Err(Refusal::new(404, format!("Could not find Organization \"{org}\"")));
        }
        let seen_from = self.now.before(self.knobs.lag.app.0.max(self.knobs.lag.list.0));
        let of_org = self.apps.values().filter(|app| app.org == org && app.created <= seen_from);
        let of_org = of_org.filter(|app| call.token.may(&app.name, &app.org));
        let shown: Vec<_> = of_org.map(|app| self.app_shown(app)).collect();
        ok(json!({"total_apps": shown.len(), "apps": shown}))
    }

    pub(crate) fn show_app(&mut self, call: &Call) -> Answer {
        ok(self.app_shown(self.app(call.app())?))
    }

    fn app_shown(&self, app: &App) -> Value {
        let live = self.machines_of(&app.name).filter(|machine| Self::is_live(machine.state));
        json!({
            "id": app.id,
            "internal_numeric_id": app.number,
            "name": app.name,
            "network": app.network,
            "status": if app.deployed { "deployed" } else { "pending" },
            "machine_count": live.count(),
            "volume_count": app.volumes.values().filter(|volume| volume.gone.is_none()).count(),
            "organization": {"name": app.org, "slug": app.org, "internal_numeric_id": 1},
        })
    }

    /// Everything goes with it: machines, volumes, secrets, certificates, addresses.
    pub(crate) fn delete_app(&mut self, call: &Call) -> Answer {
        let name = call.app().to_owned();
        let ids: Vec<_> = self.app(&name)?.machines.iter().cloned().collect();
        for id in ids {
            if self.machines.get(&id).is_some_and(|machine| machine.state != State::Destroyed) {
                self.enter(&id, State::Destroyed);
            }
            self.machines.remove(&id);
        }
        self.apps.remove(&name);
        Ok(Reply::empty(202).into())
    }

    pub(crate) fn deploy_token(&mut self, call: &Call) -> Answer {
        let org = self.app(call.app())?.org.clone();
        let token = format!("fm2_{}", self.dice.letters(40));
        let known = crate::knobs::Token { token: token.clone(), org, app: Some(call.app().to_owned()), logs: false };
        if !self.knobs.tokens.is_empty() {
            self.knobs.tokens.push(known);
        }
        ok(json!({"token": format!("FlyV1 {token}")}))
    }
}
