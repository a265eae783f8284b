//! The exposure: who may reach the app.

use std::collections::BTreeMap;

use trueup_types::exposure::{Exposure, Route, Tls};
use trueup_types::fly::FlySpec;
use trueup_types::pattern::{FillError, Filling};
use trueup_types::target::IngressKind;
use trueup_types::template::{Port, Protocol};
use trueup_types::{AppName, PortName, TargetKind, TargetSpec};

use super::machine;
use super::notes::Notes;
use super::read::{Read, name, parsed, text, word};
use crate::node::View;
use crate::suggest;
use crate::text::Span;
use crate::units;

/// The path of a route that names none: everything.
const PATH: &str = "/";

/// Whose routes they are.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub app: Option<&'a AppName>,
    pub target: &'a TargetSpec,
    pub labels: &'a BTreeMap<String, String>,
}

/// The routes, and where each is written.
pub(super) fn lower(spec: View<'_>, ports: &[Port], of: Of<'_>, notes: &mut Notes<'_>) -> (Exposure, Vec<Span>) {
    let view = spec.get("routes");
    let mut exposure = Exposure::default();
    let mut places = Vec::new();
    if of.target.ingress == IngressKind::None && view.items().next().is_some() {
        let help = "remove the routes, or choose a target with `ingress: edge`";
        notes.error_at_key(view, "manifest::unserved", "`routes` are not served by targets with `ingress: none`", help);
    }
    for item in view.items() {
        let Ok(Some(route)) = route(item, ports, of, notes) else { continue };
        if exposure.routes.iter().any(|other| other.key() == route.key()) {
            notes.error(
                item,
                "manifest::routes::duplicate",
                format!("the route {route} is written twice"),
                "keep one of them",
            );
            continue;
        }
        if let TargetKind::Fly(spec) = &of.target.kind {
            machine::route(item, &route, &exposure, of.app.map(|app| spec.app_name(app, FlySpec::RANDOM)), notes);
        }
        exposure.routes.push(route);
        places.push(notes.place(item));
    }
    if let TargetKind::Fly(_) = &of.target.kind {
        machine::routes(spec, &exposure, notes);
    }
    (exposure, places)
}

fn route(item: View<'_>, ports: &[Port], of: Of<'_>, notes: &mut Notes<'_>) -> Read<Route> {
    let host = match parsed(item.get("host"), units::host)? {
        Some(host) => by_its_word(host, of),
        None => match host_of_target(item, of, notes) {
            Some(host) => host,
            None => return Ok(None),
        },
    };
    let path = text(item.get("path"))?.unwrap_or_else(|| PATH.to_owned());
    let tls = word(item.get("tls"), &[("off", Tls::Off), ("auto", Tls::Auto)])?.unwrap_or_default();
    // A platform that routes ends TLS, and asks for the certificate itself.
    if tls == Tls::Auto && of.target.ingress != IngressKind::Platform {
        let message = "`tls: auto` is not served by the edge of this build: it has no certificates";
        notes.error_at_key(
            item.get("tls"),
            "manifest::unserved",
            message,
            "write `tls: off`, or end TLS before the edge",
        );
    }
    let Some(port) = routed_port(item, ports, notes)? else { return Ok(None) };
    Ok(Some(Route { host, path, port, tls }))
}

/// The host that is meant by a word for one: `flycast` is the app's own name on the private network.
fn by_its_word(host: String, of: Of<'_>) -> String {
    match (&of.target.kind, of.app) {
        (TargetKind::Fly(spec), Some(app)) if FlySpec::PRIVATE.strip_prefix('.') == Some(&host) => {
            spec.private_host(app)
        }
        (TargetKind::Fly(_) | TargetKind::Process | TargetKind::Docker(_), _) => host,
    }
}

/// The host of a route that names none.
fn host_of_target(item: View<'_>, of: Of<'_>, notes: &mut Notes<'_>) -> Option<String> {
    let app = of.app?;
    let target = of.target;
    let Some(pattern) = &target.hosts else {
        if let TargetKind::Fly(spec) = &target.kind {
            return Some(spec.own_host(app));
        }
        let message = "`host` is missing in a route";
        let help = "write `host: api.example.com`, or say in the target how its `hosts` are called";
        notes.error(item, "manifest::key::missing", message, help);
        return None;
    };
    let why = match pattern.fill(Filling { app, target: &target.name, labels: of.labels }) {
        Ok(host) => return Some(host),
        Err(why) => why,
    };
    let help = match &why {
        FillError::Unknown { variable, known } => {
            let known: Vec<_> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
            format!("add `{variable}` to `metadata.labels`, or write `host`; known here: {}", known.join(", "))
        }
        FillError::Empty { .. } | FillError::TooLong { .. } => "write `host: api.example.com`".to_owned(),
    };
    let message = format!("the hosts of the target `{}` are called `{pattern}`: {why}", target.name);
    notes.error(item, "manifest::routes::host", message, help);
    None
}

fn routed_port(item: View<'_>, ports: &[Port], notes: &mut Notes<'_>) -> Read<PortName> {
    let at = item.get("port");
    let http: Vec<_> = ports.iter().filter(|port| port.protocol == Protocol::Http).collect();
    if let Some(named) = name::<PortName>(at)? {
        match ports.iter().find(|port| port.name == named) {
            Some(port) if port.protocol == Protocol::Http => return Ok(Some(named)),
            Some(port) => {
                let message = format!("the port `{named}` speaks {}; only http can be routed", port.protocol.as_str());
                notes.error(at, "manifest::routes::port", message, "name an http port");
            }
            None => {
                let help = suggest::remedy(named.as_str(), http.iter().map(|port| port.name.as_str()));
                notes.error(at, "manifest::routes::port", format!("the app has no port `{named}`"), help);
            }
        }
        return Ok(None);
    }
    match http[..] {
        [only] => return Ok(Some(only.name.clone())),
        [] => {
            let help = "add `ports: [{name: http}]`";
            notes.error(item, "manifest::routes::port", "the route leads to no http port", help);
        }
        [..] => {
            let names: Vec<_> = http.iter().map(|port| port.name.as_str()).collect();
            let help = format!("add `port:` with one of: {}", names.join(", "));
            notes.error(item, "manifest::routes::port", "the route could lead to several http ports", help);
        }
    }
    Ok(None)
}
