//! A session with a whole simulated daemon: carries out commands, and answers what a person would see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trueup_manifest::{FileText, parse_file, resolve};
use trueup_sim::House;
use trueup_types::order::{EnvOf, Order};
use trueup_types::record::ReleaseNote;
use trueup_types::status::Decision;
use trueup_types::{AppName, InstanceId, TargetName, Timestamp};

use super::script::Command;

/// From one look at what was decided to the next, and when nothing was decided for so long.
const GLANCE: Duration = Duration::from_millis(20);
const GLANCE_WHEN_QUIET: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_secs(90);
/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(7_200);

/// A daemon in a simulated world, and the files that it watches.
pub struct Session {
    house: House,
    files: BTreeMap<String, String>,
    /// Of each app, the newest decision that was told, and how it stood then.
    told: BTreeMap<AppName, (Option<Timestamp>, String)>,
}

impl Session {
    /// A world with nothing in it, and a daemon that runs.
    pub async fn begin() -> Self {
        let mut house = House::new();
        house.start().await;
        Self { house, files: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// Carries out a command; answers its lines.
    pub async fn carry_out(&mut self, command: &Command) -> Vec<String> {
        let words: Vec<_> = command.line.split_whitespace().collect();
        match words.as_slice() {
            ["given", file] => self.given(file, &command.file).await,
            ["write", file] => self.write(file, &command.file),
            ["edit", file] => self.edit(file, &command.file),
            ["delete", files @ ..] => self.delete(files),
            ["wait", wait] => self.wait(humantime::parse_duration(wait).expect("a wait"), &|_| false).await,
            ["until", app, "is", word] => self.until(app, word).await,
            ["until", app, "is", word, "quietly"] => {
                self.until(app, word.trim_end_matches(',')).await;
                Vec::new()
            }
            ["trueup", words @ ..] => self.ask(words).await,
            ["kill", "the", "daemon"] => self.kill().await,
            ["start", "the", "daemon"] => self.start().await,
            words => self.disturb(words),
        }
    }

    /// Laws that were broken in all that time.
    pub fn violations(&self) -> Vec<String> {
        self.house.world.lock().violations.clone()
    }

    // --- manifests ---

    fn write(&mut self, file: &str, text: &str) -> Vec<String> {
        self.files.insert(file.to_owned(), text.to_owned());
        self.commit(&[])
    }

    /// Writes a file and waits until its app is Ready, without a word.
    async fn given(&mut self, file: &str, text: &str) -> Vec<String> {
        let wrong = self.write(file, text);
        self.until(file.trim_end_matches(".yaml"), "Ready").await;
        wrong
    }

    /// Puts lines in place of those with the same key; one whose key is new comes last.
    fn edit(&mut self, file: &str, lines: &str) -> Vec<String> {
        let mut text: Vec<_> = self.files[file].lines().map(str::to_owned).collect();
        let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        for line in lines.lines() {
            match text.iter_mut().find(|old| key(old) == key(line)) {
                Some(old) => line.clone_into(old),
                None => text.push(line.to_owned()),
            }
        }
        self.write(file, &(text.join("\n") + "\n"))
    }

    fn delete(&mut self, files: &[&str]) -> Vec<String> {
        let gone: Vec<_> = files.iter().map(|file| name(file.trim_end_matches(".yaml"))).collect();
        for file in files {
            self.files.remove(*file);
        }
        self.commit(&gone)
    }

    /// Hands the source what the files say; a file that says nothing sensible leaves what it said before.
    fn commit(&mut self, gone: &[AppName]) -> Vec<String> {
        let parse = |(path, text): (&String, &String)| {
            let file = FileText { path: path.clone(), text: text.as_str().into() };
            (path.clone(), Arc::new(parse_file(&file)))
        };
        let parsed = self.files.iter().map(parse).collect();
        let resolution = resolve(&parsed, &BTreeMap::new());
        self.house.source.commit(resolution.apps.values().map(|app| Arc::clone(&app.desired)), gone);
        resolution.diagnostics.iter().map(|one| format!("{}: {}", one.severity, one.line())).collect()
    }

    // --- time ---

    async fn until(&mut self, app: &str, word: &str) -> Vec<String> {
        let (app, word) = (app.to_owned(), word.to_owned());
        let stands = move |house: &House| match (house.app(&app), word.as_str()) {
            (None, word) => word == "gone",
            (Some(shown), word) => shown.status.word == word,
        };
        self.wait(PATIENCE, &stands).await
    }

    /// Lets time pass; answers what was decided in it.
    async fn wait(&mut self, wait: Duration, enough: &dyn Fn(&House) -> bool) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + wait;
        let (mut lines, mut heard) = (Vec::new(), tokio::time::Instant::now());
        loop {
            let glance = if heard.elapsed() > QUIET { GLANCE_WHEN_QUIET } else { GLANCE };
            tokio::time::sleep(glance.min(deadline - tokio::time::Instant::now())).await;
            let news = self.news();
            if !news.is_empty() {
                heard = tokio::time::Instant::now();
            }
            lines.extend(news);
            if enough(&self.house) {
                return lines;
            }
            if tokio::time::Instant::now() >= deadline {
                assert!(wait < PATIENCE, "it never comes to that:\n{}", self.house.story());
                return lines;
            }
        }
    }

    /// What was decided since it was last asked, app by app.
    fn news(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for app in self.house.control().status().apps {
            let (last, stood) = self.told.entry(app.metadata.name.clone()).or_default();
            let fresh = app.status.decisions.iter().filter(|one| last.is_none_or(|last| one.at > last));
            let fresh: Vec<_> = fresh.collect();
            for decision in fresh.iter().rev() {
                let told = tell(app.metadata.name.as_str(), decision, stood);
                news.extend(told.map(|lines| (decision.at, lines)));
            }
            *last = fresh.first().map(|decision| decision.at).max(*last);
        }
        news.sort_by_key(|(at, _)| *at);
        news.into_iter().flat_map(|(_, lines)| lines).collect()
    }

    // --- what people ask ---

    async fn ask(&mut self, words: &[&str]) -> Vec<String> {
        match words {
            ["get", "apps"] => self.apps(),
            ["get", "instances", app] => self.instances(app),
            ["get", "releases", app] => self.releases(app),
            ["why", app] => self.why(app),
            ["approve", "prune"] => match self.house.control().approve_prune("ann").await {
                Ok(apps) => vec![format!("{} may go", apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(", "))],
                Err(error) => vec![error.to_string()],
            },
            [verb, app, rest @ ..] => {
                let order = order(verb, rest);
                match self.house.control().order(&name(app), order, "ann").await {
                    Ok(receipt) => vec![receipt.message],
                    Err(error) => vec![error.to_string()],
                }
            }
            _ => panic!("nobody knows what `trueup {}` is", words.join(" ")),
        }
    }

    fn apps(&self) -> Vec<String> {
        let apps = self.house.control().status().apps;
        let lines = apps.iter().map(|app| {
            let status = &app.status;
            format!("{:<4} {:<12} {}", app.metadata.name.as_str(), status.word, status.verdict.message)
        });
        lines.collect()
    }

    fn instances(&self, app: &str) -> Vec<String> {
        let routed = self.house.world.routed(&name(app));
        let Some(shown) = self.house.app(app) else { return vec![format!("there is no app {app}")] };
        let line = |one: &trueup_types::status::InstanceStatus| {
            let traffic = if routed.contains(&one.name) { "routed" } else { "not routed" };
            format!("{:<10} {:<10} {traffic}, started {} times again", one.name, one.health, one.restarts)
        };
        shown.status.instances.iter().map(line).collect()
    }

    fn releases(&self, app: &str) -> Vec<String> {
        let Some(shown) = self.house.app(app) else { return vec![format!("there is no app {app}")] };
        let line = |note: &ReleaseNote| {
            let carries = shown.status.contents.get(&note.revision).map_or("", |content| content.image.as_str());
            let outcome = note.outcome.map_or_else(|| "Underway".to_owned(), |outcome| format!("{outcome:?}"));
            let again = note.again.as_ref().map_or_else(String::new, |again| format!("  {again}"));
            format!("{} {carries:<10} {outcome}{again}", note.revision)
        };
        shown.status.history.iter().map(line).collect()
    }

    fn why(&self, app: &str) -> Vec<String> {
        let shown = self.house.app(app);
        let decision = shown.as_ref().and_then(|shown| shown.status.decisions.first());
        decision.map(|one| one.lines.clone()).unwrap_or_default()
    }

    // --- what happens to the world ---

    async fn kill(&mut self) -> Vec<String> {
        self.house.kill().await;
        Vec::new()
    }

    async fn start(&mut self) -> Vec<String> {
        self.house.start().await;
        self.told.clear();
        Vec::new()
    }

    fn disturb(&mut self, words: &[&str]) -> Vec<String> {
        let world = &self.house.world;
        match words {
            ["crash", id] => world.crash(&instance(id), 1).expect("it runs"),
            ["sicken", id] => world.sicken(&instance(id), true),
            ["cure", id] => world.sicken(&instance(id), false),
            ["steal", id] => world.steal(&instance(id)),
            ["requests", "to", id, count] => {
                let count = count.parse().expect("a count");
                world.lock().in_flight.insert(instance(id), count);
            }
            ["host", target, "goes", "dark"] => self.house.darken(&TargetName::new(target).expect("a target"), true),
            ["host", target, "is", "back"] => self.house.darken(&TargetName::new(target).expect("a target"), false),
            ["disk", "fills"] => self.house.store.fill(true),
            ["disk", "is", "freed"] => self.house.store.fill(false),
            ["lose", "the", "store"] => self.house.store.lose(),
            _ => panic!("nobody knows what `{}` is", words.join(" ")),
        }
        Vec::new()
    }
}

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

fn instance(text: &str) -> InstanceId {
    text.parse().expect("a name of an instance")
}

fn order(verb: &str, rest: &[&str]) -> Order {
    match (verb, rest) {
        ("rollback", []) => Order::Rollback { to: None, env: EnvOf::Then },
        ("rollback", ["--current-env"]) => Order::Rollback { to: None, env: EnvOf::Now },
        ("retry", []) => Order::Retry,
        ("resume", []) => Order::Resume,
        ("suspend", []) => Order::Suspend,
        ("restart", []) => Order::Restart,
        ("promote", []) => Order::Promote,
        ("promote", ["fully"]) => Order::PromoteFully,
        ("abort", []) => Order::Abort,
        ("reconcile", []) => Order::Reconcile,
        _ => panic!("there is no order `{verb}`"),
    }
}

/// A decision in a few lines: when, what was seen, what was done, how it stands. Nothing, when nothing is new in it.
fn tell(app: &str, decision: &Decision, stood: &mut String) -> Option<Vec<String>> {
    let lines: Vec<_> = decision.lines.iter().filter(|line| !is_input(line)).collect();
    let (steps, standing): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.ends_with(')'));
    let now = standing.first().map(|line| (*line).clone()).unwrap_or_default();
    if steps.is_empty() && now == *stood {
        return None;
    }
    let at = decision.at.since(trueup_sim::clock::EPOCH);
    let seen = decision.lines.iter().find(|line| line.starts_with("seen: ")).map(|line| shortened(line));
    let mut told = vec![format!("+{:<8}{app} {}", format!("{:.1}s", at.as_secs_f64()), seen.unwrap_or_default())];
    told.extend(steps.iter().map(|step| format!("         {step}")));
    if now != *stood {
        told.push(format!("         {now}"));
    }
    *stood = now;
    Some(told)
}

/// Whether a line of a decision says what went into it, or when to look again, and not what came of it.
fn is_input(line: &str) -> bool {
    ["wanted: ", "seen: ", "remembered: ", "may not ", "look again "].iter().any(|word| line.starts_with(word))
}

/// What was seen, in seconds.
fn shortened(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let millis = words.last().and_then(|last| last.parse::<f64>().ok());
        match (word.strip_prefix("ms"), millis) {
            (Some(rest), Some(millis)) => {
                words.pop();
                words.push(format!("{:.1}s{rest}", millis / 1_000.0));
            }
            _ => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}
