//! Stops a program whose shim is gone: the daemon does what the shim would have done.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::identity::{Grasp, Identity};
use crate::spec::Asked;

/// Sees to a stop: leaves it to the shim for as long as there is one.
pub(crate) async fn see_to(main: Arc<Grasp>, shim: Identity, asked: Asked) {
    if let Some(shim) = shim.grasp() {
        tokio::select! {
            () = ended(&main) => return,
            () = ended(&shim) => {}
        }
    }
    stop(main, asked).await;
}

/// Asks, waits, and kills the whole group.
async fn stop(main: Arc<Grasp>, asked: Asked) {
    let signal = crate::signal::named(&asked.signal).unwrap_or(Signal::TERM);
    main.signal_group(signal);
    let patience = Duration::from_millis(asked.timeout_ms);
    if tokio::time::timeout(patience, ended(&main)).await.is_err() {
        main.signal_group(Signal::KILL);
        main.signal(Signal::KILL);
    }
}

/// Waits until a process has ended.
#[expect(deprecated, reason = "its heir is unsafe; an OwnedFd, which nobody can close behind our back, is sound here")]
pub(crate) async fn ended(process: &Grasp) {
    let Ok(fd) = process.watch() else { return };
    let Ok(watch) = AsyncFd::with_interest(fd, Interest::READABLE) else { return };
    // An error here means that it cannot be waited for; the next survey asks again.
    let _ = watch.readable().await;
}
