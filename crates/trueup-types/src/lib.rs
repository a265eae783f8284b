//! The nouns of trueup, and how they are spelled.
//!
//! Everything else speaks in these words. Read in this order: [`name`] and [`number`] (what things are called),
//! [`time`], [`desired`] with [`template`], [`policy`], [`window`], [`analysis`] and [`exposure`] (what is wanted), [`secret`] (what is read
//! from elsewhere), [`target`] with [`docker`], [`fly`] and [`pattern`] (where), [`release`] (what one rollout carries), [`observed`] (what is there), [`record`] with
//! [`history`] (what only memory knows), [`step`], [`verdict`] and [`decision`] (what is decided), [`route`] (what the ingress
//! is told), and [`status`] (what people are shown).
//!
//! Knows nothing of async, files, YAML or HTTP.

pub mod analysis;
pub mod decision;
pub mod desired;
pub mod digest;
pub mod docker;
pub mod exposure;
pub mod fly;
pub mod history;
pub mod hook;
pub mod name;
pub mod number;
pub mod observed;
pub mod order;
pub mod pattern;
pub mod policy;
pub mod probe;
pub mod record;
pub mod release;
pub mod route;
pub mod secret;
pub mod status;
pub mod step;
pub mod target;
pub mod template;
pub mod time;
pub mod verdict;
pub mod window;

pub use desired::{Cause, DesiredApp, Doubt, Hold, Inputs, Permits, Placement, Prune, Readiness, Wanted};
pub use digest::{IntentDigest, ReleaseDigest, TemplateDigest};
pub use exposure::{Certificate, Certified, Exposure, Route, Tls};
pub use name::{AppName, InstanceId, Label, NameError, OwnerId, Place, PortName, TargetName, Task};
pub use number::{Generation, Ordinal, Percent, Quantity, Revision, TableGeneration};
pub use observed::{
    ExitWhy, Health, Incarnation, Instance, Observed, Phase, ProbeFailure, RouteSeen, RouteSight, Sighting,
};
pub use order::{Denial, EnvOf, Order};
pub use policy::{Policy, RevertMode, Strategy};
pub use record::AppRecord;
pub use release::Release;
pub use route::{AppRoutes, Backend, RouteEntry, RouteTable};
pub use step::{InstanceStep, Refusal, Step, StepAction, StepOutcome, StepResult, TargetStep, Why};
pub use target::{TargetKind, TargetSpec};
pub use template::Template;
pub use time::Timestamp;
pub use verdict::{Plan, Verdict, Violation, Wake, WakeReason};
