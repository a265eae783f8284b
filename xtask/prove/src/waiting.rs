//! Waits for a future on this thread, in simulated time or in real time.
//!
//! Boxed, and without an answer: a runtime is compiled anew for each kind of future that it is handed as it is, and every
//! story is one of its own.

use std::pin::Pin;

use tokio::runtime::Builder;

/// Waits in a time that jumps to whatever comes next.
pub fn simulated<T>(future: impl Future<Output = T>) -> T {
    answered(future, &|future| wait(Builder::new_current_thread().enable_time().start_paused(true), future))
}

/// Waits in real time.
pub fn real<T>(future: impl Future<Output = T>) -> T {
    answered(future, &|future| wait(Builder::new_current_thread().enable_all(), future))
}

type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn answered<T>(future: impl Future<Output = T>, wait: &dyn Fn(Waiting<'_>)) -> T {
    let mut answer = None;
    wait(Box::pin(async { answer = Some(future.await) }));
    answer.expect("it was waited for")
}

fn wait(builder: &mut Builder, future: Waiting<'_>) {
    builder.build().expect("a runtime of one thread can be had").block_on(future);
}
