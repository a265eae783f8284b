//! podman's Docker-compatible socket keeps the contract of a runtime as well: a service of the tests' own, in a folder of its
//! own, with an image made of a static busybox.

#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use support::engine::registry::Registry;
use support::{now, release};
use trueup_docker::{DockerConfig, DockerRuntime};
use trueup_host::Tree;
use trueup_sim::contract::runtime::{RuntimeFixture, check};
use trueup_types::docker::DockerSpec;
use trueup_types::observed::Phase;
use trueup_types::step::{InstanceStep, StepOutcome, TargetStep};
use trueup_types::template::Build;
use trueup_types::{Health, InstanceId, OwnerId, Place, Release, ReleaseDigest, TargetName};

/// The image: podman looks for a name without a registry elsewhere.
const IMAGE: &str = "localhost/trueup-test:v1";
/// One whose health is to be asked.
const CHECKED: &str = "localhost/trueup-checked:v1";
/// One that is pushed, and pulled again.
const PULLED: &str = "localhost/trueup-pulled:v1";
/// The bridge that its containers are on, which it leaves behind.
const BRIDGE: &str = "cni-podman0";
/// What it needs on hosts that do not let limits be raised.
const CONFIG: &str =
    "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n[engine]\nevents_logger = \"file\"\n";

/// A running service; dropped, it takes everything with it.
struct Podman {
    folder: tempfile::TempDir,
    service: Child,
    /// Whether the bridge is of our making.
    makes_bridge: bool,
    registry: Registry,
}

fn missing() -> Option<&'static str> {
    let there = |program: &str| {
        ["/usr/bin", "/usr/libexec/podman", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
    };
    let lacks = ["podman", "catatonit", "busybox", "docker-registry"].into_iter().find(|program| !there(program));
    lacks.or_else(|| (!rustix::process::geteuid().is_root()).then_some("root"))
}

impl Podman {
    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tu-podman-").tempdir().expect("a folder");
        std::fs::write(folder.path().join("containers.conf"), CONFIG).expect("it is written");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("one is free").port();
        let registry = Registry::start_in(&folder.path().join("registry"), port, false);
        let clear = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address);
        std::fs::write(folder.path().join("registries.conf"), clear).expect("it is written");
        let socket = folder.path().join("podman.sock");
        let words = ["system", "service", "--time", "0"].map(str::to_owned);
        let mut command = podman(folder.path());
        command.args(words).arg(format!("unix://{}", socket.display())).stdin(Stdio::null());
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        command.stdout(log.try_clone().expect("it is shared")).stderr(log);
        let service = command.spawn().expect("podman starts");
        let makes_bridge = !Path::new("/sys/class/net").join(BRIDGE).exists();
        let podman = Self { folder, service, makes_bridge, registry };
        let deadline = tokio::time::Instant::now() + support::PATIENCE;
        while UnixStream::connect(podman.socket()).is_err() {
            assert!(tokio::time::Instant::now() < deadline, "podman does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        podman.make_image();
        podman
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("podman.sock")
    }

    fn make_image(&self) {
        let root = self.folder.path().join("image");
        let at = root.display();
        let script = format!(
            "mkdir -p {at}/bin {at}/etc {at}/tmp && cp $(command -v busybox) {at}/bin/ && chroot {at} /bin/busybox --install -s /bin \
             && echo root:x:0:0:root:/:/bin/sh > {at}/etc/passwd"
        );
        let made = Command::new("sh").args(["-c", &script]).status().expect("sh is there");
        assert!(made.success(), "the image's root is made");
        let tar = Command::new("busybox").args(["tar", "-C"]).arg(&root).args(["-c", "."]).output().expect("tar runs");
        let said = self.post("/images/create?fromSrc=-", "application/x-tar", &tar.stdout);
        let id = said.split("sha256:").nth(1).and_then(|rest| rest.get(..64)).expect("an id");
        let (repository, tag) = IMAGE.rsplit_once(':').expect("a name with a tag");
        let _ = self.post(&format!("/images/{id}/tag?repo={repository}&tag={tag}"), "application/json", b"");
    }

    /// Runs its command line; what it said.
    fn run(&self, words: &[&str]) -> String {
        let ran = podman(self.folder.path()).args(words).output().expect("podman is there");
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Builds an image with one line more than the first has.
    fn build(&self, name: &str, line: &str) {
        let recipe = self.folder.path().join("Recipe");
        std::fs::write(&recipe, format!("FROM {IMAGE}\n{line}\n")).expect("it is written");
        let (recipe, context) = (recipe.display().to_string(), self.folder.path().join("run").display().to_string());
        let how = ["build", "--format", "docker", "--isolation", "chroot", "--tag", name, "--file"];
        let _ = self.run(&[&how[..], &[&recipe, &context]].concat());
    }

    /// Takes a container away, and the image that it is made of.
    fn forget(&self, container: &str) {
        let image = self.run(&["inspect", "--format", "{{.Image}}", container]);
        let _ = self.run(&["rm", "--force", "--time", "0", container]);
        let _ = self.run(&["rmi", "--force", &image]);
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("podman listens");
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.0\r\nHost: d\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it takes the head");
        stream.write_all(body).expect("it takes the body");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

/// podman on a folder of its own.
fn podman(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(folder.join("root")).arg("--runroot").arg(folder.join("run"));
    command.args(["--cgroup-manager", "cgroupfs"]).env("CONTAINERS_CONF", folder.join("containers.conf"));
    command.env("CONTAINERS_REGISTRIES_CONF", folder.join("registries.conf"));
    command
}

impl Drop for Podman {
    fn drop(&mut self) {
        // It may have ended already; what is left of its containers goes first, while their folders are there.
        let _ = podman(self.folder.path()).args(["rm", "--all", "--force", "--time", "0"]).output();
        let _ = self.service.kill();
        let _ = self.service.wait();
        let root = self.folder.path().display();
        let script = format!(
            "cut -d' ' -f2 /proc/mounts | grep -F '{root}/' | sort -r | while read -r one; do umount -l \"$one\"; done"
        );
        let _ = Command::new("sh").args(["-c", &script]).output();
        if self.makes_bridge {
            let _ = Command::new("busybox").args(["ip", "link", "del", BRIDGE]).output();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a test asks whether it may leave something out")]
async fn podman_keeps_the_contract() {
    if let Some(what) = missing() {
        assert!(
            std::env::var("CI").is_ok_and(|ci| ci != "true") || std::env::var("CI").is_err(),
            "podman needs {what}"
        );
        return println!("LEFT OUT: the contract on podman needs {what}");
    }
    let podman = Podman::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = DockerConfig {
        folder: folder.path().to_owned(),
        owner: OwnerId::new("contract").expect("a name"),
        target: TargetName::new("here").expect("a name"),
        settings: DockerSpec { host: Some(format!("unix://{}", podman.socket().display())), ..DockerSpec::default() },
        root: folder.path().to_owned(),
        env: Arc::new(|_| None),
        secrets: Arc::new(trueup_seams::NoSecrets),
        now: Arc::new(now),
    };
    let fixture = RuntimeFixture {
        runtime: Arc::new(DockerRuntime::open(config).expect("the folder can be made")),
        place: Place::here(),
        release: Box::new(|app, revision| {
            let mut made = release(app, revision, "exec sleep 600");
            made.template.image = Some(IMAGE.to_owned());
            Arc::new(made)
        }),
        done: vec!["true".to_owned()],
    };
    check(&fixture).await;
    nobody_waits_for_a_check_that_is_never_asked(&podman, &fixture).await;
    what_was_pulled_is_fetched_by_its_digest_and_what_was_not_has_none(&podman, &fixture).await;
    what_was_built_is_built_again_when_it_is_gone(&podman, &fixture, folder.path()).await;
}

/// Creates an instance of a release, and waits for what takes long.
async fn created(fixture: &RuntimeFixture, id: &str, release: &Arc<Release>) -> StepOutcome {
    let id: InstanceId = id.parse().expect("a name");
    let step = TargetStep::Instance(InstanceStep::Create { id, place: Place::here(), release: Arc::clone(release) });
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    loop {
        let outcome = fixture.runtime.apply(&step).await;
        if !matches!(outcome, StepOutcome::Underway { .. }) {
            return outcome;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not end: {outcome:?}");
    }
}

/// It names a digest of every image that has a name, and of what came from nowhere one that fetches nothing; of what a
/// registry has it asks none.
async fn what_was_pulled_is_fetched_by_its_digest_and_what_was_not_has_none(podman: &Podman, fixture: &RuntimeFixture) {
    let image = format!("{}/shop/web:v1", podman.registry.address);
    let pushed = format!("docker://{image}");
    // One that is in the registry, and nowhere else.
    podman.build(PULLED, "LABEL made=elsewhere");
    let _ = podman.run(&["push", "--quiet", PULLED, &pushed]);
    let _ = podman.run(&["rmi", PULLED]);
    let id: InstanceId = "pulled-r1-0".parse().expect("a name");
    let mut made = release(&id.app, id.revision, "exec sleep 600");
    made.template.image = Some(image.clone());
    made.digest = ReleaseDigest::of(&image);
    let made = Arc::new(made);
    assert_eq!(created(fixture, "pulled-r1-0", &made).await, StepOutcome::Done);
    let digest = fixture.runtime.resolve(&image).await.expect("it is told").expect("names mean something here");
    let own = podman.run(&["image", "inspect", "--format", "{{.Digest}}", &image]);
    assert_eq!(digest, own);
    // The tag moves on: what is one more of the release is the same, by its digest.
    podman.forget("contract-pulled-r1-0");
    let _ = podman.run(&["push", "--quiet", CHECKED, &pushed]);
    assert_eq!(created(fixture, "pulled-r1-1", &made).await, StepOutcome::Done);
    let again = podman.run(&["inspect", "--format", "{{.ImageDigest}}", "contract-pulled-r1-1"]);
    assert_eq!(again, own);

    let imported = fixture.runtime.resolve(IMAGE).await.expect("it is told").expect("names mean something here");
    let id = podman.run(&["image", "inspect", "--format", "{{.Id}}", IMAGE]);
    assert_eq!(imported, format!("sha256:{id}"), "it came from no registry");
    let elsewhere = format!("{}/shop/web:v2", podman.registry.address);
    let why = fixture.runtime.resolve(&elsewhere).await.expect_err("it is not here").detail;
    assert!(why.contains("asks no registry"), "{why}");
}

/// It names a digest of what it has built, too, as of a registry that has never seen it.
async fn what_was_built_is_built_again_when_it_is_gone(podman: &Podman, fixture: &RuntimeFixture, root: &Path) {
    let shop = root.join("shop");
    std::fs::create_dir(&shop).expect("a folder");
    std::fs::write(shop.join("Dockerfile"), format!("FROM {IMAGE}\nLABEL made=here\n")).expect("it is written");
    let tree = Tree::read(&shop, Some("Dockerfile"), None, tokio::time::Instant::now().into_std()).expect("it reads");
    let id: InstanceId = "built-r1-0".parse().expect("a name");
    let mut made = release(&id.app, id.revision, "exec sleep 600");
    made.template.image = None;
    made.template.build =
        Some(Build { context: "shop".to_owned(), dockerfile: None, args: BTreeMap::new(), target: None });
    made.inputs.trees.insert("shop".to_owned(), tree.digest());
    made.digest = ReleaseDigest::of(&tree.digest());
    let made = Arc::new(made);
    assert_eq!(created(fixture, "built-r1-0", &made).await, StepOutcome::Done);
    podman.forget("contract-built-r1-0");
    assert_eq!(created(fixture, "built-r1-1", &made).await, StepOutcome::Done, "and nobody is asked for it");
}

/// What an image brings to be asked is asked by systemd there, or by nobody: then it is `starting` for ever.
async fn nobody_waits_for_a_check_that_is_never_asked(podman: &Podman, fixture: &RuntimeFixture) {
    podman.build(CHECKED, "HEALTHCHECK --interval=1s CMD true");
    let id: InstanceId = "checked-r1-0".parse().expect("a name");
    let mut made = release(&id.app, id.revision, "exec sleep 600");
    made.template.image = Some(CHECKED.to_owned());
    let create = InstanceStep::Create { id: id.clone(), place: Place::here(), release: Arc::new(made) };
    let outcome = fixture.runtime.apply(&TargetStep::Instance(create)).await;
    assert_eq!(outcome, StepOutcome::Done);
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    loop {
        let survey = fixture.runtime.survey().await;
        let sight = survey.into_values().next().expect("one place").expect("it is in sight");
        let one = sight.instances.into_iter().find(|one| one.id == id).expect("it is there");
        if matches!(one.phase, Phase::Running { .. }) {
            assert!(!matches!(one.healthcheck, Some(Health::Waiting)), "{one:?}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not run: {one:?}");
    }
}
