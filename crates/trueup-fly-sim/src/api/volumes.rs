//! Volumes: each on one host, bound to one machine at most.

use serde_json::{Value, json};

use crate::app::Volume;
use crate::call::{Answer, Call, Refusal, Reply, ok};
use crate::cloud::Cloud;
use crate::config::Config;

/// The size of a volume where nothing is said, in GB.
const SIZE: u64 = 3;
/// For how many days snapshots may be kept, and how many where nothing is said.
const RETENTION: (u64, u64, u64) = (1, 60, 5);
/// How long a snapshot is pending.
const SNAPSHOT: std::time::Duration = std::time::Duration::from_secs(30);

impl Cloud {
    fn volume(&self, call: &Call) -> Result<&Volume, Refusal> {
        let found = self.app(call.app())?.volumes.get(call.name("volume"));
        found.filter(|volume| volume.gone.is_none()).ok_or_else(|| Refusal::new(404, "volume not found"))
    }

    fn volume_mut(&mut self, call: &Call) -> Result<&mut Volume, Refusal> {
        self.volume(call)?;
        let found = self.app_mut(call.app())?.volumes.get_mut(call.name("volume"));
        found.ok_or_else(|| Refusal::new(404, "volume not found"))
    }

    pub(crate) fn list_volumes(&mut self, call: &Call) -> Answer {
        let seen_from = self.now.before(self.knobs.lag.list.0);
        let volumes = self.app(call.app())?.volumes.values();
        ok(volumes.filter(|volume| volume.listed(seen_from)).map(Volume::shown).collect())
    }

    pub(crate) fn create_volume(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        self.app(call.app())?;
        let word = |name: &str| body.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(true);
        let name = word("name").ok_or_else(|| Refusal::new(400, "invalid_argument: name is required"))?.to_owned();
        let region = word("region").unwrap_or(&self.regions()[0]).to_owned();
        if !self.regions().contains(&region) {
            return Err(Refusal::new(400, format!("invalid_argument: region '{region}' not found")));
        }
        let volume = Volume {
            id: self.dice.volume(),
            name,
            region,
            zone: self.dice.letters(4),
            size_gb: body.get("size_gb").and_then(Value::as_u64).unwrap_or(SIZE),
            encrypted: flag("encrypted"),
            fstype: word("fstype").unwrap_or("ext4").to_owned(),
            retention: retention(&body)?.unwrap_or(RETENTION.2),
            backup: flag("auto_backup_enabled"),
            created: self.now,
            updated: self.now,
            attached: None,
            gone: None,
            snapshots: Vec::new(),
        };
        let shown = volume.shown();
        self.app_mut(call.app())?.volumes.insert(volume.id.clone(), volume);
        ok(shown)
    }

    pub(crate) fn show_volume(&mut self, call: &Call) -> Answer {
        ok(self.volume(call)?.shown())
    }

    pub(crate) fn update_volume(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let (retention, now) = (retention(&body)?, self.now);
        let volume = self.volume_mut(call)?;
        volume.retention = retention.unwrap_or(volume.retention);
        volume.backup = body.get("auto_backup_enabled").and_then(Value::as_bool).unwrap_or(volume.backup);
        volume.updated = now;
        ok(volume.shown())
    }

    pub(crate) fn delete_volume(&mut self, call: &Call) -> Answer {
        let volume = self.volume(call)?;
        if let Some(machine) = &volume.attached {
            return Err(Refusal::precondition(&format!("volume is currently bound to machine: {machine}")));
        }
        let mut shown = volume.shown();
        shown["state"] = json!("pending_destroy");
        let (now, lag) = (self.now, self.knobs.lag.list.0);
        let volumes = &mut self.app_mut(call.app())?.volumes;
        volumes.retain(|_, volume| volume.gone.is_none_or(|gone| gone.after(lag) > now));
        if let Some(volume) = volumes.get_mut(call.name("volume")) {
            volume.gone = Some(now);
        }
        ok(shown)
    }

    pub(crate) fn extend_volume(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let now = self.now;
        let size = body.get("size_gb").and_then(Value::as_u64).unwrap_or(0);
        let volume = self.volume_mut(call)?;
        if size <= volume.size_gb {
            return Err(Refusal::new(
                400,
                format!("invalid_argument: volume can only grow, currently {} GB", volume.size_gb),
            ));
        }
        volume.size_gb = size;
        volume.updated = now;
        ok(json!({"volume": volume.shown(), "needs_restart": volume.attached.is_some()}))
    }

    pub(crate) fn list_snapshots(&mut self, call: &Call) -> Answer {
        let now = self.now;
        let volume = self.volume(call)?;
        let shown = |(id, at): &(String, crate::time::Moment)| {
            let status = if now < at.after(SNAPSHOT) { "pending" } else { "created" };
            json!({"id": id, "created_at": at.rfc3339(), "size": 1_048_576, "volume_size": volume.size_gb * 1_000_000_000,
                "digest": crate::api::secrets::digest_of(id), "status": status, "retention_days": volume.retention})
        };
        ok(volume.snapshots.iter().map(shown).collect())
    }

    pub(crate) fn create_snapshot(&mut self, call: &Call) -> Answer {
        let now = self.now;
        let id = format!("vs_{}", self.dice.letters(16));
        let volume = self.volume_mut(call)?;
        if let Some((_, at)) = volume.snapshots.last().filter(|(_, at)| now < at.after(SNAPSHOT)) {
            return Err(Refusal::precondition(&format!("snapshot is already scheduled at {}", at.rfc3339())));
        }
        volume.snapshots.push((id, now));
        Ok(Reply::empty(200).into())
    }

    /// A machine that is being made takes its volumes.
    pub(crate) fn claim_volumes(
        &mut self,
        app: &str,
        region: &str,
        machine: &str,
        config: &Config,
    ) -> Result<(), Refusal> {
        let now = self.now;
        for mount in &config.acted.mounts {
            let volume = self.app_mut(app)?.volumes.get_mut(&mount.volume).filter(|volume| volume.gone.is_none());
            let volume = volume
                .ok_or_else(|| Refusal::new(400, format!("invalid_argument: volume '{}' not found", mount.volume)))?;
            if volume.region != region {
                return Err(Refusal::new(
                    400,
                    format!("invalid_argument: volume '{}' is in region {}", volume.id, volume.region),
                ));
            }
            if let Some(other) = &volume.attached {
                return Err(Refusal::precondition(&format!("volume already claimed by machine {other}")));
            }
            volume.attached = Some(machine.to_owned());
            volume.updated = now;
        }
        Ok(())
    }
}

fn retention(body: &Value) -> Result<Option<u64>, Refusal> {
    let days = body.get("snapshot_retention").and_then(Value::as_u64);
    match days {
        Some(days) if !(RETENTION.0..=RETENTION.1).contains(&days) => {
            Err(Refusal::new(400, "invalid_argument: snapshot_retention must be between 1 and 60"))
        }
        days => Ok(days),
    }
}
