//! The probes of a template.

use std::time::Duration;

use trueup_types::template::{Check, Port, Probe, Protocol};
use trueup_types::{Label, PortName};

use super::notes::Notes;
use super::read::{Broken, Read, integer, name, parsed, text, texts};
use crate::node::View;
use crate::suggest;
use crate::units;

/// From one question to the next.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for an answer: half an interval, so that questions never overlap.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most programs listen within this time.
const GRACE: Duration = Duration::from_secs(10);
/// One lost packet is no failure; three in a row are.
const FAILURES: u32 = 3;
/// One good answer shows that it serves; `minHealthy` sees that it lasts.
const SUCCESSES: u32 = 1;
/// What a probe asks for when it names no path.
const PATH: &str = "/";

/// The four questions, as they are written.
const QUESTIONS: [&str; 4] = ["http", "tcp", "exec", "websocket"];

pub(super) fn lower(view: View<'_>, ports: &[Port], notes: &mut Notes<'_>) -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    for item in view.items() {
        let Ok(Some(probe)) = probe(item, ports, notes) else { continue };
        if probes.iter().any(|other| other.name == probe.name) {
            let message = format!("two probes are named `{}`", probe.name);
            notes.error(item, "manifest::health::name", message, "give each a `name` of its own");
        }
        probes.push(probe);
    }
    probes
}

fn probe(item: View<'_>, ports: &[Port], notes: &mut Notes<'_>) -> Read<Probe> {
    let asked: Vec<_> = QUESTIONS.into_iter().filter(|question| !item.get(question).is_absent()).collect();
    let [question] = asked[..] else {
        let message = match asked.len() {
            0 => "the probe asks nothing".to_owned(),
            _ => format!("the probe asks {} things at once: {}", asked.len(), asked.join(", ")),
        };
        let help = "write one of `http`, `tcp`, `exec` and `websocket` in each probe";
        notes.error(item, "manifest::health::question", message, help);
        return Ok(None);
    };
    let Some(check) = check(question, item.get(question), ports, notes)? else { return Ok(None) };
    let own = Label::new(question).map_err(|_| Broken)?;
    Ok(Some(Probe {
        name: name(item.get("name"))?.unwrap_or(own),
        check,
        interval: parsed(item.get("interval"), units::interval)?.unwrap_or(INTERVAL),
        timeout: parsed(item.get("timeout"), units::timeout)?.unwrap_or(TIMEOUT),
        grace: parsed(item.get("grace"), units::wait)?.unwrap_or(GRACE),
        failures: integer(item.get("failures"))?.unwrap_or(FAILURES),
        successes: integer(item.get("successes"))?.unwrap_or(SUCCESSES),
    }))
}

fn check(question: &str, view: View<'_>, ports: &[Port], notes: &mut Notes<'_>) -> Read<Check> {
    let path = || Ok(text(view.get("path"))?.unwrap_or_else(|| PATH.to_owned()));
    let port = |fits: fn(&Port) -> bool, notes: &mut Notes<'_>| probed_port(view, ports, fits, notes);
    let http = |port: &Port| port.protocol == Protocol::Http;
    Ok(match question {
        "http" => {
            let status =
                if view.get("status").is_absent() { Check::any_success() } else { statuses(view.get("status"))? };
            port(http, notes)?.map(|port| Ok(Check::Http { path: path()?, port, status })).transpose()?
        }
        "tcp" => port(|port| port.protocol != Protocol::Udp, notes)?.map(|port| Check::Tcp { port }),
        "websocket" => port(http, notes)?.map(|port| Ok(Check::Websocket { path: path()?, port })).transpose()?,
        _ => Some(Check::Exec { command: texts(view.get("command")) }),
    })
}

fn statuses(view: View<'_>) -> Result<Vec<u16>, Broken> {
    let mut statuses = view.items().map(|item| integer(item)?.ok_or(Broken)).collect::<Result<Vec<u16>, _>>()?;
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

/// The port that is asked: the one named, or the first that fits.
fn probed_port(view: View<'_>, ports: &[Port], fits: fn(&Port) -> bool, notes: &mut Notes<'_>) -> Read<PortName> {
    let at = view.get("port");
    let named = name::<PortName>(at)?;
    let found = ports.iter().find(|port| named.as_ref().map_or_else(|| fits(port), |name| port.name == *name));
    match (found, &named) {
        (Some(port), None) => return Ok(Some(port.name.clone())),
        (Some(port), Some(_)) if fits(port) => return Ok(Some(port.name.clone())),
        (Some(port), Some(name)) => {
            let message = format!("the port `{name}` speaks {}, which this probe does not ask", port.protocol.as_str());
            notes.error(at, "manifest::health::port", message, "name a port of the probe's protocol");
        }
        (None, Some(name)) => {
            let known = ports.iter().map(|port| port.name.as_str());
            let help = suggest::remedy(name.as_str(), known);
            notes.error(at, "manifest::health::port", format!("the app has no port `{name}`"), help);
        }
        (None, None) => {
            let help = "add one to `ports`, for example `ports: [{name: http}]`";
            notes.error(view, "manifest::health::port", "the probe finds no port to ask", help);
        }
    }
    Ok(None)
}
