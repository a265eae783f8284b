//! The fields of a machine's config, and what the platform makes of each: one table.
//!
//! `config` reads it to drop what the platform does not know, to spell durations one way, and to refuse what has the
//! wrong type. It says nothing about which values make sense together.

use serde_json::{Map, Value};

use crate::time::{format_go, parse_go};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    Int,
    Float,
    Bool,
    /// A Go duration, or nanoseconds; answered as text.
    Span,
    /// `off`, `stop`, `suspend`, or a bool; answered as a bool where it can be.
    Autostop,
    /// A word, or its number.
    Persist,
    /// Taken as it is.
    Free,
    /// Null is a value here.
    NullableText,
    List(&'static Shape),
    Map(&'static Shape),
    Object(&'static [(&'static str, Shape)]),
}

use Shape::{Autostop, Bool, Float, Free, Int, List, Map as MapOf, NullableText, Object, Persist, Span, Text, Word};

const TEXTS: Shape = List(&Text);
const TEXT_MAP: Shape = MapOf(&Text);
const HEADER: Shape = Object(&[("name", Text), ("values", TEXTS)]);
const SECRET: Shape = Object(&[("env_var", Text), ("name", Text)]);
const ENV_FROM: Shape = Object(&[("env_var", Text), ("field_ref", Text)]);
const SIGNALS: Shape = Word(&["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM"]);
const STOP: Shape = Object(&[("signal", SIGNALS), ("timeout", Span)]);
const RESTART: Shape = Object(&[("policy", Word(&["no", "on-failure", "always"])), ("max_retries", Int)]);
const FILE: Shape =
    Object(&[("guest_path", Text), ("raw_value", Text), ("secret_name", Text), ("image_config", Text), ("mode", Int)]);

const SERVICE_CHECK: Shape = Object(&[
    ("type", Word(&["tcp", "http"])),
    ("port", Int),
    ("interval", Span),
    ("timeout", Span),
    ("grace_period", Span),
    ("method", Text),
    ("path", Text),
    ("protocol", Word(&["http", "https"])),
    ("tls_skip_verify", Bool),
    ("tls_server_name", Text),
    ("headers", List(&HEADER)),
]);

const TOP_CHECK: Shape = Object(&[
    ("kind", Word(&["informational", "readiness"])),
    ("type", Word(&["tcp", "http"])),
    ("port", Int),
    ("interval", Span),
    ("timeout", Span),
    ("grace_period", Span),
    ("method", Text),
    ("path", Text),
    ("protocol", Word(&["http", "https"])),
    ("tls_skip_verify", Bool),
    ("tls_server_name", Text),
    ("headers", List(&HEADER)),
]);

const HTTP_OPTIONS: Shape = Object(&[
    ("compress", Bool),
    ("h2_backend", Bool),
    ("idle_timeout", Int),
    ("headers_read_timeout", Int),
    ("response", Object(&[("headers", MapOf(&Free)), ("pristine", Bool)])),
    (
        "replay_cache",
        List(&Object(&[
            ("path_prefix", Text),
            ("ttl_seconds", Int),
            ("type", Text),
            ("name", Text),
            ("allow_bypass", Bool),
        ])),
    ),
]);

const PORT: Shape = Object(&[
    ("port", Int),
    ("start_port", Int),
    ("end_port", Int),
    ("handlers", List(&Word(&["tls", "http", "pg_tls", "proxy_proto", "tcp"]))),
    ("force_https", Bool),
    ("tls_options", Object(&[("alpn", TEXTS), ("versions", TEXTS), ("default_self_signed", Bool)])),
    ("http_options", HTTP_OPTIONS),
    ("proxy_proto_options", Object(&[("version", Text)])),
]);

const SERVICE: Shape = Object(&[
    ("protocol", Word(&["tcp", "udp"])),
    ("internal_port", Int),
    ("ports", List(&PORT)),
    ("concurrency", Object(&[("type", Word(&["connections", "requests"])), ("soft_limit", Int), ("hard_limit", Int)])),
    ("checks", List(&SERVICE_CHECK)),
    ("autostop", Autostop),
    ("autostart", Bool),
    ("min_machines_running", Int),
    ("force_instance_key", NullableText),
    ("force_instance_description", Text),
]);

const GUEST: Shape = Object(&[
    ("cpu_kind", Word(&["shared", "performance"])),
    ("cpus", Int),
    ("memory_mb", Int),
    ("max_memory_mb", Int),
    ("gpus", Int),
    ("gpu_kind", Text),
    ("host_dedication_id", Text),
    ("kernel_args", TEXTS),
    ("persist_rootfs", Persist),
]);

const PROCESS: Shape = Object(&[
    ("exec", TEXTS),
    ("entrypoint", TEXTS),
    ("cmd", TEXTS),
    ("user", Text),
    ("env", TEXT_MAP),
    ("env_from", List(&ENV_FROM)),
    ("secrets", List(&SECRET)),
    ("ignore_app_secrets", Bool),
]);

const CONTAINER: Shape = Object(&[
    ("name", Text),
    ("image", Text),
    ("exec", TEXTS),
    ("entrypoint", TEXTS),
    ("cmd", TEXTS),
    ("user", Text),
    ("env", TEXT_MAP),
    ("env_from", List(&ENV_FROM)),
    ("secrets", List(&SECRET)),
    ("files", List(&FILE)),
    ("restart", RESTART),
    ("stop", STOP),
    ("mounts", List(&Object(&[("name", Text), ("path", Text)]))),
    ("depends_on", List(&Object(&[("name", Text), ("condition", Text)]))),
    ("healthchecks", List(&Free)),
]);

const DNS: Shape = Object(&[
    ("skip_registration", Bool),
    ("nameservers", TEXTS),
    ("searches", TEXTS),
    ("options", List(&Object(&[("name", Text), ("value", Text)]))),
    ("dns_forward_rules", List(&Object(&[("basename", Text), ("addr", Text)]))),
    ("hostname", Text),
    ("hostname_fqdn", Text),
]);

const MOUNT: Shape = Object(&[
    ("volume", Text),
    ("path", Text),
    ("name", Text),
    ("encrypted", Bool),
    ("size_gb", Int),
    ("extend_threshold_percent", Int),
    ("add_size_gb", Int),
    ("size_gb_limit", Int),
]);

/// A machine's config.
pub(crate) const CONFIG: Shape = Object(&[
    ("image", Text),
    ("env", TEXT_MAP),
    (
        "init",
        Object(&[
            ("exec", TEXTS),
            ("entrypoint", TEXTS),
            ("cmd", TEXTS),
            ("tty", Bool),
            ("swap_size_mb", Int),
            ("kernel_args", TEXTS),
        ]),
    ),
    ("guest", GUEST),
    ("size", Text),
    ("metadata", TEXT_MAP),
    ("mounts", List(&MOUNT)),
    ("services", List(&SERVICE)),
    ("checks", MapOf(&TOP_CHECK)),
    ("metrics", Object(&[("port", Int), ("path", Text), ("https", Bool)])),
    (
        "statics",
        List(&Object(&[("guest_path", Text), ("url_prefix", Text), ("tigris_bucket", Text), ("index_document", Text)])),
    ),
    ("files", List(&FILE)),
    ("processes", List(&PROCESS)),
    ("restart", RESTART),
    ("stop_config", STOP),
    ("auto_destroy", Bool),
    ("schedule", Word(&["hourly", "daily", "weekly", "monthly"])),
    ("standbys", TEXTS),
    ("dns", DNS),
    ("rootfs", Object(&[("persist", Persist), ("size_gb", Int)])),
    ("cache_drive", Object(&[("size_mb", Int)])),
    ("spot", Object(&[("max_price_fraction", Float)])),
    ("containers", List(&CONTAINER)),
    ("volumes", List(&Free)),
    ("disable_machine_autostart", Bool),
]);

/// What the platform makes of a value of this shape: `None` where a null is as good as nothing.
///
/// # Errors
/// With the platform's words, when the type is wrong.
pub(crate) fn normalise(value: Value, shape: &Shape, at: &str) -> Result<Option<Value>, String> {
    if value.is_null() {
        return Ok(matches!(shape, NullableText).then_some(Value::Null));
    }
    let wrong = |wanted: &str, value: &Value| {
        let kind = kind_of(value);
        Err(format!("invalid_argument: json: cannot unmarshal {kind} into Go struct field {at} of type {wanted}"))
    };
    let sound = match (shape, value) {
        (Free, value)
        | (Text | NullableText, value @ Value::String(_))
        | (Bool, value @ Value::Bool(_))
        | (Float, value @ Value::Number(_)) => value,
        (Int, Value::Number(number)) if number.is_i64() || number.is_u64() => Value::Number(number),
        (Word(words), Value::String(text)) => {
            if !words.contains(&text.as_str()) && !text.is_empty() {
                return Err(format!("invalid_argument: invalid value for {at}: '{text}'"));
            }
            Value::String(text)
        }
        (Span, value) => span(&value, at)?,
        (Autostop, value) => autostop(value, at)?,
        (Persist, value) => persist(value, at)?,
        (List(inner), Value::Array(items)) => list(items, inner, at)?,
        (MapOf(inner), Value::Object(fields)) => map(fields, inner, at)?,
        (Object(known), Value::Object(fields)) => object(fields, known, at)?,
        (Text | NullableText | Word(_), other) => return wrong("string", &other),
        (Bool, other) => return wrong("bool", &other),
        (Int, other) => return wrong("int", &other),
        (Float, other) => return wrong("float64", &other),
        (List(_), other) => return wrong("[]", &other),
        (MapOf(_) | Object(_), other) => return wrong("struct", &other),
    };
    Ok(Some(sound))
}

fn list(items: Vec<Value>, inner: &Shape, at: &str) -> Result<Value, String> {
    let sound: Result<Vec<_>, String> = items.into_iter().map(|item| normalise(item, inner, at)).collect();
    Ok(Value::Array(sound?.into_iter().flatten().collect()))
}

fn map(fields: Map<String, Value>, inner: &Shape, at: &str) -> Result<Value, String> {
    let mut sound = Map::new();
    for (key, value) in fields {
        if let Some(value) = normalise(value, inner, &format!("{at}.{key}"))? {
            sound.insert(key, value);
        }
    }
    Ok(Value::Object(sound))
}

/// What is not in the table is dropped without a word: that is what the platform does.
fn object(mut fields: Map<String, Value>, known: &[(&str, Shape)], at: &str) -> Result<Value, String> {
    let mut sound = Map::new();
    for (name, shape) in known {
        let Some(value) = fields.remove(*name) else { continue };
        if let Some(value) = normalise(value, shape, &format!("{at}.{name}"))? {
            sound.insert((*name).to_owned(), value);
        }
    }
    Ok(Value::Object(sound))
}

fn span(value: &Value, at: &str) -> Result<Value, String> {
    let read = match value {
        Value::String(text) => parse_go(text),
        Value::Number(number) => number.as_u64().map(std::time::Duration::from_nanos),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match read {
        Some(duration) => Ok(Value::String(format_go(duration))),
        None => Err(format!("invalid_argument: invalid duration for {at}: {value}")),
    }
}

fn autostop(value: Value, at: &str) -> Result<Value, String> {
    match &value {
        Value::Bool(_) => return Ok(value),
        Value::String(text) => match text.as_str() {
            "off" | "" => return Ok(Value::Bool(false)),
            "stop" => return Ok(Value::Bool(true)),
            "suspend" => return Ok(value),
            _ => {}
        },
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
    }
    Err(format!("invalid_argument: invalid value for {at}: {value}"))
}

fn persist(value: Value, at: &str) -> Result<Value, String> {
    let word = match &value {
        Value::String(text) => ["never", "restart", "always"].into_iter().find(|word| word == text),
        Value::Number(number) => match number.as_u64() {
            Some(0 | 1) => Some("never"),
            Some(2) => Some("always"),
            Some(3) => Some("restart"),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    word.map(|word| Value::String(word.to_owned()))
        .ok_or_else(|| format!("invalid_argument: invalid value for {at}: {value}"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
