//! What can be done to the platform from outside its API: by a scenario at a time, or over HTTP at any moment.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Asked, Call};
use crate::cloud::Cloud;
use crate::faults::Rule;
use crate::knobs::{Habits, Health, Lag, Latency, Limits};
use crate::machine::{Host, Lease, Machine, State};
use crate::over::{Over, merge};
use crate::time::Span;

/// Something of a scenario's timeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Planned {
    /// So long after the platform began.
    pub after: Span,
    /// What is done then.
    #[serde(rename = "do")]
    pub deed: Deed,
}

/// Which machines something is about: all that fit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Which {
    /// Of this app.
    pub app: Option<String>,
    /// With this id.
    pub machine: Option<String>,
    /// In this region.
    pub region: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// At most so many, the oldest first.
    pub count: Option<usize>,
}

/// What a region has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Room {
    /// Nothing.
    Nothing,
    /// No machine that brings a volume.
    NoVolumes,
    /// Everything.
    Enough,
}

/// Something that is done.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Deed {
    /// A request goes wrong from now on.
    Fault(Rule),
    /// No request goes wrong any more.
    NoFaults {},
    /// Programs end.
    Exit {
        /// Which.
        #[serde(default)]
        of: Which,
        /// With this code.
        #[serde(default = "one")]
        code: i32,
        /// Because the memory was used up.
        #[serde(default)]
        oom: bool,
    },
    /// The proxy sends machines to sleep.
    Autostop {
        /// Which.
        #[serde(default)]
        of: Which,
    },
    /// Hosts cannot be reached, or can be again.
    Host {
        /// Whose.
        #[serde(default)]
        of: Which,
        /// How they are.
        status: Host,
    },
    /// Checks go another way from now on.
    Health {
        /// Whose.
        #[serde(default)]
        of: Which,
        /// How.
        goes: Health,
    },
    /// Somebody else holds the lease.
    Lease {
        /// Of which.
        #[serde(default)]
        of: Which,
        /// For so long.
        ttl: Span,
        /// Who.
        #[serde(default = "somebody")]
        owner: String,
    },
    /// Somebody changes machines behind everybody's back: these fields of the config are put over it.
    Edit {
        /// Which.
        #[serde(default)]
        of: Which,
        /// What is put over the config.
        config: Value,
    },
    /// Somebody starts, stops, cordons, uncordons or destroys machines behind everybody's back.
    Act {
        /// Which.
        #[serde(default)]
        of: Which,
        /// What is done.
        verb: Verb,
    },
    /// A region has no room, or has it again.
    Room {
        /// Which region.
        region: String,
        /// What for.
        is: Room,
    },
    /// The DNS of a name is as it should be: its certificate is issued.
    Prove {
        /// Of which app.
        app: String,
        /// Which name.
        hostname: String,
    },
    /// Things take other times from now on.
    Latency(Over<Latency>),
    /// Things are seen at other times from now on.
    Lag(Over<Lag>),
    /// Other limits are in force.
    Limits(Over<Limits>),
    /// The platform has other habits.
    Habits(Over<Habits>),
    /// An app is made, for an organisation.
    App {
        /// Its name.
        name: String,
        /// Whose.
        #[serde(default)]
        org: Option<String>,
    },
    /// Somebody asks an app for something.
    Request {
        /// Which.
        app: String,
    },
}

/// What somebody does behind everybody's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Starts it.
    Start,
    /// Stops it.
    Stop,
    /// Takes it out of the proxy.
    Cordon,
    /// Puts it back.
    Uncordon,
    /// Destroys it.
    Destroy,
}

fn one() -> i32 {
    1
}

fn somebody() -> String {
    "somebody-else@tokens.fly.io".to_owned()
}

impl Which {
    fn fits(&self, machine: &Machine) -> bool {
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|wanted| wanted == have);
        !machine.forgotten
            && is(&self.app, &machine.app)
            && is(&self.machine, &machine.id)
            && is(&self.region, &machine.region)
            && is(&self.state, machine.state.word())
    }

    fn find(&self, cloud: &Cloud) -> Vec<String> {
        let mut found: Vec<_> = cloud.machines.values().filter(|machine| self.fits(machine)).collect();
        found.sort_by_key(|machine| (machine.created, machine.id.clone()));
        found.truncate(self.count.unwrap_or(usize::MAX));
        found.into_iter().map(|machine| machine.id.clone()).collect()
    }
}

impl Cloud {
    /// Does it, and says to how many machines, or what came of it.
    pub(crate) fn carry_out(&mut self, deed: Deed) -> Value {
        let touched = match deed {
            Deed::Fault(rule) => {
                self.faults.add(rule);
                Vec::new()
            }
            Deed::NoFaults {} => {
                self.faults.clear();
                Vec::new()
            }
            Deed::Exit { of, code, oom } => self.each(&of, |cloud, id| {
                if cloud.machines.get(id).is_some_and(|machine| machine.state == State::Started) {
                    cloud.exit(id, code, oom);
                }
            }),
            Deed::Autostop { of } => self.each(&of, Self::autostop),
            Deed::Host { of, status } => self.alter(&of, |machine| machine.host = status),
            Deed::Health { of, goes } => self.each(&of, |cloud, id| cloud.turn_health(id, goes)),
            Deed::Lease { of, ttl, owner } => self.each(&of, |cloud, id| cloud.take_lease(id, ttl, &owner)),
            Deed::Edit { of, config } => self.each(&of, |cloud, id| cloud.edit(id, &config)),
            Deed::Act { of, verb } => self.each(&of, |cloud, id| cloud.act(id, verb)),
            Deed::Room { region, is } => {
                self.full.insert(region, is);
                Vec::new()
            }
            Deed::Prove { app, hostname } => {
                self.issue(&app, &hostname);
                Vec::new()
            }
            Deed::Latency(latency) => {
                latency.put(&mut self.knobs.latency);
                Vec::new()
            }
            Deed::Lag(lag) => {
                lag.put(&mut self.knobs.lag);
                Vec::new()
            }
            Deed::Limits(limits) => {
                limits.put(&mut self.knobs.limits);
                Vec::new()
            }
            Deed::Habits(habits) => {
                habits.put(&mut self.knobs.habits);
                Vec::new()
            }
            Deed::App { name, org } => {
                let org = org.unwrap_or_else(|| self.knobs.orgs[0].clone());
                self.found_app(&name, &org, "");
                Vec::new()
            }
            Deed::Request { app } => return json!({"met": format!("{:?}", self.request(&app, 0, false))}),
        };
        self.tell_proxy();
        json!({"machines": touched})
    }

    fn each(&mut self, of: &Which, mut does: impl FnMut(&mut Self, &str)) -> Vec<String> {
        let found = of.find(self);
        for id in &found {
            does(self, id);
        }
        found
    }

    fn alter(&mut self, of: &Which, does: impl Fn(&mut Machine)) -> Vec<String> {
        self.each(of, |cloud, id| {
            if let Some(machine) = cloud.machines.get_mut(id) {
                does(machine);
                cloud.touched.insert(machine.app.clone());
            }
        })
    }

    fn turn_health(&mut self, id: &str, goes: Health) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.health = Some(goes);
        let boot = machine.boots;
        self.run_checks(id, boot);
    }

    fn take_lease(&mut self, id: &str, ttl: Span, owner: &str) {
        let (nonce, expires) = (self.dice.letters(12), self.now.after(ttl.0));
        if let Some(machine) = self.machines.get_mut(id) {
            let version = machine.instance.clone();
            let description = "held behind everybody's back".to_owned();
            machine.lease = Some(Lease { nonce, expires, owner: owner.to_owned(), description, version });
        }
    }

    fn edit(&mut self, id: &str, over: &Value) {
        let Some(machine) = self.machines.get(id) else { return };
        let mut config = machine.config().shown.clone();
        merge(&mut config, over);
        let Ok(config) = crate::config::Config::parse(config) else { return };
        self.replace(id, config, false);
    }

    fn act(&mut self, id: &str, verb: Verb) {
        let Some(machine) = self.machines.get(id) else { return };
        let (app, id) = (machine.app.clone(), id.to_owned());
        let names = [("app", app), ("machine", id.clone())].into_iter().collect();
        let call =
            Call { asked: Asked::new("POST", "/"), began: self.now, names, token: crate::tokens::Bearer::default() };
        // What the state does not allow is not done, as it would not be for a person.
        let _ = match verb {
            Verb::Start => self.start(&call).map(|_| ()),
            Verb::Stop => self.stop(&call).map(|_| ()),
            Verb::Cordon => self.cordon(&call).map(|_| ()),
            Verb::Uncordon => self.uncordon(&call).map(|_| ()),
            Verb::Destroy => {
                self.destroy(&id, "user");
                Ok(())
            }
        };
    }
}
