//! What the environment says: the one file that reads it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cli::Places;

/// The state directory of root.
const ROOT_STATE_DIR: &str = "/var/lib/trueup";
/// Where root's status is public.
const ROOT_STATUS_FILE: &str = "/run/trueup/status.json";
/// The search path of instances, behind the daemon's own directory.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[expect(clippy::disallowed_methods, reason = "the one place of the binary that reads the environment")]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a variable is set to nothing, which says as much as none: that is how scripts take one back.
#[expect(clippy::disallowed_methods, reason = "the one place of the binary that reads the environment")]
pub(crate) fn is_empty(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// A variable that a manifest names, or that a program which keeps credentials looks for.
pub(crate) fn variable(name: &str) -> Option<String> {
    read(name)
}

/// The whole environment, for what manifests read of it and for commands that print secrets; what is no text is left out.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Where the state lies.
pub(crate) fn state_dir(places: &Places) -> PathBuf {
    if let Some(dir) = &places.state_dir {
        return absolute(dir);
    }
    if is_root() {
        return PathBuf::from(ROOT_STATE_DIR);
    }
    let base = read("XDG_STATE_HOME").map(PathBuf::from);
    let base = base.or_else(|| read("HOME").map(|home| Path::new(&home).join(".local/state")));
    base.unwrap_or_else(|| PathBuf::from("/tmp")).join("trueup")
}

/// Where a daemon writes its status, the first being where readers look.
pub(crate) fn status_files(places: &Places) -> Vec<PathBuf> {
    let mut files = vec![state_dir(places).join("status.json")];
    if let Some(file) = &places.status_file {
        files.insert(0, absolute(file));
    } else if places.state_dir.is_none() && is_root() {
        files.insert(0, PathBuf::from(ROOT_STATUS_FILE));
    }
    files
}

/// All that an instance inherits: a search path that begins with our own directory, and PATH's few companions.
pub(crate) fn base_env() -> Vec<(String, String)> {
    let own = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let path = own.map_or_else(|| SEARCH_PATH.to_owned(), |own| format!("{}:{SEARCH_PATH}", own.display()));
    let mut env = vec![("PATH".to_owned(), path)];
    for name in ["HOME", "LANG", "TZ"] {
        env.extend(read(name).map(|value| (name.to_owned(), value)));
    }
    env
}

/// Who gives an order.
pub(crate) fn who() -> String {
    let name = read("SUDO_USER").or_else(|| read("USER")).or_else(|| read("LOGNAME"));
    name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// What is logged, in tracing-subscriber's spelling.
pub(crate) fn log_filter() -> String {
    read("TRUEUP_LOG").unwrap_or_else(|| "info".to_owned())
}

/// Whether colours are unwanted, whatever standard output is.
pub(crate) fn no_color() -> bool {
    read("NO_COLOR").is_some()
}

/// A variable of the demo server.
pub(crate) fn demo(name: &str) -> Option<String> {
    read(&format!("DEMO_{name}"))
}

/// The port and the name that an instance was given.
pub(crate) fn instance() -> (Option<u16>, String) {
    let port = read("PORT").and_then(|text| text.parse().ok());
    (port, read("TRUEUP_INSTANCE").unwrap_or_else(|| "demo-app".to_owned()))
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A path that means the same wherever the daemon stands.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
