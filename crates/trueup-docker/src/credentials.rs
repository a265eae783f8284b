//! What registries are told about us: a configuration file of Docker's, read anew for each pull.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

/// The registry of images that name none.
const HUB: &str = "docker.io";
/// How the configuration file spells it.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The part of Docker's `config.json` that we read.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    identitytoken: Option<String>,
}

/// The registry that an image is fetched from: what stands before the first `/` and has a dot, a colon, or is
/// `localhost`.
pub(crate) fn registry(image: &str) -> &str {
    let first = image.split_once('/').map(|(first, _)| first);
    first.filter(|first| first.contains(['.', ':']) || *first == "localhost").unwrap_or(HUB)
}

/// The credentials for an image's registry; `None` where the file has none for it.
///
/// # Errors
/// One line, without a byte of a secret, when the file cannot be read.
pub(crate) fn read(file: &Path, image: &str) -> Result<Option<DockerCredentials>, String> {
    let text = std::fs::read(file).map_err(|why| format!("{}: {why}", file.display()))?;
    // What serde says of a file may quote it.
    let config: Config = serde_json::from_slice(&text)
        .map_err(|why| format!("{} is not a Docker configuration (line {})", file.display(), why.line()))?;
    let registry = registry(image);
    let key = if registry == HUB { HUB_KEY } else { registry };
    let bare =
        |text: &str| text.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let found = config.auths.iter().find(|(name, _)| *name == key || bare(name) == registry);
    let Some((name, auth)) = found else { return Ok(None) };
    let plain = STANDARD.decode(&auth.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let Some((user, password)) = plain.split_once(':') else {
        return Err(format!(
            "{}: what it holds for {name} is not `user:password`; a credential helper is not asked",
            file.display()
        ));
    };
    Ok(Some(DockerCredentials {
        username: Some(user.to_owned()),
        password: Some(password.to_owned()),
        serveraddress: Some(name.clone()),
        identitytoken: auth.identitytoken.clone(),
        ..DockerCredentials::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_told_from_the_first_folder_of_a_name() {
        let of =
            ["web", "library/web:1", "localhost/web", "10.0.0.1:5000/web", "registry.example.com/shop/api@sha256:00"];
        let registries = ["docker.io", "docker.io", "localhost", "10.0.0.1:5000", "registry.example.com"];
        assert_eq!(of.map(registry), registries);
    }

    #[test]
    fn credentials_are_found_by_registry_and_a_broken_file_shows_nothing_of_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        let text = r#"{"auths": {"https://reg.example.com/": {"auth": "dTpwOnE="}, "helped.example.com": {}}}"#;
        std::fs::write(&path, text).expect("it is written");
        let found = read(&path, "reg.example.com/web:1").expect("it reads").expect("it is there");
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("u"), Some("p:q")));
        assert_eq!(read(&path, "other.example.com/web:1"), Ok(None));
        let helped = read(&path, "helped.example.com/web").expect_err("there is nothing in it");
        assert!(helped.contains("credential helper"), "{helped}");
        std::fs::write(&path, r#"{"auths": {"a": "swordfish"}}"#).expect("it is written");
        let broken = read(&path, "a/web").expect_err("it is broken");
        assert!(!broken.contains("swordfish"), "{broken}");
    }
}
