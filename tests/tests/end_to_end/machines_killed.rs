//! A daemon killed as the kernel would at each request that it sends to a platform of machines, before the platform hears
//! of it and after it has done it: the next daemon brings everything to the same end, and nothing is left over.
//!
//! In each deed of an app's life one daemon is killed, and then the world is compared with that of a life in which nobody
//! was. Crossings are what [`trueup_tests::relay`] says: each request that may change something, and the first of each kind
//! that looks after it. Those that two undisturbed lives come by are crossed on both sides.
//!
//! `TRUEUP_KILLS` says at how many crossings of each deed, on each side; more than there are means all of them, which takes some
//! ten minutes. A CI run does a few, evenly apart. `TRUEUP_KILLS_AT` says at which one alone, as a run tells it:
//! `disk, Revert, After, POST apps/*/machines #1`. All of them, and nothing else:
//!
//!     TRUEUP_KILLS=1000 cargo test -p trueup-tests --test end_to_end machines_killed -- --nocapture

use std::sync::Mutex;
use std::time::Instant;

use serde_json::Value;
use trueup_tests::relay::{Side, Stop};

use super::machines_lives::{DEEDS, Deed, GLANCE, Kind, Life, PATIENCE};

/// Crossings of each deed on each side, in a CI run.
const KILLS: usize = 2;
/// How often what is not come by is tried.
const TRIES: usize = 3;
/// Lives that go on at once: they wait far more than they compute.
const AT_ONCE: usize = 6;

/// One deed of a life in which nobody was killed: what was crossed, and what there was after it.
struct Undisturbed {
    crossings: Vec<String>,
    picture: Value,
}

fn undisturbed(kind: Kind) -> Vec<Undisturbed> {
    let mut life = Life::begin(kind);
    let mut deeds = Vec::new();
    for deed in DEEDS {
        life.live(deed, None);
        let crossings = life.relay.crossings();
        life.agrees();
        deeds.push(Undisturbed { crossings, picture: life.picture() });
    }
    deeds
}

/// Lives through all deeds, with a kill in each that has one to come; answers which of them were not reached.
fn disturbed(kind: Kind, model: &[Undisturbed], stops: &[Option<Stop>]) -> Vec<Option<Stop>> {
    let mut life = Life::begin(kind);
    let mut missed = Vec::new();
    for ((deed, model), stop) in DEEDS.into_iter().zip(model).zip(stops) {
        let reached = life.live(deed, stop.as_ref());
        let deadline = Instant::now() + PATIENCE;
        // Listings show for a while what was.
        let mut picture = life.picture();
        while picture != model.picture && Instant::now() < deadline {
            std::thread::sleep(GLANCE);
            picture = life.picture();
        }
        let why = || stops.iter().flatten().map(|stop| told(kind, deed, stop)).collect::<Vec<_>>();
        assert_eq!(picture, model.picture, "{deed:?} does not end as where nobody is killed: {:?}", why());
        life.agrees();
        if (kind, deed) == (Kind::Web, Deed::Update) {
            life.always_served();
        }
        missed.push(stop.clone().filter(|_| !reached));
    }
    missed
}

/// A kill, as `TRUEUP_KILLS_AT` names it.
fn told(kind: Kind, deed: Deed, stop: &Stop) -> String {
    format!("{}, {deed:?}, {:?}, {}", kind.name(), stop.side, stop.crossing)
}

/// Those of a deed's crossings at which somebody is killed: all of them on both sides, or so many on each, evenly apart.
fn chosen(crossings: &[String], kills: usize) -> Vec<Stop> {
    let count = crossings.len();
    let kills = kills.min(count);
    let on = |side: Side| {
        // Those before a deed lie between those after it, as long as there is room.
        let lead = if side == Side::Before { 1 } else { 3 };
        (0..kills).map(move |each| Stop { crossing: crossings[(4 * each + lead) * count / (4 * kills)].clone(), side })
    };
    on(Side::Before).chain(on(Side::After)).collect()
}

/// What lives in which nobody is killed come by, and what there is after each deed.
fn model(kind: Kind) -> Vec<Undisturbed> {
    let [mut model, other] = std::thread::scope(|scope| {
        let lives = [scope.spawn(|| undisturbed(kind)), scope.spawn(|| undisturbed(kind))];
        lives.map(|life| life.join().expect("an undisturbed life ends well"))
    });
    for (model, other) in model.iter_mut().zip(&other) {
        assert_eq!(model.picture, other.picture, "two that nobody disturbs are the same");
        // What one looks at by chance is nothing that another comes by.
        model.crossings.retain(|crossing| other.crossings.contains(crossing));
    }
    model
}

/// At how many crossings of each deed, on each side, somebody wants kills.
fn asked_for() -> Option<usize> {
    std::env::var("TRUEUP_KILLS").ok().and_then(|text| text.parse().ok())
}

/// The kills of each deed.
fn planned(kind: Kind, model: &[Undisturbed]) -> Vec<Vec<Stop>> {
    let asked = asked_for();
    let only = std::env::var("TRUEUP_KILLS_AT").ok();
    let kills = if only.is_some() { usize::MAX } else { asked.unwrap_or(KILLS) };
    let of = |(deed, model): (Deed, &Undisturbed)| {
        let wanted = |stop: &Stop| only.as_ref().is_none_or(|only| *only == told(kind, deed, stop));
        let stops: Vec<_> = chosen(&model.crossings, kills).into_iter().filter(wanted).collect();
        println!("{}, {deed:?}: {} crossings, {} kills", kind.name(), model.crossings.len(), stops.len());
        if asked.is_some() {
            model.crossings.iter().for_each(|crossing| println!("    {crossing}"));
        }
        stops
    };
    DEEDS.into_iter().zip(model).map(of).collect()
}

/// Whether a kill is at a request that may change something: each life comes by it.
fn changes(stop: &Stop) -> bool {
    !stop.crossing.contains(", after: ")
}

fn killed_everywhere(kind: Kind) {
    let begun = Instant::now();
    let model = model(kind);
    let mut todo = planned(kind, &model);
    let planned: usize = todo.iter().map(Vec::len).sum();
    let mut missed = Vec::new();
    for last in (0..TRIES).map(|again| again + 1 == TRIES) {
        let lives = todo.iter().map(Vec::len).max().unwrap_or(0);
        let life = |life: usize| todo.iter().map(|stops| stops.get(life).cloned()).collect();
        let found = side_by_side(kind, &model, (0..lives).map(life).collect());
        let of = |deed: usize| found.iter().filter_map(|life| life[deed].clone()).collect::<Vec<_>>();
        todo = (0..DEEDS.len()).map(of).collect();
        // Whether somebody looks is a matter of chance: that is tried again where all kills are asked for.
        for (deed, stops) in DEEDS.into_iter().zip(&mut todo) {
            let gone = stops.extract_if(.., |stop| last || !(changes(stop) || asked_for().is_some()));
            missed.extend(gone.map(|stop| (deed, stop)));
        }
    }
    let all: Vec<_> = missed.iter().map(|(deed, stop)| told(kind, *deed, stop)).collect();
    let (made, took) = (planned - all.len(), begun.elapsed().as_secs());
    println!("{}: {made} of {planned} kills in {took} s; not come by: {all:#?}", kind.name());
    assert!(!missed.iter().any(|(_, stop)| changes(stop)), "each request that changes something is crossed: {all:#?}");
}

/// Lives through some, several at once.
fn side_by_side(kind: Kind, model: &[Undisturbed], lives: Vec<Vec<Option<Stop>>>) -> Vec<Vec<Option<Stop>>> {
    let queue = Mutex::new(lives.into_iter());
    let next = || queue.lock().expect("no holder panics").next();
    std::thread::scope(|scope| {
        let one_by_one = || {
            let mut missed = Vec::new();
            while let Some(stops) = next() {
                missed.push(disturbed(kind, model, &stops));
            }
            missed
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one_by_one)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a life ends well")).collect()
    })
}

#[test]
fn an_app_on_machines_ends_as_well_wherever_its_daemon_is_killed() {
    killed_everywhere(Kind::Web);
}

#[test]
fn an_app_with_a_disk_on_machines_ends_as_well_wherever_its_daemon_is_killed() {
    killed_everywhere(Kind::Disk);
}
