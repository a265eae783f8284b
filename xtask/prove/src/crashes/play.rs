//! Plays a variant once, in a world of its own, with or without trouble.
//!
//! A person commits and says words as the script has it, patiently; the daemon dies where [`Trouble`] says, and is
//! started again. What comes out is an [`Outcome`]: how everything stood once nothing moved any more, and what was
//! wrong on the way. Knows nothing of what should have come out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use trueup_seams::Memory;
use trueup_sim::world::SimInstance;
use trueup_sim::{Call, CallKind, Cut, House, Tether};
use trueup_types::record::{AppRecord, Rollout};
use trueup_types::target::TargetSpec;
use trueup_types::window::may_begin;
use trueup_types::{AppName, InstanceId, TargetName};

use super::ending::Ending;
use super::nature::Nature;
use super::scenario::{Act, Script, Variant};

/// Nothing has moved for so long: one routine look, and some.
const QUIET: Duration = Duration::from_secs(40);
/// Nothing that is asked for takes so long, in simulated time, once trouble is over.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// From one glance of a person who waits to act to the next.
const GLANCE: Duration = Duration::from_millis(100);
/// The same of one who only watches.
const WATCH: Duration = Duration::from_secs(1);
/// Most calls of one life: the longest ones, with a target that is dark for an hour, make some hundreds.
const CALLS_MAX: u32 = 20_000;

/// What becomes of the store when the daemon dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Nothing.
    Nothing,
    /// It has lost what it acknowledged last, and says so.
    Last,
    /// It has lost everything, and says so.
    Everything,
}

/// One death of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Where.
    pub cut: Cut,
    /// From then until it is started again.
    pub pause: Duration,
    /// What becomes of the store.
    pub loss: Loss,
}

/// What goes wrong in a run.
#[derive(Default)]
pub struct Trouble<'a> {
    /// The deaths: the first counts from the first act, each other from the start before.
    pub deaths: Vec<Death>,
    /// What else is done to the world at the moment of the first act.
    pub spoil: Option<&'a dyn Fn(&House)>,
    /// How long that may go on.
    pub lasts: Duration,
    /// How long calls may hang, one after the other: nothing has to move for so much longer before nothing moves any more.
    pub hangs: Duration,
}

/// How much is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// How it ended.
    Ending,
    /// The calls of the first life too.
    Calls,
    /// All that happened, for people.
    Story,
}

/// What came of a run.
pub struct Outcome {
    /// How everything stood at the end.
    pub ending: Ending,
    /// What was wrong on the way.
    pub wrong: Vec<String>,
    /// The calls since the first act, of the last life where the daemon died.
    pub calls: Vec<Call>,
    /// How many calls the last life made, by kind.
    pub counts: [u32; CallKind::ALL.len()],
    /// Deaths that never came about, though they should have.
    pub undead: usize,
    /// What else was done to the world was felt: an answer was another, a hint was lost or came twice, a target was dark.
    pub spoilt: bool,
    /// The store was lost when nothing was left in the world of a release that was good: nobody knows it any more.
    pub forgotten: bool,
    /// Good instances, by app, that were down or on their way there when another daemon came; summed over the deaths.
    pub down: BTreeMap<String, u32>,
    /// From the first act until nothing moved any more, in simulated time.
    pub took: Duration,
    /// All that happened, where it was asked for.
    pub story: String,
}

/// Plays a variant.
pub fn play(variant: &Variant, trouble: &Trouble<'_>, keep: Keep) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O has nothing to fail at").block_on(async {
        let script = variant.script();
        let mut play = Play::new(variant, script, trouble, keep);
        play.begin().await;
        play.live().await;
        play.end()
    })
}

/// A run under way; what people do in it is in `person`.
pub(super) struct Play<'a> {
    pub(super) house: House,
    before: Vec<trueup_sim::AppSketch>,
    pub(super) acts: VecDeque<Act>,
    deaths: VecDeque<Death>,
    trouble: &'a Trouble<'a>,
    keep: Keep,
    /// A word was said, and the daemon died over it.
    pub(super) said: bool,
    /// A person has let an app's canary go on.
    pub(super) promoted: Option<&'static str>,
    pub(super) rest: Option<Instant>,
    pub(super) rebuilt: bool,
    forgotten: bool,
    down: BTreeMap<String, u32>,
    pub(super) wrong: Vec<String>,
    calls: Vec<Call>,
    story: String,
    old: Vec<(String, u64)>,
    begun: Instant,
    moved: Instant,
}

impl<'a> Play<'a> {
    fn new(variant: &Variant, script: Script, trouble: &'a Trouble<'a>, keep: Keep) -> Self {
        let mut house = House::new();
        house.pace = variant.slow.pace();
        house.rollouts_max = script.rollouts_max;
        let there = TargetName::new("there").expect("a literal name");
        let spec = TargetSpec { name: there, ..TargetSpec::local() };
        house.source.target(spec, true);
        Self {
            house,
            before: script.before,
            acts: script.acts.into(),
            deaths: trouble.deaths.iter().copied().collect(),
            trouble,
            keep,
            said: false,
            promoted: None,
            rest: None,
            rebuilt: false,
            forgotten: false,
            down: BTreeMap::new(),
            wrong: Vec::new(),
            calls: Vec::new(),
            story: String::new(),
            old: Vec::new(),
            begun: Instant::now(),
            moved: Instant::now(),
        }
    }

    /// Lets what was there before converge, then sets the first trap.
    async fn begin(&mut self) {
        self.commit(&self.before.clone(), &[]);
        self.house.start().await;
        let deadline = Instant::now() + PATIENCE;
        let tether = self.house.tether();
        while !self.house.settled() && !tether.is_cut() {
            if Instant::now() >= deadline {
                self.wrong.push("law 1: what was there before does not settle".to_owned());
                break;
            }
            wait(&tether, WATCH).await;
        }
        self.old = self.before.iter().flat_map(|app| self.house.running(app.name.as_str())).collect();
        let mut state = self.house.world.lock();
        state.deeds.clear();
        drop(state);
        if let Some(spoil) = self.trouble.spoil {
            spoil(&self.house);
        }
        self.arm();
    }

    fn arm(&self) {
        let cut = self.deaths.front().map(|death| death.cut);
        self.house.tether().arm(cut, self.keep != Keep::Ending);
    }

    async fn live(&mut self) {
        let deadline =
            Instant::now() + PATIENCE + self.trouble.lasts + self.deaths.iter().map(|death| death.pause).sum();
        let mut length = 0;
        (self.begun, self.moved) = (Instant::now(), Instant::now());
        loop {
            let tether = self.house.tether();
            if let Some(why) = tether.restless() {
                return self.wrong.push(format!("law 11: {why}"));
            }
            if tether.is_cut() {
                self.bury().await;
                self.moved = Instant::now();
                continue;
            }
            self.act().await;
            self.count_rollouts();
            let now = Instant::now();
            let journal = self.house.world.lock().journal.len();
            if journal != length || !self.acts.is_empty() || !self.settled() {
                (self.moved, length) = (now, journal);
            } else if now - self.moved >= QUIET + self.trouble.hangs && !tether.rests() {
                return;
            }
            if now >= deadline {
                return self.wrong.push(format!("law 1: not settled within {} s", PATIENCE.as_secs()));
            }
            if CallKind::ALL.map(|kind| tether.count(kind)).into_iter().sum::<u32>() > CALLS_MAX {
                return self.wrong.push(format!("law 11: more than {CALLS_MAX} calls in one life"));
            }
            wait(&tether, if self.acts.is_empty() { WATCH } else { GLANCE }).await;
        }
    }

    /// Counts what is rolled out at this moment.
    fn count_rollouts(&mut self) {
        let memory = self.house.store.copy();
        let rolls =
            |record: &&AppRecord| matches!(record.rollout, Rollout::Underway { .. }) && record.current.is_some();
        let (count, most) = (memory.apps.values().filter(rolls).count(), self.house.rollouts_max);
        let told = format!("{count} rollouts are under way where {most} may be");
        if count > most && !self.wrong.contains(&told) {
            self.wrong.push(told);
        }
    }

    /// Whether each rollout began in a window, where an app has some; of what was remembered all along.
    fn judge_windows(&mut self) {
        let snapshot = trueup_seams::Source::snapshot(self.house.source.as_ref());
        let memory = self.house.store.copy();
        for (app, found) in snapshot.apps.iter().filter(|_| !self.rebuilt) {
            let notes = memory.apps.get(app).into_iter().flat_map(|record| &record.history);
            for note in notes.filter(|note| note.revision.0 > 1) {
                if may_begin(&found.desired.policy.windows, note.started).is_err() {
                    self.wrong.push(format!("{} of {app} began while its windows were shut", note.revision));
                }
            }
        }
    }

    /// Whether every app that is wanted has settled, and every other one is forgotten.
    fn settled(&self) -> bool {
        let snapshot = trueup_seams::Source::snapshot(self.house.source.as_ref());
        let gone = |app: &AppName| self.house.store.with_record(app, |_| ()).is_none();
        self.house.settled() && snapshot.vanished.keys().all(gone)
    }

    /// The daemon is dead: another one comes.
    async fn bury(&mut self) {
        self.take_down_words();
        let death = self.deaths.pop_front();
        self.house.kill().await;
        if let Some(death) = death {
            let before = self.house.store.copy();
            match death.loss {
                Loss::Nothing => {}
                Loss::Last => self.house.store.step_back(),
                Loss::Everything => self.house.store.lose(),
            }
            self.forgotten |= self.good_is_gone(&before);
            self.rebuilt |= death.loss != Loss::Nothing;
            self.note(&format!("the daemon dies; store: {:?}; another one in {:?}", death.loss, death.pause));
            tokio::time::sleep(death.pause).await;
        }
        self.learn();
        self.count_down();
        self.house.start().await;
        self.arm();
    }

    /// Counts the good ones that are told to go, or went, and are there still.
    fn count_down(&mut self) {
        let now = self.house.world.now();
        let state = self.house.world.lock();
        let down = |one: &SimInstance| one.exited(now) || one.asked.is_some();
        let all = state.instances.values().flatten();
        for (id, _) in all.filter(|(_, one)| Nature::of(&one.release) == Nature::Good && down(one)) {
            *self.down.entry(id.app.to_string()).or_default() += 1;
        }
    }

    /// Whether nothing is left in the world of a release that was remembered as good, nor any memory of its app: one that was
    /// told to go, with nothing newer beside it, may as well have been found bad.
    fn good_is_gone(&self, before: &Memory) -> bool {
        let (now, after) = (self.house.world.now(), self.house.store.copy());
        let state = self.house.world.lock();
        let there = |record: &AppRecord| {
            let digest = record.current_release().map(|release| release.digest);
            let all = || state.instances.values().flatten();
            let newer = |id: &InstanceId| all().any(|(one, _)| one.app == id.app && one.revision > id.revision);
            let stands = |(id, one): (&InstanceId, &SimInstance)| {
                Some(one.release.digest) == digest && !one.exited(now) && (one.asked.is_none() || newer(id))
            };
            all().any(stands)
        };
        let mut lost = before.apps.iter().filter(|(app, _)| !after.apps.contains_key(*app));
        lost.any(|(_, record)| record.current.is_some() && !there(record))
    }

    /// Takes in what the daemon says of itself, before it goes.
    fn take_down_words(&mut self) {
        let document = self.house.control().status();
        let bugs = document.events.iter().filter(|event| event.reason == "Bug");
        self.wrong.extend(bugs.map(|event| format!("bug: {}", event.message)));
        if self.keep != Keep::Ending {
            self.calls = self.house.tether().calls();
        }
        if self.keep == Keep::Story {
            for app in &document.apps {
                for one in app.status.decisions.iter().rev() {
                    let at = one.at.since(trueup_sim::clock::EPOCH).as_millis();
                    let lines = one.lines.join("\n        ");
                    self.story
                        .push_str(&format!("  +{at}ms {} ({})\n        {lines}\n", app.metadata.name, one.woke_by));
                }
                self.story.push_str(&format!("  {}: {}\n", app.metadata.name, app.status.verdict.message));
            }
            for call in &self.calls {
                let at = call.at.since(trueup_sim::clock::EPOCH).as_millis();
                self.story.push_str(&format!("  +{at}ms {}:{} {}\n", call.kind.word(), call.number, call.what));
            }
        }
    }

    pub(super) fn note(&self, what: &str) {
        let at = self.house.world.now().since(trueup_sim::clock::EPOCH).as_millis();
        self.house.world.lock().journal.push(format!("+{at}ms -- {what}"));
    }

    fn end(mut self) -> Outcome {
        self.take_down_words();
        self.judge_windows();
        let tether = self.house.tether();
        let counts = CallKind::ALL.map(|kind| tether.count(kind));
        let violations = self.house.world.lock().violations.clone();
        self.wrong.extend(violations);
        let ending = Ending::of(&self.house, &self.old);
        if self.keep == Keep::Story {
            self.story = format!("{}\n{}", self.house.world.lock().journal.join("\n"), self.story);
        }
        // Somebody looks at a dark target within the minute.
        let felt = self.house.world.lock().faults.felt() + self.house.source.unheard();
        let spoilt = felt > 0 || !self.trouble.lasts.is_zero();
        let (undead, took) = (self.deaths.len(), self.moved - self.begun);
        let (wrong, calls, forgotten, story) = (self.wrong, self.calls, self.forgotten, self.story);
        let down = self.down;
        Outcome { ending, wrong, calls, counts, undead, spoilt, forgotten, down, took, story }
    }
}

/// Waits so long, or until the daemon dies.
async fn wait(tether: &Tether, time: Duration) {
    tokio::select! {
        biased;
        () = tether.died() => {}
        () = tokio::time::sleep(time) => {}
    }
}
