//! `trueup validate`: every error of every file, offline.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::{Text, Validate};
use crate::manifests;
use crate::table::counted;
use crate::terminal::{out, say};

/// Runs `trueup validate`.
pub(crate) fn run(asked: &Validate) -> anyhow::Result<ExitCode> {
    let mut errors = 0;
    let mut objects = Vec::new();
    for dir in &asked.dirs {
        let directory = manifests::read(dir)?;
        for diagnostic in directory.diagnostics() {
            match asked.output {
                Text::Text => say(&format!("{:?}", miette::Report::new(diagnostic.clone()))),
                Text::Json => objects.push(json!({
                    "file": diagnostic.file,
                    "line": diagnostic.line,
                    "column": diagnostic.column,
                    "severity": if diagnostic.is_error() { "error" } else { "warning" },
                    "code": diagnostic.code,
                    "message": diagnostic.message,
                    "help": diagnostic.help,
                })),
            }
        }
        errors += directory.errors();
        let counts =
            [(directory.files, "file"), (directory.resolution.apps.len(), "app"), (directory.errors(), "error")];
        say(&format!("{}: {}", dir.display(), counts.map(|(count, what)| counted(count, what)).join(", ")));
    }
    if asked.output == Text::Json {
        out(&serde_json::to_string_pretty(&objects)?);
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
