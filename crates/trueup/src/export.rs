//! `trueup export`: an app as a fly.toml, its cost settings with what each saves.

use std::sync::Arc;

use anyhow::Context as _;
use trueup_cost::{Bill, PriceTable, Span};
use trueup_fly_toml::Savings;
use trueup_types::desired::DesiredApp;
use trueup_types::fly::FlySpec;
use trueup_types::template::{Autostop, AutostopMode, Resources, Template};

use crate::cli::{Export, Foreign};
use crate::cost;
use crate::terminal::{out, say};

/// Runs `trueup export`.
pub(crate) fn run(asked: &Export) -> anyhow::Result<()> {
    let Foreign::FlyToml = asked.format;
    let directory = cost::sound(&asked.dir)?;
    let resolution = &directory.resolution;
    let app = resolution.apps.get(&asked.app);
    let app = &app.with_context(|| format!("there is no app `{}` in {}", asked.app, asked.dir.display()))?.desired;
    let target = resolution.targets.get(&app.placement.target).and_then(cost::fly);
    let spec = target.with_context(|| format!("`{}` is on `{}`, which is not Fly", app.name, app.placement.target))?;
    let prices = cost::prices(asked.prices.as_deref())?;
    let exported = trueup_fly_toml::export(app, spec, &savings(app, spec, &prices));
    out(&exported.text);
    for remark in &exported.remarks {
        say(&format!("no fly.toml says it: {remark}"));
    }
    Ok(())
}

/// What each setting costs, and what another would.
fn savings(app: &DesiredApp, spec: &FlySpec, prices: &PriceTable) -> Savings {
    let month = |app: &DesiredApp| Bill::of([(app, spec)], cost::ASSUMED, prices).month;
    let with = |change: &dyn Fn(&mut Template)| {
        let mut other = app.clone();
        change(Arc::make_mut(&mut other.template));
        month(&other)
    };
    let mode = |mode: AutostopMode, min_running: u32| {
        with(&|template| template.autostop = Some(Autostop { mode, min_running }))
    };
    let (awake, asleep) = (mode(AutostopMode::Off, 0), mode(AutostopMode::Stop, 0).least());
    let said = app.template.autostop.as_ref().filter(|autostop| autostop.mode != AutostopMode::Off);
    let autostop = match said {
        Some(_) => format!("{} a month when nobody asks, where \"off\" is {awake} in any case.", month(app).least()),
        None => format!("{awake} a month; \"stop\" is {asleep} when nobody asks."),
    };
    let one = one(app, spec, &month);
    let smallest = |template: &mut Template| template.resources = Resources::default();
    let least = of_one(app, spec, &smallest, &month);
    let min_running = match said.map(|autostop| autostop.min_running) {
        Some(0) => Some(format!("Each that never sleeps is {one} a month.")),
        Some(_) => {
            Some(format!("Each that never sleeps is {one} a month; with 0 all of it is {asleep} when nobody asks."))
        }
        None => None,
    };
    Savings {
        machines: Some(format!("All of it: {} a month, by the prices of {}.", month(app), prices.date)),
        autostop: Some(autostop),
        min_running,
        size: Some(format!("{one} a month for each that runs; the smallest is {least}.")),
        volume: Some(format!("{} a month for each machine, asleep or not.", volume(app, spec, &month))),
    }
}

/// One machine that never sleeps, in the primary region, and nothing beside it.
fn one(app: &DesiredApp, spec: &FlySpec, month: &dyn Fn(&DesiredApp) -> Span) -> Span {
    of_one(app, spec, &|_| {}, month)
}

fn of_one(
    app: &DesiredApp,
    spec: &FlySpec,
    change: &dyn Fn(&mut Template),
    month: &dyn Fn(&DesiredApp) -> Span,
) -> Span {
    let mut alone = app.clone();
    alone.placement.spread = [(spec.primary_region.clone(), 1)].into();
    alone.exposure.routes.clear();
    let template = Arc::make_mut(&mut alone.template);
    template.volumes.clear();
    template.autostop = None;
    change(template);
    month(&alone)
}

fn volume(app: &DesiredApp, spec: &FlySpec, month: &dyn Fn(&DesiredApp) -> Span) -> String {
    let volumes = app.template.volumes.clone();
    let with = of_one(app, spec, &|template| template.volumes.clone_from(&volumes), month);
    let without = one(app, spec, month);
    (with.busy - without.busy).to_string()
}
