//! Listens to the engine's events, and rings when one is about something of ours.
//!
//! A hint only: what rings makes somebody look. The stream ends when the engine goes; then it is opened again, and since
//! nobody knows what was missed, all are looked at.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use trueup_seams::{Nudge, NudgeSink, Nudges};
use trueup_types::AppName;

use crate::labels::APP;
use crate::runtime::{DockerRuntime, Inner};

/// What of all events says that an instance may have changed. A probe within a container makes three others, each time; `health_status` comes
/// only when it turns. `remove` and `died` are podman's words.
const ACTIONS: [&str; 9] = ["create", "start", "die", "died", "oom", "destroy", "remove", "rename", "health_status"];
/// Those that tell an end; an engine says so while it still clears up, and its listing shows it only after that.
const ENDS: [&str; 2] = ["die", "died"];
/// From one try to open the stream to the next.
const AGAIN: Duration = Duration::from_secs(1);

impl Nudges for DockerRuntime {
    fn listen(&self, sink: NudgeSink) {
        // Only the first listener hears: a runtime has one driver.
        if self.inner.sink.set(sink).is_ok() {
            let task = self.inner.handle.spawn(ring_at_events(Arc::clone(&self.inner)));
            // Set once, as the sink was.
            let _ = self.bell.set(task.abort_handle());
        }
    }
}

/// Rings at events until it is aborted, with the runtime.
async fn ring_at_events(inner: Arc<Inner>) {
    loop {
        listen(&inner).await;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen(inner: &Inner) {
    let Ok(client) = inner.engine.client().await else { return };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let filters = HashMap::from([
        ("type".to_owned(), words(&["container"])),
        ("event".to_owned(), words(&ACTIONS)),
        ("label".to_owned(), inner.mine.filter()),
    ]);
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    let mut events = std::pin::pin!(client.events(Some(options)));
    let Some(sink) = inner.sink.get() else { return };
    sink(Nudge::All);
    while let Some(Ok(event)) = events.next().await {
        let actor = event.actor.unwrap_or_default();
        let ends = event.action.is_some_and(|action| ENDS.contains(&action.as_str()));
        if let Some(container) = actor.id.as_deref().filter(|_| ends) {
            inner.seen().tell_end(container);
        }
        let attributes = actor.attributes.unwrap_or_default();
        match attributes.get(APP).and_then(|app| AppName::new(app).ok()) {
            Some(app) => sink(Nudge::App(app)),
            None => sink(Nudge::All),
        }
    }
}
