//! What a target of Fly.io Machines is, and which sizes of machines there are.
//!
//! The manifest hands over a [`FlySpec`], and asks [`Guest::of`] whether a machine of such a size can be had; the adapter
//! reads both. Knows neither the wire nor the network.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::{AppName, Label, Place};
use crate::template::{CpuKind, Resources};

/// Whose machines they are, where they are by default, and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlySpec {
    /// The organisation that owns the apps, by its slug.
    pub organization: Label,
    /// Where the instances of an app live that names no regions.
    pub primary_region: Place,
    /// How its apps are named there: [`FlySpec::APP`], [`FlySpec::ORGANIZATION`] and [`FlySpec::RANDOM`] are filled in.
    pub app_name: String,
    /// The private network that its apps are put on; the organisation's own where it is unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Label>,
    /// Where the token is.
    pub token_from: TokenFrom,
    /// The base of the Machines API, without `/v1`; [`FlySpec::API`] where it is unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// The base of what serves logs, without `/api/v1`; the same as `api_url` where only that is set, else [`FlySpec::WEB`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_url: Option<String>,
    /// How long a change of who gets requests takes until all of the platform's proxy acts on it; [`FlySpec::PROPAGATION`]
    /// where it is unset.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_human")]
    pub propagation: Option<Duration>,
    /// Whether machines carry the marks by which flyctl takes them for its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flyctl_metadata: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_false(truth: &bool) -> bool {
    !*truth
}

/// A duration as people write it, where there is one.
mod maybe_human {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::human;

    #[expect(clippy::ref_option, reason = "serde hands references")]
    pub(super) fn serialize<S: Serializer>(wait: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match wait {
            Some(wait) => human::serialize(wait, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Human(#[serde(with = "human")] Duration);
        Ok(Option::<Human>::deserialize(deserializer)?.map(|human| human.0))
    }
}

/// Where a token is. The token itself is in no manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenFrom {
    /// In this variable of the daemon's environment.
    Env(String),
    /// In this file; read when it is needed.
    File(String),
    /// On the standard output of this command; run when it is needed.
    Exec(Vec<String>),
}

impl fmt::Display for TokenFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {path}"),
            Self::Exec(command) => write!(f, "the command `{}`", command.first().map_or("", String::as_str)),
        }
    }
}

impl FlySpec {
    /// How long a change of who gets requests takes until all of the platform's proxy acts on it: flyctl waits as long between
    /// its own steps of a blue-green deployment (`internal/command/deploy`, read 2026-08-21).
    pub const PROPAGATION: Duration = Duration::from_secs(10);
    /// The base of the Machines API.
    pub const API: &str = "https://api.machines.dev";
    /// The base of what serves logs.
    pub const WEB: &str = "https://api.fly.io";
    /// The variable that holds the token where the manifest does not say.
    pub const TOKEN: &str = "FLY_API_TOKEN";
    /// How apps are named where the manifest does not say: names are shared by all of Fly's customers, so that a plain one
    /// is soon taken.
    pub const APP_NAME: &str = "{app}-{random6}";
    /// Stands for the app's name.
    pub const APP: &str = "{app}";
    /// Stands for the organisation.
    pub const ORGANIZATION: &str = "{organization}";
    /// Stands for six letters and digits, chosen once for an app.
    pub const RANDOM: &str = "{random6}";
    /// How many letters and digits [`FlySpec::RANDOM`] becomes.
    pub const RANDOM_CHARACTERS: usize = 6;
    /// Longest name of an app there: a label of the DNS.
    pub const APP_NAME_BYTES_MAX: usize = 63;

    /// The base of the Machines API.
    #[must_use]
    pub fn api_url(&self) -> &str {
        self.api_url.as_deref().unwrap_or(Self::API).trim_end_matches('/')
    }

    /// The base of what serves logs.
    #[must_use]
    pub fn web_url(&self) -> &str {
        let own = self.web_url.as_deref().or(self.api_url.as_deref());
        own.unwrap_or(Self::WEB).trim_end_matches('/')
    }

    /// How long the proxy takes to act on a change.
    #[must_use]
    pub fn propagation(&self) -> Duration {
        self.propagation.unwrap_or(Self::PROPAGATION)
    }

    /// The name of an app there, with these six letters and digits where its pattern has any.
    #[must_use]
    pub fn app_name(&self, app: &AppName, random: &str) -> String {
        let named = self.app_name.replace(Self::APP, app.as_str());
        named.replace(Self::ORGANIZATION, self.organization.as_str()).replace(Self::RANDOM, random)
    }

    /// Whether the name of an app there follows from its name here.
    #[must_use]
    pub fn app_name_is_derived(&self) -> bool {
        !self.app_name.contains(Self::RANDOM)
    }

    /// How many bytes the name of an app has there.
    #[must_use]
    pub fn app_name_bytes(&self, app: &AppName) -> usize {
        self.app_name(app, &"x".repeat(Self::RANDOM_CHARACTERS)).len()
    }

    /// Under which domain each app has a name on the organisation's private network, by way of the proxy.
    pub const PRIVATE: &str = ".flycast";

    /// Whether a host is a name on the private network alone.
    #[must_use]
    pub fn is_private(host: &str) -> bool {
        host.ends_with(Self::PRIVATE)
    }

    /// What a route to the private network is called: the app's own name there, as in [`FlySpec::own_host`].
    #[must_use]
    pub fn private_host(&self, app: &AppName) -> String {
        format!("{}{}", self.app_name(app, Self::RANDOM), Self::PRIVATE)
    }

    /// What a route is called that names no host: the app's own name there, its random part as the pattern spells it.
    #[must_use]
    pub fn own_host(&self, app: &AppName) -> String {
        format!("{}.fly.dev", self.app_name(app, Self::RANDOM))
    }
}

/// The size of a machine: one that Fly has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// Shared or its own.
    pub cpu_kind: CpuKind,
    /// How many.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

/// How many CPUs of a kind a machine may have, and how much memory with each.
struct Sizes {
    cpus: &'static [u32],
    /// Least memory for each CPU, in MiB, and what it is where nothing is said; memory comes in multiples of `step_mib`.
    least_mib: u64,
    /// Most memory for each CPU, in MiB.
    most_mib: u64,
    step_mib: u64,
}

const SHARED: Sizes = Sizes { cpus: &[1, 2, 4, 6, 8], least_mib: 256, most_mib: 2_048, step_mib: 256 };
const PERFORMANCE: Sizes =
    Sizes { cpus: &[1, 2, 4, 6, 8, 10, 12, 14, 16], least_mib: 2_048, most_mib: 8_192, step_mib: 2_048 };

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

impl Guest {
    /// The machine that an app's resources ask for: one shared CPU, and the least memory for its CPUs, where they say nothing.
    ///
    /// # Errors
    /// Which field asks for what there is not, and what there is.
    pub fn of(resources: &Resources) -> Result<Self, NoSuchGuest> {
        let cpu_kind = resources.cpu_kind.unwrap_or(CpuKind::Shared);
        let (word, sizes) = match cpu_kind {
            CpuKind::Shared => ("shared", SHARED),
            CpuKind::Performance => ("performance", PERFORMANCE),
        };
        let cpus = resources.cpus.unwrap_or(1);
        if !sizes.cpus.contains(&cpus) {
            let known: Vec<_> = sizes.cpus.iter().map(u32::to_string).collect();
            let message = format!("there is no machine of {cpus} {word} CPUs");
            return Err(NoSuchGuest { field: "cpus", message, help: format!("write one of: {}", known.join(", ")) });
        }
        let (least, most) = (sizes.least_mib * u64::from(cpus), sizes.most_mib * u64::from(cpus));
        let bytes = resources.memory_bytes.unwrap_or(least * MIB);
        let memory_mib = bytes / MIB;
        if !bytes.is_multiple_of(sizes.step_mib * MIB) || !(least..=most).contains(&memory_mib) {
            let s = if cpus == 1 { "" } else { "s" };
            let message = format!("there is no machine of {cpus} {word} CPU{s} with so much memory");
            let help =
                format!("write a multiple of {} from {} to {}", spell(sizes.step_mib), spell(least), spell(most));
            return Err(NoSuchGuest { field: "memory", message, help });
        }
        Ok(Self { cpu_kind, cpus, memory_mib })
    }
}

/// A size in MiB, as manifests spell it.
fn spell(mib: u64) -> String {
    if mib.is_multiple_of(1_024) { format!("{}Gi", mib / 1_024) } else { format!("{mib}Mi") }
}

/// Why a machine cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchGuest {
    /// The field of `resources` that asks for it.
    pub field: &'static str,
    /// What there is not.
    pub message: String,
    /// What there is.
    pub help: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(cpu_kind: Option<CpuKind>, cpus: Option<u32>, mib: Option<u64>) -> Result<String, String> {
        let memory_bytes = mib.map(|mib| mib * MIB);
        let found = Guest::of(&Resources { cpu_kind, cpus, memory_bytes, ..Resources::default() });
        let spelled = found.map(|guest| format!("{:?} {} {}", guest.cpu_kind, guest.cpus, guest.memory_mib));
        spelled.map_err(|error| format!("{}: {}; {}", error.field, error.message, error.help))
    }

    #[test]
    fn a_machine_has_a_size_that_there_is() {
        let performance = Some(CpuKind::Performance);
        assert_eq!(guest(None, None, None), Ok("Shared 1 256".to_owned()));
        assert_eq!(guest(None, Some(4), None), Ok("Shared 4 1024".to_owned()));
        assert_eq!(guest(None, Some(8), Some(16_384)), Ok("Shared 8 16384".to_owned()));
        assert_eq!(guest(performance, None, None), Ok("Performance 1 2048".to_owned()));
        assert_eq!(guest(performance, Some(16), Some(131_072)), Ok("Performance 16 131072".to_owned()));
        let none = |wrong: &str| Err(wrong.to_owned());
        let memory = "memory: there is no machine of 1 shared CPU with so much memory; write a multiple of 256Mi from 256Mi to 2Gi";
        for mib in [128, 300, 2_304] {
            assert_eq!(guest(None, None, Some(mib)), none(memory), "{mib}");
        }
        let cpus = "cpus: there is no machine of 3 shared CPUs; write one of: 1, 2, 4, 6, 8";
        assert_eq!(guest(None, Some(3), None), none(cpus));
        let much = "memory: there is no machine of 2 performance CPUs with so much memory; write a multiple of 2Gi from 4Gi to 16Gi";
        assert_eq!(guest(performance, Some(2), Some(5_120)), none(much));
        assert_eq!(guest(performance, Some(2), Some(2_048)), none(much));
    }

    #[test]
    fn names_there_follow_the_pattern() {
        let spec = FlySpec {
            organization: Label::new("ampel").expect("a name"),
            primary_region: Place::new("iad").expect("a name"),
            app_name: "{organization}-{app}-{random6}".to_owned(),
            network: None,
            token_from: TokenFrom::Env(FlySpec::TOKEN.to_owned()),
            api_url: Some("http://127.0.0.1:4280/".to_owned()),
            web_url: None,
            propagation: None,
            flyctl_metadata: false,
        };
        let app = AppName::new("api").expect("a name");
        assert_eq!(spec.app_name(&app, "x7f2k1"), "ampel-api-x7f2k1");
        assert_eq!(spec.app_name_bytes(&app), 16);
        assert_eq!(spec.own_host(&app), "ampel-api-{random6}.fly.dev");
        assert!(!spec.app_name_is_derived());
        assert_eq!((spec.api_url(), spec.web_url()), ("http://127.0.0.1:4280", "http://127.0.0.1:4280"));
    }
}
