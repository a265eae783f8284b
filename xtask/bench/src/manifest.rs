//! Manifests of apps that do nothing: they sleep, or end at once.

/// An app of the `worker` profile at a version, with gates that cost a measurement no time.
#[must_use]
pub fn sleeper(name: &str, version: usize) -> String {
    worker(name, version, "[sleep, \"1000000\"]")
}

/// The same, and it exits at once, with 1.
#[must_use]
pub fn failing(name: &str, version: usize) -> String {
    worker(name, version, "[\"false\"]")
}

fn worker(name: &str, version: usize, command: &str) -> String {
    format!(
        "apiVersion: trueup.dev/v1
kind: App
metadata:
  name: {name}
spec:
  profile: worker
  command: {command}
  env:
    VERSION: \"{version}\"
  stop: {{timeout: 1s}}
  rollout: {{minHealthy: 100ms, healthyDeadline: 20s, progressDeadline: 60s, bake: 0s, drain: 0s}}
"
    )
}
