//! `schema`, `explain`, `completions` and `man`: what helps without a daemon.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::terminal::out;

/// Prints the JSON Schema of a kind, or of all.
pub(crate) fn schema(kind: Option<&str>) -> anyhow::Result<()> {
    let all = trueup_manifest::schemas();
    let Some(kind) = kind else {
        for (_, text) in all {
            out(&text);
        }
        return Ok(());
    };
    let name = format!("{}.json", kind.to_lowercase());
    let Some((_, text)) = all.iter().find(|(file, _)| *file == name) else {
        let kinds: Vec<_> = all.iter().map(|(file, _)| file.trim_end_matches(".json")).collect();
        bail!("there is no kind `{kind}`; there are {}", kinds.join(", "));
    };
    out(text);
    Ok(())
}

/// Explains a field.
pub(crate) fn explain(path: &str) -> anyhow::Result<()> {
    let found = trueup_manifest::explain(path)?;
    let mut text = format!("{}  <{}>", found.path, found.takes);
    if found.required {
        text.push_str("  required");
    }
    let _ = write!(text, "\n\n  {}\n", found.doc);
    if let Some(default) = &found.default {
        let _ = writeln!(text, "  Default: {default}");
    }
    for (word, meaning) in &found.words {
        let _ = writeln!(text, "  {word:<12} {meaning}");
    }
    if !found.fields.is_empty() {
        text.push_str("\nFields:\n");
    }
    for field in &found.fields {
        let required = if field.required { "  required" } else { "" };
        let default = field.default.as_ref().map(|default| format!(" Default: {default}")).unwrap_or_default();
        let _ = writeln!(text, "  {}  <{}>{required}\n      {}{default}", field.name, field.takes, field.doc);
    }
    out(text.trim_end());
    Ok(())
}

/// Prints completions.
pub(crate) fn completions(shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "trueup", &mut text);
    out(&String::from_utf8_lossy(&text));
}

/// Prints the manual page.
pub(crate) fn man() -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text).context("the manual page is rendered")?;
    out(&String::from_utf8_lossy(&text));
    Ok(())
}
