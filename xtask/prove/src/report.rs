//! The rows of every tier, as a table and as JSON.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::tier::{Effort, Row};

/// Violations that are printed of each row; the JSON has all.
const SHOWN_MAX: usize = 5;

/// What was done and found.
#[derive(Debug, Default, serde::Serialize)]
pub struct Report {
    rows: Vec<Line>,
}

#[derive(Debug, serde::Serialize)]
struct Line {
    tier: &'static str,
    #[serde(flatten)]
    row: Row,
}

impl Report {
    /// Takes in the rows of a tier.
    pub fn add(&mut self, tier: &'static str, rows: Vec<Row>) {
        self.rows.extend(rows.into_iter().map(|row| Line { tier, row }));
    }

    /// Whether nothing is wrong and nothing was left out; a limit of time excuses the latter.
    pub fn holds(&self, effort: &Effort) -> bool {
        let well = |row: &Row| row.violations.is_empty() && (effort.is_limited() || row.done >= row.floor);
        !self.rows.is_empty() && self.rows.iter().all(|line| well(&line.row))
    }

    /// The table, and below it each violation with the command that replays it.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["tier", "what", "done", "asked", "violations", "s", "note"]);
        for Line { tier, row } in &self.rows {
            let cells = [
                (*tier).to_owned(),
                row.what.clone(),
                row.done.to_string(),
                row.floor.to_string(),
                row.violations.len().to_string(),
                format!("{:.1}", row.seconds),
                row.note.clone(),
            ];
            table.add_row(cells);
        }
        for column in [2, 3, 4, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let found = self.rows.iter().flat_map(|Line { tier, row }| {
            row.violations
                .iter()
                .take(SHOWN_MAX)
                .map(move |one| format!("\n{}\n  cargo xtask prove --only {tier} --replay '{}'", one.what, one.replay))
        });
        format!("{table}{}", found.collect::<String>())
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}
