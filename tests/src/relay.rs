//! A carrier of requests between a daemon and its platform, that can stop at any of them: before it has handed it over, or when
//! it has the answer and has not brought it back. From then on nothing is carried, until whoever asked is dead.
//!
//! What it can stop at are crossings. Each request that may change something is one, counted by what it does; of those that
//! only look, the first of its kind after each that changes: how often somebody looks is a matter of chance.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// From one look at what a caller waits for to the next.
const GLANCE: Duration = Duration::from_millis(20);

/// On which side of the platform's deed a request is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The platform never hears of it.
    Before,
    /// The platform has done it, and its answer is not heard.
    After,
}

/// Where a carrier stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stop {
    /// At which crossing.
    pub crossing: String,
    /// On which side of it.
    pub side: Side,
}

/// A carrier on a port of its own, which ends with the test.
pub struct Relay {
    /// Where it is, as `http://127.0.0.1:4281`.
    pub base: String,
    shared: Arc<Shared>,
}

struct Shared {
    listen: SocketAddr,
    platform: SocketAddr,
    road: Mutex<Road>,
    /// Rung whenever the road changes.
    bell: Condvar,
}

/// What has been carried, and whether anything is.
#[derive(Default)]
struct Road {
    /// In their order.
    crossings: Vec<String>,
    changes: BTreeMap<String, u64>,
    looks: BTreeSet<String>,
    last_change: String,
    stop: Option<Stop>,
    /// Nothing is carried any more.
    closed: bool,
    /// The request stands where it was to be stopped.
    stopped: bool,
    /// How many daemons have died here.
    deaths: u64,
    over: bool,
}

impl Road {
    /// Notes a request, and names it where it is a crossing.
    fn note(&mut self, asked: &Asked) -> Option<String> {
        let name = if asked.changes {
            let count = self.changes.entry(asked.kind.clone()).or_default();
            *count += 1;
            let name = format!("{} #{count}", asked.kind);
            self.looks.clear();
            self.last_change.clone_from(&name);
            name
        } else if self.looks.insert(asked.kind.clone()) {
            let since = if self.last_change.is_empty() { "at first" } else { &self.last_change };
            format!("{}, after: {since}", asked.kind)
        } else {
            return None;
        };
        self.crossings.push(name.clone());
        Some(name)
    }
}

impl Relay {
    /// Carries to a platform.
    ///
    /// # Panics
    /// When there is no port, or this is no address.
    #[must_use]
    pub fn start(platform: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let listen = listener.local_addr().expect("it has one");
        let platform = platform.trim_start_matches("http://").parse().expect("an address");
        let shared = Arc::new(Shared { listen, platform, road: Mutex::default(), bell: Condvar::new() });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = Arc::clone(&ours);
                let road = shared.road();
                if road.over {
                    return;
                }
                // Whoever comes to a closed road is carried nowhere, even when it is open by the time that he is read.
                let deaths = road.deaths;
                drop(road);
                // It ends by itself when a side of it leaves: then nobody waits for it.
                std::thread::spawn(move || shared.serve(socket, deaths).unwrap_or_default());
            }
        });
        Self { base: format!("http://{listen}"), shared }
    }

    /// Counts anew from here on, and stops there.
    pub fn begin(&self, stop: Option<Stop>) {
        let mut road = self.shared.road();
        let deaths = road.deaths;
        *road = Road { stop, deaths, ..Road::default() };
    }

    /// What has been crossed since then, in this order.
    #[must_use]
    pub fn crossings(&self) -> Vec<String> {
        self.shared.road().crossings.clone()
    }

    /// Waits until a request stands where it was to be stopped, or until something else holds; answers whether it does, and
    /// nothing when neither comes within `patience`.
    ///
    /// # Panics
    /// When another thread of the carrier has.
    #[must_use]
    pub fn await_stop(&self, patience: Duration, or: impl Fn() -> bool) -> Option<bool> {
        let deadline = Instant::now() + patience;
        loop {
            let (stopped, closed) = self.shared.standing();
            if stopped {
                return Some(true);
            }
            // Once it is closed, the one that stops it only has to be answered.
            if !closed && or() {
                return Some(false);
            }
            if Instant::now() >= deadline {
                return None;
            }
            let road = self.shared.road();
            drop(self.shared.bell.wait_timeout(road, GLANCE).expect("no holder panics"));
        }
    }

    /// The daemon is dead: whatever it has asked is dropped, and the next one is carried for, without a stop.
    ///
    /// # Panics
    /// When its own port does not answer.
    pub fn reopen(&self) {
        // Whatever the dead one has still sent is before this in the queue.
        let mut last = TcpStream::connect(self.shared.listen).expect("it listens");
        last.write_all(b"GET /_relay HTTP/1.1\r\n\r\n").expect("it listens");
        last.read_to_end(&mut Vec::new()).expect("it answers");
        let mut road = self.shared.road();
        road.deaths += 1;
        (road.stop, road.closed, road.stopped) = (None, false, false);
        self.shared.bell.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.road().over = true;
        self.shared.bell.notify_all();
        // Has the one who waits for connections look.
        drop(TcpStream::connect(self.shared.listen));
    }
}

impl Shared {
    fn road(&self) -> MutexGuard<'_, Road> {
        self.road.lock().expect("no holder panics")
    }

    /// Whether a request stands where it was to be stopped, and whether none is carried any more.
    fn standing(&self) -> (bool, bool) {
        let road = self.road();
        (road.stopped, road.closed)
    }

    /// Carries one request, and its answer.
    fn serve(&self, mut socket: TcpStream, deaths: u64) -> std::io::Result<()> {
        let Some(asked) = Asked::read(&mut socket)? else { return Ok(()) };
        if asked.kind == "GET _relay" {
            return Ok(());
        }
        let mut road = self.road();
        let closed = road.closed || road.deaths != deaths;
        let name = if closed { None } else { road.note(&asked) };
        let side = road.stop.as_ref().filter(|stop| name.as_ref() == Some(&stop.crossing)).map(|stop| stop.side);
        road.closed |= side.is_some();
        if closed {
            return self.park(road, deaths);
        }
        drop(road);
        let answer = if side == Some(Side::Before) { Vec::new() } else { self.carry(&asked)? };
        let mut road = self.road();
        if side.is_some() {
            road.stopped = true;
            self.bell.notify_all();
            return self.park(road, deaths);
        }
        drop(road);
        socket.write_all(&answer)
    }

    /// Holds a connection until its daemon is dead.
    fn park(&self, mut road: MutexGuard<'_, Road>, deaths: u64) -> std::io::Result<()> {
        while road.deaths == deaths && !road.over {
            road = self.bell.wait(road).expect("no holder panics");
        }
        Ok(())
    }

    fn carry(&self, asked: &Asked) -> std::io::Result<Vec<u8>> {
        let mut there = TcpStream::connect(self.platform)?;
        there.write_all(&asked.bytes)?;
        let mut answer = Vec::new();
        there.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// A request, as it was written.
struct Asked {
    /// What it does, without whom it is about: `POST apps/*/machines`.
    kind: String,
    changes: bool,
    /// All of it; the connection is not used for another.
    bytes: Vec<u8>,
}

impl Asked {
    /// Reads one; none where nobody asks anything.
    fn read(socket: &mut TcpStream) -> std::io::Result<Option<Self>> {
        let (mut bytes, mut some) = (Vec::new(), [0; 16 << 10]);
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            match socket.read(&mut some)? {
                0 => return Ok(None),
                count => bytes.extend_from_slice(&some[..count]),
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let header = |wanted: &str| {
            let pairs = text.lines().skip(1).filter_map(|line| line.split_once(':'));
            pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned()).next()
        };
        let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = bytes.split_off(head + 4);
        while body.len() < length {
            match socket.read(&mut some)? {
                0 => return Ok(None),
                count => body.extend_from_slice(&some[..count]),
            }
        }
        let kept = text.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let head: String = kept.flat_map(|line| [line, "\r\n"]).collect();
        let (kind, changes) = told(&text, header("host").as_deref().unwrap_or_default());
        let bytes = [format!("{head}connection: close\r\n\r\n").into_bytes(), body].concat();
        Ok(Some(Self { kind, changes, bytes }))
    }
}

/// What a request does, and whether it may change something.
fn told(head: &str, host: &str) -> (String, bool) {
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if host.contains(".fly.") {
        return ("a visit".to_owned(), false);
    }
    let path = target.split('?').next().unwrap_or_default();
    let mut kind = format!("{method} ");
    let mut whose = false;
    for part in path.split('/').filter(|part| !part.is_empty() && *part != "v1") {
        let separator = if kind.ends_with(' ') { "" } else { "/" };
        // What comes after a collection is one of it.
        kind += separator;
        kind += if whose && !matches!(part, "acme" | "current") { "*" } else { part };
        whose = !whose && matches!(part, "apps" | "orgs" | "machines" | "volumes" | "certificates" | "ip_assignments");
    }
    // It has the platform look, and changes nothing of ours.
    let looks = method == "GET" || kind.ends_with("certificates/*/check");
    (kind, !looks)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A platform that tells what it hears, and answers everybody alike.
    fn platform() -> (String, Receiver<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("it has one"));
        let (tells, heard) = channel();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let asked = Asked::read(&mut socket).expect("it reads").expect("it is asked");
                // Nobody listens when the test is over.
                tells.send(asked.kind).unwrap_or_default();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                socket.write_all(answer).expect("it listens");
            }
        });
        (base, heard)
    }

    /// Asks, and listens in a thread of its own; whatever is answered, or nothing where the connection ends.
    fn ask(relay: &Relay, head: &str) -> std::thread::JoinHandle<String> {
        let mut socket = TcpStream::connect(relay.shared.listen).expect("it listens");
        let asked = format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
        socket.write_all(asked.as_bytes()).expect("it reads");
        std::thread::spawn(move || {
            let mut answer = String::new();
            socket.read_to_string(&mut answer).expect("it ends");
            answer
        })
    }

    #[test]
    fn a_request_is_stopped_on_either_side_and_nothing_comes_after_it() {
        for (side, arrives) in [(Side::Before, false), (Side::After, true)] {
            let (base, heard) = platform();
            let relay = Relay::start(&base);
            let crossing = "POST apps/*/machines/*/stop #2".to_owned();
            relay.begin(Some(Stop { crossing: crossing.clone(), side }));
            for target in ["GET /v1/apps/a/machines", "POST /v1/apps/a/machines/m1/stop", "GET /v1/apps/a/machines?x=1"]
            {
                assert!(ask(&relay, target).join().expect("it ends").ends_with("hi"));
            }
            assert_eq!(heard.try_iter().count(), 3, "{side:?}");
            let stopped = ask(&relay, "POST /v1/apps/a/machines/m2/stop");
            assert_eq!(relay.await_stop(PATIENCE, || false), Some(true), "{side:?}");
            let late = ask(&relay, "DELETE /v1/apps/a/machines/m2");
            relay.reopen();
            for parked in [stopped, late] {
                assert_eq!(parked.join().expect("it ends"), "", "{side:?}: no answer");
            }
            assert!(ask(&relay, "GET /v1/apps/a").join().expect("it ends").ends_with("hi"), "{side:?}: open again");
            let heard: Vec<_> = heard.try_iter().collect();
            let stop = Some("POST apps/*/machines/*/stop".to_owned()).filter(|_| arrives);
            assert_eq!(heard, stop.into_iter().chain(["GET apps/*".to_owned()]).collect::<Vec<_>>(), "{side:?}");
            let first = "POST apps/*/machines/*/stop #1";
            let looks = |since: &str| format!("GET apps/*/machines, after: {since}");
            assert_eq!(relay.crossings()[..4], [looks("at first"), first.to_owned(), looks(first), crossing]);
        }
    }

    #[test]
    fn what_only_looks_is_a_crossing_once_and_a_check_is_a_look() {
        assert_eq!(
            told("GET /v1/apps/a/machines/m/wait?x=1 HTTP/1.1", "x"),
            ("GET apps/*/machines/*/wait".into(), false)
        );
        let check = told("POST /v1/apps/a/certificates/shop.example.com/check HTTP/1.1", "x");
        assert_eq!(check, ("POST apps/*/certificates/*/check".into(), false));
        assert_eq!(told("POST /v1/apps/a/certificates/acme HTTP/1.1", "x").0, "POST apps/*/certificates/acme");
        assert_eq!(told("GET /health HTTP/1.1", "a.fly.dev"), ("a visit".into(), false));
    }
}
