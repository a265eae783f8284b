//! How a simulated instance behaves: read from its template's environment, so that a release is good or bad by what it
//! carries.

use std::time::Duration;

use trueup_types::{InstanceId, Release, Template};

/// How one instance behaves from its start on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// From the start to the first good probe.
    pub healthy_after: Duration,
    /// It never answers a probe well.
    pub never_healthy: bool,
    /// It turns bad so long after its start, for good.
    pub sick_after: Option<Duration>,
    /// It exits so long after its start.
    pub exit_after: Option<Duration>,
    /// With this code.
    pub exit_code: i32,
    /// It cannot be started at all.
    pub cannot_start: bool,
    /// It passes its probes, and fails whatever analysis is asked in it.
    pub analysed_bad: bool,
    /// It exits only in its first so many lives; `None` in all.
    pub exits_in_lives: Option<u32>,
}

/// Milliseconds from the start to the first good probe.
pub const HEALTHY_AFTER_MS: &str = "SIM_HEALTHY_AFTER_MS";
/// Set to anything: never answers a probe well.
pub const NEVER_HEALTHY: &str = "SIM_NEVER_HEALTHY";
/// Milliseconds from the start until it turns bad.
pub const SICK_AFTER_MS: &str = "SIM_SICK_AFTER_MS";
/// Milliseconds from the start until it exits.
pub const EXIT_AFTER_MS: &str = "SIM_EXIT_AFTER_MS";
/// Its exit code.
pub const EXIT_CODE: &str = "SIM_EXIT_CODE";
/// Set to anything: cannot be started.
pub const CANNOT_START: &str = "SIM_CANNOT_START";
/// Set to anything: answers probes as it does, and the command [`ANALYSE`] fails in it.
pub const ANALYSED_BAD: &str = "SIM_ANALYSED_BAD";
/// The command that an analysis runs; any other is a probe's.
pub const ANALYSE: &str = "analyse";
/// How many lives end by themselves.
pub const EXITS_IN_LIVES: &str = "SIM_EXITS_IN_LIVES";

/// How long a hook runs that says nothing of it.
const HOOK_TAKES: Duration = Duration::from_millis(100);

impl Behaviour {
    /// How an instance of a release behaves: what runs a hook reads the words of its command, such as `SIM_EXIT_CODE=3`,
    /// and exits with 0 after a moment where they say nothing else.
    #[must_use]
    pub fn of_instance(id: &InstanceId, release: &Release) -> Self {
        let Some(hook) = release.hook(id) else { return Self::of(&release.template) };
        let words = hook.command.iter().filter_map(|word| word.split_once('='));
        let env = words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let told = Self::of(&Template { env, ..Template::default() });
        let exit_code = if hook.command.iter().any(|word| word.starts_with(EXIT_CODE)) { told.exit_code } else { 0 };
        Self { exit_after: told.exit_after.or(Some(HOOK_TAKES)), exit_code, ..told }
    }

    /// Reads the behaviour that a template carries.
    #[must_use]
    pub fn of(template: &Template) -> Self {
        let number = |key: &str| template.env.get(key).and_then(|text| text.parse::<u64>().ok());
        let millis = |key: &str| number(key).map(Duration::from_millis);
        Self {
            healthy_after: millis(HEALTHY_AFTER_MS).unwrap_or_default(),
            never_healthy: template.env.contains_key(NEVER_HEALTHY),
            sick_after: millis(SICK_AFTER_MS),
            exit_after: millis(EXIT_AFTER_MS),
            exit_code: number(EXIT_CODE).and_then(|code| i32::try_from(code).ok()).unwrap_or(1),
            cannot_start: template.env.contains_key(CANNOT_START),
            analysed_bad: template.env.contains_key(ANALYSED_BAD),
            exits_in_lives: number(EXITS_IN_LIVES).and_then(|lives| u32::try_from(lives).ok()),
        }
    }

    /// Whether it answers a probe well, `age` after its start.
    #[must_use]
    pub fn healthy_at(&self, age: Duration) -> bool {
        !self.never_healthy && age >= self.healthy_after && self.sick_after.is_none_or(|sick| age < sick)
    }

    /// When it exits by itself in this life, counted from its start.
    #[must_use]
    pub fn exit_in_life(&self, life: u32) -> Option<Duration> {
        self.exit_after.filter(|_| self.exits_in_lives.is_none_or(|lives| life <= lives))
    }
}
