//! Requests that keep coming, each counted by what it came to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Loops of requests.
const LOOPS: usize = 4;
/// From one request of a loop to the next.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What requests came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Answers, by the version that answered.
    pub by_version: BTreeMap<String, u64>,
    pub failed: u64,
    pub first_failure: Option<String>,
}

impl Tally {
    pub(crate) fn all(&self) -> u64 {
        self.by_version.values().sum::<u64>() + self.failed
    }
}

/// A load under way.
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(edge: SocketAddr, host: &str) -> Self {
        let (tally, stop) = (Arc::new(Mutex::new(Tally::default())), CancellationToken::new());
        let loops = (0..LOOPS).map(|_| {
            // A name below `localhost` is not resolved everywhere.
            let client = reqwest::Client::builder().no_proxy().resolve(host, edge).timeout(PATIENCE).build();
            tokio::spawn(ask(client, format!("http://{host}/version"), Arc::clone(&tally), stop.clone()))
        });
        Self { loops: loops.collect(), tally, stop }
    }

    pub(crate) fn so_far(&self) -> Tally {
        self.tally.lock().expect("no loop panics").clone()
    }

    /// One line about what happened since.
    pub(crate) fn since(&self, before: &Tally) -> String {
        let now = self.so_far();
        let versions = now.by_version.iter().filter_map(|(version, count)| {
            let count = count - before.by_version.get(version).copied().unwrap_or(0);
            (count > 0).then(|| format!("{count} by {version}"))
        });
        let versions: Vec<_> = versions.collect();
        format!("{} requests: {}; {} failed", now.all() - before.all(), versions.join(", "), now.failed - before.failed)
    }

    /// Ends the load; what is under way is finished and counted.
    pub(crate) async fn finish(self) -> Tally {
        self.stop.cancel();
        for one in self.loops {
            one.await.expect("no loop panics");
        }
        self.tally.lock().expect("no loop panics").clone()
    }
}

async fn ask(client: reqwest::Result<reqwest::Client>, url: String, tally: Arc<Mutex<Tally>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let answer = match &client {
            Ok(client) => get(client, &url).await,
            Err(error) => Err(error.to_string()),
        };
        {
            let mut tally = tally.lock().expect("no loop panics");
            match answer {
                Ok(version) => *tally.by_version.entry(version).or_default() += 1,
                Err(why) => {
                    tally.failed += 1;
                    tally.first_failure.get_or_insert(why);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn get(client: &reqwest::Client, url: &str) -> Result<String, String> {
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let text = match answer {
        Ok(answer) => answer.text().await,
        Err(error) => Err(error),
    };
    text.map(|text| text.trim().to_owned()).map_err(|error| error.to_string())
}
