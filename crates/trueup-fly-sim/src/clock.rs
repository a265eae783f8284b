//! The clock of the platform: turned by hand, or flowing, at any speed. The one file that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Moment;

/// Where time begins that is turned by hand: 2026-08-21.
const BEGINNING: Moment = Moment::from_millis(1_787_270_400_000);

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Only when somebody turns the clock.
    ByHand,
    /// By itself: so many seconds in each real one.
    Flowing {
        /// One is real time.
        speed: f64,
    },
}

/// A clock.
#[derive(Debug)]
pub(crate) struct Clock {
    pace: Pace,
    pub began: Moment,
    instant: Instant,
}

impl Clock {
    pub(crate) fn start(pace: Pace) -> Self {
        let began = match pace {
            Pace::ByHand => BEGINNING,
            Pace::Flowing { .. } => wall(),
        };
        Self { pace, began, instant: Instant::now() }
    }

    pub(crate) fn flows(&self) -> bool {
        self.pace != Pace::ByHand
    }

    /// What time it is, when it has been turned so far ahead; `None` where only the hand knows.
    pub(crate) fn now(&self, turned: Duration) -> Option<Moment> {
        match self.pace {
            Pace::ByHand => None,
            Pace::Flowing { speed } => Some(self.began.after(self.instant.elapsed().mul_f64(speed.max(0.0)) + turned)),
        }
    }

    /// How long this takes in real time.
    pub(crate) fn real(&self, span: Duration) -> Duration {
        match self.pace {
            Pace::ByHand => span,
            // A millisecond more: the moment is then reached, whatever was rounded.
            Pace::Flowing { speed } => span.div_f64(speed.max(0.001)) + Duration::from_millis(1),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one file that asks what time it is")]
fn wall() -> Moment {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
}
