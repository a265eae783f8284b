//! From apps and prices to a bill.
//!
//! All apps are billed together, since some things are free for an organisation up to a number.

use std::collections::BTreeMap;

use serde::Serialize;
use trueup_types::desired::DesiredApp;
use trueup_types::fly::{FlySpec, Guest};
use trueup_types::template::{AutostopMode, Volume};
use trueup_types::{AppName, Label, Place, TargetName};

use crate::guest;
use crate::money::{Dollars, Span};
use crate::table::PriceTable;

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

/// What no manifest tells, and has to be assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed {
    /// How large the root file system of a stopped machine is: as large as its image.
    pub rootfs_bytes: u64,
}

/// What is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Started machines.
    Compute,
    /// The root file systems of machines that sleep.
    Rootfs,
    /// Volumes.
    Volume,
    /// Addresses.
    Address,
    /// Certificates.
    Certificate,
}

/// One thing that is paid for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Where, for what has a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Place>,
    /// How many.
    pub count: u32,
    /// The same for people, as `2 × shared-cpu-1x, 512 MiB, in fra`.
    pub what: String,
    /// What it costs in a month; `None` where the table has no price for it.
    pub month: Option<Span>,
}

/// What one app costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Which.
    pub app: AppName,
    /// On which target.
    pub target: TargetName,
    /// What for.
    pub lines: Vec<Line>,
    /// The sum of the lines that have a price.
    pub month: Span,
    /// What each rollout adds, for the machines beside the wanted ones through its bake.
    pub rollout: Dollars,
}

impl Account {
    /// What is paid for, and has no price in the table.
    pub fn unpriced(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.month.is_none())
    }
}

/// What all apps cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// App by app, in the order of their names.
    pub apps: Vec<Account>,
    /// The sum of what has a price.
    pub month: Span,
}

impl Bill {
    /// Bills these apps, each with the target that it is on.
    #[must_use]
    pub fn of<'a>(
        apps: impl IntoIterator<Item = (&'a DesiredApp, &'a FlySpec)>,
        assumed: Assumed,
        prices: &PriceTable,
    ) -> Self {
        let mut apps: Vec<_> = apps.into_iter().collect();
        apps.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let mut free = FreeCertificates { left: BTreeMap::new(), prices };
        let apps: Vec<_> = apps
            .into_iter()
            .map(|(app, spec)| {
                let certificates = free.certificates(app, spec);
                Billing { app, spec, assumed, prices }.account(certificates)
            })
            .collect();
        let month = apps.iter().map(|account| account.month).sum();
        Self { apps, month }
    }

    /// What this app costs; nothing where it is not on the bill.
    #[must_use]
    pub fn month_of(&self, app: &AppName) -> Span {
        self.apps.iter().find(|account| account.app == *app).map(|account| account.month).unwrap_or_default()
    }
}

/// How many certificates each organisation has left for nothing.
struct FreeCertificates<'a> {
    left: BTreeMap<Label, u32>,
    prices: &'a PriceTable,
}

impl FreeCertificates<'_> {
    fn certificates(&mut self, app: &DesiredApp, spec: &FlySpec) -> Vec<Line> {
        let prices = &self.prices.certificates;
        let left = self.left.entry(spec.organization.clone()).or_insert(prices.free_of_an_organization);
        // Whoever asked for it: a domain of one's own is served by none without.
        let mut hosts: Vec<&str> = app.exposure.routes.iter().map(|route| route.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let line = |host: &str| {
            let free = *left > 0;
            *left = left.saturating_sub(1);
            let cost = if free { Dollars::NONE } else { Dollars::new(prices.usd_per_month) };
            let note = if free { ", one of those that are free" } else { "" };
            Line {
                kind: Kind::Certificate,
                region: None,
                count: 1,
                what: format!("certificate of {host}{note}"),
                month: Some(Span::steady(cost)),
            }
        };
        hosts.into_iter().filter(|host| !is_platforms_own(host)).map(line).collect()
    }
}

/// Names of the platform need no certificate of ours.
fn is_platforms_own(host: &str) -> bool {
    [".fly.dev", ".flycast", ".internal"].iter().any(|end| host.ends_with(end))
}

/// One app being billed.
struct Billing<'a> {
    app: &'a DesiredApp,
    spec: &'a FlySpec,
    assumed: Assumed,
    prices: &'a PriceTable,
}

impl Billing<'_> {
    fn account(&self, certificates: Vec<Line>) -> Account {
        let mut lines = Vec::new();
        let mut sleepers = 0;
        let guest = Guest::of(&self.app.template.resources).ok();
        for (region, count) in self.spread() {
            let asleep = count.saturating_sub(self.awake(&region, count));
            sleepers += asleep;
            lines.push(self.compute(guest.as_ref(), region, count, asleep));
        }
        lines.extend(self.rootfs(sleepers));
        lines.extend(self.volumes());
        lines.extend(self.address());
        lines.extend(certificates);
        let month = lines.iter().filter_map(|line| line.month).sum();
        let target = self.app.placement.target.clone();
        Account { app: self.app.name.clone(), target, lines, month, rollout: self.rollout(guest.as_ref()) }
    }

    /// How many machines in each region; those of the default place are in the target's primary region.
    fn spread(&self) -> BTreeMap<Place, u32> {
        let mut spread = BTreeMap::new();
        for (place, count) in &self.app.placement.spread {
            let region = if *place == Place::here() { &self.spec.primary_region } else { place };
            *spread.entry(region.clone()).or_default() += count;
        }
        spread.retain(|_, count| *count > 0);
        spread
    }

    /// How many of them never sleep: the platform keeps machines awake in the primary region alone.
    fn awake(&self, region: &Place, count: u32) -> u32 {
        match &self.app.template.autostop {
            Some(autostop) if autostop.mode != AutostopMode::Off => {
                if *region == self.spec.primary_region {
                    autostop.min_running.min(count)
                } else {
                    0
                }
            }
            Some(_) | None => count,
        }
    }

    fn compute(&self, guest: Option<&Guest>, region: Place, count: u32, asleep: u32) -> Line {
        let each = guest.and_then(|guest| guest::month(guest, &region, self.prices));
        let month = each.map(|each| Span { idle: each * f64::from(count - asleep), busy: each * f64::from(count) });
        let size = guest.map_or_else(|| "a size that is not sold".to_owned(), guest::name);
        let sleep = match asleep {
            0 => String::new(),
            _ if asleep == count => ", may sleep".to_owned(),
            _ => format!(", {asleep} may sleep"),
        };
        Line {
            kind: Kind::Compute,
            what: format!("{count} × {size}, in {region}{sleep}"),
            region: Some(region),
            count,
            month,
        }
    }

    fn rootfs(&self, sleepers: u32) -> Option<Line> {
        let gib = self.assumed.rootfs_bytes as f64 / GIB as f64;
        let asleep = Dollars::new(self.prices.rootfs.usd_per_gib_month * gib * f64::from(sleepers));
        let month = Some(Span { idle: asleep, busy: Dollars::NONE });
        let what = format!("root file systems of {sleepers} while asleep, {gib} GiB each");
        (sleepers > 0).then_some(Line { kind: Kind::Rootfs, region: None, count: sleepers, what, month })
    }

    fn volumes(&self) -> Vec<Line> {
        let count = self.app.replicas();
        let line = |volume: &Volume| {
            // A volume of a machine has a size: manifests without are refused.
            let gib = volume.size_bytes?.div_ceil(GIB);
            let cost = self.prices.volumes.usd_per_gib_month * gib as f64 * f64::from(count);
            let what = format!("{count} × volume {}, {gib} GiB", volume.name);
            let month = Some(Span::steady(Dollars::new(cost)));
            Some(Line { kind: Kind::Volume, region: None, count, what, month })
        };
        if count == 0 { Vec::new() } else { self.app.template.volumes.iter().filter_map(line).collect() }
    }

    fn address(&self) -> Option<Line> {
        let month = Some(Span::steady(Dollars::new(self.prices.addresses.usd_per_month)));
        let what = "shared IPv4 and an IPv6 address".to_owned();
        let public = !self.app.exposure.routes.is_empty();
        public.then_some(Line { kind: Kind::Address, region: None, count: 1, what, month })
    }

    /// New machines beside the old ones, through the bake.
    fn rollout(&self, guest: Option<&Guest>) -> Dollars {
        let policy = &self.app.policy;
        let beside = if policy.stop_first.is_some() { 0 } else { policy.max_surge.of_rounded_up(self.app.replicas()) };
        let each = guest.and_then(|guest| guest::month(guest, &self.spec.primary_region, self.prices));
        let share = policy.bake.as_secs_f64() / f64::from(self.prices.month_seconds);
        each.map_or(Dollars::NONE, |each| each * (f64::from(beside) * share))
    }
}
