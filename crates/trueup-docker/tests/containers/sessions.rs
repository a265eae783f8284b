//! Commands in a container with somebody at them.

use std::time::Duration;

use trueup_seams::{Inspect as _, Session, SessionAsked, SessionPiece, TerminalSize};

use crate::support::engine::engine;
use crate::support::{One, PATIENCE};

const FOREVER: &str = "exec sleep 600";

fn asked(one: &One, script: &str, terminal: Option<TerminalSize>) -> SessionAsked {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    SessionAsked { instance: one.id.clone(), command, stdin: true, terminal }
}

/// All that it says until a word of it, or its end; and how it ended.
async fn until(session: &mut Session, word: &str) -> (String, Option<Option<i32>>) {
    let mut said = String::new();
    let reading = async {
        loop {
            match session.output.next().await.expect("it is not cut off") {
                SessionPiece::Out(bytes) => said.push_str(&String::from_utf8_lossy(&bytes)),
                SessionPiece::Err(bytes) => said.push_str(&format!("<{}>", String::from_utf8_lossy(&bytes).trim())),
                SessionPiece::Ended(code) => return Some(code),
            }
            if !word.is_empty() && said.contains(word) {
                return None;
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, reading).await.expect("it says so in time");
    (said, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_is_read_and_both_streams_and_the_code_come_back() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "typed", FOREVER).await;
    one.running().await;
    let mut session = one.runtime.attach(&asked(&one, "cat; echo aside >&2; exit 3", None)).await.expect("it begins");
    session.input.write(b"first\n").await.expect("it reads");
    assert_eq!(until(&mut session, "first").await, ("first\n".to_owned(), None));
    session.input.write(b"second\n").await.expect("it reads");
    session.input.end().await;
    let (said, ended) = until(&mut session, "").await;
    assert!(said.contains("second\n") && said.contains("<aside>"), "{said}");
    assert_eq!(ended, Some(Some(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_has_our_size_and_takes_another() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "sized", FOREVER).await;
    one.running().await;
    let size = |rows, columns| TerminalSize { rows, columns };
    let script = "stty -echo; while read -r line; do echo \"$line: $(stty size)\"; done";
    let mut session = one.runtime.attach(&asked(&one, script, Some(size(30, 100)))).await.expect("it begins");
    session.input.write(b"one\n").await.expect("it reads");
    let (said, _) = until(&mut session, "one: ").await;
    let said = if said.contains("one: 30 100") { said } else { said + &until(&mut session, "30 100").await.0 };
    assert!(said.contains("one: 30 100"), "{said}");
    session.input.resize(size(40, 120)).await;
    session.input.write(b"two\n").await.expect("it reads");
    let (said, _) = until(&mut session, "40 120").await;
    assert!(said.contains("two: 40 120"), "{said}");
    // Ctrl-D.
    session.input.write(&[4]).await.expect("it reads");
    assert_eq!(until(&mut session, "").await.1, Some(Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_nobody_is_at_any_more_is_killed() {
    let Some(engine) = engine() else { return };
    let one = One::started(engine, "left", FOREVER).await;
    one.running().await;
    // Some of them before the engine itself knows that they run.
    for _ in 0..8 {
        let mut session = one.runtime.attach(&asked(&one, "echo up; exec sleep 654", None)).await.expect("it begins");
        assert_eq!(until(&mut session, "up").await.1, None);
        drop(session);
    }
    let left = "for one in /proc/[0-9]*; do tr '\\0' ' ' < $one/cmdline; echo; done | grep -c '^sleep 654'";
    let left = ["sh", "-c", left].map(str::to_owned);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while one.runtime.exec(&one.id, &left, Duration::from_secs(10)).await.expect("it runs").output.trim() != "0" {
        assert!(tokio::time::Instant::now() < deadline, "the command outlived whoever was at it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
