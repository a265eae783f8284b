//! `trueup cost`: what the apps of a directory cost on Fly, line by line, by a dated table of prices.
//!
//! Reads manifests and prices, and asks nobody. `plan` and `export` take their prices from here too.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::json;
use trueup_cost::{Account, Assumed, Bill, NotCounted, PriceTable, Span};
use trueup_types::desired::DesiredApp;
use trueup_types::fly::FlySpec;
use trueup_types::{TargetKind, TargetName, TargetSpec};

use crate::cli::{Cost, Text};
use crate::manifests::{self, Directory};
use crate::table::{counted, render};
use crate::terminal::{out, say};

/// How large a root file system is taken to be where nobody says it.
pub(crate) const ASSUMED: Assumed = Assumed { rootfs_bytes: 1 << 30 };

/// Runs `trueup cost`.
pub(crate) fn run(asked: &Cost) -> anyhow::Result<()> {
    if asked.show_prices {
        out(PriceTable::built_in_text());
        return Ok(());
    }
    let directory = sound(&asked.dir)?;
    let prices = prices(asked.prices.as_deref())?;
    let assumed = Assumed { rootfs_bytes: asked.rootfs };
    let (targets, apps) = (&directory.resolution.targets, &directory.resolution.apps);
    let bill = bill(targets, apps.values().map(|app| &*app.desired), assumed, &prices);
    let elsewhere = apps.len() - bill.apps.len();
    match asked.output {
        Text::Json => out(&serde_json::to_string_pretty(&object(&bill, assumed, &prices))?),
        Text::Text => print(&bill, asked, &prices, elsewhere),
    }
    Ok(())
}

/// The manifests of a directory, none of which has an error.
pub(crate) fn sound(dir: &Path) -> anyhow::Result<Directory> {
    let directory = manifests::read(dir)?;
    let errors: Vec<_> = directory.diagnostics().filter(|one| one.is_error()).map(|one| one.line()).collect();
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(directory)
}

/// The table in a file, or the one that is built in.
pub(crate) fn prices(file: Option<&Path>) -> anyhow::Result<PriceTable> {
    let Some(file) = file else { return Ok(PriceTable::built_in()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    PriceTable::parse(&text).with_context(|| format!("{} is no table of prices", file.display()))
}

/// What a target of machines says; nothing of others.
pub(crate) fn fly(target: &TargetSpec) -> Option<&FlySpec> {
    match &target.kind {
        TargetKind::Fly(spec) => Some(spec),
        TargetKind::Process | TargetKind::Docker(_) => None,
    }
}

/// Bills the apps that are on Fly; others cost nothing here.
pub(crate) fn bill<'a>(
    targets: &BTreeMap<TargetName, TargetSpec>,
    apps: impl IntoIterator<Item = &'a DesiredApp>,
    assumed: Assumed,
    prices: &PriceTable,
) -> Bill {
    let placed = apps.into_iter().filter_map(|app| Some((app, fly(targets.get(&app.placement.target)?)?)));
    Bill::of(placed.collect::<Vec<_>>(), assumed, prices)
}

fn print(bill: &Bill, asked: &Cost, prices: &PriceTable, elsewhere: usize) {
    if bill.apps.is_empty() {
        say("no app is on Fly: nothing is billed");
        return;
    }
    let row = |app: &str, what: &str, month: Option<Span>| {
        let costs = month.map(|month| [month.to_string(), month.per_second(prices.month_seconds)]);
        let [month, second] = costs.unwrap_or_else(|| ["no price".to_owned(), "no price".to_owned()]);
        vec![app.to_owned(), what.to_owned(), month, second]
    };
    let mut rows = Vec::new();
    for account in &bill.apps {
        let app = account.app.as_str();
        rows.extend(account.lines.iter().map(|line| row(app, &line.what, line.month)));
        rows.push(row(app, "all of it", Some(account.month)));
    }
    if bill.apps.len() > 1 {
        rows.push(row("(all)", "all of it", Some(bill.month)));
    }
    out(&render(&["APP", "WHAT", "MONTH", "SECOND"], rows, false));
    bill.apps.iter().filter_map(rollout).for_each(|line| say(&line));
    let unpriced: Vec<_> = bill.apps.iter().flat_map(Account::unpriced).map(|line| line.what.as_str()).collect();
    if !unpriced.is_empty() {
        say(&format!("Not in the sums, since the table has no price for it: {}.", unpriced.join("; ")));
    }
    if bill.month.idle != bill.month.busy {
        say("From all asleep that may sleep, to nothing ever asleep.");
        say(&format!("Root file systems are taken to be of {} GiB; --rootfs says otherwise.", gib(asked.rootfs)));
    }
    let not_counted: Vec<_> = prices.not_counted.iter().map(spelled).collect();
    say(&format!("Not counted: {}.", not_counted.join("; ")));
    if elsewhere > 0 {
        say(&format!("{} elsewhere, which nobody bills here.", counted(elsewhere, "app")));
    }
    say(&format!(
        "{} prices of {}, a month of {} days. {}",
        prices.platform,
        prices.date,
        days(prices),
        sources(prices)
    ));
}

/// What a rollout adds, where cents show it.
fn rollout(account: &Account) -> Option<String> {
    let shows = account.rollout.shows();
    shows.then(|| {
        format!("Each rollout of {} adds {}, for its machines beside the old ones.", account.app, account.rollout)
    })
}

fn spelled(one: &NotCounted) -> String {
    format!("{} ({})", one.what, one.price)
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn days(prices: &PriceTable) -> u32 {
    prices.month_seconds / 86_400
}

fn sources(prices: &PriceTable) -> String {
    let mut sources: Vec<_> = prices.sources.values().collect();
    sources.sort_by(|one, other| other.read.cmp(&one.read));
    let each = sources.into_iter().map(|source| format!("{} (read {})", source.url, source.read));
    format!("From {}.", each.collect::<Vec<_>>().join(" and "))
}

fn object(bill: &Bill, assumed: Assumed, prices: &PriceTable) -> serde_json::Value {
    let second = |month: Span| month.second(prices.month_seconds);
    let line = |line: &trueup_cost::Line| {
        json!({
            "kind": line.kind,
            "region": line.region,
            "count": line.count,
            "what": line.what,
            "month": line.month,
            "second": line.month.map(second),
        })
    };
    let account = |account: &Account| {
        json!({
            "app": account.app,
            "target": account.target,
            "lines": account.lines.iter().map(line).collect::<Vec<_>>(),
            "month": account.month,
            "second": second(account.month),
            "rollout": account.rollout,
        })
    };
    json!({
        "apps": bill.apps.iter().map(account).collect::<Vec<_>>(),
        "month": bill.month,
        "second": second(bill.month),
        "currency": prices.currency,
        "assumed": {"rootfsBytes": assumed.rootfs_bytes},
        "prices": {"platform": prices.platform, "date": prices.date, "monthSeconds": prices.month_seconds, "sources": prices.sources},
        "notCounted": prices.not_counted,
    })
}
