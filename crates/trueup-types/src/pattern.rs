//! How the hosts of a target's apps are called: `stage-{stage}-{app}.apps.example.com`.
//!
//! Each part between two dots becomes one label of a host name, whatever is filled in: in lower case, with `-` for what no
//! label may hold, a dot among it. What was changed so, or cut, ends in a short digest of the part as it was said, so that two that
//! are not alike never become one name. Parsing is proof that the pattern gives host names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::name::{AppName, TargetName};

/// Longest label of a host name, in bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Longest host name, in bytes (RFC 1035, section 2.3.4, less what lengths take).
const HOST_BYTES_MAX: usize = 253;
/// Hexadecimal digits of a digest that tell parts apart: one in four thousand millions is taken for another.
const DIGEST_CHARACTERS: usize = 8;

/// A pattern of host names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    text: String,
    /// From left to right; each is what stands between two dots.
    parts: Vec<Vec<Piece>>,
}

/// A piece of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// What is filled in for one app.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// The app.
    pub app: &'a AppName,
    /// Its target.
    pub target: &'a TargetName,
    /// The labels of the app.
    pub labels: &'a BTreeMap<String, String>,
}

/// Why a pattern gives no host for an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FillError {
    /// Nothing of that name is known of the app.
    Unknown {
        /// What the pattern asks for.
        variable: String,
        /// What it could have asked for.
        known: Vec<String>,
    },
    /// A part is empty with what is filled in.
    Empty {
        /// As the pattern has it.
        part: String,
    },
    /// The whole is longer than a host name may be.
    TooLong {
        /// How long, in bytes.
        bytes: usize,
    },
}

impl HostPattern {
    /// Stands for the app's name.
    pub const APP: &'static str = "app";
    /// Stands for the target's name.
    pub const TARGET: &'static str = "target";

    /// The host of an app's route that names none.
    ///
    /// # Errors
    /// When a variable is not known, or what comes of it is no host name.
    pub fn fill(&self, filling: Filling<'_>) -> Result<String, FillError> {
        let labels: Result<Vec<_>, _> = self.parts.iter().map(|part| label(part, filling)).collect();
        let host = labels?.join(".");
        if host.len() > HOST_BYTES_MAX { Err(FillError::TooLong { bytes: host.len() }) } else { Ok(host) }
    }
}

impl Filling<'_> {
    fn value(&self, variable: &str) -> Option<&str> {
        match variable {
            HostPattern::APP => Some(self.app.as_str()),
            HostPattern::TARGET => Some(self.target.as_str()),
            label => self.labels.get(label).map(String::as_str),
        }
    }

    fn known(&self) -> Vec<String> {
        let own = [HostPattern::APP, HostPattern::TARGET].map(str::to_owned);
        let known: BTreeSet<String> = self.labels.keys().cloned().collect();
        own.clone().into_iter().chain(known.into_iter().filter(|label| !own.contains(label))).collect()
    }
}

/// One part with everything filled in.
fn label(part: &[Piece], filling: Filling<'_>) -> Result<String, FillError> {
    let mut said = String::new();
    for piece in part {
        match piece {
            Piece::Text(text) => said.push_str(text),
            Piece::Variable(variable) => {
                let value = filling.value(variable);
                let unknown = || FillError::Unknown { variable: variable.clone(), known: filling.known() };
                said.push_str(value.ok_or_else(unknown)?);
            }
        }
    }
    if said.is_empty() {
        return Err(FillError::Empty { part: spelled(part) });
    }
    let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let dressed: String = said.to_ascii_lowercase().chars().map(|one| if fits(one) { one } else { '-' }).collect();
    let dressed = dressed.trim_matches('-');
    if dressed == said && dressed.len() <= LABEL_BYTES_MAX {
        return Ok(said);
    }
    let digest: String = Sha256::digest(&said).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = &digest[..DIGEST_CHARACTERS];
    // All of it is ASCII.
    let room = dressed.len().min(LABEL_BYTES_MAX - DIGEST_CHARACTERS - 1);
    match dressed[..room].trim_end_matches('-') {
        "" => Ok(digest.to_owned()),
        rest => Ok(format!("{rest}-{digest}")),
    }
}

fn spelled(part: &[Piece]) -> String {
    let spell = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Variable(variable) => format!("{{{variable}}}"),
    };
    part.iter().map(spell).collect()
}

/// The pieces of a pattern, part by part. A dot within braces belongs to the name there.
fn parts(text: &str) -> Result<Vec<Vec<Piece>>, String> {
    let mut parts = vec![Vec::new()];
    let mut rest = text;
    while !rest.is_empty() {
        let part = parts.last_mut().expect("there is always one");
        if let Some(behind) = rest.strip_prefix('.') {
            parts.push(Vec::new());
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('{') {
            let (variable, behind) = behind.split_once('}').ok_or("has a `{` without its `}`")?;
            if variable.is_empty() || variable.contains('{') {
                return Err("has braces without a name in them".to_owned());
            }
            part.push(Piece::Variable(variable.to_owned()));
            rest = behind;
        } else {
            let (plain, behind) = rest.split_at(rest.find(['.', '{']).unwrap_or(rest.len()));
            part.push(Piece::Text(plain.to_owned()));
            rest = behind;
        }
    }
    Ok(parts)
}

/// Whether the text of a part can stand in a host name, whatever is filled in between.
fn sound(part: &[Piece]) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let mut texts = part.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(text),
        Piece::Variable(_) => None,
    });
    if !texts.all(|text| text.bytes().all(fits)) {
        return Err("holds something else than lower-case letters, digits, `-`, `.` and names in braces".to_owned());
    }
    let edge = |piece: Option<&Piece>, at: fn(&str) -> bool| match piece {
        Some(Piece::Text(text)) => at(text),
        Some(Piece::Variable(_)) | None => false,
    };
    if edge(part.first(), |text| text.starts_with('-')) || edge(part.last(), |text| text.ends_with('-')) {
        return Err("has a part that begins or ends with `-`".to_owned());
    }
    let bytes: usize = part.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 1 }).sum();
    if (1..=LABEL_BYTES_MAX).contains(&bytes) { Ok(()) } else { Err("has an empty part, or one too long".to_owned()) }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = parts(text)?;
        parts.iter().try_for_each(|part| sound(part))?;
        let fixed = |part: &Vec<Piece>| part.iter().all(|piece| matches!(piece, Piece::Text(_)));
        if parts.iter().all(fixed) {
            return Err(format!("has nothing to fill in: all apps would have one host; write `{{{}}}`", Self::APP));
        }
        if text.len() > HOST_BYTES_MAX {
            return Err(format!("has more than {HOST_BYTES_MAX} characters"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { variable, .. } => write!(f, "`{{{variable}}}` is neither known nor a label of the app"),
            Self::Empty { part } => write!(f, "its part `{part}` is empty for the app"),
            Self::TooLong { bytes } => {
                write!(f, "it comes to {bytes} characters, at most {HOST_BYTES_MAX} are possible")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, app: &str, labels: &[(&str, &str)]) -> Result<String, FillError> {
        let pattern: HostPattern = pattern.parse().expect("a pattern");
        let (app, target) = (AppName::new(app).expect("a name"), TargetName::new("dock").expect("a name"));
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pattern.fill(Filling { app: &app, target: &target, labels: &labels })
    }

    #[test]
    fn what_fits_stands_as_it_is() {
        let host = filled("stage-{stage}-{app}.apps.example.com", "web", &[("stage", "pr-17")]);
        assert_eq!(host.as_deref(), Ok("stage-pr-17-web.apps.example.com"));
        assert_eq!(filled("{app}.{target}.internal", "web", &[]).as_deref(), Ok("web.dock.internal"));
        let host = filled("{app}.{example.com/team}.internal", "web", &[("example.com/team", "blue")]);
        assert_eq!(host.as_deref(), Ok("web.blue.internal"), "a dot in braces is part of the name");
        let own = filled("{app}.internal", "web", &[("app", "other")]);
        assert_eq!(own.as_deref(), Ok("web.internal"), "a label cannot pass for the app's name");
    }

    #[test]
    fn what_does_not_fit_becomes_a_label_of_its_own() {
        let host = |stage: &str| filled("{stage}-{app}.example.com", "web", &[("stage", stage)]).expect("a host");
        let table = [
            ("v1.2", "v1-2-web-"),
            ("v1-2", "v1-2-web.example.com"),
            ("Main", "main-web-"),
            ("feature/Log in", "feature-log-in-web-"),
            ("-edge", "edge-web-"),
            ("größe", "gr--e-web-"),
            ("_", "web-"),
        ];
        let mut seen = BTreeSet::new();
        for (stage, begins) in table {
            let host = host(stage);
            assert!(host.starts_with(begins), "{stage}: {host}");
            assert!(seen.insert(host.clone()), "{stage}: {host} is another's");
        }
        for stages in [["v1.2", "v1-2"], ["Main", "main"], ["a_b", "a.b"], ["x/", "x"]] {
            assert_ne!(host(stages[0]), host(stages[1]));
        }
        assert_eq!(host("v1.2"), host("v1.2"));
    }

    #[test]
    fn what_is_cut_does_not_collide() {
        let host = |stage: String| filled("{stage}-{app}.example.com", "web", &[("stage", &stage)]).expect("a host");
        let (one, other) = (host("a".repeat(70)), host("a".repeat(71)));
        assert_ne!(one, other);
        for host in [&one, &other] {
            let label = host.split('.').next().expect("it has one");
            assert_eq!(label.len(), LABEL_BYTES_MAX, "{host}");
        }
        let just = host("a".repeat(LABEL_BYTES_MAX - "-web".len()));
        assert_eq!(just, format!("{}-web.example.com", "a".repeat(59)), "what just fits is left as it is");
        let dashes = host(format!("{}{}", "a".repeat(53), "-".repeat(20)));
        assert!(dashes.starts_with(&format!("{}-", "a".repeat(53))) && !dashes.contains("--"), "{dashes}");
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is() {
        let known = ["app", "target", "stage", "team"].map(str::to_owned).to_vec();
        let unknown = FillError::Unknown { variable: "stag".to_owned(), known };
        assert_eq!(filled("{stag}-{app}.x", "web", &[("team", "b"), ("stage", "s")]), Err(unknown));
        let empty = FillError::Empty { part: "{stage}".to_owned() };
        assert_eq!(filled("{stage}.{app}.x", "web", &[("stage", "")]), Err(empty));
        let long = format!("{}{{app}}.x", "{app}.".repeat(41));
        assert_eq!(filled(&long, "a-long-name", &[]), Err(FillError::TooLong { bytes: 505 }));
    }

    #[test]
    fn a_pattern_gives_hosts_or_is_none() {
        for text in [
            "",
            "{app}..x",
            ".{app}",
            "{app}-.x",
            "-{app}.x",
            "{app.x",
            "{}.x",
            "{a{b}.x",
            "x.example.com",
            "{app}.Ex",
            "*.{app}",
            "{app}_.x",
            "{app}:80",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text} was taken");
        }
        let json = "\"{app}.example.com\"";
        let read: HostPattern = serde_json::from_str(json).expect("it is one");
        assert_eq!(serde_json::to_string(&read).expect("it is JSON"), json);
    }
}
