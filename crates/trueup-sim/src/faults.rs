//! What goes wrong, and when: scripted by a test, or drawn from a seed with one random stream for each thing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use trueup_seams::{ObserveError, Sight, Survey};
use trueup_types::step::InstanceStep;
use trueup_types::{AppName, Place, Revision, TargetName};

/// What goes wrong with one call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// Nothing happens, and the answer is an error that says so.
    RefusedForNow,
    /// Nothing happens, and the answer says not to come back sooner.
    Limited(Duration),
    /// Nothing happens, and nobody knows.
    LostBefore,
    /// It happens, and nobody knows.
    LostAfter,
    /// Nobody knows, and it happens so much later.
    Late(Duration),
    /// It never answers.
    Hangs,
    /// It happens, and never answers.
    HangsAfter,
    /// It happens, and the answer is an error that says to try again.
    BusyAfter,
    /// It happens, and whoever repeated the call on the way is told that the name is taken.
    ConflictAfter,
    /// It takes long, as the pull of an image does: nothing happens yet, and the answer says so.
    Underway,
    /// An engine dies in the middle of it. What was to be made is there and was never started; what was to be started never
    /// can be, and is thrown away; else nothing happens.
    Halfway,
}

/// What goes wrong with one survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SightFault {
    /// It fails.
    Dark,
    /// It shows the world as it was at the survey before.
    Stale,
    /// It shows the world as it was several surveys before.
    Older,
    /// It shows every other instance only, and says so.
    CutShort,
    /// It shows everything twice, in reverse order.
    Doubled,
    /// It shows nothing, and says that this is all.
    Empty,
    /// It shows every other instance only, and says that this is all.
    Short,
}

/// The faults of one world: a script first, then chance.
#[derive(Debug, Default)]
pub struct Faults {
    calls: VecDeque<Option<CallFault>>,
    tables: VecDeque<Option<CallFault>>,
    sights: VecDeque<Option<SightFault>>,
    refused: BTreeMap<AppName, Revision>,
    refusals: BTreeMap<AppName, u32>,
    odds: Odds,
    streams: BTreeMap<String, fastrand::Rng>,
    seed: u64,
    felt: u64,
}

/// How likely each fault is, in a thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    /// For calls that change something.
    pub call_permille: u16,
    /// For surveys to fail, wholly or in part.
    pub sight_permille: u16,
    /// For surveys to show what was.
    pub stale_permille: u16,
    /// For calls of the ingress.
    pub route_permille: u16,
    /// For hints to be lost, or to come twice.
    pub nudge_permille: u16,
}

impl Faults {
    /// Faults by chance.
    #[must_use]
    pub fn seeded(seed: u64, odds: Odds) -> Self {
        Self { odds, seed, ..Self::default() }
    }

    /// What happens to the next calls, in order; `None` goes well.
    pub fn script_calls(&mut self, faults: impl IntoIterator<Item = Option<CallFault>>) {
        self.calls.extend(faults);
    }

    /// What happens to the next tables, in order; `None` goes well.
    pub fn script_tables(&mut self, faults: impl IntoIterator<Item = Option<CallFault>>) {
        self.tables.extend(faults);
    }

    /// What happens to the next surveys, in order; `None` goes well.
    pub fn script_sights(&mut self, faults: impl IntoIterator<Item = Option<SightFault>>) {
        self.sights.extend(faults);
    }

    /// Refuses for good what is to be made or started of an app, up to this revision; or nothing of it any more.
    pub fn refuse(&mut self, app: &AppName, newest: Option<Revision>) {
        match newest {
            Some(newest) => drop(self.refused.insert(app.clone(), newest)),
            None => drop(self.refused.remove(app)),
        }
    }

    /// Whether the target will not do this.
    pub(crate) fn refuses(&mut self, step: &InstanceStep) -> bool {
        let tries = match step {
            InstanceStep::Create { .. } | InstanceStep::Start { .. } => true,
            InstanceStep::Stop { .. } | InstanceStep::Remove { .. } => false,
        };
        let id = step.id();
        let refuses = tries && self.refused.get(&id.app).is_some_and(|newest| id.revision <= *newest);
        if refuses {
            self.felt += 1;
            *self.refusals.entry(id.app.clone()).or_default() += 1;
        }
        refuses
    }

    /// How often something of each app was refused for good.
    #[must_use]
    pub fn refusals(&self) -> &BTreeMap<AppName, u32> {
        &self.refusals
    }

    /// Ends all faults, scripted or by chance.
    pub fn heal(&mut self) {
        self.refused.clear();
        self.calls.clear();
        self.tables.clear();
        self.sights.clear();
        self.odds = Odds::default();
    }

    /// Other odds from here on; the streams go on where they stand.
    pub fn turn(&mut self, odds: Odds) {
        self.odds = odds;
    }

    /// How often something went wrong: calls, hints, and surveys that showed something else than the truth.
    #[must_use]
    pub fn felt(&self) -> u64 {
        self.felt
    }

    /// A survey shows something else than the truth.
    pub(crate) fn feel(&mut self) {
        self.felt += 1;
    }

    /// What goes wrong with the next call that is about this app.
    pub(crate) fn next_call(&mut self, app: &AppName) -> Option<CallFault> {
        let scripted = self.calls.pop_front();
        let fault = scripted.unwrap_or_else(|| self.drawn_call(&format!("calls {app}"), self.odds.call_permille));
        self.felt += u64::from(fault.is_some());
        fault
    }

    /// What goes wrong with the next table.
    pub(crate) fn next_route(&mut self) -> Option<CallFault> {
        let scripted = self.tables.pop_front();
        let fault = scripted.unwrap_or_else(|| self.drawn_call("routes", self.odds.route_permille));
        self.felt += u64::from(fault.is_some());
        fault
    }

    fn drawn_call(&mut self, stream: &str, permille: u16) -> Option<CallFault> {
        if permille == 0 {
            return None;
        }
        let dice = self.stream(stream);
        if dice.u16(0..1_000) >= permille {
            return None;
        }
        let fault = match dice.u8(0..9) {
            0 => CallFault::RefusedForNow,
            1 => CallFault::LostBefore,
            2 => CallFault::LostAfter,
            3 => CallFault::Late(Duration::from_millis(dice.u64(1..20_000))),
            4 => CallFault::Limited(Duration::from_millis(dice.u64(1..30_000))),
            5 => CallFault::HangsAfter,
            6 => CallFault::BusyAfter,
            7 => CallFault::ConflictAfter,
            _ => CallFault::Hangs,
        };
        Some(fault)
    }

    /// How often the next hint about this app arrives: once, unless something goes wrong.
    pub(crate) fn next_nudge(&mut self, app: &AppName) -> usize {
        let permille = self.odds.nudge_permille;
        if permille == 0 {
            return 1;
        }
        let dice = self.stream(&format!("nudges {app}"));
        if dice.u16(0..1_000) >= permille {
            return 1;
        }
        let times = if dice.bool() { 0 } else { 2 };
        self.felt += 1;
        times
    }

    /// What goes wrong with the next survey of this target.
    pub(crate) fn next_sight(&mut self, target: &TargetName) -> Option<SightFault> {
        if let Some(scripted) = self.sights.pop_front() {
            return scripted;
        }
        let Odds { sight_permille, stale_permille, .. } = self.odds;
        if sight_permille == 0 && stale_permille == 0 {
            return None;
        }
        let dice = self.stream(&format!("sights {target}"));
        let fault = if dice.u16(0..1_000) < sight_permille {
            match dice.u8(0..3) {
                0 => SightFault::Dark,
                1 => SightFault::CutShort,
                _ => SightFault::Doubled,
            }
        } else if dice.u16(0..1_000) >= stale_permille {
            return None;
        } else if dice.bool() {
            SightFault::Stale
        } else {
            SightFault::Older
        };
        Some(fault)
    }

    /// One stream for each thing, so that one more draw of one shifts no other.
    fn stream(&mut self, name: &str) -> &mut fastrand::Rng {
        let seed = name.bytes().fold(self.seed ^ 0x9e37_79b9_7f4a_7c15, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.streams.entry(name.to_owned()).or_insert_with(|| fastrand::Rng::with_seed(seed))
    }
}

impl SightFault {
    /// What a survey shows in the place of the truth: of the one before, and of several before, where they are kept.
    pub(crate) fn shows(
        self,
        truth: &Survey,
        before: impl Fn() -> Option<Survey>,
        long_before: impl Fn() -> Option<Survey>,
    ) -> Option<Survey> {
        let everywhere = |sight: Result<Sight, ObserveError>| truth.keys().map(move |one| (one.clone(), sight.clone()));
        match self {
            Self::Dark => Some(dark()),
            Self::Stale => before(),
            Self::Older => long_before(),
            Self::CutShort => Some(everywhere(Err(fails("the listing was cut short"))).collect()),
            Self::Doubled => Some(doubled(truth.clone())),
            Self::Empty => Some(everywhere(Ok(Sight::default())).collect()),
            Self::Short => Some(short(truth.clone())),
        }
    }
}

/// What a survey of a target that answers nothing shows.
pub(crate) fn dark() -> Survey {
    BTreeMap::from([(Place::here(), Err(fails("the target does not answer")))])
}

fn fails(detail: &str) -> ObserveError {
    ObserveError { detail: detail.to_owned() }
}

/// Every other instance.
fn short(truth: Survey) -> Survey {
    let halved = |sight: Sight| Sight { instances: sight.instances.into_iter().step_by(2).collect() };
    truth.into_iter().map(|(place, sight)| (place, sight.map(halved))).collect()
}

/// Everything twice, in reverse order.
fn doubled(truth: Survey) -> Survey {
    let twice = |sight: Sight| {
        let mut instances = sight.instances.clone();
        instances.extend(sight.instances);
        instances.reverse();
        Sight { instances }
    };
    truth.into_iter().map(|(place, sight)| (place, sight.map(twice))).collect()
}
