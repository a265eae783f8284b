//! Secrets of an app: versions and digests; a value reaches a machine when it starts the next time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{App, SECRETS_MAX, Secret};
use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;
use crate::time::Moment;

/// A digest in hexadecimal.
pub(crate) fn digest_of(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl App {
    /// A new version is begun, which has what the one before had.
    pub(crate) fn next_secrets(&mut self, now: Moment) {
        self.secrets_before.push_back((now, self.secrets_version, self.secrets.clone()));
        if self.secrets_before.len() > SECRETS_MAX {
            self.secrets_before.pop_front();
        }
        self.secrets_version += 1;
    }

    /// What a host knows that hears of secrets so much later, and that was told which version there is at least.
    pub(crate) fn secrets_heard(&self, now: Moment, late: Duration, least: u64) -> &BTreeMap<String, Secret> {
        let mut before = self.secrets_before.iter();
        let heard = before.find(|(until, version, _)| until.after(late) > now && *version >= least);
        heard.map_or(&self.secrets, |(_, _, secrets)| secrets)
    }

    /// Sets a secret, or takes it away, in the version that is being made.
    pub(crate) fn set_secret(&mut self, name: &str, value: Option<&str>, now: Moment) {
        let Some(value) = value else {
            self.secrets.remove(name);
            return;
        };
        let digest = digest_of(&format!("{}:{value}", self.id))[..16].to_owned();
        let created = self.secrets.get(name).map_or(now, |secret| secret.created);
        let secret = Secret { value: value.to_owned(), digest, created, updated: now };
        self.secrets.insert(name.to_owned(), secret);
    }
}

fn shown(name: &str, secret: &Secret, values: bool) -> Value {
    let mut shown = json!({
        "name": name,
        "digest": secret.digest,
        "created_at": secret.created.rfc3339(),
        "updated_at": secret.updated.rfc3339(),
    });
    if values {
        shown["value"] = json!(secret.value);
    }
    shown
}

impl Cloud {
    fn secrets_of(&self, call: &Call) -> Result<&App, Refusal> {
        let app = self.app(call.app())?;
        let wanted = call.asked.param("min_version").or_else(|| call.asked.param("version"));
        let wanted: u64 = wanted.and_then(|text| text.parse().ok()).unwrap_or(0);
        if wanted > app.secrets_version {
            return Err(Refusal::precondition(&format!("secrets version {wanted} is not available")));
        }
        Ok(app)
    }

    pub(crate) fn list_secrets(&mut self, call: &Call) -> Answer {
        let values = call.asked.flag("show_secrets");
        let app = self.secrets_of(call)?;
        let list: Vec<_> = app.secrets.iter().map(|(name, secret)| shown(name, secret, values)).collect();
        ok(json!({"secrets": list}))
    }

    pub(crate) fn update_secrets(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let now = self.now;
        let Some(values) = body.get("values").and_then(Value::as_object) else {
            return Err(Refusal::new(400, "invalid_argument: values is required"));
        };
        if values.values().any(|value| !value.is_string() && !value.is_null()) {
            return Err(Refusal::new(400, "invalid_argument: secret values must be strings"));
        }
        let app = self.app_mut(call.app())?;
        app.next_secrets(now);
        for (name, value) in values {
            app.set_secret(name, value.as_str(), now);
        }
        let list: Vec<_> = app.secrets.iter().map(|(name, secret)| shown(name, secret, false)).collect();
        ok(json!({"secrets": list, "version": app.secrets_version, "Version": app.secrets_version}))
    }

    pub(crate) fn show_secret(&mut self, call: &Call) -> Answer {
        let values = call.asked.flag("show_secrets");
        let (app, name) = (self.secrets_of(call)?, call.name("secret"));
        match app.secrets.get(name) {
            Some(secret) => ok(shown(name, secret, values)),
            None => Err(Refusal::new(404, "secret not found")),
        }
    }

    pub(crate) fn set_secret(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let (now, name) = (self.now, call.name("secret"));
        let Some(value) = body.get("value").and_then(Value::as_str) else {
            return Err(Refusal::new(400, "invalid_argument: value is required"));
        };
        let app = self.app_mut(call.app())?;
        app.next_secrets(now);
        app.set_secret(name, Some(value), now);
        let mut answer = shown(name, &app.secrets[name], false);
        answer["version"] = json!(app.secrets_version);
        answer["Version"] = json!(app.secrets_version);
        Ok(Reply::json(201, answer).into())
    }

    pub(crate) fn delete_secret(&mut self, call: &Call) -> Answer {
        let (now, name) = (self.now, call.name("secret"));
        let app = self.app_mut(call.app())?;
        if !app.secrets.contains_key(name) {
            return Err(Refusal::new(404, "secret not found"));
        }
        app.next_secrets(now);
        app.set_secret(name, None, now);
        ok(json!({"version": app.secrets_version, "Version": app.secrets_version}))
    }
}
