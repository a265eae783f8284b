//! Checks become probes.
//!
//! A check asks one port; whoever calls says which name that port has here. What a probe cannot ask is a remark.

use std::time::Duration;

use crate::groups::label;
use crate::page::Yaml;
use crate::reader::{Remark, Section};
use crate::units;

/// Numbers without a unit are milliseconds in checks.
const BARE: Duration = Duration::from_millis(1);
/// What the platform takes where a check does not say (fly.toml's reference, `services.tcp_checks`).
const INTERVAL: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(1);

/// The probes of an app, as they come.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    probes: Vec<(String, Yaml)>,
}

impl Probes {
    pub(crate) fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    pub(crate) fn into_yaml(self) -> Yaml {
        Yaml::List(self.probes.into_iter().map(|(_, probe)| probe).collect())
    }

    /// Adds a probe of this name, or of the next that is free.
    fn add(&mut self, name: &str, question: (&str, Yaml), times: [(&str, Yaml); 3]) {
        let mut free = name.to_owned();
        let mut next = 2;
        while self.probes.iter().any(|(taken, _)| *taken == free) {
            free = format!("{name}-{next}");
            next += 1;
        }
        let (key, question) = question;
        let mut entries = vec![("name".to_owned(), Yaml::text(free.clone())), (key.to_owned(), question)];
        entries.extend(times.into_iter().map(|(key, value)| (key.to_owned(), value)));
        self.probes.push((free, Yaml::Map(entries)));
    }

    /// A check by HTTP.
    pub(crate) fn http(&mut self, name: &str, check: &Section<'_>, port: &str, remarks: &mut Vec<Remark>) {
        let path = check.text("path").map_or_else(|| "/".to_owned(), |path| path.value);
        let method = check.text("method");
        if let Some(method) = method.filter(|method| !method.value.eq_ignore_ascii_case("get")) {
            remarks.push(method.remark(format!("a probe asks with GET, not with {}", method.value)));
        }
        if let Some(protocol) = check.text("protocol").filter(|protocol| protocol.value != "http") {
            remarks.push(protocol.remark("a probe asks in the clear"));
        }
        let question = Yaml::map([("path", Yaml::text(path)), ("port", Yaml::text(port))]);
        let times = times(check, remarks);
        self.add(name, ("http", question), times);
    }

    /// A check by connecting.
    pub(crate) fn tcp(&mut self, name: &str, check: &Section<'_>, port: &str, remarks: &mut Vec<Remark>) {
        let times = times(check, remarks);
        self.add(name, ("tcp", Yaml::map([("port", Yaml::text(port))])), times);
    }

    /// A check of the top level, of the kind that it says.
    pub(crate) fn named(&mut self, name: &str, check: &Section<'_>, port: &str, remarks: &mut Vec<Remark>) {
        let kind = check.text("type");
        match kind.as_ref().map(|kind| kind.value.as_str()) {
            Some("tcp") => self.tcp(&label(name), check, port, remarks),
            Some("http") | None => self.http(&label(name), check, port, remarks),
            Some(other) => remarks.push(check.remark(format!("there is no probe of the type `{other}`"))),
        }
    }
}

fn times(check: &Section<'_>, remarks: &mut Vec<Remark>) -> [(&'static str, Yaml); 3] {
    let mut time = |key: &str, otherwise: Duration| {
        let Some(said) = check.scalar(key) else { return Yaml::text(units::spelled(otherwise)) };
        match said.parsed(|text| units::duration(text, BARE)) {
            Ok(time) => Yaml::text(units::spelled(time.value)),
            Err(remark) => {
                remarks.push(remark);
                Yaml::text(units::spelled(otherwise))
            }
        }
    };
    [
        ("interval", time("interval", INTERVAL)),
        ("timeout", time("timeout", TIMEOUT)),
        ("grace", time("grace_period", GRACE)),
    ]
}
