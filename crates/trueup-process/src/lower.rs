//! A release becomes a life: pure, and snapshot-tested.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trueup_types::{Incarnation, InstanceId, PortName, Release};

use crate::spec::{Life, User, VERSION};

/// What surrounds an instance, beyond its release.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings<'a> {
    /// PATH, HOME, LANG, TZ: all that is inherited.
    pub base_env: &'a [(String, String)],
    pub root: &'a Path,
    pub user: Option<User>,
    /// What its secrets hold.
    pub secrets: BTreeMap<String, String>,
    pub ports: Vec<(PortName, u16)>,
    pub cgroups: Vec<PathBuf>,
    /// `RLIMIT_NOFILE` as the daemon found it, soft and hard; the daemon's own soft one is higher.
    pub open_files: (u64, u64),
}

/// What the shim is told.
pub(crate) fn life(id: &InstanceId, release: &Release, incarnation: Incarnation, around: Surroundings<'_>) -> Life {
    let template = &release.template;
    let open_files = match template.resources.open_files {
        Some(wanted) => (wanted, wanted),
        None => around.open_files,
    };
    let workdir = template.workdir.as_ref().map_or_else(|| around.root.to_owned(), |dir| around.root.join(dir));
    Life {
        version: VERSION,
        incarnation,
        command: match release.hook(id) {
            Some(hook) => hook.command.clone(),
            None => template.command.iter().chain(&template.args).cloned().collect(),
        },
        env: environment(id, release, &around),
        workdir,
        ports: around.ports,
        user: around.user,
        open_files: Some(open_files),
        cgroups: around.cgroups,
        linger_ms: u64::try_from(template.stop.timeout.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The base, and over it what every instance finds in its environment.
fn environment(id: &InstanceId, release: &Release, around: &Surroundings<'_>) -> Vec<(String, String)> {
    let mut env: BTreeMap<String, String> = around.base_env.iter().cloned().collect();
    if let Some(user) = &around.user {
        env.insert("HOME".to_owned(), user.home.clone());
    }
    env.extend(release.environment(id, around.ports.iter().map(|(name, port)| (name, *port)), &around.secrets));
    env.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use trueup_sim::AppSketch;
    use trueup_types::Revision;

    use super::*;

    #[test]
    fn a_release_becomes_a_command_an_environment_and_limits() {
        let mut sketch = AppSketch::web("web").env("COLOUR", "green");
        let template = &mut sketch.template;
        template.command = vec!["server".to_owned()];
        template.args = vec!["--verbose".to_owned()];
        template.workdir = Some("sub".to_owned());
        let release = sketch.release(Revision(3));
        let id: InstanceId = "web-r3-0".parse().expect("a name");
        let base_env = [("PATH".to_owned(), "/bin".to_owned()), ("HOME".to_owned(), "/root".to_owned())];
        let around = Surroundings {
            base_env: &base_env,
            root: Path::new("/state/instances/web-r3-0/root"),
            user: None,
            secrets: [("TOKEN", "hush"), ("COLOUR", "overruled"), ("TRUEUP_APP", "forged")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ports: vec![(PortName::new("http").expect("a name"), 20_001)],
            cgroups: Vec::new(),
            open_files: (1_024, 4_096),
        };
        let life = life(&id, &release, Incarnation("1-1".into()), around);
        let env: Vec<_> = life.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let shown = format!("{:?} in {}\n{}", life.command, life.workdir.display(), env.join("\n"));
        expect![[r#"
            ["server", "--verbose"] in /state/instances/web-r3-0/root/sub
            COLOUR=green
            HOME=/root
            PATH=/bin
            PORT=20001
            PORT_HTTP=20001
            TOKEN=hush
            TRUEUP_APP=web
            TRUEUP_INSTANCE=web-r3-0
            TRUEUP_REVISION=3
            VERSION=v1"#]]
        .assert_eq(&shown);
        assert_eq!((life.open_files, life.linger_ms), (Some((1_024, 4_096)), 30_000));
    }
}
