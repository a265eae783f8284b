//! Keeps values by their fingerprint, in a folder that only the daemon's own user may enter.
//!
//! A release names its secrets by fingerprint. What was read is written before anybody learns its fingerprint, so that
//! whoever has one finds its values; so a rollback takes the values of then. What no kept release needs, and is not what
//! was read last, is removed. The key lies beside the values: it guards fingerprints, which travel; the folder guards these.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use trueup_host::files::{self, Durability};
use trueup_seams::{NoSecrets, Secrets};
use trueup_types::secret::SecretSpec;
use trueup_types::{AppName, Label, Release};

use crate::keyed::{KEY_BYTES, Key};
use crate::{Values, Variables, read};

/// The version of what we write.
const VERSION: u32 = 1;
/// The file of the key.
const KEY: &str = "key";
/// How a file of values ends.
const ENDING: &str = ".json";

/// Values on the disk, by fingerprint.
pub struct Vault {
    folder: PathBuf,
    key: Key,
    variables: Variables,
    state: Mutex<State>,
}

/// What is needed.
#[derive(Default)]
struct State {
    /// What each secret was read as last.
    current: BTreeMap<Label, String>,
    /// What the releases of each app may need again.
    needed: BTreeMap<AppName, BTreeSet<String>>,
    /// Every value in the folder, where that has not changed since it was asked for.
    values: Option<Arc<BTreeSet<String>>>,
}

/// One version of a secret: `NAME.FINGERPRINT.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    values: Values,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    version: u32,
    key: [u8; KEY_BYTES],
}

impl Vault {
    /// Opens the folder, and makes it with a key of its own where there is none.
    ///
    /// # Errors
    /// When it cannot be made, read or written.
    pub fn open(folder: &Path, variables: Variables) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(KEY);
        let key = match files::read::<KeyFile>(&path)? {
            Some(file) => file.key,
            None => {
                let mut key = [0; KEY_BYTES];
                std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
                files::write(&path, &KeyFile { version: VERSION, key }, Durability::Synced)?;
                key
            }
        };
        Ok(Self { folder: folder.to_owned(), key: Key(key), variables, state: Mutex::default() })
    }

    /// Every value that is kept in a folder, for whoever only has to strike them out.
    #[must_use]
    pub fn values_in(folder: &Path) -> BTreeSet<String> {
        let paths = versions(folder).into_iter().map(|(path, _)| path);
        let kept = paths.filter_map(|path| files::read::<Kept>(&path).ok().flatten());
        kept.flat_map(|kept| kept.values.into_values()).collect()
    }

    fn keep(&self, name: &Label, values: Values) -> std::io::Result<String> {
        let fingerprint = fingerprint(&self.key, name, &values);
        let path = self.folder.join(format!("{name}.{fingerprint}{ENDING}"));
        if !path.exists() {
            files::write(&path, &Kept { version: VERSION, values }, Durability::Synced)?;
            self.state().values = None;
        }
        self.state().current.insert(name.clone(), fingerprint.clone());
        Ok(fingerprint)
    }

    fn version(&self, name: &Label, fingerprint: &str) -> std::io::Result<Option<Values>> {
        // It comes from a record, which may be anything by now.
        if !fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let path = self.folder.join(format!("{name}.{fingerprint}{ENDING}"));
        let Some(kept) = files::read::<Kept>(&path)? else { return Ok(None) };
        if kept.version > VERSION {
            let why = format!("{}: of version {}, later than ours; upgrade this daemon", path.display(), kept.version);
            return Err(std::io::Error::other(why));
        }
        Ok(Some(kept.values))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Secrets for Vault {
    fn read(&self, spec: &SecretSpec, root: &Path) -> Result<String, String> {
        let of = |why: String| format!("the secret `{}`: {why}", spec.name);
        let values = read::read(&spec.from, root, &self.variables).map_err(of)?;
        self.keep(&spec.name, values).map_err(|why| of(format!("its values cannot be kept: {why}")))
    }

    fn environment(&self, release: &Release) -> Result<Values, String> {
        let mut all = Values::new();
        for one in &release.template.env_from {
            let gone = |why: &str| {
                let (name, revision) = (&one.secret, release.revision);
                format!(
                    "the values that the secret `{name}` had for {revision} are {why}; `--current-env` goes without them"
                )
            };
            let fingerprint = release.inputs.secret_fingerprints.get(one.secret.as_str());
            let fingerprint = fingerprint.ok_or_else(|| gone("not known"))?;
            let values = self.version(&one.secret, fingerprint).map_err(|why| gone(&format!("out of reach: {why}")))?;
            all.extend(values.ok_or_else(|| gone("kept no more"))?);
        }
        Ok(all)
    }

    fn mark(&self, value: &str) -> String {
        self.key.digest(value.as_bytes())
    }

    fn values(&self) -> Arc<BTreeSet<String>> {
        let mut state = self.state();
        let folder = &self.folder;
        Arc::clone(state.values.get_or_insert_with(|| Arc::new(Self::values_in(folder))))
    }

    fn needed(&self, app: &AppName, fingerprints: BTreeSet<String>) {
        let mut state = self.state();
        if fingerprints.is_empty() {
            state.needed.remove(app);
        } else {
            state.needed.insert(app.clone(), fingerprints);
        }
    }

    fn sweep(&self) {
        let mut state = self.state();
        state.values = None;
        let needed: BTreeSet<&String> = state.current.values().chain(state.needed.values().flatten()).collect();
        for (path, fingerprint) in versions(&self.folder) {
            if needed.contains(&fingerprint) {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => tracing::debug!(path = %path.display(), "values that no release needs are gone"),
                Err(error) => tracing::warn!(%error, path = %path.display(), "values that no release needs stay"),
            }
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The files of values in a folder, each with its fingerprint.
fn versions(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let version = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
        let (_, fingerprint) = name.split_once('.')?;
        let fingerprint = fingerprint.to_owned();
        Some((path, fingerprint))
    };
    entries.filter_map(|entry| version(entry.path())).collect()
}

/// Reads secrets and keeps nothing, for whoever only looks: the fingerprints are those of the vault that is there. Where none
/// is, one set of values is as good as any other to somebody who has none to hold them against.
pub struct Looking {
    key: Option<Key>,
    variables: Variables,
}

/// What stands for values where no vault is.
const UNKEPT: &str = "unkept";

impl Looking {
    /// Looks for a vault in the folder; makes none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn open(folder: &Path, variables: Variables) -> std::io::Result<Self> {
        let file = files::read::<KeyFile>(&folder.join(KEY))?;
        Ok(Self { key: file.map(|file| Key(file.key)), variables })
    }
}

impl Secrets for Looking {
    fn read(&self, spec: &SecretSpec, root: &Path) -> Result<String, String> {
        let values = read::read(&spec.from, root, &self.variables);
        let values = values.map_err(|why| format!("the secret `{}`: {why}", spec.name))?;
        Ok(self.key.as_ref().map_or_else(|| UNKEPT.to_owned(), |key| fingerprint(key, &spec.name, &values)))
    }

    fn environment(&self, release: &Release) -> Result<Values, String> {
        NoSecrets.environment(release)
    }

    fn mark(&self, _: &str) -> String {
        UNKEPT.to_owned()
    }

    fn values(&self) -> Arc<BTreeSet<String>> {
        Arc::default()
    }

    fn needed(&self, _: &AppName, _: BTreeSet<String>) {}

    fn sweep(&self) {}
}

fn fingerprint(key: &Key, name: &Label, values: &Values) -> String {
    let spelled = serde_json::to_vec(&("secret", name, values)).expect("text always becomes JSON");
    key.digest(&spelled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use trueup_types::secret::SecretFrom;
    use trueup_types::template::EnvFrom;
    use trueup_types::{Inputs, Revision, Template};

    use super::*;

    fn variables(value: &str) -> Variables {
        [("DATABASE".to_owned(), value.to_owned()), ("EMPTY".to_owned(), String::new())].into()
    }

    fn spec(name: &str, from: SecretFrom) -> SecretSpec {
        SecretSpec { name: Label::new(name).expect("a name"), from }
    }

    fn of_env(name: &str) -> SecretSpec {
        spec(name, SecretFrom::Env([("URL".to_owned(), "DATABASE".to_owned())].into()))
    }

    /// A release that names secrets by these fingerprints.
    fn release(secrets: &[(&str, &str)]) -> Release {
        let env_from = |(name, _): &(&str, &str)| EnvFrom { secret: Label::new(name).expect("a name") };
        let template = Template { env_from: secrets.iter().map(env_from).collect(), ..Template::default() };
        let fingerprints = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let inputs = Inputs { secret_fingerprints: fingerprints.collect(), ..Inputs::default() };
        Release { template, inputs, ..trueup_sim::AppSketch::web("web").release(Revision(1)) }
    }

    fn opened(folder: &Path, value: &str) -> Vault {
        Vault::open(folder, variables(value)).expect("it opens")
    }

    #[test]
    fn values_of_then_are_found_by_their_fingerprint_until_no_release_needs_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let app = AppName::new("web").expect("a name");
        let then = opened(folder.path(), "then").read(&of_env("api"), folder.path()).expect("it is read");
        // A later daemon, in another environment.
        let vault = opened(folder.path(), "now");
        let now = vault.read(&of_env("api"), folder.path()).expect("it is read");
        assert_ne!(then, now);
        assert_eq!(vault.read(&of_env("api"), folder.path()), Ok(now.clone()), "the same values are the same");
        assert_ne!(vault.read(&of_env("other"), folder.path()).expect("it is read"), now, "names count");
        let url =
            |fingerprint: &str| vault.environment(&release(&[("api", fingerprint)])).map(|env| env["URL"].clone());
        assert_eq!((url(&then), url(&now)), (Ok("then".to_owned()), Ok("now".to_owned())));
        assert_eq!(vault.values().iter().collect::<Vec<_>>(), ["now", "then"]);

        vault.needed(&app, [then.clone()].into());
        vault.sweep();
        assert_eq!(url(&then), Ok("then".to_owned()), "a release of it is kept");
        vault.needed(&app, BTreeSet::new());
        vault.sweep();
        let gone = url(&then).expect_err("it is kept no more");
        assert!(gone.contains("the secret `api` had for r1 are kept no more"), "{gone}");
        assert_eq!(url(&now), Ok("now".to_owned()), "what was read last stays");
        assert_eq!(vault.values().len(), 1);
    }

    #[test]
    fn of_two_secrets_the_later_wins_and_what_is_no_fingerprint_finds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = opened(folder.path(), "value");
        let one = vault.read(&of_env("one"), folder.path()).expect("it is read");
        let lines = folder.path().join("two.env");
        std::fs::write(&lines, "URL=two\nMORE=yes\n").expect("it is written");
        std::fs::set_permissions(&lines, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        let two = spec("two", SecretFrom::File("two.env".to_owned()));
        let two = vault.read(&two, folder.path()).expect("it is read");
        let env = vault.environment(&release(&[("one", &one), ("two", &two)])).expect("both are kept");
        assert_eq!(env, [("MORE", "yes"), ("URL", "two")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert!(vault.environment(&release(&[("two", "../key")])).is_err());
        assert!(vault.environment(&release(&[("two", "")])).is_err());
    }

    #[test]
    fn nobody_else_may_read_what_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("secrets");
        let vault = opened(&place, "hush");
        vault.read(&of_env("api"), folder.path()).expect("it is read");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        let kept: Vec<_> = std::fs::read_dir(&place).expect("it is listed").flatten().map(|one| one.path()).collect();
        assert_eq!(kept.len(), 2, "a key and one version");
        assert!(kept.iter().all(|path| mode(path) == 0o600), "{kept:?}");
        assert!(!format!("{vault:?}").contains("hush"));
    }

    #[test]
    fn whoever_only_looks_knows_what_the_vault_knows_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let look = || Looking::open(folder.path(), variables("value")).expect("it looks");
        let read = |keeper: &dyn Secrets| keeper.read(&of_env("api"), folder.path());
        assert_eq!(read(&look()), Ok(UNKEPT.to_owned()));
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is listed").count(), 0);
        let fingerprint = read(&opened(folder.path(), "value"));
        assert_eq!(read(&look()), fingerprint);
    }

    /// What comes of a secret.
    fn told(root: &Path, from: SecretFrom) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = opened(folder.path(), "value");
        match vault.read(&spec("api", from), root) {
            Ok(_) => vault.values().iter().cloned().collect::<Vec<_>>().join(" "),
            Err(why) => why.replace(&root.display().to_string(), "ROOT"),
        }
    }

    fn put(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).expect("it is written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn what_cannot_be_had_is_told_with_a_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let file = |name: &str| told(root, SecretFrom::File(name.to_owned()));
        let env = |name: &str| told(root, SecretFrom::Env([("A".to_owned(), name.to_owned())].into()));
        assert_eq!(env("DATABASE"), "value");
        let unset = "is not set in the daemon's environment; set it where `trueup run` is started";
        assert_eq!(env("EMPTY"), format!("the secret `api`: the variable EMPTY {unset}"));
        assert_eq!(file("none.env"), "the secret `api`: none.env: it is not there");
        put(&root.join("open.env"), "A=hush", 0o644);
        let open = "others may read or write it (its mode is 0644); run `chmod 600 ROOT/open.env`";
        assert_eq!(file("open.env"), format!("the secret `api`: open.env: {open}"));
        put(&root.join("group.env"), "A=hush", 0o640);
        assert_eq!(file("group.env"), "hush");
        put(&root.join("empty.env"), "# nothing\n", 0o600);
        assert_eq!(file("empty.env"), "the secret `api`: empty.env holds no key");
        put(&root.join("nul.env"), "A=hu\0sh", 0o600);
        let nul = "nul.env: the value of `A` holds a NUL, which no program can be given";
        assert_eq!(file("nul.env"), format!("the secret `api`: {nul}"));
        let large = format!("A=hush\nB={}", "x".repeat(140_000));
        put(&root.join("large.env"), &large, 0o600);
        assert_eq!(file("large.env"), "the secret `api`: large.env: the value of `B` has more than 130560 bytes");
    }

    #[test]
    fn a_folder_holds_one_file_for_each_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let keys = root.join("keys");
        std::fs::create_dir(&keys).expect("a folder");
        put(&keys.join("TOKEN"), "hush\n", 0o600);
        put(&keys.join("CERTIFICATE"), "one\ntwo\n\n", 0o600);
        put(&keys.join(".hidden"), "not read", 0o644);
        let read = || told(root, SecretFrom::File("keys".to_owned()));
        assert_eq!(read(), "hush one\ntwo\n");
        put(&keys.join("READ-ME"), "", 0o600);
        assert_eq!(read(), "the secret `api`: keys: its file `READ-ME` is not named like a variable");
    }

    #[tokio::test]
    async fn what_a_command_prints_is_read_and_what_it_says_beside_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let run = async |script: &str| {
            let (root, from) = (root.clone(), SecretFrom::Exec(["/bin/sh", "-c", script].map(str::to_owned).to_vec()));
            tokio::task::spawn_blocking(move || told(&root, from)).await.expect("it ends")
        };
        assert_eq!(run("echo A=$DATABASE; echo noise >&2").await, "value");
        assert_eq!(run("echo \"{\\\"A\\\": \\\"$PWD\\\"}\"").await, root.display().to_string());
        let failed = "the secret `api`: the command `/bin/sh`: it ended with 3; run it in ROOT to see why";
        assert_eq!(run("echo A=hush; echo hush >&2; exit 3").await, failed);
        let wrong = run("echo hush").await;
        assert!(wrong.contains("what it printed, line 1: it has no `=`") && !wrong.contains("hush"), "{wrong}");
        assert_eq!(run("true").await, "the secret `api`: the command `/bin/sh` holds no key");
    }
}
