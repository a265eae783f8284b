//! `trueup why`: the last decisions about an app, and the same decisions made again from a file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use trueup_driver::replay::replay;
use trueup_server::ControlClient;
use trueup_types::AppName;
use trueup_types::decision::{DECISIONS_VERSION, DecisionsFile};

use crate::cli::{Places, Text, Why};
use crate::table::age;
use crate::terminal::{out, say};
use crate::{config, status_reader};

/// A decision is made otherwise now.
const OTHERWISE: u8 = 1;
/// It cannot be told.
const ERROR: u8 = 2;

/// Runs `trueup why`: 0, or as `--replay` says.
pub(crate) async fn run(places: &Places, asked: &Why) -> ExitCode {
    let failed = if asked.replay.is_some() { ERROR } else { 1 };
    let done = match (&asked.name, &asked.record, &asked.replay) {
        (_, _, Some(file)) => again(file),
        (Some(name), Some(file), None) => record(places, name, file).await.map(|()| ExitCode::SUCCESS),
        (Some(name), None, None) => show(places, name, asked.output).map(|()| ExitCode::SUCCESS),
        (None, _, None) => Err(anyhow::anyhow!("which app? `trueup get apps` lists them")),
    };
    done.unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        ExitCode::from(failed)
    })
}

/// Newest decision first.
fn show(places: &Places, name: &AppName, output: Text) -> anyhow::Result<()> {
    let status = status_reader::read(places)?;
    status.warn_if_old();
    let Some(app) = status.app(name.as_str()) else {
        bail!("there is no app `{name}`; `trueup get apps` lists them");
    };
    if output == Text::Json {
        out(&serde_json::to_string_pretty(&app.status.decisions)?);
        return Ok(());
    }
    let mut text = format!("{name} is {}: {}\n", app.status.word, app.status.verdict.message);
    for decision in &app.status.decisions {
        let _ = writeln!(text, "\n{} ago, woken by: {}", age(decision.at, status.now), decision.woke_by);
        for line in &decision.lines {
            let _ = writeln!(text, "  {}", spelled(line));
        }
    }
    out(&text);
    Ok(())
}

/// Writes what the daemon keeps of an app.
async fn record(places: &Places, name: &AppName, file: &Path) -> anyhow::Result<()> {
    let decisions = recorded(&ControlClient::new(&config::state_dir(places))?, name).await?;
    let count = decisions.decisions.len();
    anyhow::ensure!(
        count > 0,
        "the daemon keeps no decision about {name} any more; it has changed nothing since long, or since it was started"
    );
    let text = serde_json::to_string_pretty(&decisions)?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    out(&format!("{count} decisions about app/{name} are in {}", file.display()));
    Ok(())
}

/// What a daemon keeps of an app, as it is written to a file.
pub(crate) async fn recorded(client: &ControlClient, name: &AppName) -> anyhow::Result<DecisionsFile> {
    let decisions = client.decisions(name).await?;
    let trueup = env!("CARGO_PKG_VERSION").to_owned();
    Ok(DecisionsFile { version: DECISIONS_VERSION, trueup, app: name.clone(), decisions })
}

/// Decides again what a file holds, and says where the answers differ.
fn again(path: &Path) -> anyhow::Result<ExitCode> {
    let file = read(path)?;
    let mut text = String::new();
    let mut otherwise = 0;
    for decision in &file.decisions {
        let replayed = replay(decision);
        let _ = writeln!(text, "app/{} at {}, woken by: {}", decision.app, decision.given.now, decision.woke_by);
        for line in &replayed.told {
            let _ = writeln!(text, "  {}", spelled(line));
        }
        if replayed.differs.is_empty() {
            let _ = writeln!(text, "  = the same answer\n");
            continue;
        }
        otherwise += 1;
        let _ = writeln!(text, "  ! another answer, then (-) and now (+):");
        for line in &replayed.differs {
            let _ = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
    let count = file.decisions.len();
    let verdict = format!("{count} decisions, {otherwise} of them decided otherwise by {}", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "{verdict}, recorded by {}.", file.trueup);
    out(&text);
    Ok(ExitCode::from(if otherwise > 0 { OTHERWISE } else { 0 }))
}

fn read(path: &Path) -> anyhow::Result<DecisionsFile> {
    let shown = path.display();
    let text = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
    let unfit = || format!("{shown} holds no decisions; `trueup why NAME --record FILE` writes them");
    // The version first: a newer file may not have our shape.
    let value: Value = serde_json::from_slice(&text).with_context(unfit)?;
    let version = value.get("version").and_then(Value::as_u64).unwrap_or(0);
    if version > u64::from(DECISIONS_VERSION) {
        bail!("{shown} is of version {version}, written by a newer trueup; this one reads up to {DECISIONS_VERSION}");
    }
    serde_json::from_value(value).with_context(unfit)
}

/// A line of a decision as people say it: the planner's own words are for tables, in which every millisecond is compared.
fn spelled(line: &str) -> String {
    let line = match line.strip_prefix("wanted: ").and_then(|wanted| wanted.split_once(" × ")) {
        Some((count, rest)) => format!("wanted: {count} of template {rest}"),
        None => line.to_owned(),
    };
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        // `ms,` and `ms)` end a time, too.
        if let Some(tail) = word.strip_prefix("ms").filter(|tail| !tail.starts_with(char::is_alphanumeric))
            && let Some(millis) = words.last().and_then(|last| last.parse().ok())
        {
            words.pop();
            words.push(format!("{}{tail}", lasting(millis)));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// As exact as anybody needs it: `893 ms`, `5.2 s`, `14 s`, `4m 57s`.
fn lasting(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        10_000..120_000 => format!("{} s", millis / 1_000),
        _ => humantime::format_duration(Duration::from_secs(millis / 1_000)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_spelled_for_people() {
        let lines = [
            ("wanted: 2 × 5351abd0bde7 on local, blueGreen", "wanted: 2 of template 5351abd0bde7 on local, blueGreen"),
            ("wanted: gone", "wanted: gone"),
            ("look again in 14050 ms (health gate)", "look again in 14 s (health gate)"),
            (
                "seen: a passing for 919 ms, b passing for 5167 ms routed",
                "seen: a passing for 919 ms, b passing for 5.1 s routed",
            ),
            ("look again in 297000 ms (bake)", "look again in 4m 57s (bake)"),
            ("failing (no answer within 200 ms)", "failing (no answer within 200 ms)"),
            ("failing (it took ms)", "failing (it took ms)"),
        ];
        for (line, expected) in lines {
            assert_eq!(spelled(line), expected);
        }
    }
}
