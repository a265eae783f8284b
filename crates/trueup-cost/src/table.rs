//! The prices: a dated file, in which each names its source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trueup_types::Place;
use trueup_types::template::CpuKind;

/// The table that is built in.
const BUILT_IN: &str = include_str!("../prices/fly-2026-10-09.yaml");

/// What a platform bills, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceTable {
    /// Whose prices.
    pub platform: String,
    /// Of which day, as `2026-10-09`.
    pub date: String,
    /// In which currency; only `USD` is served.
    pub currency: String,
    /// The seconds of a month, by which prices of months and seconds are held together.
    pub month_seconds: u32,
    /// Where the prices were read, by the names that they give.
    pub sources: BTreeMap<String, Source>,
    pub(crate) machines: Machines,
    pub(crate) regions: BTreeMap<String, Region>,
    pub(crate) rootfs: PerGibMonth,
    pub(crate) volumes: PerGibMonth,
    pub(crate) addresses: PerMonth,
    pub(crate) certificates: Certificates,
    /// What no estimate holds, and what it would cost.
    pub not_counted: Vec<NotCounted>,
}

/// Where prices were read, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The page.
    pub url: String,
    /// The day, as `2026-10-09`.
    pub read: String,
    /// What else is to be known of it.
    #[serde(default)]
    pub note: String,
}

/// Something that a manifest does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCounted {
    /// What.
    pub what: String,
    /// Its price, for people.
    pub price: String,
    /// Where that was read.
    pub source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machines {
    pub shared: Cpu,
    pub performance: Cpu,
    pub memory: Memory,
}

/// A kind of CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Cpu {
    pub usd_per_cpu_second: f64,
    /// Memory that comes with each, in GiB.
    pub included_gib: f64,
    source: String,
}

/// Memory beyond what CPUs include.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Memory {
    pub usd_per_gib_second: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Region {
    /// By what machines are dearer there.
    markup: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PerGibMonth {
    pub usd_per_gib_month: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PerMonth {
    pub usd_per_month: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Certificates {
    pub usd_per_month: f64,
    pub free_of_an_organization: u32,
    source: String,
}

/// Why a text is no table of prices.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// It cannot be read as YAML at all.
    #[error("it is no YAML")]
    Yaml,
    /// Something is missing, of another type, or unknown.
    #[error("it has not the shape of a table of prices: {0}")]
    Shape(#[from] serde_json::Error),
    /// A number that no price can be.
    #[error("`{field}` is {number}, which is no price")]
    Number {
        /// Which.
        field: String,
        /// What it says.
        number: f64,
    },
    /// A price names a source that is not listed.
    #[error("`{field}` names the source `{source_name}`, which is not among `sources`")]
    Source {
        /// Which price.
        field: String,
        /// The name.
        source_name: String,
    },
    /// Another currency.
    #[error("its currency is `{0}`; only USD is served")]
    Currency(String),
}

impl PriceTable {
    /// The table that is built in.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the built-in table is read by a test")
    }

    /// The text of the table that is built in, to begin another with.
    #[must_use]
    pub fn built_in_text() -> &'static str {
        BUILT_IN
    }

    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong with it; nothing is guessed.
    pub fn parse(text: &str) -> Result<Self, PriceTableError> {
        let value = trueup_manifest::to_json(text).ok_or(PriceTableError::Yaml)?;
        let table: Self = serde_json::from_value(value)?;
        table.check()?;
        Ok(table)
    }

    /// By what machines are dearer in a region; `None` where that is not known.
    #[must_use]
    pub fn markup(&self, region: &Place) -> Option<f64> {
        self.regions.get(region.as_str()).map(|region| region.markup)
    }

    pub(crate) fn cpu(&self, kind: CpuKind) -> &Cpu {
        match kind {
            CpuKind::Shared => &self.machines.shared,
            CpuKind::Performance => &self.machines.performance,
        }
    }

    /// Each price with its field and its source.
    fn prices(&self) -> Vec<(String, f64, &str)> {
        let machines = &self.machines;
        let (shared, performance, memory) = (&machines.shared, &machines.performance, &machines.memory);
        let single: [(&str, f64, &str); 9] = [
            ("machines.shared", shared.usd_per_cpu_second, &shared.source),
            ("machines.shared.includedGib", shared.included_gib, &shared.source),
            ("machines.performance", performance.usd_per_cpu_second, &performance.source),
            ("machines.performance.includedGib", performance.included_gib, &performance.source),
            ("machines.memory", memory.usd_per_gib_second, &memory.source),
            ("rootfs", self.rootfs.usd_per_gib_month, &self.rootfs.source),
            ("volumes", self.volumes.usd_per_gib_month, &self.volumes.source),
            ("addresses", self.addresses.usd_per_month, &self.addresses.source),
            ("certificates", self.certificates.usd_per_month, &self.certificates.source),
        ];
        let single = single.into_iter().map(|(field, price, source)| (field.to_owned(), price, source));
        let regions = self.regions.iter();
        let regions = regions.map(|(name, region)| (format!("regions.{name}"), region.markup, region.source.as_str()));
        single.chain(regions).collect()
    }

    fn check(&self) -> Result<(), PriceTableError> {
        if self.currency != "USD" {
            return Err(PriceTableError::Currency(self.currency.clone()));
        }
        if self.month_seconds == 0 {
            return Err(PriceTableError::Number { field: "monthSeconds".to_owned(), number: 0.0 });
        }
        let not_counted =
            self.not_counted.iter().map(|one| (format!("notCounted: {}", one.what), 0.0, one.source.as_str()));
        for (field, number, source) in self.prices().into_iter().chain(not_counted) {
            if !(0.0..f64::INFINITY).contains(&number) {
                return Err(PriceTableError::Number { field, number });
            }
            if !self.sources.contains_key(source) {
                return Err(PriceTableError::Source { field, source_name: source.to_owned() });
            }
        }
        Ok(())
    }
}
