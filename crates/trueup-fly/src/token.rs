//! The token: where it comes from, and how it is sent.
//!
//! There are two schemes. What `fly tokens create` prints already begins with one of them, and may be several tokens in a
//! row; so a token is never sent as it is, but sorted first. Its value is shown to nobody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trueup_seams::BoxFuture;
use trueup_types::fly::TokenFrom;

/// What macaroons begin with; anything else is a user's token.
const MACAROONS: [&str; 3] = ["fm1r", "fm1a", "fm2"];
/// Longest that a command may take which prints a token.
const COMMAND: Duration = Duration::from_secs(10);

/// Hands out the token, whenever it is asked; the error says where it was looked for, in words.
pub type TokenSource = Arc<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// A source that reads what a manifest names; `variable` is asked for variables of the environment.
pub fn token_source(
    from: &TokenFrom,
    variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> TokenSource {
    let from = from.clone();
    let variable = Arc::new(variable);
    Arc::new(move || {
        let (from, variable) = (from.clone(), Arc::clone(&variable));
        Box::pin(async move {
            let named = from.to_string();
            let text = match from {
                TokenFrom::Env(name) => variable(&name).ok_or_else(|| format!("{named} is not set"))?,
                TokenFrom::File(path) => {
                    let read = tokio::fs::read_to_string(PathBuf::from(path)).await;
                    read.map_err(|error| format!("{named}: {error}"))?
                }
                TokenFrom::Exec(command) => printed(&command).await.map_err(|why| format!("{named}: {why}"))?,
            };
            let text = text.trim().to_owned();
            if text.is_empty() { Err(format!("{named} is empty")) } else { Ok(text) }
        })
    })
}

/// What a command prints.
async fn printed(command: &[String]) -> Result<String, String> {
    let Some((program, args)) = command.split_first() else { return Err("no command".to_owned()) };
    let running = tokio::process::Command::new(program).args(args).kill_on_drop(true).output();
    let output = tokio::time::timeout(COMMAND, running).await.map_err(|_| "it took too long".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| "it printed no text".to_owned())
}

/// The header of a request, from a token as people have it.
#[must_use]
pub fn header(token: &str) -> String {
    let (macaroons, users) = sorted(token);
    match (macaroons.is_empty(), users.first()) {
        (false, _) => format!("FlyV1 {}", macaroons.join(",")),
        (true, Some(user)) => format!("Bearer {user}"),
        (true, None) => "Bearer ".to_owned(),
    }
}

/// The same for the service that keeps releases: it takes all of them, in one scheme (flyctl's `internal/uiex`).
pub(crate) fn bearer(token: &str) -> String {
    let (macaroons, users) = sorted(token);
    format!("Bearer {}", [macaroons, users].concat().join(","))
}

/// The macaroons of a token, and the others.
fn sorted(token: &str) -> (Vec<&str>, Vec<&str>) {
    let bare = token.trim();
    let bare = bare.strip_prefix("Bearer ").or_else(|| bare.strip_prefix("FlyV1 ")).unwrap_or(bare);
    let parts = bare.split(',').map(str::trim).filter(|part| !part.is_empty());
    let macaroon = |part: &&str| part.split_once('_').is_some_and(|(kind, _)| MACAROONS.contains(&kind));
    parts.partition(macaroon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_is_sent_as_the_platform_wants_it() {
        for (token, sent) in [
            ("fm2_abc", "FlyV1 fm2_abc"),
            ("FlyV1 fm2_abc", "FlyV1 fm2_abc"),
            ("FlyV1 fm2_abc,fm1r_def\n", "FlyV1 fm2_abc,fm1r_def"),
            ("Bearer fm1a_abc", "FlyV1 fm1a_abc"),
            ("fo1_user,fm2_abc", "FlyV1 fm2_abc"),
            ("fo1_user", "Bearer fo1_user"),
            ("Bearer plain", "Bearer plain"),
        ] {
            assert_eq!(header(token), sent, "{token}");
        }
        assert_eq!(bearer("FlyV1 fo1_user,fm2_abc, fm1r_def"), "Bearer fm2_abc,fm1r_def,fo1_user");
    }

    #[tokio::test]
    async fn a_token_is_read_from_where_the_manifest_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "fm2_file\n").expect("it is written");
        let variable = |name: &str| (name == "SET").then(|| "fm2_env".to_owned());
        let read = |from: TokenFrom| async move { token_source(&from, variable)().await };
        assert_eq!(read(TokenFrom::Env("SET".to_owned())).await, Ok("fm2_env".to_owned()));
        let unset = read(TokenFrom::Env("UNSET".to_owned())).await;
        assert_eq!(unset, Err("the variable UNSET is not set".to_owned()));
        assert_eq!(read(TokenFrom::File(path.display().to_string())).await, Ok("fm2_file".to_owned()));
        let command = ["printf", "fm2_exec"].map(str::to_owned).to_vec();
        assert_eq!(read(TokenFrom::Exec(command)).await, Ok("fm2_exec".to_owned()));
        let fails = read(TokenFrom::Exec(vec!["false".to_owned()])).await;
        assert_eq!(fails, Err("the command `false`: it ended with exit status: 1".to_owned()));
    }
}
