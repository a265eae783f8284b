//! The platform itself: apps, machines, a clock that is told what time it is, and what is due.
//!
//! Pure: it is handed calls and moments and gives back answers; it knows no socket, no task and no real clock. The same
//! scenario and the same calls at the same moments give the same platform, to the last identifier.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agenda::{Agenda, Happening};
use crate::app::App;
use crate::call::Refusal;
use crate::faults::Faults;
use crate::ids::Dice;
use crate::knobs::{Behaviour, Exits, Scenario, Unpullable, fits};
use crate::limits::Buckets;
use crate::machine::{Event, Machine, Next, State};
use crate::time::Moment;

/// Most machines that are remembered after they are gone.
const GONE_MAX: usize = 2_000;
/// An image of this name can never be pulled.
const UNPULLABLE: &str = "unpullable";

/// The platform.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub now: Moment,
    pub agenda: Agenda,
    pub dice: Dice,
    pub knobs: Scenario,
    pub faults: Faults,
    pub buckets: Buckets,
    pub apps: BTreeMap<String, App>,
    pub machines: BTreeMap<String, Machine>,
    /// Ids of machines that are gone, oldest first.
    pub gone: VecDeque<String>,
    /// Regions that have no room, and whether only for volumes.
    pub full: BTreeMap<String, crate::deed::Room>,
    pub counted: BTreeMap<&'static str, u64>,
    /// Apps whose traffic may have changed since the proxy was told.
    pub touched: BTreeSet<String>,
    pub releases: u64,
}

impl Cloud {
    pub(crate) fn new(mut knobs: Scenario, now: Moment) -> Self {
        if knobs.orgs.is_empty() {
            knobs.orgs.push("personal".to_owned());
        }
        let mut agenda = Agenda::default();
        for planned in std::mem::take(&mut knobs.timeline) {
            agenda.enter(now.after(planned.after.0), Happening::Deed(Box::new(planned.deed)));
        }
        let first = std::mem::take(&mut knobs.first);
        let faults = Faults::new(std::mem::take(&mut knobs.faults));
        let dice = Dice::new(knobs.seed);
        let mut cloud = Self {
            now,
            agenda,
            dice,
            knobs,
            faults,
            buckets: Buckets::default(),
            apps: BTreeMap::new(),
            machines: BTreeMap::new(),
            gone: VecDeque::new(),
            full: BTreeMap::new(),
            counted: BTreeMap::new(),
            touched: BTreeSet::new(),
            releases: 0,
        };
        for deed in first {
            cloud.carry_out(deed);
        }
        cloud
    }

    /// Lets time pass up to a moment; whatever is due on the way happens at its own time.
    pub(crate) fn advance(&mut self, to: Moment) {
        while let Some((at, what)) = self.agenda.take(to) {
            self.now = self.now.max(at);
            self.happen(what);
            self.tell_proxy();
        }
        self.now = self.now.max(to);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Machine { id, ticket, next } => {
                if self.machines.get(&id).is_some_and(|machine| machine.ticket == ticket) {
                    self.step(&id, next);
                }
            }
            Happening::Checks { id, boot } => self.run_checks(&id, boot),
            Happening::EdgeHears { id, edge, serves } => self.edge_hears(&id, edge, serves),
            Happening::Deed(deed) => {
                self.carry_out(*deed);
            }
            Happening::Certificate { app, hostname } => self.issue(&app, &hostname),
            Happening::Idle { id, boot } => self.idle(&id, boot),
            Happening::Wake => {}
        }
    }

    /// The machine's next step, so much later; whatever else was due is void.
    pub(crate) fn then(&mut self, id: &str, wait: Duration, next: Next) {
        let at = self.now.after(wait);
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.ticket += 1;
        let happening = Happening::Machine { id: id.to_owned(), ticket: machine.ticket, next };
        self.agenda.enter(at, happening);
    }

    /// Into a state; what was due for the old one is void.
    pub(crate) fn enter(&mut self, id: &str, state: State) {
        let now = self.now;
        if let Some(machine) = self.machines.get_mut(id) {
            machine.ticket += 1;
            machine.enter(state, now);
            self.touched.insert(machine.app.clone());
        }
    }

    pub(crate) fn log(
        &mut self,
        id: &str,
        kind: &'static str,
        status: &'static str,
        source: &'static str,
        request: Value,
    ) {
        let event = Event { id: self.dice.ulid(self.now), kind, status, source, at: self.now, request };
        if let Some(machine) = self.machines.get_mut(id) {
            machine.log(event);
            self.touched.insert(machine.app.clone());
        }
    }

    /// How a machine's image behaves.
    pub(crate) fn behaviour(&self, machine: &Machine) -> Behaviour {
        let acted = &machine.config().acted;
        let matches = |behaviour: &&Behaviour| {
            fits(&behaviour.image, &acted.image)
                && behaviour.env.iter().all(|(key, value)| acted.env.get(key) == Some(value))
        };
        let mut found = self.knobs.images.iter().find(matches).cloned().unwrap_or_default();
        if found.unpullable.is_none() && acted.image.contains(UNPULLABLE) {
            found.unpullable = Some(Unpullable::Failed);
        }
        if let Some(health) = machine.health {
            found.health = health;
        }
        if found.exits.is_none() && acted.is_command() && !machine.running {
            found.exits = Some(Exits { code: 0, ..Exits::default() });
        }
        found
    }

    /// The app of this name, that whoever asks may see.
    pub(crate) fn app(&self, name: &str) -> Result<&App, Refusal> {
        let lag = self.knobs.lag.app.0;
        match self.apps.get(name) {
            Some(app) if self.now >= app.created.after(lag) => Ok(app),
            Some(_) if self.knobs.habits.new_app_status == 401 => {
                Err(Refusal::new(401, "Authenticate: token validation error"))
            }
            Some(_) | None => Err(Refusal::new(404, format!("Could not find App \"{name}\""))),
        }
    }

    pub(crate) fn app_mut(&mut self, name: &str) -> Result<&mut App, Refusal> {
        self.app(name)?;
        Ok(self.apps.get_mut(name).expect("it was just seen"))
    }

    /// The machine of this id in this app, as one who asks for it by id sees it.
    pub(crate) fn machine(&self, app: &str, id: &str) -> Result<&Machine, Refusal> {
        self.app(app)?;
        let found = self.machines.get(id).filter(|machine| machine.app == app && !machine.forgotten);
        let lag = self.knobs.lag.machine.0;
        match found {
            Some(machine) if self.now >= machine.created.after(lag) => Ok(machine),
            Some(_) => Err(Refusal::new(404, "machine not found")),
            None if id.len() == 14 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Err(Refusal::new(404, "machine not found"))
            }
            None => Err(Refusal::new(404, format!("invalid machine ID, '{id}'"))),
        }
    }

    pub(crate) fn machine_mut(&mut self, app: &str, id: &str) -> Result<&mut Machine, Refusal> {
        self.machine(app, id)?;
        Ok(self.machines.get_mut(id).expect("it was just seen"))
    }

    /// The machines of an app, those that are gone too.
    pub(crate) fn machines_of(&self, app: &str) -> impl Iterator<Item = &Machine> {
        let ids = self.apps.get(app).into_iter().flat_map(|app| &app.machines);
        ids.filter_map(|id| self.machines.get(id))
    }

    /// Forgets a machine; it is still shown to those who ask for the deleted.
    pub(crate) fn forget(&mut self, id: &str) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.forgotten = true;
            self.gone.push_back(id.to_owned());
        }
        if self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
            && let Some(machine) = self.machines.remove(&oldest)
            && let Some(app) = self.apps.get_mut(&machine.app)
        {
            app.machines.remove(&oldest);
        }
    }

    /// Writes a line into an app's log.
    pub(crate) fn write(&mut self, id: &str, level: &'static str, message: &str) {
        let Some(machine) = self.machines.get(id) else { return };
        let (app, region) = (machine.app.clone(), machine.region.clone());
        if let Some(app) = self.apps.get_mut(&app) {
            app.write(crate::app::Line {
                at: self.now,
                machine: id.to_owned(),
                region,
                level,
                message: message.to_owned(),
            });
        }
    }
}

/// A date as machines carry it: in whole seconds.
pub(crate) fn date(moment: Moment) -> Value {
    json!(moment.rfc3339_seconds())
}
