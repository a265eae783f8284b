//! `cargo xtask schema`: writes the published JSON Schemas, which a test holds to the code.

use anyhow::Context as _;

use crate::shell::{self, say};

/// Writes them.
///
/// # Errors
/// Those of the file system.
pub fn run() -> anyhow::Result<()> {
    let folder = shell::root().join("manifests/schema");
    for (name, text) in trueup_manifest::schemas() {
        let path = folder.join(&name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        say(&format!("wrote manifests/schema/{name}"));
    }
    Ok(())
}
