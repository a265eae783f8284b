//! The table of `App`: every field, in the order of the documentation.

use crate::field::{Field, Shape, Word};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS};
use crate::rule;

const REPLICAS_MAX: i64 = trueup_types::desired::REPLICAS_MAX as i64;
/// Most items of a list of small things (ports, probes, routes): far above need, far below harm.
const FEW: usize = 100;
/// Most arguments, variables and files.
const MANY: usize = 1000;
/// Highest count of a limit.
const COUNT_MAX: i64 = 1_000_000_000;

pub(crate) static DOCUMENT: &[Field] = &[
    API,
    Field::new("kind", Shape::Word(&[Word::new("App", "An app.")]), KIND_DOC).required(),
    Field::new("metadata", Shape::Object(METADATA), "Its name and notes.").required(),
    Field::new("spec", Shape::Object(SPEC), "What is wanted.").required(),
];

const METADATA: &[Field] = &[
    Field::new("name", Shape::Text(rule::APP), "Its name: at most 40 characters, unique in the source.").required(),
    LABELS,
    ANNOTATIONS,
];

const fn list(item: &'static Shape, most: usize) -> Shape {
    Shape::List { item, least: 0, most }
}

const fn count(least: i64, most: i64) -> Shape {
    Shape::Integer { least, most }
}

const WORDS: Shape = list(&Shape::Text(rule::ARGUMENT), MANY);
const COMMAND: Shape = Shape::List { item: &Shape::Text(rule::ARGUMENT), least: 1, most: MANY };
const TEXTS: Shape = Shape::Map { key: rule::VARIABLE, value: &Shape::Text(rule::ARGUMENT), most: MANY };
const LABEL: Shape = Shape::Text(rule::LABEL);
const WAIT: Shape = Shape::Text(rule::WAIT);
const TIMEOUT: Shape = Shape::Text(rule::TIMEOUT);

pub(crate) static SPEC: &[Field] = &[
    Field::new("profile", LABEL, "Named defaults: web, worker, vango, nitro, static, or one of your own."),
    Field::new("target", Shape::Text(rule::TARGET), "The name of the Target that it runs on.").or("local"),
    Field::new(
        "image",
        Shape::Text(rule::IMAGE),
        "The container image; a tag is resolved to a digest when rolled out.",
    ),
    Field::new("build", Shape::Object(BUILD), "How to build the image, instead of `image`."),
    Field::new("source", Shape::Object(SOURCE), "Files to ship to a host; no kind of target of this build takes them."),
    Field::new("command", COMMAND, "The program and its first arguments; required for processes."),
    Field::new("args", WORDS, "Further arguments."),
    Field::new("workdir", Shape::Text(rule::PATH), "The working directory."),
    Field::new("user", Shape::Text(rule::USER), "The user to run as, by name or number."),
    Field::new("env", TEXTS, "Environment variables, in the clear."),
    Field::new("envFrom", list(&Shape::Object(ENV_FROM), FEW), "Secrets whose every key becomes a variable."),
    Field::new("files", list(&Shape::Object(FILE), MANY), "Small files written for each instance."),
    Field::new("ports", list(&Shape::Object(PORT), FEW), "Ports; the first is `$PORT`, each is `$PORT_<NAME>`."),
    Field::new(
        "routes",
        list(&Shape::Object(ROUTE), FEW),
        "Ways in through the target's ingress; host and path are unique over all apps.",
    ),
    Field::new("forceHttps", Shape::Bool, "Whether plain HTTP is answered with a redirect to HTTPS, on Fly.")
        .or("true on Fly"),
    Field::new("replicas", count(0, REPLICAS_MAX), "How many instances.").or("1"),
    Field::new(
        "regions",
        Shape::Map { key: rule::REGION, value: &count(0, REPLICAS_MAX), most: trueup_types::desired::PLACES_MAX },
        "How many instances in each region; replaces `replicas`.",
    ),
    Field::new("resources", Shape::Object(RESOURCES), "Limits and sizes of one instance."),
    Field::new("concurrency", Shape::Object(CONCURRENCY), "How much one instance bears."),
    Field::new("autostop", Shape::Object(AUTOSTOP), "Whether idle instances sleep."),
    Field::new(
        "health",
        list(&Shape::Object(PROBE), FEW),
        "Probes, part of what an instance is; none: healthy when it has run unbroken for `rollout.minHealthy`.",
    ),
    Field::new("restart", Shape::Object(RESTART), "What happens when an instance exits by itself."),
    Field::new("stop", Shape::Object(STOP), "How an instance is asked to go."),
    Field::new("volumes", list(&Shape::Object(VOLUME), FEW), "Disks that outlive the instance."),
    Field::new("rollout", Shape::Object(ROLLOUT), "How the app is brought to a new release."),
    Field::new("hooks", Shape::Object(HOOKS), "Tasks run once for each release."),
    Field::new(
        "dependsOn",
        list(&Shape::Text(rule::APP), FEW),
        "Apps that are Ready before this one is created or rolled.",
    ),
    Field::new("history", Shape::Object(HISTORY), "How many releases are remembered, and how long."),
    Field::new("suspend", Shape::Bool, "Observe and report, change nothing.").or("false"),
];

const BUILD: &[Field] = &[
    Field::new("context", Shape::Text(rule::PATH), "The folder sent to the builder, relative to the source root.")
        .required(),
    Field::new("dockerfile", Shape::Text(rule::WITHIN), "The recipe within it.").or("Dockerfile"),
    Field::new("args", TEXTS, "Build arguments."),
    Field::new("target", Shape::Text(rule::USER), "The stage of the recipe that is wanted.").or("its last"),
];

const SOURCE: &[Field] = &[
    Field::new("path", Shape::Text(rule::PATH), "The folder, relative to the source root.").required(),
    Field::new("exclude", list(&Shape::Text(rule::PATH), MANY), "Names left out."),
];

const ENV_FROM: &[Field] = &[Field::new("secret", LABEL, "The name of a Secret.").required()];

const FILE: &[Field] = &[
    Field::new("path", Shape::Text(rule::PATH), "Where; for processes below the instance's own directory.").required(),
    Field::new("content", Shape::Text(rule::CONTENT), "What it holds.").required(),
    Field::new("mode", Shape::Text(rule::MODE), "Permission bits, quoted, in octal digits.").or("\"0644\""),
];

const PORT: &[Field] = &[
    Field::new("name", LABEL, "Its name.").or("its protocol"),
    Field::new(
        "port",
        count(0, 65535),
        "The number; 0 or left out: chosen for each instance of a process, 8080 in a container.",
    ),
    Field::new("protocol", Shape::Word(PROTOCOL), "What is spoken on it.").or("http"),
];

const PROTOCOL: &[Word] = &[
    Word::new("http", "HTTP/1.1 or HTTP/2 in the clear."),
    Word::new("tcp", "Any stream."),
    Word::new("udp", "Datagrams."),
];

const ROUTE: &[Field] = &[
    Field::new(
        "host",
        Shape::Text(rule::HOST),
        "The host name, without a port; on Fly `flycast` is the app's own name on the private network alone.",
    )
    .or("what the target's `hosts` gives, on Fly also the app's own name under `fly.dev`"),
    Field::new("path", Shape::Text(rule::REQUEST_PATH), "The path prefix; the longest one wins.").or("/"),
    Field::new("port", LABEL, "The name of the port that answers.").or("the only http port"),
    Field::new("tls", Shape::Word(TLS), "Whether the way in is encrypted.").or("off"),
];

const TLS: &[Word] = &[Word::new("off", "In the clear."), Word::new("auto", "A certificate is obtained and renewed.")];

const RESOURCES: &[Field] = &[
    Field::new("cpuKind", Shape::Word(CPU_KIND), "Fly's kind of CPU."),
    Field::new("cpus", count(1, 1024), "Whole CPUs."),
    Field::new("memory", Shape::Size, "Memory limit."),
    Field::new("pids", count(1, 4_194_304), "Most processes and threads at once."),
    Field::new("openFiles", count(16, COUNT_MAX), "Most open files at once."),
];

const CPU_KIND: &[Word] = &[Word::new("shared", "A share of a core."), Word::new("performance", "A core of its own.")];

const CONCURRENCY: &[Field] = &[
    Field::new("kind", Shape::Word(CONCURRENCY_KIND), "What is counted.").or("requests"),
    Field::new("soft", count(1, COUNT_MAX), "Above this another instance is preferred.").required(),
    Field::new("hard", count(1, COUNT_MAX), "Above this the instance gets no more.").required(),
];

const CONCURRENCY_KIND: &[Word] =
    &[Word::new("requests", "Requests in flight."), Word::new("connections", "Open connections.")];

const AUTOSTOP: &[Field] = &[
    Field::new("mode", Shape::Word(AUTOSTOP_MODE), "How idle instances sleep.").required(),
    Field::new("minRunning", count(0, REPLICAS_MAX), "How many never sleep.").or("0"),
];

const AUTOSTOP_MODE: &[Word] = &[
    Word::new("off", "They do not."),
    Word::new("stop", "Stopped."),
    Word::new("suspend", "Suspended with their memory."),
];

const PROBE: &[Field] = &[
    Field::new("name", LABEL, "Its name.").or("its question: http, tcp, exec or websocket"),
    Field::new("http", Shape::Object(HTTP), "Good when `GET path` answers with a good status."),
    Field::new("tcp", Shape::Object(TCP), "Good when a connection opens."),
    Field::new("exec", Shape::Object(EXEC), "Good when the command exits with 0, run as the instance's user."),
    Field::new("websocket", Shape::Object(WEBSOCKET), "Good when the upgrade is accepted and a ping answered."),
    Field::new("interval", Shape::Text(rule::INTERVAL), "From one question to the next.").or("10s"),
    Field::new("timeout", TIMEOUT, "Longest wait for an answer.").or("5s"),
    Field::new("grace", WAIT, "Failures within this time after the start do not count.").or("10s"),
    Field::new("failures", count(1, 1000), "Failures in a row that make it failed.").or("3"),
    Field::new("successes", count(1, 1000), "Successes in a row that make it passing.").or("1"),
];

const PROBED_PORT: Field = Field::new("port", LABEL, "The name of the port.").or("the first http port");

const HTTP: &[Field] = &[
    Field::new("path", Shape::Text(rule::PROBE_PATH), "The path.").or("/"),
    PROBED_PORT,
    Field::new("status", Shape::List { item: &count(100, 599), least: 1, most: 500 }, "Good statuses.")
        .or("200 to 299"),
];
const TCP: &[Field] = &[Field::new("port", LABEL, "The name of the port.").or("the first port that is not udp")];
const EXEC: &[Field] = &[Field::new("command", COMMAND, "The program and its arguments.").required()];
const WEBSOCKET: &[Field] = &[Field::new("path", Shape::Text(rule::PROBE_PATH), "The path.").or("/"), PROBED_PORT];

const RESTART: &[Field] = &[
    Field::new("policy", Shape::Word(RESTART_POLICY), "Which exits are answered with a restart.").or("always"),
    Field::new("maxRetries", count(0, 1000), "Exits that a rollout bears before promotion; one more fails it.").or("3"),
];

const RESTART_POLICY: &[Word] = &[
    Word::new("always", "All."),
    Word::new("on-failure", "Those with a code other than 0, or by a signal."),
    Word::new("never", "None."),
];

const STOP: &[Field] = &[
    Field::new("signal", Shape::Text(rule::SIGNAL), "The signal that asks it to go.").or("SIGTERM"),
    Field::new("timeout", WAIT, "After this long all of its group is killed.").or("30s"),
];

const VOLUME: &[Field] = &[
    Field::new("name", LABEL, "Its name.").required(),
    Field::new("path", Shape::Text(rule::ROOTED), "Where it is mounted.").required(),
    Field::new("size", Shape::Size, "Its size, where the target sizes disks."),
];

const ROLLOUT: &[Field] = &[
    Field::new("strategy", Shape::Word(STRATEGY), "In which order old gives way to new.")
        .or("blueGreen with routes and without volumes, rolling otherwise"),
    Field::new("maxSurge", Shape::Quantity, "Instances above the wanted number while rolling; a percentage rounds up.")
        .or("100% for blueGreen, 1 otherwise"),
    Field::new(
        "maxUnavailable",
        Shape::Quantity,
        "Instances below the wanted number while rolling; a percentage rounds down.",
    )
    .or("0"),
    Field::new("minHealthy", WAIT, "Health must hold this long, unbroken.").or("5s"),
    Field::new("healthyDeadline", TIMEOUT, "Longest an instance may take to be healthy; less than `progressDeadline`.")
        .or("5m"),
    Field::new("progressDeadline", TIMEOUT, "Longest a rollout may go without progress.").or("10m"),
    Field::new("bake", WAIT, "The watch kept after promotion; a regression still reverts.").or("1m"),
    Field::new(
        "bakeKeep",
        Shape::Word(BAKE_KEEP),
        "What becomes of the old instances through the bake, on Fly; a change of it makes a new release.",
    )
    .or("running"),
    Field::new("drain", WAIT, "Unrouted instances finish what they have, at most this long.").or("30s"),
    Field::new("revert", Shape::Word(REVERT), "What follows a failed rollout.").or("auto"),
    Field::new("steps", list(&Shape::Object(STEP), FEW), "The steps of a canary."),
    Field::new("windows", list(&Shape::Object(WINDOW), FEW), "When rollouts may begin; reverts may at any time."),
];

const WINDOW: &[Field] = &[
    Field::new("cron", Shape::Text(rule::CRON), "When it opens.").required(),
    Field::new("timeZone", Shape::Text(rule::TIME_ZONE), "Where that is said.").or("UTC"),
    Field::new("duration", TIMEOUT, "How long it stays open.").required(),
];

const STRATEGY: &[Word] = &[
    Word::new("blueGreen", "All new ones beside the old, one shift, the old kept through the bake."),
    Word::new("rolling", "One by one."),
    Word::new("canary", "By weight, step by step."),
    Word::new("recreate", "Stop the old, then start the new."),
];

const REVERT: &[Word] = &[
    Word::new("auto", "Back to the last good release at once."),
    Word::new("hold", "Traffic goes back, the rest waits for a person."),
];

const BAKE_KEEP: &[Word] = &[
    Word::new("running", "They run on: the way back is short."),
    Word::new("stopped", "They are stopped, which saves money, and started first where the new release is taken back."),
];

const STEP: &[Field] = &[
    Field::new("weight", count(1, 100), "The share of traffic, in percent, that goes to the new release.").required(),
    Field::new("pause", WAIT, "How long it is watched.").or("0s"),
    Field::new("approve", Shape::Bool, "Whether a person must say `promote`.").or("false"),
    Field::new("analysis", list(&Shape::Object(ANALYSIS), FEW), "What is asked while it lasts; a bad answer reverts."),
];

const ANALYSIS: &[Field] = &[
    Field::new("name", LABEL, "Its name.").or("its question: http, exec or prometheus"),
    Field::new("http", Shape::Object(ASK_HTTP), "Good when `GET url` answers with 2xx, and its JSON is as expected."),
    Field::new("exec", Shape::Object(EXEC), "Good when the command exits with 0, run in one of the new instances."),
    Field::new("prometheus", Shape::Object(ASK_PROMETHEUS), "Good when the query's first sample is as expected."),
    Field::new("interval", Shape::Text(rule::INTERVAL), "From one question to the next.").or("10s"),
    Field::new("timeout", TIMEOUT, "Longest wait for an answer.").or("5s"),
    Field::new("failures", count(1, 1000), "Bad answers in a row that fail the release.").or("1"),
];

const ASK_HTTP: &[Field] = &[
    Field::new("url", Shape::Text(rule::URL), "The whole address.").required(),
    Field::new("json", Shape::Text(rule::POINTER), "A JSON pointer into the answer."),
    Field::new("expect", Shape::Text(rule::EXPECTATION), "What is to be found there."),
];

const ASK_PROMETHEUS: &[Field] = &[
    Field::new("url", Shape::Text(rule::URL), "The address of the server.").required(),
    Field::new("query", Shape::Text(rule::NOTE), "The query.").required(),
    Field::new("expect", Shape::Text(rule::EXPECTATION), "What its first sample is to be.").required(),
];

const HOOKS: &[Field] = &[
    Field::new("preDeploy", list(&Shape::Object(HOOK), FEW), "Once for each release, before any instance is created."),
    Field::new("postDeploy", list(&Shape::Object(HOOK), FEW), "Once for each release, after promotion."),
    Field::new("onRevert", list(&Shape::Object(HOOK), FEW), "Once for each release that was reverted, to undo it."),
];

const HOOK: &[Field] = &[
    Field::new("name", LABEL, "Its name, unique among its kind.").required(),
    Field::new("command", COMMAND, "The program and its arguments.").required(),
    Field::new("timeout", TIMEOUT, "Longest it may run.").or("5m"),
];

const HISTORY: &[Field] = &[
    Field::new("limit", count(1, 100), "Most releases kept.").or("10"),
    Field::new("keepFor", Shape::Text(rule::KEEP), "Older ones go, but never the current and the last good.").or("7d"),
];
