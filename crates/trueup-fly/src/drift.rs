//! Whether a machine is still what was made: pure.
//!
//! What we wrote must be there, and what the platform adds does not count: it fills in defaults, and spells some words its
//! own way. Labels are left out, for others may write theirs beside ours.

use serde_json::Value;

/// Fields in which the platform's spelling of a duration may differ from ours.
const DURATIONS: [&str; 3] = ["interval", "timeout", "grace_period"];
/// Fields that are compared by nobody: labels are others' too, and what is held is a volume's id, which the runtime chose.
const LEFT_OUT: [&str; 2] = ["metadata", "mounts"];

/// What of a wanted config is not in the one that is there; nothing where all of it is.
pub(crate) fn altered(wanted: &Value, there: &Value) -> Option<String> {
    let Value::Object(fields) = wanted else { return Some("config".to_owned()) };
    let kept = fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    kept.into_iter().find_map(|(name, value)| missing(name, name, value, there.get(name).unwrap_or(&Value::Null)))
}

fn missing(path: &str, field: &str, wanted: &Value, there: &Value) -> Option<String> {
    let none = || Some(path.to_owned());
    match (wanted, there) {
        // The platform leaves out what is empty, or says null.
        (Value::Null, Value::Null) => None,
        (Value::Array(wanted), Value::Null) if wanted.is_empty() => None,
        (Value::Object(wanted), Value::Null) if wanted.is_empty() => None,
        (Value::Bool(false), Value::Null) => None,
        (Value::Object(wanted), Value::Object(there)) => {
            // A map of variables is whole: one more is another machine.
            if field == "env" && there.len() != wanted.len() {
                return none();
            }
            let one = |(name, value): (&String, &Value)| {
                let below = there.get(name).unwrap_or(&Value::Null);
                missing(&format!("{path}.{name}"), name, value, below)
            };
            wanted.iter().find_map(one)
        }
        (Value::Array(wanted), Value::Array(there)) => {
            if wanted.len() != there.len() {
                return none();
            }
            let pairs = wanted.iter().zip(there).enumerate();
            pairs.into_iter().find_map(|(at, (one, other))| missing(&format!("{path}[{at}]"), field, one, other))
        }
        (Value::String(word), _) if field == "autostop" => {
            (spelled(word) != *there && wanted != there).then(|| path.to_owned())
        }
        (Value::String(one), Value::String(other)) if DURATIONS.contains(&field) => {
            (millis(one) != millis(other)).then(|| path.to_owned())
        }
        (one, other) => (one != other).then(|| path.to_owned()),
    }
}

/// As the platform answers a word for autostop.
fn spelled(word: &str) -> Value {
    match word {
        "off" => Value::Bool(false),
        "stop" => Value::Bool(true),
        other => Value::String(other.to_owned()),
    }
}

/// A duration as Go writes it (`1m30s`), in milliseconds; `None` for what is none.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0.0_f64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units =
            [("ms", 1.0), ("us", 0.001), ("ns", 0.000_001), ("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        total += number * factor;
        rest = &rest[unit.len()..];
    }
    // A duration of a config is minutes at most: far within what a float holds exactly.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are small and not negative")]
    Some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_platform_adds_or_spells_its_own_way_is_no_drift() {
        let wanted = json!({"image": "a", "env": {"A": "1"}, "services": [{"internal_port": 80, "autostop": "off"}],
            "checks": {"ready": {"interval": "90s"}}, "files": [], "metadata": {"ours": "1"}});
        let there = json!({"image": "a", "env": {"A": "1"}, "init": {}, "dns": {}, "guest": {"cpus": 1},
            "services": [{"internal_port": 80, "autostop": false, "force_instance_key": null}],
            "checks": {"ready": {"interval": "1m30s", "type": "tcp"}}, "metadata": {"theirs": "2"}});
        assert_eq!(altered(&wanted, &there), None);
        let suspends = json!({"services": [{"autostop": "suspend"}]});
        assert_eq!(altered(&suspends, &suspends), None);
    }

    #[test]
    fn what_is_not_as_it_was_made_is_named() {
        let wanted = json!({"image": "a", "env": {"A": "1"}, "services": [{"autostop": "stop"}], "stop_config": {"timeout": "30s"}});
        for (over, at) in [
            (json!({"image": "b"}), "image"),
            (json!({"env": {"A": "1", "B": "2"}}), "env"),
            (json!({"env": {"A": "2"}}), "env.A"),
            (json!({"services": []}), "services"),
            (json!({"services": [{"autostop": false}]}), "services[0].autostop"),
            (json!({"stop_config": {"timeout": "31s"}}), "stop_config.timeout"),
            (json!({"stop_config": null}), "stop_config"),
        ] {
            let mut there = wanted.clone();
            let (Some(fields), Some(over)) = (there.as_object_mut(), over.as_object()) else { unreachable!() };
            fields.extend(over.clone());
            assert_eq!(altered(&wanted, &there).as_deref(), Some(at));
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let read = ["1m30s", "500ms", "1h0m0s", "0s", "1.5s", "90", "x", "5"].map(millis);
        let wanted = [Some(90_000), Some(500), Some(3_600_000), Some(0), Some(1_500), None, None, None];
        assert_eq!(read, wanted);
    }
}
