//! An app: a name, and what lies under it beside machines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::time::Moment;

/// Most lines that are kept of an app's log.
const LINES_MAX: usize = 5_000;
/// Most earlier versions that are kept of an app's secrets.
pub(crate) const SECRETS_MAX: usize = 32;
/// Most segments of traffic that are kept of an app.
const TRAFFIC_MAX: usize = 100_000;

#[derive(Debug)]
pub(crate) struct App {
    pub id: String,
    pub number: u64,
    pub name: String,
    pub org: String,
    pub network: String,
    pub created: Moment,
    /// Whether it ever had a machine.
    pub deployed: bool,
    pub machines: BTreeSet<String>,
    pub secrets: BTreeMap<String, Secret>,
    pub secrets_version: u64,
    /// The secrets of the versions before, oldest first, each with the moment at which the next one came.
    pub secrets_before: VecDeque<(Moment, u64, BTreeMap<String, Secret>)>,
    pub volumes: BTreeMap<String, Volume>,
    pub certificates: BTreeMap<String, Certificate>,
    pub ips: Vec<Ip>,
    pub lines: VecDeque<Line>,
    /// The number of the first line that is kept.
    pub first_line: u64,
    pub traffic: VecDeque<Traffic>,
    pub releases: Vec<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub value: String,
    pub digest: String,
    pub created: Moment,
    pub updated: Moment,
}

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub id: String,
    pub name: String,
    pub region: String,
    pub zone: String,
    pub size_gb: u64,
    pub encrypted: bool,
    pub fstype: String,
    pub retention: u64,
    pub backup: bool,
    pub created: Moment,
    pub updated: Moment,
    pub attached: Option<String>,
    /// When it was deleted: lists that lag still show it.
    pub gone: Option<Moment>,
    pub snapshots: Vec<(String, Moment)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub hostname: String,
    pub acme: bool,
    pub custom: bool,
    pub created: Moment,
    pub proven: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Ip {
    pub id: String,
    pub ip: String,
    pub kind: String,
    pub region: String,
    pub service: String,
    pub created: Moment,
}

#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub at: Moment,
    pub machine: String,
    pub region: String,
    pub level: &'static str,
    pub message: String,
}

/// Who could answer an app's requests, from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Since when.
    pub since: Moment,
    /// Machines that answer, at the edge that knows fewest of them.
    pub healthy: usize,
    /// Machines that some edge still sends requests, and that do not answer.
    pub blind: usize,
}

impl App {
    pub(crate) fn write(&mut self, line: Line) {
        self.lines.push_back(line);
        if self.lines.len() > LINES_MAX {
            self.lines.pop_front();
            self.first_line += 1;
        }
    }

    pub(crate) fn record(&mut self, traffic: Traffic) {
        if let Some(last) = self.traffic.back_mut() {
            if (last.healthy, last.blind) == (traffic.healthy, traffic.blind) {
                return;
            }
            if last.since == traffic.since {
                *last = traffic;
                return;
            }
        }
        self.traffic.push_back(traffic);
        if self.traffic.len() > TRAFFIC_MAX {
            self.traffic.pop_front();
        }
    }
}

impl Volume {
    /// Whether a list that shows what was at a moment shows it.
    pub(crate) fn listed(&self, seen_from: Moment) -> bool {
        self.created <= seen_from && self.gone.is_none_or(|gone| gone > seen_from)
    }

    pub(crate) fn shown(&self) -> Value {
        let bytes = self.size_gb * 1_000_000_000;
        json!({
            "id": self.id,
            "name": self.name,
            "state": "created",
            "size_gb": self.size_gb,
            "region": self.region,
            "zone": self.zone,
            "encrypted": self.encrypted,
            "attached_machine_id": self.attached,
            "attached_alloc_id": Value::Null,
            "created_at": self.created.rfc3339(),
            "block_size": 4_096,
            "blocks": bytes / 4_096,
            "blocks_free": bytes / 4_096,
            "blocks_avail": bytes / 4_096,
            "bytes_total": bytes,
            "bytes_used": 0,
            "fstype": self.fstype,
            "snapshot_retention": self.retention,
            "auto_backup_enabled": self.backup,
            "host_status": "ok",
            "type": "local",
        })
    }
}
