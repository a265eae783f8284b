//! Plays a case: its history, then a heal phase in which all trouble stops, then a day in which nothing may happen.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use trueup_types::order::Order;
use trueup_types::verdict::State;
use trueup_types::{AppName, TargetName};

use super::case::Case;
use super::dice::{one_in, stream};
use super::event::{Event, Loss};
use super::history::ELSEWHERE;
use super::oracle;
use super::scribe::Scribe;
use super::setting::{Promise, Wish};
use super::shelf::Shelf;
use super::stage::Stage;
use super::trouble;

/// From one look of the oracle to the next.
const GLANCE: Duration = Duration::from_secs(10);
/// Longest that passes between two words to the world of what is wanted.
const STRIDE: Duration = Duration::from_secs(10);
/// Looks in a row that have to find nothing new.
const CALM: u32 = 4;
/// The same where an app waits for another, or one of its instances fails: it counts as settled, and may be mended all the
/// same, when a deadline of five minutes and a back-off of as long are over.
const CALM_WAITING: u32 = 70;
/// Longest that converging may take once trouble stops: a rollout, its bake, a revert and the longest back-off, for four
/// apps one after the other.
const PATIENCE: Duration = Duration::from_secs(3 * 3_600);
/// How long a converged world is watched as it goes.
const WATCH: Duration = Duration::from_secs(60);
/// The further day, in strides: at each the clock jumps, and everything that is due comes at once.
const STRIDES: (u32, Duration) = (24, Duration::from_secs(3_600));
/// How long the world is watched after each stride.
const REST: Duration = Duration::from_secs(2);
/// The version that a person writes to mend an app.
const MENDED: usize = 90;

/// What came of a case.
#[derive(Debug, Default)]
pub struct Played {
    /// What is wrong; empty when all is well.
    pub wrong: Vec<String>,
    /// Of everything that happened, was decided and was saved.
    pub hash: u64,
    /// All of it, for people; empty unless it was kept.
    pub story: String,
    /// What was done to the world, by the daemon and by others.
    pub effects: u64,
    /// What happened beside edits, and calls, hints and surveys that went wrong by chance.
    pub troubles: u64,
}

/// Whether everything that was said is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it, told as a story.
    All,
    /// All of it, as a hash.
    History,
    /// Only what is wrong.
    Wrong,
}

/// What the actors keep in mind.
pub struct Act {
    /// The world.
    pub stage: Stage,
    /// Its memory.
    pub shelf: Box<dyn Shelf>,
    /// What the manifests say.
    pub wishes: BTreeMap<AppName, Wish>,
    /// Apps whose good release may be one that a calm world would reject, or that a good one was rejected.
    pub tainted: BTreeSet<AppName>,
    /// Whether anything befell the instances of an app.
    pub harmed: BTreeSet<AppName>,
    /// Apps without a manifest whose instances were to be left running.
    pub orphans: BTreeSet<AppName>,
    /// What was decided, by app and moment, where everything is kept.
    pub decisions: BTreeMap<(AppName, u64), Vec<String>>,
    /// Whether any call of any app went wrong by chance.
    pub hindered: bool,
    /// Whether a daemon was to run and could not begin.
    pub refused: bool,
}

/// Plays a case over its kind of store.
pub fn play(case: &Case, keep: Keep) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without files or sockets has nothing to fail at");
    runtime.block_on(whole(case, keep))
}

async fn whole(case: &Case, keep: Keep) -> Played {
    let setting = &case.setting;
    let shelf = case.shelf();
    let scribe = Scribe::new(shelf.store(), keep != Keep::Wrong);
    let stage = Stage::new(setting.seed, setting.rollouts_max, setting.pace, scribe);
    let elsewhere = TargetName::new(ELSEWHERE).expect("a literal name");
    let mut spec = trueup_types::target::TargetSpec::local();
    spec.name = elsewhere;
    stage.source.target(spec, true);
    stage.world.lock().faults = trueup_sim::Faults::seeded(setting.seed, trueup_sim::faults::Odds::default());
    let mut act = Act {
        stage,
        shelf,
        wishes: BTreeMap::new(),
        tainted: BTreeSet::new(),
        harmed: BTreeSet::new(),
        orphans: BTreeSet::new(),
        decisions: BTreeMap::new(),
        hindered: false,
        refused: false,
    };
    let mut wrong = Vec::new();
    let begun = tokio::time::Instant::now();
    act.start().await;
    for moment in &case.history {
        let now = begun.elapsed();
        while now < moment.at && begun.elapsed() < moment.at {
            // In strides, so that the world is told what is wanted.
            act.stage.pass((moment.at - begun.elapsed()).min(STRIDE)).await;
            act.collect();
        }
        trouble::happen(&mut act, setting, &moment.event, &mut wrong).await;
        act.stage.tell();
    }
    heal(&mut act, case).await;
    wrong.extend(conclude(&mut act, case).await);
    wrong.extend(oracle::always(&act));
    act.collect();
    let played = report(&act, case, keep, wrong);
    act.stage.end(true).await;
    played
}

/// All trouble stops; a person mends what cannot mend itself, and half of the rest too.
async fn heal(act: &mut Act, case: &Case) {
    act.stage.note("all trouble stops");
    {
        let mut state = act.stage.world.lock();
        state.faults.heal();
        state.dark.clear();
        state.ingress_dark = false;
    }
    act.stage.source.doubt(None);
    act.stage.source.hush(false);
    act.shelf.befall(Loss::Full(false));
    act.start().await;
    act.stage.pass(Duration::from_secs(1)).await;
    act.collect();
    if let Some(control) = act.stage.control() {
        for cast in &case.setting.casts {
            // What is suspended by a word and has no manifest any more would be left as it is.
            if !act.wishes.contains_key(&cast.sketch.name) {
                // It may have nothing to resume.
                let _ = control.order(&cast.sketch.name, Order::Resume, "mender").await;
            }
        }
    }
    for (app, wish) in act.wishes.clone() {
        let mut dice = stream(case.setting.seed, &format!("mend {app}"));
        let cast = case.setting.cast(&app).expect("only apps of the setting are wished for");
        // What is bad, and was taken for good by mistake, is replaced by more of the same for ever: it has to be mended,
        // whatever it depends on.
        let restless = act.tainted.contains(&app) || cast.may_loop();
        if !restless && one_in(&mut dice, 2) {
            continue;
        }
        let mended = Wish { version: MENDED, suspend: false, alone: restless, ..wish };
        act.stage.note(&format!("{app} is mended: {mended}"));
        act.stage.want(&app, Some(cast.manifest(&mended)));
        act.wishes.insert(app.clone(), mended);
        if let Some(control) = act.stage.control() {
            // It may have nothing to resume.
            let _ = control.order(&app, Order::Resume, "mender").await;
        }
    }
}

/// Waits until nothing moves any more, and judges what is there; then nothing may move for a day.
async fn conclude(act: &mut Act, case: &Case) -> Vec<String> {
    if let Err(why) = converge(act).await {
        return vec![why];
    }
    let mut wrong = oracle::end(act, &case.setting);
    let before = act.effects();
    act.stage.pass(WATCH).await;
    let mut forgiven = 0;
    for stride in 0..STRIDES.0 {
        act.stage.sleep(STRIDES.1).await;
        act.stage.pass(REST).await;
        if stride == 0 {
            // Even old exits are forgiven, which is a save.
            forgiven = act.effects().1;
        }
    }
    let after = act.effects();
    if before.0 != after.0 || forgiven != after.1 {
        let new = act.stage.world.lock().journal[before.0..].join("; ");
        let saves = after.1 - forgiven;
        wrong.push(format!("a converged world is not still: {saves} saves, effects: [{new}]"));
    }
    wrong
}

async fn converge(act: &mut Act) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let (mut calm, mut last) = (0, act.effects());
    while calm < CALM || (calm < CALM_WAITING && act.waits()) {
        if tokio::time::Instant::now() >= deadline {
            let standing = act.standing();
            return Err(format!("not converged within {} s: {standing}", PATIENCE.as_secs()));
        }
        act.stage.pass(GLANCE).await;
        act.collect();
        let Some(control) = act.stage.control() else { return Err("no daemon runs".to_owned()) };
        // What vanished while memory was lost waits for a word.
        let _ = control.approve_prune("mender").await;
        let now = act.effects();
        let quiet = now == last && act.stage.driver().is_some_and(|driver| driver.settled().is_some());
        let named = |app: &AppName| act.wishes.contains_key(app) || act.orphans.contains(app);
        let alone = || control.status().apps.iter().all(|app| named(&app.metadata.name));
        calm = if quiet && alone() { calm + 1 } else { 0 };
        last = now;
    }
    Ok(())
}

impl Act {
    /// Starts a daemon, where none runs. Whoever watches over it starts it again when it could not begin.
    pub async fn start(&mut self) {
        if self.stage.driver().is_none() {
            self.shelf.started();
        }
        self.stage.start().await;
        self.refused = self.stage.driver().is_none();
    }

    /// How many effects and saves there were.
    fn effects(&self) -> (usize, u64) {
        (self.stage.world.lock().journal.len(), self.stage.scribe.saves())
    }

    /// Takes down what was decided since the last time, where everything is kept: a daemon remembers only the newest.
    pub fn collect(&mut self) {
        if !self.stage.scribe.keeps() {
            return;
        }
        let apps = self.stage.control().map(|control| control.status().apps).unwrap_or_default();
        for app in apps {
            for one in app.status.decisions {
                let lines = std::iter::once(&one.woke_by).chain(&one.lines).cloned().collect();
                self.decisions.insert((app.metadata.name.clone(), one.at.as_millis()), lines);
            }
        }
    }

    /// Whether an app waits for something, be it for the time at which one that fails is replaced.
    fn waits(&self) -> bool {
        let apps = self.stage.control().map(|control| control.status().apps).unwrap_or_default();
        let verdicts = || apps.iter().map(|app| &app.status.verdict);
        verdicts().any(|verdict| matches!(verdict.state, State::Waiting(_)) || verdict.degraded.is_some())
    }

    /// How every app stands, in a line.
    pub fn standing(&self) -> String {
        let apps = self.stage.control().map(|control| control.status().apps).unwrap_or_default();
        let lines = apps.iter().map(|app| {
            format!("{}: {:?}, {}", app.metadata.name, app.status.verdict.state, app.status.verdict.message)
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Notes that a version that a calm world would reject may have become good.
    pub fn doubt_releases(&mut self, setting: &super::setting::Setting, apps: &[AppName]) {
        for app in apps {
            let Some(cast) = setting.cast(app) else { continue };
            let all_kept = (0..cast.natures.len()).all(|version| cast.promise(version) == Promise::Kept);
            if !all_kept {
                self.tainted.insert(app.clone());
            }
        }
    }
}

fn report(act: &Act, case: &Case, keep: Keep, wrong: Vec<String>) -> Played {
    let journal = act.stage.world.lock().journal.clone();
    let said = act.stage.scribe.said();
    let mut hasher = DefaultHasher::new();
    (&journal, &said, &wrong).hash(&mut hasher);
    for ((app, at), lines) in &act.decisions {
        (app.as_str(), at, lines).hash(&mut hasher);
    }
    let effects = u64::try_from(journal.len()).unwrap_or(u64::MAX);
    let story = match keep {
        Keep::Wrong | Keep::History => String::new(),
        Keep::All => story(case, &journal, &said, act),
    };
    let edits = |moment: &&super::event::Moment| matches!(moment.event, Event::Edit { .. } | Event::Remove { .. });
    let beside = case.history.len() - case.history.iter().filter(edits).count();
    let troubles = u64::try_from(beside).unwrap_or(u64::MAX) + act.stage.world.lock().faults.felt();
    Played { wrong, hash: hasher.finish(), story, effects, troubles }
}

fn story(case: &Case, journal: &[String], said: &[String], act: &Act) -> String {
    let mut text = format!("{case}\n=== the journal\n{}\n=== what was saved\n", journal.join("\n"));
    for line in said {
        text.push_str(line.lines().next().unwrap_or_default());
        text.push('\n');
    }
    text.push_str("=== what was decided\n");
    for ((app, at), lines) in &act.decisions {
        let since = at - trueup_sim::clock::EPOCH.as_millis();
        text.push_str(&format!("{app} +{since}ms {}\n", lines.join("\n    ")));
    }
    text.push_str(&format!("=== how it stands\n{}\n", act.standing()));
    let now = act.stage.world.now();
    for (target, instances) in &act.stage.world.lock().instances {
        for (id, one) in instances {
            text.push_str(&format!("{target} {id}: {:?}, passing {}\n", one.phase(now), one.passing(now)));
        }
    }
    text
}
