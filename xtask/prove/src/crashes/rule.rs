//! What must be the same as in the undisturbed run, and what may differ, and why.
//!
//! 1. A daemon that dies and is started again at once, without loss of memory and where no act overtakes another, costs a
//!    repeated look and nothing else: the end is the same name by name, and every instance was made, started, stopped
//!    and removed as often as in the undisturbed run. What dies by itself does so at its own moments: it is made at most
//!    as often, for it may be found bad before all of it was made, and whether it is stopped before it dies, or started
//!    once more, is its own affair: each of them once more at most, over all. Of a failed release that stays for a person to look at, as many stay, not the same.
//!    Where what dies by itself is found bad at the first look, the old ones are on their way out or back at that very
//!    moment: one that is still there is started again rather than made anew, so that of the good ones creates and starts
//!    are together as many, and removes as many as the end tells.
//! 2. Elsewhere time has passed that did not pass in the undisturbed run, and apps live by their own clocks: what turns
//!    bad turns bad at another point of its passage, what is overtaken has come more or less far. The end is then the same
//!    thing by thing, whatever it is called, and nothing that stood all along is replaced. Creates are never more than in
//!    the undisturbed run; nor are starts of what is good. (Stops and removes follow from these and the end: nothing
//!    that lives is left over.) What dies of a bad release, and how often it is started again, is its own affair.
//!    An old one that went and is still there when the way leads back is started again rather than made anew: what is
//!    saved in creates may be spent on such starts. And one that had been told to go when the daemon died may be found to
//!    be needed by the next, since its successors died meanwhile: each such one may be started once. And what dies by itself
//!    may do so while the old one that it replaces is on its way out, which is then raised: once for each such death.
//! 3. What an overtaken act had stopped already may be started again by the next.
//! 4. A store that lost something, and says so, may have forgotten which release was under way, or found bad: that one
//!    is left and tried once more for each loss, at most: the instances of the good one that had gone already are made
//!    again, then its own; and what ran its hooks stays as long as a history would. Nothing that the undisturbed run does
//!    not create is ever created.
//! 5. A person's word that was lost with the store is not obeyed, and its loss is told: of such a run the laws are asked.
//! 6. A store that is lost whole when nothing lives any more of the release that was good leaves nobody who knows that
//!    release. What runs is kept; of such a run the laws are asked.
//!    So with one that was told to go and has nothing newer beside it: whether it made room or was found bad nobody can tell.
//! 7. A call whose outcome is unknown and that lands late may do again what was done meanwhile, once for each such call.
//! 8. A release whose fault was forgotten waits for its window, as any other.

use std::collections::{BTreeMap, BTreeSet};

use super::case::Case;
use super::ending::{Ending, OF_A_HOOK, differences};
use super::nature::{Nature, Tally};
use super::play::{Loss, Outcome};
use super::scenario::{Act, Script};

/// What is wrong with a run by itself: laws that were broken, bugs, an app that never settles, a bad release that serves.
pub fn calm(outcome: &Outcome) -> Vec<String> {
    outcome.wrong.iter().chain(&outcome.ending.wrong).cloned().collect()
}

/// What is wrong with a run in which the daemon died.
pub fn after_deaths(undisturbed: &Outcome, here: &Outcome, case: &Case) -> Vec<String> {
    let undead = format!("{} deaths never came about: the run cannot be repeated", here.undead);
    let mut wrong: Vec<_> = std::iter::repeat_n(undead, here.undead.min(1)).collect();
    if here.forgotten {
        wrong.extend(here.wrong.iter().filter(|one| !one.starts_with("law 1:")).cloned());
        return wrong;
    }
    wrong.extend(calm(here));
    let script = case.variant.script();
    let losses = case.deaths.iter().filter(|death| death.loss != Loss::Nothing).count();
    let paused = case.deaths.iter().any(|death| !death.pause.is_zero());
    if losses == 0 && !script.races && !paused {
        wrong.extend(the_same(undisturbed, here, &script));
        return wrong;
    }
    let words = script.acts.iter().any(|act| matches!(act, Act::Say(..)));
    let again = u32::try_from(losses).unwrap_or(u32::MAX);
    let slack = Slack { again, deaf: losses > 0 && words, ..Slack::default() };
    wrong.extend(elsewhen(undisturbed, here, &script, slack));
    wrong
}

/// What may be otherwise in a run in which time passed otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slack {
    /// How often a release may be tried once more.
    pub again: u32,
    /// How often an engine may have thrown away what ran a hook.
    pub thrown: u32,
    /// Whether words were lost.
    pub deaf: bool,
}

/// What is wrong with a run in which time passed otherwise.
pub fn elsewhen(undisturbed: &Outcome, here: &Outcome, script: &Script, slack: Slack) -> Vec<String> {
    let mut wrong = Vec::new();
    let Slack { again, deaf, .. } = slack;
    if !deaf {
        let (mut before, mut after) = (content(undisturbed, script), content(here, script));
        if again > 0 {
            waits_for_its_window(&mut before, &after);
        }
        let hooks = |all: &mut BTreeMap<String, u32>| -> BTreeMap<_, _> {
            all.extract_if(.., |key, _| key.ends_with(OF_A_HOOK)).collect()
        };
        let (ran, remain) = (hooks(&mut before), hooks(&mut after));
        wrong.extend(differences(&before, &after));
        wrong.extend(remains(&ran, &remain, slack));
    }
    if again == 0 {
        wrong.extend(replaced(undisturbed, here));
    }
    if !deaf {
        wrong.extend(too_often(undisturbed, here, script, again));
    }
    wrong
}

/// What stood all along in the undisturbed run and did not here.
pub fn replaced(undisturbed: &Outcome, here: &Outcome) -> Vec<String> {
    let replaced = |(key, stood): (&String, &u32)| {
        let now = here.ending.stood.get(key).copied().unwrap_or(0);
        (now < *stood).then(|| format!("{key}: undisturbed {stood} all along, here {now}"))
    };
    undisturbed.ending.stood.iter().filter_map(replaced).collect()
}

/// Rule 8: what is to be expected of apps whose bad release was forgotten when no rollout may begin.
fn waits_for_its_window(expected: &mut BTreeMap<String, u32>, here: &BTreeMap<String, u32>) {
    let waiting = here.keys().filter_map(|key| Some((key, key.strip_suffix("RolloutWindow")?)));
    for (key, app) in waiting {
        if let Some(count) = expected.remove(&format!("{app}Reverted")) {
            expected.insert(key.clone(), count);
        }
    }
}

/// What ran hooks: as many as in the undisturbed run, as many more for each time that a release is tried again, and one less
/// for each that an engine threw away.
fn remains(ran: &BTreeMap<String, u32>, remain: &BTreeMap<String, u32>, slack: Slack) -> Vec<String> {
    let keys: BTreeSet<_> = ran.keys().chain(remain.keys()).collect();
    let count = |all: &BTreeMap<String, u32>, key: &String| all.get(key).copied().unwrap_or(0);
    let least = |key: &String| count(ran, key).saturating_sub(slack.thrown);
    let well = |key: &&String| (least(key)..=count(ran, key) * (1 + slack.again)).contains(&count(remain, key));
    let odd = keys.into_iter().filter(|key| !well(key));
    odd.map(|key| format!("{key}: undisturbed {}, here {}", count(ran, key), count(remain, key))).collect()
}

/// Rule 1.
fn the_same(undisturbed: &Outcome, here: &Outcome, script: &Script) -> Vec<String> {
    let (before, after) = (&undisturbed.ending, &here.ending);
    let kept = |state: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let named = state.iter().filter(|(_, what)| !(script.keeps_bad && what.contains("(bad)")));
        named.map(|(name, what)| (name.clone(), what.clone())).collect()
    };
    let mut wrong = differences(&kept(&before.state), &kept(&after.state));
    wrong.extend(differences(&before.content, &after.content));
    let dies = |app: &str| before.counts.sum(app, "create", &[Nature::Mortal]) > 0;
    let exactly = |tally: &Tally| match tally.nature {
        Nature::Good => tally.verb == "stop" || !dies(&tally.app),
        Nature::Sick => tally.verb != "start",
        Nature::Mortal => false,
    };
    wrong.extend(differences(&before.counts.only(exactly), &after.counts.only(exactly)));
    for app in after.counts.apps() {
        wrong.extend(raised_or_made(before, after, app));
        let mortal = |outcome: &Outcome, verb| outcome.ending.counts.sum(app, verb, &[Nature::Mortal]);
        let (made, most) = (mortal(here, "create"), mortal(undisturbed, "create"));
        if made > most {
            wrong.push(format!("creates of {app}, mortal: undisturbed {most}, here {made}"));
        }
        let (started, most) = (mortal(here, "start"), mortal(undisturbed, "start") + most);
        if started > most {
            wrong.push(format!("starts of {app}, mortal: at most {most}, here {started}"));
        }
    }
    wrong
}

/// The good ones that come up: made or started again, together as many, and none made in excess.
fn raised_or_made(before: &Ending, after: &Ending, app: &str) -> Option<String> {
    let good = |ending: &Ending, verb| ending.counts.sum(app, verb, &[Nature::Good]);
    let up = |ending: &Ending| good(ending, "create") + good(ending, "start");
    let well = up(after) == up(before) && good(after, "create") <= good(before, "create");
    let told = |ending: &Ending| format!("{} and {}", good(ending, "create"), good(ending, "start"));
    (!well).then(|| format!("creates and starts of {app}, good: undisturbed {}, here {}", told(before), told(after)))
}

/// What stands at the end; without what failed, where that stays for a person to look at.
fn content(outcome: &Outcome, script: &Script) -> BTreeMap<String, u32> {
    let kept = |key: &String| !(script.keeps_bad && key.contains("(bad)"));
    outcome.ending.content.iter().filter(|(key, _)| kept(key)).map(|(key, count)| (key.clone(), *count)).collect()
}

fn too_often(undisturbed: &Outcome, here: &Outcome, script: &Script, again: u32) -> Vec<String> {
    const ALL: &[Nature] = &[Nature::Good, Nature::Sick, Nature::Mortal];
    let (before, after) = (&undisturbed.ending.counts, &here.ending.counts);
    let mut wrong = Vec::new();
    for app in after.apps() {
        let (creates, made) = (before.sum(app, "create", ALL), after.sum(app, "create", ALL));
        let most = creates + again * 2 * creates;
        if made > most {
            wrong.push(format!("creates of {app}: undisturbed {creates}, at most {most}, here {made}"));
        }
        let (starts, started) = (before.sum(app, "start", &[Nature::Good]), after.sum(app, "start", &[Nature::Good]));
        let overtaken = if script.races { before.sum(app, "stop", ALL) } else { 0 };
        let saved = creates.saturating_sub(made);
        let raised = here.down.get(app).copied().unwrap_or(0);
        let died = after.sum(app, "create", &[Nature::Mortal]) + after.sum(app, "start", &[Nature::Mortal]);
        let most = starts + again * creates + overtaken + saved + raised + died;
        if started > most {
            wrong
                .push(format!("starts of what is good of {app}: undisturbed {starts}, at most {most}, here {started}"));
        }
    }
    wrong
}
