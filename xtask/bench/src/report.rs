//! Shows rows as a table, and writes them as JSON.

use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use crate::measure::Setting;
use crate::row::{Figure, Row};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    version: u32,
    quick: bool,
    program: String,
    host: Host,
    rows: &'a [Row],
}

/// Where it was measured, as far as it matters for comparing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    cpus: usize,
    cpu: String,
    kernel: String,
    /// The load average over a minute when all was done: others may have been busy.
    load: String,
}

/// Says a line to the person at the terminal.
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// The rows as a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "VALUE", "UNIT", "FIGURE", "MET", "SAMPLES", "NOTE"]);
    for row in rows {
        let figure = match row.figure {
            Some(Figure::AtMost(most)) => format!("<= {}", spelled(most)),
            Some(Figure::AtLeast(least)) => format!(">= {}", spelled(least)),
            None => "-".to_owned(),
        };
        let met = row.met.map_or("-", |met| if met { "yes" } else { "NO" });
        let value = row.value.map_or_else(|| "-".to_owned(), spelled);
        let beside: Vec<_> = row.beside.iter().map(|(name, value)| format!("{name} {}", spelled(*value))).collect();
        let note = [beside.join(", "), row.note.clone()].into_iter().filter(|part| !part.is_empty());
        let note = note.collect::<Vec<_>>().join("; ");
        table.add_row([&row.name, &value, row.unit, &figure, met, &row.samples.to_string(), &note]);
    }
    for column in [1, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Writes the rows as JSON.
///
/// # Errors
/// Those of the file system.
pub fn write(out: &Path, rows: &[Row], setting: &Setting) -> anyhow::Result<()> {
    let first = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).to_owned()
    };
    let host = Host {
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        cpu: first("/proc/cpuinfo", "model name"),
        kernel: first("/proc/sys/kernel/osrelease", ""),
        load: first("/proc/loadavg", "").split(' ').next().unwrap_or_default().to_owned(),
    };
    let program = setting.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let report = Report { version: 1, quick: setting.quick, program, host, rows };
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(out, serde_json::to_string_pretty(&report)? + "\n")?)
}

/// Three digits that matter, and no more.
fn spelled(value: f64) -> String {
    let places = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 1.0 || small == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_with_the_digits_that_matter() {
        let all = [123_456.7, 42.04, 1.5, 0.0123, 0.0, 300.0].map(spelled);
        assert_eq!(all, ["123457", "42", "1.5", "0.012", "0", "300"]);
    }
}
