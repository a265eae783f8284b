//! What an engine is asked, call by call: a socket before its own, which hands everything through and keeps the first lines.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Engine;

/// Longest first line of a call, in bytes; of what is longer nothing is kept.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Things that an engine has by id or name.
const KINDS: [&str; 5] = ["containers", "images", "networks", "exec", "distribution"];
/// What stands where a name would, and is none.
const NO_NAMES: [&str; 4] = ["json", "create", "prune", "load"];

/// A socket before an engine's, until the test program ends.
pub struct Counted {
    path: PathBuf,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Counted {
    /// Opens one, by a name that no other has.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn before(engine: &Engine, name: &str) -> Self {
        let path = engine.path(&format!("{name}.sock"));
        let listener = UnixListener::bind(&path).expect("the name is free");
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let (socket, kept) = (engine.socket(), Arc::clone(&calls));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                connect(client, &socket, &kept);
            }
        });
        Self { path, calls }
    }

    /// Its address, as manifests name it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// The calls since the last asking, as `GET /containers/{}/json`, in their order.
    ///
    /// # Panics
    /// When who keeps them has.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("no holder panics"))
    }
}

/// Hands everything through between a client and the engine; who does not reach it is hung up on.
fn connect(client: UnixStream, socket: &Path, calls: &Arc<Mutex<Vec<String>>>) {
    let Ok(engine) = UnixStream::connect(socket) else { return };
    let (Ok(asks), Ok(answers)) = (client.try_clone(), engine.try_clone()) else { return };
    let kept = Arc::clone(calls);
    std::thread::spawn(move || {
        let mut lines = Lines { begun: Vec::new(), calls: kept };
        carry(asks, engine, |bytes| lines.read(bytes));
    });
    std::thread::spawn(move || carry(answers, client, |_| {}));
}

fn carry(mut from: UnixStream, mut to: UnixStream, mut look: impl FnMut(&[u8])) {
    let mut piece = [0; 16 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut piece) {
        look(&piece[..bytes]);
        if to.write_all(&piece[..bytes]).is_err() {
            break;
        }
    }
    // Whoever is gone already needs no word of it.
    let _ = to.shutdown(Shutdown::Write);
}

/// The first lines of calls among all that a client sends.
struct Lines {
    begun: Vec<u8>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Lines {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte != b'\n' {
                if self.begun.len() < LINE_BYTES_MAX {
                    self.begun.push(*byte);
                }
                continue;
            }
            if let Some(call) = std::str::from_utf8(&self.begun).ok().and_then(call) {
                self.calls.lock().expect("no holder panics").push(call);
            }
            self.begun.clear();
        }
    }
}

/// The call that a line begins, without version, names and what is asked of it; nothing where it begins none.
fn call(line: &str) -> Option<String> {
    let (method, rest) = line.strip_suffix(" HTTP/1.1\r")?.split_once(' ')?;
    let path = rest.split('?').next()?.strip_prefix('/')?;
    let words: Vec<_> = path.split('/').collect();
    let words = words.strip_prefix(&["v1.41"]).unwrap_or(&words);
    let [kind, name, ..] = words else { return Some(format!("{method} /{}", words.join("/"))) };
    if !KINDS.contains(kind) || NO_NAMES.contains(name) {
        return Some(format!("{method} /{}", words.join("/")));
    }
    // The name of an image may have slashes of its own.
    let verb = words.last().filter(|_| words.len() > 2).map(|verb| format!("/{verb}")).unwrap_or_default();
    Some(format!("{method} /{kind}/{{}}{verb}"))
}

#[cfg(test)]
mod tests {
    use super::call;

    #[test]
    fn a_call_is_told_without_its_names() {
        let told = |line: &str| call(&format!("{line} HTTP/1.1\r")).expect("it is a call");
        assert_eq!(told("GET /v1.41/containers/json?all=true"), "GET /containers/json");
        assert_eq!(told("POST /v1.41/containers/ab12/start"), "POST /containers/{}/start");
        assert_eq!(told("DELETE /v1.41/containers/ab12?v=true"), "DELETE /containers/{}");
        assert_eq!(told("GET /v1.41/images/r:5000/shop/web:v1/json"), "GET /images/{}/json");
        assert_eq!(told("GET /version"), "GET /version");
        assert_eq!(call("Host: localhost\r"), None);
    }
}
