//! `trueup init`: a starter config repository.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::terminal::out;

const APP: &str = include_str!("../starter/hello.yaml");
const README: &str = include_str!("../starter/README.md");

/// Writes the starter; overwrites nothing.
pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let schema = trueup_manifest::schemas().into_iter().find(|(name, _)| name == "app.json");
    let schema = schema.map(|(_, text)| text).context("the schema of apps is built in")?;
    let files = [("hello.yaml", APP), ("README.md", README), (".schema/app.json", schema.as_str())];
    for (name, _) in files {
        if dir.join(name).exists() {
            bail!("{} is there already; nothing was written", dir.join(name).display());
        }
    }
    for (name, text) in files {
        let path = dir.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        out(&path.display().to_string());
    }
    Ok(())
}
