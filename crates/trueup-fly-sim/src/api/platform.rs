//! The platform: its regions, where it would place machines, and who a token belongs to.

use serde_json::{Value, json};

use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;

/// Regions where none are named: code, name, latitude, longitude, part of the world.
const REGIONS: [(&str, &str, f64, f64, &str); 10] = [
    ("iad", "Ashburn, Virginia (US)", 39.02, -77.54, "north_america"),
    ("ams", "Amsterdam, Netherlands", 52.37, 4.9, "europe"),
    ("cdg", "Paris, France", 48.86, 2.35, "europe"),
    ("fra", "Frankfurt, Germany", 50.12, 8.68, "europe"),
    ("lhr", "London, United Kingdom", 51.52, -0.06, "europe"),
    ("nrt", "Tokyo, Japan", 35.62, 139.75, "asia_pacific"),
    ("ord", "Chicago, Illinois (US)", 41.89, -87.62, "north_america"),
    ("sin", "Singapore, Singapore", 1.3, 103.85, "asia_pacific"),
    ("sjc", "San Jose, California (US)", 37.35, -121.89, "north_america"),
    ("syd", "Sydney, Australia", -33.87, 151.2, "oceania"),
];

impl Cloud {
    /// The codes of the regions, the default one first.
    pub(crate) fn regions(&self) -> Vec<String> {
        if self.knobs.regions.is_empty() {
            return REGIONS.iter().map(|(code, ..)| (*code).to_owned()).collect();
        }
        self.knobs.regions.clone()
    }

    pub(crate) fn region_rows(&self) -> Vec<Value> {
        let row = |code: &String| {
            let known = REGIONS.iter().find(|(known, ..)| known == code);
            let (_, name, latitude, longitude, part) = known.copied().unwrap_or((code, code, 0.0, 0.0, "elsewhere"));
            json!({"code": code, "name": name, "latitude": latitude, "longitude": longitude, "gateway_available": true,
                "requires_paid_plan": false, "deprecated": false, "geo_region": part})
        };
        self.regions().iter().map(row).collect()
    }

    /// In capitals, unlike the specification.
    pub(crate) fn list_regions(&mut self, _: &Call) -> Answer {
        ok(json!({"Regions": self.region_rows(), "Nearest": self.regions()[0]}))
    }

    pub(crate) fn place(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        if body.get("org_slug").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(Refusal::new(400, "invalid_argument: org_slug is required"));
        }
        let wanted = body.get("region").and_then(Value::as_str).filter(|region| !region.is_empty() && *region != "any");
        let mut regions = wanted.map_or_else(|| self.regions(), |list| list.split(',').map(str::to_owned).collect());
        regions.retain(|region| self.full.get(region) != Some(&crate::deed::Room::Nothing));
        let count = body.get("count").and_then(Value::as_u64).unwrap_or(1).max(1);
        let placed = u64::try_from(regions.len()).unwrap_or(1).max(1);
        let share = |at: u64| count / placed + u64::from(at < count % placed);
        let list =
            regions.iter().zip(0..).map(|(region, at)| json!({"Region": region, "Count": share(at), "Concurrency": 1}));
        let list: Vec<_> = list.filter(|row| row["Count"] != 0).collect();
        ok(json!({"Regions": list}))
    }

    pub(crate) fn current_token(&mut self, call: &Call) -> Answer {
        let token = &call.token;
        let org = token.known.as_ref().map_or_else(|| self.knobs.orgs[0].clone(), |known| known.org.clone());
        let apps: Vec<_> = token.known.iter().filter_map(|known| known.app.clone()).collect();
        let user = if apps.is_empty() { "somebody@example.com" } else { "" };
        ok(
            json!({"tokens": [{"token_id": token.id, "org_slug": org, "organization": org, "apps": apps, "user": user}]}),
        )
    }
}
