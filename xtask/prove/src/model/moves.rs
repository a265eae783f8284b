//! What can happen next in a state, and what does when all goes well.

use trueup_types::record::Rollout;
use trueup_types::{Timestamp, Wake};

use super::deed::{Action, Deed, Purse};
use super::state::{Being, Doing, State, Wish};
use super::world::{GRAIN, Kind, SICKENS_AFTER, World};

impl State {
    /// Everything that can happen next, when the daemon would take so many steps.
    pub fn moves(&self, world: &World, steps: usize) -> Vec<Action> {
        let mut moves = Vec::new();
        for deed in Deed::ALL {
            let choices = self.choices(world, steps, *deed);
            moves.extend((0..choices).filter(|at| self.can(world, *deed, *at)).map(|at| Action(*deed, at)));
        }
        moves
    }

    /// On how many things a deed could be done.
    fn choices(&self, world: &World, steps: usize, deed: Deed) -> u8 {
        let payable = match deed.purse() {
            Purse::Free => true,
            Purse::Edit => self.left[0] > 0 && world.allows(deed),
            Purse::Fault => self.left[1] > 0 && world.allows(deed),
            Purse::Word => self.left[2] > 0 && world.allows(deed),
        };
        if !payable {
            return 0;
        }
        let count = match deed {
            Deed::Turn
            | Deed::Exit
            | Deed::Fall
            | Deed::Finish
            | Deed::Cure
            | Deed::Crash
            | Deed::Sicken
            | Deed::Steal
            | Deed::Busy => self.beings.len(),
            Deed::Edit => world.scenario.kinds.len(),
            Deed::Scale => world.shape.sizes.len(),
            // Before the first step only the record is new; after the last nothing was learned from them.
            Deed::Die => steps + 1,
            Deed::Unsaved if steps > 0 => steps + 1,
            Deed::Lost | Deed::Landed | Deed::Late => steps,
            Deed::Unsaved => 0,
            Deed::Stale | Deed::Meet => 2,
            Deed::Hold => 3,
            Deed::Probe
            | Deed::Land
            | Deed::Light
            | Deed::Release
            | Deed::Survey
            | Deed::Sure
            | Deed::Meddle
            | Deed::Leave
            | Deed::Forget
            | Deed::Pass
            | Deed::Tick
            | Deed::Remove
            | Deed::Doubt
            | Deed::HostLost
            | Deed::Notice
            | Deed::LoseStore
            | Deed::Dark
            | Deed::Sleep
            | Deed::Slow
            | Deed::Rollback
            | Deed::Retry
            | Deed::Restart
            | Deed::Promote
            | Deed::Abort
            | Deed::Suspend
            | Deed::Resume => 1,
        };
        u8::try_from(count).expect("few")
    }

    /// Whether a deed can be done on that thing, its price aside.
    pub fn can(&self, world: &World, deed: Deed, at: u8) -> bool {
        let index = usize::from(at);
        let being = self.beings.get(index);
        let doing = being.map(|being| being.doing);
        let kind = being.map(|being| world.nature(being));
        let good = kind == Some(Kind::Good);
        let serves = being.is_some_and(Being::serves);
        let awake = self.quiet.is_none();
        match deed {
            Deed::Turn => being.is_some_and(|being| turns(world, being)),
            Deed::Exit => doing == Some(Doing::Going),
            Deed::Fall => being.is_some_and(|being| falls(world, being)),
            Deed::Finish => being.is_some_and(|being| finishes(world, being)),
            Deed::Probe => self.blind,
            Deed::Land => self.late.is_some(),
            Deed::Light => self.dark,
            Deed::Release => self.held.is_some(),
            Deed::Survey => self.rebuilt,
            Deed::Sure => self.doubt || self.record.suspended.is_some(),
            Deed::Meddle | Deed::Leave => self.second.is_some(),
            Deed::Forget | Deed::Stale => self.old.is_some(),
            Deed::Cure => good && matches!(doing, Some(Doing::Sick { .. })),
            Deed::Pass => self.due(world).is_some() && !self.pending(world),
            // What dies in its bake does not outlast it.
            Deed::Slow => {
                let falls = self.beings.iter().any(|being| falls(world, being));
                self.due(world).is_some() && self.pending(world) && !falls
            }
            Deed::Tick => awake,
            Deed::Lost | Deed::Landed | Deed::Late | Deed::Unsaved => awake && self.late.is_none(),
            Deed::Edit => self.wish != self.wished(at),
            Deed::Scale => matches!(self.wish, Wish::Present { size, .. } if size != at),
            Deed::Remove => self.wish != Wish::Gone,
            Deed::Doubt => !self.doubt,
            Deed::Crash => good && being.is_some_and(Being::up),
            Deed::Sicken => good && serves && being.is_some_and(Being::passes),
            Deed::Busy => being.is_some_and(|being| being.passes() && !being.busy && self.share.routes_to(&being.id)),
            Deed::Steal => being.is_some_and(|being| being.serves() || being.runs()),
            Deed::HostLost => self.beings.iter().any(Being::runs),
            Deed::Notice => self.old.is_none() && !self.blind && !self.dark,
            Deed::Meet => self.second.is_none() && !self.dark && !self.doubt,
            Deed::Dark => !self.dark && world.shape.routed,
            Deed::Hold => self.held.is_none(),
            Deed::Die
            | Deed::LoseStore
            | Deed::Sleep
            | Deed::Rollback
            | Deed::Retry
            | Deed::Restart
            | Deed::Promote
            | Deed::Abort
            | Deed::Suspend
            | Deed::Resume => true,
        }
    }

    /// The wish, with another version.
    pub fn wished(&self, version: u8) -> Wish {
        match self.wish {
            Wish::Present { size, .. } => Wish::Present { version, size },
            Wish::Gone => Wish::Present { version, size: 0 },
        }
    }

    /// Whether something that takes next to no time has not happened yet, so that time does not pass by itself.
    fn pending(&self, world: &World) -> bool {
        let coming = |being: &Being| match world.nature(being) {
            Kind::Good | Kind::Sickens | Kind::Collapses | Kind::Fails => {
                matches!(being.doing, Doing::Waiting | Doing::Going)
            }
            Kind::Dies => being.runs(),
            Kind::NeverPasses | Kind::CannotStart | Kind::Refused => being.doing == Doing::Going,
        };
        self.blind || self.dark || self.doubt || self.rebuilt || self.held.is_some() || self.beings.iter().any(coming)
    }

    /// The next moment at which anything is due, if the daemon has nothing to do before.
    pub fn due(&self, world: &World) -> Option<Timestamp> {
        let wake = match self.quiet? {
            Wake::At(at, _) => Some(self.grained(at)),
            Wake::OnChange => None,
        };
        let sickening = self.beings.iter().filter(|being| world.nature(being).turns_bad() && being.passes());
        sickening.map(|being| being.since.after(SICKENS_AFTER)).chain(wake).min()
    }

    /// Whether a release is under watch beside the one before it: in its bake, or in a canary.
    fn is_watched(&self) -> bool {
        match &self.record.rollout {
            Rollout::Underway { canary, .. } => canary.begun(),
            Rollout::Baking { .. } => true,
            Rollout::Idle | Rollout::Reverting { .. } => false,
        }
    }

    /// A moment ahead, rounded up to a grain.
    fn grained(&self, at: Timestamp) -> Timestamp {
        let grain = u64::try_from(GRAIN.as_millis()).expect("a grain is short");
        let wait = u64::try_from(at.since(self.now).as_millis()).expect("a wait is short");
        Timestamp::from_millis(self.now.as_millis() + wait.div_ceil(grain).max(1) * grain)
    }

    /// What happens next when nothing goes wrong any more: the world first, then the daemon, then time. Nothing at rest.
    pub fn fair(&self, world: &World) -> Option<Action> {
        let first = |wanted: &dyn Fn(&Being) -> bool| {
            self.beings.iter().position(wanted).map(|at| u8::try_from(at).expect("few"))
        };
        let alone = [
            (self.late.is_some(), Deed::Land),
            (self.second.is_some(), Deed::Leave),
            (self.old.is_some(), Deed::Forget),
            (self.dark, Deed::Light),
            (self.held.is_some(), Deed::Release),
            (self.rebuilt, Deed::Survey),
            (self.doubt || self.record.suspended.is_some(), Deed::Sure),
            (self.blind, Deed::Probe),
        ];
        if let Some((_, deed)) = alone.iter().find(|(now, _)| *now) {
            return Some(Action(*deed, 0));
        }
        if let Some(at) = first(&|being| being.doing == Doing::Going) {
            return Some(Action(Deed::Exit, at));
        }
        if let Some(at) = first(&|being| falls(world, being)) {
            return Some(Action(Deed::Fall, at));
        }
        if let Some(at) = first(&|being| finishes(world, being)) {
            return Some(Action(Deed::Finish, at));
        }
        if let Some(at) = first(&|being| turns(world, being)) {
            return Some(Action(Deed::Turn, at));
        }
        // Where two cannot stand side by side nothing replaces one that fails: it has to get well. And where old and new
        // fail together in a bake, that is taken for something outside, which has to end.
        let sick = |being: &Being| matches!(being.doing, Doing::Sick { .. }) && world.nature(being) == Kind::Good;
        if let Some(at) = first(&sick).filter(|_| world.alone() || self.is_watched()) {
            return Some(Action(Deed::Cure, at));
        }
        match self.quiet {
            None => Some(Action(Deed::Tick, 0)),
            Some(_) => self.due(world).map(|_| Action(Deed::Pass, 0)),
        }
    }
}

/// Whether one that was coming up will be decided.
fn turns(world: &World, being: &Being) -> bool {
    being.serves() && being.doing == Doing::Waiting && world.nature(being) != Kind::NeverPasses
}

/// Whether one will die by itself.
fn falls(world: &World, being: &Being) -> bool {
    being.serves() && being.up() && world.nature(being) == Kind::Dies
}

/// Whether one runs a hook that will end.
fn finishes(world: &World, being: &Being) -> bool {
    !being.serves() && being.up() && world.nature(being) != Kind::NeverPasses
}
