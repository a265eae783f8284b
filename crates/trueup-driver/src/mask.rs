//! Takes out of what leaves the daemon what may be a secret, and leaves a decision that is decided the same way.
//!
//! Each value of an environment, each file's content and each build argument gets another name, the same one wherever it
//! occurs: `masked-1`, `masked-2`. What was equal stays equal, what differed differs, and that is all the planner asks of
//! them. Digests are made anew from what is masked, so that nobody can try values against them. In sentences, commands
//! and logs the values that are known are struck out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trueup_types::decision::{RecordedDecision, Remembered};
use trueup_types::desired::{Cause, DesiredApp, Doubt, Wanted};
use trueup_types::observed::ExitWhy;
use trueup_types::step::{InstanceStep, StepAction, TargetStep, Why};
use trueup_types::{Instance, Release, Template, TemplateDigest};

/// Shorter values are not struck out of sentences: `v1` and `80` are in every second one and tell nobody anything.
const STRUCK_CHARACTERS_MIN: usize = 6;
/// Of what has many lines each is struck out that has so many: shorter ones are brackets and headings.
const LINE_CHARACTERS_MIN: usize = 12;
/// What stands where a value was struck out.
const STRUCK: &str = "[masked]";
/// Keys below which there are sentences, commands and addresses, in which a value may have been repeated.
const PROSE: [&str; 20] = [
    "args",
    "bug",
    "command",
    "degraded",
    "detail",
    "drift",
    "errors",
    "failure",
    "healthDetail",
    "image",
    "lines",
    "manifestError",
    "manifestInvalid",
    "message",
    "outcomeUnknown",
    "query",
    "refused",
    "sourceUnavailable",
    "targetDark",
    "url",
];
/// Keys below which the keys are names that people chose, be they `body` or `content`.
const NAMED: [&str; 4] = ["dependencies", "labels", "secretFingerprints", "tallies"];
/// Characters of a digest.
const DIGEST_CHARACTERS: usize = 64;

/// Keys below which a manifest's errors are told; they quote what could not be read, which may be a value.
const ERRORS: [&str; 3] = ["errors", "manifestError", "manifestInvalid"];

/// How a doubt begins that tells such an error, in events and decisions that outlive it.
const INVALID: &str = "the manifest is invalid: ";

/// The names of what is masked, the same over all that one masker is shown.
#[derive(Debug, Default)]
pub struct Masker {
    values: BTreeMap<String, String>,
    digests: BTreeMap<String, String>,
    /// Names that people gave to apps: where an error quotes one, it is no value.
    spared: BTreeSet<String>,
}

/// The same decisions, without a byte of what may be a secret; each is decided as it was.
#[must_use]
pub fn masked(decisions: &[impl AsRef<RecordedDecision>]) -> Vec<RecordedDecision> {
    masked_beside(decisions, &BTreeSet::new())
}

/// The same, without a byte of these values either: those of secrets are in no decision, but an app may have answered a
/// probe with one.
#[must_use]
pub fn masked_beside(decisions: &[impl AsRef<RecordedDecision>], values: &BTreeSet<String>) -> Vec<RecordedDecision> {
    let mut masker = Masker::default();
    values.iter().for_each(|value| masker.name_whole(value));
    for one in decisions.iter().map(AsRef::as_ref) {
        let others = one.given.permits.dependencies.keys();
        others.chain([&one.app]).for_each(|name| masker.spare(name.as_str()));
    }
    for one in decisions {
        masker.learn(&spelled(one.as_ref()));
    }
    for one in decisions {
        masker.learn_digests(one.as_ref());
    }
    // Last: a digest that is of nothing here may be of something there.
    for one in decisions {
        masker.note_others(&spelled(one.as_ref()));
    }
    let again = |one: &RecordedDecision| {
        let mut value = spelled(one);
        masker.decision(&mut value);
        serde_json::from_value(value).expect("a masked decision has the shape of one")
    };
    decisions.iter().map(|one| again(one.as_ref())).collect()
}

fn spelled<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("our own types always become JSON")
}

impl Masker {
    /// Learns every value that is to be masked, wherever it is in a value of any shape.
    pub fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let secret = secrets(key, inner);
                    secret.iter().for_each(|text| self.name_whole(text));
                    if ERRORS.contains(&key.as_str()) {
                        self.learn_errors(inner);
                    }
                    self.learn(inner);
                }
            }
            Value::Array(items) => items.iter().for_each(|inner| self.learn(inner)),
            Value::String(text) if text.contains(INVALID) => self.learn_error(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Spares a name that is no value though an error quotes it; told before what is learnt.
    pub fn spare(&mut self, name: &str) {
        self.spared.insert(name.to_owned());
    }

    /// Learns what a manifest's error quotes: it may be a value that could not be read, `0123456789` where text was expected.
    pub fn learn_error(&mut self, error: &str) {
        // Every second part is between two quotes.
        let quoted = error.split('`').skip(1).step_by(2);
        // What has a digit and is no path, no address and no name of ours is nothing that a reader could miss.
        let value =
            |part: &&str| part.contains(|letter: char| letter.is_ascii_digit()) && !part.contains(['.', '[', '/']);
        let values: Vec<_> = quoted.filter(value).filter(|part| !self.spared.contains(*part)).collect();
        values.into_iter().for_each(|part| self.name(part));
    }

    fn learn_errors(&mut self, value: &Value) {
        match value {
            Value::String(error) => self.learn_error(error),
            Value::Array(errors) => errors.iter().filter_map(Value::as_str).for_each(|error| self.learn_error(error)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }

    /// Learns one value that is known to be one, and its lines where it has many.
    pub fn name_whole(&mut self, value: &str) {
        self.name(value);
        let lines = Some(value).filter(|value| value.contains('\n')).into_iter().flat_map(str::lines);
        lines.filter(|line| line.len() >= LINE_CHARACTERS_MIN).for_each(|line| self.name(line));
    }

    /// Learns one value that is known to be one.
    pub fn name(&mut self, value: &str) {
        let next = self.values.len() + 1;
        self.values.entry(value.to_owned()).or_insert_with(|| format!("masked-{next}"));
    }

    /// Masks a value of any shape: environments, contents, and what is repeated of them in sentences and commands.
    pub fn mask(&self, value: &mut Value) {
        self.walk("", value);
    }

    /// Strikes the values that are known out of a text.
    #[must_use]
    pub fn strike(&self, text: &str) -> String {
        let mut known: Vec<_> =
            self.values.keys().filter(|value| value.chars().count() >= STRUCK_CHARACTERS_MIN).collect();
        // The longest first: one may be part of another.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let struck = known.into_iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), STRUCK));
        without_password(&struck)
    }

    fn walk(&self, key: &str, value: &mut Value) {
        match value {
            Value::Object(map) if is_environment(key, map) => {
                for inner in map.values_mut() {
                    self.rename(inner);
                }
            }
            Value::Object(map) if NAMED.contains(&key) => {
                map.values_mut().for_each(|inner| self.walk("", inner));
            }
            Value::Object(map) => {
                for (key, inner) in map {
                    match key.as_str() {
                        "content" => self.rename(inner),
                        "body" => *inner = Value::from(""),
                        "diff" => self.differences(inner),
                        // By instance, which is no key of ours.
                        "logs" => {
                            inner.as_object_mut().into_iter().flatten().for_each(|(_, lines)| self.walk("why", lines))
                        }
                        key => self.walk(key, inner),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|inner| self.walk(key, inner)),
            Value::String(text) if is_prose(key, text) => *text = self.strike(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Lines such as `+ env.TOKEN: "…"`, of an evidence file: nothing of the value stays.
    fn differences(&self, lines: &mut Value) {
        for line in lines.as_array_mut().into_iter().flatten() {
            let Value::String(text) = line else { continue };
            *text = match text.split_once(": ") {
                Some((path, _)) if is_secret_path(path) => format!("{path}: {STRUCK}"),
                Some(_) | None => self.strike(text),
            };
        }
    }

    fn rename(&self, value: &mut Value) {
        if let Value::String(text) = value
            && let Some(name) = self.values.get(text)
        {
            name.clone_into(text);
        }
    }

    fn decision(&self, value: &mut Value) {
        self.mask(value);
        self.redigest(value);
    }

    /// Puts the digests of what is masked where those of what it was are.
    fn redigest(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                // What is resolved is digested as it stands.
                map.iter_mut().filter(|(key, _)| *key != "inputs").for_each(|(_, inner)| self.redigest(inner));
            }
            Value::Array(items) => items.iter_mut().for_each(|inner| self.redigest(inner)),
            Value::String(text) if is_digest(text) => {
                if let Some(masked) = self.digests.get(text) {
                    masked.clone_into(text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn learn_digests(&mut self, decision: &RecordedDecision) {
        let restarts = [&decision.given.remembered, &decision.answered.remembered].map(Remembered::record);
        let restarts = restarts.iter().map(|record| record.restarts).max().unwrap_or(0);
        if let Wanted::Present(desired) = &decision.given.wanted {
            self.learn_desired(desired, restarts);
        }
        for release in releases(decision) {
            let template = TemplateDigest::of(&self.template(&release.template));
            self.digests.insert(TemplateDigest::of(&release.template).to_string(), template.to_string());
            let masked = Release::digest_of(template, &release.inputs);
            self.digests.insert(release.digest.to_string(), masked.to_string());
        }
    }

    fn learn_desired(&mut self, desired: &DesiredApp, restarts: u32) {
        let template = TemplateDigest::of(&self.template(&desired.template));
        self.digests.insert(desired.template_digest.to_string(), template.to_string());
        for restarts in 0..=restarts {
            let masked = Release::digest_of(template, &desired.inputs_with(restarts));
            self.digests.insert(desired.release_digest(restarts).to_string(), masked.to_string());
        }
    }

    /// Gives a name to the digests of what is not at hand: they are only ever compared.
    fn note_others(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                map.iter().filter(|(key, _)| *key != "inputs").for_each(|(_, inner)| self.note_others(inner));
            }
            Value::Array(items) => items.iter().for_each(|inner| self.note_others(inner)),
            Value::String(text) if is_digest(text) && !self.digests.contains_key(text) => {
                let other = TemplateDigest::of(&("a digest of something else", self.digests.len()));
                self.digests.insert(text.clone(), other.to_string());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn template(&self, template: &Template) -> Template {
        let mut value = spelled(template);
        self.mask(&mut value);
        serde_json::from_value(value).expect("a masked template has the shape of one")
    }
}

/// Every release that a decision carries, wherever it does.
fn releases(decision: &RecordedDecision) -> Vec<&Release> {
    let (given, answered) = (&decision.given, &decision.answered);
    let kept = given.remembered.releases().chain(answered.remembered.releases());
    let seen = given.observed.instances.iter().chain(&given.observed.tasks);
    let labels = seen.filter_map(|one: &Instance| one.sighting.template.as_ref());
    let made =
        answered.steps.iter().filter_map(|step| match &step.action {
            StepAction::Target { step: TargetStep::Instance(InstanceStep::Create { release, .. }), .. } => {
                Some(release)
            }
            StepAction::Target {
                step:
                    TargetStep::Instance(
                        InstanceStep::Start { .. } | InstanceStep::Stop { .. } | InstanceStep::Remove { .. },
                    ),
                ..
            }
            | StepAction::Route { .. } => None,
        });
    kept.chain(labels).chain(made).map(AsRef::as_ref).collect()
}

/// Whether it is a map of names to values: an environment, or the arguments of a build.
fn is_environment(key: &str, map: &serde_json::Map<String, Value>) -> bool {
    matches!(key, "env" | "args") && map.values().all(Value::is_string)
}

/// Whether it is a sentence, a command or an address, and no word of ours that stands below the same key.
fn is_prose(key: &str, text: &str) -> bool {
    fn reads<T: serde::de::DeserializeOwned>(text: &str) -> bool {
        serde_json::from_value::<T>(Value::from(text)).is_ok()
    }
    match key {
        "why" | "cause" => {
            !(reads::<Why>(text) || reads::<ExitWhy>(text) || reads::<Cause>(text) || reads::<Doubt>(text))
        }
        // What an analysis was answered; elsewhere it is a life or a moment.
        "last" => text.contains(' '),
        key => PROSE.contains(&key),
    }
}

/// The values below a key that are to be masked.
fn secrets(key: &str, value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Object(map) if is_environment(key, map) => map.values().filter_map(text).collect(),
        Value::String(content) if key == "content" => vec![content.clone()],
        Value::Array(lines) if key == "diff" => {
            let lines = lines.iter().filter_map(|line| line.as_str()?.split_once(": "));
            let secret = lines.filter(|(path, _)| is_secret_path(path));
            secret.filter_map(|(_, value)| serde_json::from_str(value).ok()).collect()
        }
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Vec::new()
        }
    }
}

/// Whether a path such as `+ env.TOKEN` leads to what is masked.
fn is_secret_path(path: &str) -> bool {
    let path = path.trim_start_matches(['+', '-', ' ']);
    path.starts_with("env.")
        || path.starts_with("build.args.")
        || (path.starts_with("files[") && path.ends_with(".content"))
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Strikes `user:password@` out of the addresses in a text.
fn without_password(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let host = part.split(['/', '?', '#', ' ', '"']).next().unwrap_or_default();
        let shown = host.rfind('@').map_or_else(|| part.to_owned(), |at| format!("{STRUCK}{}", &part[at..]));
        clean.push_str("://");
        clean.push_str(&shown);
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_equal_stays_equal_and_what_differed_differs() {
        let mut value = json!({"old": {"env": {"A": "one", "B": "two"}}, "new": {"env": {"A": "two", "B": "two"}}});
        let mut masker = Masker::default();
        masker.learn(&value);
        masker.mask(&mut value);
        let expected = json!({
            "old": {"env": {"A": "masked-2", "B": "masked-1"}},
            "new": {"env": {"A": "masked-1", "B": "masked-1"}},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_value_is_struck_out_wherever_a_sentence_repeats_it_and_short_ones_stay() {
        let mut value = json!({
            "env": {"TOKEN": "hunter2hunter2", "LEVEL": "info"},
            "files": [{"path": "/a", "content": "line"}],
            "message": "hunter2hunter2 was refused, at level info",
            "command": ["serve", "--token=hunter2hunter2"],
            "url": "http://ann:pw@db:5432/shop",
            "body": "anything",
            "name": "hunter2hunter2",
        });
        let mut masker = Masker::default();
        masker.learn(&value);
        masker.mask(&mut value);
        assert_eq!(value["message"], "[masked] was refused, at level info");
        assert_eq!(value["command"], json!(["serve", "--token=[masked]"]));
        assert_eq!(value["url"], "http://[masked]@db:5432/shop");
        assert_eq!((&value["body"], &value["files"][0]["path"]), (&json!(""), &json!("/a")));
        assert!(value["files"][0]["content"].as_str().is_some_and(|text| text.starts_with("masked-")));
        assert_eq!(value["name"], "hunter2hunter2", "a name stays what it is, or nothing would be found by it");
    }

    #[test]
    fn what_is_said_within_a_word_of_ours_is_struck_and_the_word_is_not() {
        let mut value = json!({
            "env": {"TOKEN": "hunter2hunter2", "MODE": "rollout"},
            "steps": [{"why": "rollout"}],
            "state": {"stalled": {"refused": "no port hunter2hunter2"}},
            "wanted": {"held": {"why": {"manifestInvalid": "`hunter2hunter2` is no name"}}},
            "tallies": {"body": {"good": 1, "last": "hunter2hunter2 is above 3"}},
            "backoff": {"why": "no rollout with hunter2hunter2"},
        });
        let mut masker = Masker::default();
        masker.learn(&value);
        masker.mask(&mut value);
        assert_eq!(value["steps"][0]["why"], "rollout");
        assert_eq!(value["state"]["stalled"]["refused"], "no port [masked]");
        assert_eq!(value["wanted"]["held"]["why"]["manifestInvalid"], "`[masked]` is no name");
        assert_eq!(value["tallies"]["body"], json!({"good": 1, "last": "[masked] is above 3"}));
        assert_eq!(value["backoff"]["why"], "no [masked] with [masked]");
    }

    #[test]
    fn what_an_error_quotes_is_struck_wherever_it_is_told_and_names_stay() {
        let doubt = Doubt::ManifestInvalid("web2.yaml:9:5 `0123456789` is no text, says `web2`".to_owned());
        let mut value = json!({
            "wanted": {"held": {"why": doubt}},
            "lines": [format!("wanted: unknown, {doubt}"), "the `second2` of its kind"],
        });
        let mut masker = Masker::default();
        masker.spare("web2");
        masker.learn(&value);
        masker.mask(&mut value);
        let told = "web2.yaml:9:5 `[masked]` is no text, says `web2`";
        assert_eq!(value["wanted"]["held"]["why"]["manifestInvalid"], told);
        assert_eq!(value["lines"][0], format!("wanted: unknown, the manifest is invalid: {told}"));
        assert_eq!(value["lines"][1], "the `second2` of its kind");
        // The same where it is told after the error itself has gone.
        let mut value = json!({"events": [{"message": format!("{doubt}; nothing is changed")}]});
        let mut masker = Masker::default();
        masker.learn(&value);
        masker.mask(&mut value);
        let message = value["events"][0]["message"].as_str().unwrap_or_default();
        assert!(!message.contains("0123456789"), "{message}");
    }

    #[test]
    fn evidence_tells_what_differed_and_not_how() {
        let mut value = json!({
            "diff": ["- env.TOKEN: \"old-token\"", "+ env.TOKEN: \"new-token\"", "+ args[0]: \"--token=new-token\""],
            "logs": {"web-r1-0": ["using new-token"]},
        });
        let mut masker = Masker::default();
        masker.learn(&value);
        masker.mask(&mut value);
        assert_eq!(
            value["diff"],
            json!(["- env.TOKEN: [masked]", "+ env.TOKEN: [masked]", "+ args[0]: \"--token=[masked]\""])
        );
        assert_eq!(value["logs"]["web-r1-0"], json!(["using [masked]"]));
    }
}
