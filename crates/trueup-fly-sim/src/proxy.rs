//! The platform's proxy: several edges, each of which hears late of what changed.
//!
//! A machine deserves requests when it is registered, started, not cordoned, and its checks pass. An edge sends requests
//! to the machines that it believes to deserve them. Who is believed and would not answer is *blind*: requests are lost or
//! tried again elsewhere. Who could answer, at the edge that knows fewest, is written down for each moment, so that a test
//! can see that there was none without anybody.

use crate::agenda::Happening;
use crate::app::Traffic;
use crate::cloud::Cloud;
use crate::machine::State;

/// What a request for an app meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// This machine would answer.
    Machine(String),
    /// A machine that sleeps is woken for it.
    Woken(String),
    /// The edge sends it to one that does not answer.
    Blind(String),
    /// Nobody is there.
    Nobody,
    /// The app has no address.
    NoAddress,
}

impl Cloud {
    /// Tells each edge what changed, and writes down who could answer.
    pub(crate) fn tell_proxy(&mut self) {
        for name in std::mem::take(&mut self.touched) {
            self.tell_proxy_of(&name);
        }
    }

    fn tell_proxy_of(&mut self, name: &str) {
        let Some(app) = self.apps.get(name) else { return };
        let (now, edges) = (self.now, &self.knobs.edges.0);
        let (mut healthy, mut blind) = (vec![0; edges.len()], vec![0; edges.len()]);
        for id in &app.machines {
            let Some(machine) = self.machines.get_mut(id) else { continue };
            machine.believed.resize(edges.len(), false);
            let (serves, answers) = (machine.deserves(), machine.answers());
            for (edge, believed) in machine.believed.iter().enumerate().filter(|(_, believed)| **believed) {
                let count = if *believed && answers { &mut healthy } else { &mut blind };
                count[edge] += 1;
            }
            if serves != machine.offered {
                machine.offered = serves;
                for (edge, late) in edges.iter().enumerate() {
                    self.agenda.enter(now.after(late.0), Happening::EdgeHears { id: id.clone(), edge, serves });
                }
            }
        }
        let healthy = healthy.into_iter().min().unwrap_or(0);
        let blind = blind.into_iter().max().unwrap_or(0);
        if let Some(app) = self.apps.get_mut(name) {
            app.record(Traffic { since: now, healthy, blind });
        }
    }

    pub(crate) fn edge_hears(&mut self, id: &str, edge: usize, serves: bool) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        if let Some(believed) = machine.believed.get_mut(edge) {
            *believed = serves;
            self.touched.insert(machine.app.clone());
        }
    }

    /// Somebody asks an app for something, at an edge: from the world, or from its private network.
    pub(crate) fn request(&mut self, app: &str, edge: usize, private: bool) -> Met {
        let Some(found) = self.apps.get(app) else { return Met::Nobody };
        if !found.ips.iter().any(|ip| (ip.kind == "private_v6") == private) {
            return Met::NoAddress;
        }
        let now = self.now;
        let believed =
            |machine: &&mut crate::machine::Machine| machine.app == app && machine.believed.get(edge) == Some(&true);
        // Whoever was asked longest ago is next: the proxy spreads.
        let next = self
            .machines
            .values_mut()
            .filter(believed)
            .min_by_key(|machine| (!machine.answers(), machine.last_request));
        if let Some(machine) = next {
            machine.last_request = now;
            let id = machine.id.clone();
            return if machine.answers() { Met::Machine(id) } else { Met::Blind(id) };
        }
        let sleeps = |machine: &&crate::machine::Machine| {
            machine.app == app
                && !machine.cordoned
                && matches!(machine.state, State::Stopped | State::Suspended)
                && machine.config().acted.autostart()
        };
        let Some(id) = self.machines.values().find(sleeps).map(|machine| machine.id.clone()) else {
            return Met::Nobody;
        };
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.wakes = machine.state == State::Suspended;
        }
        self.write(&id, "info", "Starting machine");
        self.boot(&id, "proxy");
        self.tell_proxy();
        Met::Woken(id)
    }
}
