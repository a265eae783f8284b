//! Machines: made, shown, listed, changed, destroyed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::shown::{self, Detail};
use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;
use crate::config::Config;
use crate::deed::Room;
use crate::machine::{Host, Lease, Machine, State, Version};

/// Most events that are answered at once, and how many where nothing is said.
const EVENTS: (usize, usize) = (50, 20);

impl Cloud {
    pub(crate) fn create_machine(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let name = call.app().to_owned();
        self.app(&name)?;
        let config = Config::parse(body.get("config").cloned().unwrap_or(Value::Null))?;
        let word =
            |name: &str| body.get(name).and_then(Value::as_str).filter(|word| !word.is_empty()).map(str::to_owned);
        let region = word("region").unwrap_or_else(|| self.regions()[0].clone());
        if !self.regions().contains(&region) {
            return Err(Refusal::new(400, format!("invalid_argument: region '{region}' not found")));
        }
        if let Some(taken) = word("name")
            && let Some(other) =
                self.machines_of(&name).find(|machine| machine.name == taken && Self::is_live(machine.state))
        {
            let id = &other.id;
            let text = format!(
                "already_exists: unique machine name violation, machine ID {id} already exists with name \"{taken}\""
            );
            return Err(Refusal::new(409, text));
        }
        self.secrets_are_there(&name, &body)?;
        self.has_room(&name, &region, &config)?;
        let id = self.dice.machine();
        self.claim_volumes(&name, &region, &id, &config)?;
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let machine = self.born(&name, &id, word("name"), region, config, flag("skip_launch"));
        let mut machine = machine;
        machine.cordoned = flag("skip_service_registration");
        machine.secrets_least = secrets_least(&body);
        if let Some(seconds) = body.get("lease_ttl").and_then(Value::as_u64).filter(|seconds| *seconds > 0) {
            machine.lease = Some(self.new_lease(&machine, call, seconds, String::new()));
        }
        self.machines.insert(id.clone(), machine);
        if let Some(app) = self.apps.get_mut(&name) {
            app.deployed = true;
            app.machines.insert(id.clone());
        }
        self.log(&id, "launch", "created", "user", Value::Null);
        self.prepare(&id);
        ok(shown::machine(&self.machines[&id], Detail::Full, true, self.now))
    }

    fn born(
        &mut self,
        app: &str,
        id: &str,
        name: Option<String>,
        region: String,
        config: Config,
        skip: bool,
    ) -> Machine {
        let (now, instance) = (self.now, self.dice.ulid(self.now));
        let part = |dice: &mut crate::ids::Dice| format!("{:x}", dice.number(0xffff));
        let private_ip = format!(
            "fdaa:0:{}:a7b:{}:{}:{}:2",
            part(&mut self.dice),
            part(&mut self.dice),
            part(&mut self.dice),
            part(&mut self.dice)
        );
        let mut machine = Machine {
            id: id.to_owned(),
            app: app.to_owned(),
            name: name.unwrap_or_else(|| self.dice.name()),
            region,
            private_ip,
            state: State::Created,
            host: Host::Ok,
            created: now,
            updated: now,
            versions: vec![Version { id: instance.clone(), config }],
            instance,
            events: VecDeque::new(),
            checks: Vec::new(),
            lease: None,
            cordoned: false,
            skip_launch: skip,
            replacing: None,
            requested_stop: false,
            killed: false,
            running: false,
            signals: Vec::new(),
            wakes: false,
            ticket: 0,
            boots: 0,
            restarts: 0,
            crashes: VecDeque::new(),
            since: now,
            secrets_least: 0,
            env: BTreeMap::new(),
            health: None,
            last_request: now,
            forgotten: false,
            past: VecDeque::new(),
            offered: false,
            believed: Vec::new(),
        };
        machine.enter(State::Created, now);
        machine
    }

    pub(crate) fn new_lease(&mut self, machine: &Machine, call: &Call, seconds: u64, description: String) -> Lease {
        Lease {
            nonce: self.dice.letters(12),
            expires: self.now.after(Duration::from_secs(seconds)),
            owner: call.token.owner.clone(),
            description,
            version: machine.instance.clone(),
        }
    }

    /// Whether the secrets that a machine is to be made with are known.
    fn secrets_are_there(&self, app: &str, body: &Value) -> Result<(), Refusal> {
        let wanted = secrets_least(body);
        let have = self.app(app)?.secrets_version;
        if wanted > have {
            return Err(Refusal::precondition(&format!(
                "secrets version {wanted} is not available, currently at {have}"
            )));
        }
        Ok(())
    }

    fn has_room(&self, app: &str, region: &str, config: &Config) -> Result<(), Refusal> {
        let status = self.knobs.habits.capacity_status;
        let volume = config.acted.mounts.first().map(|mount| &mount.volume);
        match (self.full.get(region), volume) {
            (None | Some(Room::Enough), _) | (Some(Room::NoVolumes), None) => Ok(()),
            (Some(Room::Nothing), None) => Err(Refusal::coded(
                status,
                &format!(
                    "could not reserve resource for machine: insufficient CPUs available to fulfill request in {region} for {app}"
                ),
                "insufficient_capacity",
            )),
            (Some(Room::Nothing | Room::NoVolumes), Some(volume)) => Err(Refusal::new(
                412,
                format!("insufficient resources to create new machine with existing volume '{volume}'"),
            )),
        }
    }

    pub(crate) fn show_machine(&mut self, call: &Call) -> Answer {
        let leases = call.asked.flag("include_leases");
        ok(shown::machine(self.machine(call.app(), call.machine())?, Detail::Full, leases, self.now))
    }

    pub(crate) fn list_machines(&mut self, call: &Call) -> Answer {
        self.app(call.app())?;
        let asked = &call.asked;
        let detail = if asked.flag("summary") { Detail::Summary } else { Detail::Full };
        let states: Vec<_> = asked.param("state").map(|text| text.split(',').collect()).unwrap_or_default();
        let wanted: Vec<_> = asked
            .query
            .iter()
            .filter_map(|(key, value)| key.strip_prefix("metadata.").map(|key| (key, value)))
            .collect();
        let seen_from = self.now.before(self.knobs.lag.list.0);
        let mut found = Vec::new();
        for machine in self.machines_of(call.app()) {
            let Some(past) = machine.at(seen_from) else { continue };
            let deleted = past.state == State::Destroyed;
            let metadata = &machine.config().acted.metadata;
            if (deleted && !asked.flag("include_deleted"))
                || asked.param("region").is_some_and(|region| !region.is_empty() && region != machine.region)
                || !(states.is_empty() || states.contains(&past.state.word()))
                || !wanted.iter().all(|(key, value)| metadata.get(*key) == Some(*value))
            {
                continue;
            }
            found.push((machine.created, shown::machine_at(machine, detail, seen_from, self.now)));
        }
        found.sort_by_key(|(created, _)| *created);
        let mut list: Vec<_> = found.into_iter().filter_map(|(_, shown)| shown).collect();
        if asked.flag("include_leases") {
            for shown in &mut list {
                let id = shown["id"].as_str().unwrap_or_default();
                if let Some(lease) = self.machines.get(id).and_then(|machine| machine.held(self.now)) {
                    shown["nonce"] = json!(lease.nonce);
                }
            }
        }
        ok(Value::Array(list))
    }

    pub(crate) fn update_machine(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let (app, id) = (call.app().to_owned(), call.machine().to_owned());
        self.guarded(call)?;
        let config = Config::parse(body.get("config").cloned().unwrap_or(Value::Null))?;
        let machine = self.machine(&app, &id)?;
        if let Some(expected) = body.get("current_version").and_then(Value::as_str)
            && expected != machine.instance
        {
            return Err(Refusal::new(
                412,
                format!("aborted: machine version mismatch: expected {expected}, currently {}", machine.instance),
            ));
        }
        if body
            .get("region")
            .and_then(Value::as_str)
            .is_some_and(|region| !region.is_empty() && region != machine.region)
        {
            return Err(Refusal::new(400, "invalid_argument: machine region cannot be changed"));
        }
        let volumes =
            |config: &Config| config.acted.mounts.iter().map(|mount| mount.volume.clone()).collect::<Vec<_>>();
        if volumes(&config) != volumes(machine.config()) {
            return Err(Refusal::new(
                400,
                "invalid_argument: volumes of a machine cannot be changed, replace the machine",
            ));
        }
        if let state @ (State::Replacing
        | State::Created
        | State::Stopping
        | State::Suspending
        | State::LaunchFailed
        | State::Destroying
        | State::Destroyed) = machine.state
        {
            return Err(Refusal::precondition(&format!(
                "unable to update machine from current state: '{}'",
                state.word()
            )));
        }
        self.secrets_are_there(&app, &body)?;
        let flag = |name: &str| body.get(name).and_then(Value::as_bool);
        if let Some(cordoned) = flag("skip_service_registration")
            && let Some(machine) = self.machines.get_mut(&id)
        {
            machine.cordoned |= cordoned;
        }
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.secrets_least = secrets_least(&body);
        }
        self.replace(&id, config, flag("skip_launch").unwrap_or(false));
        if let Some(seconds) = body.get("lease_ttl").and_then(Value::as_u64).filter(|seconds| *seconds > 0) {
            let machine = self.machine(&app, &id)?.clone();
            let lease = self.new_lease(&machine, call, seconds, String::new());
            self.machine_mut(&app, &id)?.lease = Some(lease);
        }
        ok(shown::machine(self.machine(&app, &id)?, Detail::Full, true, self.now))
    }

    pub(crate) fn delete_machine(&mut self, call: &Call) -> Answer {
        let force = call.asked.flag("force") || call.asked.flag("kill");
        let machine = self.machine(call.app(), call.machine())?;
        let (state, host, id) = (machine.state, machine.host, machine.id.clone());
        // Nobody at the host can say whose lease it is: only force helps, and it needs none.
        if host == Host::Ok || !force {
            self.guarded(call)?;
        }
        match state {
            State::Destroying | State::Destroyed => return ok(json!({"ok": true})),
            State::Stopped | State::Suspended | State::Failed => {}
            State::Created
            | State::Starting
            | State::Started
            | State::Stopping
            | State::Suspending
            | State::Restarting
            | State::Replacing
            | State::LaunchFailed => {
                if !force {
                    return Err(Refusal::precondition("unable to destroy machine, not currently stopped"));
                }
            }
        }
        self.destroy(&id, "user");
        ok(json!({"ok": true}))
    }

    pub(crate) fn list_events(&mut self, call: &Call) -> Answer {
        let limit = call.asked.param("limit").and_then(|text| text.parse().ok()).unwrap_or(EVENTS.1).min(EVENTS.0);
        let machine = self.machine(call.app(), call.machine())?;
        ok(machine.events.iter().take(limit).map(shown::event).collect())
    }

    pub(crate) fn list_versions(&mut self, call: &Call) -> Answer {
        let machine = self.machine(call.app(), call.machine())?;
        let shown = |version: &Version| json!({"version": version.id, "user_config": version.config.shown});
        ok(machine.versions.iter().rev().map(shown).collect())
    }
}

/// The version of the app's secrets that a machine's host has to know at least; any, where nothing is said.
fn secrets_least(body: &Value) -> u64 {
    body.get("min_secrets_version").and_then(Value::as_u64).unwrap_or(0)
}
