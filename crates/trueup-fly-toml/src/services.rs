//! Services become ports, routes, and how much an instance bears.
//!
//! An app on Fly is reached over HTTP at 80 and 443; whatever else a fly.toml publishes is a port here that only the private
//! network reaches, and stays unread, so that it is named as left. Knows nothing of sizes and of how an app is replaced.

use crate::checks::Probes;
use crate::groups::Groups;
use crate::live::Live;
use crate::page::{Field, Yaml};
use crate::reader::{Found, Remark, Section};

/// What stands for a limit that a fly.toml does not set: more than anything bears.
const NO_LIMIT: u64 = 1_000_000;
/// The soft limit of a fly.toml that sets none (fly.toml's reference, `services.concurrency`).
const SOFT: u64 = 20;
/// Where the platform ends TLS, and where it does not.
const HTTPS: i64 = 443;
const HTTP: i64 = 80;

/// The services of one group.
#[derive(Debug, Default)]
pub(crate) struct Services {
    ports: Vec<Port>,
    /// The web service, once one was found.
    web: Option<Web>,
    pub probes: Probes,
}

#[derive(Debug, PartialEq, Eq)]
struct Port {
    name: String,
    number: u64,
    protocol: &'static str,
}

#[derive(Debug)]
struct Web {
    port: String,
    force_https: bool,
    fields: Vec<Field>,
}

impl Services {
    /// Reads all services and checks that are about a group.
    pub(crate) fn of(root: &Section<'_>, groups: &Groups, group: &str, remarks: &mut Vec<Remark>) -> Self {
        let mut services = Self::default();
        for section in root.sections("http_service").iter().filter(|section| groups.about(section, group)) {
            services.http_service(section, remarks);
        }
        for section in root.sections("services").iter().filter(|section| groups.about(section, group)) {
            services.service(section, remarks);
        }
        for (name, check) in named_checks(root) {
            if groups.about(&check, group) {
                services.check(&name, &check, remarks);
            }
        }
        services
    }

    fn http_service(&mut self, section: &Section<'_>, remarks: &mut Vec<Remark>) {
        let Some(number) = port_number(section, "internal_port") else { return };
        let port = self.port(number, "http");
        let force_https = section.truth("force_https").is_some_and(|force| force.value);
        let fields = bearing(section, remarks);
        self.web = Some(Web { port: port.clone(), force_https, fields });
        section.sections("checks").iter().for_each(|check| self.probes.http("http", check, &port, remarks));
    }

    fn service(&mut self, section: &Section<'_>, remarks: &mut Vec<Remark>) {
        let Some(number) = port_number(section, "internal_port") else { return };
        let said = section.text("protocol");
        let udp = said.as_ref().is_some_and(|protocol| protocol.value == "udp");
        if let Some(said) = said.filter(|said| !["tcp", "udp"].contains(&said.value.as_str())) {
            remarks.push(said.remark(format!("`{}` is neither tcp nor udp; tcp is written", said.value)));
        }
        let published = section.sections("ports");
        let web: Vec<_> = published.iter().filter(|port| is_web(port)).collect();
        let speaks_http = !web.is_empty() || !section.sections("http_checks").is_empty();
        let protocol = if udp {
            "udp"
        } else if speaks_http {
            "http"
        } else {
            "tcp"
        };
        let port = self.port(number, protocol);
        if !web.is_empty() && self.web.as_ref().is_none_or(|web| web.port == port) {
            let forced = web.iter().filter_map(|port| port.truth("force_https")).any(|force| force.value);
            let numbers: Vec<_> = web.iter().filter_map(|port| port.integer("port")).map(|port| port.value).collect();
            web.iter().for_each(|port| drop(port.texts("handlers")));
            for (number, what) in [(HTTP, "HTTP"), (HTTPS, "HTTPS")] {
                if !numbers.contains(&number) {
                    remarks.push(section.remark(format!("{what} at {number} is published too: a route has both")));
                }
            }
            let fields = bearing(section, remarks);
            self.web.get_or_insert(Web { port: port.clone(), force_https: forced, fields });
        }
        section.sections("tcp_checks").iter().for_each(|check| self.probes.tcp("tcp", check, &port, remarks));
        section.sections("http_checks").iter().for_each(|check| self.probes.http("http", check, &port, remarks));
    }

    fn check(&mut self, name: &str, check: &Section<'_>, remarks: &mut Vec<Remark>) {
        let http = check.text("type").is_none_or(|kind| kind.value == "http");
        let port = match port_number(check, "port") {
            Some(number) => self.port(number, if http { "http" } else { "tcp" }),
            None => match &self.web {
                Some(web) => web.port.clone(),
                None => {
                    remarks.push(check.remark("it names no port, and there is no http_service to take it from"));
                    return;
                }
            },
        };
        self.probes.named(name, check, &port, remarks);
    }

    /// The name of the port of this number, which may be new.
    fn port(&mut self, number: u64, protocol: &'static str) -> String {
        let stream = |port: &Port| (port.protocol == "udp") == (protocol == "udp");
        if let Some(known) = self.ports.iter().find(|port| port.number == number && stream(port)) {
            return known.name.clone();
        }
        let taken = self.ports.iter().any(|port| port.name == protocol);
        let name = if taken { format!("{protocol}-{number}") } else { protocol.to_owned() };
        self.ports.push(Port { name: name.clone(), number, protocol });
        name
    }

    /// Takes the routes away, where only the organisation's own network reaches the app.
    pub(crate) fn hide(&mut self) {
        self.web = None;
    }

    /// Whether anybody outside reaches it.
    pub(crate) fn is_public(&self) -> bool {
        self.web.is_some()
    }

    /// The fields of the manifest.
    pub(crate) fn fields(self, app_there: &str, live: Option<&Live>) -> Vec<Field> {
        let port = |port: &Port| {
            let name = ("name", Yaml::text(port.name.clone()));
            Yaml::map([name, ("port", Yaml::Number(port.number)), ("protocol", Yaml::text(port.protocol))])
        };
        let mut fields = Vec::new();
        if !self.ports.is_empty() {
            fields.push(Field::new("ports", Yaml::List(self.ports.iter().map(port).collect())));
        }
        if let Some(web) = self.web {
            fields.push(routes(&web.port, app_there, live));
            fields.push(Field::new("forceHttps", Yaml::Truth(web.force_https)));
            fields.extend(web.fields);
        }
        if !self.probes.is_empty() {
            fields.push(Field::new("health", self.probes.into_yaml()));
        }
        fields
    }
}

/// The app's own name, and each host that it has a certificate for.
fn routes(port: &str, app_there: &str, live: Option<&Live>) -> Field {
    let route = |entries: Vec<(String, Yaml)>| {
        let mut all = entries;
        all.push(("port".to_owned(), Yaml::text(port)));
        Yaml::Map(all)
    };
    let hosts = live.map(|live| live.hosts.as_slice()).unwrap_or_default();
    let host = |host: &String| {
        route(vec![("host".to_owned(), Yaml::text(host.clone())), ("tls".to_owned(), Yaml::text("auto"))])
    };
    let wildcard = |host: &&String| !host.contains('*');
    let all = std::iter::once(route(Vec::new())).chain(hosts.iter().filter(wildcard).map(host)).collect();
    let field = Field::new("routes", Yaml::List(all));
    let field = field.note(format!("Without a host: https://{app_there}.fly.dev."));
    if hosts.is_empty() { field } else { field.note("The app there has certificates of the others.") }
}

fn named_checks<'a>(root: &Section<'a>) -> Vec<(String, Section<'a>)> {
    let mut checks = Vec::new();
    for table in root.sections("checks") {
        if let Some(name) = table.text("name") {
            checks.push((name.value, table));
            continue;
        }
        for name in table.keys() {
            checks.extend(table.section(name).map(|check| (name.to_owned(), check)));
        }
    }
    checks
}

fn port_number(section: &Section<'_>, key: &str) -> Option<u64> {
    let number = section.integer(key)?.value;
    u64::try_from(number).ok().filter(|number| (1..=65_535).contains(number))
}

/// Whether a published port is one of the two that a route has. Reads nothing.
fn is_web(port: &Section<'_>) -> bool {
    let handlers = port.peek_texts("handlers");
    let http = handlers.iter().any(|handler| handler == "http");
    let tls = handlers.iter().any(|handler| handler == "tls");
    match port.peek_integer("port") {
        Some(HTTP) => http && !tls,
        Some(HTTPS) => http && tls,
        Some(_) | None => false,
    }
}

/// How much an instance of a service bears, and whether it sleeps.
fn bearing(section: &Section<'_>, remarks: &mut Vec<Remark>) -> Vec<Field> {
    let mut fields = Vec::new();
    fields.extend(section.section("concurrency").and_then(|limits| concurrency(&limits, remarks)));
    if let Some(limits) = section.text("concurrency") {
        match limits.parsed(two_limits) {
            Ok(limits) => fields.push(limits.value),
            Err(remark) => remarks.push(remark),
        }
    }
    fields.extend(autostop(section, remarks));
    fields
}

/// The limits of old files: `soft,hard`, of requests.
fn two_limits(text: &str) -> Result<Field, String> {
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number > 0).map(u64::from);
    let limits = text.split_once(',').and_then(|(soft, hard)| Some((number(soft)?, number(hard)?)));
    let (soft, hard) = limits.ok_or_else(|| "is not two limits".to_owned())?;
    let (soft, hard) = (("soft", Yaml::Number(soft.min(hard))), ("hard", Yaml::Number(hard)));
    Ok(Field::new("concurrency", Yaml::map([("kind", Yaml::text("requests")), soft, hard])))
}

fn concurrency(limits: &Section<'_>, remarks: &mut Vec<Remark>) -> Option<Field> {
    let kind = limits.text("type");
    let kind = match kind.as_ref().map(|kind| kind.value.as_str()) {
        Some("requests") => "requests",
        Some("connections") | None => "connections",
        Some(other) => {
            remarks.push(limits.remark(format!("`{other}` is neither `requests` nor `connections`; no limit is set")));
            return None;
        }
    };
    let (soft, hard) = (limits.count("soft_limit"), limits.count("hard_limit"));
    if soft.is_none() && hard.is_none() {
        return None;
    }
    let number =
        |limit: &Option<Found<u32>>, otherwise| limit.as_ref().map_or(otherwise, |limit| u64::from(limit.value));
    let (soft_limit, hard_limit) = (number(&soft, SOFT), number(&hard, NO_LIMIT));
    if let Some(soft) = soft.as_ref().filter(|soft| u64::from(soft.value) > hard_limit) {
        remarks.push(soft.remark(format!("it is above the hard limit; {hard_limit} is written")));
    }
    let value = Yaml::map([
        ("kind", Yaml::text(kind)),
        ("soft", Yaml::Number(soft_limit.min(hard_limit))),
        ("hard", Yaml::Number(hard_limit)),
    ]);
    let mut field = Field::new("concurrency", value);
    if hard.is_none() {
        field = field.note("fly.toml sets no hard limit; this one is never reached.");
    }
    if soft.is_none() {
        field = field.note(format!("fly.toml sets no soft limit, which is {SOFT} then, or the hard one."));
    }
    Some(field)
}

fn autostop(section: &Section<'_>, remarks: &mut Vec<Remark>) -> Option<Field> {
    let said = section.scalar("auto_stop_machines");
    let starts = section.truth("auto_start_machines");
    let least = section.count("min_machines_running");
    let mode = match said.as_ref().map(|said| said.value.as_str()) {
        Some("stop" | "true") => "stop",
        Some("suspend") => "suspend",
        Some("off" | "false") | None => "off",
        Some(other) => {
            let wrong = said.as_ref().map(|said| said.remark(format!("`{other}` is none of off, stop and suspend")));
            remarks.extend(wrong);
            return None;
        }
    };
    if mode == "off" {
        // Nothing stops, so that there is nothing to start, and nothing below which it would not.
        return Some(Field::new("autostop", Yaml::map([("mode", Yaml::text("off"))])));
    }
    if let Some(starts) = starts.filter(|starts| !starts.value) {
        remarks.push(starts.remark("what sleeps here is woken by the next request"));
    }
    let least = least.map_or(0, |least| u64::from(least.value));
    let value = Yaml::map([("mode", Yaml::text(mode)), ("minRunning", Yaml::Number(least))]);
    Some(Field::new("autostop", value))
}
