//! Any bytes as a status file: a document or an error, and a document is written and read again.

use trueup_types::status::{STATUS_VERSION, StatusDocument};

/// Reads the bytes as the command line does: the version first, since a newer document may have another shape.
pub fn target(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if version > u64::from(STATUS_VERSION) {
        return;
    }
    let Ok(document) = serde_json::from_value::<StatusDocument>(value) else { return };
    let text = serde_json::to_vec(&document).expect("a status is plain JSON");
    let again: StatusDocument = serde_json::from_slice(&text).expect("what we write we read");
    assert!(again == document, "it is another when it is read again");
    // What is shown of it.
    for app in &document.apps {
        let _ = format!("{:?} {} {}", app.status.verdict, app.status.since, app.metadata.name);
        for decision in &app.status.decisions {
            let _ = format!("{} {:?}", decision.at, document.written_at.since(decision.at));
        }
    }
    for event in &document.events {
        let _ = format!("{} {} {}", event.object(), event.first, event.last);
    }
}
