//! Which containers an engine has started and taken away, by its own events: whoever measures one must not keep it busy with
//! questions, for the floor beside it is asked none.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use trueup_tests::engine::Engine;

/// The events of containers with a label, from the moment that it is made.
pub struct Heard {
    events: Receiver<Value>,
    started: BTreeSet<String>,
    gone: BTreeSet<String>,
}

impl Heard {
    /// Listens to an engine.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn of(engine: &Engine, label: &str) -> anyhow::Result<Self> {
        let filter = format!(
            "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22destroy%22%5D%2C%22label%22%3A%5B%22{label}%22%5D%7D"
        );
        let host = engine.host();
        let mut stream = UnixStream::connect(host.trim_start_matches("unix://")).context("the engine is not there")?;
        write!(stream, "GET /events?filters={filter} HTTP/1.1\r\nHost: engine\r\n\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().context("the engine ended the stream of its events")??;
        anyhow::ensure!(first.contains(" 200 "), "the engine's events: {first}");
        let (sender, events) = channel();
        // It ends with the engine, or with the next event after nobody listens any more.
        std::thread::spawn(move || {
            // Between the events are the lengths of the pieces that they come in.
            let read = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
            for event in read.filter(Value::is_object) {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { events, started: BTreeSet::new(), gone: BTreeSet::new() })
    }

    /// Waits for the next event, at most so long; takes in all that are there.
    pub fn next(&mut self, patience: Duration) {
        let first = self.events.recv_timeout(patience).ok();
        let rest: Vec<_> = first.into_iter().chain(self.events.try_iter()).collect();
        for event in rest {
            let id = event["Actor"]["ID"].as_str().unwrap_or_default().to_owned();
            let of = if event["Action"] == "start" { &mut self.started } else { &mut self.gone };
            of.insert(id);
        }
    }

    /// Whether so many have been started, and all of these have gone.
    pub fn says(&self, started: usize, gone: &BTreeSet<String>) -> bool {
        self.started.len() >= started && gone.is_subset(&self.gone)
    }
}
