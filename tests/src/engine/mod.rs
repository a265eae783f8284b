//! A Docker engine of the tests' own, started once for each test program, with an image made of a static busybox.
//!
//! It has its own folder, containerd, bridge and control group, changes no packet filter, and nothing is fetched from
//! outside. A guard (a small shell script) waits for the test program to end, however it does, and then takes down
//! everything: containers, engine, mounts, bridge.

pub mod counted;
pub mod registry;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The image that every engine has: busybox, and nothing else.
pub const IMAGE: &str = "trueup-test:v1";
/// Longest that anything here may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// From one look to the next.
const GLANCE: Duration = Duration::from_millis(20);

/// What takes everything down, once its standard input ends. It kills by control group, and by the folder that stands
/// in a command line: nothing else on the host has either.
const GUARD: &str = r#"
read -r _
containers() {
    find /sys/fs/cgroup -path "*/$group/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}
engines() {
    for process in /proc/[0-9]*; do
        if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qF "$folder/"; then echo "${process#/proc/}"; fi
    done
}
shims() { engines | while read -r pid; do grep -l shim "/proc/$pid/comm" 2>/dev/null; done; }
for _ in 1 2 3 4 5 6 7 8 9 10; do
    containers | while read -r pid; do kill -KILL "$pid" 2>/dev/null; done
    [ -z "$(shims)" ] && break
    sleep 0.2
done
for _ in 1 2 3 4 5; do
    engines | while read -r pid; do kill -KILL "$pid" 2>/dev/null; done
    containers | while read -r pid; do kill -KILL "$pid" 2>/dev/null; done
    [ -z "$(engines)" ] && break
    sleep 0.2
done
grep -ao 'br-[0-9a-f]\{12\}' "$folder/data/network/files/local-kv.db" 2>/dev/null | sort -u | while read -r one; do
    busybox ip link del "$one" 2>/dev/null
done
busybox ip link del "$bridge" 2>/dev/null
for _ in 1 2 3 4 5; do
    cut -d' ' -f2 /proc/mounts | grep -F "$folder/" | sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null; done
    find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null
    rm -rf "$folder" 2>/dev/null && break
    sleep 0.2
done
"#;

/// A running engine.
pub struct Engine {
    folder: PathBuf,
    daemon: Mutex<Child>,
    bridge: String,
    group: String,
    /// Where the networks lie that it makes.
    pool: &'static str,
    /// Its standard input is held open: the end of that is its word.
    _guard: Child,
}

/// The engine of this test program; `None`, said loudly, where there can be none, which under `CI=true` is a failure.
///
/// # Panics
/// When it is there and does not come up, or when it is missing under `CI=true`.
#[must_use]
pub fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::start_if_it_can("")).as_ref()
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// What an engine needs and is not there.
fn missing() -> Option<String> {
    let on_path = |program: &str| ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|dir| Path::new(dir).join(program));
    let programs = ["dockerd", "containerd", "docker-registry", "busybox"];
    let lacks = programs.into_iter().find(|program| !on_path(program).iter().any(|path| path.exists()));
    if let Some(program) = lacks {
        return Some(format!("`{program}`: apt-get install docker.io docker-registry busybox-static"));
    }
    let root = rustix::process::geteuid().is_root();
    (!root).then(|| "root".to_owned())
}

impl Engine {
    /// Another engine, for a test that does to it what no other test could bear; as [`engine`] otherwise.
    ///
    /// # Panics
    /// As [`engine`].
    #[must_use]
    pub fn alone() -> Option<&'static Self> {
        static ALONE: OnceLock<Option<Engine>> = OnceLock::new();
        ALONE.get_or_init(|| Self::start_if_it_can("b")).as_ref()
    }

    fn start_if_it_can(which: &str) -> Option<Self> {
        let Some(what) = missing() else { return Some(Self::start(which)) };
        assert!(!in_ci(), "tests of containers need {what}");
        println!("LEFT OUT: tests of containers need {what}");
        None
    }

    fn start(which: &str) -> Self {
        let pid = std::process::id();
        let folder = PathBuf::from(format!("/tmp/tu-engine-{pid}{which}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (bridge, group) = (format!("tu{pid}{which}"), format!("tu-engine-{pid}{which}"));
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD]).env("folder", &folder).env("bridge", &bridge).env("group", &group);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let guard = guard.spawn().expect("sh is there");

        // Two of one program are on networks of their own.
        let (third, pool) =
            if which.is_empty() { (pid % 256, "198.19.0.0/17") } else { ((pid + 128) % 256, "198.19.128.0/17") };
        let address = format!("198.18.{third}.1/24");
        sh(&format!("busybox ip link add {bridge} type bridge"));
        sh(&format!("busybox ip addr add {address} dev {bridge} && busybox ip link set {bridge} up"));
        start_containerd(&folder);
        let daemon = Mutex::new(start_dockerd(&folder, &bridge, &group, pool, LiveRestore::On));
        let engine = Self { folder, daemon, bridge, group, pool, _guard: guard };
        engine.await_up();
        engine.make_image(IMAGE, "");
        engine
    }

    /// The address of its socket, as manifests name it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// A path of its folder, for what a test needs beside it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Kills the engine as the kernel would; its containers go on.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&self) {
        let mut daemon = self.daemon.lock().expect("no test panics in here");
        let parent = daemon.id();
        let proxies = children(parent);
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it ends");
        // What it forwards ports with goes with it, a moment later; the next engine could not have the ports before.
        let there = |pid: &u32| Path::new(&format!("/proc/{pid}/cmdline")).exists();
        until("its proxies are gone", &self.folder.join("dockerd.log"), || !proxies.iter().any(there));
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&self) {
        // What a killed engine leaves; another process may have its number by then.
        let _ = std::fs::remove_file(self.folder.join("docker.pid"));
        self.start_with(LiveRestore::On);
    }

    /// Starts it again as one that ends what ran under the last.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_afresh(&self) {
        let _ = std::fs::remove_file(self.folder.join("docker.pid"));
        self.start_with(LiveRestore::Off);
    }

    fn start_with(&self, live: LiveRestore) {
        let started = start_dockerd(&self.folder, &self.bridge, &self.group, self.pool, live);
        *self.daemon.lock().expect("no test panics in here") = started;
        self.await_up();
    }

    fn await_up(&self) {
        let log = self.folder.join("dockerd.log");
        until("the engine answers", &log, || {
            self.try_api("GET", "/_ping", &[], b"").is_some_and(|(code, _)| code == 200)
        });
    }

    /// Makes an image of busybox, with one more line in a file so that it is another image.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make_image(&self, name: &str, mark: &str) {
        self.make_image_with(name, mark, None);
    }

    /// The same with a program of this host in `/bin`, and the libraries that it is linked with.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make_image_with(&self, name: &str, mark: &str, program: Option<&Path>) {
        let root = self.folder.join(format!("root-{}", name.replace([':', '/'], "-")));
        let at = root.display();
        sh(&format!("mkdir -p {at}/bin {at}/etc {at}/tmp && cp $(command -v busybox) {at}/bin/busybox"));
        sh(&format!("chroot {at} /bin/busybox --install -s /bin && echo '{mark}' > {at}/etc/mark"));
        sh(&format!(
            "echo root:x:0:0:root:/:/bin/sh > {at}/etc/passwd && echo app:x:33:33:app:/:/bin/sh >> {at}/etc/passwd"
        ));
        if let Some(program) = program {
            let program = program.display();
            sh(&format!("strip -o {at}/bin/$(basename {program}) {program}"));
            let copy = format!("mkdir -p {at}$(dirname $library) && cp -L $library {at}$library");
            sh(&format!("for library in $(ldd {program} | grep -o '/[^ ]*'); do {copy} || exit 1; done"));
        }
        let tar = Command::new("busybox").args(["tar", "-C"]).arg(&root).args(["-c", "."]).output().expect("tar runs");
        assert!(tar.status.success(), "the image is archived");
        let (repository, tag) = name.rsplit_once(':').expect("a name with a tag");
        let path = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}");
        let (code, said) = self.api("POST", &path, &["Content-Type: application/x-tar"], &tar.stdout);
        assert!(code == 200 && !said.contains("\"error\""), "the image {name} is imported: {code} {said}");
        sh(&format!("rm -rf {at}"));
    }

    /// One call of its API: the status and the body.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn api(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> (u16, String) {
        self.try_api(method, path, headers, body).expect("the engine answers")
    }

    fn try_api(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        // An answer to HTTP/1.0 comes in one piece, and ends with the connection.
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    }

    /// Runs a shell's command in a container and answers all that it wrote.
    ///
    /// # Panics
    /// When the engine refuses.
    #[must_use]
    pub fn run_in(&self, container: &str, script: &str) -> String {
        let words = serde_json::json!({"AttachStdout": true, "AttachStderr": true, "Cmd": ["/bin/sh", "-c", script]});
        let made = self.ask("POST", &format!("/containers/{container}/exec"), &words.to_string());
        let id = made["Id"].as_str().expect("an id");
        let json = ["Content-Type: application/json"];
        let (code, said) = self.api("POST", &format!("/exec/{id}/start"), &json, b"{\"Tty\": true}");
        assert_eq!(code, 200, "{said}");
        said
    }

    /// The same with JSON; the answer must be a success.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let headers: &[&str] = if body.is_empty() { &[] } else { &["Content-Type: application/json"] };
        let (code, said) = self.api(method, path, headers, body.as_bytes());
        assert!((200..300).contains(&code), "{method} {path}: {code} {said}");
        serde_json::from_str(&said).unwrap_or_default()
    }
}

/// Whether containers outlive their engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LiveRestore {
    On,
    Off,
}

fn start_containerd(folder: &Path) {
    let at = folder.display();
    let config = format!(
        "version = 2\nroot = '{at}/containerd'\nstate = '{at}/containerd-state'\n\
         disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{at}/containerd.sock'\n\
         [plugins.'io.containerd.internal.v1.opt']\npath = '{at}/opt'\n"
    );
    std::fs::write(folder.join("containerd.toml"), config).expect("it is written");
    let mut command = Command::new("containerd");
    command.arg("--config").arg(folder.join("containerd.toml"));
    // The guard ends it, by the folder in its command line.
    drop(spawn(&mut command, &folder.join("containerd.log")));
    let socket = folder.join("containerd.sock");
    until("containerd listens", &folder.join("containerd.log"), || UnixStream::connect(&socket).is_ok());
}

/// An engine beside a containerd of its own, so that it can die alone.
fn start_dockerd(folder: &Path, bridge: &str, group: &str, pool: &str, live: LiveRestore) -> Child {
    let at = |name: &str| folder.join(name);
    let mut command = Command::new("dockerd");
    command
        .arg("--data-root")
        .arg(at("data"))
        .arg("--exec-root")
        .arg(at("exec"))
        .arg("--pidfile")
        .arg(at("docker.pid"));
    command.arg("--host").arg(format!("unix://{}", at("docker.sock").display()));
    command.arg("--containerd").arg(at("containerd.sock"));
    match live {
        LiveRestore::On => drop(command.arg("--live-restore")),
        LiveRestore::Off => {}
    }
    command.args([
        "--bridge",
        bridge,
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]);
    command.args(["--default-address-pool", &format!("base={pool},size=24")]);
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &format!("/{group}")]);
    spawn(&mut command, &at("dockerd.log"))
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log).expect("a log");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("it is shared")).stderr(log).process_group(0);
    command.spawn().expect("it starts")
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let stat = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // What stands between the brackets is free text; the parent is the second word behind it.
    let is_child = |pid: &u32| {
        let stat = stat(*pid);
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        behind.split(' ').nth(1).is_some_and(|of| of == parent.to_string())
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(is_child).collect()
}

fn until(what: &str, log: &Path, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", said());
        std::thread::sleep(GLANCE);
    }
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().expect("sh is there");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
