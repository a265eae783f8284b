//! Whom an instance runs as: a name or a number, looked up by the system's own tools, so that every directory of users works.

use std::time::Duration;

use trueup_host::{Command, Host};

use crate::spec::User;

/// Longest a look-up may take: a directory on the network may be slow, but a tick must not hang on it.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks a user up.
///
/// # Errors
/// One line: there is none of that name, or we may not become another.
pub(crate) async fn look_up(host: &dyn Host, name: &str) -> Result<Option<User>, String> {
    let entry = ask(host, "getent", &["passwd", name]).await?;
    let fields: Vec<_> = entry.trim().split(':').collect();
    let number = |index: usize| fields.get(index).and_then(|text| text.parse::<u32>().ok());
    let (Some(uid), Some(gid)) = (number(2), number(3)) else { return Err(format!("there is no user `{name}`")) };
    let us = rustix::process::geteuid();
    if us.as_raw() == uid {
        return Ok(None);
    }
    if !us.is_root() {
        return Err(format!("only root may run an instance as another user, and `{name}` is not who runs trueup"));
    }
    let groups = ask(host, "id", &["-G", name]).await?;
    let groups = groups.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    let home = fields.get(5).map_or("/", |home| *home).to_owned();
    Ok(Some(User { uid, gid, groups, home }))
}

async fn ask(host: &dyn Host, program: &str, args: &[&str]) -> Result<String, String> {
    let command = Command {
        program: program.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())],
        workdir: None,
        stdin: Vec::new(),
        timeout: LOOKUP_TIMEOUT,
        output_max: 64 * 1024,
    };
    let output = host.exec(&command).await.map_err(|why| why.to_string())?;
    match output.code {
        // getent answers 2 for "not found"; the empty text says the same.
        Some(0 | 2) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Some(code) => {
            Err(format!("`{program}` failed with {code}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        None => Err(format!("`{program}` took longer than {} s", LOOKUP_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_are_found_by_name_and_missing_ones_are_named() {
        let us = look_up(&trueup_host::LocalHost, &rustix::process::geteuid().as_raw().to_string()).await;
        assert_eq!(us, Ok(None), "ourselves are no other user");
        let error = look_up(&trueup_host::LocalHost, "no-such-user").await.expect_err("nobody has that name");
        assert!(error.contains("no-such-user"), "{error}");
    }
}
