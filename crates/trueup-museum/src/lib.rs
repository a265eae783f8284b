//! The museum of bugs: each a mistake that a real system made, planted where this house could make it.
//!
//! The code asks [`planted`] at the place where the mistake would be; `xtask/prove` plants one at a time and shows which
//! of its tiers catches it. Without the feature `open`, which nothing that ships has, every question is a constant
//! `false` and compiles to nothing. Knows nothing of the code that asks.

mod bug;

pub use bug::Bug;

/// Whether this bug is planted on this thread.
#[cfg(not(feature = "open"))]
#[must_use]
#[inline(always)]
pub const fn planted(_bug: Bug) -> bool {
    false
}

/// What is planted on this thread, to be taken along to a thread that works for it; nothing where the museum is closed.
#[cfg(not(feature = "open"))]
#[derive(Debug, Clone, Copy)]
pub struct Carried(());

#[cfg(not(feature = "open"))]
impl Carried {
    /// What is planted here.
    #[must_use]
    #[inline(always)]
    pub const fn here() -> Self {
        Self(())
    }

    /// Plants it on the thread that calls, for as long as that lives.
    #[inline(always)]
    pub const fn plant(self) {}
}

#[cfg(feature = "open")]
pub use open::{Carried, Planted, planted};

#[cfg(feature = "open")]
mod open {
    use std::cell::Cell;

    use crate::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted on this thread.
    #[must_use]
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// A bug that is planted on this thread until this is dropped.
    #[derive(Debug)]
    #[must_use = "the bug is gone when this is dropped"]
    pub struct Planted(());

    impl Planted {
        /// Plants a bug in place of any other.
        pub fn new(bug: Bug) -> Self {
            PLANTED.set(Some(bug));
            Self(())
        }
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }

    /// What is planted on this thread, to be taken along to a thread that works for it.
    #[derive(Debug, Clone, Copy)]
    pub struct Carried(Option<Bug>);

    impl Carried {
        /// What is planted here.
        #[must_use]
        pub fn here() -> Self {
            Self(PLANTED.get())
        }

        /// Plants it on the thread that calls, for as long as that lives.
        pub fn plant(self) {
            PLANTED.set(self.0);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_thread_that_works_for_another_takes_its_bug_along() {
            let _guard = Planted::new(Bug::ALL[0]);
            let carried = Carried::here();
            let there = std::thread::spawn(move || {
                carried.plant();
                planted(Bug::ALL[0])
            });
            assert!(there.join().expect("it does not panic"));
        }

        #[test]
        fn a_bug_is_planted_until_its_guard_is_dropped_and_on_its_own_thread_only() {
            let bug = Bug::ALL[0];
            assert!(!planted(bug), "nothing is planted at first");
            let guard = Planted::new(bug);
            assert!(planted(bug));
            assert!(!std::thread::spawn(move || planted(bug)).join().expect("it does not panic"));
            drop(guard);
            assert!(!planted(bug), "it is gone");
        }
    }
}
