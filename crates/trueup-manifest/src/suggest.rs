//! Guesses what a person meant to write.

use similar::get_close_matches;

/// How alike two words must be, from 0 to 1: `comand` and `command` are 0.92, `port` and `path` are 0.5.
const LIKENESS_MIN: f32 = 0.6;

/// The known word nearest to `word`, if any is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(same) = known.iter().find(|known| known.eq_ignore_ascii_case(word)) {
        return Some(same);
    }
    // Comparing is quadratic in the length; nobody mistypes a word this long.
    if word.len() > 64 {
        return None;
    }
    get_close_matches(word, &known, 1, LIKENESS_MIN).first().copied()
}

/// `did you mean …?` when something is near, and all that is known otherwise.
pub(crate) fn remedy<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_understood() {
        let known = ["command", "replicas", "routes", "rollout", "env"];
        for (word, meant) in [("comand", "command"), ("replica", "replicas"), ("Env", "env"), ("rolout", "rollout")] {
            assert_eq!(nearest(word, known), Some(meant));
        }
        assert_eq!(nearest("xyz", known), None);
    }
}
