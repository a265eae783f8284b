//! Why what nobody read is not carried over, by its key.

use crate::reader::{Left, Remark};

/// Keys, the whole of them or what they begin with, and why they are left; the first that fits counts.
const WHY: &[(&str, &str)] = &[
    ("build.args", "the image is built elsewhere, with these arguments"),
    ("build", "the image is built elsewhere: manifests name one that is ready"),
    ("console_command", "no console is opened here; the command is the program's own"),
    ("container", "a machine runs one container"),
    ("machine_config", "a machine is what the manifest says, and nothing else"),
    ("swap_size_mb", "machines are made without swap; give them the memory"),
    ("host_dedication_id", "machines are made on shared hosts"),
    ("metrics", "the platform is not told where metrics are; scrape them over the private network"),
    ("metric", "the platform is not told where metrics are; scrape them over the private network"),
    ("statics", "the platform is not told to serve files from the image; the program serves them"),
    ("deploy.release_command_vm", "a hook's machine has the size of the app's own"),
    ("deploy.seed_command", "it runs once in the life of an app; run it by hand"),
    ("deploy.release_command", "only a command in words is carried over"),
    ("deploy", "rollouts have no such setting"),
    ("experimental.auto_rollback", "a release that fails is always taken back"),
    ("experimental", "there is no such setting here"),
    ("env", "variables that begin with FLY_ are the platform's own"),
    ("http_service.tls_options", "TLS at the edge is as the platform sets it"),
    ("http_service.http_options", "answers go through the platform as they are"),
    ("http_service.concurrency", "no limit is set"),
    ("http_service.checks", "a probe asks GET of a path, in the clear, without headers"),
    ("services.ports.tls_options", "TLS at the edge is as the platform sets it"),
    ("services.ports.http_options", "answers go through the platform as they are"),
    ("services.ports.proxy_proto_options", "the PROXY protocol is not spoken"),
    ("services.ports", "this port is not published: routes are HTTP, at 80 and 443 and to one port"),
    ("services.http_checks.restart_limit", "checks restart nothing; that was so on the platform's first version alone"),
    ("services.tcp_checks.restart_limit", "checks restart nothing; that was so on the platform's first version alone"),
    ("services.http_checks", "a probe asks GET of a path, in the clear, without headers"),
    ("services.tcp_checks", "a probe has no such setting"),
    ("services.concurrency", "limits are those of the service that has routes"),
    ("services.auto_st", "what has no routes is never put to sleep"),
    ("services.min_machines_running", "what has no routes is never put to sleep"),
    ("checks", "a probe asks GET of a path, in the clear, without headers"),
    ("mounts.snapshot_retention", "snapshots are as the platform makes them: daily, kept for 5 days"),
    ("mounts.scheduled_snapshots", "snapshots are as the platform makes them: daily, kept for 5 days"),
    ("mounts.auto_extend", "a volume has the size that the manifest says"),
    ("mounts", "a machine has one volume"),
    ("mount", "a machine has one volume"),
    ("files.secret_name", "what a secret holds is in no manifest"),
    ("files", "this file was not understood"),
    ("vm.gpu", "machines with GPUs are not made"),
    ("vm.host_dedication_id", "machines are made on shared hosts"),
    ("vm.kernel_args", "machines start with the platform's own kernel arguments"),
    ("vm", "no group has this size"),
    ("restart", "this group has a restart policy already, or is none"),
    ("processes", "this was not understood as a command"),
];
/// Checks that run a machine of their own.
const MACHINE_CHECKS: &str = "machine_checks";

/// Says of each what becomes of it; what is so in any case needs no word.
pub(crate) fn remarks(left: Vec<Left>) -> Vec<Remark> {
    let left = left.into_iter().filter(|left| !inert(left));
    left.map(|left| Remark { line: left.line, what: why(&left), key: left.key }).collect()
}

fn why(left: &Left) -> String {
    if left.key.contains(MACHINE_CHECKS) {
        return "not carried over: write a `postDeploy` hook that asks the app over the private network".to_owned();
    }
    let fits = |(key, _): &&(&str, &str)| left.key.starts_with(key);
    match WHY.iter().find(fits) {
        Some((_, why)) => format!("not carried over: {why}"),
        None => "not carried over: it is no key that is known here".to_owned(),
    }
}

/// What says only what is so in any case.
fn inert(left: &Left) -> bool {
    let key = left.key.rsplit('.').next().unwrap_or_default();
    let says = |values: &[&str]| values.contains(&left.value.as_str());
    match key {
        "auto_rollback" => says(&["true"]),
        "restart_limit" => says(&["0"]),
        "tls_skip_verify" | "lazy_load_images" | "use_zstd" | "enable_consul" | "enable_etcd" => says(&["false"]),
        "auto_stop_machines" => says(&["off", "false"]),
        "min_machines_running" => says(&["0"]),
        _ => false,
    }
}
