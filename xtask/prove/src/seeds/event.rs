//! What may happen in a case, and to whom.

use std::fmt;
use std::time::Duration;

use trueup_sim::faults::Odds;
use trueup_types::order::Order;
use trueup_types::{AppName, TargetName};

use super::setting::Wish;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// A manifest is written.
    Edit {
        /// Whose.
        app: AppName,
        /// What it says.
        wish: Wish,
    },
    /// A manifest is removed.
    Remove {
        /// Whose.
        app: AppName,
    },
    /// A person says a word.
    Word {
        /// To whom.
        app: AppName,
        /// Which.
        order: Order,
    },
    /// Something befalls an instance.
    Befall {
        /// Whose.
        app: AppName,
        /// Which of those that are there, counted round.
        index: usize,
        /// What.
        harm: Harm,
    },
    /// The target refuses for good what is to be made or started, or no longer.
    Refuse {
        /// Of which app.
        app: AppName,
        /// Of which of its releases; `None` of none.
        what: Option<Refused>,
    },
    /// The daemon is killed, or leaves in peace.
    End {
        /// Whether it is killed where it stands.
        killed: bool,
    },
    /// The daemon is started, if none runs.
    Start,
    /// Something becomes of the store.
    Store(Loss),
    /// A target no longer answers, or answers again.
    Dark {
        /// Which.
        target: TargetName,
        /// Whether it is dark.
        dark: bool,
    },
    /// The ingress no longer answers, or answers again.
    EdgeDark(bool),
    /// Somebody empties the live table, at a number of his own.
    EdgeEmptied,
    /// The ingress has forgotten everything.
    EdgeLost,
    /// How likely faults are from here on.
    Odds(Odds),
    /// Nobody knows what is wanted, or they know again.
    Doubt(bool),
    /// The watch of the manifests loses its events, or has them again.
    Hush(bool),
    /// The host goes down with all that runs on it, and comes back.
    Reboot,
    /// The host sleeps: nobody does anything, and the clock goes on.
    Sleep(Duration),
    /// Requests are in flight to an instance.
    Busy {
        /// Whose.
        app: AppName,
        /// Which.
        index: usize,
        /// How many.
        count: u32,
    },
    /// A person lets vanished apps go.
    ApprovePrune,
}

/// What a target refuses of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Every release that has been begun: a fix of it is taken.
    Begun,
    /// Every release, whatever comes.
    All,
}

/// What befalls an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It exits with a code.
    Crash(i32),
    /// It answers its probes badly from here on.
    Sicken,
    /// It answers well again.
    Cure,
    /// A third party takes it away.
    Steal,
    /// A third party puts something else in its place, under our label.
    Alter,
}

/// What becomes of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// A copy of it is kept.
    Copied,
    /// Everything is lost, and that is noticed.
    Lost,
    /// The whole directory is lost: nobody notices.
    Wiped,
    /// The copy is put back, and that is noticed.
    PutBack,
    /// The copy is put back with its watermark: nobody notices.
    PutBackUnnoticed,
    /// The disk is full, or has room again.
    Full(bool),
}

/// Something, and when.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Counted from the beginning.
    pub at: Duration,
    /// What.
    pub event: Event,
}

impl Event {
    /// The app that it is about, where it is about one.
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::Edit { app, .. }
            | Self::Remove { app }
            | Self::Word { app, .. }
            | Self::Befall { app, .. }
            | Self::Refuse { app, .. }
            | Self::Busy { app, .. } => Some(app),
            Self::End { .. }
            | Self::Start
            | Self::Store(_)
            | Self::Dark { .. }
            | Self::EdgeDark(_)
            | Self::EdgeEmptied
            | Self::EdgeLost
            | Self::Odds(_)
            | Self::Doubt(_)
            | Self::Hush(_)
            | Self::Reboot
            | Self::Sleep(_)
            | Self::ApprovePrune => None,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}ms {}", self.at.as_millis(), self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit { app, wish } => write!(f, "edit {app}: {wish}"),
            Self::Remove { app } => write!(f, "remove the manifest of {app}"),
            Self::Word { app, order } => write!(f, "say {} to {app}", order.verb()),
            Self::Befall { app, index, harm } => write!(f, "{harm:?} befalls #{index} of {app}"),
            Self::Refuse { app, what: Some(what) } => write!(f, "{what:?} of {app} is refused from here on"),
            Self::Refuse { app, what: None } => write!(f, "nothing of {app} is refused any more"),
            Self::End { killed: true } => f.write_str("kill the daemon"),
            Self::End { killed: false } => f.write_str("the daemon leaves"),
            Self::Start => f.write_str("start the daemon"),
            Self::Store(loss) => write!(f, "store: {loss:?}"),
            Self::Dark { target, dark } => write!(f, "{target} is {}", if *dark { "dark" } else { "light again" }),
            Self::EdgeDark(dark) => write!(f, "the edge is {}", if *dark { "dark" } else { "light again" }),
            Self::EdgeEmptied => f.write_str("somebody empties the live table"),
            Self::EdgeLost => f.write_str("the edge forgets its table"),
            Self::Odds(odds) => write!(f, "{odds:?}"),
            Self::Doubt(doubt) => write!(f, "the manifests are {}", if *doubt { "in doubt" } else { "seen again" }),
            Self::Hush(hushed) => write!(f, "the watch is {}", if *hushed { "silent" } else { "heard again" }),
            Self::Reboot => f.write_str("the host reboots"),
            Self::Sleep(time) => write!(f, "the host sleeps for {} s", time.as_secs()),
            Self::Busy { app, index, count } => write!(f, "{count} in flight to #{index} of {app}"),
            Self::ApprovePrune => f.write_str("approve prune"),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, replicas, route, strategy, target, suspend, alone } = self;
        write!(f, "{replicas}×v{version} {} on {target}", strategy.as_str())?;
        match route {
            None => write!(f, " without a route")?,
            Some(0) => {}
            Some(number) => write!(f, " at /{number}")?,
        }
        if *alone {
            write!(f, " alone")?;
        }
        if *suspend { write!(f, " suspended") } else { Ok(()) }
    }
}
