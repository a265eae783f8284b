//! The exhibits.

/// Declares the exhibits: a name, where the bug was seen in life, and what it comes to.
macro_rules! exhibits {
    ($($(#[doc = $doc:literal])+ $name:ident, $seen:literal;)+) => {
        /// One exhibit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Bug {
            /// Every exhibit, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name that `cargo xtask prove --only museum --replay NAME` takes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The system that had it, with the issue where there is one.
            #[must_use]
            pub const fn seen(self) -> &'static str {
                match self { $(Self::$name => $seen),+ }
            }

            /// What it does, in a sentence.
            #[must_use]
            pub const fn story(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

exhibits! {
    /// A rejected release is tried again at the next look, for ever.
    RetriesRejected, "argo-cd#9570";
}
