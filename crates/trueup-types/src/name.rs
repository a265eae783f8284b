//! What things are called: labels parsed once at the edge, and the names derived from them.
//!
//! A label follows RFC 1123: lower-case letters, digits and `-`, beginning and ending with a letter or digit.
//! Instance names are derived from app, revision and ordinal, so that creating twice is creating once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::number::{Ordinal, Revision};

/// Longest app name, in bytes: leaves room for `-r<revision>-<ordinal>` within the 63 bytes of a DNS label.
pub const APP_NAME_BYTES_MAX: usize = 40;
/// Longest DNS label, in bytes (RFC 1035, section 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than the limit, both in bytes.
    #[error("`{text}` has {length} characters, at most {limit} are allowed")]
    TooLong {
        /// The text as given.
        text: String,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A character outside `a-z`, `0-9` and `-`.
    #[error("`{text}` holds `{character}`; only lower-case letters, digits and `-` are allowed")]
    Character {
        /// The text as given.
        text: String,
        /// The first character at fault.
        character: char,
    },
    /// A `-` at either end.
    #[error("`{text}` begins or ends with `-`")]
    Edge {
        /// The text as given.
        text: String,
    },
    /// Not of the form `app-r<revision>-<ordinal>`.
    #[error("`{text}` is not an instance name like `web-r12-0`")]
    Instance {
        /// The text as given.
        text: String,
    },
}

fn check_label(text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > limit {
        return Err(NameError::TooLong { text: text.to_owned(), length: text.len(), limit });
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(character) = text.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character { text: text.to_owned(), character });
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Edge { text: text.to_owned() });
    }
    Ok(())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses a label.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_label(text, $limit)?;
                Ok(Self(text.into()))
            }

            /// The text of the label.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

label!(
    /// The name of an app: at most 40 characters, unique in the source.
    AppName, APP_NAME_BYTES_MAX
);
label!(
    /// The name of a target: a runtime somewhere. `local` is processes on this host.
    TargetName, LABEL_BYTES_MAX
);
label!(
    /// The name of a port of a template.
    PortName, LABEL_BYTES_MAX
);
label!(
    /// Any other name that follows RFC 1123: a probe, a hook, a profile, a secret.
    Label, LABEL_BYTES_MAX
);
label!(
    /// Where on a target an instance lives: a region, a host. `here` where a target has only one.
    Place, LABEL_BYTES_MAX
);
label!(
    /// Who owns what runs: written on all that a daemon creates, and touched by no other.
    OwnerId, LABEL_BYTES_MAX
);

impl TargetName {
    /// The target of apps that name none: processes on this host.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }
}

impl Place {
    /// The one place of a target that has only one.
    #[must_use]
    pub fn here() -> Self {
        Self("here".into())
    }

    /// Whether it is the one place of a target that has no other.
    #[must_use]
    pub fn is_here(&self) -> bool {
        &*self.0 == "here"
    }
}

/// What a task of a release is run for: the three kinds of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    /// Before any instance of the release is created.
    PreDeploy,
    /// After promotion, within the bake.
    PostDeploy,
    /// After a revert from the release, once traffic is back.
    OnRevert,
}

impl Task {
    /// All of them, in the order in which a release may come to them.
    pub const ALL: [Self; 3] = [Self::PreDeploy, Self::PostDeploy, Self::OnRevert];

    /// As the manifest spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreDeploy => "preDeploy",
            Self::PostDeploy => "postDeploy",
            Self::OnRevert => "onRevert",
        }
    }

    /// How names of instances spell it.
    const fn prefix(self) -> &'static str {
        match self {
            Self::PreDeploy => "pre",
            Self::PostDeploy => "post",
            Self::OnRevert => "undo",
        }
    }
}

/// The derived name of an instance: `web-r12-0` is ordinal 0 of revision 12 of app `web`, and `web-r12-pre0` runs the
/// first of its `preDeploy` hooks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The app it belongs to.
    pub app: AppName,
    /// The revision it was made for.
    pub revision: Revision,
    /// Which kind of hook it runs; it serves where this is unset.
    pub task: Option<Task>,
    /// Its number among those of its kind of that revision; a hook's is its place in the manifest's list.
    pub ordinal: Ordinal,
}

impl InstanceId {
    /// Derives the name of one that serves.
    #[must_use]
    pub fn new(app: &AppName, revision: Revision, ordinal: Ordinal) -> Self {
        Self { app: app.clone(), revision, task: None, ordinal }
    }

    /// Derives the name of one that runs a hook.
    #[must_use]
    pub fn of_task(app: &AppName, revision: Revision, task: Task, ordinal: Ordinal) -> Self {
        Self { app: app.clone(), revision, task: Some(task), ordinal }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.task.map_or("", Task::prefix);
        f.pad(&format!("{}-{}-{task}{}", self.app, self.revision, self.ordinal))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Instance { text: text.to_owned() };
        let (rest, ordinal) = text.rsplit_once('-').ok_or_else(wrong)?;
        let (app, revision) = rest.rsplit_once("-r").ok_or_else(wrong)?;
        let task = Task::ALL.into_iter().find(|task| ordinal.starts_with(task.prefix()));
        let ordinal = ordinal.strip_prefix(task.map_or("", Task::prefix)).unwrap_or(ordinal);
        let id = Self {
            app: AppName::new(app)?,
            revision: Revision(revision.parse().map_err(|_| wrong())?),
            task,
            ordinal: Ordinal(ordinal.parse().map_err(|_| wrong())?),
        };
        // `web-r012-0` would be a second spelling of `web-r12-0`.
        if id.to_string() == text { Ok(id) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for InstanceId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_names_survive_a_round_trip() {
        let id: InstanceId = "my-r2-app-r12-0".parse().expect("a valid name");
        assert_eq!(id.app.as_str(), "my-r2-app");
        assert_eq!(id.revision, Revision(12));
        assert_eq!(id.to_string(), "my-r2-app-r12-0");
        for task in Task::ALL {
            let id = InstanceId::of_task(&id.app, id.revision, task, Ordinal(3));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn second_spellings_are_refused() {
        for text in [
            "web-r012-0",
            "web-r1-00",
            "web-r1-",
            "web-1-0",
            "-r1-0",
            "web-r+1-0",
            "web-r1-pre",
            "web-r1-pre00",
            "web-r1-x0",
        ] {
            assert!(text.parse::<InstanceId>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn labels_say_what_is_wrong() {
        assert_eq!(AppName::new(""), Err(NameError::Empty));
        assert!(matches!(AppName::new("Web"), Err(NameError::Character { character: 'W', .. })));
        assert!(matches!(AppName::new("web-"), Err(NameError::Edge { .. })));
        assert!(matches!(AppName::new(&"a".repeat(41)), Err(NameError::TooLong { length: 41, limit: 40, .. })));
    }
}
