//! One instance of the small world, as it truly is, and how those of a version behave.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trueup_types::observed::ExitWhy;
use trueup_types::{Place, Release, Timestamp};

/// How the instances of a version behave.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    pub passes_after: Duration,
    pub never_passes: bool,
    pub sick_after: Option<Duration>,
    pub exits_after: Option<(Duration, i32)>,
    pub cannot_start: bool,
    pub refused: bool,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { never_passes: true, .. } => f.write_str("never passes"),
            Self { cannot_start: true, .. } => f.write_str("cannot start"),
            Self { refused: true, .. } => f.write_str("is refused"),
            Self { exits_after: Some((after, code)), .. } => write!(f, "exits {code} after {after:?}"),
            Self { sick_after: Some(after), .. } => write!(f, "sick after {after:?}"),
            Self { passes_after, .. } => write!(f, "passes after {passes_after:?}"),
        }
    }
}

/// One instance, as it truly is.
#[derive(Debug, Clone)]
pub struct Being {
    pub release: Arc<Release>,
    /// The hook that it runs, if it runs one.
    pub hook: Option<String>,
    pub place: Place,
    pub born: Timestamp,
    pub life: u32,
    pub state: Life,
    /// A fault from outside: it fails its probes since then.
    pub sick: Option<Timestamp>,
}

/// What an instance is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    Made,
    Up { since: Timestamp },
    Going { until: Timestamp },
    Down { code: Option<i32>, at: Timestamp, why: ExitWhy },
}
