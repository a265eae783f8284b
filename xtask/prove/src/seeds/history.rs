//! What happens in a case: drawn from its seed, a stream for each thing that may happen.
//!
//! Each kind of trouble is in a third of the cases or so, and then several times: troubles that always come together
//! hide each other.

use std::time::Duration;

use fastrand::Rng;
use trueup_sim::faults::Odds;
use trueup_types::order::{EnvOf, Order};
use trueup_types::policy::Strategy;
use trueup_types::{AppName, TargetName};

use super::dice::{moment, one_in, pick, stream, wait};
use super::event::{Event, Harm, Loss, Moment, Refused};
use super::setting::{Cast, Setting, Wish};

/// The target that apps may move to.
pub const ELSEWHERE: &str = "elsewhere";
/// Of how many cases a kind of trouble is in one.
const RARITY: u32 = 3;

/// What happens in the world of a seed, in order.
pub fn drawn(setting: &Setting) -> Vec<Moment> {
    let seed = setting.seed;
    let horizon = wait(&mut stream(seed, "horizon"), Duration::from_secs(40), Duration::from_secs(1_500));
    let mut all = Vec::new();
    for cast in &setting.casts {
        edits(seed, cast, horizon, &mut all);
        words(seed, cast, horizon, &mut all);
        harms(seed, cast, horizon, &mut all);
        refusals(seed, cast, horizon, &mut all);
    }
    odds(seed, horizon, &mut all);
    ends(seed, horizon, &mut all);
    losses(seed, horizon, &mut all);
    darkness(seed, horizon, &mut all);
    edge(seed, horizon, &mut all);
    source(seed, horizon, &mut all);
    host(seed, horizon, &mut all);
    all.sort_by_key(|moment| moment.at);
    all
}

/// How often something happens: not at all in most cases.
fn times(dice: &mut Rng, most: u32) -> u32 {
    if one_in(dice, RARITY) { dice.u32(1..=most) } else { 0 }
}

fn edits(seed: u64, cast: &Cast, horizon: Duration, all: &mut Vec<Moment>) {
    let app = &cast.sketch.name;
    let mut dice = stream(seed, &format!("edits {app}"));
    let mut wish = cast.first.clone();
    let first = if one_in(&mut dice, 4) { moment(&mut dice, horizon / 2) } else { Duration::ZERO };
    all.push(Moment { at: first, event: Event::Edit { app: app.clone(), wish: wish.clone() } });
    let mut moments: Vec<_> = (0..dice.u32(1..=4)).map(|_| first + moment(&mut dice, horizon)).collect();
    moments.sort();
    for at in moments {
        if one_in(&mut dice, 9) {
            all.push(Moment { at, event: Event::Remove { app: app.clone() } });
            continue;
        }
        edit(&mut wish, &mut dice);
        all.push(Moment { at, event: Event::Edit { app: app.clone(), wish: wish.clone() } });
    }
}

fn edit(wish: &mut Wish, dice: &mut Rng) {
    match dice.u8(0..12) {
        0..=6 => wish.version = dice.usize(0..4),
        7 | 8 => wish.replicas = pick(dice, &[0, 1, 2, 3, 4]),
        9 => wish.route = wish.route.map(|_| dice.u8(0..3)),
        10 if wish.route.is_some() => {
            wish.strategy = pick(dice, &[Strategy::BlueGreen, Strategy::Rolling, Strategy::Recreate]);
        }
        10 => wish.strategy = pick(dice, &[Strategy::Rolling, Strategy::Recreate]),
        _ if one_in(dice, 2) => wish.suspend = !wish.suspend,
        _ => {
            let elsewhere = TargetName::new(ELSEWHERE).expect("a literal name");
            wish.target = if wish.target == elsewhere { TargetName::local() } else { elsewhere };
        }
    }
}

fn words(seed: u64, cast: &Cast, horizon: Duration, all: &mut Vec<Moment>) {
    let app = &cast.sketch.name;
    let mut dice = stream(seed, &format!("words {app}"));
    let mut environments = stream(seed, &format!("environments {app}"));
    for _ in 0..times(&mut dice, 3) {
        let order = pick(
            &mut dice,
            &[
                Order::Rollback { to: None, env: pick(&mut environments, &[EnvOf::Then, EnvOf::Now]) },
                Order::Retry,
                Order::Resume,
                Order::Suspend,
                Order::Restart,
                Order::Restart,
                Order::Promote,
                Order::Abort,
                Order::Reconcile,
            ],
        );
        let at = moment(&mut dice, horizon);
        all.push(Moment { at, event: Event::Word { app: app.clone(), order } });
    }
}

fn harms(seed: u64, cast: &Cast, horizon: Duration, all: &mut Vec<Moment>) {
    let app = &cast.sketch.name;
    let mut dice = stream(seed, &format!("harms {app}"));
    for _ in 0..times(&mut dice, 4) {
        let harm = pick(
            &mut dice,
            &[Harm::Crash(1), Harm::Crash(1), Harm::Crash(0), Harm::Sicken, Harm::Cure, Harm::Steal, Harm::Alter],
        );
        let (at, index) = (moment(&mut dice, horizon), dice.usize(0..8));
        all.push(Moment { at, event: Event::Befall { app: app.clone(), index, harm } });
    }
    let mut dice = stream(seed, &format!("requests {app}"));
    for _ in 0..times(&mut dice, 4) {
        busy(&mut dice, app, horizon, all);
    }
}

fn busy(dice: &mut Rng, app: &AppName, horizon: Duration, all: &mut Vec<Moment>) {
    let (at, index) = (moment(dice, horizon), dice.usize(0..8));
    let mut set = |at, count| all.push(Moment { at, event: Event::Busy { app: app.clone(), index, count } });
    set(at, dice.u32(1..4));
    set(at + wait(dice, Duration::from_secs(1), Duration::from_secs(120)), 0);
}

fn refusals(seed: u64, cast: &Cast, horizon: Duration, all: &mut Vec<Moment>) {
    let app = &cast.sketch.name;
    let mut dice = stream(seed, &format!("refusals {app}"));
    if !one_in(&mut dice, 2 * RARITY) {
        return;
    }
    for _ in 0..dice.u32(1..=2) {
        let at = moment(&mut dice, horizon);
        let over = at + wait(&mut dice, Duration::from_secs(1), Duration::from_secs(1_200));
        let what = pick(&mut dice, &[Refused::Begun, Refused::Begun, Refused::All]);
        all.push(Moment { at, event: Event::Refuse { app: app.clone(), what: Some(what) } });
        all.push(Moment { at: over, event: Event::Refuse { app: app.clone(), what: None } });
    }
}

fn odds(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    let mut dice = stream(seed, "odds");
    if one_in(&mut dice, 3) {
        return;
    }
    let mut permille = |rarity| if one_in(&mut dice, rarity) { dice.u16(20..400) } else { 0 };
    let odds = Odds {
        call_permille: permille(2),
        sight_permille: permille(2),
        stale_permille: permille(3),
        route_permille: permille(2),
        nudge_permille: permille(3) * 2,
    };
    let at = moment(&mut dice, horizon / 2);
    all.push(Moment { at, event: Event::Odds(odds) });
    if one_in(&mut dice, 2) {
        let at = at + moment(&mut dice, horizon / 2);
        all.push(Moment { at, event: Event::Odds(Odds::default()) });
    }
}

fn ends(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    let mut dice = stream(seed, "ends");
    for _ in 0..times(&mut dice, 3) {
        let at = moment(&mut dice, horizon);
        all.push(Moment { at, event: Event::End { killed: !one_in(&mut dice, 4) } });
        let back = at + wait(&mut dice, Duration::from_millis(10), Duration::from_secs(1_200));
        all.push(Moment { at: back, event: Event::Start });
    }
}

/// What is lost while a daemon holds it is noticed by the next one; so each loss comes with an end.
fn losses(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    let mut dice = stream(seed, "losses");
    for _ in 0..times(&mut dice, 2) {
        let copied = moment(&mut dice, horizon);
        let at = copied + moment(&mut dice, horizon / 2);
        let loss = pick(&mut dice, &[Loss::Lost, Loss::Wiped, Loss::PutBack, Loss::PutBackUnnoticed]);
        let events = [
            (copied, Event::Store(Loss::Copied)),
            (at, Event::End { killed: true }),
            (at, Event::Store(loss)),
            (at + Duration::from_millis(dice.u64(1..5_000)), Event::Start),
        ];
        all.extend(events.map(|(at, event)| Moment { at, event }));
    }
    let mut dice = stream(seed, "disk");
    for _ in 0..times(&mut dice, 2) {
        let at = moment(&mut dice, horizon);
        let room = at + wait(&mut dice, Duration::from_secs(1), Duration::from_secs(600));
        all.push(Moment { at, event: Event::Store(Loss::Full(true)) });
        all.push(Moment { at: room, event: Event::Store(Loss::Full(false)) });
    }
}

fn darkness(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    for target in [TargetName::local().as_str(), ELSEWHERE] {
        let target = TargetName::new(target).expect("a literal name");
        let mut dice = stream(seed, &format!("dark {target}"));
        for _ in 0..times(&mut dice, 2) {
            let at = moment(&mut dice, horizon);
            let light = at + wait(&mut dice, Duration::from_secs(2), Duration::from_secs(3_600));
            all.push(Moment { at, event: Event::Dark { target: target.clone(), dark: true } });
            all.push(Moment { at: light, event: Event::Dark { target: target.clone(), dark: false } });
        }
    }
}

fn edge(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    let mut dice = stream(seed, "edge");
    for _ in 0..times(&mut dice, 2) {
        let at = moment(&mut dice, horizon);
        match dice.u8(0..4) {
            0 => all.push(Moment { at, event: Event::EdgeEmptied }),
            1 => all.push(Moment { at, event: Event::EdgeLost }),
            _ => {
                let light = at + wait(&mut dice, Duration::from_secs(1), Duration::from_secs(900));
                all.push(Moment { at, event: Event::EdgeDark(true) });
                all.push(Moment { at: light, event: Event::EdgeDark(false) });
            }
        }
    }
}

fn source(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    let mut dice = stream(seed, "doubt");
    for _ in 0..times(&mut dice, 2) {
        let at = moment(&mut dice, horizon);
        let seen = at + wait(&mut dice, Duration::from_secs(1), Duration::from_secs(900));
        all.push(Moment { at, event: Event::Doubt(true) });
        all.push(Moment { at: seen, event: Event::Doubt(false) });
    }
    let mut dice = stream(seed, "hush");
    for _ in 0..times(&mut dice, 1) {
        let at = moment(&mut dice, horizon);
        let heard = at + wait(&mut dice, Duration::from_secs(5), Duration::from_secs(900));
        all.push(Moment { at, event: Event::Hush(true) });
        all.push(Moment { at: heard, event: Event::Hush(false) });
    }
    let mut dice = stream(seed, "approvals");
    for _ in 0..times(&mut dice, 1) {
        let at = moment(&mut dice, horizon);
        all.push(Moment { at, event: Event::ApprovePrune });
    }
}

fn host(seed: u64, horizon: Duration, all: &mut Vec<Moment>) {
    let mut dice = stream(seed, "host");
    if !one_in(&mut dice, 2 * RARITY) {
        return;
    }
    let at = moment(&mut dice, horizon);
    if one_in(&mut dice, 2) {
        let time = wait(&mut dice, Duration::from_secs(20), Duration::from_secs(36_000));
        return all.push(Moment { at, event: Event::Sleep(time) });
    }
    all.push(Moment { at, event: Event::Reboot });
    let back = at + wait(&mut dice, Duration::from_secs(1), Duration::from_secs(300));
    all.push(Moment { at: back, event: Event::Start });
}
