//! The cases that are kept: of each bug and each tier that meets it by itself, the first one that broke.
//!
//! They lie in `caught.txt`, a line each: the bug, the tier, the case. `--replay keep` writes it: what still breaks stays,
//! what does not is looked for again in the tier's sample. So the page claims nothing that was not seen, and each run of
//! the tier sees it again in a moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use trueup_museum::Bug;

use super::catcher::{self, Catcher, STORY};
use crate::panics::hush;
use crate::tier::{Effort, Scale};
use crate::workers;

/// Longest case that is kept, in bytes: a longer one is nothing that a person reads.
const CASE_BYTES_MAX: usize = 600;

/// By which tiers each bug is met, and in which case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept(BTreeMap<(Bug, &'static str), String>);

impl Kept {
    /// Reads what is kept.
    ///
    /// # Errors
    /// When the file is not there, or a line of it means nothing.
    pub fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path()).with_context(|| format!("{} cannot be read", path().display()))?;
        let entry = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (bug, tier, case) = (words.next(), words.next(), words.next());
            let bug = bug.and_then(named).with_context(|| format!("there is no such bug: {line}"))?;
            let tier = tier.and_then(catcher::named).with_context(|| format!("there is no such tier: {line}"))?;
            Ok(((bug, tier.name), case.with_context(|| format!("there is no case: {line}"))?.to_owned()))
        };
        Ok(Self(text.lines().map(entry).collect::<anyhow::Result<_>>()?))
    }

    /// Every bug with each tier that meets it, and the case.
    pub fn all(&self) -> Vec<(Bug, &'static Catcher, &str)> {
        let all = self.0.iter().filter_map(|((bug, tier), case)| Some((*bug, catcher::named(tier)?, case.as_str())));
        all.collect()
    }

    /// The case of a bug and a tier.
    pub fn case(&self, bug: Bug, tier: &'static str) -> Option<&str> {
        self.0.get(&(bug, tier)).map(String::as_str)
    }

    /// The tiers that meet a bug, in the order of the catchers.
    pub fn tiers(&self, bug: Bug) -> Vec<&'static str> {
        catcher::ALL.iter().map(|one| one.name).filter(|name| self.case(bug, name).is_some()).collect()
    }

    /// Looks for all of it, or for what one tier meets, and writes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(only: Option<&'static Catcher>) -> anyhow::Result<Self> {
        let before = Self::read().unwrap_or_default();
        let kept = Mutex::new(before.clone());
        let catchers: Vec<_> = catcher::ALL.iter().filter(|one| one.name != STORY).collect();
        let asked: Vec<_> = catchers.into_iter().filter(|one| only.is_none_or(|only| only.name == one.name)).collect();
        let effort = Effort::new(Scale::Long, None);
        let bugs = Bug::ALL.len();
        workers::each(&effort, "bugs and tiers", u64::try_from(bugs * asked.len())?, |number| {
            hush();
            let number = usize::try_from(number).expect("few");
            let (bug, tier) = (Bug::ALL[number % bugs], asked[number / bugs]);
            let found = look(bug, tier, before.case(bug, tier.name));
            println!("{} {} {}", bug.name(), tier.name, found.as_deref().unwrap_or("-"));
            let mut kept = kept.lock().expect("no worker panics");
            match found {
                Some(case) => drop(kept.0.insert((bug, tier.name), case)),
                None => drop(kept.0.remove(&(bug, tier.name))),
            }
            Ok(1)
        });
        let kept = kept.into_inner().expect("no worker panics");
        let line = |((bug, tier), case): (&(Bug, &str), &String)| format!("{} {tier} {case}\n", bug.name());
        std::fs::write(path(), kept.0.iter().map(line).collect::<String>())?;
        Ok(kept)
    }
}

/// A case in which a tier meets a bug, and in which nothing is wrong without it.
fn look(bug: Bug, tier: &Catcher, before: Option<&str>) -> Option<String> {
    let good = |case: &str| {
        let breaks = tier.play(case, Some(bug)).is_ok_and(|wrong| wrong.is_some());
        breaks && tier.play(case, None).is_ok_and(|wrong| wrong.is_none())
    };
    let found = before.map(str::to_owned).filter(|case| good(case));
    found.or_else(|| tier.ask(Some(bug)).map(|found| found.replay).filter(|case| good(case) && keepable(case)))
}

/// Whether a case can be a line.
fn keepable(case: &str) -> bool {
    case.len() <= CASE_BYTES_MAX && !case.contains('\n')
}

fn named(name: &str) -> Option<Bug> {
    Bug::ALL.iter().copied().find(|bug| bug.name() == name)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/museum/caught.txt")
}
