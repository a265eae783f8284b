//! The mass-delete guard: how many apps may vanish at once without a person's word.

use std::collections::BTreeSet;

use trueup_museum::{Bug, planted};
use trueup_types::AppName;
use trueup_types::desired::Hold;

/// So many may always vanish at once.
const ALWAYS: usize = 3;
/// So many of a hundred may vanish at once.
const PERCENT: usize = 20;

/// Which vanished apps may go.
#[derive(Debug, Default)]
pub struct Guard {
    blocked: BTreeSet<AppName>,
    going: BTreeSet<AppName>,
}

impl Guard {
    /// Takes in which apps are known to be gone, of so many known in all; `strict` lets none go without a word.
    ///
    /// What may go once may go on going. Those that came back are forgotten.
    pub fn review(&mut self, gone: &BTreeSet<AppName>, known: usize, strict: bool) {
        self.blocked.retain(|app| gone.contains(app));
        self.going.retain(|app| gone.contains(app));
        let fresh: Vec<_> = gone.iter().filter(|app| !self.going.contains(*app)).cloned().collect();
        if fresh.is_empty() {
            return;
        }
        let percent = if planted(Bug::DeletesInMasses) { 100 } else { PERCENT };
        let limit = ALWAYS.max(known * percent / 100);
        if strict || self.going.len() + fresh.len() > limit {
            self.blocked.extend(fresh);
        } else {
            self.blocked.retain(|app| !fresh.contains(app));
            self.going.extend(fresh);
        }
    }

    /// Those that wait for a word.
    #[must_use]
    pub fn blocked(&self) -> Vec<AppName> {
        self.blocked.iter().cloned().collect()
    }

    /// A person's word: these may go.
    pub fn approve(&mut self, apps: &[AppName]) {
        self.blocked.retain(|app| !apps.contains(app));
        self.going.extend(apps.iter().cloned());
    }

    /// Lets these go, as was approved before a restart.
    pub fn approved(&mut self, apps: impl IntoIterator<Item = AppName>) {
        self.going.extend(apps);
    }

    /// Whether an app that is gone may go.
    ///
    /// # Errors
    /// What holds it.
    pub fn permit(&self, app: &AppName) -> Result<(), Hold> {
        if self.going.contains(app) {
            return Ok(());
        }
        let waiting = u32::try_from(self.blocked.len()).unwrap_or(u32::MAX);
        Err(Hold::PruneBlocked { waiting })
    }

    /// How many wait for a word.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.blocked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(count: usize) -> BTreeSet<AppName> {
        (0..count).map(|index| AppName::new(&format!("a{index}")).expect("a name")).collect()
    }

    fn permitted(gone: usize, known: usize) -> usize {
        let mut guard = Guard::default();
        guard.review(&apps(gone), known, false);
        apps(gone).iter().filter(|app| guard.permit(app).is_ok()).count()
    }

    #[test]
    fn three_or_a_fifth_may_go_at_once_and_more_wait_together() {
        assert_eq!(permitted(3, 4), 3);
        assert_eq!(permitted(4, 10), 0);
        assert_eq!(permitted(10, 50), 10);
        assert_eq!(permitted(11, 50), 0);
    }

    #[test]
    fn a_word_lets_those_go_that_wait_and_no_others() {
        let mut guard = Guard::default();
        guard.review(&apps(30), 50, false);
        assert_eq!(guard.waiting(), 30);
        guard.approve(&guard.blocked());
        assert_eq!(guard.waiting(), 0);
        assert!(apps(30).iter().all(|app| guard.permit(app).is_ok()));
        guard.review(&apps(31), 50, false);
        assert!(guard.permit(&AppName::new("a30").expect("a name")).is_err(), "the word was for the thirty");
    }

    #[test]
    fn one_that_comes_back_is_forgotten() {
        let mut guard = Guard::default();
        guard.review(&apps(2), 50, false);
        guard.review(&apps(0), 50, false);
        guard.review(&apps(2), 50, true);
        assert_eq!(guard.waiting(), 2);
    }
}
