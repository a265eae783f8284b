//! The access log: one line for each request, gathered on its thread, written by a thread of its own.
//!
//! `2026-11-21T07:18:00.123Z 127.0.0.1 GET web.localhost /path 200 1234B 0.005s web-r1-0`: query strings are never
//! written, they carry tokens. Nobody waits for the log: lines that the writer cannot take in time are dropped and
//! counted.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use tokio::time::sleep;
use trueup_types::Timestamp;

use crate::clock::{precise_micros, wall};
use crate::flight::Flight;
use crate::limits::{ACCESS_BUFFER_BYTES, ACCESS_FLUSH, ACCESS_LOG_BYTES_MAX, ACCESS_QUEUE_MAX};

const NAME: &str = "access.log";
const NAME_OLDER: &str = "access.log.1";

/// The way to the writer.
pub(crate) type Queue = SyncSender<Vec<u8>>;

/// One request, for the log.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    peer: IpAddr,
    started_micros: u64,
    pub(crate) status: StatusCode,
    pub(crate) bytes: u64,
}

/// The lines of one thread that have not been handed over yet.
#[derive(Debug)]
pub(crate) struct Buffer {
    lines: RefCell<Vec<u8>>,
    queue: Queue,
    flushing: Cell<bool>,
    lost: Cell<u64>,
    /// The newest stamp and its spelling: the coarse clock gives many lines the same.
    stamp: RefCell<(Timestamp, String)>,
}

struct Writer {
    dir: PathBuf,
    file: File,
    bytes: u64,
}

// === impl Line ===

impl Line {
    /// Notes a request as it came in.
    pub(crate) fn begin<B>(request: &Request<B>, peer: IpAddr) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(HOST).cloned(),
            peer,
            started_micros: precise_micros(),
            // What a client gets that is gone before there is an answer; nginx's word for it.
            status: StatusCode::from_u16(499).expect("499 is within 100 to 999"),
            bytes: 0,
        }
    }

    fn write(&self, at: &str, instance: Option<&Flight>, text: &mut Vec<u8>) -> io::Result<()> {
        let host = self.host.as_ref().map(HeaderValue::as_bytes);
        let host = host.or_else(|| self.uri.authority().map(|authority| authority.as_str().as_bytes()));
        write!(text, "{at} {} {} ", self.peer, self.method)?;
        // Obs-text bytes would make the line something else than text.
        text.extend(host.unwrap_or(b"-").iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'?' }));
        let took = precise_micros().saturating_sub(self.started_micros);
        let (seconds, millis) = (took / 1_000_000, took / 1_000 % 1_000);
        write!(text, " {} {} {}B {seconds}.{millis:03}s ", self.uri.path(), self.status.as_u16(), self.bytes)?;
        match instance {
            Some(flight) => writeln!(text, "{}", flight.instance()),
            None => writeln!(text, "-"),
        }
    }
}

// === impl Buffer ===

impl Buffer {
    pub(crate) fn new(queue: Queue) -> Rc<Self> {
        let lines = RefCell::new(Vec::with_capacity(ACCESS_BUFFER_BYTES));
        let stamp = RefCell::new((Timestamp::ZERO, Timestamp::ZERO.to_string()));
        Rc::new(Self { lines, queue, flushing: Cell::new(false), lost: Cell::new(0), stamp })
    }

    /// Adds a line, and sees to it that it is handed over soon.
    pub(crate) fn push(self: &Rc<Self>, line: &Line, instance: Option<&Flight>) {
        let mut stamp = self.stamp.borrow_mut();
        let now = wall();
        if stamp.0 != now {
            *stamp = (now, now.to_string());
        }
        let mut lines = self.lines.borrow_mut();
        line.write(&stamp.1, instance, &mut lines).expect("a vector takes all that is written to it");
        let full = lines.len() >= ACCESS_BUFFER_BYTES;
        drop(lines);
        if full {
            self.flush();
        } else if !self.flushing.replace(true) {
            let buffer = Rc::clone(self);
            tokio::task::spawn_local(async move {
                sleep(ACCESS_FLUSH).await;
                buffer.flushing.set(false);
                buffer.flush();
            });
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            return;
        }
        let full = std::mem::replace(&mut *lines, Vec::with_capacity(ACCESS_BUFFER_BYTES));
        if self.queue.try_send(full).is_err() {
            self.lost.set(self.lost.get() + 1);
            tracing::warn!(buffers_lost = self.lost.get(), "the access log cannot keep up; lines are lost");
        }
    }
}

// === impl Writer ===

/// Starts the writer of the log in `dir`; it ends when the last queue is dropped.
///
/// # Errors
/// When the file cannot be opened or the thread cannot start.
pub(crate) fn start(dir: &Path) -> io::Result<(Queue, JoinHandle<()>)> {
    let mut writer = Writer::open(dir)?;
    let (queue, buffers): (_, Receiver<Vec<u8>>) = sync_channel(ACCESS_QUEUE_MAX);
    let thread = std::thread::Builder::new().name("edge-log".to_owned()).spawn(move || {
        for buffer in buffers {
            if let Err(error) = writer.write(&buffer) {
                tracing::warn!(%error, "the access log cannot be written");
            }
        }
    })?;
    Ok((queue, thread))
}

impl Writer {
    fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(NAME))?;
        let bytes = file.metadata()?.len();
        Ok(Self { dir: dir.to_owned(), file, bytes })
    }

    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        if self.bytes + buffer.len() as u64 > ACCESS_LOG_BYTES_MAX {
            self.rotate()?;
        }
        self.file.write_all(buffer)?;
        self.bytes += buffer.len() as u64;
        Ok(())
    }

    /// Begins a new file; where another edge of the directory has done so already, goes over to that one.
    fn rotate(&mut self) -> io::Result<()> {
        let path = self.dir.join(NAME);
        let ours = self.file.metadata()?;
        if fs::metadata(&path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()) {
            fs::rename(&path, self.dir.join(NAME_OLDER))?;
        }
        *self = Self::open(&self.dir)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_rotated_and_one_older_file_is_kept() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut writer = Writer::open(dir.path()).expect("it opens");
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..25 {
            writer.write(&line).expect("it writes");
        }
        let size = |name| fs::metadata(dir.path().join(name)).expect("it is there").len();
        assert_eq!(size(NAME_OLDER), ACCESS_LOG_BYTES_MAX);
        assert_eq!(size(NAME), 5 * 1024 * 1024);
        assert_eq!(fs::read_dir(dir.path()).expect("it lists").count(), 2);
    }

    #[test]
    fn a_line_holds_no_query() {
        let mut request = Request::new(());
        *request.uri_mut() = "/a?token=secret".parse().expect("a uri");
        request.headers_mut().insert(HOST, HeaderValue::from_static("a.test"));
        let mut text = Vec::new();
        Line::begin(&request, IpAddr::from([127, 0, 0, 1])).write("now", None, &mut text).expect("it writes");
        let text = String::from_utf8(text).expect("it is text");
        assert!(text.starts_with("now 127.0.0.1 GET a.test /a 499 0B 0.0"), "{text}");
        assert!(!text.contains("secret"));
    }
}
