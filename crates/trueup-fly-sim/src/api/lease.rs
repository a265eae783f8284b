//! Leases: the right to change a machine, held by one for a short while.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::verbs::{held_by, unreachable};
use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;
use crate::machine::{Host, Lease};

/// How long a lease lasts where nothing is said, in seconds.
const TTL: u64 = 13;

impl Cloud {
    pub(crate) fn show_lease(&mut self, call: &Call) -> Answer {
        let machine = self.machine(call.app(), call.machine())?;
        match machine.held(self.now) {
            Some(lease) => ok(wrapped(lease)),
            None => Err(no(404, "lease not found")),
        }
    }

    pub(crate) fn take(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let asked = call.asked.param("ttl").and_then(|text| text.trim_end_matches('s').parse().ok());
        let seconds = body.get("ttl").and_then(Value::as_u64).or(asked).filter(|ttl| *ttl > 0).unwrap_or(TTL);
        let description = body.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let machine = self.machine(call.app(), call.machine())?.clone();
        if machine.host != Host::Ok {
            return Err(unreachable(&machine));
        }
        let nonce = call.asked.headers.get("fly-machine-lease-nonce");
        let lease = match machine.held(self.now) {
            Some(lease) if nonce == Some(&lease.nonce) => {
                Lease { expires: self.now.after(Duration::from_secs(seconds)), ..lease.clone() }
            }
            Some(lease) => return Err(no(409, &held_by(&machine, lease))),
            None if nonce.is_some() => return Err(no(404, "lease not found")),
            None => self.new_lease(&machine, call, seconds, description),
        };
        let shown = wrapped(&lease);
        self.machine_mut(call.app(), call.machine())?.lease = Some(lease);
        Ok(Reply::json(201, shown).into())
    }

    pub(crate) fn release(&mut self, call: &Call) -> Answer {
        let now = self.now;
        let machine = self.machine_mut(call.app(), call.machine())?;
        if machine.host != Host::Ok {
            return Err(unreachable(machine));
        }
        let Some(nonce) = call.asked.headers.get("fly-machine-lease-nonce") else {
            return Err(no(400, "lease nonce is required"));
        };
        match machine.held(now) {
            Some(lease) if lease.nonce == *nonce => {
                machine.lease = None;
                ok(json!({"status": "success", "data": {"ok": true}}))
            }
            Some(_) => Err(no(400, "invalid lease nonce")),
            None => Err(no(404, "lease not found")),
        }
    }
}

fn wrapped(lease: &Lease) -> Value {
    json!({"status": "success", "data": {
        "nonce": lease.nonce,
        "expires_at": lease.expires.seconds(),
        "owner": lease.owner,
        "description": lease.description,
        "version": lease.version,
    }})
}

fn no(status: u16, message: &str) -> Refusal {
    Refusal::reply(Reply::json(status, json!({"status": "error", "message": message, "code": "invalid"})))
}
