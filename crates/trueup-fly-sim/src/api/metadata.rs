//! Metadata of a machine: written beside its config, without a new version and without a restart.

use serde_json::{Value, json};

use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;

impl Cloud {
    pub(crate) fn show_metadata(&mut self, call: &Call) -> Answer {
        ok(json!(self.machine(call.app(), call.machine())?.config().acted.metadata))
    }

    /// PUT takes away what it does not name; PATCH leaves it.
    pub(crate) fn put_metadata(&mut self, call: &Call) -> Answer {
        self.write_metadata(call, true)
    }

    pub(crate) fn patch_metadata(&mut self, call: &Call) -> Answer {
        self.write_metadata(call, false)
    }

    fn write_metadata(&mut self, call: &Call, whole: bool) -> Answer {
        let body = call.asked.read()?;
        let machine = self.machine_mut(call.app(), call.machine())?;
        if let Some(expected) = body.get("machine_version").and_then(Value::as_str)
            && expected != machine.instance
        {
            return Err(Refusal::precondition(&format!("machine version mismatch, currently {}", machine.instance)));
        }
        let Some(written) = body.get("metadata").and_then(Value::as_object) else {
            return Err(Refusal::new(400, "invalid_argument: metadata is required"));
        };
        if written.values().any(|value| !value.is_string() && !value.is_null()) {
            return Err(Refusal::new(400, "invalid_argument: metadata values must be strings"));
        }
        let config = machine.config_mut();
        if whole {
            let gone: Vec<_> =
                config.acted.metadata.keys().filter(|key| !written.contains_key(*key)).cloned().collect();
            for key in gone {
                config.set_metadata(&key, None);
            }
        }
        for (key, value) in written {
            config.set_metadata(key, value.as_str().filter(|value| !value.is_empty()));
        }
        self.touch(call);
        Ok(Reply::empty(204).into())
    }

    pub(crate) fn show_metadata_key(&mut self, call: &Call) -> Answer {
        let machine = self.machine(call.app(), call.machine())?;
        match machine.config().acted.metadata.get(call.name("key")) {
            Some(value) => ok(json!({"value": value})),
            None => Err(Refusal::new(404, "metadata key not found")),
        }
    }

    pub(crate) fn set_metadata_key(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let Some(value) = body.get("value").and_then(Value::as_str) else {
            return Err(Refusal::new(400, "invalid_argument: value is required"));
        };
        let key = call.name("key").to_owned();
        self.machine_mut(call.app(), call.machine())?.config_mut().set_metadata(&key, Some(value));
        self.touch(call);
        Ok(Reply::empty(204).into())
    }

    pub(crate) fn delete_metadata_key(&mut self, call: &Call) -> Answer {
        let key = call.name("key").to_owned();
        self.machine_mut(call.app(), call.machine())?.config_mut().set_metadata(&key, None);
        self.touch(call);
        Ok(Reply::empty(204).into())
    }

    /// It was changed, though nothing happened to it.
    fn touch(&mut self, call: &Call) {
        let now = self.now;
        if let Some(machine) = self.machines.get_mut(call.machine()) {
            machine.updated = now;
        }
    }
}
