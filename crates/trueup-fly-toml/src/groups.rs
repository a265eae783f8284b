//! Process groups: which there are, what each is called here, and which sections are about which.
//!
//! A fly.toml with several describes several programs of one image; each becomes an app of its own. Knows nothing of what the
//! sections say.

use crate::reader::{Found, Remark, Section};
use crate::words;

/// The group where no other is named.
const APP: &str = "app";
/// Longest name of an app here, in bytes.
const NAME_BYTES_MAX: usize = 40;

/// The groups of a fly.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Groups {
    names: Vec<String>,
    default: String,
}

impl Groups {
    pub(crate) fn of(root: &Section<'_>) -> Self {
        let mut names: Vec<String> = commands(root).into_iter().map(|(name, _)| name).collect();
        names.sort();
        if names.is_empty() {
            names.push(APP.to_owned());
        }
        let default = if names.iter().any(|name| name == APP) { APP } else { &names[0] }.to_owned();
        Self { names, default }
    }

    /// The default group first, since it has the app's name.
    pub(crate) fn in_order(&self) -> Vec<String> {
        let others = self.names.iter().filter(|name| **name != self.default);
        std::iter::once(&self.default).chain(others).cloned().collect()
    }

    pub(crate) fn is_default(&self, group: &str) -> bool {
        group == self.default
    }

    pub(crate) fn are_several(&self) -> bool {
        self.names.len() > 1
    }

    /// Whether a section is about a group; one that names none is about the default.
    pub(crate) fn about(&self, section: &Section<'_>, group: &str) -> bool {
        self.named(section).map_or_else(|| self.is_default(group), |named| named.iter().any(|name| name == group))
    }

    /// The groups that a section names, if any.
    pub(crate) fn named(&self, section: &Section<'_>) -> Option<Vec<String>> {
        section.texts("processes").map(|found| found.value).filter(|names| !names.is_empty())
    }

    /// The words that a group runs with in place of the image's own; none where it leaves those be.
    pub(crate) fn command(
        &self,
        root: &Section<'_>,
        group: &str,
        remarks: &mut Vec<Remark>,
    ) -> Option<Found<Vec<String>>> {
        let (_, command) = commands(root).into_iter().find(|(name, _)| name == group)?;
        match command?.parsed(words::split) {
            Ok(words) => Some(words).filter(|words| !words.value.is_empty()),
            Err(remark) => {
                remarks.push(remark);
                None
            }
        }
    }
}

/// Each group with its command: a key each, or in old files a table each with a `name`.
fn commands(root: &Section<'_>) -> Vec<(String, Option<Found<String>>)> {
    let mut commands = Vec::new();
    for table in root.sections("processes") {
        let keys = table.keys();
        let old = keys.contains(&"name") && keys.iter().all(|key| ["name", "command"].contains(key));
        match table.text("name").filter(|_| old) {
            Some(name) => commands.push((name.value, table.scalar("command"))),
            None => commands.extend(keys.into_iter().map(|key| (key.to_owned(), table.scalar(key)))),
        }
    }
    commands
}

/// The name of a group's app here, and what stands before each app's name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    app: String,
    /// Cut from the front of a name that is too long here; the target's `appName` puts it back.
    pub prefix: String,
}

impl Names {
    /// The names of the apps of a fly.toml whose app is called so.
    pub(crate) fn of(app: &str, groups: &Groups) -> Self {
        let longest = groups.in_order().iter().map(|group| suffix(groups, group).len()).max().unwrap_or(0);
        let room = NAME_BYTES_MAX.saturating_sub(longest).max(1);
        let mut cut = app.len().saturating_sub(room);
        if cut > 0 {
            // Between words, where there are any: a name begins with a letter or a digit.
            let word = app[cut..].find('-').map_or(0, |at| at + 1);
            cut += if cut + word < app.len() { word } else { 0 };
            cut += app[cut..].len() - app[cut..].trim_start_matches('-').len();
        }
        Self { app: app[cut..].to_owned(), prefix: app[..cut].to_owned() }
    }

    /// What a group's app is called here.
    pub(crate) fn here(&self, groups: &Groups, group: &str) -> String {
        format!("{}{}", self.app, suffix(groups, group))
    }
}

fn suffix(groups: &Groups, group: &str) -> String {
    if groups.is_default(group) { String::new() } else { format!("-{}", label(group)) }
}

/// A name as a label: lower case, and `-` for whatever a label does not hold.
pub(crate) fn label(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let label: String = name.chars().map(letter).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "x".to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Document;

    fn groups(text: &str) -> Groups {
        Groups::of(&Document::parse(text).expect("it is TOML").root())
    }

    #[test]
    fn the_default_group_is_app_or_the_first() {
        assert_eq!(groups("").in_order(), ["app"]);
        assert_eq!(groups("[processes]\nworker = 'w'\napp = 'a'\n").in_order(), ["app", "worker"]);
        assert_eq!(groups("[processes]\nworker = 'w'\nserver = 's'\n").in_order(), ["server", "worker"]);
        let old = "[[processes]]\nname = 'web'\ncommand = 'w'\n[[processes]]\nname = 'bell'\n";
        assert_eq!(groups(old).in_order(), ["bell", "web"]);
    }

    #[test]
    fn a_name_that_is_too_long_here_is_put_back_together_there() {
        let several = groups("[processes]\napp = ''\nbig_worker = 'w'\n");
        let names = Names::of("shop", &several);
        assert_eq!(
            (names.here(&several, "app"), names.here(&several, "big_worker")),
            ("shop".into(), "shop-big-worker".into())
        );
        assert_eq!(names.prefix, "");
        let long = "a-very-long-name-for-an-app-that-nobody-would-ever-want-to-type";
        let names = Names::of(long, &groups(""));
        let here = names.here(&groups(""), "app");
        assert_eq!(format!("{}{here}", names.prefix), long);
        assert!(here.len() <= NAME_BYTES_MAX && !here.starts_with('-'), "{here}");
    }
}
