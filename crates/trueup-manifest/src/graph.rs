//! Finds circles among apps that wait for each other.
//!
//! Linear in apps and dependencies, and without recursion: a chain may be ten thousand apps long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trueup_museum::{Bug, planted};
use trueup_types::AppName;

/// Most names of a circle that a message shows.
const SHOWN_MAX: usize = 8;

/// Who waits for whom.
pub(crate) type Waits<'a> = BTreeMap<&'a AppName, Vec<&'a AppName>>;

/// Apps that wait for themselves, each with the circle it is in, as `a → b → a`.
pub(crate) fn circles<'a>(waits: &Waits<'a>) -> BTreeMap<&'a AppName, String> {
    let mut found = BTreeMap::new();
    if planted(Bug::AcceptsCircles) {
        return found;
    }
    let knots = knotted(waits);
    for start in &knots {
        if found.contains_key(start) {
            continue;
        }
        let Some(circle) = shortest(start, waits, &knots) else { continue };
        for app in &circle {
            found.entry(*app).or_insert_with(|| spell(&circle));
        }
    }
    found
}

/// What is left once everything that waits for nothing, or for which nothing waits, is taken away: the circles, and
/// whatever lies on a way from one circle to another.
fn knotted<'a>(waits: &Waits<'a>) -> BTreeSet<&'a AppName> {
    let mut left: BTreeSet<&AppName> = waits.keys().copied().collect();
    let mut waited_by: Waits<'a> = BTreeMap::new();
    for (app, others) in waits {
        others.iter().for_each(|other| waited_by.entry(other).or_default().push(app));
    }
    peel(&mut left, waits, &waited_by);
    peel(&mut left, &waited_by, waits);
    left
}

/// Takes away, again and again, what has no way forward to anything left.
fn peel<'a>(left: &mut BTreeSet<&'a AppName>, forward: &Waits<'a>, back: &Waits<'a>) {
    let ways = |app: &AppName, left: &BTreeSet<&AppName>| {
        forward.get(app).map_or(0, |others| others.iter().filter(|other| left.contains(*other)).count())
    };
    let mut counts: BTreeMap<&AppName, usize> = left.iter().map(|app| (*app, ways(app, left))).collect();
    let mut open: Vec<&AppName> = counts.iter().filter(|(_, count)| **count == 0).map(|(app, _)| *app).collect();
    while let Some(app) = open.pop() {
        if !left.remove(app) {
            continue;
        }
        for other in back.get(app).into_iter().flatten() {
            let Some(count) = counts.get_mut(other) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.push(other);
            }
        }
    }
}

/// The shortest way from an app back to itself.
fn shortest<'a>(start: &'a AppName, waits: &Waits<'a>, knots: &BTreeSet<&'a AppName>) -> Option<Vec<&'a AppName>> {
    let mut from: BTreeMap<&AppName, &AppName> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(app) = open.pop_front() {
        for other in waits.get(app).into_iter().flatten().filter(|other| knots.contains(*other)) {
            if *other == start {
                let mut circle = vec![app];
                while let Some(before) = circle.last().and_then(|last| from.get(last)) {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if !from.contains_key(other) {
                from.insert(other, app);
                open.push_back(other);
            }
        }
    }
    None
}

fn spell(circle: &[&AppName]) -> String {
    let mut names: Vec<_> = circle.iter().take(SHOWN_MAX).map(|app| app.as_str()).collect();
    if circle.len() > SHOWN_MAX {
        names.push("…");
    }
    names.extend(circle.first().map(|app| app.as_str()));
    names.join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[(&str, &str)], expected: &[(&str, &str)]) {
        let name = |text: &str| AppName::new(text).expect("a name");
        let owned: Vec<_> = edges.iter().map(|(from, to)| (name(from), name(to))).collect();
        let mut waits: Waits<'_> = BTreeMap::new();
        for (from, to) in &owned {
            waits.entry(from).or_default().push(to);
            waits.entry(to).or_default();
        }
        let found: Vec<_> = circles(&waits).into_iter().map(|(app, circle)| (app.to_string(), circle)).collect();
        let expected: Vec<_> = expected.iter().map(|(app, circle)| ((*app).to_owned(), (*circle).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn circles_are_shown_and_bystanders_are_not_in_them() {
        check(&[("a", "b"), ("b", "c")], &[]);
        check(&[("a", "a")], &[("a", "a → a")]);
        check(
            &[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "y")],
            &[("a", "a → b → c → a"), ("b", "a → b → c → a"), ("c", "a → b → c → a")],
        );
        // Two circles and a bridge: the bridge is in none.
        check(
            &[("a", "b"), ("b", "a"), ("b", "m"), ("m", "y"), ("y", "z"), ("z", "y")],
            &[("a", "a → b → a"), ("b", "a → b → a"), ("y", "y → z → y"), ("z", "y → z → y")],
        );
    }
}
