//! What can happen next in the small world, each with a word and a number, so that a path is a line of text.

use std::fmt;
use std::str::FromStr;

/// What paying for a deed takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purse {
    /// It costs nothing, and goes on by itself.
    Free,
    /// What people change.
    Edit,
    /// What goes wrong.
    Fault,
    /// What people say.
    Word,
}

/// Declares the deeds: what each is, its purse, and its word.
macro_rules! deeds {
    ($($(#[doc = $doc:literal])+ $name:ident, $purse:ident, $word:literal;)+) => {
        /// Something that happens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Deed {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Deed {
            /// Every deed.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What it costs.
            pub const fn purse(self) -> Purse {
                match self { $(Self::$name => Purse::$purse),+ }
            }

            /// What it is, in a sentence.
            pub const fn told(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

deeds! {
    /// An instance that was coming up is decided: it passes, or it fails.
    Turn, Free, "turn";
    /// An instance that was told to go has gone.
    Exit, Free, "exit";
    /// An instance of a version that dies, dies.
    Fall, Free, "fall";
    /// A hook ends, as its release has it.
    Finish, Free, "finish";
    /// A daemon that has just begun has asked every probe once.
    Probe, Free, "probe";
    /// A call whose answer was lost long ago takes effect.
    Land, Free, "land";
    /// The edge answers again.
    Light, Free, "light";
    /// What was held back is allowed again.
    Release, Free, "release";
    /// Every target was seen since the store was lost.
    Survey, Free, "survey";
    /// The manifests can be read again.
    Sure, Free, "sure";
    /// The next step of the second daemon's plan lands.
    Meddle, Free, "meddle";
    /// The second daemon leaves.
    Leave, Free, "leave";
    /// A look that was remembered is thrown away.
    Forget, Free, "forget";
    /// A failing instance is well again.
    Cure, Free, "cure";
    /// Time passes, to the next moment at which anything is due.
    Pass, Free, "pass";
    /// The daemon looks, plans, saves and acts.
    Tick, Free, "tick";
    /// The manifest names another version.
    Edit, Edit, "edit";
    /// The manifest asks for another number of instances.
    Scale, Edit, "scale";
    /// The manifest goes.
    Remove, Edit, "remove";
    /// The manifests cannot be read.
    Doubt, Fault, "doubt";
    /// A good instance exits by itself.
    Crash, Fault, "crash";
    /// A good instance fails its probes.
    Sicken, Fault, "sicken";
    /// A third party takes an instance away.
    Steal, Fault, "steal";
    /// The host goes down and comes back: everything on it has ended.
    HostLost, Fault, "hostlost";
    /// The daemon plans, saves, and dies before a step.
    Die, Fault, "die";
    /// The same, on a disk that took no save.
    Unsaved, Fault, "unsaved";
    /// A step does not happen, and nobody knows.
    Lost, Fault, "lost";
    /// A step happens, and nobody knows.
    Landed, Fault, "landed";
    /// A step will happen some time later, and nobody knows.
    Late, Fault, "late";
    /// The world is remembered as it is, by a listing that will be served again.
    Notice, Fault, "notice";
    /// The daemon plans on the remembered look: 0 all of it, 1 with today's routes.
    Stale, Free, "stale";
    /// A second daemon looks and plans: 0 with a copy of the store, 1 with an empty one.
    Meet, Fault, "meet";
    /// The store is lost.
    LoseStore, Fault, "losestore";
    /// The edge does not answer.
    Dark, Fault, "dark";
    /// Something is not allowed: 0 to destroy, 1 to begin a rollout, 2 as a dependency is not ready.
    Hold, Fault, "hold";
    /// A long request begins.
    Busy, Fault, "busy";
    /// An hour passes with the daemon dead.
    Sleep, Fault, "sleep";
    /// Time passes though something that could happen has not.
    Slow, Fault, "slow";
    /// `rollback`.
    Rollback, Word, "rollback";
    /// `retry`.
    Retry, Word, "retry";
    /// `restart`.
    Restart, Word, "restart";
    /// `promote`.
    Promote, Word, "promote";
    /// `abort`.
    Abort, Word, "abort";
    /// `suspend`.
    Suspend, Word, "suspend";
    /// `resume`.
    Resume, Word, "resume";
}

/// A deed, and on which thing: an instance, a step, a version, as the deed has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action(pub Deed, pub u8);

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.word(), self.1)
    }
}

impl FromStr for Action {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let word = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let deed = Deed::ALL.iter().find(|deed| deed.word() == word);
        let deed = deed.ok_or_else(|| anyhow::anyhow!("nothing is called `{word}`"))?;
        Ok(Self(*deed, text[word.len()..].parse()?))
    }
}
