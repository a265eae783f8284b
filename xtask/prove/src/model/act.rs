//! Lets something happen in the small world.

use std::sync::Arc;
use std::time::Duration;

use trueup_plan::command;
use trueup_types::order::{EnvOf, Order};
use trueup_types::record::AppRecord;
use trueup_types::{Timestamp, Wanted};

use super::deed::{Action, Deed, Purse};
use super::effect;
use super::state::{Doing, End, Ghost, Held, Second, State, Wish};
use super::tick::{Course, Decided, Notes, Sight, carry_out, decide};
use super::world::{Kind, SICKENS_AFTER, World};

/// How long a daemon is dead when it is dead for long: past every deadline and every back-off.
const NIGHT: Duration = Duration::from_secs(3_600);

impl State {
    /// Lets this happen; `decided` is what the daemon would do, where it is known already.
    pub fn act(&mut self, world: &World, action: Action, decided: Option<&Decided>, notes: &mut Notes) {
        let Action(deed, _) = action;
        match deed.purse() {
            Purse::Free => {}
            Purse::Edit => self.left[0] -= 1,
            Purse::Fault => self.left[1] -= 1,
            Purse::Word => self.left[2] -= 1,
        }
        if !matches!(deed, Deed::Pass | Deed::Slow) {
            self.quiet = None;
        }
        self.happen(world, action, decided, notes);
    }

    fn happen(&mut self, world: &World, Action(deed, at): Action, decided: Option<&Decided>, notes: &mut Notes) {
        let index = usize::from(at);
        match deed {
            Deed::Turn => self.turn(world, index),
            Deed::Exit => self.end(index, End::Asked),
            Deed::Fall => self.end(index, End::ItsOwn),
            Deed::Finish => self.finish(world, index),
            Deed::Probe => self.probe(),
            Deed::Land => self.land(world),
            Deed::Light => self.dark = false,
            Deed::Release => self.held = None,
            Deed::Survey => self.rebuilt = false,
            Deed::Sure => self.sure(),
            Deed::Meddle => self.meddle(world, notes),
            Deed::Leave => self.second = None,
            Deed::Forget => self.old = None,
            Deed::Cure => self.beings[index].doing = Doing::Well { since: self.now },
            Deed::Pass | Deed::Slow => self.pass(world, deed),
            Deed::Edit => self.wish = self.wished(at),
            Deed::Scale => self.scale(at),
            Deed::Remove => self.wish = Wish::Gone,
            Deed::Doubt => self.doubt = true,
            Deed::Crash => {
                self.excuse(index);
                self.end(index, End::ItsOwn);
            }
            Deed::Sicken => {
                self.excuse(index);
                self.beings[index].doing = Doing::Sick { since: self.now };
            }
            Deed::Steal => self.steal(index),
            Deed::HostLost => self.lose_host(),
            Deed::Notice => self.old = Some(Arc::new(self.look())),
            Deed::Stale => self.stale(world, at, notes),
            Deed::Meet => self.meet(world, at, notes),
            Deed::LoseStore => self.lose_store(),
            Deed::Dark => self.dark = true,
            Deed::Hold => self.held = Some([Held::Destroy, Held::Rollout, Held::Dependency][index]),
            Deed::Busy => self.beings[index].busy = true,
            Deed::Sleep => self.sleep(world),
            Deed::Rollback => self.word(world, &Order::Rollback { to: None, env: EnvOf::Then }, notes),
            Deed::Retry => self.word(world, &Order::Retry, notes),
            Deed::Restart => self.word(world, &Order::Restart, notes),
            Deed::Promote => self.word(world, &Order::Promote, notes),
            Deed::Abort => self.word(world, &Order::Abort, notes),
            Deed::Suspend => self.word(world, &Order::Suspend, notes),
            Deed::Resume => self.word(world, &Order::Resume, notes),
            Deed::Tick => self.tick(world, Course::Whole, decided, notes),
            Deed::Die => self.tick(world, Course::Dies(index), decided, notes),
            Deed::Unsaved => self.tick(world, Course::Unsaved(index), decided, notes),
            Deed::Lost => self.tick(world, Course::Lost(index), decided, notes),
            Deed::Landed => self.tick(world, Course::Landed(index), decided, notes),
            Deed::Late => self.tick(world, Course::Late(index), decided, notes),
        }
    }

    fn tick(&mut self, world: &World, course: Course, decided: Option<&Decided>, notes: &mut Notes) {
        match decided {
            Some(decided) => carry_out(world, self, decided, course, notes),
            None => {
                let decided = decide(world, self, Sight::Fresh, &self.record);
                carry_out(world, self, &decided, course, notes);
            }
        }
    }

    fn turn(&mut self, world: &World, index: usize) {
        let (now, being) = (self.now, &mut self.beings[index]);
        let late = now >= being.since.after(SICKENS_AFTER);
        being.doing = match world.kind(being.version) {
            Kind::Fails => Doing::Sick { since: now },
            Kind::Sickens if late => Doing::Sick { since: now },
            Kind::Collapses if late => Doing::Down { at: now, why: End::ItsOwn },
            Kind::Good
            | Kind::Sickens
            | Kind::Collapses
            | Kind::Dies
            | Kind::NeverPasses
            | Kind::CannotStart
            | Kind::Refused => Doing::Well { since: now },
        };
    }

    /// A hook ends.
    fn finish(&mut self, world: &World, index: usize) {
        let being = &self.beings[index];
        let well = world.nature(being) == Kind::Good;
        if let Some(ran) = Arc::make_mut(&mut self.ran).iter_mut().find(|ran| ran.id == being.id) {
            ran.well = well;
        }
        self.end(index, if well { End::Finished } else { End::ItsOwn });
    }

    /// A third party takes an instance away. A hook that is gone before anybody saw it is one that never ran, for all
    /// that anybody can know; one that was seen counts as failed.
    fn steal(&mut self, index: usize) {
        let id = self.beings[index].id.clone();
        if id.task.is_some() {
            self.excuse(index);
            if !self.record.hooks.get(&id).is_some_and(|run| run.seen) {
                Arc::make_mut(&mut self.ran).retain(|ran| ran.id != id);
            }
        }
        self.beings.remove(index);
    }

    fn end(&mut self, index: usize, why: End) {
        let being = &mut self.beings[index];
        being.doing = Doing::Down { at: self.now, why };
        being.busy = false;
    }

    /// What happened to this one may be held against its version.
    fn excuse(&mut self, index: usize) {
        self.ghost.excused |= 1 << self.beings[index].version;
    }

    /// Health is known only since the probes were asked.
    fn probe(&mut self) {
        self.blind = false;
        for being in &mut self.beings {
            match &mut being.doing {
                Doing::Well { since } | Doing::Sick { since } => *since = self.now,
                Doing::Waiting | Doing::Going | Doing::Down { .. } => {}
            }
        }
    }

    fn land(&mut self, world: &World) {
        let Some(late) = self.late.take() else { return };
        // Nobody waits for the answer any more.
        let _ = effect::land(world, self, &late.step, late.tables);
    }

    fn sure(&mut self) {
        self.doubt = false;
        if self.record.suspended.is_some() {
            Arc::make_mut(&mut self.record).suspended = None;
        }
    }

    fn scale(&mut self, to: u8) {
        if let Wish::Present { size, .. } = &mut self.wish {
            *size = to;
        }
    }

    fn pass(&mut self, world: &World, deed: Deed) {
        let Some(due) = self.due(world) else { return };
        if deed == Deed::Slow {
            // Whoever is not asked for so long can show no progress.
            self.ghost.excused |= if self.blind { u8::MAX } else { 0 };
            for index in 0..self.beings.len() {
                if matches!(self.beings[index].doing, Doing::Waiting | Doing::Going) {
                    self.excuse(index);
                }
            }
        }
        self.quiet = None;
        self.advance(world, due);
    }

    fn advance(&mut self, world: &World, to: Timestamp) {
        self.now = to;
        for being in &mut self.beings {
            let at = being.since.after(SICKENS_AFTER);
            if !being.passes() || at > to {
                continue;
            }
            match world.nature(being) {
                Kind::Sickens => being.doing = Doing::Sick { since: at },
                Kind::Collapses => {
                    being.doing = Doing::Down { at, why: End::ItsOwn };
                    being.busy = false;
                }
                Kind::Good | Kind::NeverPasses | Kind::Fails | Kind::Dies | Kind::CannotStart | Kind::Refused => {}
            }
        }
    }

    fn sleep(&mut self, world: &World) {
        self.advance(world, self.now.after(NIGHT));
        self.restart();
    }

    fn lose_host(&mut self) {
        let running: Vec<_> = (0..self.beings.len()).filter(|index| self.beings[*index].runs()).collect();
        for index in running {
            if !self.beings[index].serves() {
                self.excuse(index);
            }
            self.end(index, End::HostLost);
        }
        self.restart();
    }

    fn lose_store(&mut self) {
        self.record = Arc::default();
        self.rebuilt = true;
        self.ghost = Ghost { excused: self.ghost.excused, ..Ghost::default() };
        self.forget_ran();
        self.restart();
    }

    fn stale(&mut self, world: &World, how: u8, notes: &mut Notes) {
        let sight = if how == 0 { Sight::Old } else { Sight::OldListing };
        let decided = decide(world, self, sight, &self.record);
        carry_out(world, self, &decided, Course::Whole, notes);
        self.old = None;
    }

    /// A second daemon looks and plans; what it does comes later.
    fn meet(&mut self, world: &World, how: u8, notes: &mut Notes) {
        let record = if how == 0 { Arc::clone(&self.record) } else { Arc::default() };
        let decided = decide(world, self, Sight::Fresh, &record);
        let steps = decided.plan.steps;
        notes.tell(|| format!("    it will {}", steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
        if !steps.is_empty() {
            self.second = Some(Arc::new(Second { steps, next: 0, tables: self.tables }));
        }
    }

    fn meddle(&mut self, world: &World, notes: &mut Notes) {
        let Some(second) = self.second.take() else { return };
        let mut second = Arc::unwrap_or_clone(second);
        let step = &second.steps[second.next];
        let before = self.tables;
        let outcome = effect::land(world, self, step, second.tables);
        notes.tell(|| format!("    {step}: {outcome:?}"));
        second.tables += self.tables - before;
        second.next += 1;
        if outcome.settled() && second.next < second.steps.len() {
            self.second = Some(Arc::new(second));
        }
    }

    fn word(&mut self, world: &World, order: &Order, notes: &mut Notes) {
        let desired = match self.wanted(world) {
            Wanted::Present(desired) => Some(desired),
            Wanted::Gone { .. } | Wanted::Held { .. } => None,
        };
        let next = match command(&self.record, desired.as_deref(), order, "ann", self.now) {
            Ok(next) => next,
            Err(denial) => return notes.tell(|| format!("    denied: {denial}")),
        };
        self.heed(world, order, &next);
        self.record = Arc::new(next);
    }

    /// What a person's word makes of our own memory.
    fn heed(&mut self, world: &World, order: &Order, next: &AppRecord) {
        match order {
            Order::Retry | Order::Rollback { .. } => {
                self.ghost.reverted = false;
                self.ghost.rejected = 0;
                for (digest, _) in next.rejected.keys() {
                    self.ghost.rejected |= 1 << world.number(*digest);
                }
            }
            Order::Promote | Order::PromoteFully => {
                let good = next.current_release().map(|release| world.version(release.digest));
                self.ghost.good |= good.map_or(0, |version| 1 << version);
            }
            Order::Abort => {
                for (digest, _) in next.rejected.keys() {
                    self.ghost.rejected |= 1 << world.number(*digest);
                    self.ghost.excused |= 1 << world.version(*digest);
                }
            }
            Order::Resume | Order::Suspend | Order::Restart | Order::Reconcile => {}
        }
    }
}
