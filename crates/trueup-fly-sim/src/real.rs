//! The cloud's side of machines that really run: what each needs on this host, and what its process does by itself.

use rustix::process::Signal;

use crate::cloud::Cloud;
use crate::machine::{Next, State};
use crate::run::Wanted;

impl Cloud {
    /// What each machine needs on this host.
    pub(crate) fn wanted(&mut self) -> Vec<Wanted> {
        let live = self.machines.values_mut().filter(|machine| !machine.forgotten);
        live.map(|machine| {
            let signals = std::mem::take(&mut machine.signals);
            let acted = &machine.config().acted;
            let init = &acted.init;
            let words =
                if init.exec.is_empty() { [&init.entrypoint[..], &init.cmd[..]].concat() } else { init.exec.clone() };
            let checks = acted.services.iter().flat_map(|service| &service.checks).chain(acted.checks.values());
            Wanted {
                id: machine.id.clone(),
                state: machine.state,
                boot: machine.boots,
                words,
                env: machine.env.clone(),
                signal: signal(&acted.stop_config.signal),
                signals: signals.iter().map(|name| signal(name)).collect(),
                path: checks.filter(|check| check.how == "http").map(|check| path(&check.path)).next(),
            }
        })
        .collect()
    }

    /// A machine has a process, or has none any more.
    pub(crate) fn runs(&mut self, id: &str, running: bool) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.running = running;
        }
    }

    /// A process has ended: by itself, or as it was asked to.
    pub(crate) fn process_ended(&mut self, id: &str, boot: u32, code: i32) {
        let Some(machine) = self.machines.get_mut(id).filter(|machine| machine.boots == boot) else { return };
        if !std::mem::take(&mut machine.running) {
            return;
        }
        match machine.state {
            State::Started => self.exit(id, code, false),
            // Whatever it was given time for is done.
            State::Stopping => self.hasten(id, Next::Halted),
            State::Restarting => self.hasten(id, Next::Turned),
            State::Replacing => self.hasten(id, Next::Unseated),
            State::Created
            | State::Starting
            | State::Stopped
            | State::Suspending
            | State::Suspended
            | State::Failed
            | State::LaunchFailed
            | State::Destroying
            | State::Destroyed => {}
        }
        self.tell_proxy();
    }

    fn hasten(&mut self, id: &str, next: Next) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.killed = false;
        }
        self.step(id, next);
    }
}

fn path(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// The platform's default is SIGINT.
fn signal(name: &str) -> Signal {
    match name {
        "SIGHUP" => Signal::HUP,
        "SIGQUIT" => Signal::QUIT,
        "SIGKILL" => Signal::KILL,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGTERM" => Signal::TERM,
        "SIGABRT" => Signal::ABORT,
        "SIGALRM" => Signal::ALARM,
        "SIGFPE" => Signal::FPE,
        "SIGILL" => Signal::ILL,
        "SIGPIPE" => Signal::PIPE,
        "SIGSEGV" => Signal::SEGV,
        "SIGTRAP" => Signal::TRAP,
        _ => Signal::INT,
    }
}
