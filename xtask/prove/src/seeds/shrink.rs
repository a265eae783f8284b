//! Makes a case that is wrong as short as it may be: leaves out one event after the other while it stays wrong.

use super::case::Case;
use super::play::{Keep, play};

/// Most times that a case is played while it is made shorter.
const PLAYS_MAX: u32 = 2_000;

/// The shortest case that is still wrong.
pub fn shrunk(case: &Case) -> Case {
    let mut shortest = case.clone();
    let mut plays = 0;
    let sought = kinds(case);
    let mut wrong = |case: &Case| {
        plays += 1;
        plays <= PLAYS_MAX && kinds(case).iter().any(|kind| sought.contains(kind))
    };
    loop {
        let before = shortest.history.len();
        for index in (0..before).rev() {
            let mut shorter = shortest.clone();
            shorter.history.remove(index);
            if wrong(&shorter) {
                shortest = shorter;
            }
        }
        for index in (1..shortest.setting.casts.len()).rev() {
            let mut smaller = shortest.clone();
            let gone = smaller.setting.casts.remove(index).sketch.name;
            let about = |event: &super::event::Event| event.app() == Some(&gone);
            if !smaller.history.iter().any(|moment| about(&moment.event)) && wrong(&smaller) {
                shortest = smaller;
            }
        }
        if shortest.history.len() == before {
            return shortest;
        }
    }
}

/// What is wrong with a case, but for names and numbers.
fn kinds(case: &Case) -> Vec<String> {
    let kind = |wrong: String| {
        let head = wrong.split([';', '[']).next().unwrap_or_default();
        let words = head.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == ':'));
        words.take(12).collect::<Vec<_>>().join(" ")
    };
    play(case, Keep::Wrong).wrong.into_iter().map(kind).collect()
}
