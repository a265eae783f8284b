//! Runs wrk, and reads what it says.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Open connections, as in the measurements of record.
const CONNECTIONS: usize = 64;

/// What one run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Requests a second.
    pub rate: f64,
    /// Latency in milliseconds that half of the requests did not exceed.
    pub p50_millis: f64,
    /// The same for 99 of 100.
    pub p99_millis: f64,
    /// All requests.
    pub requests: f64,
}

/// Loads an address with short requests of one host.
///
/// # Errors
/// When wrk fails, or any request did.
pub fn load(address: SocketAddr, host: &str, threads: usize, seconds: u64) -> anyhow::Result<Run> {
    let output = Command::new("wrk")
        .args(["--latency", &format!("-t{threads}"), &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")])
        .args(["-H", &format!("Host: {host}"), &format!("http://{address}/")])
        .output()
        .context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Run> {
    let failed = |line: &&str| line.trim().starts_with("Non-2xx") || line.trim().starts_with("Socket errors");
    if let Some(line) = text.lines().find(failed) {
        anyhow::bail!("requests failed: {}", line.trim());
    }
    let behind = |key: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(key));
        line.map(str::trim).with_context(|| format!("wrk did not say `{key}`: {text}"))
    };
    let all = text.lines().map(str::trim).find_map(|line| line.split_once(" requests in "));
    Ok(Run {
        rate: behind("Requests/sec:")?.parse()?,
        p50_millis: millis(behind("50%")?)?,
        p99_millis: millis(behind("99%")?)?,
        requests: all.context("wrk did not count its requests")?.0.parse()?,
    })
}

/// `1.50ms`, `310.00us` or `1.02s`, in milliseconds.
fn millis(text: &str) -> anyhow::Result<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.parse::<f64>().ok()?, factor)));
    found.map(|(number, factor)| number * factor).with_context(|| format!("`{text}` is no latency"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:15000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.98ms  500.12us   9.00ms   80.00%
    Req/Sec    32.50k     1.00k   34.00k    70.00%
  Latency Distribution
     50%  500.00us
     75%    2.10ms
     90%    2.60ms
     99%    4.25ms
  64680 requests in 2.00s, 12.34MB read
Requests/sec:  32338.99
Transfer/sec:      6.17MB
";

    #[test]
    fn what_wrk_says_is_read() {
        let run = Run { rate: 32_338.99, p50_millis: 0.5, p99_millis: 4.25, requests: 64_680.0 };
        assert_eq!(parse(SAID).expect("it is whole"), run);
    }

    #[test]
    fn a_run_with_failed_requests_measures_nothing() {
        let failed = format!("{SAID}  Non-2xx or 3xx responses: 12\n");
        assert!(parse(&failed).expect_err("some failed").to_string().contains("12"));
    }
}
