//! What processes cost, read from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Clock ticks a second in `/proc/<pid>/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS_SECOND: u64 = 100;

/// The processor time of a process with all its threads, living and ended, in steps of 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    let behind = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let fields: Vec<_> = behind.split_whitespace().collect();
    // Fields 14 and 15 of the whole, user and system.
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).context("an odd stat");
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1_000 / TICKS_SECOND))
}

/// The time that the living threads of a process have been on a processor, to the nanosecond.
///
/// # Errors
/// When there is no such process.
pub fn on_cpu(pid: u32) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("no process {pid}"))? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// One line of `/proc/<pid>/status`, in MiB.
///
/// # Errors
/// When there is no such process or line.
pub fn status_mib(pid: u32, key: &str) -> anyhow::Result<f64> {
    mib(&format!("/proc/{pid}/status"), key)
}

/// The share of memory that is a process's own: PSS, or RSS where that cannot be read.
///
/// # Errors
/// When there is no such process.
pub fn pss_mib(pid: u32) -> anyhow::Result<f64> {
    mib(&format!("/proc/{pid}/smaps_rollup"), "Pss").or_else(|_| status_mib(pid, "VmRSS"))
}

/// Begins the count of our own peak memory again.
///
/// # Errors
/// Where the kernel does not allow it.
pub fn reset_peak() -> anyhow::Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

fn mib(path: &str, key: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {key}"))? / 1_024.0)
}
