//! Tells what happens in a small world, tick by tick.
//!
//! Lines of a script: `want …` edits the manifest, `given …` does so and settles without a word, `gone` takes it away;
//! `v2 exits 2s`, `v2 never passes`, … say how a version behaves; `settle` lets time pass until nothing is left to do,
//! `wait 5s` so long and `tick` not at all; `crash`, `sicken`, `heal`, `vanish web-r1-0` and `busy web-r1-0 3` happen to
//! an instance; `order retry` is a person's word, `answer errors bad it is 3` what a canary's analysis was answered;
//! `dark 20m`, `host lost`, `daemon restarts` and `store lost` happen to all. The tale has a line for each moment at which
//! something was done or stood otherwise than before.

use std::time::Duration;

use trueup_plan::command;
use trueup_types::analysis::Answer;
use trueup_types::desired::Prune;
use trueup_types::observed::ExitWhy;
use trueup_types::{InstanceId, Label, TargetName, Timestamp, Wake};

use super::app::{Sketch, wait};
use super::being::{Behaviour, Being, Life};
use super::model::{Model, Ticked};
use super::scene;

/// Most ticks that a settling may take.
pub const TICKS_MAX: usize = 2_000;

/// Tells a script.
pub fn tell(script: &str) -> String {
    played(script).lines.join("\n")
}

/// The world as it is when a script has ended.
pub fn ended(script: &str) -> Model {
    played(script).model
}

fn played(script: &str) -> Tale {
    let mut tale = Tale { model: Model::new(Sketch::default()), lines: Vec::new(), state: String::new() };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        tale.happen(line);
    }
    let broken = &tale.model.watch.broken;
    assert!(broken.is_empty(), "{broken:#?}\n{}", tale.lines.join("\n"));
    tale
}

struct Tale {
    model: Model,
    lines: Vec<String>,
    state: String,
}

impl Tale {
    fn happen(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "want" => self.model.edit(rest),
            "given" => return self.given(rest),
            "gone" => self.model.remove(if rest == "orphan" { Prune::Orphan } else { Prune::Delete }),
            "settle" => return self.settle(),
            "wait" => return self.wait(wait(rest).expect("a wait")),
            "tick" => return drop(self.tick()),
            "order" => self.order(rest),
            "answer" => self.answer(rest),
            "dark" => {
                let to = self.model.now.after(wait(rest).expect("a wait"));
                self.model.pass(to);
                self.model.sighted_since = to;
            }
            "host" => self.model.lose_host(),
            "daemon" => self.model.restart_daemon(),
            "store" => self.model.lose_store(),
            "crash" | "sicken" | "heal" | "vanish" | "busy" => self.befall(verb, rest),
            _ => drop(self.model.behaviours.insert(verb.to_owned(), behaviour(rest))),
        }
        self.lines.push(format!("> {line}"));
    }

    /// What is there before the tale begins.
    fn given(&mut self, words: &str) {
        let told = self.lines.len();
        self.model.edit(words);
        self.settle();
        self.lines.truncate(told);
        self.lines.push(format!("> given {words}"));
    }

    /// Takes in `errors bad it is 3`: what an analysis of the step at hand was answered.
    fn answer(&mut self, words: &str) {
        let (name, rest) = words.split_once(' ').expect("a name and an answer");
        let (word, why) = rest.split_once(' ').unwrap_or((rest, ""));
        let answer = match word {
            "good" => Answer::Good,
            "bad" => Answer::Bad(why.to_owned()),
            _ => Answer::Nothing(why.to_owned()),
        };
        let desired = self.model.desired().expect("it is wanted");
        let (standing, _) = trueup_plan::analyses(&self.model.record, &desired).expect("a step with analyses");
        trueup_plan::learn(&mut self.model.record, standing, &Label::new(name).expect("a name"), answer);
    }

    fn order(&mut self, words: &str) {
        let model = &mut self.model;
        let order = super::orders::order(words);
        model.record = command(&model.record, model.desired().as_deref(), &order, "ann", model.now).expect("obeyed");
        model.watch.person_spoke();
    }

    fn befall(&mut self, verb: &str, rest: &str) {
        let (name, count) = rest.split_once(' ').unwrap_or((rest, "0"));
        let id: InstanceId = name.parse().expect("an instance");
        let key = (TargetName::local(), id.clone());
        let now = self.model.now;
        let being: &mut Being = self.model.beings.get_mut(&key).expect("it is there");
        match verb {
            "crash" => being.state = Life::Down { code: Some(1), at: now, why: ExitWhy::ByItself },
            "sicken" => being.sick = Some(now),
            "heal" => being.sick = None,
            "vanish" => drop(self.model.beings.remove(&key)),
            _ => drop(self.model.in_flight.insert(id, count.parse().expect("a count"))),
        }
    }

    fn tick(&mut self) -> Ticked {
        let ticked = self.model.tick(None);
        let state = ticked.plan.verdict.message.clone();
        if ticked.done > 0 || state != self.state {
            let mut words: Vec<_> = ticked.plan.steps.iter().take(ticked.done).map(ToString::to_string).collect();
            if state != self.state {
                words.push(format!("{:?}: {state}", ticked.plan.verdict.state));
            }
            let at = self.model.now.since(scene::NOW).as_millis();
            self.lines.push(format!("{:>5}.{:03} {}", at / 1000, at % 1000, words.join("; ")));
        }
        self.state = state;
        ticked
    }

    fn settle(&mut self) {
        for _ in 0..TICKS_MAX {
            let ticked = self.tick();
            let Some(next) = next(&self.model, &ticked) else { return };
            self.model.pass(next);
        }
        panic!("it does not come to rest:\n{}", self.lines.join("\n"));
    }

    fn wait(&mut self, time: Duration) {
        let end = self.model.now.after(time);
        for _ in 0..TICKS_MAX {
            let ticked = self.tick();
            match next(&self.model, &ticked) {
                Some(next) if next <= end => self.model.pass(next),
                Some(_) | None => return self.model.pass(end),
            }
        }
        panic!("too much happens:\n{}", self.lines.join("\n"));
    }
}

/// Lets time pass until nothing is left to do.
pub fn settle(model: &mut Model) {
    for _ in 0..TICKS_MAX {
        let ticked = model.tick(None);
        let Some(next) = next(model, &ticked) else { return };
        model.pass(next);
    }
    panic!("it does not come to rest");
}

/// When the daemon looks again: at once after it acted, when asked to, or when something happens.
pub fn next(model: &Model, ticked: &Ticked) -> Option<Timestamp> {
    if ticked.moved {
        return Some(model.now);
    }
    let due = match ticked.plan.wake {
        Wake::At(at, _) => Some(at),
        Wake::OnChange => None,
    };
    due.into_iter().chain(model.next_event()).min()
}

/// Reads `passes 700ms`, `never passes`, `sick 20s`, `exits 2s`, `completes 3s`, `cannot start`, `is refused`.
fn behaviour(words: &str) -> Behaviour {
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    let time = || wait(rest).expect("a wait");
    let plain = Behaviour::default();
    match verb {
        "passes" => Behaviour { passes_after: time(), ..plain },
        "never" => Behaviour { never_passes: true, ..plain },
        "sick" => Behaviour { sick_after: Some(time()), ..plain },
        "exits" => Behaviour { exits_after: Some((time(), 1)), ..plain },
        "completes" => Behaviour { exits_after: Some((time(), 0)), ..plain },
        "cannot" => Behaviour { cannot_start: true, ..plain },
        "is" => Behaviour { refused: true, ..plain },
        _ => panic!("nobody behaves like `{words}`"),
    }
}
