//! From answers to health: one probe's state, turned by each answer.
//!
//! Three-valued: an answer is good, bad, or says nothing because the asking failed. Pure; `prober` asks, this judges.

use trueup_museum::{Bug, planted};
use trueup_types::Timestamp;
use trueup_types::observed::{Health, ProbeFailure};
use trueup_types::probe::Probe;

/// What one question came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad(ProbeFailure),
    /// The asking failed for a reason of our own: evidence of nothing.
    Nothing(String),
}

/// One probe's state.
#[derive(Debug, Clone)]
pub struct ProbeState {
    good: u32,
    bad: u32,
    health: Health,
}

impl Default for ProbeState {
    fn default() -> Self {
        Self { good: 0, bad: 0, health: Health::Unknown }
    }
}

impl ProbeState {
    /// Its health so far.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Takes in an answer; `started` is when the instance came up.
    pub fn turn(&mut self, probe: &Probe, answer: Answer, started: Timestamp, now: Timestamp) {
        match answer {
            Answer::Nothing(_) => {}
            Answer::Good => {
                self.good = self.good.saturating_add(1);
                self.bad = 0;
                let passes = matches!(self.health, Health::Passing { .. });
                // Fewer good answers than it takes say nothing against one that a daemon has just met.
                if !passes && self.good >= probe.successes {
                    self.health = Health::Passing { since: now };
                }
            }
            Answer::Bad(last) => {
                self.good = 0;
                self.bad = self.bad.saturating_add(1);
                self.fail(probe, last, started, now);
            }
        }
    }

    fn fail(&mut self, probe: &Probe, last: ProbeFailure, started: Timestamp, now: Timestamp) {
        let in_grace = now.since(started) < probe.grace;
        match &mut self.health {
            Health::Failed { last: known, .. } => *known = last,
            Health::Passing { .. } if self.bad < probe.failures && !planted(Bug::FailsAtFirstAnswer) => {}
            // Once it has passed, its grace is over.
            Health::Passing { .. } => self.health = Health::Failed { since: now, last },
            Health::Unknown | Health::Waiting if in_grace => self.health = Health::Waiting,
            // A daemon that was restarted knows nothing yet: one bad answer is not evidence enough.
            Health::Unknown | Health::Waiting if self.bad < probe.failures => {}
            Health::Unknown | Health::Waiting => self.health = Health::Failed { since: now, last },
        }
    }
}

/// The health of an instance from that of its probes: the worst, and passing since the last began to pass.
#[must_use]
pub fn together<'a>(all: impl IntoIterator<Item = &'a Health>) -> Health {
    let mut latest = Timestamp::ZERO;
    let mut worst: Option<&Health> = None;
    for health in all {
        let rank = |health: &Health| match health {
            Health::Failed { .. } => 3,
            Health::Waiting => 2,
            Health::Unknown => 1,
            Health::Passing { .. } => 0,
        };
        if let Health::Passing { since } = health {
            latest = latest.max(*since);
        }
        if worst.is_none_or(|known| rank(health) > rank(known)) {
            worst = Some(health);
        }
    }
    match worst {
        Some(Health::Passing { .. }) => Health::Passing { since: latest },
        Some(Health::Failed { since, last }) => Health::Failed { since: *since, last: last.clone() },
        Some(Health::Waiting) => Health::Waiting,
        Some(Health::Unknown) | None => Health::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trueup_types::Label;
    use trueup_types::probe::Check;

    use super::*;

    fn probe() -> Probe {
        Probe {
            name: Label::new("ready").expect("a name"),
            check: Check::Exec { command: vec![] },
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            failures: 3,
            successes: 2,
        }
    }

    /// `+` is good, `-` is bad, `?` says nothing; one a second.
    fn run(script: &str) -> String {
        let (mut state, probe) = (ProbeState::default(), probe());
        let mut shown = String::new();
        for (second, sign) in script.chars().enumerate() {
            let now = Timestamp::from_millis(second as u64 * 1_000);
            let failure = ProbeFailure {
                probe: probe.name.clone(),
                at: now,
                detail: "no".to_owned(),
                status: None,
                body: String::new(),
            };
            let answer = match sign {
                '+' => Answer::Good,
                '-' => Answer::Bad(failure),
                _ => Answer::Nothing("busy".to_owned()),
            };
            state.turn(&probe, answer, Timestamp::ZERO, now);
            shown.push(match state.health() {
                Health::Passing { .. } => 'P',
                Health::Failed { .. } => 'F',
                Health::Waiting => 'W',
                Health::Unknown => 'U',
            });
        }
        shown
    }

    #[test]
    fn failures_within_the_grace_are_waited_for() {
        assert_eq!(run("---------------"), "WWWWWWWWWWFFFFF");
    }

    #[test]
    fn two_good_answers_pass_and_three_bad_ones_fail() {
        assert_eq!(run("-++--+---"), "WWPPPPPPF");
    }

    #[test]
    fn an_asking_that_failed_is_evidence_of_nothing() {
        assert_eq!(run("????"), "UUUU");
        assert_eq!(run("++?????"), "UPPPPPP");
        assert_eq!(run("++---??"), "UPPPFFF");
    }

    #[test]
    fn the_worst_probe_speaks_for_the_instance() {
        let passing = |at| Health::Passing { since: Timestamp::from_millis(at) };
        assert_eq!(together([&passing(5), &passing(9)]), passing(9));
        assert_eq!(together([&passing(5), &Health::Waiting]), Health::Waiting);
        assert_eq!(together([&passing(5), &Health::Unknown]), Health::Unknown);
    }
}
