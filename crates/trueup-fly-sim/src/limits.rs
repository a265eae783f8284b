//! How often one may ask: a bucket for each action on each machine, app or organisation.

use std::collections::BTreeMap;

use crate::call::{Body, Call, Refusal, Reply};
use crate::cloud::Cloud;
use crate::time::Moment;

/// Most buckets that are kept; full ones are dropped then.
const BUCKETS_MAX: usize = 50_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Moment,
    per_second: f64,
    burst: f64,
}

impl Bucket {
    fn fill(&mut self, now: Moment) {
        let passed = now.since(self.at).as_secs_f64();
        self.left = self.burst.min(self.left + passed * self.per_second);
        self.at = now;
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    buckets: BTreeMap<(&'static str, String), Bucket>,
}

impl Buckets {
    fn take(&mut self, key: (&'static str, String), (per_second, burst): (f64, f64), now: Moment) -> bool {
        if self.buckets.len() >= BUCKETS_MAX {
            self.buckets.retain(|_, bucket| {
                bucket.fill(now);
                bucket.left < bucket.burst
            });
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { left: burst, at: now, per_second, burst });
        bucket.fill(now);
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }
}

impl Cloud {
    /// Counts a call of the Machines API.
    ///
    /// # Errors
    /// 429 when there were too many of its kind.
    pub(crate) fn count(&mut self, action: &'static str, call: &Call) -> Result<(), Refusal> {
        let limits = self.knobs.limits;
        if !limits.enforced || !call.asked.path.starts_with("/v1/") {
            return Ok(());
        }
        let whom = ["machine", "app", "org"].into_iter().find_map(|name| call.names.get(name));
        let (key, rate) = match action {
            "Apps_delete" => {
                let per_minute = limits.app_deletes_per_minute;
                (call.token.id.clone(), (per_minute / 60.0, per_minute))
            }
            "Machines_show" => (whom.cloned().unwrap_or_default(), (limits.reads_per_second, limits.reads_burst)),
            _ => (whom.cloned().unwrap_or_default(), (limits.per_second, limits.burst)),
        };
        if self.buckets.take((action, key), rate, self.now) {
            return Ok(());
        }
        let mut reply = Reply::empty(429);
        reply.body = if self.knobs.habits.limit_json {
            Body::Json(serde_json::json!({"error": "rate limit exceeded"}))
        } else {
            Body::Text("rate limit exceeded\n".to_owned())
        };
        if let Some(seconds) = limits.retry_after {
            reply.headers.push(("retry-after", seconds.to_string()));
        }
        Err(Refusal::reply(reply))
    }
}
