//! Takes the values of a secret from where its manifest says they are.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;
use trueup_host::{Command, Host as _, LocalHost};
use trueup_types::secret::{SecretFrom, is_key};

use crate::{Values, Variables, lines};

/// Most bytes of one secret, all its keys together: an environment holds little more.
const BYTES_MAX: usize = 256 * 1024;
/// Most bytes of one value: `MAX_ARG_STRLEN` of Linux, less the name.
const VALUE_BYTES_MAX: usize = 128 * 1024 - 512;
/// Longest that a command may take which prints them: some ask a server for a key.
const PATIENCE: Duration = Duration::from_secs(20);
/// What others must not be able to do with a file: read or write it, nor its group write it.
const OTHERS: u32 = 0o026;

/// The values of a secret, without a NUL and within their bounds.
///
/// # Errors
/// One line: what cannot be had, and how to mend it.
pub(crate) fn read(from: &SecretFrom, root: &Path, variables: &Variables) -> Result<Values, String> {
    let values = match from {
        SecretFrom::Env(names) => of_environment(names, variables)?,
        SecretFrom::File(path) => of_path(&root.join(path)).map_err(|why| format!("{path}: {why}"))?,
        SecretFrom::Exec(command) => of_command(command, root, variables).map_err(|why| format!("{from}: {why}"))?,
    };
    for (key, value) in &values {
        if value.contains('\0') {
            return Err(format!("{from}: the value of `{key}` holds a NUL, which no program can be given"));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(format!("{from}: the value of `{key}` has more than {VALUE_BYTES_MAX} bytes"));
        }
    }
    if values.is_empty() {
        return Err(format!("{from} holds no key"));
    }
    Ok(values)
}

fn of_environment(names: &BTreeMap<String, String>, variables: &Variables) -> Result<Values, String> {
    // What is set to nothing is as good as not set: that is how scripts take a variable back.
    let value = |name: &String| variables.get(name).filter(|value| !value.is_empty());
    let missing: Vec<_> = names.values().filter(|name| value(name).is_none()).map(String::as_str).collect();
    if let [first, rest @ ..] = missing.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" (nor {})", rest.join(", ")) };
        return Err(format!(
            "the variable {first} is not set in the daemon's environment{more}; set it where `trueup run` is started"
        ));
    }
    Ok(names.iter().filter_map(|(key, name)| Some((key.clone(), value(name)?.clone()))).collect())
}

fn of_path(path: &Path) -> Result<Values, String> {
    let meta = path.metadata().map_err(|why| spelled(&why))?;
    if meta.is_dir() {
        return of_folder(path);
    }
    lines::parse(&text(path, BYTES_MAX)?)
}

/// One file for each key, as engines and clusters lay secrets into a folder; hidden ones are theirs.
fn of_folder(path: &Path) -> Result<Values, String> {
    let mut values = Values::new();
    let mut left = BYTES_MAX;
    for entry in std::fs::read_dir(path).map_err(|why| spelled(&why))? {
        let entry = entry.map_err(|why| spelled(&why))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if !is_key(&name) {
            return Err(format!("its file `{name}` is not named like a variable"));
        }
        let value = text(&entry.path(), left).map_err(|why| format!("`{name}`: {why}"))?;
        left = left.saturating_sub(value.len());
        // Editors and `echo` end a file with a line end that is no part of the value.
        let value = value.strip_suffix('\n').map_or(value.as_str(), |bare| bare.strip_suffix('\r').unwrap_or(bare));
        values.insert(name, value.to_owned());
    }
    Ok(values)
}

/// The text of a file that others can neither read nor write.
fn text(path: &Path, bytes_max: usize) -> Result<String, String> {
    use std::io::Read as _;
    let meta = path.metadata().map_err(|why| spelled(&why))?;
    if !meta.is_file() {
        // Opening a pipe would wait for its writer.
        return Err("it is no regular file".to_owned());
    }
    if meta.mode() & OTHERS != 0 {
        let (mode, path) = (meta.mode() & 0o7777, path.display());
        return Err(format!("others may read or write it (its mode is {mode:04o}); run `chmod 600 {path}`"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|why| spelled(&why))?;
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|why| spelled(&why))?;
    if bytes.len() > bytes_max {
        return Err(format!("it has more than {} KiB", BYTES_MAX / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// What a command prints, which is run with the daemon's own environment: it has to find its key there.
fn of_command(words: &[String], root: &Path, variables: &Variables) -> Result<Values, String> {
    let (program, args) = words.split_first().ok_or_else(|| "it has no words".to_owned())?;
    let command = Command {
        program: program.clone(),
        args: args.to_vec(),
        env: variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        workdir: Some(root.to_owned()),
        stdin: Vec::new(),
        timeout: PATIENCE,
        output_max: BYTES_MAX * 2,
    };
    let output = Handle::current().block_on(LocalHost.exec(&command)).map_err(|why| why.to_string())?;
    match output.code {
        Some(0) => {}
        // What it wrote beside may hold a value.
        Some(code) => return Err(format!("it ended with {code}; run it in {} to see why", root.display())),
        None => return Err(format!("it took longer than {} s", PATIENCE.as_secs())),
    }
    if output.stdout.len() >= BYTES_MAX {
        return Err(format!("it printed more than {} KiB", BYTES_MAX / 1024));
    }
    let printed = String::from_utf8(output.stdout).map_err(|_| "it printed no UTF-8".to_owned())?;
    lines::parse(&printed).map_err(|why| format!("what it printed, {why}"))
}

fn spelled(why: &io::Error) -> String {
    if why.kind() == io::ErrorKind::NotFound {
        return "it is not there".to_owned();
    }
    if why.kind() == io::ErrorKind::PermissionDenied {
        return "the daemon may not read it".to_owned();
    }
    why.to_string()
}
