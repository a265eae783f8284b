//! Addresses of an app; without one nobody reaches it from outside.

use serde_json::{Value, json};

use crate::app::Ip;
use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;

/// The address that all apps with a shared one share.
const SHARED_V4: &str = "66.241.124.1";

/// The list does not say what kind an address is.
fn shown(ip: &Ip) -> Value {
    json!({
        "ip": ip.ip,
        "region": ip.region,
        "service_name": ip.service,
        "shared": ip.kind == "shared_v4",
        "created_at": ip.created.rfc3339(),
    })
}

impl Cloud {
    pub(crate) fn list_ips(&mut self, call: &Call) -> Answer {
        let list: Vec<_> = self.app(call.app())?.ips.iter().map(shown).collect();
        ok(json!({"ips": list}))
    }

    pub(crate) fn assign_ip(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let ip = self.allocate(call.app(), word("type"), word("region"), word("service_name"))?;
        ok(shown(&ip))
    }

    /// Gives an app an address; its shared one is given once.
    pub(crate) fn allocate(&mut self, app: &str, kind: &str, region: &str, service: &str) -> Result<Ip, Refusal> {
        self.app(app)?;
        if kind == "shared_v4"
            && let Some(has) = self.apps[app].ips.iter().find(|ip| ip.kind == "shared_v4")
        {
            return Ok(has.clone());
        }
        let (high, low) = (self.dice.number(0xffff), self.dice.number(0xffff));
        let address = match kind {
            "v4" => format!("149.248.{}.{}", high % 256, 1 + low % 254),
            "shared_v4" => SHARED_V4.to_owned(),
            "v6" => format!("2a09:8280:1::{high:x}:{low:x}:0"),
            "private_v6" => format!("fdaa:0:{high:x}:0:1::{low:x}"),
            _ => return Err(Refusal::new(400, format!("invalid_argument: invalid ip type '{kind}'"))),
        };
        let ip = Ip {
            id: format!("ip_{}", self.dice.letters(14)),
            ip: address,
            kind: kind.to_owned(),
            region: if region.is_empty() { "global".to_owned() } else { region.to_owned() },
            service: service.to_owned(),
            created: self.now,
        };
        self.app_mut(app)?.ips.push(ip.clone());
        Ok(ip)
    }

    pub(crate) fn release_ip(&mut self, call: &Call) -> Answer {
        self.give_back(call.app(), call.name("ip"))?;
        Ok(Reply::empty(204).into())
    }

    pub(crate) fn give_back(&mut self, app: &str, address: &str) -> Result<(), Refusal> {
        let ips = &mut self.app_mut(app)?.ips;
        let before = ips.len();
        ips.retain(|ip| ip.ip != address);
        if ips.len() == before { Err(Refusal::new(404, "ip not found")) } else { Ok(()) }
    }
}
