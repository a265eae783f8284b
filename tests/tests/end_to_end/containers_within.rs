//! Commands in containers, end to end: what is piped goes in and comes out, and a person at a terminal is as good as in there.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rustix::process::Signal;
use trueup_tests::terminal::Terminal;
use trueup_tests::{Daemon, DemoApp};

use super::containers::{Dock, PATIENCE};

/// More than all the pipes on its way hold together, in bytes.
const MUCH: usize = 8 << 20;

/// A daemon with one container.
fn within(target: &'static str, app: &str) -> Option<(Dock, Daemon)> {
    let dock = Dock::new(target)?;
    dock.write(&DemoApp::new(app, "v1").replicas(1), &[]);
    let daemon = Daemon::start(&dock.bench);
    daemon.await_live(app, 1);
    Some((dock, daemon))
}

#[test]
fn a_command_in_a_container_reads_what_is_piped_and_gives_its_code() {
    let Some((dock, _daemon)) = within("within", "dock-within") else { return };
    let script = "echo aside >&2; exit 7";
    let (code, said, talk) = dock.bench.ask(&["exec", "dock-within", "--", "sh", "-c", &format!("echo out; {script}")]);
    assert_eq!((code, said.as_str(), talk.as_str()), (7, "out\n", "aside\n"));
    assert_eq!(piped(exec(&dock, &["-i", "dock-within", "--", "cat"]), b"piped".to_vec()), b"piped");
    let (code, _, talk) = dock.bench.ask(&["exec", "dock-within", "--", "no-such-program"]);
    assert!(code != 0, "{talk}");

    // More than fits into all that lies between: who writes on has to read meanwhile.
    let much: Vec<u8> = (0..MUCH).map(|index| b'a' + u8::try_from(index % 23).expect("below 23")).collect();
    let back = piped(exec(&dock, &["-i", "dock-within", "--", "cat"]), much.clone());
    assert!(back == much, "{} of {MUCH} bytes came back", back.len());
}

fn exec(dock: &Dock, words: &[&str]) -> Command {
    let mut command = dock.bench.trueup();
    command.arg("exec").args(words);
    command
}

/// What a command says of what is piped into it; it must end well, and in time.
fn piped(mut command: Command, input: Vec<u8>) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    std::thread::spawn(move || stdin.write_all(&input));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut back = Vec::new();
        let read = stdout.read_to_end(&mut back).map(|_| back);
        let _ = tell.send(read);
    });
    let Ok(back) = told.recv_timeout(PATIENCE) else {
        child.kill().expect("it can be killed");
        panic!("it hangs");
    };
    assert!(child.wait().expect("it ends").success());
    back.expect("it is read")
}

#[test]
fn a_person_at_a_terminal_is_as_good_as_in_the_container() {
    let Some((dock, daemon)) = within("typing", "dock-typing") else { return };
    let mut terminal = Terminal::new(30, 100);
    let before = terminal.settings();
    assert!(terminal.keeps_keys());
    terminal.run(&exec(&dock, &["-it", "dock-typing", "--", "sh"]));
    terminal.until("every key is handed through", |terminal| !terminal.keeps_keys());
    // Typed before the shell in there has begun, a line would be shown by its terminal and by itself.
    terminal.shows("# ");

    // What is typed is shown once, by the terminal in there, and not by ours as well.
    terminal.press("echo $((6 * 7))-typed\r");
    terminal.shows("42-typed");
    assert_eq!(terminal.shown().matches("echo $((6 * 7))-typed").count(), 1, "{}", terminal.shown());

    terminal.press("echo $((1 + 1)) is `stty size`\r");
    terminal.shows("2 is 30 100");
    terminal.resize(40, 120);
    // The program hears of it a moment later.
    terminal.press("until stty size | grep -w 120; do sleep 0.1; done\r");
    terminal.shows("40 120");

    terminal.press(
        "sh -c 'trap \"echo $((40 + 2))-caught; exit 3\" INT; echo $((1 + 2))-ready; while :; do sleep 0.1; done'\r",
    );
    terminal.shows("3-ready");
    // Ctrl-C.
    terminal.press("\x03");
    terminal.shows("42-caught");
    terminal.press("exit $((4 + 3))\r");
    assert_eq!(terminal.ended(), 7, "{}", terminal.shown());
    assert_eq!(terminal.settings(), before);

    // However it ends, the terminal is a terminal again.
    terminal.run(&exec(&dock, &["-it", "dock-typing", "--", "sh", "-c", "echo $((7 * 7))-up; exec sleep 600"]));
    terminal.shows("49-up");
    assert!(!terminal.keeps_keys());
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.ended(), 143, "as a shell tells of one that was asked to end");
    assert_eq!(terminal.settings(), before);
    let left = || dock.engine.run_in("trueup-dock-typing-r1-0", "ps").contains("sleep 600");
    terminal.until("the command has gone with who was at it", |_| !left());

    terminal.run(&exec(&dock, &["-it", "dock-typing", "--", "sh", "-c", "echo $((8 * 8))-up; exec sleep 600"]));
    terminal.shows("64-up");
    daemon.kill();
    assert_ne!(terminal.ended(), 0);
    terminal.shows("the daemon has gone");
    assert_eq!(terminal.settings(), before);
}
