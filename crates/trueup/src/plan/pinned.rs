//! A plan that was shown, and that nothing else may be done than: `run --once --plan FILE`.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use trueup_types::OwnerId;

use super::{COST, Manifests, objects, shown, wanted, with_secrets};
use crate::run::alone;

/// Refuses where what would be done by now is not what the file shows.
///
/// # Errors
/// A file that holds no plan, or the apps that differ from it.
pub(crate) async fn hold(file: &Path, dir: &Path, owner: &OwnerId, state_dir: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let then: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is no plan; `trueup plan DIR -o json` writes one", file.display()))?;
    let Manifests { targets, apps, secrets } = wanted(dir)?;
    let apps = with_secrets(dir, state_dir, apps, secrets).await?;
    let previews = alone::preview(state_dir, owner, targets, apps).await?;
    let changes: Vec<_> = previews.iter().filter(|preview| shown(preview)).collect();
    let differs = differing(&then, &objects(&changes));
    anyhow::ensure!(
        differs.is_empty(),
        "nothing is done: {} would not become what {} shows; make the plan again and look at it",
        differs.join(", "),
        file.display()
    );
    Ok(())
}

/// The apps of which two plans say something different.
fn differing(then: &Value, now: &Value) -> Vec<String> {
    let bare = |one: &Value| {
        let mut one = one.clone();
        // Prices of then and of now decide nothing.
        one.as_object_mut().and_then(|one| one.remove(COST));
        one
    };
    let apps = |plan: &Value| plan.as_array().into_iter().flatten().map(bare).collect::<Vec<_>>();
    let name = |one: &Value| format!("app/{}", one["app"].as_str().unwrap_or("?"));
    let (then, now) = (apps(then), apps(now));
    let gone = then.iter().filter(|one| !now.contains(one));
    let new = now.iter().filter(|one| !then.contains(one));
    let mut names: Vec<_> = gone.chain(new).map(name).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_gone_what_is_new_and_what_is_otherwise_are_all_told() {
        let app = |name: &str, change: &str| json!({"app": name, "change": change});
        let then = json!([app("same", "roll"), app("gone", "roll"), app("other", "roll")]);
        let now = json!([app("same", "roll"), app("other", "adjust"), app("new", "create")]);
        assert_eq!(differing(&then, &then), Vec::<String>::new());
        let dearer = json!([{"app": "same", "change": "roll", "cost": {"idle": 2.19, "busy": 2.19}}]);
        assert_eq!(differing(&dearer, &json!([app("same", "roll")])), Vec::<String>::new());
        assert_eq!(differing(&then, &now), ["app/gone", "app/new", "app/other"]);
    }
}
