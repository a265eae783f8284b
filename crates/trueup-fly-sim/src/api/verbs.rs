//! What a machine is told to do: start, stop, suspend, restart, signal, cordon, uncordon; and what is run in it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::call::{Answer, Call, Refusal, ok};
use crate::cloud::Cloud;
use crate::life::KILLED;
use crate::machine::{Host, Machine, Next, State};
use crate::time::parse_go;

impl Cloud {
    /// Whether the caller may change the machine: nobody else holds its lease, and its host is there.
    ///
    /// # Errors
    /// 409 where another holds it, 503 where the host is not reached.
    pub(crate) fn guarded(&self, call: &Call) -> Result<(), Refusal> {
        let machine = self.machine(call.app(), call.machine())?;
        if machine.host != Host::Ok {
            return Err(unreachable(machine));
        }
        let nonce = call.asked.headers.get("fly-machine-lease-nonce");
        match machine.held(self.now) {
            Some(lease) if nonce != Some(&lease.nonce) => {
                let text = held_by(machine, lease);
                Err(Refusal::new(self.knobs.habits.leased_status, text))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn changed(&self, call: &Call) -> Result<(String, State), Refusal> {
        self.guarded(call)?;
        let machine = self.machine(call.app(), call.machine())?;
        Ok((machine.id.clone(), machine.state))
    }

    pub(crate) fn start(&mut self, call: &Call) -> Answer {
        let (id, state) = self.changed(call)?;
        let since = self.machine(call.app(), &id)?.since;
        match state {
            State::Started | State::Starting => {}
            State::Stopped if self.now < since.after(self.knobs.latency.settle.0) => {
                return Err(Refusal::precondition("machine still active, refusing to start"));
            }
            State::Stopped | State::Suspended | State::Failed => {
                if let Some(machine) = self.machines.get_mut(&id) {
                    machine.restarts = 0;
                    machine.crashes.clear();
                    machine.wakes = state == State::Suspended;
                }
                self.boot(&id, "user");
            }
            State::Created
            | State::Stopping
            | State::Suspending
            | State::Restarting
            | State::Replacing
            | State::LaunchFailed
            | State::Destroying
            | State::Destroyed => return Err(not_from("start", state)),
        }
        ok(json!({"previous_state": state.word(), "migrated": false, "new_host": ""}))
    }

    pub(crate) fn stop(&mut self, call: &Call) -> Answer {
        let (id, state) = self.changed(call)?;
        let body = call.asked.read()?;
        let timeout = span_of(body.get("timeout"))?;
        match state {
            State::Started => self.halt(&id, timeout, "user", true),
            // Its memory is thrown away.
            State::Suspended => {
                self.enter(&id, State::Stopped);
                self.log(&id, "stop", "stopped", "user", Value::Null);
            }
            State::Starting => self.halt(&id, Some(Duration::ZERO), "user", true),
            State::Stopped | State::Stopping => {}
            State::Created
            | State::Suspending
            | State::Restarting
            | State::Replacing
            | State::Failed
            | State::LaunchFailed
            | State::Destroying
            | State::Destroyed => return Err(not_from("stop", state)),
        }
        ok(json!({"ok": true}))
    }

    pub(crate) fn suspend(&mut self, call: &Call) -> Answer {
        let (id, state) = self.changed(call)?;
        match state {
            State::Started => {
                self.enter(&id, State::Suspending);
                self.log(&id, "suspend", "suspending", "user", Value::Null);
                self.then(&id, self.knobs.latency.suspend.0, Next::Asleep);
            }
            State::Suspended | State::Suspending => {}
            State::Created
            | State::Starting
            | State::Stopping
            | State::Stopped
            | State::Restarting
            | State::Replacing
            | State::Failed
            | State::LaunchFailed
            | State::Destroying
            | State::Destroyed => {
                return Err(not_from("suspend", state));
            }
        }
        ok(json!({"ok": true}))
    }

    pub(crate) fn restart(&mut self, call: &Call) -> Answer {
        let (id, state) = self.changed(call)?;
        if state != State::Started {
            return Err(not_from("restart", state));
        }
        let timeout = match call.asked.param("timeout") {
            Some(text) => span_of(Some(&json!(text)))?,
            None => None,
        };
        let timeout = if call.asked.flag("force_stop") { Some(Duration::ZERO) } else { timeout };
        let (wait, _) = self.stop_time(self.machine(call.app(), &id)?, timeout);
        self.enter(&id, State::Restarting);
        self.log(&id, "restart", "stopping", "user", Value::Null);
        self.then(&id, wait, Next::Turned);
        ok(json!({"ok": true}))
    }

    pub(crate) fn signal(&mut self, call: &Call) -> Answer {
        let (id, state) = self.changed(call)?;
        let body = call.asked.read()?;
        let signal = match body.get("signal") {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) if number.as_u64() == Some(9) => "SIGKILL".to_owned(),
            Some(Value::Number(number)) => format!("SIG{number}"),
            _ => return Err(Refusal::new(400, "invalid_argument: signal is required")),
        };
        if state != State::Started {
            return Err(not_from("signal", state));
        }
        self.write(&id, "info", &format!("Sending signal {signal} to main child process"));
        if let Some(machine) = self.machines.get_mut(&id).filter(|machine| machine.running) {
            // The process says itself what it makes of it.
            machine.signals.push(signal);
            return ok(json!({"ok": true}));
        }
        let code = match signal.as_str() {
            "SIGKILL" => Some(KILLED),
            "SIGABRT" => Some(134),
            "SIGSEGV" => Some(139),
            "SIGTERM" => Some(143),
            "SIGINT" => Some(130),
            _ => None,
        };
        if let Some(code) = code {
            self.exit(&id, code, false);
        }
        ok(json!({"ok": true}))
    }

    pub(crate) fn cordon(&mut self, call: &Call) -> Answer {
        self.set_cordon(call, true)
    }

    pub(crate) fn uncordon(&mut self, call: &Call) -> Answer {
        self.set_cordon(call, false)
    }

    fn set_cordon(&mut self, call: &Call, cordoned: bool) -> Answer {
        let (id, _) = self.changed(call)?;
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.cordoned = cordoned;
        }
        let kind = if cordoned { "cordon" } else { "uncordon" };
        self.log(&id, kind, "started", "user", Value::Null);
        ok(json!({"ok": true}))
    }

    pub(crate) fn exec(&mut self, call: &Call) -> Answer {
        let body = call.asked.read()?;
        let words = body.get("command").and_then(Value::as_array);
        let words = words.map(|words| words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
        let command = words.or_else(|| body.get("cmd").and_then(Value::as_str).map(str::to_owned)).unwrap_or_default();
        if command.is_empty() {
            return Err(Refusal::new(400, "invalid_argument: command is required"));
        }
        let machine = self.machine(call.app(), call.machine())?;
        if machine.host != Host::Ok {
            return Err(unreachable(machine));
        }
        if machine.state != State::Started {
            return Err(Refusal::precondition(&format!("machine not running, currently {}", machine.state.word())));
        }
        let scripted = self.behaviour(machine).exec.into_iter().find(|ran| command.contains(&ran.command));
        let (code, stdout, stderr) = match scripted {
            Some(ran) => (ran.code, ran.stdout, ran.stderr),
            None if command == "printenv" || command == "env" => {
                let lines: Vec<_> = machine.env.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
                (0, lines.concat(), String::new())
            }
            None => (0, String::new(), String::new()),
        };
        ok(json!({"exit_code": code, "exit_signal": 0, "stdout": stdout, "stderr": stderr}))
    }

    pub(crate) fn processes(&mut self, call: &Call) -> Answer {
        let machine = self.machine(call.app(), call.machine())?;
        if machine.state != State::Started {
            return Err(Refusal::precondition("machine not running"));
        }
        let acted = &machine.config().acted;
        let words = [&acted.init.exec, &acted.init.entrypoint, &acted.init.cmd];
        let command: Vec<_> = words.into_iter().flatten().cloned().collect();
        let command = if command.is_empty() { acted.image.clone() } else { command.join(" ") };
        let sockets: Vec<_> = acted
            .services
            .iter()
            .map(|service| json!({"proto": service.protocol, "address": format!("0.0.0.0:{}", service.internal_port)}))
            .collect();
        let rtime = self.now.since(machine.since).as_secs();
        ok(json!([{"pid": 318, "stime": 1, "rtime": rtime, "command": command, "directory": "/", "cpu": 1,
            "rss": 41_943_040, "listen_sockets": sockets}]))
    }
}

/// What a host that is not reached says.
pub(crate) fn unreachable(machine: &Machine) -> Refusal {
    Refusal::new(503, format!("unavailable: the host of machine {} is unreachable", machine.id))
}

/// Who stands in the way.
pub(crate) fn held_by(machine: &Machine, lease: &crate::machine::Lease) -> String {
    let (owner, expires) = (&lease.owner, lease.expires.rfc3339());
    format!("machine ID {} lease currently held by {owner}, expires at {expires}", machine.id)
}

fn not_from(verb: &str, state: State) -> Refusal {
    Refusal::precondition(&format!("unable to {verb} machine from current state: '{}'", state.word()))
}

/// A duration as these calls take it: Go's words, whole seconds as text, or nanoseconds.
fn span_of(value: Option<&Value>) -> Result<Option<Duration>, Refusal> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64().map(Duration::from_nanos),
        Some(Value::String(text)) => parse_go(text).or_else(|| text.parse().ok().map(Duration::from_secs)),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    read.map(Some).ok_or_else(|| Refusal::new(400, "invalid_argument: invalid timeout"))
}
