//! The driver's queue, as a value.

use trueup_driver::queue::{AGED, Ask, Priority, Queue};
use trueup_types::Timestamp;

use super::Told;
use super::stage::{name, sure};

fn ask(at: Timestamp, priority: Priority) -> Ask {
    Ask { at, priority, why: "story" }
}

pub fn what_is_asked_during_a_look_comes_after_it() -> Told {
    let (mut queue, now) = (Queue::default(), Timestamp::from_millis(1));
    queue.ask(&name("web"), ask(now, Priority::Edit));
    sure(queue.take(now).is_some(), "an edit is not looked at")?;
    queue.ask(&name("web"), ask(now, Priority::Edit));
    queue.done(&name("web"));
    sure(queue.take(now).is_some(), "an edit that came during a look is forgotten")
}

pub fn looks_at_one_app_do_not_overlap() -> Told {
    let (mut queue, now) = (Queue::default(), Timestamp::from_millis(1));
    queue.ask(&name("web"), ask(now, Priority::Edit));
    sure(queue.take(now).is_some(), "an edit is not looked at")?;
    queue.ask(&name("web"), ask(now, Priority::Edit));
    sure(queue.take(now).is_none(), "a second look begins while the first is under way")
}

pub fn what_waits_long_enough_has_its_turn() -> Told {
    let (mut queue, begun) = (Queue::default(), Timestamp::from_millis(1));
    queue.ask(&name("routine"), ask(begun, Priority::Resync));
    let mut now = begun;
    for _ in 0..10 {
        now = now.after(AGED / 2);
        queue.ask(&name("busy"), ask(now, Priority::Edit));
        match queue.take(now) {
            Some((app, _)) if app == name("routine") => return Ok(()),
            Some((app, _)) => queue.done(&app),
            None => return Err("nothing is due".to_owned()),
        }
    }
    Err(format!("a routine look waited for {} s behind edits", now.since(begun).as_secs()))
}
