//! Releases: bookkeeping that changes no machine.

use serde_json::{Value, json};

use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;

/// Most releases that are kept of an app.
const RELEASES_MAX: usize = 500;

impl Cloud {
    pub(crate) fn create_release(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let app = body.get("app_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.releases += 1;
        let (number, now) = (self.releases, self.now);
        let app = self.app_mut(&app)?;
        let version = app.releases.last().and_then(|last| last["version"].as_u64()).unwrap_or(0) + 1;
        let release = json!({
            "id": format!("rel_{number}"), "version": version, "stable": false, "in_progress": true, "status": "pending",
            "strategy": body.get("strategy").cloned().unwrap_or(Value::Null), "created_at": now.rfc3339(),
            "image_ref": body.get("image").cloned().unwrap_or(Value::Null), "user": {"email": "somebody@example.com"},
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
        let mut all = self.apps.values_mut().flat_map(|app| &mut app.releases);
        let Some(release) = all.find(|release| release["id"] == id) else {
            return Err(Refusal::new(404, "release not found"));
        };
        release["in_progress"] = json!(status == "running" || status == "pending");
        release["stable"] = json!(status == "complete");
        release["status"] = json!(status);
        ok(json!({"release": release}))
    }

    pub(crate) fn list_releases(&mut self, call: &Call) -> Answer {
        let limit = call.asked.param("limit").and_then(|text| text.parse().ok()).unwrap_or(RELEASES_MAX);
        let list: Vec<_> = self.app(call.app())?.releases.iter().rev().take(limit).cloned().collect();
        ok(json!({"releases": list}))
    }

    pub(crate) fn current_release(&mut self, call: &Call) -> Answer {
        let last = self.app(call.app())?.releases.last().cloned();
        last.map_or_else(|| Err(Refusal::new(404, "release not found")), |release| ok(json!({"release": release})))
    }
}
