//! `trueup import`: manifests of a fly.toml, with what is live where somebody asks for it.
//!
//! The manifests are data, and go to standard output or into a directory; what is not carried over is talk.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::Value;
use trueup_fly::{Network, Request, Wire as _, token_header};
use trueup_fly_toml::{Answers, Imported, Live, Options};
use trueup_types::fly::FlySpec;

use crate::cli::Import;
use crate::config;
use crate::table::counted;
use crate::terminal::{out, say};

/// Longest wait for an answer of the Machines API.
const ANSWER: Duration = Duration::from_secs(30);
/// Where the Machines API is, if not where it always is; flyctl reads it too.
const BASE: &str = "FLY_FLAPS_BASE_URL";

/// Runs `trueup import`.
pub(crate) async fn run(asked: &Import) -> anyhow::Result<()> {
    let file = &asked.file;
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let live = match &asked.from_live {
        Some(app) => Some(live(app).await?),
        None => None,
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).map_err(|error| format!("`{name}` cannot be read: {error}"))
    };
    let options = Options {
        organization: asked.organization.clone(),
        image: asked.image.clone(),
        app: asked.from_live.clone().or_else(|| asked.app.clone()),
        live,
        read: &read,
    };
    let imported = trueup_fly_toml::import(&text, &options).with_context(|| format!("{}", file.display()))?;
    match &asked.to {
        Some(dir) => write(&imported, dir)?,
        None => {
            let texts: Vec<_> = imported.manifests.iter().map(|manifest| manifest.text.as_str()).collect();
            out(&texts.join("---\n"));
        }
    }
    for remark in trueup_fly_toml::told(&imported.remarks) {
        say(&format!("{}: {remark}", file.display()));
    }
    let written = counted(imported.manifests.len(), "manifest");
    say(&format!(
        "{written}, {}; `trueup validate` and `trueup plan` say how they stand",
        counted(imported.remarks.len(), "remark")
    ));
    Ok(())
}

/// Overwrites nothing: a manifest that somebody has mended is worth more than a new one.
fn write(imported: &Imported, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for manifest in &imported.manifests {
        let path = dir.join(&manifest.file);
        if path.exists() {
            bail!("{} is there already; nothing was written", path.display());
        }
    }
    for manifest in &imported.manifests {
        let path = dir.join(&manifest.file);
        std::fs::write(&path, &manifest.text).with_context(|| format!("{} cannot be written", path.display()))?;
        out(&path.display().to_string());
    }
    Ok(())
}

/// What the Machines API says of an app. Its machines must be seen; of the rest, what cannot be is said.
async fn live(app: &str) -> anyhow::Result<Live> {
    let letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    ensure!(!app.is_empty() && app.chars().all(letter), "`{app}` is no name of an app on Fly");
    let token = config::variable(FlySpec::TOKEN).with_context(|| format!("{} is not set", FlySpec::TOKEN))?;
    let base = config::variable(BASE).unwrap_or_else(|| FlySpec::API.to_owned());
    let asking = Asking { network: Network::open(), base, token };
    let (about, machines) = (asking.get(app, "").await?, asking.get(app, "/machines").await?);
    let volumes = asking.get_or_say(app, "/volumes").await;
    let secrets = asking.get_or_say(app, "/secrets").await;
    let certificates = asking.get_or_say(app, "/certificates").await;
    let addresses = asking.get_or_say(app, "/ip_assignments").await;
    Ok(Live::of(Answers {
        app: &about,
        machines: &machines,
        volumes: &volumes,
        secrets: &secrets,
        certificates: &certificates,
        addresses: &addresses,
    }))
}

struct Asking {
    network: Network,
    base: String,
    token: String,
}

impl Asking {
    async fn get(&self, app: &str, what: &str) -> anyhow::Result<Value> {
        let url = format!("{}/v1/apps/{app}{what}", self.base.trim_end_matches('/'));
        let request = Request {
            method: "GET",
            url: url.clone(),
            headers: vec![("authorization", token_header(&self.token))],
            body: None,
        };
        let answer = tokio::time::timeout(ANSWER, self.network.send(request));
        let answer = answer.await.with_context(|| format!("{url} did not answer within {} s", ANSWER.as_secs()))?;
        let reply = answer.map_err(|lost| anyhow!("{url} cannot be reached: {lost:?}"))?;
        let said = String::from_utf8_lossy(&reply.body);
        ensure!((200..300).contains(&reply.status), "{url} answered {}: {}", reply.status, said.trim());
        serde_json::from_slice(&reply.body).with_context(|| format!("{url} answered something else than JSON"))
    }

    async fn get_or_say(&self, app: &str, what: &str) -> Value {
        self.get(app, what).await.unwrap_or_else(|error| {
            say(&format!("not seen, and so not counted: {error:#}"));
            Value::Null
        })
    }
}
