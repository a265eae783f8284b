//! What a machine of Fly's needs, and what it cannot have.

use std::time::Duration;

use trueup_types::AppName;
use trueup_types::exposure::{Exposure, Route, Tls};
use trueup_types::fly::{FlySpec, Guest};
use trueup_types::policy::Strategy;
use trueup_types::template::{BakeKeep, Check, Template};

use super::notes::Notes;
use super::policy::strategy;
use super::read::truth;
use crate::node::{View, cut};

/// Longest that a machine waits for its program to go.
const STOP_MAX: Duration = Duration::from_secs(300);
/// What can ask a program to go there.
const SIGNALS: [&str; 6] = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"];
/// Where each app has its own name, to the world.
const OWN_DOMAIN: &str = ".fly.dev";
/// What names of variables cannot begin with: the platform sets those.
const PLATFORM: &str = "FLY_";

pub(super) fn lower(spec: View<'_>, template: &Template, notes: &mut Notes<'_>) {
    if spec.get("image").is_absent() {
        let help = "write `image: registry.fly.io/shop-api:1.4.2`";
        notes.missing("image", "manifest::image", "`image` is required for machines", help);
    }
    if let Err(error) = Guest::of(&template.resources) {
        let view = spec.get("resources").get(error.field);
        notes.error(view, "manifest::resources", error.message, error.help);
    }
    stop(spec.get("stop"), template, notes);
    for (name, view) in spec.get("env").entries().filter(|(name, _)| name.starts_with(PLATFORM)) {
        let message =
            format!("the variable `{}` is the platform's, as are all that begin with `{PLATFORM}`", cut(name));
        notes.error_at_key(view, "manifest::env", message, "choose another name");
    }
    volumes(spec.get("volumes"), template, notes);
    bake_keep(spec, template, notes);
    for (probe, item) in template.health.iter().zip(spec.get("health").items()) {
        if let Check::Http { status, .. } = &probe.check
            && *status != Check::any_success()
        {
            let message = format!("the probe `{}`: the platform asks, and takes 200 to 299 for good", probe.name);
            notes.error(item.get("http").get("status"), "manifest::health::status", message, "leave `status` out");
        }
    }
}

/// The name there may be longer than the name here.
pub(super) fn named(view: View<'_>, app: &AppName, target: &FlySpec, notes: &mut Notes<'_>) {
    let (bytes, most) = (target.app_name_bytes(app), FlySpec::APP_NAME_BYTES_MAX);
    if bytes > most {
        let named = target.app_name(app, FlySpec::RANDOM);
        let message =
            format!("the app would be called `{named}` there, {bytes} characters long, at most {most} are allowed");
        notes.error(view, "manifest::name::long", message, "shorten it, or `appName` of the target");
    }
}

/// A name of an app there has one way in, to one port; its host is the app's own, or a domain of its owner's.
pub(super) fn route(item: View<'_>, route: &Route, before: &Exposure, app: Option<String>, notes: &mut Notes<'_>) {
    if route.path != "/" {
        let message = "`path` is not served by fly targets: the platform routes whole hosts";
        notes.error(item.get("path"), "manifest::unserved", message, "remove it");
    }
    if let Some(other) = before.routes.first().filter(|other| other.port != route.port) {
        let message =
            format!("the routes lead to the ports `{}` and `{}`, and an app on Fly has one", other.port, route.port);
        notes.error(item, "manifest::routes::port", message, "name the same port in each, or make an app of each");
    }
    if FlySpec::is_private(&route.host) && route.tls == Tls::Auto {
        let message = format!("`{}`: nobody issues a certificate for a name of the private network", route.host);
        notes.error_at_key(item.get("tls"), "manifest::unserved", message, "remove `tls`");
    }
    if let Some(app) = app
        && let own = [OWN_DOMAIN, FlySpec::PRIVATE].iter().find_map(|domain| route.host.strip_suffix(domain))
        && own.is_some_and(|name| name != app)
    {
        let message = format!("the app is called `{app}` there, and `{}` belongs to another", route.host);
        let help = "leave `host` out, or mend `appName` of the target";
        notes.error(item.get("host"), "manifest::routes::host", message, help);
    }
}

/// What is asked for on the private network is asked for in the clear.
pub(super) fn routes(spec: View<'_>, exposure: &Exposure, notes: &mut Notes<'_>) {
    let private = exposure.routes.iter().find(|route| FlySpec::is_private(&route.host));
    if let Some(route) = private.filter(|_| truth(spec.get("forceHttps")).ok().flatten() != Some(false)) {
        let message = format!("`{}` has no certificate, and plain HTTP would be answered with a redirect", route.host);
        notes.error_at_key(spec.get("routes"), "manifest::routes::private", message, "write `forceHttps: false`");
    }
}

fn stop(view: View<'_>, template: &Template, notes: &mut Notes<'_>) {
    let stop = &template.stop;
    if !SIGNALS.contains(&stop.signal.as_str()) {
        let message = format!("machines cannot be sent {}", stop.signal);
        notes.error(view.get("signal"), "manifest::stop", message, format!("one of: {}", SIGNALS.join(", ")));
    }
    if stop.timeout > STOP_MAX {
        let message = "a machine waits 5 minutes at most for its program to go";
        notes.error(view.get("timeout"), "manifest::stop", message, "write `5m` or less");
    }
}

/// Only what goes all at once, or by shares, keeps anything through its bake.
fn bake_keep(spec: View<'_>, template: &Template, notes: &mut Notes<'_>) {
    let Ok(strategy @ (Strategy::Rolling | Strategy::Recreate)) = strategy(spec) else { return };
    if template.bake_keep == Some(BakeKeep::Stopped) {
        let message = format!("`bakeKeep` is about what a bake keeps, and `{}` keeps nothing", strategy.as_str());
        let view = spec.get("rollout").get("bakeKeep");
        notes.error_at_key(view, "manifest::rollout::bakeKeep", message, "write `strategy: blueGreen`, or remove it");
    }
}

/// A machine has one disk, of a size in whole GiB.
fn volumes(view: View<'_>, template: &Template, notes: &mut Notes<'_>) {
    const GIB: u64 = 1 << 30;
    if template.volumes.len() > 1 {
        let message = format!("a machine has one volume at most, and these are {}", template.volumes.len());
        notes.error_at_key(view, "manifest::volumes", message, "keep one of them");
    }
    for (volume, item) in template.volumes.iter().zip(view.items()) {
        let help = "write whole GiB, like `10Gi`";
        match volume.size_bytes {
            None => notes.error(item, "manifest::volumes", "a machine's volume needs a `size`", help),
            Some(bytes) if !bytes.is_multiple_of(GIB) => {
                notes.error(item.get("size"), "manifest::volumes", "a machine's volume has whole GiB", help);
            }
            Some(_) => {}
        }
    }
}
