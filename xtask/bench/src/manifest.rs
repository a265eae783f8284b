//! Manifests of apps that do nothing but sleep.

/// An app of the `worker` profile at a version, with gates that cost a measurement no time.
#[must_use]
pub fn sleeper(name: &str, version: usize) -> String {
    format!(
        "apiVersion: trueup.dev/v1
kind: App
metadata:
  name: {name}
spec:
  profile: worker
  command: [sleep, \"1000000\"]
  env:
    VERSION: \"{version}\"
  stop: {{timeout: 1s}}
  rollout: {{minHealthy: 100ms, healthyDeadline: 20s, progressDeadline: 60s, bake: 0s, drain: 0s}}
"
    )
}
