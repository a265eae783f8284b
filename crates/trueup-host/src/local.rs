//! This host.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::{BoxFuture, Command, Host, HostError, Output};

/// How much is read from a pipe at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// This host.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalHost;

impl Host for LocalHost {
    fn exec<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(run(command))
    }

    fn put<'a>(&'a self, path: &'a Path, bytes: &'a [u8], mode: u32) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            let written = write_aside(path, bytes, mode);
            written.map_err(|why| HostError::File { path: path.to_owned(), verb: "written", why })
        })
    }

    fn get<'a>(&'a self, path: &'a Path, bytes_max: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        Box::pin(async move {
            let failed = |why| HostError::File { path: path.to_owned(), verb: "read", why };
            let bytes = std::fs::metadata(path).map_err(failed)?.len();
            if bytes > bytes_max {
                return Err(HostError::TooLong { path: path.to_owned(), bytes, bytes_max });
            }
            std::fs::read(path).map_err(failed)
        })
    }
}

/// Kills a process group when it is dropped before its leader has been waited for.
struct Group(Option<Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(leader) = self.0.take() {
            // It may be empty already, which is what was wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn run(command: &Command) -> Result<Output, HostError> {
    let failed = |why| HostError::CannotStart { program: command.program.clone(), why };
    let mut builder = tokio::process::Command::new(&command.program);
    builder.args(&command.args).env_clear().envs(command.env.iter().map(|(key, value)| (key, value)));
    let stdin = if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    builder.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    if let Some(workdir) = &command.workdir {
        builder.current_dir(workdir);
    }
    let mut child = builder.spawn().map_err(failed)?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group(leader);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let half = command.output_max / 2;
    let tell = async {
        if let Some(mut stdin) = stdin {
            // One that reads nothing has ended, or will, and says so by its code.
            let _ = stdin.write_all(&command.stdin).await;
        }
    };
    let whole = async {
        let (out, err, (), status) = tokio::join!(keep(stdout, half), keep(stderr, half), tell, child.wait());
        status.map(|status| (out, err, status))
    };
    let ended = tokio::time::timeout(command.timeout, whole).await;
    match ended {
        Ok(Ok((stdout, stderr, status))) => {
            // Waited for, its number may be another's by the next instruction.
            group.0 = None;
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            Ok(Output { code, stdout, stderr })
        }
        Ok(Err(why)) => Err(failed(why)),
        Err(_) => Ok(Output { code: None, stdout: Vec::new(), stderr: Vec::new() }),
    }
}

/// Reads a pipe to its end and keeps the first `bytes_max`.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let mut kept = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    // A pipe that breaks has said all that it will.
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        let room = bytes_max.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&chunk[..room]);
    }
    kept
}

fn write_aside(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shell(script: &str) -> Command {
        Command {
            program: "sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("GREETING".to_owned(), "hello".to_owned())],
            workdir: None,
            stdin: Vec::new(),
            timeout: Duration::from_secs(10),
            output_max: 64 * 1024,
        }
    }

    #[tokio::test]
    async fn a_command_says_what_it_wrote_and_how_it_ended() {
        let output = LocalHost.exec(&shell("echo $GREETING; echo oh >&2; exit 3")).await.expect("sh is there");
        assert_eq!(output, Output { code: Some(3), stdout: b"hello\n".to_vec(), stderr: b"oh\n".to_vec() });
        let output = LocalHost.exec(&shell("kill -9 $$")).await.expect("sh is there");
        assert_eq!(output.code, Some(137));
        let asked = Command { stdin: b"a word".to_vec(), ..shell("cat") };
        assert_eq!(LocalHost.exec(&asked).await.expect("sh is there").stdout, b"a word");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_goes_with_all_of_its_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let command = Command { timeout: Duration::from_millis(500), ..shell(&script) };
        let output = LocalHost.exec(&command).await.expect("sh is there");
        assert_eq!(output.code, None);
        let pid = std::fs::read_to_string(&pid_file).expect("the child was started");
        let stat = format!("/proc/{}/stat", pid.trim());
        let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while !gone() {
            assert!(tokio::time::Instant::now() < deadline, "the sleeper outlived its group");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn endless_output_is_cut_and_does_not_block() {
        let command = Command { output_max: 20_000, ..shell("yes | head -c 1000000") };
        let output = LocalHost.exec(&command).await.expect("sh is there");
        assert_eq!((output.code, output.stdout.len()), (Some(0), 10_000));
    }

    #[tokio::test]
    async fn files_go_there_and_back_and_long_ones_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        LocalHost.put(&path, b"text", 0o600).await.expect("it is written");
        assert_eq!(LocalHost.get(&path, 4).await.expect("it is read"), b"text");
        assert!(matches!(LocalHost.get(&path, 3).await, Err(HostError::TooLong { bytes: 4, .. })));
        let nowhere = folder.path().join("no/such/folder");
        assert!(matches!(LocalHost.put(&nowhere, b"", 0o600).await, Err(HostError::File { verb: "written", .. })));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let command = Command { program: "no-such-program".to_owned(), ..shell("") };
        let error = LocalHost.exec(&command).await.expect_err("it is not there");
        assert_eq!(error.to_string(), "`no-such-program` cannot be started");
    }
}
