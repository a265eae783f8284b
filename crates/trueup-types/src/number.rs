//! Numbers that could be swapped, each with a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!(concat!($prefix, "{}"), self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number!(
    /// Counts the edits of an app's intent; 0 before the first.
    Generation(u64), "g"
);
number!(
    /// Counts the releases of an app that were rolled out; the first is 1.
    Revision(u64), "r"
);
number!(
    /// The number of an instance among those of its revision; the lowest not in use.
    Ordinal(u32), ""
);
number!(
    /// Counts the route tables that were handed to an ingress.
    TableGeneration(u64), "t"
);

/// A share of a hundred, 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100);
    /// None of it.
    pub const NONE: Self = Self(0);

    /// A share, when within 0 to 100.
    #[must_use]
    pub fn new(share: u8) -> Option<Self> {
        (share <= 100).then_some(Self(share))
    }

    /// The number, 0 to 100.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = String;
    fn try_from(share: u8) -> Result<Self, String> {
        Self::new(share).ok_or_else(|| format!("{share} is not within 0 to 100"))
    }
}

impl From<Percent> for u8 {
    fn from(share: Percent) -> Self {
        share.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many instances: a number, or a percentage of the wanted replicas.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// So many, whatever is wanted.
    Count(u32),
    /// So many of a hundred of the wanted replicas.
    Share(Percent),
}

impl Quantity {
    /// The count for `replicas`, rounded up: for surges.
    #[must_use]
    pub fn of_rounded_up(self, replicas: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => replicas - part(replicas, 100 - share.get()),
        }
    }

    /// The count for `replicas`, rounded down: for what may be unavailable.
    #[must_use]
    pub fn of_rounded_down(self, replicas: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => part(replicas, share.get()),
        }
    }
}

/// So many of a hundred, rounded down, without an overflow on the way.
fn part(replicas: u32, share: u8) -> u32 {
    let share = u32::from(share);
    replicas / 100 * share + replicas % 100 * share / 100
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share}"),
        }
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Quantity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a number like `1` nor a percentage like `25%`");
        match text.strip_suffix('%') {
            Some(share) => {
                let share = share.parse::<u8>().ok().and_then(Percent::new);
                share.map(Self::Share).ok_or_else(wrong)
            }
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_surge_up_and_unavailable_down() {
        let quarter: Quantity = "25%".parse().expect("a percentage");
        assert_eq!(quarter.of_rounded_up(3), 1);
        assert_eq!(quarter.of_rounded_down(3), 0);
        for (replicas, up, down) in
            [(0, 0, 0), (1, 1, 0), (100, 25, 25), (101, 26, 25), (44_000_001, 11_000_001, 11_000_000)]
        {
            assert_eq!((quarter.of_rounded_up(replicas), quarter.of_rounded_down(replicas)), (up, down), "{replicas}");
        }
        let all = Quantity::Share(Percent::ALL);
        assert_eq!((all.of_rounded_up(u32::MAX), all.of_rounded_down(u32::MAX)), (u32::MAX, u32::MAX));
        assert_eq!("2".parse::<Quantity>(), Ok(Quantity::Count(2)));
        assert!("101%".parse::<Quantity>().is_err());
        assert!("-1".parse::<Quantity>().is_err());
    }
}
