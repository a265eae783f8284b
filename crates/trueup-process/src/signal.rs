//! Signals by the names that manifests use.

use rustix::process::Signal;

/// The signals that a manifest may name for a stop.
const NAMED: [(&str, Signal); 9] = [
    ("SIGTERM", Signal::TERM),
    ("SIGINT", Signal::INT),
    ("SIGQUIT", Signal::QUIT),
    ("SIGHUP", Signal::HUP),
    ("SIGKILL", Signal::KILL),
    ("SIGUSR1", Signal::USR1),
    ("SIGUSR2", Signal::USR2),
    ("SIGWINCH", Signal::WINCH),
    ("SIGABRT", Signal::ABORT),
];

/// The signal of this name, with or without `SIG`.
pub(crate) fn named(name: &str) -> Option<Signal> {
    let bare = name.strip_prefix("SIG").unwrap_or(name);
    NAMED.iter().find(|(known, _)| known[3..].eq_ignore_ascii_case(bare)).map(|(_, signal)| *signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name() {
        assert_eq!(named("SIGTERM"), Some(Signal::TERM));
        assert_eq!(named("int"), Some(Signal::INT));
        assert_eq!(named("SIGNOPE"), None);
    }
}
