//! The few operations of the GraphQL API that clients use, recognised by the name of their field.
//!
//! An answer holds every field that any client was seen asking for; nothing is selected.

use serde_json::{Value, json};

use crate::api::releases;
use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;

/// A field, and what answers it: what it answers stands under the field's name.
type Field = (&'static str, fn(&mut Cloud, &Call, &Value) -> Result<Value, Refusal>);

/// What is recognised, in this order: a mutation before what its answer selects.
const FIELDS: &[Field] = &[
    ("allocateIpAddress", Cloud::gql_allocate),
    ("releaseIpAddress", Cloud::gql_release),
    ("unsetSecrets", Cloud::gql_unset),
    ("setSecrets", Cloud::gql_set),
    ("addCertificate", Cloud::gql_certify),
    ("deleteCertificate", Cloud::gql_uncertify),
    ("canPerformBluegreenDeployment", |_, _, _| Ok(json!(true))),
    ("platform", Cloud::gql_platform),
    ("organizations", Cloud::gql_organizations),
    ("app", Cloud::gql_app),
    ("organization", Cloud::gql_organization),
];

impl Cloud {
    pub(crate) fn graphql(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let query = body.get("query").and_then(Value::as_str).unwrap_or_default();
        let variables = body.get("variables").cloned().unwrap_or(json!({}));
        let found = FIELDS.iter().find(|(field, _)| selects(query, field));
        let Some((field, answers)) = found else {
            return ok(errors("no operation that this platform knows", "undefinedField"));
        };
        match answers(self, call, &variables) {
            Ok(answer) => ok(json!({"data": {*field: answer}})),
            Err(refusal) => {
                let said = refusal.into_reply().value();
                ok(errors(said["error"].as_str().unwrap_or("not possible"), "NOT_FOUND"))
            }
        }
    }

    fn gql_allocate(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let app = self.gql_app_named(call, variables)?;
        let word = |name: &str| variables["input"][name].as_str().unwrap_or_default();
        let ip = self.allocate(&app, word("type"), word("region"), word("serviceName"))?;
        Ok(json!({"ipAddress": {"id": ip.id, "address": ip.ip, "type": ip.kind, "region": ip.region,
            "createdAt": ip.created.rfc3339()}, "app": {"sharedIpAddress": self.shared_ip(&app)}}))
    }

    fn gql_release(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let input = &variables["input"];
        let named = input["ip"].as_str().unwrap_or_default().to_owned();
        let id = input["ipAddressId"].as_str().unwrap_or_default();
        let of_id = self
            .apps
            .values()
            .find_map(|app| app.ips.iter().find(|ip| ip.id == id).map(|ip| (app.name.clone(), ip.ip.clone())));
        let (app, ip) = match of_id {
            Some((app, ip)) if self.allowed(call, &app) => (app, ip),
            Some(_) => return Err(Refusal::new(404, "ip not found")),
            None => (self.gql_app_named(call, variables)?, named),
        };
        self.give_back(&app, &ip)?;
        Ok(json!({"app": {"name": app}}))
    }

    fn gql_set(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let (app, now) = (self.gql_app_named(call, variables)?, self.now);
        let app = self.app_mut(&app)?;
        app.next_secrets(now);
        if variables["input"]["replaceAll"] == true {
            app.secrets.clear();
        }
        for secret in variables["input"]["secrets"].as_array().into_iter().flatten() {
            if let Some(key) = secret["key"].as_str() {
                app.set_secret(key, secret["value"].as_str(), now);
            }
        }
        Ok(json!({"release": Value::Null}))
    }

    fn gql_unset(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let (app, now) = (self.gql_app_named(call, variables)?, self.now);
        let app = self.app_mut(&app)?;
        app.next_secrets(now);
        for key in variables["input"]["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            app.set_secret(key, None, now);
        }
        Ok(json!({"release": Value::Null}))
    }

    fn gql_certify(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let app = self.gql_app_named(call, variables)?;
        let hostname = variables["hostname"].as_str().unwrap_or_default();
        self.certify(&app, hostname, false)?;
        Ok(
            json!({"certificate": {"hostname": hostname, "configured": false, "clientStatus": "Awaiting configuration"}}),
        )
    }

    fn gql_uncertify(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let app = self.gql_app_named(call, variables)?;
        let hostname = variables["hostname"].as_str().unwrap_or_default();
        let gone = self.app_mut(&app)?.certificates.remove(hostname);
        gone.map_or_else(
            || Err(Refusal::new(404, "certificate not found")),
            |gone| Ok(json!({"app": {"name": app}, "certificate": {"hostname": gone.hostname}})),
        )
    }

    fn gql_platform(&mut self, _: &Call, _: &Value) -> Result<Value, Refusal> {
        let rows = self.region_rows();
        let row = |row: &Value| {
            json!({"name": row["name"], "code": row["code"], "latitude": row["latitude"], "longitude": row["longitude"],
                "gatewayAvailable": true, "requiresPaidPlan": false})
        };
        Ok(json!({"requestRegion": self.regions()[0], "regions": rows.iter().map(row).collect::<Vec<_>>()}))
    }

    fn gql_organizations(&mut self, call: &Call, _: &Value) -> Result<Value, Refusal> {
        let seen = self.knobs.orgs.iter().filter(|org| call.token.sees(org));
        Ok(json!({"nodes": seen.map(|org| organization(org)).collect::<Vec<_>>()}))
    }

    fn gql_organization(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let slug = variables["slug"].as_str().unwrap_or_default();
        if !self.knobs.orgs.iter().any(|org| org == slug) || !call.token.sees(slug) {
            return Err(Refusal::new(404, "Could not find Organization"));
        }
        Ok(organization(slug))
    }

    fn gql_app(&mut self, call: &Call, variables: &Value) -> Result<Value, Refusal> {
        let name = ["name", "appName"].into_iter().find_map(|key| variables[key].as_str()).unwrap_or_default();
        if !self.allowed(call, name) {
            return Err(Refusal::new(404, "Could not find App"));
        }
        let app = self.app(name)?;
        let most = first(call, variables);
        let releases: Vec<_> = app.releases.iter().rev().take(most).map(releases::node).collect();
        let own = app.ips.iter().filter(|ip| ip.kind != "shared_v4");
        let ips: Vec<_> = own
            .map(|ip| json!({"id": ip.id, "type": ip.kind, "region": ip.region, "address": ip.ip, "createdAt": ip.created.rfc3339()}))
            .collect();
        Ok(json!({
            "id": app.name, "name": app.name, "status": if app.deployed { "deployed" } else { "pending" },
            "deployed": app.deployed, "hostname": format!("{}.fly.dev", app.name), "network": app.network,
            "organization": organization(&app.org), "ipAddresses": {"nodes": ips}, "sharedIpAddress": self.shared_ip(name),
            "currentRelease": app.releases.last().map(releases::node), "releases": {"nodes": releases},
        }))
    }

    fn shared_ip(&self, app: &str) -> Value {
        let found = self.apps.get(app).and_then(|app| app.ips.iter().find(|ip| ip.kind == "shared_v4"));
        found.map_or(Value::Null, |ip| json!(ip.ip))
    }

    fn gql_app_named(&self, call: &Call, variables: &Value) -> Result<String, Refusal> {
        let named = variables["input"]["appId"].as_str().or(variables["appId"].as_str()).unwrap_or_default();
        if !self.allowed(call, named) {
            return Err(Refusal::new(404, "Could not find App"));
        }
        self.app(named).map(|app| app.name.clone())
    }

    /// Whether a call may touch an app that its body names.
    pub(crate) fn allowed(&self, call: &Call, name: &str) -> bool {
        self.apps.get(name).is_some_and(|app| call.token.may(name, &app.org))
    }
}

fn organization(slug: &str) -> Value {
    let kind = if slug == "personal" { "PERSONAL" } else { "SHARED" };
    json!({"id": format!("org-{slug}"), "slug": slug, "name": slug, "type": kind, "viewerRole": "admin"})
}

fn errors(message: &str, code: &str) -> Value {
    json!({"data": Value::Null, "errors": [{"message": message, "path": [], "extensions": {"code": code}}]})
}

/// How many a query asks for: `first: 5`, or a variable of flyctl's.
fn first(call: &Call, variables: &Value) -> usize {
    let body = call.asked.read().unwrap_or_default();
    let query = body.get("query").and_then(Value::as_str).unwrap_or_default();
    let text = query.split_once("first:").map(|(_, rest)| rest.trim_start()).unwrap_or_default();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let named = variables["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
    digits.parse().ok().or(named).unwrap_or(usize::MAX)
}

/// Whether a query selects a field: its name as a word of its own, followed by what a selection is followed by.
fn selects(query: &str, field: &str) -> bool {
    query.match_indices(field).any(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let before = query[..at].chars().next_back().is_none_or(|c| !word(c));
        let after = query[at + field.len()..].trim_start().chars().next();
        before && matches!(after, Some('(' | '{'))
    })
}
