//! Releases: bookkeeping that changes no machine.

use serde_json::{Value, json};

use crate::app::App;
use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;

/// Whose they are.
const USER: &str = "somebody@example.com";
/// Most releases that are kept of an app.
const RELEASES_MAX: usize = 500;

impl Cloud {
    pub(crate) fn create_release(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let app = body.get("app_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.releases += 1;
        let (number, now) = (self.releases, self.now);
        self.may_record(call, &app)?;
        let app = self.app_mut(&app)?;
        let version = app.releases.last().and_then(|last| last["version"].as_u64()).unwrap_or(0) + 1;
        let release = json!({
            "id": format!("rel_{number}"), "version": version, "stable": false, "in_progress": true, "status": "pending",
            "strategy": body.get("strategy").cloned().unwrap_or(Value::Null), "created_at": now.rfc3339(),
            "image_ref": body.get("image").cloned().unwrap_or(Value::Null), "user": USER,
        });
        app.releases.push(release.clone());
        if app.releases.len() > RELEASES_MAX {
            app.releases.remove(0);
        }
        ok(json!({"release": release}))
    }

    pub(crate) fn update_release(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let status = body.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = call.name("release");
        let of = |app: &&App| app.releases.iter().any(|release| release["id"] == id);
        let Some(app) = self.apps.values().find(of).map(|app| app.name.clone()) else {
            return Err(Refusal::new(404, "release not found"));
        };
        self.may_record(call, &app)?;
        let releases = &mut self.app_mut(&app)?.releases;
        let Some(release) = releases.iter_mut().find(|release| release["id"] == id) else {
            return Err(Refusal::new(404, "release not found"));
        };
        release["in_progress"] = json!(status == "running" || status == "pending");
        release["stable"] = json!(status == "complete");
        release["status"] = json!(status);
        ok(release.clone())
    }

    pub(crate) fn list_releases(&mut self, call: &Call) -> Answer {
        let limit = call.asked.param("limit").and_then(|text| text.parse().ok()).unwrap_or(RELEASES_MAX);
        let list: Vec<_> = self.app(call.app())?.releases.iter().rev().take(limit).cloned().collect();
        ok(json!({"releases": list}))
    }

    /// Bare, as its one client reads it.
    pub(crate) fn current_release(&mut self, call: &Call) -> Answer {
        let last = self.app(call.app())?.releases.last().cloned();
        last.map_or_else(|| Err(Refusal::new(404, "release not found")), ok)
    }

    /// An app that is there, and that the caller may not touch, is refused.
    fn may_record(&self, call: &Call, name: &str) -> Result<(), Refusal> {
        if self.apps.contains_key(name) && !self.allowed(call, name) {
            return Err(Refusal::new(403, format!("You are not authorized to access App \"{name}\"")));
        }
        Ok(())
    }
}

/// A release as the GraphQL API shows it.
pub(crate) fn node(release: &Value) -> Value {
    json!({"id": release["id"], "version": release["version"], "description": "Deployed", "reason": "deploy",
        "status": release["status"], "imageRef": release["image_ref"], "stable": release["stable"],
        "user": {"id": "user_1", "email": release["user"], "name": "somebody"}, "createdAt": release["created_at"]})
}
