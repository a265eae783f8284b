//! What an organisation has, app by app, in one listing: paged, late, and only a hint.

use serde_json::{Value, json};

use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;
use crate::machine::{Host, State};
use crate::time::Moment;

/// How many rows a page has at most, and where nothing is said.
const PAGE: (usize, usize) = (1_000, 100);

/// A page of rows, each with when it changed and its id.
struct Page {
    rows: Vec<Value>,
    last_id: String,
    last_at: String,
    next: String,
}

impl Cloud {
    fn org_asked<'a>(&self, call: &'a Call) -> Result<&'a str, Refusal> {
        let org = call.name("org");
        if !self.knobs.orgs.iter().any(|known| known == org) || !call.token.sees(org) {
            return Err(Refusal::new(404, format!("Could not find Organization \"{org}\"")));
        }
        if !call.token.is_whole() {
            return Err(Refusal::new(403, format!("You are not authorized to access Organization \"{org}\"")));
        }
        Ok(org)
    }

    pub(crate) fn list_org_machines(&mut self, call: &Call) -> Answer {
        let org = self.org_asked(call)?;
        let seen_from = self.now.before(self.knobs.lag.org.0);
        let (asked, after) = (&call.asked, updated_after(call)?);
        let states: Vec<_> = asked.param("state").map(|text| text.split(',').collect()).unwrap_or_default();
        let mut rows = Vec::new();
        let mut dark = std::collections::BTreeSet::new();
        for app in self.apps.values().filter(|app| app.org == org) {
            for machine in self.machines_of(&app.name) {
                let Some(past) = machine.at(seen_from) else { continue };
                if machine.host == Host::Unreachable {
                    dark.insert(machine.region.clone());
                }
                let updated = machine.updated.min(seen_from);
                if (past.state == State::Destroyed && !asked.flag("include_deleted"))
                    || asked.param("region").is_some_and(|region| region != machine.region)
                    || !(states.is_empty() || states.contains(&past.state.word()))
                    || updated <= after
                {
                    continue;
                }
                let version = machine.versions.iter().find(|version| version.id == past.version);
                let config = &version.unwrap_or_else(|| machine.version()).config.shown;
                let mut row = json!({
                    "id": machine.id, "app_name": machine.app, "name": machine.name, "state": past.state.word(),
                    "region": machine.region, "version": past.version, "instance_id": past.version,
                    "private_ip": machine.private_ip, "created_at": machine.created.rfc3339(),
                    "updated_at": updated.rfc3339(),
                });
                if !asked.flag("summary") {
                    let metadata = config.get("metadata").cloned().unwrap_or(json!({}));
                    row["config"] = json!({"image": config["image"], "guest": config["guest"], "metadata": metadata});
                }
                rows.push((updated, machine.id.clone(), row));
            }
        }
        let page = page(rows, call);
        ok(json!({"machines": page.rows, "next_cursor": page.next, "last_machine_id": page.last_id,
            "last_updated_at": page.last_at, "error_regions": dark}))
    }

    pub(crate) fn list_org_volumes(&mut self, call: &Call) -> Answer {
        let org = self.org_asked(call)?;
        let seen_from = self.now.before(self.knobs.lag.org.0);
        let (asked, after) = (&call.asked, updated_after(call)?);
        let mut rows = Vec::new();
        for app in self.apps.values().filter(|app| app.org == org) {
            for volume in app.volumes.values() {
                let elsewhere = asked.param("region").is_some_and(|region| region != volume.region);
                if elsewhere || !volume.listed(seen_from) || volume.updated <= after {
                    continue;
                }
                let mut row = volume.shown();
                row["app_name"] = json!(app.name);
                row["updated_at"] = json!(volume.updated.rfc3339());
                rows.push((volume.updated, volume.id.clone(), row));
            }
        }
        let page = page(rows, call);
        ok(
            json!({"volumes": page.rows, "next_cursor": page.next, "last_volume_id": page.last_id, "last_updated_at": page.last_at}),
        )
    }
}

fn updated_after(call: &Call) -> Result<Moment, Refusal> {
    let Some(text) = call.asked.param("updated_after").filter(|text| !text.is_empty()) else {
        return Ok(Moment::from_millis(0));
    };
    Moment::parse(text).ok_or_else(|| Refusal::new(400, format!("invalid_argument: invalid updated_after '{text}'")))
}

/// The rows behind the cursor, in the order in which they changed.
fn page(mut rows: Vec<(Moment, String, Value)>, call: &Call) -> Page {
    let limit = call.asked.param("limit").and_then(|text| text.parse().ok()).unwrap_or(PAGE.1).clamp(1, PAGE.0);
    rows.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    let cursor = call.asked.param("cursor").and_then(|text| text.split_once('-'));
    if let Some((at, id)) = cursor.and_then(|(at, id)| Some((Moment::from_millis(at.parse().ok()?), id))) {
        rows.retain(|row| (row.0, row.1.as_str()) > (at, id));
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().map(|(at, id, _)| (*at, id.clone()));
    let next = last.as_ref().filter(|_| more).map(|(at, id)| format!("{}-{id}", at.millis())).unwrap_or_default();
    let (last_at, last_id) = last.map(|(at, id)| (at.rfc3339(), id)).unwrap_or_default();
    Page { rows: rows.into_iter().map(|(_, _, row)| row).collect(), last_id, last_at, next }
}
