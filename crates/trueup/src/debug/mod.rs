//! `trueup debug bundle`: all that somebody would ask for who is to find out what went wrong, in one file to send.
//!
//! Reads what lies in the state directory and asks the daemon where one answers; what cannot be had is listed, and no
//! reason to fail. Everything passes a [`Masker`] that has seen every environment and every file that trueup knows of:
//! first all is gathered, then all is masked, then it is packed.

mod archive;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use trueup_driver::mask::Masker;
use trueup_driver::{Clock as _, SteadyClock};
use trueup_seams::LogQuery;
use trueup_secrets::Vault;
use trueup_server::ControlClient;
use trueup_types::status::StatusDocument;
use trueup_types::{AppName, Timestamp};

use crate::cli::{Bundle, Places};
use crate::run::wiring;
use crate::terminal::{Progress, out};
use crate::{config, doctor, manifests, status_reader, why};
use archive::Archive;

/// Most instances whose logs are packed: beyond them a report is about something else.
const LOGS_MAX: usize = 200;
/// Most bytes of the edge's own log.
const EDGE_LOG_BYTES_MAX: usize = 256 * 1024;

/// Says what is in it, to whoever opens it.
const README: &str = "\
What `trueup debug bundle` has collected.

  version.txt          trueup, kernel and machine
  doctor.txt           what the host allows
  status.json          the status file: apps, targets, conditions
  events.txt           what happened, oldest first
  manifests/APP.yaml   each manifest as it was read, profiles and defaults applied
  decisions/APP.json   the last decisions with all they rest on; `trueup why --replay FILE` makes them again
  evidence/APP.json    what was found on releases that failed
  logs/INSTANCE.log    the end of what each instance wrote; logs/edge.log of the proxy
  state.txt            the names and sizes of what lies in the state directory
  missing.txt          what could not be had, and why

No value of an environment and no content of a file is in it: `masked-3` stands for one, the same one wherever it occurs in
a file, and [masked] where a sentence, a command or a log repeats one that has at least six characters. What an app
wrote of its own accord into its log is in it: look at logs/ before you send it. The access log is left out, and the
daemon's own log is not here either: where it runs as a service, `journalctl -u trueup` has it.
";

/// What was gathered, by name in the archive.
#[derive(Default)]
struct Gathered {
    /// Text in which known values are struck out.
    texts: BTreeMap<String, String>,
    /// Values in which they are renamed.
    values: BTreeMap<String, Value>,
    /// What is masked already.
    masked: BTreeMap<String, String>,
    /// What could not be had.
    missing: Vec<String>,
}

impl Gathered {
    fn miss(&mut self, what: &str, why: &dyn std::fmt::Display) {
        self.missing.push(format!("{what}: {why}"));
    }
}

/// Runs `trueup debug bundle`.
pub(crate) async fn bundle(places: &Places, asked: &Bundle) -> anyhow::Result<()> {
    let now = SteadyClock::fresh().now();
    let path = config::absolute(&asked.output.clone().unwrap_or_else(|| file_name(now)));
    let folder = path.parent().context("the bundle has to lie in a folder")?;
    anyhow::ensure!(
        folder.is_dir(),
        "there is no folder {}; make it, or say another file with --output",
        folder.display()
    );
    let cannot = || format!("{} cannot be written", path.display());
    let mut archive = Archive::begin(folder, now).with_context(cannot)?;
    let mut progress = Progress::new();
    let mut gathered = Gathered::default();
    let mut masker = Masker::default();
    gather(places, asked, &mut gathered, &mut masker, &mut progress).await;
    progress.show("masking and packing");
    archive.put("README.txt", README).with_context(cannot)?;
    for (name, content) in cleaned(gathered, &masker) {
        archive.put(&name, &content).with_context(cannot)?;
    }
    let count = archive.finish(&path).with_context(cannot)?;
    progress.done();
    out(&format!("{count} files are in {}; look into its logs before you send it", path.display()));
    Ok(())
}

/// `trueup-debug-20261121T200725Z.tar.gz`.
fn file_name(now: Timestamp) -> PathBuf {
    let spelled = now.to_string();
    let second = spelled.split('.').next().unwrap_or_default();
    let plain: String = second.chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
    PathBuf::from(format!("trueup-debug-{plain}Z.tar.gz"))
}

async fn gather(
    places: &Places,
    asked: &Bundle,
    gathered: &mut Gathered,
    masker: &mut Masker,
    progress: &mut Progress,
) {
    let state_dir = config::state_dir(places);
    progress.show("asking the host");
    gathered.texts.insert("version.txt".to_owned(), version());
    gathered.texts.insert("doctor.txt".to_owned(), doctor::report(places).await);
    gathered.texts.insert("state.txt".to_owned(), listing(&state_dir));
    learn_from_instances(&state_dir, masker);
    Vault::values_in(&wiring::vault_dir(&state_dir)).iter().for_each(|value| masker.name_whole(value));
    progress.show("reading the status, the manifests and the evidence");
    let status = match status_reader::read(places) {
        Ok(status) => Some(status.document),
        Err(error) => {
            gathered.miss("status.json", &error);
            None
        }
    };
    if let Some(status) = &status {
        gathered.texts.insert("events.txt".to_owned(), events(status));
        read_manifests(Path::new(&status.daemon.source), gathered);
        gathered.values.insert("status.json".to_owned(), serde_json::to_value(status).unwrap_or_default());
    }
    read_evidence(&state_dir, gathered);
    read_edge_log(&state_dir, gathered);
    let names = status.iter().flat_map(|status| &status.apps).map(|app| &app.metadata.name);
    names.for_each(|name| masker.spare(name.as_str()));
    gathered.values.values().for_each(|value| masker.learn(value));
    gathered.missing.iter().for_each(|line| masker.learn_error(line));
    if let Some(status) = &status {
        ask_the_daemon(&state_dir, status, asked.lines, gathered, progress).await;
    }
}

/// Each file without what may be a secret, in name order.
fn cleaned(gathered: Gathered, masker: &Masker) -> BTreeMap<String, String> {
    let Gathered { texts, values, masked, missing } = gathered;
    let mut files = masked;
    for (name, text) in texts {
        files.insert(name, masker.strike(&text));
    }
    for (name, mut value) in values {
        masker.mask(&mut value);
        let text = if name.ends_with(".yaml") {
            trueup_manifest::to_yaml(&value)
        } else {
            serde_json::to_string_pretty(&value).unwrap_or_default()
        };
        files.insert(name, text);
    }
    let missing = if missing.is_empty() { "nothing\n".to_owned() } else { missing.join("\n") + "\n" };
    files.insert("missing.txt".to_owned(), masker.strike(&missing));
    files
}

fn version() -> String {
    let host = rustix::system::uname();
    let [system, release, machine] =
        [host.sysname(), host.release(), host.machine()].map(|part| part.to_string_lossy());
    format!("trueup {}\n{system} {release} {machine}\n", env!("CARGO_PKG_VERSION"))
}

/// What lies in the state directory, two levels deep: names, sizes and modes tell of a full disk or a foreign owner.
fn listing(state_dir: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let mut text = format!("{}\n", state_dir.display());
    let mut folders = vec![(state_dir.to_owned(), 1)];
    while let Some((folder, depth)) = folders.pop() {
        let mut entries: Vec<_> =
            std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|one| one.path()).collect();
        entries.sort();
        for path in entries {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let name = path.strip_prefix(state_dir).unwrap_or(&path).display();
            let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
            let _ = writeln!(text, "{mode:04o} {owner:>6} {:>12} {name}", metadata.len());
            if metadata.is_dir() && depth < 2 {
                folders.push((path, depth + 1));
            }
        }
    }
    text
}

/// What was given to instances that are there still, of older releases too: their logs may repeat it.
fn learn_from_instances(state_dir: &Path, masker: &mut Masker) {
    for instance in std::fs::read_dir(state_dir.join("instances")).into_iter().flatten().flatten() {
        let text = std::fs::read(instance.path().join("spec.json")).unwrap_or_default();
        if let Ok(spec) = serde_json::from_slice::<Value>(&text) {
            masker.learn(&spec);
        }
    }
}

fn events(status: &StatusDocument) -> String {
    let line = |event: &trueup_types::status::Event| {
        let (last, kind, reason) = (event.last, event.kind, &event.reason);
        format!("{last} {kind:?} {reason} {} {}\n", event.object(), event.message)
    };
    status.events.iter().map(line).collect()
}

fn read_manifests(source: &Path, gathered: &mut Gathered) {
    let directory = match manifests::read(source) {
        Ok(directory) => directory,
        Err(error) => return gathered.miss("manifests", &error),
    };
    for diagnostic in directory.diagnostics() {
        gathered.missing.push(format!("manifests: {}: {}", diagnostic.file, diagnostic.line()));
    }
    for (name, app) in &directory.resolution.apps {
        gathered.values.insert(format!("manifests/{name}.yaml"), trueup_manifest::manifest_of(&app.desired));
    }
}

fn read_evidence(state_dir: &Path, gathered: &mut Gathered) {
    for entry in std::fs::read_dir(state_dir.join("evidence")).into_iter().flatten().flatten() {
        let name = format!("evidence/{}", entry.file_name().to_string_lossy());
        let text = std::fs::read(entry.path()).map_err(anyhow::Error::from);
        match text.and_then(|text| Ok(serde_json::from_slice(&text)?)) {
            Ok(value) => drop(gathered.values.insert(name, value)),
            Err(error) => gathered.miss(&name, &error),
        }
    }
}

fn read_edge_log(state_dir: &Path, gathered: &mut Gathered) {
    match std::fs::read(state_dir.join("edge").join("edge.log")) {
        Ok(bytes) => {
            let end = &bytes[bytes.len().saturating_sub(EDGE_LOG_BYTES_MAX)..];
            gathered.texts.insert("logs/edge.log".to_owned(), String::from_utf8_lossy(end).into_owned());
        }
        Err(why) => gathered.miss("logs/edge.log", &why),
    }
}

/// Decisions and logs are the daemon's to give.
async fn ask_the_daemon(
    state_dir: &Path,
    status: &StatusDocument,
    lines: usize,
    gathered: &mut Gathered,
    progress: &mut Progress,
) {
    let client = match ControlClient::new(state_dir) {
        Ok(client) => client,
        Err(error) => return gathered.miss("decisions and logs", &error),
    };
    if let Err(error) = client.status().await {
        return gathered.miss("decisions and logs", &error);
    }
    let mut logs = 0;
    for (index, app) in status.apps.iter().enumerate() {
        let name = &app.metadata.name;
        progress.show(&format!("decisions and logs of {name}, {} of {}", index + 1, status.apps.len()));
        match why::recorded(&client, name).await {
            Ok(file) if file.decisions.is_empty() => {}
            Ok(file) => {
                let text = serde_json::to_string_pretty(&file).unwrap_or_default();
                gathered.masked.insert(format!("decisions/{name}.json"), text);
            }
            Err(error) => gathered.miss(&format!("decisions/{name}.json"), &error),
        }
        logs += read_logs(&client, name, (lines, LOGS_MAX - logs), gathered).await;
    }
}

/// The logs of an app's instances, and of what ran its hooks; answers how many.
async fn read_logs(
    client: &ControlClient,
    app: &AppName,
    (lines_max, most): (usize, usize),
    gathered: &mut Gathered,
) -> usize {
    let instances = match client.instances(app).await {
        Ok(instances) => instances,
        Err(error) => {
            gathered.miss(&format!("logs of {app}"), &error);
            return 0;
        }
    };
    if instances.len() > most {
        gathered.miss(&format!("logs of {app}"), &format!("of {} instances {most} are packed", instances.len()));
    }
    let mut count = 0;
    for (instance, target) in instances.into_iter().take(most) {
        let mut text = String::new();
        for previous in [true, false] {
            let query = LogQuery { instance: instance.clone(), since: None, lines_max, previous, after: None };
            match client.logs(&target, &query).await {
                Ok(lines) => lines.iter().for_each(|line| {
                    let _ = writeln!(text, "{}", line.text);
                }),
                // Most have no life before this one.
                Err(_) if previous => {}
                Err(error) => gathered.miss(&format!("logs/{instance}.log"), &error),
            }
        }
        count += 1;
        gathered.texts.insert(format!("logs/{instance}.log"), text);
    }
    count
}
