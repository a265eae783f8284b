//! The kinds of manifests: a table each.
//!
//! A new kind is a file beside this one, a line in [`Kind`], and what it is lowered to.

pub(crate) mod app;
mod docker;
mod fly;
pub(crate) mod profile;
pub(crate) mod registry;
pub(crate) mod secret;
pub(crate) mod target;

use std::fmt;
use std::str::FromStr;

use crate::field::{Field, Shape, Word};
use crate::rule;

/// The only version of the contract.
pub(crate) const API_VERSION: &str = "trueup.dev/v1";

/// A kind of manifest that this build serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An app.
    App,
    /// A runtime somewhere.
    Target,
    /// Named defaults of apps.
    Profile,
    /// Credentials of a registry of images.
    Registry,
    /// Values that are read from elsewhere.
    Secret,
}

/// Kinds that are known by name and come later.
pub(crate) const LATER: [&str; 4] = ["Notifier", "ServiceRegistry", "AppSet", "ReleaseGroup"];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::App, Self::Target, Self::Profile, Self::Registry, Self::Secret];

    /// The word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::Target => "Target",
            Self::Profile => "Profile",
            Self::Registry => "Registry",
            Self::Secret => "Secret",
        }
    }

    /// The fields of the whole document.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::App => app::DOCUMENT,
            Self::Target => target::DOCUMENT,
            Self::Profile => profile::DOCUMENT,
            Self::Registry => registry::DOCUMENT,
            Self::Secret => secret::DOCUMENT,
        }
    }

    /// One sentence, for people.
    pub(crate) fn doc(self) -> &'static str {
        match self {
            Self::App => "An app that trueup keeps true.",
            Self::Target => "A runtime somewhere, and who routes to it.",
            Self::Registry => "Credentials of a registry of images: every target of containers shows them to it.",
            Self::Secret => "Keys and values for environments, read from where it says; no manifest holds a value.",
            Self::Profile => "Named defaults: a partial App spec, merged under the spec of each app that names it.",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Takes any case, as a person types it.
    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
        kind.ok_or_else(|| {
            format!("`{text}` is not a kind; {}", crate::suggest::remedy(text, Self::ALL.map(Self::as_str)))
        })
    }
}

pub(crate) const API: Field = Field::new(
    "apiVersion",
    Shape::Word(&[Word::new(API_VERSION, "The only version.")]),
    "The version of the contract.",
)
.required();

pub(crate) const KIND_DOC: &str = "What the document describes.";

pub(crate) const LABELS: Field = Field::new(
    "labels",
    Shape::Map { key: rule::KEY, value: &Shape::Text(rule::ANY_TEXT), most: 64 },
    "Labels, for people and selectors.",
);

pub(crate) const ANNOTATIONS: Field = Field::new(
    "annotations",
    Shape::Map { key: rule::KEY, value: &Shape::Text(rule::NOTE), most: 64 },
    "Notes; `trueup.dev/prune: \"false\"` leaves what runs alone when the manifest is removed.",
);
