//! A machine's life: from state to state, each passage with its delay and its event.
//!
//! ```text
//!  created ──► starting ──► started ──► stopping ──► stopped ──► destroying ──► destroyed ──► (nobody knows it)
//!     │            ▲            │ ▲          ▲           │
//!     ├─► stopped  └────────────┘ └ suspended ◄ suspending
//!     └─► failed     by itself
//! ```
//!
//! `verbs` asks for passages, the agenda brings them about through [`Cloud::step`]. An update goes by way of `replace`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agenda::Happening;
use crate::cloud::Cloud;
use crate::config::{Autostop, Policy};
use crate::knobs::Unpullable;
use crate::machine::{Machine, Next, State};
use crate::time::Moment;

/// How often a failing program is started again, where nothing is said.
const RETRIES: u32 = 10;
/// In which time those retries are counted.
const WINDOW: Duration = Duration::from_secs(300);
/// How long a program may take to stop, where nothing is said.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long `launch_failed` is seen before the machine is destroyed.
const VANISHES_AFTER: Duration = Duration::from_secs(5);
/// What a killed program's exit code is.
pub(crate) const KILLED: i32 = 137;

/// How a program ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub code: i32,
    pub oom: bool,
    pub requested: bool,
}

impl Cloud {
    /// A machine that was just made is prepared.
    pub(crate) fn prepare(&mut self, id: &str) {
        let pull = self.pull_time(id);
        self.then(id, pull, Next::Prepared);
    }

    pub(crate) fn pull_time(&self, id: &str) -> Duration {
        let own = self.machines.get(id).and_then(|machine| self.behaviour(machine).pull);
        own.unwrap_or(self.knobs.latency.pull).0
    }

    /// What is due happens to a machine.
    pub(crate) fn step(&mut self, id: &str, next: Next) {
        match next {
            Next::Prepared => self.prepared(id),
            Next::Booted => self.booted(id),
            Next::Halted => self.halted(id),
            Next::Asleep => {
                self.enter(id, State::Suspended);
                self.log(id, "suspend", "suspended", "flyd", Value::Null);
            }
            Next::Turned => {
                self.ended(id, Ending { code: 0, oom: false, requested: true }, false);
                self.boot(id, "flyd");
            }
            Next::Unseated => self.unseated(id),
            Next::Pulling => self.pulling(id),
            Next::Installed => self.installed(id),
            Next::Exits => self.exits(id),
            Next::Again => self.boot(id, "flyd"),
            Next::Erased => self.erased(id),
            Next::Forgotten => self.forget(id),
        }
    }

    fn prepared(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id) else { return };
        let (skip, image) = (machine.skip_launch, machine.config().acted.image.clone());
        match self.behaviour(machine).unpullable {
            Some(Unpullable::Failed) => {
                self.write(id, "error", &format!("failed to pull image {image}: manifest unknown"));
                self.enter(id, State::Failed);
                self.log(id, "launch", "failed", "flyd", Value::Null);
            }
            Some(Unpullable::Vanishes) => {
                self.write(id, "error", &format!("failed to pull image {image}: manifest unknown"));
                self.enter(id, State::LaunchFailed);
                self.log(id, "launch", "launch_failed", "flyd", Value::Null);
                self.then(id, VANISHES_AFTER, Next::Erased);
            }
            None if skip => {
                self.enter(id, State::Stopped);
                self.log(id, "launch", "stopped", "flyd", Value::Null);
            }
            None => self.boot(id, "flyd"),
        }
    }

    /// Starts its program.
    pub(crate) fn boot(&mut self, id: &str, source: &'static str) {
        self.enter(id, State::Starting);
        self.log(id, "start", "starting", source, Value::Null);
        let own = self.machines.get(id).and_then(|machine| self.behaviour(machine).boot);
        self.then(id, own.unwrap_or(self.knobs.latency.boot).0, Next::Booted);
    }

    fn booted(&mut self, id: &str) {
        self.enter(id, State::Started);
        self.log(id, "start", "started", "flyd", Value::Null);
        let (now, env) = (self.now, self.environment(id));
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.boots += 1;
        let wakes = std::mem::take(&mut machine.wakes);
        if !wakes {
            machine.env = env;
        }
        machine.checks.clear();
        machine.last_request = now;
        let (boot, boots) = (machine.boots, machine.boots);
        let machine = machine.clone();
        let behaviour = self.behaviour(&machine);
        for line in behaviour.prints.iter().filter(|_| !wakes) {
            self.write(id, "info", line);
        }
        self.agenda.enter(now.after(self.knobs.latency.checks.0), Happening::Checks { id: id.to_owned(), boot });
        if let Some(exits) = behaviour.exits
            && exits.times.is_none_or(|times| boots <= times)
        {
            self.then(id, exits.after.0, Next::Exits);
        }
        if let Some(idle) = self.knobs.latency.idle
            && machine.config().acted.autostop() != Autostop::Off
        {
            self.agenda.enter(now.after(idle.0), Happening::Idle { id: id.to_owned(), boot });
        }
    }

    /// What its program is given: what the config says, what the platform says, and over both the secrets that its host knows.
    fn environment(&self, id: &str) -> BTreeMap<String, String> {
        let Some(machine) = self.machines.get(id) else { return BTreeMap::new() };
        let acted = &machine.config().acted;
        let mut env = acted.env.clone();
        for (key, value) in [
            ("FLY_APP_NAME", machine.app.clone()),
            ("FLY_MACHINE_ID", machine.id.clone()),
            ("FLY_ALLOC_ID", machine.id.clone()),
            ("FLY_REGION", machine.region.clone()),
            ("FLY_IMAGE_REF", acted.image.clone()),
            ("FLY_MACHINE_VERSION", machine.instance.clone()),
            ("FLY_PRIVATE_IP", machine.private_ip.clone()),
            ("FLY_VM_MEMORY_MB", acted.guest.memory_mb.to_string()),
        ] {
            env.insert(key.to_owned(), value);
        }
        if let Some(app) = self.apps.get(&machine.app) {
            let secrets = app.secrets_heard(self.now, self.knobs.lag.secrets.0, machine.secrets_least);
            env.extend(secrets.iter().map(|(name, secret)| (name.clone(), secret.value.clone())));
        }
        env
    }

    /// Its program is asked to stop, for whatever comes next; gives the time that takes, and whether it is killed.
    pub(crate) fn stop_time(&self, machine: &Machine, asked: Option<Duration>) -> (Duration, bool) {
        let patience = asked.or(machine.config().acted.stop_config.timeout.map(|span| span.0)).unwrap_or(STOP_TIMEOUT);
        if machine.running {
            // It says itself when it has ended.
            return (patience, true);
        }
        let needs = self.behaviour(machine).stop.unwrap_or(self.knobs.latency.stop).0;
        (needs.min(patience), needs > patience)
    }

    /// Stops a started machine.
    pub(crate) fn halt(&mut self, id: &str, timeout: Option<Duration>, source: &'static str, requested: bool) {
        let Some(machine) = self.machines.get(id) else { return };
        let (wait, killed) = self.stop_time(machine, timeout);
        self.enter(id, State::Stopping);
        self.log(id, "stop", "stopping", source, Value::Null);
        if let Some(machine) = self.machines.get_mut(id) {
            machine.killed = killed;
            machine.requested_stop = requested;
        }
        self.then(id, wait, Next::Halted);
    }

    fn halted(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id) else { return };
        let code = if machine.killed { KILLED } else { 0 };
        let requested = machine.requested_stop;
        self.ended(id, Ending { code, oom: false, requested }, false);
        self.rest(id);
    }

    /// It is stopped; what destroys itself does so.
    fn rest(&mut self, id: &str) {
        self.enter(id, State::Stopped);
        if self.machines.get(id).is_some_and(|machine| machine.config().acted.auto_destroy) {
            self.destroy(id, "flyd");
        }
    }

    /// Writes down how a program ended.
    pub(crate) fn ended(&mut self, id: &str, ending: Ending, restarting: bool) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.checks.clear();
        let (now, count) = (self.now, machine.restarts);
        let signal = if ending.code > 128 { ending.code - 128 } else { -1 };
        let request = json!({
            "exit_event": {
                "exit_code": ending.code,
                "guest_exit_code": ending.code,
                "guest_signal": signal,
                "signal": signal,
                "guest_error": "",
                "error": "",
                "oom_killed": ending.oom,
                "requested_stop": ending.requested,
                "restarting": restarting,
                "exited_at": self.exited_at(now),
            },
            "restart_count": count,
        });
        self.log(id, "exit", "stopped", "flyd", request);
        self.write(id, "info", &format!("Main child exited normally with code: {}", ending.code));
    }

    fn exited_at(&self, now: Moment) -> Value {
        if self.knobs.habits.exited_at_millis { json!(now.millis()) } else { json!(now.rfc3339()) }
    }

    fn exits(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id) else { return };
        // A process of this host says itself when it has ended.
        let Some(exits) = self.behaviour(machine).exits else { return };
        self.exit(id, exits.code, exits.oom);
    }

    /// A program ends by itself; the policy says what comes of it.
    pub(crate) fn exit(&mut self, id: &str, code: i32, oom: bool) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(id) else { return };
        let acted = &machine.config().acted;
        let (policy, most) = (acted.policy(), acted.restart.max_retries.unwrap_or(RETRIES));
        machine.crashes.retain(|crash| now.since(*crash) < WINDOW);
        let again = match policy {
            Policy::Never => false,
            Policy::Always => true,
            Policy::OnFailure => code != 0 && machine.crashes.len() < usize::try_from(most).unwrap_or(usize::MAX),
        };
        if again {
            machine.crashes.push_back(now);
            machine.restarts += 1;
        }
        self.ended(id, Ending { code, oom, requested: false }, again);
        if again {
            self.enter(id, State::Starting);
            self.log(id, "restart", "starting", "flyd", Value::Null);
            self.then(id, self.knobs.latency.restart.0, Next::Again);
        } else {
            self.rest(id);
        }
    }

    /// It goes.
    pub(crate) fn destroy(&mut self, id: &str, source: &'static str) {
        self.enter(id, State::Destroying);
        self.log(id, "destroy", "destroying", source, Value::Null);
        self.then(id, self.knobs.latency.destroy.0, Next::Erased);
    }

    fn erased(&mut self, id: &str) {
        self.enter(id, State::Destroyed);
        self.log(id, "destroy", "destroyed", "flyd", Value::Null);
        let now = self.now;
        let Some(app) = self.machines.get(id).map(|machine| machine.app.clone()) else { return };
        if let Some(app) = self.apps.get_mut(&app) {
            for volume in app.volumes.values_mut().filter(|volume| volume.attached.as_deref() == Some(id)) {
                volume.attached = None;
                volume.updated = now;
            }
        }
        self.then(id, self.knobs.latency.linger.0, Next::Forgotten);
    }

    /// A machine that nobody has asked for a while is stopped, where its services say so.
    pub(crate) fn idle(&mut self, id: &str, boot: u32) {
        let Some(idle) = self.knobs.latency.idle else { return };
        let Some(machine) = self.machines.get(id) else { return };
        if machine.boots != boot || machine.state != State::Started {
            return;
        }
        let asked = machine.last_request.after(idle.0);
        if asked > self.now {
            self.agenda.enter(asked, Happening::Idle { id: id.to_owned(), boot });
            return;
        }
        let least = machine.config().acted.services.iter().map(|service| service.min_machines_running).max();
        let (app, region) = (machine.app.clone(), machine.region.clone());
        let up = self.machines_of(&app).filter(|other| other.region == region && other.state == State::Started);
        if u64::try_from(up.count()).unwrap_or(u64::MAX) > least.unwrap_or(0) {
            self.autostop(id);
        } else {
            self.agenda.enter(self.now.after(idle.0), Happening::Idle { id: id.to_owned(), boot });
        }
    }

    /// The proxy sends a machine to sleep, as its services say; it is stopped where they say nothing.
    pub(crate) fn autostop(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id).filter(|machine| machine.state == State::Started) else { return };
        let how = machine.config().acted.autostop();
        self.write(id, "info", "App has excess capacity, autostopping machine");
        match how {
            Autostop::Suspend => {
                self.enter(id, State::Suspending);
                self.log(id, "suspend", "suspending", "proxy", Value::Null);
                self.then(id, self.knobs.latency.suspend.0, Next::Asleep);
            }
            Autostop::Off | Autostop::Stop => self.halt(id, None, "proxy", true),
        }
    }
}
